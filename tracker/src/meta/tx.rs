//! A connection that runs statements: inside a transaction for writers, outside of one for readers.
//!
//! Statements are prepared once for each connection. Lists are the exception: each length is a text of its own.
//! SQLite and PostgreSQL keep the short ones prepared. MySQL gets lists as plain text with the arguments in it, for two
//! reasons. Preparing 6,000 arguments brings 6,000 packets that describe them. And a prepared statement that is not kept
//! is closed by a message without an answer: sqlx 0.9 does not set `TCP_NODELAY` (it has no setting for it), so the
//! kernel holds the next statement back until the server's delayed acknowledgement of that message, 44 ms later
//! (measured on MariaDB 10.11 over loopback: 256 rows took 50 ms, 1.6 ms over the Unix socket).

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, MySql, Postgres, Sqlite, SqliteConnection, Transaction,
    pool::PoolConnection,
};

#[cfg(test)]
use sqlx::SqlSafeStr as _;

use super::{
    error::DbError,
    row::{Raw, Row, Value},
    sql::{Engine, Sql},
};

/// A connection to the database. What writes has one inside a transaction, from [`super::Db::write`]; what only reads may
/// have one without, from [`super::Db::reader`].
pub struct Tx(pub(super) Connection);

/// Whose connection it is.
pub(super) enum Connection {
    /// The one that writes to SQLite; its transactions belong to [`super::writer`].
    SqliteWriter(SqliteConnection),
    /// One of SQLite's readers.
    Sqlite(PoolConnection<Sqlite>),
    /// A reader of PostgreSQL.
    Postgres(PoolConnection<Postgres>),
    /// A transaction of PostgreSQL; rolled back when dropped.
    PostgresTransaction(Transaction<'static, Postgres>),
    /// A reader of MySQL.
    MySql(PoolConnection<MySql>),
    /// A transaction of MySQL; rolled back when dropped.
    MySqlTransaction(Transaction<'static, MySql>),
}

/// A connection by engine.
enum Wire<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut sqlx::PgConnection),
    MySql(&'c mut sqlx::MySqlConnection),
}

/// Lists up to this many items keep their prepared statement; longer ones are rare and each length is a text of its own.
const PREPARED_LIST_MAX: usize = 64;

/// Binds the arguments and runs `$method` (`fetch_all`, `execute`) on whichever connection it is.
macro_rules! on_wire {
    ($wire:expr, $text:expr, $keep:expr, $args:expr, $method:ident, $done:ident) => {
        match $wire {
            Wire::Sqlite(wire) => {
                let query = sqlx::query::<Sqlite>(AssertSqlSafe($text)).persistent($keep);
                bind!(query, $args).$method(wire).await.map($done::sqlite)
            }
            Wire::Postgres(wire) => {
                let query = sqlx::query::<Postgres>(AssertSqlSafe($text)).persistent($keep);
                bind!(query, $args).$method(wire).await.map($done::postgres)
            }
            Wire::MySql(wire) => {
                let query = sqlx::query::<MySql>(AssertSqlSafe($text)).persistent($keep);
                bind!(query, $args).$method(wire).await.map($done::mysql)
            }
        }
    };
}

/// Binds all arguments, each typed even when null.
macro_rules! bind {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for value in $args {
            query = match value {
                Value::Int(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
                Value::Bytes(bytes) => query.bind(bytes),
                Value::TooLarge(number) => return Err(DbError::TooLarge(number)),
            };
        }
        query
    }};
}

