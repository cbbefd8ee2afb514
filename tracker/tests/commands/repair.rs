//! Dead devices and fsck, a step at a time.

use std::{fs, time::Duration};

use mogul_storage::{DevId, Fid};
use mogul_tracker::{
    Error,
    command::fsck::FsckReset,
    error::RunError,
    jobs::{Job, Next, delete::Delete, digest::Digest, expire::Expire, fsck::Fsck, reaper::Reaper},
    meta::{Sql, sql::sql},
    model::{DeviceStatus, FsckScope},
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World, dev},
};

const STATUS: Sql = sql("update device set status = ? where devid = ?");
const FORGET: Sql = sql("delete from file_on where fid = ?");
const ON: Sql = sql("insert into file_on (fid, devid) values (?, ?)");
const DEVCOUNT: Sql = sql("update file set devcount = ? where fid = ?");
const COUNTED: Sql = sql("select devcount from file where fid = ?");
const NO_FILE: Sql = sql("delete from file where fid = ?");
const NO_BLOCKS: Sql = sql("delete from mogul_fid_block");
const SETTING: Sql = sql("insert into server_settings (field, value) values (?, ?)");
const CLASS: Sql =
    sql("insert into class (dmid, classid, classname, mindevcount, hashtype) values (?, 0, 'default', 2, 1)");
const UNDIGESTED: Sql = sql("update mogul_object set crc64 = null where fid = ?");
const KEPT: Sql = sql("insert into checksum (fid, hashtype, checksum) values (?, 1, ?)");
const CHECKSUM: Sql = sql("select hashtype, checksum from checksum where fid = ?");
const QUEUED: Sql = sql("select fid from file_to_queue order by fid limit 1000");
const SUSPECT: Sql =
    sql("insert into file_to_replicate (fid, nexttry, failcount, flags) values (?, 0, 0, 3)");
const QUEUE: Sql = sql("insert into file_to_queue (fid, type, nexttry) values (?, 1, 0)");

impl World {
    /// Gives a device another state, as an operator does.
    async fn set_status(&self, device: DevId, status: DeviceStatus) {
        self.run_sql(&STATUS, vec![status.as_str().into(), device.into()])
            .await;
        self.monitor().await;
    }

    /// Reaps what is dead; on a shared database only after the grace.
    pub(crate) async fn reap(&self) {
        let mut reaper = Reaper::new(&self.tracker);
        while reaper.step().await.unwrap() == Next::Again {}
        self.clock.advance(Duration::from_secs(16));
        while reaper.step().await.unwrap() == Next::Again {}
    }

    /// Runs a whole check. Answers what it logged.
    async fn fsck(&self) -> Vec<(String, Option<u32>)> {
        self.fsck_with(FsckScope::Files).await
    }

    async fn fsck_with(&self, scope: FsckScope) -> Vec<(String, Option<u32>)> {
        let before = self.tracker.fsck_status().await.unwrap().last_logged;
        self.tracker
            .fsck_reset(FsckReset { scope, after: 0 })
            .await
            .unwrap();
        self.tracker.fsck_start().await.unwrap();
        self.run(Fsck::new(&self.tracker)).await;
        assert_eq!(
            self.tracker.fsck_status().await.unwrap().host,
            None,
            "the run has ended"
        );
        self.logged_after(before).await
    }

    pub(crate) async fn logged_after(&self, number: u64) -> Vec<(String, Option<u32>)> {
        let log = self.tracker.fsck_log(number).await.unwrap();
        log.into_iter()
            .map(|line| (line.code.unwrap(), line.device))
            .collect()
    }

    async fn is_queued(&self, fid: Fid) -> bool {
        let rows = self.ask(&QUEUED, vec![]).await;
        rows.iter()
            .any(|row| row.int(0).unwrap() == i64::try_from(fid.get()).unwrap())
    }
}

pub(crate) fn codes(expected: &[(&str, Option<u32>)]) -> Vec<(String, Option<u32>)> {
    expected
        .iter()
        .map(|(code, device)| ((*code).to_owned(), *device))
        .collect()
}

