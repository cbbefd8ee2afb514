//! Multipart uploads through the commands, on every engine.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};
use mogul_storage::{DevFid, DevId, Fid};
use mogul_tracker::{
    Error,
    command::uploads::{
        CompleteUpload, Completed, CreateUpload, ListUploads, ListedPart, PutPart, UploadEntry,
    },
    jobs::expire::Expire,
    model::{Attributes, ETagMatch, Part, PartNumber, Tags, Upload, UploadId, UserId, WriteCondition},
};

use crate::{engines::for_each_engine, stock::Stock, world::key};

const MIB: usize = 1024 * 1024;

fn number(number: u16) -> PartNumber {
    PartNumber::new(number).unwrap()
}

fn bytes(seed: u8, size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| seed.wrapping_add((at % 251).to_le_bytes()[0]))
        .collect()
}

async fn begin(world: &Stock, name: &str) -> Upload {
    let request = CreateUpload {
        key: key(name),
        class: world.class.clone(),
        owner: UserId::root(),
        attributes: Attributes::default(),
        tags: Tags::new(),
        checksum: None,
    };
    world.tracker.create_upload(request).await.unwrap()
}

async fn part(
    world: &Stock,
    upload: &Upload,
    at: u16,
    bytes: &[u8],
    only: Option<u32>,
) -> Result<Part, Error> {
    let (opened, stored) = world.store(bytes, only).await;
    let request = PutPart {
        upload: upload.id.clone(),
        number: number(at),
        opened,
        stored,
        checksum: None,
    };
    world.tracker.put_part(request).await
}

fn completion(world: &Stock, upload: &Upload, parts: &[Part]) -> CompleteUpload {
    let listed = parts.iter().map(|part| ListedPart {
        number: part.number,
        etag: part.etag.clone(),
        checksum: None,
    });
    CompleteUpload {
        domain: world.domain,
        key: upload.key.clone(),
        upload: upload.id.clone(),
        parts: listed.collect(),
        size: None,
        checksum: None,
        checksum_type: None,
        condition: WriteCondition::default(),
    }
}

async fn complete(world: &Stock, upload: &Upload, parts: &[Part]) -> Result<Completed, Error> {
    world
        .tracker
        .complete_upload(completion(world, upload, parts))
        .await
}

/// A part of an upload that is not completed.
pub(crate) async fn part_of_an_open_upload(world: &Stock) {
    let upload = begin(world, "open").await;
    part(world, &upload, 1, b"part", None).await.unwrap();
}

