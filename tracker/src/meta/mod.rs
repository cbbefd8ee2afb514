//! The metadata: the only SQL of the project, one text per statement, three engines.
//!
//! [`Db`] is the database, [`Tx`] a connection to it, [`Sql`] a statement. A statement is a `const` above the one function
//! that uses it, in the file of its table.

/// Lists the statements of a module for the test that prepares each of them on every engine (`tests/statements.rs`).
macro_rules! catalogue {
    ($($name:ident),* $(,)?) => {
        #[cfg(test)]
        pub(in crate::meta) const STATEMENTS: &[(&str, crate::meta::Sql)] = &[$((stringify!($name), $name)),*];
    };
}

pub(crate) mod absences;
pub(crate) mod backlog;
pub(crate) mod buckets;
pub(crate) mod checksums;
pub(crate) mod classes;
pub(crate) mod committer;
pub mod create;
pub mod db;
pub(crate) mod deletions;
pub(crate) mod devices;
pub(crate) mod digests;
pub(crate) mod domains;
pub(crate) mod encoding;
pub mod error;
pub mod fid_blocks;
pub(crate) mod files;
pub(crate) mod finder;
pub(crate) mod fsck;
pub(crate) mod hosts;
pub(crate) mod ids;
pub mod listing;
pub(crate) mod lock;
pub mod lookup;
pub(crate) mod marks;
mod migrate;
pub(crate) mod objects;
pub(crate) mod queues;
mod reach;
pub(crate) mod replicas;
pub(crate) mod reserver;
pub mod row;
pub(crate) mod scrub;
pub(crate) mod segments;
mod server;
pub mod settings;
pub mod sql;
mod sqlite;
pub(crate) mod tempfiles;
pub(crate) mod tokens;
pub mod tx;
pub(crate) mod uploads;
pub(crate) mod users;
pub(crate) mod work;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use db::{Db, DbConfig, DbLoad};
pub use error::DbError;
pub use row::{Row, Value};
pub use sql::{ARGUMENTS_MAX, Engine, Sql};
pub use tx::Tx;
