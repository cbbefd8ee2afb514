//! Makes and upgrades the tables, from the numbered files in `migrations/`.
//!
//! `server_settings` says how far a database is: `schema_version` is MogileFS's own (17), `mogul_schema_version` the number
//! of our last file that was applied. Each file is one transaction where the engine can do that; MySQL commits each
//! statement, so a file may be repeated after a crash and its statements are written to bear it.
//! A database that MogileFS made is adopted: its tables are there already and stay as they are.

use super::{
    db::Db,
    error::DbError,
    settings,
    sql::{Engine, Sql, sql},
    tx::Tx,
};
use crate::{Error, command::settings::AUTO_DEAD_AFTER};

/// Seconds after which the devices of a new cluster are absent that stay away: longer than a machine takes to be started again.
const AUTO_DEAD_AFTER_SECONDS: &str = "3600";

/// The version of MogileFS's tables that mogul works on.
const MOGILEFS_VERSION: i64 = 17;

/// The versions that lack nothing but hosts in state `readonly` (mogilefs.md §17.1).
const WITHOUT_READONLY_HOSTS: std::ops::RangeInclusive<i64> = 15..=16;
const READONLY_HOSTS_POSTGRES: &str = "alter table host drop constraint if exists status; \
     alter table host add constraint status check (status in ('alive', 'dead', 'down', 'readonly'))";
const READONLY_HOSTS_MYSQL: &str =
    "alter table host modify column status enum('alive', 'dead', 'down', 'readonly')";

/// Where MogileFS records its version.
const MOGILEFS_SETTING: &str = "schema_version";

/// Where mogul records its own.
const MOGUL_SETTING: &str = "mogul_schema_version";

/// One change, in three dialects; its number is its place in [`MIGRATIONS`], counted from 1.
struct Migration {
    sqlite: &'static str,
    postgres: &'static str,
    mysql: &'static str,
}

/// Reads the file of that name from each engine's folder.
macro_rules! migration {
    ($name:literal) => {
        Migration {
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name)),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name)),
            mysql: include_str!(concat!("../../../migrations/mysql/", $name)),
        }
    };
}

const MIGRATIONS: &[Migration] = &[
    migration!("0001_mogilefs.sql"),
    migration!("0002_mogul.sql"),
    migration!("0003_tokens.sql"),
    migration!("0004_digests.sql"),
    migration!("0005_absent.sql"),
    migration!("0006_marks.sql"),
    migration!("0007_scrub.sql"),
];

/// Makes or upgrades the tables: see [`Db::migrate`].
pub(super) async fn migrate(db: &Db) -> Result<(), DbError> {
    let migrated = db
        .write(|tx| {
            Box::pin(async move {
                lock(tx).await?;
                let applied = apply_missing(tx).await;
                // The reason comes first: PostgreSQL refuses the unlocking too when a statement has failed.
                let unlocked = unlock(tx).await;
                applied?;
                unlocked.map_err(Error::from)
            })
        })
        .await;
    migrated.map_err(|error| {
        let Error::Database(source) = error else {
            return DbError::Transaction(error.to_string());
        };
        source
            .downcast()
            .map_or_else(|other| DbError::Transaction(other.to_string()), |error| *error)
    })
}

/// Applies what is missing and records it.
async fn apply_missing(tx: &mut Tx) -> Result<(), DbError> {
    let known = i64::try_from(MIGRATIONS.len()).expect("a handful of migrations");
    let fresh = is_empty(tx).await?;
    if !fresh {
        upgrade_mogilefs(tx).await?;
    }
    let applied = applied(tx).await?;
    if applied > known {
        return Err(DbError::NewerSchema {
            setting: MOGUL_SETTING,
            found: applied,
            known,
        });
    }
    for (number, migration) in (1..=known)
        .zip(MIGRATIONS)
        .filter(|(number, _)| *number > applied)
    {
        tx.script(match tx.engine() {
            Engine::Sqlite => migration.sqlite,
            Engine::Postgres => migration.postgres,
            Engine::MySql => migration.mysql,
        })
        .await?;
        settings::set(tx, MOGUL_SETTING, &number.to_string()).await?;
        tracing::info!(number, "the schema was migrated");
    }
    if applied < known {
        settings::set(tx, MOGILEFS_SETTING, &MOGILEFS_VERSION.to_string()).await?;
    }
    if fresh {
        // A cluster that MogileFS has begun is used to waiting for its operator.
        settings::set(tx, AUTO_DEAD_AFTER, AUTO_DEAD_AFTER_SECONDS).await?;
    }
    Ok(())
}