/// An object `k` of three parts; answers its bytes.
pub(crate) async fn three_parts(world: &Stock, only: [Option<u32>; 3]) -> Vec<u8> {
    let upload = begin(world, "k").await;
    let contents = [bytes(1, 5 * MIB), bytes(2, 5 * MIB + 7), bytes(3, 11)];
    let mut parts = Vec::new();
    for (at, (content, only)) in contents.iter().zip(only).enumerate() {
        let at = u16::try_from(at * 3 + 1).unwrap();
        parts.push(part(world, &upload, at, content, only).await.unwrap());
    }
    complete(world, &upload, &parts).await.unwrap();
    contents.concat()
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_is_aborted_and_one_with_a_new_part_is_not() {
    for_each_engine(async |db| {
        let day = Duration::from_hours(24);
        let world = Stock::new(db, 2).await;
        let (left, lives, done) = (
            begin(&world, "left").await,
            begin(&world, "lives").await,
            begin(&world, "done").await,
        );
        part(&world, &left, 1, b"part", None).await.unwrap();
        let only = part(&world, &done, 1, b"part", None).await.unwrap();
        complete(&world, &done, &[only]).await.unwrap();
        world.clock.advance(29 * day);
        part(&world, &lives, 1, b"part", None).await.unwrap();
        world.run(Expire::new(&world.tracker)).await;
        let found = async |upload: &Upload| {
            let found = world.tracker.upload(world.domain, &upload.key, &upload.id).await;
            found.is_ok()
        };
        assert!(found(&left).await && found(&lives).await);

        world
            .tracker
            .set_server_setting("upload_days", "0")
            .await
            .unwrap();
        world.clock.advance(2 * day);
        world.run(Expire::new(&world.tracker)).await;
        assert!(found(&left).await, "switched off");
        world
            .tracker
            .set_server_setting("upload_days", "30")
            .await
            .unwrap();
        world.run(Expire::new(&world.tracker)).await;

        assert!(!found(&left).await && found(&lives).await);
        assert_eq!(world.get("done").await.unwrap(), b"part");
        assert!(world.tracker.backlog().await.unwrap().to_delete > 0);
    })
    .await;
}

#[tokio::test]
async fn a_completed_upload_reads_the_same_before_and_after_it_is_joined() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        let whole = three_parts(&world, [None; 3]).await;
        let before = world.object("k").await;
        assert!(before.replicas.is_empty(), "it lies in segments");
        assert!(before.etag.0.ends_with("-3"));

        for round in ["in segments", "joined"] {
            let object = world.object("k").await;
            assert_eq!(world.get("k").await.unwrap(), whole, "{round}");
            let first = 5 * MIB - 3;
            let range = world
                .range(&object, u64::try_from(first).unwrap(), 10)
                .await
                .unwrap();
            assert_eq!(range, whole[first..first + 10], "{round}");
            let page = world
                .tracker
                .object_parts(&object, Some(number(1)), 1)
                .await
                .unwrap();
            assert_eq!((page.entries[0].number, page.more), (number(4), true));
            let (start, third) = world.tracker.object_part(&object, 3).await.unwrap().unwrap();
            assert_eq!((start, third.size), (u64::try_from(10 * MIB + 7).unwrap(), 11));
            assert!(world.tracker.object_part(&object, 4).await.unwrap().is_none());
            world.join().await;
        }

        let after = world.object("k").await;
        assert_eq!(
            (after.fid, after.etag, after.replicas.len()),
            (before.fid, before.etag, 2)
        );
        world.delete_all().await;
        assert_eq!(
            world.files(),
            [before.fid.get(); 2],
            "one file on each device, and no part"
        );
        assert_eq!(world.get("k").await.unwrap(), whole);
    })
    .await;
}

#[tokio::test]
async fn parts_on_different_devices_are_gathered() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 3).await;
        let whole = three_parts(&world, [Some(1), Some(2), Some(3)]).await;

        world.join().await;
        world.delete_all().await;

        let object = world.object("k").await;
        assert_eq!(object.replicas.len(), 2);
        assert_eq!(world.files(), [object.fid.get(); 2]);
        assert_eq!(world.get("k").await.unwrap(), whole);
    })
    .await;
}

#[tokio::test]
async fn an_object_above_the_limit_is_joined_when_the_limit_is_raised() {
    for_each_engine(async |db| {
        let mut world = Stock::new(db, 2).await;
        world.restart_joining(1).await;
        let whole = three_parts(&world, [None; 3]).await;

        world.join().await;

        assert!(world.object("k").await.replicas.is_empty(), "it lies in segments");
        assert_eq!(world.tracker.backlog().await.unwrap().to_join, 0);
        world.restart().await;
        world.join().await;
        assert_eq!(world.object("k").await.replicas.len(), 2);
        assert_eq!(world.get("k").await.unwrap(), whole);
    })
    .await;
}

#[tokio::test]
async fn an_object_above_the_limit_leaves_the_queue_when_it_is_deleted() {
    for_each_engine(async |db| {
        let mut world = Stock::new(db, 2).await;
        world.restart_joining(1).await;
        three_parts(&world, [None; 3]).await;
        world.join().await;

        world.delete("k").await;

        assert_eq!(world.tracker.backlog().await.unwrap().to_join, 1);
        world.join().await;
        assert_eq!(world.tracker.backlog().await.unwrap().to_join, 0);
        world.delete_all().await;
        assert_eq!(world.files(), [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn who_reads_the_segments_while_they_are_joined_reads_on() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        let whole = three_parts(&world, [None; 3]).await;
        let object = world.object("k").await;
        let mut stream = Box::pin(world.tracker.read(&object, 0, object.size).await.unwrap());
        let first = stream.next().await.unwrap().unwrap();

        world.join().await;
        world.delete_all().await;
        let rest: Vec<_> = stream.try_collect().await.unwrap();

        assert!([first.to_vec(), rest.concat()].concat() == whole);
    })
    .await;
}

#[tokio::test]
async fn what_a_crashed_join_left_of_a_deleted_object_is_found() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        three_parts(&world, [Some(1); 3]).await;
        let object = world.object("k").await;
        let parts: Vec<Fid> = world
            .files()
            .into_iter()
            .map(|fid| Fid::new(fid).unwrap())
            .collect();
        let at = DevFid {
            device: DevId::new(1).unwrap(),
            fid: object.fid,
        };
        world.node(1).join(at, &parts).await.unwrap();

        world.delete("k").await;
        world.join().await;
        world.delete_all().await;

        assert_eq!(world.files(), [0_u64; 0]);
    })
    .await;
}

