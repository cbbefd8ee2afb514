//! Finished uploads become objects, on every engine.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use mogul_storage::{DevId, Digest, Fid, HashType};

use super::engines::for_each_engine;
use crate::{
    Error,
    meta::{
        Db, Sql,
        committer::{Committed, Committer, NewObject, Origin, Replaced, Replication},
        domains,
        finder::Finder,
        objects::ObjectRow,
        segments::{Segment, pieces_of, segments_added, segments_of},
        sql::sql,
    },
    model::{
        ClassId, DomainId, DomainName, ETag, ETagMatch, Key, Part, PartNumber, Timestamp, UserId,
        WriteCondition,
    },
};

const DELETIONS: Sql = sql("select fid from file_to_delete2 order by fid limit 10000");
const FILES: Sql = sql("select fid from file order by fid limit 10000");
const ROWS: Sql = sql("select fid from mogul_object order by fid limit 10000");
const COPIES: Sql = sql("select distinct fid from file_on order by fid limit 10000");
const REPLICATIONS: Sql = sql("select fid from file_to_replicate order by fid limit 10000");

async fn domain(db: &Db) -> DomainId {
    db.write(|tx| {
        Box::pin(async move { domains::domain_added(tx, &DomainName::parse("bucket").unwrap()).await })
    })
    .await
    .unwrap()
}

fn fid(number: u64) -> Fid {
    Fid::new(number).unwrap()
}

fn object(domain: DomainId, key: &str, number: u64, condition: WriteCondition) -> NewObject {
    NewObject {
        domain,
        key: Key::parse(key).unwrap(),
        class: ClassId::DEFAULT,
        size: number,
        devices: vec![DevId::new(1).unwrap(), DevId::new(2).unwrap()],
        replication: Replication::Complete,
        digest: None,
        row: ObjectRow {
            fid: fid(number),
            etag: ETag(format!("{number:032x}")),
            modified: Timestamp::from_millis(1_000),
            owner: Some(UserId::root()),
            attributes: None,
            tags: None,
            checksum: None,
            crc64: Some([7; 8]),
            parts: None,
        },
        condition,
        origin: Origin::Lease,
    }
}

fn create() -> WriteCondition {
    WriteCondition {
        if_match: None,
        if_none_match: Some(ETagMatch::Any),
    }
}

fn replace(number: u64) -> WriteCondition {
    WriteCondition {
        if_match: Some(ETagMatch::OneOf(vec![ETag(format!("{number:032x}"))])),
        if_none_match: None,
    }
}

async fn write(committer: &Committer, object: NewObject) -> Result<Committed, Error> {
    committer.write(object, |_| {}).await
}

async fn fids(db: &Db, sql: &Sql) -> Vec<i64> {
    let mut tx = db.reader().await.unwrap();
    let rows = tx.rows(sql, vec![]).await.unwrap();
    rows.iter().map(|row| row.int(0).unwrap()).collect()
}

/// The fid that a key has now.
async fn current(db: &Db, domain: DomainId, key: &str) -> Option<u64> {
    let found = Finder::objects(db).find((domain, Key::parse(key).unwrap())).await;
    found.unwrap().map(|object| object.fid.get())
}

