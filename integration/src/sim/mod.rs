//! The simulation: real commands and jobs on a real database, with simulated time, network and disks.
//!
//! See [`executor`] for what makes a run repeat itself.

pub mod blows;
pub mod clients;
pub mod executor;
mod invariants;
pub mod nodes;
mod operator;
pub mod world;
