//! Files as the tracker port finds, describes and changes them.

use std::time::Duration;

use mogul_storage::{
    DevFid, DevId,
    utilization::{Report, Utilization},
};
use mogul_tracker::{
    Error,
    command::{
        devices::LocalHost,
        lookup::FirstCopy,
        objects::{ListFrom, ListObjects},
    },
    model::{ClassId, ETag},
    url::{Reader, Zone},
};

use crate::{
    engines::for_each_engine,
    stock::Stock,
    tempfiles::store,
    world::{Mood, World, dev, key},
};

async fn paths(world: &World, name: &str, first: FirstCopy, count: usize) -> Vec<DevId> {
    let name = key(name);
    let found = world
        .tracker
        .file_paths((world.domain, &name), first, count)
        .await;
    found.unwrap().into_iter().map(|at| at.device).collect()
}

#[tokio::test]
async fn a_files_paths_are_where_its_copies_are() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 3).await;
        let at = store(&world, "k", b"hello").await;
        assert_eq!(paths(&world, "k", FirstCopy::Checked, 2).await, [at.device]);

        world.replicate().await;

        let mut found = paths(&world, "k", FirstCopy::Checked, 5).await;
        found.sort_unstable();
        assert_eq!(found, world.on_disk(at.fid));
        let missing = world
            .tracker
            .file_paths((world.domain, &key("none")), FirstCopy::Checked, 2)
            .await;
        assert!(matches!(missing, Err(Error::UnknownKey)));
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_is_gone_is_not_named_unless_nobody_looks() {
    let world = World::new(&[&[1, 2]]).await;
    let at = store(&world, "k", b"hello").await;
    std::fs::remove_file(world.path(at.device, at.fid)).unwrap();

    assert!(paths(&world, "k", FirstCopy::Checked, 2).await.is_empty());
    assert_eq!(paths(&world, "k", FirstCopy::Unchecked, 2).await, [at.device]);
}

#[tokio::test]
async fn a_device_that_is_away_is_named_when_there_is_no_other() {
    let world = World::new(&[&[1], &[2]]).await;
    let at = store(&world, "k", b"hello").await;
    world.replicate().await;
    world.mood(at.device.get(), Mood::Away);
    world.monitor().await;

    let other = dev(3 - at.device.get());
    assert_eq!(paths(&world, "k", FirstCopy::Checked, 2).await, [other]);
    world.mood(other.get(), Mood::Away);
    world.monitor().await;
    assert_eq!(paths(&world, "k", FirstCopy::Checked, 2).await.len(), 1);
}

#[tokio::test]
async fn a_copy_on_a_busy_disk_is_seldom_offered_first() {
    let world = World::new(&[&[1], &[2]]).await;
    store(&world, "k", b"hello").await;
    world.replicate().await;
    let host = world.tracker.view().device(dev(1)).unwrap().device.host;
    let told = Report::from([
        (dev(1), Some(Utilization::FULL)),
        (dev(2), Some(Utilization::FULL)),
    ]);
    let first_is_one = async || {
        let mut count = 0;
        for _ in 0..400 {
            let found = paths(&world, "k", FirstCopy::Unchecked, 2).await;
            count += u32::from(found[0] == dev(1));
        }
        count
    };
    assert!((140..260).contains(&first_is_one().await), "half and half");

    world.tracker.utilization_told(host, &told);

    assert_eq!(world.tracker.utilization(dev(1)), Some(Utilization::FULL));
    assert_eq!(world.tracker.utilization(dev(2)), None, "another host's device");
    assert!(first_is_one().await < 40);
    // A host that tells nothing any more is as good as one that never did.
    world.clock.advance(Duration::from_secs(11));
    assert_eq!(world.tracker.utilization(dev(1)), None);
    assert!((140..260).contains(&first_is_one().await));
}

#[tokio::test]
async fn a_device_that_hangs_keeps_one_reader_waiting_and_not_all() {
    let mut world = World::new(&[&[1], &[2]]).await;
    store(&world, "k", b"hello").await;
    world.replicate().await;
    world.restart_at(1).await;
    world.mood(2, Mood::Hung);

    let (tracker, domain) = (world.tracker.clone(), world.domain);
    let readers = tokio::spawn(async move {
        for _ in 0..60 {
            let file = (domain, &key("k"));
            let found = tracker.file_paths(file, FirstCopy::Checked, 1).await.unwrap();
            assert_eq!(found.first().map(|at| at.device), Some(dev(1)));
        }
    });
    let mut waited = 0;
    while !readers.is_finished() {
        if world.is_awaited(2) {
            waited += 1;
            world.clock.advance(Duration::from_secs(2));
            world.mood(2, Mood::Hung);
        }
        tokio::task::yield_now().await;
    }

    readers.await.unwrap();
    // About every second of them draws the device that hangs first.
    assert!((1..=6).contains(&waited), "{waited} waited");
}

#[tokio::test]
async fn a_url_has_the_address_of_the_host() {
    let world = World::new(&[&[1]]).await;
    let at = store(&world, "k", b"hello").await;
    let reader = Reader {
        ip: "127.0.0.1".parse().unwrap(),
        zone: Zone::OfClient,
    };

    let url = world.tracker.view().read_url(at, reader).unwrap();

    assert_eq!(url, format!("http://127.0.0.1:7500{}", at.path()));
    let nowhere = DevFid { device: dev(9), ..at };
    assert_eq!(world.tracker.view().read_url(nowhere, reader), None);
    let moved = LocalHost {
        name: "host1".to_owned(),
        ip: "127.0.0.7".to_owned(),
        port: 7501,
    };
    world.tracker.register_local(moved, &[dev(1)]).await.unwrap();
    let url = world.tracker.view().write_url(at, reader).unwrap();
    assert_eq!(url, format!("http://127.0.0.7:7501{}", at.path()));
}