#[tokio::test]
async fn the_copies_of_a_dead_device_are_made_elsewhere() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        world.put("key", b"bytes").await;
        let lost = world.object("key").await.replicas[0];
        world.mood(lost.get(), Mood::Away);
        world.set_status(lost, DeviceStatus::Dead).await;

        world.reap().await;
        world.replicate().await;

        let object = world.object("key").await;
        assert_eq!(object.replicas.len(), 2);
        assert!(!object.replicas.contains(&lost));
        let count = world.ask(&COUNTED, vec![object.fid.into()]).await;
        assert_eq!(count[0].int(0).unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_is_being_deleted_is_not_copied_again_when_its_device_dies() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world.put("key", b"bytes").await;
    let object = world.object("key").await;
    world.delete("key").await;
    world.set_status(object.replicas[0], DeviceStatus::Dead).await;

    world.reap().await;
    assert_eq!(world.tracker.backlog().await.unwrap().to_replicate, 0);

    world.collect().await;
    assert_eq!(world.on_disk(object.fid), [object.replicas[0]]);
}

#[tokio::test]
async fn fsck_finds_nothing_wrong_with_what_is_well() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        for number in 0..30 {
            world.put(&format!("key{number}"), b"bytes").await;
        }

        assert_eq!(world.fsck().await, []);

        let status = world.tracker.fsck_status().await.unwrap();
        assert_eq!(status.checked, status.end);
        assert!(world.ask(&QUEUED, vec![]).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn fsck_finds_a_copy_that_is_missing_and_one_that_is_too_long() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put("missing", b"bytes").await;
        world.put("long", b"bytes").await;
        let (missing, long) = (world.object("missing").await.fid, world.object("long").await.fid);
        fs::remove_file(world.path(dev(2), missing)).unwrap();
        fs::write(world.path(dev(1), long), b"bytes and more").unwrap();

        let mut found = world.fsck().await;
        found.sort();
        let wanted = [
            ("BLEN", Some(1)),
            ("MISS", Some(2)),
            ("REPL", None),
            ("REPL", None),
        ];
        assert_eq!(found, codes(&wanted));

        world.replicate().await;
        for (name, fid) in [("missing", missing), ("long", long)] {
            assert_eq!(world.on_disk(fid), [dev(1), dev(2)]);
            assert_eq!(world.object(name).await.replicas.len(), 2);
            for device in [1, 2] {
                assert_eq!(fs::read(world.path(dev(device), fid)).unwrap(), b"bytes");
            }
        }
        assert_eq!(world.fsck().await, []);
        assert_eq!(world.tracker.fsck_status().await.unwrap().counters, []);
    })
    .await;
}

#[tokio::test]
async fn fsck_searches_for_a_file_that_is_nowhere_on_record() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world.put("key", b"bytes").await;
    let fid = world.object("key").await.fid;
    world.run_sql(&FORGET, vec![fid.into()]).await;

    let wanted = [("NOPA", None), ("SRCH", None), ("FOND", None), ("REPL", None)];
    assert_eq!(world.fsck().await, codes(&wanted));

    world.replicate().await;
    world.copies_on(1, &["key".to_owned()]).await;
    assert_eq!(world.object("key").await.replicas.len(), 2);
    assert_eq!(world.read("key").await, b"bytes");
}

#[tokio::test]
async fn copies_that_are_nowhere_on_record_are_kept_while_they_are_all_there_is() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("key", b"bytes").await;
    let fid = world.object("key").await.fid;
    world.run_sql(&FORGET, vec![fid.into()]).await;
    world.run_sql(&SUSPECT, vec![fid.into()]).await;

    world.replicate().await;

    assert_eq!(world.on_disk(fid), [dev(1), dev(2)]);
    world.fsck().await;
    world.replicate().await;
    assert_eq!(world.object("key").await.replicas.len(), 2);
    assert_eq!(world.read("key").await, b"bytes");
}

