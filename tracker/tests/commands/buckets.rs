//! Buckets and their classes.

use mogul_tracker::{
    Error,
    command::{
        buckets::{BucketCreation, CreateBucket, ListBuckets},
        uploads::{CreateUpload, PutPart},
        users::AddUser,
    },
    model::{Attributes, ClassName, DomainName, PartNumber, UserId},
};

use crate::{
    engines::for_each_engine,
    world::{World, key},
};

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn create(text: &str, owner: &UserId) -> CreateBucket {
    CreateBucket {
        name: name(text),
        owner: owner.clone(),
        tags: vec![("a".to_owned(), "b".to_owned())],
    }
}

async fn user(world: &World, name: &str) -> UserId {
    let request = AddUser {
        name: name.to_owned(),
        display_name: None,
        email: None,
        key: None,
    };
    world.tracker.add_user(request).await.unwrap().user.id
}

#[tokio::test]
async fn a_bucket_belongs_to_who_made_it() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let (tracker, ann, bob) = (
            &world.tracker,
            user(&world, "ann").await,
            user(&world, "bob").await,
        );

        let first = tracker.create_bucket(create("photos", &ann)).await.unwrap();
        let again = tracker.create_bucket(create("photos", &ann)).await.unwrap();
        let stolen = tracker.create_bucket(create("photos", &bob)).await;
        let invalid = tracker.create_bucket(create("Photos", &bob)).await;
        let nobody = UserId("f".repeat(64));
        let unowned = tracker.create_bucket(create("nobodys", &nobody)).await;

        assert_eq!(first, BucketCreation::Created);
        assert_eq!(again, BucketCreation::AlreadyYours);
        assert!(matches!(stolen, Err(Error::DomainTaken)), "{stolen:?}");
        assert!(matches!(invalid, Err(Error::InvalidDomainName)), "{invalid:?}");
        assert!(matches!(unowned, Err(Error::UnknownUser)), "{unowned:?}");
        assert_eq!(tracker.bucket("photos").await.unwrap().owner, ann);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_make_a_bucket_at_once_one_gets_it() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let (ann, bob) = (user(&world, "ann").await, user(&world, "bob").await);

        let attempts = (0..8).map(|number| {
            let owner = if number % 2 == 0 { &ann } else { &bob };
            world.tracker.create_bucket(create("photos", owner))
        });
        let outcomes = futures_util::future::join_all(attempts).await;

        let created = outcomes
            .iter()
            .filter(|it| matches!(it, Ok(BucketCreation::Created)));
        assert_eq!(created.count(), 1, "{outcomes:?}");
        let others = outcomes.iter().filter(|it| matches!(it, Err(Error::DomainTaken)));
        assert_eq!(others.count(), 4, "{outcomes:?}");
    })
    .await;
}

#[tokio::test]
async fn buckets_are_listed_by_name_in_pages() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let ann = user(&world, "ann").await;
        for bucket in ["b-1", "a-2", "a-10", "a-1"] {
            world.tracker.create_bucket(create(bucket, &ann)).await.unwrap();
        }
        let list = async |prefix: &str, after: Option<&str>, limit| {
            let request = ListBuckets {
                owner: Some(ann.clone()),
                prefix: prefix.to_owned(),
                after: after.map(str::to_owned),
                limit,
            };
            let page = world.tracker.list_buckets(request).await.unwrap();
            let names = page.entries.iter().map(|it| it.domain.name.as_str().to_owned());
            (names.collect::<Vec<_>>(), page.more)
        };

        assert_eq!(
            list("a-", None, 2).await,
            (vec!["a-1".to_owned(), "a-10".to_owned()], true)
        );
        assert_eq!(list("a-", Some("a-10"), 2).await, (vec!["a-2".to_owned()], false));
        assert_eq!(list("", Some("a-2"), 10).await.0, ["b-1"]);
        let all = ListBuckets {
            limit: 10,
            ..ListBuckets::default()
        };
        assert_eq!(world.tracker.list_buckets(all).await.unwrap().entries.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn only_an_empty_bucket_is_removed_and_its_uploads_go_with_it() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1, 2]]).await;
        world.put("key", b"bytes").await;
        let upload = world
            .tracker
            .create_upload(CreateUpload {
                key: key("large"),
                class: world.class().await,
                owner: UserId::root(),
                attributes: Attributes::default(),
                tags: Vec::new(),
                checksum: None,
            })
            .await
            .unwrap();
        let opened = world.open().await;
        let fid = opened.fid;
        let stored = world.write(&opened, b"part", 2).await;
        let part = PutPart {
            upload: upload.id,
            number: PartNumber::new(1).unwrap(),
            opened,
            stored,
            checksum: None,
        };
        world.tracker.put_part(part).await.unwrap();

        let filled = world.tracker.delete_bucket(&name("bucket")).await;
        assert!(matches!(filled, Err(Error::DomainNotEmpty)), "{filled:?}");
        world.delete("key").await;
        world.tracker.delete_bucket(&name("bucket")).await.unwrap();
        world.collect().await;

        assert!(world.on_disk(fid).is_empty());
        let gone = world.tracker.bucket("bucket").await;
        assert!(matches!(gone, Err(Error::UnknownDomain)), "{gone:?}");
        let gone = world.tracker.delete_bucket(&name("bucket")).await;
        assert!(matches!(gone, Err(Error::UnknownDomain)), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn an_upload_into_a_bucket_that_was_removed_does_not_reach_the_next() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1, 2]]).await;
        let opened = world.open().await;
        let fid = opened.fid;
        let stored = world.write(&opened, b"late", 2).await;

        world.tracker.delete_bucket(&name("bucket")).await.unwrap();
        world
            .tracker
            .create_bucket(create("another", &UserId::root()))
            .await
            .unwrap();
        let late = world.record("key", opened, stored).await;
        world.collect().await;

        assert!(matches!(late, Err(Error::UnknownDomain)), "{late:?}");
        assert!(world.on_disk(fid).is_empty());
    })
    .await;
}

#[tokio::test]
async fn storage_classes_are_made_when_they_are_first_used() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let class = async |text: &str| {
            let name = ClassName::parse(text).unwrap();
            world.tracker.class_named(world.domain, &name).await
        };

        for (storage_class, expected, copies) in [
            ("STANDARD", "default", 2),
            ("INTELLIGENT_TIERING", "default", 2),
            ("REDUCED_REDUNDANCY", "reduced_redundancy", 1),
            ("STANDARD_IA", "standard_ia", 2),
            ("Reduced_Redundancy", "reduced_redundancy", 1),
        ] {
            let found = class(storage_class).await.unwrap();
            assert_eq!((found.name.as_str(), found.mindevcount), (expected, copies));
        }
        let both = futures_util::join!(class("GLACIER_IR"), class("GLACIER_IR"));
        assert_eq!(both.0.unwrap(), both.1.unwrap());
        for unknown in ["GLACIER", "DEEP_ARCHIVE", "EXPRESS_ONEZONE", "mine"] {
            let refused = class(unknown).await;
            assert!(matches!(refused, Err(Error::UnknownClass)), "{refused:?}");
        }
    })
    .await;
}
