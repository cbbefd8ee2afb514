//! Drains of devices, a step at a time.

use std::time::Duration;

use futures_util::future;
use mogul_tracker::{
    Error,
    command::{
        devices::{DeviceChanges, DeviceRef},
        drain::{DrainReport, DrainTarget},
    },
    jobs::{Job, JobName, Next, drain::Drains, reaper::Reaper, rebalance::Rebalance},
    meta::{Sql, sql::sql},
    model::DeviceStatus,
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World, dev},
};

const STRAY: Sql = sql("insert into file_on (fid, devid) values (?, ?)");
const NO_STRAY: Sql = sql("delete from file_on where fid = ? and devid = ?");

fn device(number: u32) -> DrainTarget {
    DrainTarget::Device(DeviceRef {
        device: dev(number),
        host: None,
    })
}

impl World {
    async fn status_set(&self, number: u32, status: DeviceStatus) {
        let at = DeviceRef {
            device: dev(number),
            host: None,
        };
        let changes = DeviceChanges::status(status);
        self.tracker.change_device(at, changes).await.unwrap();
    }

    fn status(&self, number: u32) -> DeviceStatus {
        self.tracker.view().device(dev(number)).unwrap().device.status
    }

    async fn the_drain(&self) -> DrainReport {
        let mut drains = self.tracker.drains().await.unwrap();
        assert_eq!(drains.len(), 1, "{drains:?}");
        drains.remove(0)
    }

    /// Queues and moves what can be queued and moved now.
    async fn move_on(&self) {
        self.run(Drains::new(&self.tracker)).await;
        self.run(Rebalance::new(&self.tracker)).await;
        self.run(Drains::new(&self.tracker)).await;
    }

    /// How many of these objects have a copy on a device, on record or on disk.
    async fn copies_left(&self, number: u32, names: &[String]) -> usize {
        let mut left = 0;
        for name in names {
            let object = self.object(name).await;
            let there = object.replicas.contains(&dev(number)) || self.path(dev(number), object.fid).exists();
            left += usize::from(there);
        }
        left
    }

    /// A number of objects with two copies each.
    async fn objects(&self, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|number| format!("key{number}")).collect();
        for name in &names {
            self.put(name, b"bytes").await;
        }
        names
    }
}

#[tokio::test]
async fn a_device_is_drained_until_it_is_empty_and_no_copy_is_missing_meanwhile() {
    for_each_engine(async |db| {
        let mut world = World::on(db, &[&[1], &[2], &[3]]).await;
        let names = world.objects(100).await;
        let before = u64::try_from(world.copies_left(1, &names).await).unwrap();
        world.tracker.drain(device(1)).await.unwrap();
        world.tracker.drain(device(1)).await.unwrap();
        assert_eq!(world.status(1), DeviceStatus::Drain);
        assert_eq!(world.the_drain().await.drain.left(), before);

        // The process dies when all is queued, and again in the middle of the moves.
        assert_eq!(Drains::new(&world.tracker).step().await.unwrap(), Next::Again);
        world.restart().await;
        let mut rebalance = Rebalance::new(&world.tracker);
        while rebalance.step().await.unwrap() == Next::Again {
            for name in &names {
                let object = world.object(name).await;
                assert!(object.replicas.len() >= 2, "{name}: {:?}", object.replicas);
                assert!(world.on_disk(object.fid).len() >= 2, "{name}");
            }
        }
        drop(rebalance);
        world.restart().await;
        world.clock.advance(Duration::from_secs(90));
        world.move_on().await;

        let report = world.the_drain().await;
        assert_eq!(world.copies_left(1, &names).await, 0);
        assert!(report.drain.ended > 0, "{report:?}");
        assert_eq!((report.drain.moved, report.drain.bytes), (before, 5 * before));
        assert_eq!(
            (report.drain.left(), report.stuck, report.drain.refusal),
            (0, 0, None)
        );
        assert_eq!(world.status(1), DeviceStatus::Drain, "it stays out of use");
        for name in &names {
            assert_eq!(world.object(name).await.replicas.len(), 2, "{name}");
            assert_eq!(world.read(name).await, b"bytes");
        }
    })
    .await;
}

