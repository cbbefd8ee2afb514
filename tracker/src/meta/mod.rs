//! The metadata: the only SQL of the project, one text per statement, three engines.
//!
//! [`Db`] is the database, [`Tx`] a connection to it, [`Sql`] a statement. A statement is a `const` above the one function
//! that uses it, in the file of its table.

pub mod db;
pub(crate) mod encoding;
pub mod error;
mod migrate;
pub mod row;
mod server;
pub mod settings;
pub mod sql;
mod sqlite;
pub mod tx;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use db::{Db, DbConfig};
pub use error::DbError;
pub use row::{Row, Value};
pub use sql::{ARGUMENTS_MAX, Engine, Sql};
pub use tx::Tx;
