//! The verbs: each command is one method on [`crate::Tracker`], called by every face that offers it.
//!
//! A command checks, decides, and writes in one transaction; it never renders. Requests and answers are plain
//! types of [`crate::model`].

pub mod backlog;
pub mod buckets;
pub mod classes;
pub mod cluster;
pub mod copies;
pub mod devices;
pub mod domains;
pub mod drain;
pub mod files;
pub mod fsck;
pub mod health;
pub mod hosts;
pub mod jobs;
pub mod lookup;
pub mod objects;
pub mod rebalance;
mod repair;
mod revise;
pub mod scrub;
pub mod settings;
pub mod tempfiles;
pub mod tokens;
pub mod uploads;
pub mod users;

/// What a request makes of a value that may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// There is none any more.
    Clear,
    /// It is this one.
    Set(T),
}

impl<T> Change<T> {
    /// The new value, if there is one.
    #[must_use]
    pub fn as_set(&self) -> Option<&T> {
        match self {
            Change::Keep | Change::Clear => None,
            Change::Set(value) => Some(value),
        }
    }

    /// What `before` becomes.
    #[must_use]
    pub fn applied(self, before: Option<T>) -> Option<T> {
        match self {
            Change::Keep => before,
            Change::Clear => None,
            Change::Set(value) => Some(value),
        }
    }
}
