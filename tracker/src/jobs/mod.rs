//! What runs without a client: bounded steps that find their work in the database.

pub mod join;

use crate::Error;

/// Background work in small, repeatable steps.
pub trait Job: Send + 'static {
    /// Its name, in logs and status.
    const NAME: &'static str;

    /// Reads the state, does one bounded unit of work, says whether more is waiting. Idempotent; may be dropped at any
    /// await.
    fn step(&mut self) -> impl Future<Output = Result<Next, Error>> + Send;
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There may be more to do.
    Again,
    /// There is nothing to do now.
    Idle,
}
