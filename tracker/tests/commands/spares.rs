//! Copies that are too many, and what is dropped of them while other things happen to the file.

use std::{fs, time::Duration};

use mogul_storage::{
    DevId, Fid,
    download::{BadCopy, Fault},
};
use mogul_tracker::{
    command::{Change, classes::UpdateClass},
    jobs::{Job as _, rebalance::Rebalance, replicate::Replicate},
    meta::{Sql, sql::sql},
    model::{ClassName, DeviceStatus},
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World},
};

const QUEUE: Sql = sql("insert into file_to_replicate (fid, nexttry, failcount, flags) values (?, 0, 0, 0)");
const SUSPECT: Sql =
    sql("insert into file_to_replicate (fid, nexttry, failcount, flags) values (?, 0, 0, 3)");
const DEQUEUE: Sql = sql("delete from file_to_replicate where fid = ?");
const LARGE: Sql = sql("update file set length = 2147483648 where fid = ?");
const CLAIMED: Sql = sql("select nexttry from file_to_replicate where fid = ?");
const UNDIGESTED: Sql = sql("update mogul_object set crc64 = null where fid = ?");

impl World {
    /// Stores `bytes` twice where one copy is wanted, and has it looked at. Answers the file, the device with the copy that is
    /// too many, and the other.
    async fn spare(&self, bytes: &[u8]) -> (Fid, DevId, DevId) {
        self.put("k", bytes).await;
        self.want_copies(1).await;
        let fid = self.object("k").await.fid;
        self.run_sql(&QUEUE, vec![fid.into()]).await;
        let on = self.on_record().await;
        // Both are as full, so the first goes.
        for mood in [Mood::Frozen, Mood::Well] {
            for device in &on {
                self.mood(device.get(), mood);
            }
            if mood == Mood::Frozen {
                self.monitor().await;
            }
        }
        (fid, on[0], on[1])
    }

    pub(crate) async fn want_copies(&self, copies: u8) {
        let request = UpdateClass {
            domain: "bucket".to_owned(),
            name: ClassName::parse("default").unwrap(),
            mindevcount: Some(copies),
            policy: Change::Keep,
            hash: Change::Keep,
        };
        self.tracker.update_class(request).await.unwrap();
    }

    async fn on_record(&self) -> Vec<DevId> {
        let mut on = self.object("k").await.replicas;
        on.sort_unstable();
        on
    }

    async fn waits(&self) -> u64 {
        self.tracker.backlog().await.unwrap().to_replicate
    }

    async fn until_awaited(&self, device: DevId) {
        while !self.is_awaited(device.get()) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_copy_that_is_too_many_goes_if_another_is_seen_to_be_good() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let (fid, spare, kept) = world.spare(b"bytes").await;

        world.replicate().await;

        assert_eq!(world.on_record().await, [kept]);
        assert_eq!(world.on_disk(fid), [kept], "{spare} is free");
        assert_eq!(world.waits().await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_only_good_copy_is_kept_whatever_size_the_others_have() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let (fid, good, rotten) = world.spare(b"bytes").await;
        fs::write(world.path(rotten, fid), b"rotte").unwrap();

        world.replicate().await;
        world.replicate().await;

        assert_eq!(world.on_record().await, [good]);
        assert_eq!(world.on_disk(fid), [good], "the rotten one is deleted");
        assert_eq!(world.read("k").await, b"bytes");
    })
    .await;
}

#[tokio::test]
async fn copies_that_differ_all_stay_while_nobody_knows_which_is_right() {
    let world = World::new(&[&[1], &[2]]).await;
    let (fid, one, other) = world.spare(b"bytes").await;
    world.run_sql(&UNDIGESTED, vec![fid.into()]).await;
    fs::write(world.path(other, fid), b"rotte").unwrap();

    world.replicate().await;
    assert_eq!(world.on_disk(fid), [one, other]);
    assert_eq!(world.on_record().await, [one, other]);

    fs::write(world.path(other, fid), b"bytes").unwrap();
    world.clock.advance(Duration::from_mins(1));
    world.replicate().await;
    assert_eq!(world.on_disk(fid), [other]);
}

#[tokio::test]
async fn a_report_of_the_other_copy_at_the_same_moment_leaves_one_on_record() {
    for rots in [true, false] {
        for_each_engine(async |db| {
            let world = World::on(db, &[&[1], &[2]]).await;
            let (fid, good, other) = world.spare(b"bytes").await;
            world.mood(other.get(), Mood::Hung);
            let mut replicate = Replicate::new(&world.tracker);
            let mut step = std::pin::pin!(replicate.step());
            while !world.is_awaited(other.get()) {
                assert!(futures_util::poll!(&mut step).is_pending());
                tokio::task::yield_now().await;
            }

            // The step asks for the other copy, and the answer is still under way.
            world.mood(other.get(), Mood::Well);
            let (path, aside) = (world.path(other, fid), world.folder().join("aside"));
            let fault = if rots { Fault::Rotten } else { Fault::Missing };
            if rots {
                fs::write(&path, b"rotte").unwrap();
            } else {
                fs::rename(&path, &aside).unwrap();
            }
            let device = other;
            world
                .tracker
                .report_bad_copy(BadCopy { fid, device, fault })
                .await;
            if !rots {
                fs::rename(&aside, &path).unwrap();
            }
            step.await.unwrap();

            assert_eq!(world.on_record().await, [good]);
            world.clock.advance(Duration::from_mins(1));
            world.replicate().await;
            assert_eq!(world.on_record().await, [good]);
            assert_eq!(world.on_disk(fid), [good]);
            assert_eq!(world.read("k").await, b"bytes");
        })
        .await;
    }
}

