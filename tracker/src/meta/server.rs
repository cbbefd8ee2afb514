//! A database server, PostgreSQL, MariaDB or MySQL: a pool of connections, a transaction for each command.
//!
//! # Isolation
//! SQLite's commands run one after the other. These engines run them at the same time, at READ COMMITTED: stricter levels
//! refuse harmless neighbours (PostgreSQL) or lock the gaps between keys (MySQL). So a command that must not lose a race
//! says so in its statements: it locks the row it decides on (`for update`), counts the rows it changed, or inserts under
//! a unique key. A transaction that lost (deadlock, serialization failure, duplicate key) runs again and sees what the
//! winner did.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::{
    ConnectOptions, Connection as _, Executor as _, MySqlPool, PgPool, Transaction,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    db::DbLoad,
    error::{DbError, Remedy},
    reach::{Knock, Reach},
    sql::Engine,
    tx::{Connection, Tx},
};
use crate::Error;

/// A server; clones share its connections.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// Whether it answers.
    reach: Reach,
    /// For all work.
    work: Pool,
    /// For named locks ([`super::lock`]): who holds one has the connection for as long, and keeps nobody from working.
    locks: Pool,
}

/// A pool of connections to a server.
#[derive(Debug, Clone)]
enum Pool {
    /// PostgreSQL.
    Postgres(PgPool),
    /// MariaDB or MySQL.
    MySql(MySqlPool),
}

/// Connections of one process to a server.
const CONNECTIONS_MAX: u32 = 32;

/// Connections of one process that hold locks: each step of a job has one, or one for each file that it works on.
const LOCK_CONNECTIONS_MAX: u32 = 16;

/// How long to wait for one of them: those who have them are copying files.
const LOCK_PATIENCE: Duration = Duration::from_mins(5);

/// How long a server may take to answer when the process starts.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Statements that a connection keeps prepared: more than we have, and the lengths of short lists.
const PREPARED_MAX: usize = 512;

/// How often a transaction that lost a race runs again.
const RETRIES_MAX: u32 = 5;

/// How long it waits before that for the first time, then each time twice as long. The winner of a deadlock on PostgreSQL has to
/// wake up before it has the row that it won: a loser that is back at once takes the row from under it, and the two are in the
/// same deadlock again.
const PAUSE: Duration = Duration::from_millis(10);

impl Server {
    /// Connects to a server by URL.
    pub(super) async fn open(url: &str) -> Result<Server, DbError> {
        match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => open_postgres(url).await,
            Some(("mysql", _)) => open_mysql(url).await,
            Some(("mariadb", rest)) => open_mysql(&["mysql://", rest].concat()).await,
            Some(_) | None => Err(DbError::UnknownEngine),
        }
    }

    /// The engine.
    pub(super) fn engine(&self) -> Engine {
        match self.work {
            Pool::Postgres(_) => Engine::Postgres,
            Pool::MySql(_) => Engine::MySql,
        }
    }

    /// How busy the pool is.
    pub(super) fn load(&self) -> DbLoad {
        let (connections, idle) = match &self.work {
            Pool::Postgres(pool) => (pool.size(), pool.num_idle()),
            Pool::MySql(pool) => (pool.size(), pool.num_idle()),
        };
        DbLoad {
            connections: u64::from(connections),
            idle: u64::try_from(idle).unwrap_or(u64::MAX),
            waiting: 0,
        }
    }

    /// A connection that reads: see [`super::Db::reader`].
    pub(super) async fn reader(&self) -> Result<Tx, DbError> {
        self.reach.within(Box::pin(self.work.acquire())).await
    }

    /// A connection for locks; it waits while all are in use.
    pub(super) async fn lock_connection(&self) -> Result<Tx, DbError> {
        self.reach.within(Box::pin(self.locks.acquire())).await
    }

    /// Runs one transaction: see [`super::Db::write`].
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Error>> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        // A task of its own, so that a caller that goes away does not cut a transaction in the middle.
        let server = self.clone();
        let transaction = tokio::spawn(async move { server.transact(&work).await });
        match transaction.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(DbError::Panicked.into()),
            Err(_) => Err(DbError::Closed.into()),
        }
    }

    /// A transaction, again if it lost a race.
    async fn transact<T>(
        &self,
        work: &(impl for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Error>> + Sync),
    ) -> Result<T, Error> {
        let mut retries = 0;
        loop {
            let error = match self.attempt(work).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if retries == RETRIES_MAX || remedy(&error) == Remedy::Report {
                return Err(error);
            }
            pause(PAUSE.saturating_mul(1 << retries)).await;
            retries += 1;
            tracing::debug!(retries, %error, "a transaction lost a race and runs again");
        }
    }

    async fn attempt<T>(
        &self,
        work: &(impl for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Error>> + Sync),
    ) -> Result<T, Error> {
        let mut tx = self.begin().await?;
        match work(&mut tx).await {
            Ok(done) => {
                tx.commit().await.map_err(|source| DbError::Statement {
                    sql: "commit",
                    source,
                })?;
                Ok(done)
            }
            Err(error) => {
                // Waited for, so that its locks are free when it runs again.
                if let Err(lost) = tx.rollback().await {
                    tracing::debug!(error = %lost, "the connection went, and the transaction with it");
                }
                Err(error)
            }
        }
    }

    async fn begin(&self) -> Result<Tx, DbError> {
        let connection = self.reach.within(Box::pin(self.work.acquire())).await?;
        // Outside of that: a beginning that was cut off would leave its transaction on a connection that serves others.
        let begun = match connection.0 {
            Connection::Postgres(connection) => {
                let transaction = Transaction::begin(connection, None).await;
                transaction.map(Connection::PostgresTransaction)
            }
            Connection::MySql(connection) => {
                let transaction = Transaction::begin(connection, None).await;
                transaction.map(Connection::MySqlTransaction)
            }
            begun @ (Connection::SqliteWriter(_)
            | Connection::Sqlite(_)
            | Connection::PostgresTransaction(_)
            | Connection::MySqlTransaction(_)) => Ok(begun),
        };
        begun.map(Tx).map_err(DbError::Connection)
    }
}

