//! The engine behind one face.

/// A database: SQLite, PostgreSQL, MariaDB or MySQL.
#[derive(Debug, Clone)]
pub enum Db {
    /// SQLite.
    Sqlite,
}
