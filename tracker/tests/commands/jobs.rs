//! The jobs, a step at a time.

use std::{fs, time::Duration};

use mogul_storage::{
    DevId, HashType, Hasher,
    download::{BadCopy, Fault},
};
use mogul_tracker::{
    clock::Clock,
    command::{
        devices::{DeviceChanges, DeviceRef},
        jobs::{JobState, Pause},
        objects::UpdateObject,
    },
    jobs::{
        Done, Driver, Job, JobName, Next, delete::Delete, monitor::Monitor, reaper::Reaper,
        replicate::Replicate, sweep::Sweep,
    },
    model::{ClassName, DeviceStatus, WriteCondition},
    view::Observed,
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World, dev, key},
};

#[tokio::test]
async fn a_missing_copy_is_made_by_the_replicate_job() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let written = world.put_degraded("key", b"bytes", 1).await;
        assert!(written.degraded);

        world.replicate().await;

        let object = world.object("key").await;
        assert_eq!(object.replicas.len(), 2);
        assert_eq!(world.on_disk(object.fid).len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_made_when_the_device_it_needs_is_back() {
    let world = World::new(&[&[1], &[2]]).await;
    world.mood(2, Mood::Away);
    world.monitor().await;
    world.put_degraded("key", b"bytes", 1).await;
    world.replicate().await;
    assert_eq!(world.object("key").await.replicas, [dev(1)]);

    world.mood(2, Mood::Well);
    world.monitor().await;
    world.clock.advance(Duration::from_mins(1));
    world.replicate().await;

    assert_eq!(world.object("key").await.replicas.len(), 2);
}

#[tokio::test]
async fn many_small_files_are_all_replicated() {
    let world = World::new(&[&[1], &[2]]).await;
    for number in 0..300 {
        world.put_degraded(&format!("key{number}"), &[7; 100], 1).await;
    }

    world.replicate().await;

    for number in 0..300 {
        assert_eq!(world.object(&format!("key{number}")).await.replicas.len(), 2);
    }
}

#[tokio::test]
async fn what_a_worker_that_died_was_copying_is_soon_copied_by_another() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put_degraded("key", b"bytes", 1).await;
        let [from] = world.object("key").await.replicas[..] else {
            panic!("one copy");
        };
        world.mood(3 - from.get(), Mood::Hung);
        let mut worker = Replicate::new(&world.tracker);
        {
            let mut step = std::pin::pin!(worker.step());
            while !world.is_awaited(3 - from.get()) {
                assert!(futures_util::poll!(&mut step).is_pending());
                tokio::task::yield_now().await;
            }
        }
        world.mood(3 - from.get(), Mood::Well);

        let mut reaper = Reaper::new(&world.tracker);
        let died = world.clock.now();
        while world.object("key").await.replicas.len() < 2 {
            while reaper.step().await.unwrap() == Next::Again {}
            world.replicate().await;
            world.clock.advance(Duration::from_secs(10));
        }

        let took = died.until(world.clock.now());
        assert!(took < Duration::from_mins(15), "its claim ran out: {took:?}");
        let object = world.object("key").await;
        assert_eq!(world.on_disk(object.fid).len(), 2);
    })
    .await;
}

#[tokio::test]
async fn nobody_takes_what_a_slow_worker_is_still_copying() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put_degraded("key", b"bytes", 1).await;
        let [from] = world.object("key").await.replicas[..] else {
            panic!("one copy");
        };
        world.mood(3 - from.get(), Mood::Hung);
        let mut slow = Replicate::new(&world.tracker);
        let mut step = std::pin::pin!(slow.step());
        while !world.is_awaited(3 - from.get()) {
            assert!(futures_util::poll!(&mut step).is_pending());
            tokio::task::yield_now().await;
        }

        let mut reaper = Reaper::new(&world.tracker);
        for _ in 0..5 {
            world.clock.advance(Duration::from_secs(10));
            while reaper.step().await.unwrap() == Next::Again {}
            assert_eq!(Replicate::new(&world.tracker).step().await.unwrap(), Next::Idle);
        }
        world.mood(3 - from.get(), Mood::Well);
        step.await.unwrap();

        assert_eq!(world.object("key").await.replicas.len(), 2);
        assert_eq!(world.tracker.backlog().await.unwrap().to_replicate, 0);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_object_stays_for_its_readers_then_goes() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1, 2]]).await;
        world.put("key", b"bytes").await;
        let fid = world.object("key").await.fid;
        world.delete("key").await;

        world.run(Delete::new(&world.tracker)).await;
        assert_eq!(world.on_disk(fid).len(), 2);

        world.collect().await;
        assert!(world.on_disk(fid).is_empty());
    })
    .await;
}

