//! Named locks: who has one, and who gets it when he is gone.

use mogul_storage::Fid;

use super::engines::for_each_engine;
use crate::meta::{
    Db, Engine, Sql,
    lock::{Locks, TEMPFILES},
    queues,
    sql::sql,
};

const IS_FREE: Sql = sql("select is_free_lock(?)");

fn fids(numbers: impl IntoIterator<Item = u64>) -> Vec<Fid> {
    numbers
        .into_iter()
        .map(|number| Fid::new(number).unwrap())
        .collect()
}

async fn queue(db: &Db, fids: &[Fid]) {
    let fids = fids.to_vec();
    db.write(move |tx| {
        let fids = fids.clone();
        Box::pin(async move { queues::replicate(tx, &fids).await })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_lock_is_had_by_one_until_it_is_released_or_its_holder_is_gone() {
    for_each_engine(async |db| {
        let all = fids(1..=100);
        queue(&db, &all).await;
        let locks = Locks::new(&db);
        let first = locks.files(&all[..60]).await.unwrap();
        assert!(all[..60].iter().all(|fid| first.has(*fid)));

        let second = locks.files(&all).await.unwrap();
        assert!(all[..60].iter().all(|fid| !second.has(*fid)));
        assert!(all[60..].iter().all(|fid| second.has(*fid)));

        first.release().await;
        let third = locks.files(&all).await.unwrap();
        assert!(all[..60].iter().all(|fid| third.has(*fid)));
        drop((second, third));
        loop {
            // A server needs a moment to see that a connection is gone.
            let fourth = locks.files(&all).await.unwrap();
            if all.iter().all(|fid| fourth.has(*fid)) {
                return;
            }
            fourth.release().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_is_had_by_one_at_a_time() {
    for_each_engine(async |db| {
        let locks = Locks::new(&db);
        let held = locks.named(TEMPFILES).await.unwrap().unwrap();

        assert!(locks.named(TEMPFILES).await.unwrap().is_none());
        held.pulse().await.unwrap();
        held.release().await;

        assert!(locks.named(TEMPFILES).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn an_original_tracker_finds_the_locks_under_the_names_it_takes() {
    for_each_engine(async |db| {
        if db.engine() != Engine::MySql {
            return;
        }
        let seven = fids([7]);
        queue(&db, &seven).await;
        let mut original = db.reader().await.unwrap();
        let mut is_free = async |name: &str| {
            let rows = original.rows(&IS_FREE, vec![name.into()]).await.unwrap();
            rows[0].int(0).unwrap() == 1
        };
        let locks = Locks::new(&db);

        let file = locks.files(&seven).await.unwrap();
        let name = locks.named(TEMPFILES).await.unwrap().unwrap();

        assert!(!is_free("mgfs:fid:7:replicate").await);
        assert!(!is_free("mgfs:tempfiles").await);
        file.release().await;
        name.release().await;
        assert!(is_free("mgfs:fid:7:replicate").await);
        assert!(is_free("mgfs:tempfiles").await);
    })
    .await;
}
