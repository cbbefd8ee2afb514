//! The verbs: each command is one method on [`crate::Tracker`], called by every face that offers it.
//!
//! A command checks, decides, and writes in one transaction; it never renders. Requests and answers are plain
//! types of [`crate::model`].

pub mod backlog;
pub mod buckets;
pub mod devices;
pub mod files;
pub mod health;
pub mod lookup;
pub mod objects;
mod repair;
mod revise;
pub mod tempfiles;
pub mod tokens;
pub mod uploads;
pub mod users;
