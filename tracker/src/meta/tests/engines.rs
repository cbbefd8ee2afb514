//! The engines that tests run on: SQLite always, PostgreSQL and MariaDB where they are.
//!
//! `integration/databases.sh start` prints the variables that say where. Tests outside of this crate's sources include this
//! file with `#[path]`.

use std::sync::atomic::{AtomicU32, Ordering};

use mogul_tracker::meta::{Db, DbConfig};
use sqlx::{Connection as _, Executor as _};

/// Runs a test on a fresh, migrated database of every engine. Where an engine is not there the test passes without it,
/// unless `CI` is set.
pub(crate) async fn for_each_engine(test: impl AsyncFn(Db)) {
    eprintln!("on SQLite");
    let db = Db::open(DbConfig::Memory).await.unwrap();
    db.migrate().await.unwrap();
    test(db).await;
    for variable in ["MOGUL_TEST_POSTGRES_URL", MYSQL] {
        // Named locks belong to the server (`meta/lock.rs`): two tests at once would keep each other from files of one number.
        let _turn = match variable {
            MYSQL => Some(TURN.lock().await),
            _ => None,
        };
        let Some(database) = Scratch::make(variable).await else {
            continue;
        };
        eprintln!("on {}", database.url);
        let db = Db::open(DbConfig::Url(database.url.clone())).await.unwrap();
        db.migrate().await.unwrap();
        test(db).await;
        database.remove().await;
    }
}

/// A database of its own on a server.
pub(crate) struct Scratch {
    /// Where it is.
    pub(crate) url: String,
    server: String,
    name: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

const MYSQL: &str = "MOGUL_TEST_MYSQL_URL";

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Scratch {
    /// Makes an empty database on the server that the variable names; `None` if there is no such server.
    ///
    /// # Panics
    /// If `CI` is set and the variable is not: a suite that skips engines in silence proves nothing.
    pub(crate) async fn make(variable: &str) -> Option<Scratch> {
        let Ok(server) = std::env::var(variable) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "{variable} is not set: run integration/databases.sh start"
            );
            return None;
        };
        let name = format!(
            "mogul_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        run(&server, format!("drop database if exists {name}")).await;
        let charset = if server.starts_with("mysql") {
            " character set utf8mb4"
        } else {
            ""
        };
        run(&server, format!("create database {name}{charset}")).await;
        let (base, _) = server.rsplit_once('/').unwrap();
        Some(Scratch {
            url: format!("{base}/{name}"),
            server,
            name,
        })
    }

    /// Removes it; connections to it are cut.
    pub(crate) async fn remove(self) {
        let force = if self.server.starts_with("mysql") {
            ""
        } else {
            " with (force)"
        };
        run(&self.server, format!("drop database {}{force}", self.name)).await;
    }
}

async fn run(server: &str, statement: String) {
    let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
    if server.starts_with("mysql") {
        let mut connection = sqlx::MySqlConnection::connect(server).await.unwrap();
        connection.execute(statement).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
        connection.execute(statement).await.unwrap();
    }
}
