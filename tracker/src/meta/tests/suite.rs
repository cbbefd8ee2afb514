//! What every engine must do alike.

use super::engines::for_each_engine;
use crate::{
    Error,
    meta::{Sql, Tx, Value, settings, sql::sql},
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
