//! Devices that stay away, and come back.

use std::time::Duration;

use mogul_storage::DevId;
use mogul_tracker::{
    clock::Clock,
    command::fsck::FsckReset,
    jobs::{Job, Next, fsck::Fsck, reaper::Reaper},
    meta::{Sql, sql::sql},
    model::FsckScope,
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World, dev},
};

const SEEN: Sql = sql("update device set mb_asof = ? where devid = ?");

/// The setting `auto_dead_after` of a new cluster.
const GRACE: Duration = Duration::from_hours(1);

/// What the jobs of a tracker do while time passes, in steps of a quarter of an hour.
async fn pass(world: &World, reaper: &mut Reaper, time: Duration) {
    let end = world.clock.now().after(time);
    while world.clock.now() < end {
        world.clock.advance(Duration::from_mins(15));
        look(world, reaper).await;
    }
    // Where others share the database they have to learn of it before anything is queued.
    world.clock.advance(Duration::from_secs(16));
    look(world, reaper).await;
}

async fn look(world: &World, reaper: &mut Reaper) {
    world.monitor().await;
    while reaper.step().await.unwrap() == Next::Again {}
    world.replicate().await;
}

fn absent(world: &World) -> Vec<DevId> {
    let view = world.tracker.view();
    let absent = view.devices().filter(|device| device.absent.is_some());
    absent.map(|device| device.device.id).collect()
}

async fn watched(world: &World) -> Reaper {
    let mut reaper = Reaper::new(&world.tracker);
    look(world, &mut reaper).await;
    reaper
}

#[tokio::test]
async fn what_a_device_that_stays_away_has_is_copied_elsewhere_and_the_surplus_goes_when_it_is_back() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        for number in 0..20 {
            world.put(&format!("key{number}"), b"bytes").await;
        }
        let mut reaper = watched(&world).await;
        let on_first = async |world: &World| {
            let mut on = 0;
            for number in 0..20 {
                let object = world.object(&format!("key{number}")).await;
                on += usize::from(object.replicas.contains(&dev(1)));
            }
            on
        };
        let before = on_first(&world).await;
        assert!(before > 0, "twenty files are not all on two of three devices");

        world.mood(1, Mood::Away);
        pass(&world, &mut reaper, GRACE / 2).await;
        assert_eq!(absent(&world), []);
        pass(&world, &mut reaper, GRACE).await;

        assert_eq!(absent(&world), [dev(1)]);
        assert_eq!(on_first(&world).await, before, "its copies stay on record");
        for number in 0..20 {
            let object = world.object(&format!("key{number}")).await;
            let elsewhere = object.replicas.iter().filter(|device| **device != dev(1));
            assert_eq!(elsewhere.count(), 2, "{object:?}");
        }
        let scope = FsckScope::Files;
        world
            .tracker
            .fsck_reset(FsckReset { scope, after: 0 })
            .await
            .unwrap();
        world.tracker.fsck_start().await.unwrap();
        world.run(Fsck::new(&world.tracker)).await;
        let log = world.tracker.fsck_log(0).await.unwrap();
        assert!(log.is_empty(), "fsck agrees: {log:?}");

        world.mood(1, Mood::Well);
        pass(&world, &mut reaper, Duration::from_mins(15)).await;

        assert_eq!(absent(&world), []);
        for number in 0..20 {
            let object = world.object(&format!("key{number}")).await;
            let mut on_record = object.replicas.clone();
            on_record.sort_unstable();
            assert_eq!(on_record.len(), 2);
            assert_eq!(world.on_disk(object.fid), on_record);
        }
        assert_eq!(world.tracker.backlog().await.unwrap().to_replicate, 0);
    })
    .await;
}

#[tokio::test]
async fn a_second_host_that_vanishes_is_left_to_a_person() {
    let world = World::new(&[&[1, 2], &[3], &[4]]).await;
    let mut reaper = watched(&world).await;
    for device in [1, 2] {
        world.mood(device, Mood::Away);
    }
    pass(&world, &mut reaper, Duration::from_mins(15)).await;
    world.mood(3, Mood::Away);

    pass(&world, &mut reaper, GRACE * 2).await;

    assert_eq!(absent(&world), [dev(1), dev(2)]);
    assert_eq!(world.tracker.vanished(), 1);
}

#[tokio::test]
async fn a_tracker_that_no_device_answers_decides_nothing() {
    let world = World::new(&[&[1], &[2]]).await;
    let mut reaper = watched(&world).await;
    for device in [1, 2] {
        world.mood(device, Mood::Away);
    }

    pass(&world, &mut reaper, GRACE * 3).await;

    assert_eq!(absent(&world), []);
}

#[tokio::test]
async fn a_device_that_another_tracker_sees_is_not_away() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    let mut reaper = watched(&world).await;
    world.mood(1, Mood::Away);

    for _ in 0..12 {
        let now = world.clock.now().secs();
        let seen = world.db.write(move |tx| {
            Box::pin(async move { Ok(tx.run(&SEEN, vec![now.into(), 1_u8.into()]).await?) })
        });
        seen.await.unwrap();
        pass(&world, &mut reaper, Duration::from_mins(15)).await;
    }

    assert_eq!(absent(&world), []);
}

#[tokio::test]
async fn nobody_is_given_up_where_the_operator_has_switched_it_off() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world
        .tracker
        .set_server_setting("auto_dead_after", "0")
        .await
        .unwrap();
    let mut reaper = watched(&world).await;
    world.mood(1, Mood::Away);

    pass(&world, &mut reaper, GRACE * 3).await;

    assert_eq!(absent(&world), []);
}
