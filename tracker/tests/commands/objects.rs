//! Objects through the commands, on every engine.

use std::{collections::BTreeSet, time::Duration};

use mogul_storage::upload::Target;
use mogul_tracker::{
    Error,
    command::objects::{DeleteObject, Deletion, PutVersion, UpdateObject},
    model::{Attributes, Degraded, DomainName, ETag, ETagMatch, Tags, UserId, WriteCondition},
};

use crate::{
    engines::for_each_engine,
    stock::Stock,
    world::{World, dev, key},
};

#[tokio::test]
async fn what_is_stored_is_read_back_whole_and_in_ranges() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;

        let written = world.put("a/b", b"0123456789").await;

        assert_eq!(written.etag.0, "781e5e245d69b566979b86e28d23f2c7");
        assert_eq!((written.copies, written.degraded), (2, false));
        let object = world.object("a/b").await;
        assert_eq!(object.etag, written.etag);
        assert_eq!(world.get("a/b").await.unwrap(), b"0123456789");
        assert_eq!(world.range(&object, 3, 4).await.unwrap(), b"3456");
        assert_eq!(world.range(&object, 8, 100).await.unwrap(), b"89");
        assert_eq!(world.range(&object, 0, 0).await.unwrap(), b"");
        assert!(matches!(world.get("a").await, Err(Error::UnknownKey)));
    })
    .await;
}

#[tokio::test]
async fn reads_are_served_here_where_they_can_be_and_spread_where_they_cannot() {
    let mut world = World::new(&[&[1], &[2], &[3]]).await;
    let names: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    for name in &names {
        world.put(name, b"x").await;
    }
    world.restart_at(1).await;

    let (mut here, mut elsewhere) = (0, 0);
    for name in &names {
        let object = world.object(name).await;
        let mut first = BTreeSet::new();
        for _ in 0..64 {
            let read = world.tracker.readable(&object, 0, 1).await.unwrap();
            assert_eq!(read[0].sources.len(), 2, "the other copy stands by");
            first.insert(read[0].sources[0].device);
        }
        if object.replicas.contains(&dev(1)) {
            here += 1;
            assert_eq!(first, BTreeSet::from([dev(1)]));
        } else {
            elsewhere += 1;
            assert_eq!(first, BTreeSet::from([dev(2), dev(3)]));
        }
    }

    assert!(here > 0 && elsewhere > 0, "{here} {elsewhere}");
}

#[tokio::test]
async fn an_overwritten_and_a_deleted_object_leave_no_file() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        world.put("k", b"old").await;
        let old = world.object("k").await;
        world.put("k", b"new").await;

        assert_eq!(
            world.range(&old, 0, 3).await.unwrap(),
            b"old",
            "who looked it up before still reads it"
        );
        assert_eq!(world.get("k").await.unwrap(), b"new");
        world.delete_all().await;
        let new = world.object("k").await.fid.get();
        assert_eq!(world.files(), [new, new]);

        world.delete("k").await;
        world.delete_all().await;
        assert_eq!(world.files(), [0_u64; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_write_whose_condition_fails_leaves_no_file() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        let create = || WriteCondition {
            if_match: None,
            if_none_match: Some(ETagMatch::Any),
        };
        world.put_if("k", b"first", create()).await.unwrap();

        let second = world.put_if("k", b"second", create()).await;

        assert!(matches!(second, Err(Error::PreconditionFailed("If-None-Match"))));
        world.delete_all().await;
        assert_eq!(world.files().len(), 2);
        assert_eq!(world.get("k").await.unwrap(), b"first");
    })
    .await;
}

#[tokio::test]
async fn a_write_to_a_bucket_that_was_removed_meanwhile_leaves_no_file() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        let (opened, stored) = world.store(b"late", None).await;
        world
            .tracker
            .delete_bucket(&DomainName::parse("bucket").unwrap())
            .await
            .unwrap();

        let late = world
            .tracker
            .put_version(PutVersion {
                opened,
                stored,
                key: key("k"),
                owner: UserId::root(),
                attributes: Attributes::default(),
                tags: Tags::new(),
                checksum: None,
                condition: WriteCondition::default(),
            })
            .await;

        assert!(matches!(late, Err(Error::UnknownDomain)), "{late:?}");
        world.delete_all().await;
        assert_eq!(world.files(), [0_u64; 0]);
    })
    .await;
}