#[tokio::test]
async fn a_file_that_no_device_has_is_gone_and_its_row_stays() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("key", b"bytes").await;
    let fid = world.object("key").await.fid;
    for device in [1, 2] {
        fs::remove_file(world.path(dev(device), fid)).unwrap();
    }

    let wanted = [
        ("MISS", Some(1)),
        ("MISS", Some(2)),
        ("SRCH", None),
        ("GONE", None),
    ];
    assert_eq!(world.fsck().await, codes(&wanted));

    assert!(world.object("key").await.replicas.is_empty());
}

#[tokio::test]
async fn fsck_says_nothing_of_what_a_device_that_is_away_may_have() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put("key", b"bytes").await;
        let fid = world.object("key").await.fid;
        fs::remove_file(world.path(dev(2), fid)).unwrap();
        world.mood(2, Mood::Away);

        assert_eq!(world.fsck().await, []);
        assert!(world.is_queued(fid).await, "it is looked at again");

        world.mood(2, Mood::Well);
        world.clock.advance(Duration::from_secs(1_100));
        world.run(Fsck::new(&world.tracker)).await;
        assert_eq!(
            world.logged_after(0).await,
            codes(&[("MISS", Some(2)), ("REPL", None)])
        );
        assert!(!world.is_queued(fid).await);
    })
    .await;
}

#[tokio::test]
async fn fsck_finds_too_few_and_too_many_copies() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world.put("key", b"bytes").await;
    let object = world.object("key").await;
    let third = (1..=3)
        .map(dev)
        .find(|device| !object.replicas.contains(device))
        .unwrap();
    let path = world.path(third, object.fid);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(world.path(object.replicas[0], object.fid), &path).unwrap();
    world.run_sql(&ON, vec![object.fid.into(), third.into()]).await;

    assert_eq!(world.fsck().await, codes(&[("POVI", None), ("REPL", None)]));
    world.replicate().await;
    assert_eq!(world.on_disk(object.fid).len(), 2);

    let object = world.object("key").await;
    fs::remove_file(world.path(object.replicas[0], object.fid)).unwrap();
    world.run_sql(&FORGET, vec![object.fid.into()]).await;
    world
        .run_sql(&ON, vec![object.fid.into(), object.replicas[1].into()])
        .await;
    assert_eq!(world.fsck().await, codes(&[("POVI", None), ("REPL", None)]));
    world.replicate().await;
    assert_eq!(world.object("key").await.replicas.len(), 2);
}

#[tokio::test]
async fn fsck_mends_a_wrong_count() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put("key", b"bytes").await;
        let fid = world.object("key").await.fid;
        world.run_sql(&DEVCOUNT, vec![7_i64.into(), fid.into()]).await;

        assert_eq!(world.fsck().await, codes(&[("BCNT", None)]));

        let count = world.ask(&COUNTED, vec![fid.into()]).await;
        assert_eq!(count[0].int(0).unwrap(), 2);
        let status = world.tracker.fsck_status().await.unwrap();
        assert_eq!(status.counters, [("BCNT".to_owned(), 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_check_of_the_policy_alone_asks_no_device() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("key", b"bytes").await;
    fs::remove_file(world.path(dev(1), world.object("key").await.fid)).unwrap();

    assert_eq!(world.fsck_with(FsckScope::PolicyOnly).await, []);
}

#[tokio::test]
async fn a_copy_that_nobody_has_on_record_is_found_and_deleted() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world.put("key", b"bytes").await;
    let object = world.object("key").await;
    let third = (1..=3)
        .map(dev)
        .find(|device| !object.replicas.contains(device))
        .unwrap();
    let path = world.path(third, object.fid);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"garbage").unwrap();

    assert_eq!(world.fsck().await, codes(&[("ORPH", Some(third.get()))]));
    world.replicate().await;

    assert!(!path.exists());
    assert_eq!(world.object("key").await.replicas.len(), 2);
}

