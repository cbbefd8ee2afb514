//! What the database can answer instead of rows.

use std::path::PathBuf;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The URL names no engine that mogul knows.
    #[error("the database URL must begin with postgres://, mysql:// or mariadb://")]
    UnknownEngine,
    /// The database cannot be opened.
    #[error("the database cannot be opened")]
    Open(#[source] sqlx::Error),
    /// The file of an embedded database cannot be made or made durable.
    #[error("the database file {path} cannot be made")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No connection became free in time, or none could be made.
    #[error("no connection to the database")]
    Connection(#[source] sqlx::Error),
    /// The server does not answer.
    #[error("the database does not answer")]
    Gone,
    /// A statement failed.
    #[error("the database refused `{sql}`")]
    Statement {
        /// Its text.
        sql: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The transaction could not be begun, committed or rolled back: whether it happened is not known.
    #[error("the transaction could not be ended: {0}")]
    Transaction(String),
    /// A column is not there or not of the type that was asked for.
    #[error("column {index} is not {wanted}")]
    Column {
        /// Its index.
        index: usize,
        /// What was asked for.
        wanted: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A number does not fit the engines' signed 64-bit integers.
    #[error("the number {0} is too large for the database")]
    TooLarge(u64),
    /// A stored number is no fid.
    #[error("the database has the fid {0}")]
    BadFid(i64),
    /// More arguments than one statement takes.
    #[error("{0} arguments are more than one statement takes")]
    TooManyArguments(usize),
    /// The arguments do not fit the placeholders: a bug.
    #[error("{args} arguments do not fit `{sql}`")]
    WrongArguments {
        /// The text.
        sql: &'static str,
        /// How many were given.
        args: usize,
    },
    /// The command panicked; it left nothing behind.
    #[error("the command panicked")]
    Panicked,
    /// The database is closed, or its runtime is.
    #[error("the database is closed")]
    Closed,
    /// The schema is newer than this program.
    #[error(
        "the database has {setting} {found}; this mogul knows up to {known}: start a newer mogul, or restore a backup \
         that was made before the upgrade"
    )]
    NewerSchema {
        /// The row of `server_settings` that says so.
        setting: &'static str,
        /// Its value.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The database is of a MogileFS before schema version 15.
    #[error(
        "the database has MogileFS schema version {0}; upgrade it to 17 with the mogdbsetup of MogileFS 2.73 first"
    )]
    OlderSchema(i64),
    /// A setting that must be a number is not.
    #[error("server_settings has {setting} `{value}`, which is not a number")]
    BadSetting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// Another process has been changing the schema for too long.
    #[error("another process is changing the schema; try again when it has finished")]
    SchemaBusy,
}

/// What to do about a failed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Run it again: it lost a race and left nothing behind.
    Again,
    /// Nothing: the caller must know.
    Report,
}

impl DbError {
    /// Whether the transaction lost a race that it may win when it runs again.
    ///
    /// Deadlocks and serialization failures (PostgreSQL 40P01, 40001; MySQL 1213, 1205) are such; so is a duplicate key
    /// (23505; 1062): commands look before they insert, so a duplicate means that somebody committed in between, whom
    /// the next run will see.
    pub(super) fn remedy(&self) -> Remedy {
        let DbError::Statement { source, .. } = self else {
            return Remedy::Report;
        };
        let Some(database) = source.as_database_error() else {
            return Remedy::Report;
        };
        let mysql = database
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .map(sqlx::mysql::MySqlDatabaseError::number);
        let code = database.code();
        let lost = match mysql {
            Some(number) => matches!(number, 1213 | 1205 | 1062 | 1020),
            None => matches!(code.as_deref(), Some("40P01" | "40001" | "23505")),
        };
        if lost { Remedy::Again } else { Remedy::Report }
    }
}

impl From<DbError> for crate::Error {
    fn from(error: DbError) -> crate::Error {
        crate::Error::Database(Box::new(error))
    }
}
