//! Classes whose copies lie in network zones: from the first write, when the zones change, while one of them is away.

use std::time::Duration;

use mogul_storage::{DevId, Fid};
use mogul_tracker::{
    command::{Change, classes::UpdateClass},
    jobs::fsck::Fsck,
    meta::{Db, DbConfig},
    model::ClassName,
    policy::PolicyText,
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World},
};

async fn set(world: &World, key: &str, value: &str) {
    world.tracker.set_server_setting(key, value).await.unwrap();
}

/// Gives the class `default` a policy.
async fn follow(world: &World, policy: &str) {
    let request = UpdateClass {
        domain: "bucket".to_owned(),
        name: ClassName::default_class(),
        mindevcount: Some(2),
        policy: Change::Set(PolicyText::parse(policy).unwrap()),
        hash: Change::Keep,
    };
    world.tracker.update_class(request).await.unwrap();
}

/// Three hosts of two devices each; the third is far away.
async fn near_and_far(db: Db) -> World {
    let world = World::on(db, &[&[1, 2], &[3, 4], &[5, 6]]).await;
    set(&world, "network_zones", "near,far").await;
    set(&world, "zone_near", "127.0.0.0/8").await;
    set(&world, "zone_far", "127.0.0.3/32").await;
    world
}

async fn fresh() -> Db {
    let db = Db::open(DbConfig::Memory).await.unwrap();
    db.migrate().await.unwrap();
    db
}

/// Stores an object with two copies.
async fn put(world: &World, name: &str) -> Fid {
    world.put(name, b"hello").await;
    world.object(name).await.fid
}

/// How many copies lie on each of the three hosts.
fn spread(world: &World, fid: Fid) -> [usize; 3] {
    let on = world.on_disk(fid);
    [1, 3, 5].map(|first| {
        let its = |device: &&DevId| [first, first + 1].contains(&device.get());
        on.iter().filter(its).count()
    })
}

#[tokio::test]
async fn new_files_are_written_where_the_zones_of_their_class_are() {
    for_each_engine(async |db| {
        let world = near_and_far(db).await;
        for (policy, expected) in [
            ("HostsPerNetwork(near=2,far=1)", [1, 1, 1]),
            ("HostsPerNetwork(far=2)", [0, 0, 2]),
            ("Union(MultipleHosts(3),HostsPerNetwork(far=2))", [1, 1, 2]),
        ] {
            follow(&world, policy).await;
            for name in ["a", "b", "c", "d"] {
                let fid = put(&world, name).await;
                world.replicate().await;

                assert_eq!(spread(&world, fid), expected, "{policy}");
            }
        }
        follow(&world, "MultipleNetworks()").await;
        for name in ["a", "b", "c", "d"] {
            let fid = put(&world, name).await;

            let [one, two, far] = spread(&world, fid);
            assert_eq!((one + two, far), (1, 1));
        }
    })
    .await;
}

#[tokio::test]
async fn files_move_when_their_class_wants_them_in_another_zone() {
    let world = near_and_far(fresh().await).await;
    follow(&world, "HostsPerNetwork(near=2)").await;
    let fid = put(&world, "k").await;
    assert_eq!(spread(&world, fid), [1, 1, 0]);

    follow(&world, "HostsPerNetwork(near=1,far=1)").await;
    world.tracker.fsck_start().await.unwrap();
    world.run(Fsck::new(&world.tracker)).await;
    world.replicate().await;

    let [one, two, far] = spread(&world, fid);
    assert_eq!((one + two, far), (1, 1), "the spare one is gone");
    assert_eq!(world.read("k").await, b"hello");
}

#[tokio::test]
async fn a_copy_stands_in_for_one_in_a_zone_that_is_away() {
    let world = near_and_far(fresh().await).await;
    follow(&world, "HostsPerNetwork(near=1,far=1)").await;
    for device in [5, 6] {
        world.mood(device, Mood::Away);
    }
    world.monitor().await;
    let fid = put(&world, "k").await;
    let [one, two, far] = spread(&world, fid);
    assert_eq!((one + two, far), (2, 0));

    for device in [5, 6] {
        world.mood(device, Mood::Well);
    }
    world.monitor().await;
    world.clock.advance(Duration::from_hours(1));
    world.replicate().await;

    let [one, two, far] = spread(&world, fid);
    assert_eq!((one + two, far), (1, 1));
}