impl Tx {
    /// The engine behind the connection.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.0 {
            Connection::SqliteWriter(_) | Connection::Sqlite(_) => Engine::Sqlite,
            Connection::Postgres(_) | Connection::PostgresTransaction(_) => Engine::Postgres,
            Connection::MySql(_) | Connection::MySqlTransaction(_) => Engine::MySql,
        }
    }

    /// Runs a statement that answers with rows; collects them all, so the statement must have its `limit`.
    ///
    /// # Errors
    /// [`DbError::Statement`], [`DbError::WrongArguments`], [`DbError::TooLarge`].
    pub async fn rows(&mut self, sql: &Sql, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        self.ask(sql, 0, args).await
    }

    /// Runs a statement that changes rows; tells how many it changed (matched, on MySQL too; `insert … on duplicate key
    /// update` and `replace` count an existing row twice there).
    ///
    /// # Errors
    /// [`DbError::Statement`], [`DbError::WrongArguments`], [`DbError::TooLarge`].
    pub async fn run(&mut self, sql: &Sql, args: Vec<Value>) -> Result<u64, DbError> {
        self.change(sql, 0, args).await
    }

    /// As [`Tx::rows`], for a statement with a list `(…)` of `tuples` items, all arguments flat and in order. An empty list
    /// answers with nothing and asks nobody.
    ///
    /// # Errors
    /// As [`Tx::rows`], [`DbError::TooManyArguments`].
    pub async fn rows_list(
        &mut self,
        sql: &Sql,
        tuples: usize,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, DbError> {
        match tuples {
            0 => Ok(Vec::new()),
            _ => self.ask(sql, tuples, args).await,
        }
    }

    /// As [`Tx::run`], for a statement with a list `(…)` of `tuples` items, all arguments flat and in order. An empty list
    /// changes nothing and asks nobody.
    ///
    /// # Errors
    /// As [`Tx::run`], [`DbError::TooManyArguments`].
    pub async fn run_list(&mut self, sql: &Sql, tuples: usize, args: Vec<Value>) -> Result<u64, DbError> {
        match tuples {
            0 => Ok(0),
            _ => self.change(sql, tuples, args).await,
        }
    }

    async fn ask(&mut self, sql: &Sql, tuples: usize, args: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let engine = self.engine();
        let rows = match self.wire() {
            Wire::MySql(wire) if tuples > 0 => {
                let text = AssertSqlSafe(sql.spelled_out(tuples, &args)?);
                sqlx::raw_sql(text).fetch_all(wire).await.map(to_rows::mysql)
            }
            wire @ (Wire::Sqlite(_) | Wire::Postgres(_) | Wire::MySql(_)) => {
                let text = sql.rendered(engine, tuples, args.len())?;
                on_wire!(wire, text, tuples <= PREPARED_LIST_MAX, args, fetch_all, to_rows)
            }
        };
        rows.map_err(|source| DbError::Statement {
            sql: sql.written_for(engine),
            source,
        })
    }

    async fn change(&mut self, sql: &Sql, tuples: usize, args: Vec<Value>) -> Result<u64, DbError> {
        let engine = self.engine();
        let changed = match self.wire() {
            Wire::MySql(wire) if tuples > 0 => {
                let text = AssertSqlSafe(sql.spelled_out(tuples, &args)?);
                sqlx::raw_sql(text).execute(wire).await.map(to_count::mysql)
            }
            wire @ (Wire::Sqlite(_) | Wire::Postgres(_) | Wire::MySql(_)) => {
                let text = sql.rendered(engine, tuples, args.len())?;
                on_wire!(wire, text, tuples <= PREPARED_LIST_MAX, args, execute, to_count)
            }
        };
        changed.map_err(|source| DbError::Statement {
            sql: sql.written_for(engine),
            source,
        })
    }

    /// Runs several statements without arguments: migrations, and the writer's `begin` and `commit`.
    pub(super) async fn script(&mut self, text: &'static str) -> Result<(), DbError> {
        let script = sqlx::raw_sql(text);
        let done = match self.wire() {
            Wire::Sqlite(wire) => wire.execute(script).await.map(drop),
            Wire::Postgres(wire) => wire.execute(script).await.map(drop),
            Wire::MySql(wire) => wire.execute(script).await.map(drop),
        };
        done.map_err(|source| DbError::Statement { sql: text, source })
    }

    /// Runs a statement that the server has composed when it was asked `sql`.
    pub(super) async fn composed(&mut self, sql: &Sql, text: String) -> Result<(), DbError> {
        let engine = self.engine();
        let statement = sqlx::raw_sql(AssertSqlSafe(text));
        let done = match self.wire() {
            Wire::Sqlite(wire) => wire.execute(statement).await.map(drop),
            Wire::Postgres(wire) => wire.execute(statement).await.map(drop),
            Wire::MySql(wire) => wire.execute(statement).await.map(drop),
        };
        done.map_err(|source| DbError::Statement {
            sql: sql.written_for(engine),
            source,
        })
    }

    /// Prepares a statement without running it; a list gets two items.
    #[cfg(test)]
    pub(super) async fn prepare(&mut self, sql: &Sql) -> Result<(), DbError> {
        let engine = self.engine();
        let (tuples, args) = sql.sample(engine);
        let text = AssertSqlSafe(sql.rendered(engine, tuples, args)?);
        let done = match self.wire() {
            Wire::Sqlite(wire) => wire.prepare(text.into_sql_str()).await.map(drop),
            Wire::Postgres(wire) => wire.prepare(text.into_sql_str()).await.map(drop),
            Wire::MySql(wire) => wire.prepare(text.into_sql_str()).await.map(drop),
        };
        done.map_err(|source| DbError::Statement {
            sql: sql.written_for(engine),
            source,
        })
    }

    /// Commits a transaction of PostgreSQL or MySQL; does nothing on a connection that has none of its own.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self.0 {
            Connection::PostgresTransaction(transaction) => transaction.commit().await,
            Connection::MySqlTransaction(transaction) => transaction.commit().await,
            Connection::SqliteWriter(_)
            | Connection::Sqlite(_)
            | Connection::Postgres(_)
            | Connection::MySql(_) => Ok(()),
        }
    }

    /// Rolls a transaction of PostgreSQL or MySQL back and waits for it, so that its locks are free when it is run again.
    pub(super) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self.0 {
            Connection::PostgresTransaction(transaction) => transaction.rollback().await,
            Connection::MySqlTransaction(transaction) => transaction.rollback().await,
            Connection::SqliteWriter(_)
            | Connection::Sqlite(_)
            | Connection::Postgres(_)
            | Connection::MySql(_) => Ok(()),
        }
    }

    /// Ends the connection, and whatever the server keeps for it.
    pub(super) fn sever(self) {
        match self.0 {
            Connection::Postgres(connection) => drop(connection.detach()),
            Connection::MySql(connection) => drop(connection.detach()),
            Connection::SqliteWriter(_)
            | Connection::Sqlite(_)
            | Connection::PostgresTransaction(_)
            | Connection::MySqlTransaction(_) => {}
        }
    }

    /// Closes SQLite's writing connection, which checkpoints the write-ahead log if no reader is left.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self.0 {
            Connection::SqliteWriter(connection) => connection.close().await,
            Connection::Sqlite(_)
            | Connection::Postgres(_)
            | Connection::PostgresTransaction(_)
            | Connection::MySql(_)
            | Connection::MySqlTransaction(_) => Ok(()),
        }
    }

    fn wire(&mut self) -> Wire<'_> {
        match &mut self.0 {
            Connection::SqliteWriter(connection) => Wire::Sqlite(connection),
            Connection::Sqlite(connection) => Wire::Sqlite(connection),
            Connection::Postgres(connection) => Wire::Postgres(connection),
            Connection::PostgresTransaction(connection) => Wire::Postgres(connection),
            Connection::MySql(connection) => Wire::MySql(connection),
            Connection::MySqlTransaction(connection) => Wire::MySql(connection),
        }
    }
}

