//! Which copies a rebalance moves: its policy and its state, in MogileFS's language (mogilefs.md §14, `Rebalance.pm`); and how far
//! the drain of a device has come.
//! Pure: text in, plain data out; [`crate::jobs::rebalance`] does the moving.

mod drain;
mod even;
mod policy;
mod state;

pub use drain::Drain;
pub(crate) use even::{shift, takers_of};
pub use policy::{Balance, Limit, LimitScope, PolicyError};
pub use state::State;
