//! Rebalance, a step at a time.

use std::time::Duration;

use mogul_storage::Fid;
use mogul_tracker::{
    Error,
    jobs::{Job, Next, rebalance::Rebalance},
    meta::{Sql, sql::sql},
    model::DeviceStatus,
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World, dev},
};

const SETTING: Sql = sql("insert into server_settings (field, value) values (?, ?)");
const QUEUED: Sql = sql("select fid from file_to_queue order by fid limit 1000");
const OFFERED: Sql = sql("select arg from file_to_queue order by fid limit 1000");
const STATUS: Sql = sql("update device set status = ? where devid = ?");
const FILLED: Sql = sql("update device set mb_total = 1000, mb_used = ?, mb_asof = ? where devid = ?");

impl World {
    async fn rebalance(&self, policy: &str) {
        self.tracker.rebalance_set_policy(policy).await.unwrap();
        self.tracker.rebalance_start().await.unwrap();
        self.run(Rebalance::new(&self.tracker)).await;
    }

    /// How many of the objects have a copy on a device, by the tables; the files are where the tables say.
    pub(crate) async fn copies_on(&self, device: u32, names: &[String]) -> usize {
        let mut copies = 0;
        for name in names {
            let object = self.object(name).await;
            let mut on_record = object.replicas.clone();
            on_record.sort_unstable();
            assert_eq!(self.on_disk(object.fid), on_record, "{name}");
            copies += usize::from(object.replicas.contains(&dev(device)));
        }
        copies
    }

    /// Runs a rebalance while no device takes a copy. Answers which devices were offered for each file.
    async fn offered(&self, policy: &str) -> Vec<String> {
        for device in self.tracker.view().devices() {
            self.mood(device.device.id.get(), Mood::ReadOnly);
        }
        self.rebalance(policy).await;
        let rows = self.ask(&OFFERED, vec![]).await;
        rows.iter().map(|row| row.text(0).unwrap()).collect()
    }

    /// The fids of the objects that have a copy on a device, oldest first.
    async fn fids_on(&self, device: u32, names: &[String]) -> Vec<Fid> {
        let mut fids = Vec::new();
        for name in names {
            let object = self.object(name).await;
            if object.replicas.contains(&dev(device)) {
                fids.push(object.fid);
            }
        }
        fids.sort_unstable();
        fids
    }

    fn status_of(&self, device: u32) -> DeviceStatus {
        self.tracker.view().device(dev(device)).unwrap().device.status
    }
}

/// Ten objects with two copies each on three hosts.
async fn ten_objects(world: &World) -> Vec<String> {
    let names: Vec<String> = (0..10).map(|number| format!("key{number}")).collect();
    for name in &names {
        world.put(name, b"bytes").await;
    }
    names
}

#[tokio::test]
async fn a_rebalance_moves_all_copies_off_a_device() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        let names = ten_objects(&world).await;
        let moved = world.copies_on(1, &names).await;

        world.rebalance("from_devices=1 leave_in_drain_mode=1").await;

        assert_eq!(world.copies_on(1, &names).await, 0);
        for name in &names {
            assert_eq!(world.object(name).await.replicas.len(), 2, "{name}");
            assert_eq!(world.read(name).await, b"bytes");
        }
        let state = world.tracker.rebalance_status().await.unwrap();
        assert_eq!(state.fids_queued, u64::try_from(moved).unwrap());
        assert_eq!(state.completed, [dev(1)]);
        assert_eq!(state.finished, 1_700_000_000);
        let device = world.tracker.view().device(dev(1)).unwrap().device.status;
        assert_eq!(device, DeviceStatus::Drain);
        assert!(world.ask(&QUEUED, vec![]).await.is_empty());
        assert_eq!(world.tracker.backlog().await.unwrap().to_replicate, 0);
    })
    .await;
}

#[tokio::test]
async fn a_limit_is_kept_to_the_file() {
    let world = World::new(&[&[1, 2], &[3]]).await;
    let names = ten_objects(&world).await;
    let before = world.copies_on(3, &names).await;
    assert_eq!(before, 10, "one copy of each is on the second host");
    let on_first = world.copies_on(1, &names).await;
    assert!(on_first > 2);

    world
        .rebalance("from_devices=1 to_devices=2 limit_type=device limit_by=count limit=2")
        .await;

    assert_eq!(world.copies_on(1, &names).await, on_first - 2);
    let device = world.tracker.view().device(dev(1)).unwrap().device.status;
    assert_eq!(device, DeviceStatus::Alive, "it takes files again");
}

#[tokio::test]
async fn copies_that_would_lie_worse_than_before_stay() {
    let world = World::new(&[&[1], &[2, 3]]).await;
    let names = ten_objects(&world).await;

    world.rebalance("from_devices=1 to_devices=2,3").await;
    for _ in 0..6 {
        world.clock.advance(Duration::from_hours(1));
        world.run(Rebalance::new(&world.tracker)).await;
    }

    assert_eq!(world.copies_on(1, &names).await, 10);
    assert!(
        world.ask(&QUEUED, vec![]).await.is_empty(),
        "the moves are given up"
    );
}