#[tokio::test]
async fn moves_to_nodes_that_hang_keep_nobody_else_from_his_locks() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        let names = world.objects(120).await;
        world.tracker.drain(device(1)).await.unwrap();
        world.run(Drains::new(&world.tracker)).await;
        world.mood(2, Mood::Hung);
        world.mood(3, Mood::Hung);
        let mut workers: Vec<_> = (0..3).map(|_| Rebalance::new(&world.tracker)).collect();
        let moves = future::join_all(workers.iter_mut().map(Rebalance::step));
        let others = async {
            // Each file that is moved has a row of its own while it is.
            let (mut claimed, mut unchanged) = (0, 0);
            while claimed == 0 || unchanged < 200 {
                let now = world.tracker.backlog().await.unwrap().to_replicate;
                unchanged = if now == claimed { unchanged + 1 } else { 0 };
                claimed = now;
            }
            let mut reaper = Reaper::new(&world.tracker);
            for _ in 0..3 {
                world.clock.advance(Duration::from_secs(10));
                while reaper.step().await.unwrap() == Next::Again {}
            }
            world.mood(2, Mood::Well);
            world.mood(3, Mood::Well);
        };
        let (steps, ()) = future::join(moves, others).await;

        for step in steps {
            step.unwrap();
        }
        world.clock.advance(Duration::from_mins(2));
        world.move_on().await;
        assert_eq!(world.copies_left(1, &names).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_host_is_drained_with_all_its_devices_and_back_in_use_when_that_is_cancelled() {
    let world = World::new(&[&[1, 2], &[3], &[4]]).await;
    let names = world.objects(40).await;
    let host = || DrainTarget::Host("host1".to_owned());

    world.tracker.drain(host()).await.unwrap();
    world.move_on().await;

    let drains = world.tracker.drains().await.unwrap();
    let ended = drains.iter().filter(|report| report.drain.ended > 0);
    assert_eq!(ended.count(), 2, "{drains:?}");
    assert_eq!(
        world.copies_left(1, &names).await + world.copies_left(2, &names).await,
        0
    );
    world.tracker.drain_cancel(host()).await.unwrap();
    assert_eq!(
        (world.status(1), world.status(2)),
        (DeviceStatus::Alive, DeviceStatus::Alive)
    );
    assert!(world.tracker.drains().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_drain_that_is_cancelled_moves_nothing_more() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    let names = world.objects(20).await;
    let before = world.copies_left(1, &names).await;
    world.tracker.drain(device(1)).await.unwrap();
    Drains::new(&world.tracker).step().await.unwrap();

    world.tracker.drain_cancel(device(1)).await.unwrap();
    world.move_on().await;

    assert_eq!(world.copies_left(1, &names).await, before);
    assert_eq!(world.status(1), DeviceStatus::Alive);
    let again = world.tracker.drain_cancel(device(1)).await;
    assert_eq!(again.unwrap_err().to_string(), "the device is not being drained");
}

#[tokio::test]
async fn what_cannot_be_moved_is_told_and_moved_when_it_can_be() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world.status_set(3, DeviceStatus::Down).await;
    let names = world.objects(10).await;
    world.tracker.drain(device(1)).await.unwrap();
    world.move_on().await;

    let stuck = world.the_drain().await;
    assert_eq!((stuck.stuck, stuck.drain.left(), stuck.drain.ended), (10, 10, 0));
    assert_eq!(stuck.drain.refusal.as_deref(), Some("no target can take it"));
    world.status_set(3, DeviceStatus::Alive).await;
    while world.the_drain().await.drain.ended == 0 {
        world.clock.advance(Duration::from_mins(10));
        world.monitor().await;
        world.move_on().await;
    }

    assert_eq!(world.copies_left(1, &names).await, 0);
    assert_eq!(world.the_drain().await.drain.refusal, None);
}

#[tokio::test]
async fn a_drain_says_when_what_is_left_is_of_no_file() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    let names = world.objects(5).await;
    let nobody = vec![99_i64.into(), dev(1).into()];
    world.run_sql(&STRAY, nobody.clone()).await;
    world.tracker.drain(device(1)).await.unwrap();

    world.move_on().await;
    world.run(Drains::new(&world.tracker)).await;

    assert_eq!(world.copies_left(1, &names).await, 0);
    let report = world.the_drain().await;
    assert_eq!(report.drain.left(), 1);
    let refusal = report.drain.refusal.unwrap();
    assert!(refusal.contains("of no file"), "{refusal}");

    world.run_sql(&NO_STRAY, nobody).await;
    world.move_on().await;
    let drain = world.the_drain().await.drain;
    assert!(drain.ended > 0);
    assert_eq!(drain.refusal, None);
}

