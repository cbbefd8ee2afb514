//! The tables: MogileFS's are MogileFS's, and the three folders of migrations say the same.

use std::{collections::BTreeMap, path::Path};

use super::engines::{Scratch, for_each_engine};
use crate::meta::{Db, DbConfig, DbError, Engine, Sql, settings, sql::sql};

/// The columns of MogileFS's tables on MySQL, PostgreSQL and SQLite, read from databases that its mogdbsetup 2.73 made
/// (schema version 17); `dkey` is as fresh databases of ours have it.
const MOGILEFS: &str = include_str!("mogilefs_schema.txt");

const COLUMNS: Sql = sql("select cast(c.relname as text), cast(a.attname as text), format_type(a.atttypid, a.atttypmod), \
     a.attnotnull, pg_get_expr(d.adbin, d.adrelid) from pg_class c join pg_attribute a on a.attrelid = c.oid \
     left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum \
     where c.relnamespace = cast(current_schema() as regnamespace) and c.relkind = 'r' and a.attnum > 0 \
     order by c.relname, a.attnum limit 1000")
.sqlite("select m.name, p.name, p.type, p.\"notnull\", p.dflt_value from sqlite_master m join pragma_table_info(m.name) p \
     where m.type = 'table' and m.name not like 'sqlite%' order by m.name, p.cid limit 1000")
.mysql("select table_name, column_name, column_type, is_nullable = 'NO', column_default from information_schema.columns \
     where table_schema = database() order by table_name, ordinal_position limit 1000");

/// Name and type of each column of each table, in order.
type Tables = BTreeMap<String, Vec<(String, String)>>;

async fn tables(db: &Db) -> Tables {
    let mut tables = Tables::new();
    let rows = db
        .reader()
        .await
        .unwrap()
        .rows(&COLUMNS, Vec::new())
        .await
        .unwrap();
    for row in rows {
        let required = if row.int(3).unwrap() == 1 { " not null" } else { "" };
        let default = row.opt_text(4).unwrap().filter(|text| text != "NULL");
        let default = default.map_or_else(String::new, |text| format!(" default {text}"));
        let kind = format!("{}{required}{default}", row.text(2).unwrap());
        tables
            .entry(row.text(0).unwrap())
            .or_default()
            .push((row.text(1).unwrap(), kind));
    }
    tables
}

/// What MogileFS's tables must be on an engine.
fn mogilefs_tables(engine: Engine) -> Tables {
    let mut tables = Tables::new();
    let mut table = String::new();
    for line in MOGILEFS.lines() {
        let Some(columns) = line.strip_prefix("    ") else {
            line.clone_into(&mut table);
            continue;
        };
        let columns: Vec<&str> = columns.split(" | ").collect();
        let kind = match engine {
            Engine::MySql => columns[1],
            Engine::Postgres => columns[2],
            Engine::Sqlite => columns[3],
        };
        if kind != "-" {
            let column = (columns[0].to_owned(), kind.to_owned());
            tables.entry(table.clone()).or_default().push(column);
        }
    }
    tables
}

/// One spelling for what says the same: display widths and generators are left out.
fn plain(kind: &str) -> String {
    let mut kind = kind.to_lowercase();
    for (from, to) in [
        (" unsigned", " u"),
        ("character varying", "varchar"),
        ("'0'::smallint", "0"),
        ("default '0'", "default 0"),
        (" pk autoincrement", ""),
        (" pk", ""),
        (" auto_increment", ""),
    ] {
        kind = kind.replace(from, to);
    }
    for integer in ["bigint", "mediumint", "smallint", "tinyint", "int"] {
        if let Some(rest) = kind.strip_prefix(&format!("{integer}(")) {
            let (_, rest) = rest.split_once(')').unwrap();
            kind = format!("{integer}{rest}");
        }
    }
    kind
}

#[tokio::test]
async fn mogilefs_tables_have_mogilefs_columns() {
    for_each_engine(async |db| {
        let found = tables(&db).await;
        for (table, expected) in mogilefs_tables(db.engine()) {
            let spelled = |columns: &[(String, String)]| -> Vec<String> {
                columns
                    .iter()
                    .map(|(name, kind)| format!("{table}.{name} {}", plain(kind)))
                    .collect()
            };
            assert_eq!(spelled(&found[&table]), spelled(&expected));
        }
    })
    .await;
}