#[tokio::test]
async fn an_object_is_found_as_it_was_written() {
    for_each_engine(async |db| {
        let domain = domain(&db).await;
        let committer = Committer::start(&db);
        let mut new = object(domain, "käse/ü 'x' %_\\\n", 5, create());
        new.replication = Replication::Queued;
        new.digest = Some((1, vec![9; 16]));
        new.row.attributes = Some(r#"{"h":{"content-type":"a/b"},"u":{}}"#.to_owned());
        new.row.tags = Some(r#"[["k","v"]]"#.to_owned());

        let written = write(&committer, new.clone()).await.unwrap();

        assert_eq!(written.modified, new.row.modified);
        assert_eq!(written.replaced, Replaced::None);
        let found = Finder::objects(&db).find((domain, new.key.clone())).await;
        let found = found.unwrap().unwrap();
        assert_eq!((found.fid, found.size, &found.etag), (fid(5), 5, &new.row.etag));
        assert_eq!(found.crc64, Some([7; 8]));
        assert_eq!(found.attributes.headers["content-type"], "a/b");
        assert_eq!(found.tags, [("k".to_owned(), "v".to_owned())]);
        let mut replicas = found.replicas.clone();
        replicas.sort_unstable();
        assert_eq!(replicas, new.devices);
        assert_eq!(fids(&db, &REPLICATIONS).await, [5]);
    })
    .await;
}

#[tokio::test]
async fn an_overwrite_ends_the_old_object_and_its_time_never_goes_back() {
    for_each_engine(async |db| {
        let domain = domain(&db).await;
        let committer = Committer::start(&db);
        write(&committer, object(domain, "k", 1, WriteCondition::default()))
            .await
            .unwrap();
        let mut earlier = object(domain, "k", 2, WriteCondition::default());
        earlier.row.modified = Timestamp::from_millis(400);

        let written = write(&committer, earlier).await.unwrap();

        assert_eq!(written.modified, Timestamp::from_millis(1_000));
        assert_eq!(written.replaced, Replaced::Some);
        assert_eq!(current(&db, domain, "k").await, Some(2));
        assert_eq!(fids(&db, &FILES).await, [2]);
        assert_eq!(fids(&db, &ROWS).await, [2]);
        assert_eq!(fids(&db, &DELETIONS).await, [1]);
        assert_eq!(
            fids(&db, &COPIES).await,
            [1, 2],
            "the delete job finds the old copies"
        );
    })
    .await;
}

#[tokio::test]
async fn of_racing_creations_exactly_one_succeeds_and_the_others_are_given_up() {
    for_each_engine(async |db| {
        let domain = domain(&db).await;
        // Two processes, each with its own lanes.
        let committers = [Committer::start(&db), Committer::start(&db)];
        let mut tasks = tokio::task::JoinSet::new();
        for number in 1..=40_u64 {
            let committer = committers[usize::try_from(number % 2).unwrap()].clone();
            let key = format!("k{}", number % 4);
            tasks.spawn(async move {
                let outcome = write(&committer, object(domain, &key, number, create())).await;
                (key, number, outcome)
            });
        }

        let mut winners: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        while let Some(done) = tasks.join_next().await {
            match done.unwrap() {
                (key, number, Ok(_)) => winners.entry(key).or_default().push(number),
                (_, _, Err(Error::PreconditionFailed("If-None-Match"))) => {}
                (_, _, Err(error)) => panic!("{error:?}"),
            }
        }

        assert_eq!(winners.len(), 4);
        for (key, numbers) in winners {
            assert_eq!(numbers.len(), 1, "{key}");
            assert_eq!(current(&db, domain, &key).await, Some(numbers[0]));
        }
        assert_eq!(fids(&db, &FILES).await.len(), 4);
        assert_eq!(
            fids(&db, &DELETIONS).await.len(),
            36,
            "losers are queued for deletion"
        );
        assert_eq!(fids(&db, &COPIES).await.len(), 40, "and will be found");
    })
    .await;
}

#[tokio::test]
async fn a_chain_of_conditional_overwrites_never_forks() {
    for_each_engine(async |db| {
        let domain = domain(&db).await;
        let committers = [Committer::start(&db), Committer::start(&db)];
        write(&committers[0], object(domain, "k", 1, create()))
            .await
            .unwrap();
        let mut last = 1;

        for round in 1..=5_u64 {
            let mut tasks = tokio::task::JoinSet::new();
            for racer in 0..8_u64 {
                let committer = committers[usize::try_from(racer % 2).unwrap()].clone();
                let number = round * 100 + racer;
                let expected = last;
                tasks.spawn(async move {
                    let outcome = write(&committer, object(domain, "k", number, replace(expected))).await;
                    (number, outcome)
                });
            }
            let mut won = Vec::new();
            while let Some(done) = tasks.join_next().await {
                match done.unwrap() {
                    (number, Ok(_)) => won.push(number),
                    (_, Err(Error::PreconditionFailed("If-Match"))) => {}
                    (_, Err(error)) => panic!("the key is there all the time: {error:?}"),
                }
            }
            assert_eq!(won.len(), 1, "round {round}");
            last = won[0];
        }

        assert_eq!(current(&db, domain, "k").await, Some(last));
        assert_eq!(fids(&db, &FILES).await.len(), 1);
        assert_eq!(fids(&db, &DELETIONS).await.len(), 40);
    })
    .await;
}

#[tokio::test]
async fn unconditional_writers_of_the_same_keys_all_succeed_and_leave_one_object_each() {
    for_each_engine(async |db| {
        let domain = domain(&db).await;
        let committers = [
            Committer::start(&db),
            Committer::start(&db),
            Committer::start(&db),
        ];
        let mut tasks = tokio::task::JoinSet::new();
        for number in 1..=300_u64 {
            let committer = committers[usize::try_from(number % 3).unwrap()].clone();
            let key = format!("k{}", number % 7);
            tasks.spawn(async move {
                write(
                    &committer,
                    object(domain, &key, number, WriteCondition::default()),
                )
                .await
            });
        }

        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }

        assert_eq!(fids(&db, &FILES).await.len(), 7);
        assert_eq!(fids(&db, &ROWS).await, fids(&db, &FILES).await);
        assert_eq!(fids(&db, &DELETIONS).await.len(), 293);
        assert_eq!(fids(&db, &COPIES).await.len(), 300);
    })
    .await;
}

#[tokio::test]
async fn an_object_that_cannot_be_written_fails_alone() {
    for_each_engine(async |db| {
        let domain = domain(&db).await;
        let committer = Committer::start(&db);
        write(&committer, object(domain, "first", 1, create()))
            .await
            .unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 2..=30_u64 {
            let committer = committer.clone();
            // One of them has a fid that is taken, which no retry mends; one goes to a domain that is not there.
            let mut new = object(domain, &format!("k{number}"), number, create());
            match number {
                10 => new.row.fid = fid(1),
                20 => new.domain = DomainId(domain.0 + 1),
                _ => {}
            }
            tasks.spawn(async move { (number, write(&committer, new).await) });
        }

        while let Some(done) = tasks.join_next().await {
            match done.unwrap() {
                (10, Err(Error::Database(_))) | (20, Err(Error::UnknownDomain)) => {}
                (number, Ok(_)) if number != 10 && number != 20 => {}
                (number, outcome) => panic!("{number}: {outcome:?}"),
            }
        }

        assert_eq!(fids(&db, &FILES).await.len(), 28);
        assert_eq!(fids(&db, &DELETIONS).await, [20]);
    })
    .await;
}

#[tokio::test]
async fn an_object_may_have_ten_thousand_segments() {
    for_each_engine(async |db| {
        let segments: Vec<Segment> = (1..=10_000_u16).map(segment).collect();
        let added = Arc::new(segments);
        db.write(move |tx| {
            let segments = Arc::clone(&added);
            Box::pin(async move { segments_added(tx, fid(1), &segments).await })
        })
        .await
        .unwrap();

        let mut tx = db.reader().await.unwrap();
        let all = pieces_of(&mut tx, fid(1), 0, 100_000).await.unwrap();
        let some = pieces_of(&mut tx, fid(1), 99_985, 99_991).await.unwrap();
        let page = segments_of(&mut tx, fid(1), 9_998, 10).await.unwrap();

        assert_eq!(all.len(), 10_000);
        let starts: Vec<u64> = some.iter().map(|piece| piece.start).collect();
        assert_eq!(starts, [99_980, 99_990]);
        let numbers: Vec<u16> = page.iter().map(|segment| segment.part.number.get()).collect();
        assert_eq!(numbers, [9_999, 10_000]);
    })
    .await;
}

/// A segment of ten bytes.
fn segment(number: u16) -> Segment {
    let number_of = u64::from(number);
    Segment {
        ordinal: u32::from(number),
        part_fid: Some(fid(1 + number_of)),
        start: (number_of - 1) * 10,
        crc64: Some([1; 8]),
        part: Part {
            number: PartNumber::new(number).unwrap(),
            size: 10,
            etag: ETag(format!("{number:032x}")),
            checksum: Some(Digest {
                hash: HashType::Sha512,
                bytes: vec![7; 64],
            }),
            modified: Timestamp::from_millis(1),
        },
    }
}

#[tokio::test]
async fn whoever_asks_at_once_gets_the_object_of_his_own_key() {
    for_each_engine(async |db| {
        let domain = domain(&db).await;
        let committer = Committer::start(&db);
        for number in 1..=100 {
            let new = object(domain, &format!("key{number}"), number, create());
            write(&committer, new).await.unwrap();
        }
        let finder = Finder::objects(&db);
        let files = Finder::files(&db);

        // Twice as many as there are, the second half of them missing, and one key asked for by many.
        let keys: Vec<String> = (1..=200)
            .map(|number| format!("key{number}"))
            .chain((0..50).map(|_| "key7".to_owned()))
            .collect();
        let found = join_all(
            keys.iter()
                .map(|key| finder.find((domain, Key::parse(key).unwrap()))),
        )
        .await;
        let as_files = join_all(
            keys.iter()
                .map(|key| files.find((domain, Key::parse(key).unwrap()))),
        )
        .await;
        let elsewhere = finder.find((DomainId(999), Key::parse("key7").unwrap())).await;

        let fids: Vec<Option<u64>> = found
            .into_iter()
            .map(|object| object.unwrap().map(|object| object.fid.get()))
            .collect();
        let expected: Vec<Option<u64>> = (1..=200)
            .map(|number| (number <= 100).then_some(number))
            .chain((0..50).map(|_| Some(7)))
            .collect();
        assert_eq!(fids, expected);
        let fids: Vec<Option<u64>> = as_files
            .into_iter()
            .map(|file| file.unwrap().map(|file| file.fid.get()))
            .collect();
        assert_eq!(fids, expected);
        assert!(elsewhere.unwrap().is_none());
    })
    .await;
}
