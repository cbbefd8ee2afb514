//! Fids in blocks.

use mogul_storage::Fid;

use super::engines::for_each_engine;
use crate::{
    meta::{Db, Sql, fid_blocks, sql::sql},
    model::Timestamp,
};

const OPEN: Sql =
    sql("insert into tempfile (createtime, classid, dmid, dkey, devids) values (1, 0, 1, 'k', '1,2')");
const NEWEST: Sql = sql("select max(fid) from tempfile");
const ADD_FILE: Sql =
    sql("insert into file (fid, dmid, dkey, length, classid, devcount) values (?, 1, 'k', 0, 0, 0)");

async fn reserve(db: &Db, owner: &'static str, count: u32) -> u64 {
    db.write(move |tx| {
        Box::pin(async move { fid_blocks::reserve(tx, owner, count, Timestamp::from_secs(7)).await })
    })
    .await
    .unwrap()
    .get()
}

/// Opens an upload as an original tracker does; answers with its fid.
async fn open(db: &Db) -> u64 {
    db.write(|tx| {
        Box::pin(async move {
            tx.run(&OPEN, Vec::new()).await?;
            let rows = tx.rows(&NEWEST, Vec::new()).await?;
            Ok(u64::try_from(rows[0].int(0)?).unwrap())
        })
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn no_fid_is_given_twice_neither_by_blocks_nor_by_the_generator() {
    for_each_engine(async |db| {
        let before = open(&db).await;
        let first = reserve(&db, "a", 1000).await;
        let second = reserve(&db, "b", 1).await;
        let after = open(&db).await;

        assert!(first > before);
        assert!(second >= first + 1000);
        assert!(after > second);
    })
    .await;
}

#[tokio::test]
async fn a_block_lies_above_every_file_even_if_the_generator_was_set_back() {
    for_each_engine(async |db| {
        db.write(|tx| Box::pin(async move { Ok(tx.run(&ADD_FILE, vec![5_000_000_000_u64.into()]).await?) }))
            .await
            .unwrap();

        let first = reserve(&db, "a", 10).await;
        reserve(&db, "a", 10).await;

        assert_eq!(first, 5_000_000_001);
    })
    .await;
}

#[tokio::test]
async fn blocks_are_renewed_by_owner_and_forgotten_by_first_fid() {
    for_each_engine(async |db| {
        let mine = Fid::new(reserve(&db, "mine", 10).await).unwrap();
        let other = Fid::new(reserve(&db, "other", 10).await).unwrap();

        let renewed = db
            .write(move |tx| {
                Box::pin(async move {
                    let renewed = fid_blocks::renew(tx, "mine", Timestamp::from_secs(9)).await?;
                    fid_blocks::release(tx, other).await?;
                    Ok(renewed)
                })
            })
            .await
            .unwrap();

        let blocks = fid_blocks::blocks(&mut db.reader().await.unwrap()).await.unwrap();
        assert_eq!(renewed, 1);
        assert_eq!(blocks.len(), 1);
        assert_eq!((blocks[0].first, blocks[0].last.get()), (mine, mine.get() + 9));
        assert_eq!(
            (blocks[0].owner.as_str(), blocks[0].renewed),
            ("mine", Timestamp::from_secs(9))
        );
    })
    .await;
}