#[tokio::test]
async fn a_file_is_described_by_key_and_by_fid() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        let at = store(&world, "k", b"hello").await;

        let (file, checksum) = world.tracker.file_info(world.domain, &key("k")).await.unwrap();
        assert_eq!((file.fid, file.size, file.devcount), (at.fid, 5, 1));
        assert_eq!((file.class, file.devices), (ClassId::DEFAULT, vec![at.device]));
        assert_eq!(checksum, None);
        let record = world.tracker.fid_record(at.fid).await.unwrap();
        assert_eq!(record.file.unwrap().key, "k");
        let queued = record.queues.replication.unwrap();
        assert_eq!(queued[0], ("fid", Some(at.fid.to_string())));
        assert_eq!(record.queues.tempfile, None);

        let opened = crate::tempfiles::open(&world, 1).await;
        let record = world.tracker.fid_record(opened.fid).await.unwrap();
        let reserved = record.queues.tempfile.unwrap();
        let devids = opened.devices[0].to_string();
        assert_eq!(reserved[3], ("devids", Some(devids)));
        assert_eq!(record.file, None);
    })
    .await;
}

#[tokio::test]
async fn files_are_listed_by_fid_without_the_parts_of_uploads() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        let first = store(&world, "b", b"1").await;
        let second = store(&world, "a", b"22").await;
        let third = store(&world, "c", b"333").await;
        crate::uploads::part_of_an_open_upload(&world).await;

        let all = world.tracker.list_fids(0, 500).await.unwrap();
        let fids: Vec<_> = all.iter().map(|file| file.fid).collect();
        assert_eq!(fids, [first.fid, second.fid, third.fid]);
        let page = world.tracker.list_fids(first.fid.get(), 1).await.unwrap();
        assert_eq!(page[0].key, "a");
    })
    .await;
}

#[tokio::test]
async fn a_file_keeps_what_it_is_under_another_name() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        let written = world.put("from", b"hello").await;
        world.put("taken", b"other").await;
        let rename = |from: &str, to: &str| world.tracker.rename_file(world.domain, key(from), key(to));

        assert!(matches!(rename("none", "to").await, Err(Error::UnknownKey)));
        assert!(matches!(rename("from", "taken").await, Err(Error::KeyTaken)));
        rename("from", "from").await.unwrap();
        rename("from", "to").await.unwrap();

        let object = world.object("to").await;
        assert_eq!(object.etag, written.etag);
        assert_eq!(object.modified, written.modified);
        assert_eq!(world.get("to").await.unwrap(), b"hello");
        assert!(matches!(world.get("from").await, Err(Error::UnknownKey)));
        assert_eq!(world.get("taken").await.unwrap(), b"other");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_file_is_gone_and_its_copies_go() {
    let world = World::new(&[&[1, 2]]).await;
    let at = store(&world, "k", b"hello").await;

    world.tracker.delete_file(world.domain, key("k")).await.unwrap();

    let again = world.tracker.delete_file(world.domain, key("k")).await;
    assert!(matches!(again, Err(Error::UnknownKey)));
    world.collect().await;
    assert!(world.on_disk(at.fid).is_empty());
}

#[tokio::test]
async fn copies_follow_the_class_that_a_file_is_given() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 3).await;
        let at = store(&world, "k", b"hello").await;
        world.replicate().await;
        let name = mogul_tracker::model::ClassName::parse("reduced_redundancy").unwrap();
        let template = world.tracker.class_named(world.domain, &name).await.unwrap();

        let modified = world.object("k").await.modified;
        let missing = world
            .tracker
            .reclass_file(world.domain, key("none"), template.clone())
            .await;
        assert!(matches!(missing, Err(Error::UnknownKey)));
        world
            .tracker
            .reclass_file(world.domain, key("k"), template.clone())
            .await
            .unwrap();

        let object = world.object("k").await;
        assert_eq!((object.class, object.modified), (template.id, modified));
        assert_eq!(object.etag, ETag::stand_in(at.fid));
    })
    .await;
}

#[tokio::test]
async fn a_listing_of_keys_has_what_either_door_stored() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        world.put("s3", b"hello").await;
        store(&world, "port", b"hello").await;
        let request = ListObjects {
            prefix: String::new(),
            delimiter: String::new(),
            from: ListFrom::Start,
            limit: 10,
        };

        let page = world.tracker.list_objects(world.domain, request).await.unwrap();

        assert_eq!(page.entries.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_object_in_parts_is_joined_when_its_paths_are_asked_for() {
    for_each_engine(async |db| {
        let mut world = Stock::new(db, 2).await;
        world.restart_joining(1).await;
        let whole = crate::uploads::three_parts(&world, [None; 3]).await;
        world.join().await;
        assert!(
            world.object("k").await.replicas.is_empty(),
            "it is above the limit"
        );
        let name = key("k");
        let mut asked = std::pin::pin!(world.tracker.file_paths(
            (world.domain, &name),
            FirstCopy::Checked,
            2
        ));

        // It waits for the clock, which stands, as soon as it has queued the object.
        let places = loop {
            let join = std::pin::pin!(world.join());
            match futures_util::future::select(asked.as_mut(), join).await {
                futures_util::future::Either::Left((places, _)) => break places,
                futures_util::future::Either::Right(_) => {
                    world.clock.advance(std::time::Duration::from_millis(20));
                }
            }
        };

        assert_eq!(places.unwrap().len(), 2);
        assert_eq!(world.get("k").await.unwrap(), whole);
    })
    .await;
}