#[tokio::test]
async fn where_no_device_takes_files_a_drain_says_so_and_waits() {
    let world = World::new(&[&[1], &[2]]).await;
    world.objects(3).await;
    world.status_set(2, DeviceStatus::ReadOnly).await;

    world.tracker.drain(device(1)).await.unwrap();
    world.move_on().await;

    let drain = world.the_drain().await.drain;
    assert_eq!(drain.refusal.as_deref(), Some("no device takes files"));
    assert_eq!((drain.left(), drain.ended), (3, 0));
}

#[tokio::test]
async fn what_an_upload_that_was_under_way_puts_on_an_empty_device_is_moved_as_well() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    let opened = world.open().await;
    let drained = opened.targets[0].device.get();
    world.tracker.drain(device(drained)).await.unwrap();
    world.move_on().await;
    assert!(world.the_drain().await.drain.ended > 0);

    let stored = world.write(&opened, b"late", 2).await;
    world.record("late", opened, stored).await.unwrap();
    world.move_on().await;

    let object = world.object("late").await;
    assert_eq!(object.replicas.len(), 2);
    assert!(!object.replicas.contains(&dev(drained)), "{:?}", object.replicas);
    assert!(world.the_drain().await.drain.ended > 0);
}

#[tokio::test]
async fn a_state_that_an_operator_sets_ends_a_drain_and_the_state_drain_alone_begins_none() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    let names = world.objects(10).await;
    let before = world.copies_left(1, &names).await;
    world.status_set(1, DeviceStatus::Drain).await;
    world.move_on().await;
    assert_eq!(world.copies_left(1, &names).await, before, "as in the original");

    world.tracker.drain(device(1)).await.unwrap();
    Drains::new(&world.tracker).step().await.unwrap();
    world.status_set(1, DeviceStatus::Alive).await;
    world.move_on().await;

    assert_eq!(world.copies_left(1, &names).await, before);
    assert!(world.tracker.drains().await.unwrap().is_empty());
    world.status_set(1, DeviceStatus::Down).await;
    let down = world.tracker.drain(device(1)).await.unwrap_err();
    assert!(down.to_string().contains("dev1 is down"), "{down}");
    let unknown = world.tracker.drain(device(9)).await;
    assert!(matches!(unknown, Err(Error::UnknownDevice)));
}

#[tokio::test]
async fn a_rebalance_leaves_a_device_that_is_being_drained_as_it_is() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world.objects(10).await;
    world
        .tracker
        .rebalance_set_policy("from_devices=1")
        .await
        .unwrap();
    world.tracker.rebalance_start().await.unwrap();
    world.tracker.drain(device(1)).await.unwrap();

    world.run(Rebalance::new(&world.tracker)).await;
    world.move_on().await;

    assert!(world.tracker.rebalance_status().await.unwrap().finished > 0);
    assert_eq!(world.status(1), DeviceStatus::Drain);
    assert!(world.the_drain().await.drain.ended > 0);
    let reports = world.tracker.backlogs().await.unwrap();
    assert_eq!((reports[&JobName::Drain], reports[&JobName::Rebalance]), (0, 0));
}
