//! Which copies a rebalance moves: its policy and its state, in MogileFS's language (mogilefs.md §14, `Rebalance.pm`); and how far
//! the drain of a device has come.
//! Pure: text in, plain data out; [`crate::jobs::rebalance`] does the moving.

mod drain;
mod policy;
mod state;

pub use drain::Drain;
pub use policy::{Balance, Limit, LimitScope, PolicyError};
pub use state::State;