#[tokio::test]
async fn completes_of_one_upload_all_succeed_with_one_object() {
    for_each_engine(async |db| {
        let world = Arc::new(Stock::new(db, 1).await);
        let upload = begin(&world, "k").await;
        let parts = [
            part(&world, &upload, 1, &bytes(1, 5 * MIB), None).await.unwrap(),
            part(&world, &upload, 2, b"end", None).await.unwrap(),
        ];
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let request = completion(&world, &upload, &parts);
            let tracker = world.tracker.clone();
            tasks.spawn(async move { tracker.complete_upload(request).await.unwrap() });
        }
        let answers: Vec<Completed> = tasks.join_all().await;

        let object = world.object("k").await;
        assert!(answers.iter().all(|answer| answer.written.etag == object.etag));
        assert!(
            answers
                .iter()
                .all(|answer| answer.written.modified == object.modified)
        );
        assert!(answers.iter().all(|answer| answer.checksum == object.checksum));
        let other = complete(&world, &upload, &parts[..1]).await;
        assert!(
            matches!(other, Err(Error::UnknownUpload)),
            "another list is another request"
        );
        world.delete("k").await;
        complete(&world, &upload, &parts).await.unwrap();
        assert!(
            matches!(world.get("k").await, Err(Error::UnknownKey)),
            "a repeated answer makes nothing anew"
        );
    })
    .await;
}

#[tokio::test]
async fn a_complete_whose_condition_fails_leaves_the_upload_open() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        world.put("k", b"first").await;
        let upload = begin(&world, "k").await;
        let only = part(&world, &upload, 1, b"second", None).await.unwrap();
        let create = CompleteUpload {
            condition: WriteCondition {
                if_match: None,
                if_none_match: Some(ETagMatch::Any),
            },
            ..completion(&world, &upload, &[only])
        };

        let refused = world.tracker.complete_upload(create.clone()).await;
        assert!(matches!(refused, Err(Error::PreconditionFailed("If-None-Match"))));
        assert_eq!(world.get("k").await.unwrap(), b"first");
        world.delete("k").await;
        world.tracker.complete_upload(create).await.unwrap();

        assert_eq!(world.get("k").await.unwrap(), b"second");
    })
    .await;
}

#[tokio::test]
async fn an_upload_of_one_part_is_the_parts_file() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        world.put("k", b"before").await;
        let upload = begin(&world, "k").await;
        let only = part(&world, &upload, 7, b"alone", None).await.unwrap();

        complete(&world, &upload, &[only]).await.unwrap();

        let object = world.object("k").await;
        assert_eq!((object.replicas.len(), object.parts), (2, Some(1)));
        assert_eq!(world.get("k").await.unwrap(), b"alone");
        let (start, part) = world.tracker.object_part(&object, 1).await.unwrap().unwrap();
        assert_eq!((start, part.number, part.size), (0, number(7), 5));
        world.delete_all().await;
        assert_eq!(world.files(), [object.fid.get(); 2]);
    })
    .await;
}