#[tokio::test]
async fn too_few_copies_are_accepted_or_refused_as_the_class_says() {
    for_each_engine(async |db| {
        let mut world = Stock::new(db, 2).await;
        let put = async |world: &Stock, name: &str| {
            let (opened, stored) = world.store(b"x", Some(1)).await;
            world.record(name, opened, stored).await
        };

        let accepted = put(&world, "accepted").await.unwrap();
        world.class.degraded = Degraded::Refuse;
        let refused = put(&world, "refused").await;

        assert_eq!((accepted.copies, accepted.degraded), (1, true));
        assert!(
            matches!(
                refused,
                Err(Error::TooFewCopies {
                    written: 1,
                    required: 2
                })
            ),
            "{refused:?}"
        );
        assert!(matches!(world.get("refused").await, Err(Error::UnknownKey)));
        assert_eq!(world.files().len(), 1, "nothing is left of what was refused");
    })
    .await;
}

#[tokio::test]
async fn copies_that_had_to_go_to_one_host_are_spread_later() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1, 2], &[3]]).await;
        let mut opened = world.open().await;
        let target = |id| Target {
            device: dev(id),
            node: world.node(id).clone(),
        };
        opened.targets = [1, 2].map(target).to_vec();
        let stored = world.write(&opened, b"x", 2).await;

        let written = world.record("k", opened, stored).await.unwrap();
        world.replicate().await;

        assert_eq!((written.copies, written.degraded), (2, false));
        assert!(world.object("k").await.replicas.contains(&dev(3)));
    })
    .await;
}

#[tokio::test]
async fn each_key_of_a_deletion_has_its_own_outcome() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        for name in ["a", "b", "c", "d"] {
            world.put(name, name.as_bytes()).await;
        }
        let etag = world.object("b").await.etag;
        let modified = world.object("c").await.modified;
        let each = |name: &str| DeleteObject {
            key: key(name),
            if_match: None,
            if_modified: None,
            if_size: None,
        };
        let matching = |name: &str, etag: &ETag| DeleteObject {
            if_match: Some(ETagMatch::OneOf(vec![etag.clone()])),
            ..each(name)
        };
        let requests = vec![
            each("a"),
            each("a"),
            matching("b", &etag),
            matching("c", &etag),
            DeleteObject {
                if_modified: Some(modified),
                if_size: Some(2),
                ..each("c")
            },
            DeleteObject {
                if_modified: Some(modified),
                if_size: Some(1),
                ..each("c")
            },
            matching("nothing", &etag),
            each("nothing"),
        ];

        let outcomes = world
            .tracker
            .delete_objects(world.domain, requests)
            .await
            .unwrap();

        let told: Vec<&str> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Ok(Deletion::Deleted) => "deleted",
                Ok(Deletion::WasAbsent) => "absent",
                Err(Error::PreconditionFailed(which)) => which,
                Err(Error::UnknownKey) => "unknown",
                Err(error) => panic!("{error}"),
            })
            .collect();
        assert_eq!(
            told,
            [
                "deleted", "absent", "deleted", "If-Match", "Size", "deleted", "unknown", "absent"
            ]
        );
        assert!(world.get("d").await.is_ok());
        assert!(matches!(world.get("c").await, Err(Error::UnknownKey)));
    })
    .await;
}

#[tokio::test]
async fn tags_change_without_the_time_and_attributes_with_it() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        world.put("k", b"x").await;
        let before = world.object("k").await;
        world.clock.advance(Duration::from_mins(1));
        let update = UpdateObject {
            domain: world.domain,
            key: key("k"),
            fid: before.fid,
            attributes: None,
            tags: Some(vec![("k".to_owned(), "v".to_owned())]),
            class: None,
            condition: WriteCondition::default(),
        };

        world.tracker.update_object(update.clone()).await.unwrap();
        let tagged = world.object("k").await;
        let mut attributes = Attributes::default();
        attributes.user.insert("a".to_owned(), "b".to_owned());
        let changed = UpdateObject {
            attributes: Some(attributes.clone()),
            tags: None,
            ..update.clone()
        };
        world.tracker.update_object(changed).await.unwrap();
        let touched = world.object("k").await;

        assert_eq!(tagged.modified, before.modified);
        assert_eq!(tagged.tags.len(), 1);
        assert!(touched.modified > before.modified);
        assert_eq!((touched.attributes, touched.tags), (attributes, tagged.tags));
        world.put("k", b"y").await;
        let late = world.tracker.update_object(update).await;
        assert!(
            matches!(late, Err(Error::PreconditionFailed(_))),
            "the object is another one now"
        );
    })
    .await;
}