#[tokio::test]
async fn deletions_that_a_dead_process_put_off_or_had_claimed_are_due_at_the_start() {
    let mut world = World::new(&[&[1, 2]]).await;
    world.put("key", b"bytes").await;
    let fid = world.object("key").await.fid;
    world.delete("key").await;

    world.restart().await;
    world.run(Delete::new(&world.tracker)).await;

    assert!(world.on_disk(fid).is_empty());
}

#[tokio::test]
async fn a_copy_that_is_found_while_its_fid_is_being_deleted_is_deleted_as_well() {
    for_each_engine(async |db| {
        let mut world = World::on(db, &[&[1, 2]]).await;
        let opened = world.open().await;
        world.write(&opened, b"bytes", 2).await;
        world.restart().await;
        // Where others may share the database the dead process is given up after a while.
        world.clock.advance(Duration::from_hours(1));
        let mut sweep = Sweep::new(&world.tracker);
        while world.tracker.backlog().await.unwrap().to_delete == 0 {
            assert_eq!(sweep.step().await.unwrap(), Next::Again);
        }

        world.mood(1, Mood::Hung);
        let mut delete = Delete::new(&world.tracker);
        let mut step = std::pin::pin!(delete.step());
        while !world.is_awaited(1) {
            assert!(futures_util::poll!(&mut step).is_pending());
            tokio::task::yield_now().await;
        }
        while sweep.step().await.unwrap() == Next::Again {}
        world.mood(1, Mood::Well);
        step.await.unwrap();
        world.run(Delete::new(&world.tracker)).await;

        assert!(world.on_disk(opened.fid).is_empty(), "both devices held a copy");
    })
    .await;
}

#[tokio::test]
async fn deletions_wait_for_a_device_that_is_away_and_for_nothing_else() {
    let world = World::new(&[&[1, 2]]).await;
    world.put("key", b"bytes").await;
    let fid = world.object("key").await.fid;
    world.delete("key").await;
    world.mood(2, Mood::Away);
    world.monitor().await;

    world.collect().await;
    assert_eq!(world.on_disk(fid), [dev(2)]);

    world.mood(2, Mood::Well);
    world.monitor().await;
    world.clock.advance(Duration::from_hours(1));
    world.collect().await;
    assert!(world.on_disk(fid).is_empty());
}

#[tokio::test]
async fn a_device_that_may_not_be_written_holds_no_other_deletions_up() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let mut fids = Vec::new();
        for number in 0..5 {
            let name = format!("k{number}");
            world.put(&name, b"bytes").await;
            fids.push(world.object(&name).await.fid);
            world.delete(&name).await;
        }
        world.put("next", b"bytes").await;
        let next = world.object("next").await.fid;
        set_status(&world, dev(1), DeviceStatus::ReadOnly).await;
        world.collect().await;
        for fid in &fids {
            assert_eq!(world.on_disk(*fid), [dev(1)]);
        }

        // What waits has lost the rows of the copies that are gone, and is not looked at before its time.
        assert_eq!(world.tracker.fid_record(fids[0]).await.unwrap().devices, [dev(1)]);
        world.delete("next").await;
        world.collect().await;
        assert_eq!(world.on_disk(next), [dev(1)]);

        set_status(&world, dev(1), DeviceStatus::Alive).await;
        world.collect().await;
        assert_eq!(world.on_disk(next), [dev(1)], "an hour has not passed");
        world.clock.advance(Duration::from_hours(1));
        world.collect().await;
        assert!(
            fids.iter()
                .chain([&next])
                .all(|fid| world.on_disk(*fid).is_empty())
        );
        assert_eq!(world.tracker.backlog().await.unwrap().to_delete, 0);
    })
    .await;
}