#[tokio::test]
async fn replaced_and_unlisted_parts_leave_no_file() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        let upload = begin(&world, "k").await;
        part(&world, &upload, 1, b"first try", None).await.unwrap();
        let kept = part(&world, &upload, 1, b"second try", None).await.unwrap();
        part(&world, &upload, 2, b"unlisted", None).await.unwrap();
        let page = world.tracker.list_parts(&upload.id, None, 1).await.unwrap();
        assert_eq!(
            (page.entries.as_slice(), page.more),
            ([kept.clone()].as_slice(), true)
        );

        complete(&world, &upload, &[kept]).await.unwrap();

        assert_eq!(world.get("k").await.unwrap(), b"second try");
        world.delete_all().await;
        assert_eq!(world.files().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_left_of_an_aborted_upload_even_of_parts_on_their_way() {
    for_each_engine(async |db| {
        let world = Arc::new(Stock::new(db, 1).await);
        let upload = begin(&world, "k").await;
        let mut late = tokio::task::JoinSet::new();
        for at in 1..=6 {
            let (opened, stored) = world.store(&bytes(1, 100), None).await;
            let request = PutPart {
                upload: upload.id.clone(),
                number: number(at),
                opened,
                stored,
                checksum: None,
            };
            let tracker = world.tracker.clone();
            late.spawn(async move { tracker.put_part(request).await.map(|_| ()) });
        }
        let aborted = world
            .tracker
            .abort_upload(world.domain, &upload.key, &upload.id)
            .await;

        aborted.unwrap();
        for outcome in late.join_all().await {
            assert!(
                matches!(outcome, Ok(()) | Err(Error::UnknownUpload)),
                "{outcome:?}"
            );
        }
        world.delete_all().await;
        assert_eq!(world.files(), [0_u64; 0]);
        let again = world
            .tracker
            .abort_upload(world.domain, &upload.key, &upload.id)
            .await;
        assert!(matches!(again, Err(Error::UnknownUpload)));
        let found = world.tracker.upload(world.domain, &upload.key, &upload.id).await;
        assert!(matches!(found, Err(Error::UnknownUpload)));
    })
    .await;
}

#[tokio::test]
async fn an_upload_is_found_under_its_own_key_only() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        let upload = begin(&world, "k").await;

        let right = world.tracker.upload(world.domain, &key("k"), &upload.id).await;
        let wrong = world
            .tracker
            .upload(world.domain, &key("other"), &upload.id)
            .await;

        assert_eq!(right.unwrap(), upload);
        assert!(matches!(wrong, Err(Error::UnknownUpload)));
        assert!(upload.id.0.len() >= 32);
    })
    .await;
}

#[tokio::test]
async fn uploads_are_listed_by_key_then_time_in_pages_and_groups() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        for name in ["a/1", "b", "a/2", "c/d/e", "b", "a", "c/x", "d%_"] {
            begin(&world, name).await;
            world.clock.advance(Duration::from_secs(1));
        }
        let list = async |delimiter: &str, prefix: &str, limit: usize| {
            let mut told: Vec<String> = Vec::new();
            let (mut key_after, mut upload_after): (Option<String>, Option<UploadId>) = (None, None);
            loop {
                let request = ListUploads {
                    prefix: prefix.to_owned(),
                    delimiter: delimiter.to_owned(),
                    key_after,
                    upload_after,
                    limit,
                };
                let page = world.tracker.list_uploads(world.domain, request).await.unwrap();
                (key_after, upload_after) = match page.entries.last().unwrap() {
                    UploadEntry::Upload(upload) => {
                        (Some(upload.key.as_str().to_owned()), Some(upload.id.clone()))
                    }
                    UploadEntry::Prefix(prefix) => (Some(prefix.clone()), None),
                };
                told.extend(page.entries.iter().map(|entry| match entry {
                    UploadEntry::Upload(upload) => upload.key.as_str().to_owned(),
                    UploadEntry::Prefix(prefix) => prefix.clone(),
                }));
                if !page.more {
                    return told;
                }
            }
        };

        for limit in [1, 2, 3, 1000] {
            assert_eq!(
                list("", "", limit).await,
                ["a", "a/1", "a/2", "b", "b", "c/d/e", "c/x", "d%_"]
            );
            assert_eq!(list("/", "", limit).await, ["a", "a/", "b", "b", "c/", "d%_"]);
            assert_eq!(list("/", "c/", limit).await, ["c/d/", "c/x"]);
            assert_eq!(list("", "d%", limit).await, ["d%_"]);
        }
        let request = ListUploads {
            key_after: Some("b".to_owned()),
            limit: 1,
            ..ListUploads::default()
        };
        let behind = world.tracker.list_uploads(world.domain, request).await.unwrap();
        assert!(
            matches!(&behind.entries[..], [UploadEntry::Upload(upload)] if upload.key.as_str() == "c/d/e"),
            "without an upload's id a marker stands behind all of its key"
        );
    })
    .await;
}