#[tokio::test]
async fn a_copy_is_off_the_record_before_its_file_goes_and_a_file_that_stays_is_found() {
    for_each_engine(async |db| {
        let mut world = World::on(db, &[&[1], &[2]]).await;
        let (fid, spare, kept) = world.spare(b"bytes").await;
        world.mood(spare.get(), Mood::Hung);
        let mut replicate = Replicate::new(&world.tracker);

        // The process dies before the device has answered.
        let step = Box::pin(replicate.step());
        futures_util::future::select(step, std::pin::pin!(world.until_awaited(spare))).await;
        assert_eq!(world.on_record().await, [kept]);
        world.mood(spare.get(), Mood::Well);
        assert_eq!(world.on_disk(fid), [spare, kept]);

        world.restart().await;
        // A server takes a moment to see that the holder of the locks is gone.
        while world.on_disk(fid) != [kept] {
            world.reap().await;
            world.replicate().await;
        }
        assert_eq!(world.on_record().await, [kept]);
    })
    .await;
}

#[tokio::test]
async fn a_file_that_a_device_did_not_delete_is_deleted_later() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let (fid, spare, kept) = world.spare(b"bytes").await;
        world.mood(spare.get(), Mood::Away);

        world.replicate().await;
        assert_eq!(world.on_record().await, [kept]);
        assert_eq!(world.waits().await, 1);

        world.mood(spare.get(), Mood::Well);
        world.clock.advance(Duration::from_mins(1));
        world.replicate().await;
        assert_eq!(world.on_disk(fid), [kept]);
        assert_eq!(world.waits().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_large_file_stays_claimed_for_as_long_as_it_may_take_to_move_it() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        world.put("k", b"bytes").await;
        let (fid, on) = (world.object("k").await.fid, world.on_record().await);
        world.run_sql(&LARGE, vec![fid.into()]).await;
        for device in &on {
            let file = fs::File::options().write(true).open(world.path(*device, fid));
            file.unwrap().set_len(2 << 30).unwrap();
        }
        let target = (1..=3).find(|id| on.iter().all(|device| device.get() != *id));
        let target = target.unwrap();
        let policy = format!("from_devices={} to_devices={target}", on[0]);
        world.tracker.rebalance_set_policy(&policy).await.unwrap();
        world.tracker.rebalance_start().await.unwrap();
        world.mood(target, Mood::Hung);
        let mut moves = Rebalance::new(&world.tracker);
        let mut step = std::pin::pin!(moves.step());
        while !world.is_awaited(target) {
            assert!(futures_util::poll!(&mut step).is_pending());
            tokio::task::yield_now().await;
        }

        let claimed = async || {
            let mut tx = world.db.reader().await.unwrap();
            let rows = tx.rows(&CLAIMED, vec![fid.into()]).await.unwrap();
            rows[0].int(0).unwrap()
        };
        let before = claimed().await;
        world.clock.advance(Duration::from_mins(25));
        world.replicate().await;
        assert_eq!(claimed().await, before, "somebody else took it");
    })
    .await;
}

#[tokio::test]
async fn a_device_that_may_still_delete_a_stray_gets_no_copy_at_the_same_time() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put_degraded("k", b"bytes", 1).await;
        let [on] = world.on_record().await[..] else {
            panic!("one copy");
        };
        let fid = world.object("k").await.fid;
        world.run_sql(&DEQUEUE, vec![fid.into()]).await;
        world.run_sql(&SUSPECT, vec![fid.into()]).await;
        world.mood(3 - on.get(), Mood::Keeping);

        world.replicate().await;
        assert_eq!(world.on_disk(fid), [on]);

        world.mood(3 - on.get(), Mood::Well);
        world.clock.advance(Duration::from_mins(1));
        world.replicate().await;
        assert_eq!(world.on_record().await.len(), 2);
        assert_eq!(world.waits().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_move_takes_a_copy_only_if_another_is_seen_to_be_good() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    let (fid, good, rotten) = world.spare(b"bytes").await;
    fs::write(world.path(rotten, fid), b"rotte").unwrap();

    world
        .tracker
        .rebalance_set_policy(&format!("from_devices={good}"))
        .await
        .unwrap();
    world.tracker.rebalance_start().await.unwrap();
    world.run(Rebalance::new(&world.tracker)).await;
    world.replicate().await;
    world.clock.advance(Duration::from_hours(1));
    world.run(Rebalance::new(&world.tracker)).await;
    world.replicate().await;

    assert_eq!(world.read("k").await, b"bytes");
    assert_eq!(world.on_disk(fid), world.on_record().await);
    assert_ne!(world.on_disk(fid), [good]);
    let device = world.tracker.view().device(good).unwrap().device.status;
    assert_eq!(device, DeviceStatus::Alive);
}