/// Brings a database of an earlier MogileFS to the version that mogul works on, as its own mogdbsetup would.
async fn upgrade_mogilefs(tx: &mut Tx) -> Result<(), DbError> {
    let found = number(tx, MOGILEFS_SETTING).await?;
    let Some(found) = found.filter(|found| WITHOUT_READONLY_HOSTS.contains(found)) else {
        return Ok(());
    };
    match tx.engine() {
        Engine::Sqlite => {}
        Engine::Postgres => tx.script(READONLY_HOSTS_POSTGRES).await?,
        Engine::MySql => tx.script(READONLY_HOSTS_MYSQL).await?,
    }
    settings::set(tx, MOGILEFS_SETTING, &MOGILEFS_VERSION.to_string()).await?;
    tracing::info!(found, to = MOGILEFS_VERSION, "MogileFS's tables were upgraded");
    Ok(())
}

const SETTINGS_TABLES: Sql = sql("select count(*) from information_schema.tables \
     where table_schema = current_schema() and table_name = 'server_settings'")
.sqlite("select count(*) from sqlite_master where type = 'table' and name = 'server_settings'")
.mysql(
    "select count(*) from information_schema.tables \
     where table_schema = database() and table_name = 'server_settings'",
);

/// Whether there are no tables yet.
async fn is_empty(tx: &mut Tx) -> Result<bool, DbError> {
    let tables = tx.rows(&SETTINGS_TABLES, Vec::new()).await?;
    Ok(tables.first().map_or(Ok(0), |row| row.int(0))? == 0)
}

/// The number of our last migration that was applied; 0 in an empty or a foreign database.
///
/// # Errors
/// [`DbError::NewerSchema`] and [`DbError::OlderSchema`] if MogileFS's tables have another version.
async fn applied(tx: &mut Tx) -> Result<i64, DbError> {
    if is_empty(tx).await? {
        return Ok(0);
    }
    let known = MOGILEFS_VERSION;
    match number(tx, MOGILEFS_SETTING).await? {
        Some(found) if found > known => Err(DbError::NewerSchema {
            setting: MOGILEFS_SETTING,
            found,
            known,
        }),
        Some(found) if found < known => Err(DbError::OlderSchema(found)),
        Some(_) | None => Ok(number(tx, MOGUL_SETTING).await?.unwrap_or(0)),
    }
}

/// A setting that is a number.
async fn number(tx: &mut Tx, setting: &'static str) -> Result<Option<i64>, DbError> {
    let Some(value) = settings::value_of(tx, setting).await? else {
        return Ok(None);
    };
    let parsed = value.parse();
    parsed
        .map(Some)
        .map_err(|_| DbError::BadSetting { setting, value })
}

// PostgreSQL's lock ends with the transaction; SQLite's writer is alone with `begin immediate`. MySQL's lock belongs to
// the connection, and ends at the latest with it.
const LOCK: Sql = sql("select 1")
    .postgres("select 1 from (select pg_advisory_xact_lock(hashtext('mogul:migrate'))) held")
    .mysql("select get_lock(concat('mogul:migrate:', database()), 60)");

/// Keeps other processes from changing the schema.
async fn lock(tx: &mut Tx) -> Result<(), DbError> {
    let rows = tx.rows(&LOCK, Vec::new()).await?;
    match rows.first().map_or(Ok(None), |row| row.opt_int(0))? {
        Some(1) => Ok(()),
        Some(_) | None => Err(DbError::SchemaBusy),
    }
}

const UNLOCK: Sql = sql("select 1").mysql("select release_lock(concat('mogul:migrate:', database()))");

/// Lets others change the schema again.
async fn unlock(tx: &mut Tx) -> Result<(), DbError> {
    tx.rows(&UNLOCK, Vec::new()).await.map(drop)
}

catalogue! { SETTINGS_TABLES, LOCK, UNLOCK }