impl Pool {
    async fn acquire(&self) -> Result<Tx, sqlx::Error> {
        let connection = match self {
            Pool::Postgres(pool) => pool.acquire().await.map(Connection::Postgres),
            Pool::MySql(pool) => pool.acquire().await.map(Connection::MySql),
        };
        connection.map(Tx)
    }
}

/// The same, again and again.
fn knock<O>(options: O) -> Knock
where
    O: ConnectOptions,
    O::Connection: Sized,
{
    Arc::new(move || Box::pin(knocked(options.clone())))
}

/// The same, once, for who starts: a server that takes the connection and says nothing is not waited for any longer.
async fn knocked_in_time<O>(options: O) -> Result<(), DbError>
where
    O: ConnectOptions,
    O::Connection: Sized,
{
    tokio::select! {
        knocked = knocked(options) => knocked.map_err(DbError::Open),
        () = pause(START_PATIENCE) => Err(DbError::Gone),
    }
}

/// Connects anew and hangs up: what tells a server that is gone from one that is busy.
async fn knocked<O>(options: O) -> Result<(), sqlx::Error>
where
    O: ConnectOptions,
    O::Connection: Sized,
{
    options.connect().await?.close().await
}

#[expect(
    clippy::disallowed_methods,
    reason = "this lets a database server come to its senses; no simulated clock drives one"
)]
pub(super) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// What to do about a command's error.
fn remedy(error: &Error) -> Remedy {
    let Error::Database(source) = error else {
        return Remedy::Report;
    };
    source.downcast_ref().map_or(Remedy::Report, DbError::remedy)
}

async fn open_postgres(url: &str) -> Result<Server, DbError> {
    let options = url
        .parse::<PgConnectOptions>()
        .map_err(DbError::Open)?
        .application_name("mogul")
        .statement_cache_capacity(PREPARED_MAX)
        .disable_statement_logging();
    let locks = PgPoolOptions::new()
        .max_connections(LOCK_CONNECTIONS_MAX)
        .acquire_timeout(LOCK_PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // A machine that is gone closes nothing: the server has to ask.
                connection
                    .execute(
                        "set tcp_keepalives_idle = 60; set tcp_keepalives_interval = 15; \
                         set tcp_keepalives_count = 4",
                    )
                    .await?;
                Ok(())
            })
        })
        .connect_lazy_with(options.clone());
    // A pool would take a server that refuses for one that is starting, and wait.
    knocked_in_time(options.clone()).await?;
    let reach = Reach::new(knock(options.clone()));
    let work = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .connect_with(options)
        .await
        .map_err(DbError::Open)?;
    Ok(Server {
        reach,
        work: Pool::Postgres(work),
        locks: Pool::Postgres(locks),
    })
}

async fn open_mysql(url: &str) -> Result<Server, DbError> {
    let options = url
        .parse::<MySqlConnectOptions>()
        .map_err(DbError::Open)?
        .charset("utf8mb4")
        .statement_cache_capacity(PREPARED_MAX)
        .disable_statement_logging();
    let locks = MySqlPoolOptions::new()
        .max_connections(LOCK_CONNECTIONS_MAX)
        .acquire_timeout(LOCK_PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("set session wait_timeout = 300").await?;
                Ok(())
            })
        })
        .connect_lazy_with(options.clone());
    // A pool would take a server that refuses for one that is starting, and wait.
    knocked_in_time(options.clone()).await?;
    let reach = Reach::new(knock(options.clone()));
    let work = MySqlPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute("set session transaction isolation level read committed")
                    .await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .map_err(DbError::Open)?;
    Ok(Server {
        reach,
        work: Pool::MySql(work),
        locks: Pool::MySql(locks),
    })
}