#[tokio::test]
async fn what_is_no_file_is_collected_when_it_is_old() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put("orphan", b"bytes").await;
        world.put("key", b"bytes").await;
        let orphan = world.object("orphan").await.fid;
        world.run_sql(&NO_FILE, vec![orphan.into()]).await;
        world.run_sql(&FORGET, vec![orphan.into()]).await;
        assert_eq!(
            world.fsck().await,
            [],
            "its number belongs to a process that lives"
        );
        world.run_sql(&NO_BLOCKS, vec![]).await;

        assert_eq!(world.fsck().await, codes(&[("ORPH", Some(1)), ("ORPH", Some(2))]));
        world.run(Delete::new(&world.tracker)).await;
        assert_eq!(world.on_disk(orphan).len(), 2, "it may be about to become a file");

        world.clock.advance(Duration::from_hours(1));
        world.run(Delete::new(&world.tracker)).await;
        assert!(world.on_disk(orphan).is_empty());
        assert_eq!(world.read("key").await, b"bytes");
    })
    .await;
}

#[tokio::test]
async fn rot_is_found_when_copies_are_read() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("key", b"bytes").await;
    let fid = world.object("key").await.fid;
    fs::write(world.path(dev(2), fid), b"rotte").unwrap();
    assert_eq!(world.fsck().await, [], "its size is right");
    world
        .run_sql(&SETTING, vec!["fsck_checksum".into(), "MD5".into()])
        .await;

    assert_eq!(world.fsck().await, codes(&[("REPL", None)]));

    world.replicate().await;
    assert_eq!(fs::read(world.path(dev(2), fid)).unwrap(), b"bytes");
    assert_eq!(world.fsck().await, []);
}

#[tokio::test]
async fn a_sole_copy_that_is_not_what_its_checksum_says_is_not_multiplied() {
    // A client of MogileFS gave the MD5, and S3 has not digested the file yet.
    let md5 = b"\x4b\x3a\x62\x18\xbb\x3e\x3a\x73\x03\xe8\xa1\x71\xa6\x0f\xcf\x92";
    for (bytes, copies) in [(&b"bytes"[..], 2), (&b"bitts"[..], 1)] {
        let world = World::new(&[&[1], &[2]]).await;
        world.put_degraded("key", b"bytes", 1).await;
        let object = world.object("key").await;
        world.run_sql(&UNDIGESTED, vec![object.fid.into()]).await;
        world
            .run_sql(&KEPT, vec![object.fid.into(), md5.to_vec().into()])
            .await;
        fs::write(world.path(object.replicas[0], object.fid), bytes).unwrap();

        for _ in 0..3 {
            world.replicate().await;
            world.run(Digest::new(&world.tracker)).await;
            world.clock.advance(Duration::from_mins(10));
        }

        assert_eq!(world.on_disk(object.fid).len(), copies, "{bytes:?}");
        assert_eq!(world.object("key").await.replicas.len(), copies, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_class_that_keeps_checksums_gets_those_that_are_missing() {
    for_each_engine(async |db| {
        let mut world = World::on(db, &[&[1], &[2]]).await;
        world.put("key", b"bytes").await;
        let fid = world.object("key").await.fid;
        world
            .run_sql(&CLASS, vec![i64::from(world.domain.0).into()])
            .await;
        world.restart().await;

        assert_eq!(world.fsck().await, codes(&[("NSUM", None)]));
        let kept = world.ask(&CHECKSUM, vec![fid.into()]).await;
        assert_eq!(kept[0].int(0).unwrap(), 1);
        assert_eq!(
            hex::encode(kept[0].bytes(1).unwrap()),
            "4b3a6218bb3e3a7303e8a171a60fcf92"
        );
        assert_eq!(world.fsck().await, []);

        fs::write(world.path(dev(1), fid), b"rotte").unwrap();
        assert_eq!(world.fsck().await, codes(&[("REPL", None)]));
        world.replicate().await;
        assert_eq!(fs::read(world.path(dev(1), fid)).unwrap(), b"bytes");

        for device in [1, 2] {
            fs::write(world.path(dev(device), fid), b"rotte").unwrap();
        }
        assert_eq!(world.fsck().await, codes(&[("BSUM", None)]));
        assert_eq!(world.object("key").await.replicas.len(), 2, "nothing is changed");
    })
    .await;
}

#[tokio::test]
async fn a_check_that_is_stopped_goes_on_where_it_was() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        for number in 0..25 {
            world.put(&format!("key{number}"), b"bytes").await;
        }
        world
            .run_sql(&SETTING, vec!["queue_rate_for_fsck".into(), "10".into()])
            .await;
        let tracker = &world.tracker;
        tracker.fsck_start().await.unwrap();
        assert!(matches!(
            tracker.fsck_start().await,
            Err(Error::Run(RunError::FsckRunning))
        ));
        let mut fsck = Fsck::new(tracker);
        assert_eq!(fsck.step().await.unwrap(), Next::Again);
        tracker.fsck_stop().await.unwrap();
        assert_eq!(fsck.step().await.unwrap(), Next::Idle);
        let stopped = tracker.fsck_status().await.unwrap();
        assert!(
            stopped.checked > 0 && stopped.checked < stopped.end,
            "{stopped:?}"
        );
        assert_eq!((stopped.host, stopped.stopped), (None, 1_700_000_000));

        fs::remove_file(world.path(dev(1), world.object("key24").await.fid)).unwrap();
        tracker.fsck_start().await.unwrap();
        assert_eq!(tracker.fsck_status().await.unwrap().checked, stopped.checked);
        world.run(Fsck::new(tracker)).await;

        let status = tracker.fsck_status().await.unwrap();
        assert_eq!(status.checked, status.end);
        let counters = [("MISS".to_owned(), 1), ("REPL".to_owned(), 1)];
        assert_eq!(status.counters, counters);
    })
    .await;
}