async fn set_status(world: &World, device: DevId, status: DeviceStatus) {
    let at = DeviceRef { device, host: None };
    let changes = DeviceChanges::status(status);
    world.tracker.change_device(at, changes).await.unwrap();
    world.monitor().await;
}

#[tokio::test]
async fn an_overwritten_object_leaves_only_the_new_one() {
    let world = World::new(&[&[1, 2]]).await;
    world.put("key", b"old").await;
    let old = world.object("key").await.fid;

    world.put("key", b"new").await;
    world.collect().await;

    assert!(world.on_disk(old).is_empty());
    assert_eq!(world.read("key").await, b"new");
}

#[tokio::test]
async fn a_bad_copy_is_replaced_by_a_good_one() {
    for (fault, damage) in [
        (Fault::Missing, None),
        (Fault::Short, Some(&b"byt"[..])),
        (Fault::Rotten, Some(&b"rotte"[..])),
    ] {
        let world = World::new(&[&[1], &[2]]).await;
        world.put("key", b"bytes").await;
        let fid = world.object("key").await.fid;
        let path = world.path(dev(1), fid);
        fs::remove_file(&path).unwrap();
        if let Some(damage) = damage {
            fs::write(&path, damage).unwrap();
        }

        let device = dev(1);
        world
            .tracker
            .report_bad_copy(BadCopy { fid, device, fault })
            .await;
        world.replicate().await;

        assert_eq!(world.object("key").await.replicas.len(), 2, "{fault:?}");
        assert_eq!(fs::read(&path).unwrap(), b"bytes", "{fault:?}");
    }
}

#[tokio::test]
async fn the_last_copy_is_never_given_up() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put_degraded("key", b"bytes", 1).await;
    let object = world.object("key").await;
    let (fid, device) = (object.fid, object.replicas[0]);

    for fault in [Fault::Missing, Fault::Rotten, Fault::Short, Fault::Unreachable] {
        world
            .tracker
            .report_bad_copy(BadCopy { fid, device, fault })
            .await;
    }

    assert_eq!(world.object("key").await.replicas, [device]);
    assert_eq!(world.on_disk(fid), [device]);
}

#[tokio::test]
async fn a_copy_that_is_not_on_record_is_removed_before_a_new_one_is_made() {
    // A device took the file, but its answer was lost: the object is recorded with one copy.
    let world = World::new(&[&[1, 2], &[3]]).await;
    let opened = world.open().await;
    let mut stored = world.write(&opened, b"bytes", 2).await;
    let unrecorded = stored.devices.pop().unwrap();
    let fid = opened.fid;
    world.record("key", opened, stored).await.unwrap();
    assert!(world.on_disk(fid).contains(&unrecorded));

    world.replicate().await;

    let mut on_record = world.object("key").await.replicas;
    on_record.sort_unstable();
    assert_eq!(on_record.len(), 2);
    assert_eq!(world.on_disk(fid), on_record);
}

#[tokio::test]
async fn a_class_with_fewer_copies_drops_what_is_too_many() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put("key", b"bytes").await;
        let fid = world.object("key").await.fid;
        let name = ClassName::parse("REDUCED_REDUNDANCY").unwrap();
        let class = world.tracker.class_named(world.domain, &name).await.unwrap();
        assert_eq!(class.mindevcount, 1);

        let request = UpdateObject {
            domain: world.domain,
            key: key("key"),
            fid,
            attributes: None,
            tags: None,
            class: Some(class),
            condition: WriteCondition::default(),
        };
        world.tracker.update_object(request).await.unwrap();
        world.replicate().await;

        assert_eq!(world.object("key").await.replicas.len(), 1);
        assert_eq!(world.on_disk(fid), world.object("key").await.replicas);
        assert_eq!(world.read("key").await, b"bytes");
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_checked_on_its_way() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world.put_degraded("key", b"bytes", 1).await;
    let object = world.object("key").await;
    fs::write(world.path(object.replicas[0], object.fid), b"rotte").unwrap();

    world.replicate().await;

    assert_eq!(
        world.object("key").await.replicas,
        object.replicas,
        "rot does not spread"
    );
    assert_eq!(world.on_disk(object.fid), object.replicas);
}