/// Rows of any driver.
mod to_rows {
    use super::{Raw, Row};

    pub(super) fn sqlite(rows: Vec<sqlx::sqlite::SqliteRow>) -> Vec<Row> {
        rows.into_iter().map(|row| Row(Raw::Sqlite(row))).collect()
    }

    pub(super) fn postgres(rows: Vec<sqlx::postgres::PgRow>) -> Vec<Row> {
        rows.into_iter().map(|row| Row(Raw::Postgres(row))).collect()
    }

    pub(super) fn mysql(rows: Vec<sqlx::mysql::MySqlRow>) -> Vec<Row> {
        rows.into_iter().map(|row| Row(Raw::MySql(row))).collect()
    }
}

/// Numbers of changed rows of any driver.
#[expect(
    clippy::needless_pass_by_value,
    reason = "each is called with what the driver gives, as to_rows is"
)]
mod to_count {
    pub(super) fn sqlite(done: sqlx::sqlite::SqliteQueryResult) -> u64 {
        done.rows_affected()
    }

    pub(super) fn postgres(done: sqlx::postgres::PgQueryResult) -> u64 {
        done.rows_affected()
    }

    pub(super) fn mysql(done: sqlx::mysql::MySqlQueryResult) -> u64 {
        done.rows_affected()
    }
}
