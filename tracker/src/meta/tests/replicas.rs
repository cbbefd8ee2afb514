//! The copies on a device, page by page, however many there are.

use std::sync::Arc;

use mogul_storage::{DevId, Fid};

use super::engines::for_each_engine;
use crate::meta::{
    Db, Sql, Value,
    ids::LIST_MAX,
    replicas::{self, Age},
    sql::sql,
};

const ADD_FILES: Sql = sql("insert into file (fid, dmid, dkey, length, classid, devcount) values (…)");

fn dev(id: u32) -> DevId {
    DevId::new(id).unwrap()
}

/// Puts files of as many bytes as their fids on record, each with a copy on the device `of` says.
async fn on_record(db: &Db, fids: std::ops::RangeInclusive<u64>, of: fn(u64) -> u32) {
    let fids: Vec<u64> = fids.collect();
    for fids in fids.chunks(LIST_MAX / 2) {
        let fids: Arc<[u64]> = fids.into();
        let write = db.write(move |tx| {
            let fids = Arc::clone(&fids);
            Box::pin(async move {
                let files = fids.iter().flat_map(|fid| -> [Value; 6] {
                    let key = format!("k{fid}");
                    let (fid, none): (Value, Value) = ((*fid).into(), 0_i64.into());
                    [
                        fid.clone(),
                        1_i64.into(),
                        key.as_str().into(),
                        fid,
                        none.clone(),
                        none,
                    ]
                });
                tx.run_list(&ADD_FILES, fids.len(), files.collect()).await?;
                let copies = fids.iter().map(|fid| (Fid::new(*fid).unwrap(), dev(of(*fid))));
                replicas::add(tx, &copies.collect::<Vec<_>>()).await
            })
        });
        write.await.unwrap();
    }
}

#[tokio::test]
async fn the_files_of_a_device_come_in_order_whether_they_are_few_or_many() {
    for_each_engine(async |db| {
        // The first device has more than are sorted for each page, the second has few.
        on_record(&db, 1..=10_200, |fid| if fid % 100 == 0 { 2 } else { 1 }).await;
        let mut tx = db.reader().await.unwrap();
        for (device, count) in [(dev(1), 10_098), (dev(2), 102), (dev(3), 0)] {
            let mut pages: [Vec<u64>; 3] = Default::default();
            for (age, numbers) in [Age::Oldest, Age::Newest].into_iter().zip(&mut pages) {
                let mut last = None;
                loop {
                    let page = replicas::files_on(&mut tx, device, age, last, 1_000)
                        .await
                        .unwrap();
                    let Some((fid, _)) = page.last() else { break };
                    last = Some(*fid);
                    assert!(page.iter().all(|(fid, size)| fid.get() == *size));
                    numbers.extend(page.iter().map(|(fid, _)| fid.get()));
                }
            }
            let mut beyond = 0;
            loop {
                let page = replicas::replicas_beyond(&mut tx, device, beyond, 1_000).await;
                let page = page.unwrap();
                let Some(fid) = page.last() else { break };
                beyond = fid.get();
                pages[2].extend(page.iter().map(|fid| fid.get()));
            }

            let [oldest, newest, all] = pages;
            assert_eq!(oldest.len(), count);
            assert!(oldest.is_sorted());
            assert!(newest.iter().rev().eq(&oldest));
            assert_eq!(all, oldest);
        }
    })
    .await;
}