#[tokio::test]
async fn files_that_an_original_tracker_has_queued_are_checked() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put("key", b"bytes").await;
        let fid = world.object("key").await.fid;
        fs::remove_file(world.path(dev(1), fid)).unwrap();
        world.run_sql(&QUEUE, vec![fid.into()]).await;

        world.run(Fsck::new(&world.tracker)).await;

        assert_eq!(
            world.logged_after(0).await,
            codes(&[("MISS", Some(1)), ("REPL", None)])
        );
        assert!(!world.is_queued(fid).await);
    })
    .await;
}

#[tokio::test]
async fn the_log_is_cleared_and_still_counted() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("key", b"bytes").await;
    let fid = world.object("key").await.fid;
    world.run_sql(&DEVCOUNT, vec![7_i64.into(), fid.into()]).await;
    world.fsck().await;

    world.tracker.fsck_clear_log().await.unwrap();

    let status = world.tracker.fsck_status().await.unwrap();
    assert_eq!(
        (status.last_logged, status.counters),
        (0, vec![("BCNT".to_owned(), 1)])
    );
    assert!(world.tracker.fsck_log(0).await.unwrap().is_empty());
}

#[tokio::test]
async fn old_lines_of_the_log_go_and_stay_counted() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put("key", b"bytes").await;
        let fid = world.object("key").await.fid;
        world.run_sql(&DEVCOUNT, vec![7_i64.into(), fid.into()]).await;
        assert_eq!(world.fsck().await, codes(&[("BCNT", None)]));
        world.clock.advance(Duration::from_hours(60 * 24));
        world.run(Expire::new(&world.tracker)).await;
        assert_eq!(world.logged_after(0).await.len(), 1, "it is not old yet");

        world.clock.advance(Duration::from_hours(40 * 24));
        fs::remove_file(world.path(dev(1), fid)).unwrap();
        world.run_sql(&QUEUE, vec![fid.into()]).await;
        world.run(Fsck::new(&world.tracker)).await;
        world.run(Expire::new(&world.tracker)).await;

        let young = codes(&[("MISS", Some(1)), ("REPL", None)]);
        assert_eq!(world.logged_after(0).await, young);
        let status = world.tracker.fsck_status().await.unwrap();
        let counters = [("BCNT", 1), ("MISS", 1), ("REPL", 1)];
        assert_eq!(
            status.counters,
            counters.map(|(code, count)| (code.to_owned(), count))
        );
    })
    .await;
}
