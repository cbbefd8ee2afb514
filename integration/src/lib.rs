//! The whole system seen through its doors: what the tests of this folder share.
//!
//! Tests live in `tests/` (Rust) and `external/` (foreign clients); [`sim`] is the simulation.

pub mod sim;