#[tokio::test]
async fn a_rebalance_that_is_stopped_goes_on_where_it_was() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        let names = ten_objects(&world).await;
        world
            .run_sql(&SETTING, vec!["queue_rate_for_rebal".into(), "1".into()])
            .await;
        let tracker = &world.tracker;
        tracker.rebalance_set_policy("from_devices=1").await.unwrap();
        tracker.rebalance_start().await.unwrap();
        let mut rebalance = Rebalance::new(tracker);
        assert_eq!(rebalance.step().await.unwrap(), Next::Again);
        let status = |device| tracker.view().device(dev(device)).unwrap().device.status;
        assert_eq!(status(1), DeviceStatus::Drain);

        tracker.rebalance_stop().await.unwrap();
        while rebalance.step().await.unwrap() == Next::Again {}
        assert_eq!(status(1), DeviceStatus::Alive);
        assert!(world.copies_on(1, &names).await > 0);
        assert!(tracker.rebalance_status().await.unwrap().stopped > 0);

        tracker.rebalance_start().await.unwrap();
        world.run(Rebalance::new(tracker)).await;
        assert_eq!(world.copies_on(1, &names).await, 0);
    })
    .await;
}

#[tokio::test]
async fn auto_moves_from_the_fullest_device_to_the_emptiest_until_nothing_more_can_be_moved() {
    for_each_engine(async |db| {
        let mut world = World::on(db, &[&[1], &[2], &[3]]).await;
        let names = ten_objects(&world).await;
        let on = async |device| world.copies_on(device, &names).await;
        let (full, empty) = (on(1).await, on(3).await);
        let mut movable = 0;
        for name in &names {
            let mut on = world.object(name).await.replicas;
            on.sort_unstable();
            movable += usize::from(on == [dev(1), dev(2)]);
        }
        assert!(movable > 0);
        for (device, used) in [(1_u32, 900_i64), (2, 500), (3, 100)] {
            let figures = vec![used.into(), i64::from(i32::MAX).into(), device.into()];
            world.run_sql(&FILLED, figures).await;
        }
        world.monitor().await;
        let tracker = &world.tracker;

        tracker.rebalance_set_policy("auto within=3").await.unwrap();
        let test = tracker.rebalance_test().await.unwrap();
        assert_eq!((test.sources, test.targets), (vec![dev(1)], vec![dev(3)]));
        tracker.rebalance_start().await.unwrap();
        assert_eq!(Rebalance::new(tracker).step().await.unwrap(), Next::Again);
        tracker.rebalance_stop().await.unwrap();
        world.run(Rebalance::new(tracker)).await;
        world.restart().await;
        world.tracker.rebalance_start().await.unwrap();
        let mut rounds = 0;
        while world.tracker.rebalance_status().await.unwrap().finished == 0 {
            rounds += 1;
            assert!(rounds < 20, "{}", world.tracker.rebalance_status().await.unwrap());
            world.run(Rebalance::new(&world.tracker)).await;
            world.clock.advance(Duration::from_secs(1));
        }

        let on = async |device| world.copies_on(device, &names).await;
        assert_eq!((on(1).await, on(3).await), (full - movable, empty + movable));
        for name in &names {
            assert_eq!(world.object(name).await.replicas.len(), 2, "{name}");
        }
        let device = world.tracker.view().device(dev(1)).unwrap().device.status;
        assert_eq!(device, DeviceStatus::Alive);
        assert!(world.ask(&QUEUED, vec![]).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn fsck_and_rebalance_keep_out_of_each_others_way() {
    let world = World::new(&[&[1], &[2]]).await;
    let tracker = &world.tracker;
    let refused = |outcome: Result<(), Error>| match outcome {
        Err(Error::Run(reason)) => reason.to_string(),
        other => panic!("{other:?}"),
    };

    assert_eq!(
        refused(tracker.rebalance_start().await.map(drop)),
        "No rebalance policy available"
    );
    assert_eq!(
        refused(tracker.rebalance_status().await.map(drop)),
        "No available rebalance status"
    );
    assert_eq!(refused(tracker.rebalance_stop().await), "Rebalance not running");
    tracker.rebalance_set_policy("from_devices=1").await.unwrap();
    tracker.rebalance_start().await.unwrap();
    assert_eq!(
        refused(tracker.fsck_start().await),
        "rebalance running; cannot run fsck at same time"
    );
    assert_eq!(
        refused(tracker.rebalance_set_policy("from_devices=2").await),
        "cannot change rebalance policy while rebalance is running"
    );
    assert_eq!(refused(tracker.rebalance_reset().await), "rebalance is running");
    tracker.rebalance_stop().await.unwrap();
    world.run(Rebalance::new(tracker)).await;
    tracker.rebalance_reset().await.unwrap();

    tracker.fsck_start().await.unwrap();
    assert_eq!(
        refused(tracker.rebalance_start().await.map(drop)),
        "fsck running; cannot run rebalance at same time"
    );
}

#[tokio::test]
async fn all_source_devices_have_their_turn_and_each_has_the_limit_to_itself() {
    let world = World::new(&[&[1, 2, 3, 4]]).await;
    let names = ten_objects(&world).await;
    let before = [world.copies_on(1, &names).await, world.copies_on(2, &names).await];
    assert!(before.iter().all(|copies| *copies > 2), "{before:?}");

    world
        .rebalance("from_devices=1,2 to_devices=3,4 limit_type=device limit_by=count limit=2")
        .await;

    let after = [world.copies_on(1, &names).await, world.copies_on(2, &names).await];
    assert_eq!(after, before.map(|copies| copies - 2));
    let state = world.tracker.rebalance_status().await.unwrap();
    assert_eq!((state.completed, state.fids_queued), (vec![dev(1), dev(2)], 4));
    assert_eq!([world.status_of(1), world.status_of(2)], [DeviceStatus::Alive; 2]);
}

#[tokio::test]
async fn a_limit_of_the_whole_run_is_not_begun_anew_with_each_device() {
    let world = World::new(&[&[1, 2, 3, 4]]).await;
    let names = ten_objects(&world).await;

    world
        .rebalance("from_devices=1,2 to_devices=3,4 limit_type=global limit_by=count limit=3")
        .await;

    let state = world.tracker.rebalance_status().await.unwrap();
    assert_eq!((state.fids_queued, state.bytes_queued), (3, 15));
    assert!(state.finished > 0 && world.tracker.rebalance_host().await.unwrap().is_none());
    for name in &names {
        assert_eq!(world.object(name).await.replicas.len(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_limit_of_bytes_is_never_passed() {
    let world = World::new(&[&[1, 2], &[3]]).await;
    let names = ten_objects(&world).await;
    let before = world.copies_on(1, &names).await;

    // Files of five bytes: the third would be beyond it.
    world
        .rebalance("from_devices=1 to_devices=2 limit_by=size limit=14b")
        .await;

    assert_eq!(world.copies_on(1, &names).await, before - 2);
    assert_eq!(world.tracker.rebalance_status().await.unwrap().bytes_queued, 10);
}

#[tokio::test]
async fn the_oldest_or_the_newest_files_are_moved_first() {
    for age in ["old", "new"] {
        let world = World::new(&[&[1, 2], &[3]]).await;
        let names = ten_objects(&world).await;
        let before = world.fids_on(1, &names).await;
        assert!(before.len() > 2);

        let policy = format!("from_devices=1 to_devices=2 limit_by=count limit=2 fid_age={age}");
        world.rebalance(&policy).await;

        let stayed = match age {
            "old" => &before[2..],
            _ => &before[..before.len() - 2],
        };
        assert_eq!(world.fids_on(1, &names).await, stayed, "{age}");
    }
}

#[tokio::test]
async fn as_many_targets_are_offered_for_a_file_as_the_policy_says() {
    for (policy, offered) in [("", 3), (" use_dest_devs=all", 3), (" use_dest_devs=2", 2)] {
        let world = World::new(&[&[1, 2, 3, 4]]).await;
        ten_objects(&world).await;

        let offers = world.offered(&format!("from_devices=1{policy}")).await;

        assert!(!offers.is_empty());
        for offer in offers {
            let mut targets: Vec<&str> = offer.split(',').collect();
            targets.sort_unstable();
            targets.dedup();
            assert_eq!(targets.len(), offered, "{policy}: {offer}");
            assert!(!targets.contains(&"1"), "{policy}: {offer}");
        }
    }
}

#[tokio::test]
async fn where_no_device_takes_copies_a_run_waits_and_says_so_until_one_does() {
    let world = World::new(&[&[1, 2], &[3]]).await;
    let names = ten_objects(&world).await;
    world
        .run_sql(&SETTING, vec!["queue_rate_for_rebal".into(), "100".into()])
        .await;
    let set = async |status: &'static str| {
        world.run_sql(&STATUS, vec![status.into(), dev(2).into()]).await;
        world.monitor().await;
    };
    set("readonly").await;

    world.rebalance("from_devices=1 to_devices=2").await;

    let state = world.tracker.rebalance_status().await.unwrap();
    assert!(state.empty_runs > 0 && state.latest_empty_run > 0, "{state}");
    assert!(
        world.tracker.rebalance_host().await.unwrap().is_some(),
        "it waits"
    );
    assert!(world.copies_on(1, &names).await > 0);

    set("alive").await;
    world.run(Rebalance::new(&world.tracker)).await;
    assert_eq!(world.copies_on(1, &names).await, 0);
    assert_eq!(world.status_of(1), DeviceStatus::Alive);
}
