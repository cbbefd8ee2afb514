//! The engine behind one face: SQLite, PostgreSQL, MariaDB or MySQL.
//!
//! A command's transaction is given to [`Db::write`] as a function, because it may have to run again. On SQLite the
//! commands that wait share a commit ([`super::writer`]); on the others each has a connection and a transaction of its
//! own ([`super::server`]).

use std::{path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;

use super::{error::DbError, migrate, server::Server, sql::Engine, sqlite::Sqlite, tx::Tx};
use crate::Error;

/// Which database.
#[derive(Debug, Clone)]
pub enum DbConfig {
    /// A SQLite database in a file, made if it is not there.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A SQLite database in a private scratch file that goes with its last handle: tests and the simulation. Nothing is
    /// synced; everything else is as in production.
    Memory,
    /// A PostgreSQL, MariaDB or MySQL server: `postgres://…`, `mysql://…`, `mariadb://…`.
    Url(String),
}

/// How busy the database's connections are at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbLoad {
    /// Open connections, without the one that writes on SQLite.
    pub connections: u64,
    /// Those of them that nobody uses.
    pub idle: u64,
    /// Commands that wait for SQLite's writing connection; 0 on the other engines.
    pub waiting: u64,
}

/// The database: cheap to clone, all clones are one.
#[derive(Debug, Clone)]
pub struct Db(Handle);

#[derive(Debug, Clone)]
enum Handle {
    Sqlite(Arc<Sqlite>),
    Server(Server),
}

impl Db {
    /// Opens a database. It may be empty: see [`Db::migrate`].
    ///
    /// # Errors
    /// [`DbError::UnknownEngine`], [`DbError::File`], [`DbError::Open`].
    pub async fn open(config: DbConfig) -> Result<Db, DbError> {
        let handle = match config {
            DbConfig::Sqlite { path } => Handle::Sqlite(Arc::new(Sqlite::open(&path).await?)),
            DbConfig::Memory => Handle::Sqlite(Arc::new(Sqlite::open_scratch().await?)),
            DbConfig::Url(url) => Handle::Server(Server::open(&url).await?),
        };
        Ok(Db(handle))
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match &self.0 {
            Handle::Sqlite(_) => Engine::Sqlite,
            Handle::Server(server) => server.engine(),
        }
    }

    /// Makes or upgrades the tables; does nothing if they are up to date. Several processes may do it at once.
    ///
    /// # Errors
    /// [`DbError::NewerSchema`], [`DbError::OlderSchema`], [`DbError::SchemaBusy`], [`DbError::Statement`].
    pub async fn migrate(&self) -> Result<(), DbError> {
        migrate::migrate(self).await
    }

    /// Runs one transaction; answers when it is committed and synced. `work` may run again, so it must have no effects
    /// outside the database. An error of `work` undoes all it did.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Database`] if the transaction cannot be begun or committed.
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll does not stop the work, unless it still waits for a place in the queue
    /// of SQLite's writer.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Error>> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        match &self.0 {
            Handle::Sqlite(sqlite) => sqlite.write(work).await,
            Handle::Server(server) => server.write(work).await,
        }
    }

    /// A connection whose end frees the named locks that it has taken; none on SQLite.
    ///
    /// # Errors
    /// [`DbError::Connection`].
    pub(super) async fn lock_connection(&self) -> Result<Option<Tx>, DbError> {
        match &self.0 {
            Handle::Sqlite(_) => Ok(None),
            Handle::Server(server) => server.lock_connection().await.map(Some),
        }
    }

    /// How busy it is.
    #[must_use]
    pub fn load(&self) -> DbLoad {
        match &self.0 {
            Handle::Sqlite(sqlite) => sqlite.load(),
            Handle::Server(server) => server.load(),
        }
    }

    /// A connection that reads, outside of a transaction: each statement sees the newest committed state.
    ///
    /// # Errors
    /// [`DbError::Connection`].
    pub async fn reader(&self) -> Result<Tx, DbError> {
        match &self.0 {
            Handle::Sqlite(sqlite) => sqlite.reader().await,
            Handle::Server(server) => server.reader().await,
        }
    }
}