#[tokio::test]
async fn a_node_that_hangs_does_not_delay_what_is_seen_of_another() {
    let world = World::new(&[&[1], &[2]]).await;
    world.mood(1, Mood::Hung);
    world.mood(2, Mood::Away);
    let seen = |device| world.tracker.view().device(dev(device)).unwrap().observed;

    let mut monitor = Monitor::new(&world.tracker);
    let mut step = std::pin::pin!(monitor.step());
    while seen(2) != Observed::Unreachable {
        assert!(futures_util::poll!(&mut step).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(seen(1), Observed::Writable, "its time is not up");

    world.clock.advance(Duration::from_secs(2));
    assert_eq!(step.await.unwrap(), Next::Idle);
    assert_eq!(seen(1), Observed::Unreachable);
}

#[tokio::test]
async fn free_space_is_seen_and_written_down() {
    let world = World::new(&[&[1]]).await;

    let view = world.tracker.view();
    let device = view.device(dev(1)).unwrap();

    assert!(device.free_bytes.unwrap() > 0);
    assert!(device.device.mb_total.unwrap() > 0);
}

#[tokio::test]
async fn a_digest_that_is_known_of_an_object_is_that_of_its_bytes() {
    let world = World::new(&[&[1, 2]]).await;
    world.put("key", b"bytes").await;

    let mut hasher = Hasher::new(&[HashType::Crc64Nvme]);
    hasher.update(b"bytes");
    let digest = hasher.finish().get(HashType::Crc64Nvme).unwrap().bytes.clone();

    assert_eq!(world.object("key").await.crc64.unwrap().to_vec(), digest);
}

#[tokio::test]
async fn a_job_that_is_paused_does_nothing_until_it_is_resumed() {
    let mut world = World::new(&[&[1], &[2], &[3]]).await;
    world.put_degraded("object", b"bytes", 1).await;
    let fid = world.object("object").await.fid;
    world
        .tracker
        .pause_job(JobName::Replicate, Pause::Begin)
        .await
        .unwrap();
    world.restart().await;
    let driver = Driver::new(&world.tracker);
    driver.spawn(&Replicate::new(&world.tracker), 2, Duration::from_secs(1));
    let report = async || {
        let reports = world.tracker.job_reports().await.unwrap();
        reports
            .into_iter()
            .find(|report| report.job == JobName::Replicate)
            .unwrap()
    };
    for _ in 0..100 {
        world.tracker.wakes().wake(JobName::Replicate);
        tokio::task::yield_now().await;
    }

    let paused = report().await;
    assert_eq!((paused.state, paused.status.steps), (JobState::Paused, 0));
    assert_eq!(paused.backlog, Some(1));
    world
        .tracker
        .pause_job(JobName::Replicate, Pause::End)
        .await
        .unwrap();
    while world.on_disk(fid).len() < 2 || report().await.backlog != Some(0) {
        tokio::task::yield_now().await;
    }

    let resumed = report().await;
    assert_eq!(resumed.status.done, Done { files: 1, bytes: 5 });
    assert_eq!(resumed.left, Some(Duration::ZERO));
    driver.stop(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn what_trackers_must_know_and_hold_cannot_be_paused() {
    let world = World::new(&[&[1]]).await;

    for job in JobName::ALL {
        let paused = world.tracker.pause_job(job, Pause::Begin).await;

        let needed = matches!(job, JobName::Monitor | JobName::Sweep);
        assert_eq!(paused.is_err(), needed, "{job:?}");
        assert_eq!(world.tracker.view().is_paused(job), !needed, "{job:?}");
    }
}
