//! The metadata: the only SQL of the project, one text per statement, three engines.

pub mod db;
pub(crate) mod encoding;

pub use db::Db;
