//! What every engine must do alike.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::sync::Barrier;

use super::engines::for_each_engine;
use crate::{
    Error,
    meta::{Db, DbConfig, Engine, Sql, Tx, Value, settings, sql::sql},
};

const CHECKSUMS: Sql = sql("select fid, hashtype, checksum from checksum order by fid limit 10");
const ADD_CHECKSUMS: Sql = sql("insert into checksum (fid, hashtype, checksum) values (…)");
const CHECKSUMS_OF: Sql = sql("select fid from checksum where hashtype = ? and fid in (…) order by fid");

async fn set_and_fail(tx: &mut Tx) -> Result<(), Error> {
    settings::set(tx, "colour", "green").await?;
    Err(Error::Busy)
}

#[tokio::test]
async fn a_setting_that_was_set_is_read_back_by_readers() {
    for_each_engine(async |db| {
        db.write(|tx| Box::pin(async move { Ok(settings::set(tx, "colour", "red").await?) }))
            .await
            .unwrap();
        db.write(|tx| Box::pin(async move { Ok(settings::set(tx, "colour", "grün 💚").await?) }))
            .await
            .unwrap();

        let mut reader = db.reader().await.unwrap();
        assert_eq!(
            settings::value_of(&mut reader, "colour")
                .await
                .unwrap()
                .as_deref(),
            Some("grün 💚")
        );
        assert_eq!(settings::value_of(&mut reader, "shape").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_command_that_fails_leaves_nothing_behind() {
    for_each_engine(async |db| {
        let failed = db.write(|tx| Box::pin(set_and_fail(tx))).await;

        assert!(matches!(failed, Err(Error::Busy)));
        let mut reader = db.reader().await.unwrap();
        assert_eq!(settings::value_of(&mut reader, "colour").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn lists_of_rows_are_written_and_lists_of_numbers_are_found() {
    for_each_engine(async |db| {
        let changed = db
            .write(|tx| {
                Box::pin(async move {
                    let args: Vec<Value> = (1..=3_u32)
                        .flat_map(|fid| [fid.into(), 1_u8.into(), Value::from(vec![0_u8, 255])])
                        .collect();
                    let none = tx.run_list(&ADD_CHECKSUMS, 0, Vec::new()).await?;
                    Ok((none, tx.run_list(&ADD_CHECKSUMS, 3, args).await?))
                })
            })
            .await
            .unwrap();

        let mut reader = db.reader().await.unwrap();
        let rows = reader.rows(&CHECKSUMS, Vec::new()).await.unwrap();
        let found = reader
            .rows_list(
                &CHECKSUMS_OF,
                3,
                vec![1_u8.into(), 3_u32.into(), 2_u32.into(), 9_u32.into()],
            )
            .await
            .unwrap();
        assert_eq!(changed, (0, 3));
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2].int(0).unwrap(), 3);
        assert_eq!(rows[2].bytes(2).unwrap(), [0, 255]);
        assert_eq!(
            found.iter().map(|row| row.int(0).unwrap()).collect::<Vec<_>>(),
            [2, 3]
        );
    })
    .await;
}

const ADD_DOMAIN: Sql = sql("insert into domain (dmid, namespace) values (?, ?)");
const DOMAINS: Sql = sql("select dmid from domain order by dmid limit 1000");

/// Adds a domain; every third command fails after it has written, every seventh panics.
async fn add_or_fail(tx: &mut Tx, number: u16) -> Result<u16, Error> {
    tx.run(&ADD_DOMAIN, vec![number.into(), format!("d{number}").into()])
        .await?;
    assert!(!number.is_multiple_of(7), "the command panics as the test wants");
    if number.is_multiple_of(3) {
        Err(Error::Busy)
    } else {
        Ok(number)
    }
}

async fn domains(db: &Db) -> Vec<u16> {
    let rows = db
        .reader()
        .await
        .unwrap()
        .rows(&DOMAINS, Vec::new())
        .await
        .unwrap();
    rows.iter()
        .map(|row| u16::try_from(row.int(0).unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn of_many_commands_at_once_each_does_all_or_nothing_and_is_told_so() {
    for_each_engine(async |db| {
        let commands = (1..=200_u16).map(|number| {
            let db = db.clone();
            tokio::spawn(async move { db.write(move |tx| Box::pin(add_or_fail(tx, number))).await })
        });
        let answers = futures_util::future::join_all(commands).await;

        let told: Vec<u16> = answers
            .into_iter()
            .filter_map(|answer| answer.unwrap().ok())
            .collect();
        let expected: Vec<u16> = (1..=200)
            .filter(|number: &u16| !number.is_multiple_of(3) && !number.is_multiple_of(7))
            .collect();
        assert_eq!(told, expected);
        assert_eq!(domains(&db).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_command_is_done_though_its_caller_went_away() {
    for_each_engine(async |db| {
        let mut write = Box::pin(db.write(|tx| Box::pin(add_or_fail(tx, 1))));
        assert!(futures_util::poll!(write.as_mut()).is_pending());
        drop(write);

        while domains(&db).await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_answered_is_there_for_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let config = DbConfig::Sqlite {
        path: folder.path().join("mogul.sqlite"),
    };
    let db = Db::open(config.clone()).await.unwrap();
    db.migrate().await.unwrap();
    db.write(|tx| Box::pin(add_or_fail(tx, 1))).await.unwrap();

    // The first handle is still open: nothing was closed or checkpointed in between.
    let next = Db::open(config).await.unwrap();

    assert_eq!(domains(&next).await, [1]);
}

#[tokio::test]
async fn a_number_that_no_engine_can_hold_is_refused() {
    for_each_engine(async |db| {
        let args = || vec![Value::from(u64::MAX), Value::from("x")];
        let refused = db
            .write(move |tx| Box::pin(async move { Ok(tx.run(&ADD_DOMAIN, args()).await?) }))
            .await;

        assert!(matches!(refused, Err(Error::Database(source)) if source.to_string().contains("too large")));
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_error_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mogul.sqlite");
    std::fs::write(&path, "these are not the pages of a database, ".repeat(100)).unwrap();

    let opened = Db::open(DbConfig::Sqlite { path: path.clone() }).await;

    assert!(opened.is_err());
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("these are not")
    );
    assert!(
        Db::open(DbConfig::Url("oracle://somewhere/else".to_owned()))
            .await
            .is_err()
    );
}

const RENAME: Sql = sql("update domain set namespace = ? where dmid = ?");

#[tokio::test]
async fn a_transaction_that_lost_a_deadlock_runs_again_and_succeeds() {
    for_each_engine(async |db| {
        if db.engine() == Engine::Sqlite {
            // Its commands run one after the other: there is nothing to lose.
            return;
        }
        for number in [1, 2] {
            db.write(move |tx| Box::pin(add_or_fail(tx, number)))
                .await
                .unwrap();
        }
        let both_hold_one = Arc::new(Barrier::new(2));
        let rename = |first: u16, second: u16| {
            let (both_hold_one, runs) = (both_hold_one.clone(), Arc::new(AtomicU32::new(0)));
            db.write(move |tx| {
                let (both_hold_one, runs) = (both_hold_one.clone(), runs.clone());
                Box::pin(async move {
                    tx.run(&RENAME, vec![format!("{first} by {first}").into(), first.into()])
                        .await?;
                    if runs.fetch_add(1, Ordering::Relaxed) == 0 {
                        both_hold_one.wait().await;
                    }
                    tx.run(
                        &RENAME,
                        vec![format!("{second} by {first}").into(), second.into()],
                    )
                    .await?;
                    Ok(runs.load(Ordering::Relaxed))
                })
            })
        };

        let (one, other) = tokio::join!(rename(1, 2), rename(2, 1));

        // One has lost, and more than once if the winner was slow to take what it had won.
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one + other >= 3, "{one} {other}");
    })
    .await;
}