#[tokio::test]
async fn every_engine_has_the_same_tables_and_columns() {
    let names = |tables: Tables| -> BTreeMap<String, Vec<String>> {
        tables
            .into_iter()
            .filter(|(table, _)| table != "lock")
            .map(|(table, columns)| (table, columns.into_iter().map(|(name, _)| name).collect()))
            .collect()
    };
    let sqlite = Db::open(DbConfig::Memory).await.unwrap();
    sqlite.migrate().await.unwrap();
    let expected = names(tables(&sqlite).await);

    for_each_engine(async |db| assert_eq!(names(tables(&db).await), expected)).await;
}

#[test]
fn every_migration_is_there_for_every_engine() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let files = |engine: &str| {
        let mut names: Vec<_> = std::fs::read_dir(folder.join(engine))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };

    assert_eq!(files("postgres"), files("sqlite"));
    assert_eq!(files("mysql"), files("sqlite"));
}

#[tokio::test]
async fn migrating_again_changes_nothing_and_says_both_versions() {
    for_each_engine(async |db| {
        let before = tables(&db).await;

        db.migrate().await.unwrap();

        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/sqlite");
        let changes = std::fs::read_dir(folder).unwrap().count().to_string();
        let mut reader = db.reader().await.unwrap();
        assert_eq!(
            settings::value_of(&mut reader, "schema_version")
                .await
                .unwrap()
                .as_deref(),
            Some("17")
        );
        assert_eq!(
            settings::value_of(&mut reader, "mogul_schema_version")
                .await
                .unwrap()
                .as_deref(),
            Some(changes.as_str())
        );
        assert_eq!(tables(&db).await, before);
    })
    .await;
}

/// Sets a setting and migrates.
async fn migrate_with(db: &Db, field: &'static str, value: &'static str) -> Result<(), DbError> {
    db.write(move |tx| Box::pin(async move { Ok(settings::set(tx, field, value).await?) }))
        .await
        .unwrap();
    db.migrate().await
}

#[tokio::test]
async fn a_newer_database_is_refused_with_what_to_do() {
    for_each_engine(async |db| {
        let ours = migrate_with(&db, "mogul_schema_version", "999")
            .await
            .unwrap_err();
        assert!(matches!(ours, DbError::NewerSchema { found: 999, .. }), "{ours}");
        assert!(ours.to_string().contains("start a newer mogul"));

        let theirs = migrate_with(&db, "schema_version", "18").await.unwrap_err();
        assert!(matches!(
            theirs,
            DbError::NewerSchema {
                setting: "schema_version",
                found: 18,
                known: 17
            }
        ));

        let older = migrate_with(&db, "schema_version", "14").await.unwrap_err();
        assert!(matches!(older, DbError::OlderSchema(14)));
    })
    .await;
}

/// The tables of hosts as MogileFS had them before version 17.
const OLD_HOSTS: Sql = sql("select 1")
    .postgres(
        "alter table host drop constraint status, \
         add constraint status check (status in ('alive', 'dead', 'down'))",
    )
    .mysql("alter table host modify column status enum('alive', 'dead', 'down')");
const READONLY_HOST: Sql =
    sql("insert into host (hostid, status, hostname, hostip) values (1, 'readonly', 'h', '127.0.0.1')");

#[tokio::test]
async fn a_database_of_a_mogilefs_before_hosts_could_be_readonly_is_upgraded() {
    for version in ["15", "16"] {
        for_each_engine(async |db| {
            db.write(|tx| Box::pin(async move { Ok(tx.rows(&OLD_HOSTS, vec![]).await?) }))
                .await
                .unwrap();

            migrate_with(&db, "schema_version", version).await.unwrap();

            db.write(|tx| Box::pin(async move { Ok(tx.run(&READONLY_HOST, vec![]).await?) }))
                .await
                .unwrap();
            let mut reader = db.reader().await.unwrap();
            let now = settings::value_of(&mut reader, "schema_version").await.unwrap();
            assert_eq!(now.as_deref(), Some("17"));
        })
        .await;
    }
}

#[tokio::test]
async fn processes_that_migrate_at_the_same_time_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mogul.sqlite");
    let sqlite = || async { Db::open(DbConfig::Sqlite { path: path.clone() }).await.unwrap() };
    migrate_together([sqlite().await, sqlite().await]).await;

    for variable in ["MOGUL_TEST_POSTGRES_URL", "MOGUL_TEST_MYSQL_URL"] {
        let Some(database) = Scratch::make(variable).await else {
            continue;
        };
        let server = || async { Db::open(DbConfig::Url(database.url.clone())).await.unwrap() };
        migrate_together([server().await, server().await]).await;
        database.remove().await;
    }
}

async fn migrate_together([one, other]: [Db; 2]) {
    let (first, second) = tokio::join!(one.migrate(), other.migrate());

    first.unwrap();
    second.unwrap();
    assert!(tables(&one).await.contains_key("mogul_object"));
}
