//! Fids reserved, ended, and forgotten by their owners.

use mogul_storage::DevId;
use mogul_tracker::{
    Error,
    command::{
        devices::LocalHost,
        files::{Copies, CreateOpen},
    },
    meta::fid_blocks,
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World, dev},
};

async fn blocks(world: &World) -> usize {
    let mut tx = world.db.reader().await.unwrap();
    fid_blocks::blocks(&mut tx).await.unwrap().len()
}

#[tokio::test]
async fn an_upload_goes_to_different_hosts_and_never_twice_to_a_device() {
    let world = World::new(&[&[1, 2], &[3]]).await;

    for _ in 0..50 {
        let mut devices: Vec<DevId> = world.open().await.targets.iter().map(|t| t.device).collect();
        devices.sort_unstable();
        assert!(
            devices == [dev(1), dev(3)] || devices == [dev(2), dev(3)],
            "{devices:?}"
        );
    }
}

#[tokio::test]
async fn fids_are_never_handed_out_twice_across_blocks_and_restarts() {
    let mut world = World::new(&[&[1]]).await;
    let mut seen = std::collections::BTreeSet::new();

    for round in 0..3 {
        for _ in 0..1_500 {
            assert!(seen.insert(world.open().await.fid), "round {round}");
        }
        world.restart().await;
    }
}

#[tokio::test]
async fn no_device_with_room_is_an_answer() {
    let world = World::new(&[&[1]]).await;
    let class = world.class().await;

    let refused = world
        .tracker
        .create_open(CreateOpen {
            class: &class,
            size: Some(u64::MAX / 2),
            copies: Copies::OfClass,
            prefer: &[],
        })
        .await;

    assert!(matches!(refused, Err(Error::NoDevices)), "{refused:?}");
}

#[tokio::test]
async fn what_is_abandoned_is_gone_at_once_or_when_its_device_is_back() {
    let world = World::new(&[&[1], &[2]]).await;
    let opened = world.open().await;
    let stored = world.write(&opened, b"bytes", 2).await;
    world.mood(2, Mood::Away);

    world.tracker.abandon(&opened, &stored.devices).await.unwrap();
    assert_eq!(world.on_disk(opened.fid), [dev(2)]);

    world.mood(2, Mood::Well);
    world.collect().await;
    assert!(world.on_disk(opened.fid).is_empty());
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1, 2]]).await;
        let opened = world.open().await;
        world.write(&opened, b"bytes", 2).await;
        let fid = opened.fid;

        drop(opened);
        world.collect().await;

        assert!(world.on_disk(fid).is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_object_whose_request_is_dropped_after_it_was_recorded_stays() {
    let world = World::new(&[&[1, 2]]).await;
    let opened = world.open().await;
    let stored = world.write(&opened, b"bytes", 2).await;

    {
        let mut recording = std::pin::pin!(world.record("key", opened, stored));
        let begun = futures_util::poll!(&mut recording);
        assert!(begun.is_pending());
    }
    while world
        .tracker
        .object(world.domain, &crate::world::key("key"))
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
    world.collect().await;

    assert_eq!(world.read("key").await, b"bytes");
}

#[tokio::test]
async fn what_a_dead_process_had_begun_is_collected_and_what_it_answered_for_stays() {
    let mut world = World::new(&[&[1, 2]]).await;
    world.put("kept", b"kept").await;
    let opened = world.open().await;
    world.write(&opened, b"lost", 2).await;
    let fid = opened.fid;

    // Nothing of the dead process runs any more, not even the drop of what it held.
    std::mem::forget(opened);
    world.restart().await;
    world.collect().await;

    assert!(world.on_disk(fid).is_empty());
    assert_eq!(world.read("kept").await, b"kept");
    assert_eq!(
        blocks(&world).await,
        1,
        "only the block of the process that lives"
    );
}

#[tokio::test]
async fn a_dead_processs_block_waits_for_a_device_that_is_away() {
    let mut world = World::new(&[&[1, 2]]).await;
    let opened = world.open().await;
    world.write(&opened, b"lost", 2).await;
    let fid = opened.fid;
    std::mem::forget(opened);
    world.mood(2, Mood::Away);

    world.restart().await;
    world.collect().await;
    assert_eq!(world.on_disk(fid), [dev(2)]);
    assert_eq!(blocks(&world).await, 2);

    world.mood(2, Mood::Well);
    world.monitor().await;
    world.collect().await;
    assert!(world.on_disk(fid).is_empty());
    assert_eq!(blocks(&world).await, 1);
}

#[tokio::test]
async fn a_clean_shutdown_leaves_no_block() {
    let world = World::new(&[&[1, 2]]).await;
    world.put("key", b"bytes").await;
    drop(world.open().await);

    world.tracker.close().await.unwrap();

    assert_eq!(blocks(&world).await, 0);
}

#[tokio::test]
async fn a_device_of_another_host_is_not_registered() {
    let world = World::new(&[&[1], &[2]]).await;
    let host = |ip: &str| LocalHost {
        name: "host1".to_owned(),
        ip: ip.to_owned(),
        port: 7501,
    };

    let stolen = world.tracker.register_local(host("127.0.0.1"), &[dev(2)]).await;
    let taken = world.tracker.register_local(host("127.0.0.2"), &[dev(1)]).await;
    let again = world.tracker.register_local(host("127.0.0.1"), &[dev(1)]).await;

    assert!(matches!(stolen, Err(Error::Invalid { .. })), "{stolen:?}");
    assert!(matches!(taken, Err(Error::Invalid { .. })), "{taken:?}");
    again.unwrap();
    assert_eq!(world.tracker.view().devices().count(), 2);
}
