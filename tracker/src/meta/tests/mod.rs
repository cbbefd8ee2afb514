//! One suite for all engines.

pub(crate) mod engines;
mod suite;
