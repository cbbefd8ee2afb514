//! The scrub, and what becomes of bad copies, a step at a time.

use std::{fs, time::Duration};

use mogul_storage::{
    DevId, Fid,
    download::{BadCopy, Fault},
};
use mogul_tracker::{
    Error,
    clock::Clock as _,
    command::lookup::FirstCopy,
    jobs::{Job as _, Next, delete::Delete, digest::Digest, fsck::Fsck, scrub::Scrub},
    meta::{Sql, sql::sql},
    model::{ScrubCounts, ScrubHaste, ScrubState},
};

use crate::{
    engines::for_each_engine,
    repair::codes,
    world::{Mood, World, dev, key},
};

const NO_BLOCKS: Sql = sql("delete from mogul_fid_block");
const DEVCOUNTS: Sql = sql("update file set devcount = 7");
const COUNTED: Sql = sql("select fid from file where devcount <> 2 order by fid limit 10");
const UNDIGESTED: Sql = sql("update mogul_object set crc64 = null where fid = ?");
const NOT_ON: Sql = sql("delete from file_on where fid = ?");

const DAY: Duration = Duration::from_hours(24);

impl World {
    /// Lets every device be read from its first file to its last. Answers what was found on each.
    async fn scrub(&self) -> Vec<ScrubCounts> {
        self.tracker.scrub_now(&[]).await.unwrap();
        self.run(Scrub::new(&self.tracker)).await;
        let states = self.states().await;
        states.into_iter().map(|state| state.last.unwrap().1).collect()
    }

    async fn states(&self) -> Vec<ScrubState> {
        self.tracker.scrub_status().await.unwrap().devices
    }

    async fn run_sql_of(&self, statement: &'static Sql, fid: Option<Fid>) {
        let run = self.db.write(move |tx| {
            let args = fid.into_iter().map(Into::into).collect();
            Box::pin(async move { Ok(tx.run(statement, args).await?) })
        });
        run.await.unwrap();
    }

    fn damage(&self, device: DevId, fid: Fid, bytes: &[u8]) {
        fs::write(self.path(device, fid), bytes).unwrap();
    }
}

fn sums(counts: &[ScrubCounts]) -> (u64, u64, u64, u64) {
    let sum = |of: fn(&ScrubCounts) -> u64| counts.iter().map(of).sum();
    (
        sum(|counts| counts.files),
        sum(|counts| counts.rotten),
        sum(|counts| counts.missing),
        sum(|counts| counts.strays),
    )
}

#[tokio::test]
async fn what_rots_shrinks_or_vanishes_is_made_anew_without_a_reader() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let mut fids = Vec::new();
        for name in ["rots", "shrinks", "vanishes", "stays"] {
            world.put(name, b"bytes").await;
            fids.push(world.object(name).await.fid);
        }
        assert_eq!(sums(&world.scrub().await), (8, 0, 0, 0));
        world.damage(dev(1), fids[0], b"rotte");
        world.damage(dev(2), fids[1], b"by");
        fs::remove_file(world.path(dev(1), fids[2])).unwrap();

        assert_eq!(sums(&world.scrub().await), (5, 1, 2, 0));
        world.replicate().await;

        for fid in &fids {
            for device in [dev(1), dev(2)] {
                assert_eq!(fs::read(world.path(device, *fid)).unwrap(), b"bytes");
            }
        }
        assert_eq!(sums(&world.scrub().await), (8, 0, 0, 0));
        assert_eq!(world.tracker.backlog().await.unwrap().to_replicate, 0);
    })
    .await;
}

#[tokio::test]
async fn what_nobody_knows_goes_after_a_safe_age_and_what_is_missing_on_record_comes_back() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        world.put("k", b"bytes").await;
        world.put("lost", b"bytes of its own").await;
        let (fid, lost) = (world.object("k").await.fid, world.object("lost").await.fid);
        let extra = [dev(1), dev(2), dev(3)]
            .into_iter()
            .find(|device| !world.on_disk(fid).contains(device))
            .unwrap();
        let orphan = Fid::new(5_000_000).unwrap();
        for stray in [fid, orphan] {
            let path = world.path(extra, stray);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "stray").unwrap();
        }
        world.run_sql_of(&NO_BLOCKS, None).await;
        world.run_sql_of(&NOT_ON, Some(lost)).await;
        world.run_sql_of(&DEVCOUNTS, None).await;

        let (_, rotten, missing, strays) = sums(&world.scrub().await);
        world.replicate().await;

        assert_eq!((rotten, missing), (0, 0));
        assert!(strays >= 3, "{strays}");
        assert_eq!(world.on_disk(fid).len(), 2);
        assert!(!world.on_disk(fid).contains(&extra));
        assert_eq!(world.read("lost").await, b"bytes of its own");
        world.scrub().await;
        let mut tx = world.db.reader().await.unwrap();
        assert!(tx.rows(&COUNTED, vec![]).await.unwrap().is_empty());
        drop(tx);
        world.run(Delete::new(&world.tracker)).await;
        assert!(world.path(extra, orphan).exists());
        world.clock.advance(Duration::from_hours(2));
        world.run(Delete::new(&world.tracker)).await;
        assert!(!world.path(extra, orphan).exists());
    })
    .await;
}

#[tokio::test]
async fn what_is_miscounted_or_misplaced_is_in_the_log_of_fsck() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        world.put("k", b"bytes").await;
        world.want_copies(3).await;
        world.run_sql(&DEVCOUNTS, vec![]).await;

        world.scrub().await;

        let mut logged = world.logged_after(0).await;
        logged.sort();
        let wanted = [("BCNT", None), ("POVI", None), ("REPL", None)];
        assert_eq!(logged, codes(&wanted));
        world.replicate().await;
        assert_eq!(world.object("k").await.replicas.len(), 3);
        world.scrub().await;
        assert_eq!(world.logged_after(0).await.len(), wanted.len());
    })
    .await;
}

#[tokio::test]
async fn files_of_an_original_node_are_read_through_the_tracker() {
    let world = World::new(&[&[1], &[2]]).await;
    for device in [1, 2] {
        world.mood(device, Mood::Foreign);
    }
    world.put("rots", b"bytes").await;
    world.put("vanishes", b"bytes").await;
    let (rots, vanishes) = (world.object("rots").await.fid, world.object("vanishes").await.fid);
    world.damage(dev(2), rots, b"rotte");
    fs::remove_file(world.path(dev(1), vanishes)).unwrap();

    assert_eq!(sums(&world.scrub().await), (2, 1, 1, 0));
    world.replicate().await;

    assert_eq!(sums(&world.scrub().await), (4, 0, 0, 0));
}

#[tokio::test]
async fn a_bad_copy_is_kept_while_no_other_is_known_to_be_good() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("k", b"bytes").await;
    let fid = world.object("k").await.fid;
    world.damage(dev(1), fid, b"rotte");
    world.damage(dev(2), fid, b"bytex");

    assert_eq!(sums(&world.scrub().await), (0, 2, 0, 0));
    for device in [dev(1), dev(2)] {
        for fault in [Fault::Rotten, Fault::Short] {
            world
                .tracker
                .report_bad_copy(BadCopy { fid, device, fault })
                .await;
        }
    }
    world.replicate().await;

    assert_eq!(fs::read(world.path(dev(1), fid)).unwrap(), b"rotte");
    assert_eq!(fs::read(world.path(dev(2), fid)).unwrap(), b"bytex");
    assert_eq!(world.object("k").await.replicas.len(), 2);
    // The device with the other copy hangs: nothing is decided, and nobody waits for ever.
    world.damage(dev(2), fid, b"bytes");
    world.mood(2, Mood::Hung);
    let (device, fault) = (dev(1), Fault::Rotten);
    let report = std::pin::pin!(world.tracker.report_bad_copy(BadCopy { fid, device, fault }));
    let clock = async {
        while !world.is_awaited(2) {
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_secs(20));
    };
    futures_util::future::join(report, clock).await;
    assert_eq!(world.object("k").await.replicas.len(), 2);
}

#[tokio::test]
async fn a_copy_that_is_good_by_the_time_it_is_reported_is_left_alone() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put("k", b"bytes").await;
        let (fid, device) = (world.object("k").await.fid, dev(1));

        for fault in [Fault::Missing, Fault::Short, Fault::Rotten] {
            let report = BadCopy { fid, device, fault };
            world.tracker.report_bad_copy(report).await;
            assert_eq!(world.object("k").await.replicas.len(), 2, "{fault:?}");
        }
        assert_eq!(world.tracker.backlog().await.unwrap().to_replicate, 0);

        // Where nothing says what the file is, whoever could not read it is believed.
        world.run_sql_of(&UNDIGESTED, Some(fid)).await;
        let fault = Fault::Rotten;
        world
            .tracker
            .report_bad_copy(BadCopy { fid, device, fault })
            .await;
        assert_eq!(world.object("k").await.replicas, [dev(2)]);
    })
    .await;
}

#[tokio::test]
async fn what_is_lost_stays_on_record_until_an_operator_runs_fsck() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("k", b"bytes").await;
    let fid = world.object("k").await.fid;
    for device in [dev(1), dev(2)] {
        fs::rename(world.path(device, fid), world.folder().join(device.to_string())).unwrap();
    }

    let (_, _, missing, _) = sums(&world.scrub().await);
    world.replicate().await;
    assert_eq!(missing, 2);
    assert_eq!(world.object("k").await.replicas.len(), 2);
    // One of the disks comes back.
    fs::rename(world.folder().join("1"), world.path(dev(1), fid)).unwrap();
    world.scrub().await;
    world.replicate().await;
    assert_eq!(world.on_disk(fid).len(), 2);

    for device in [dev(1), dev(2)] {
        fs::remove_file(world.path(device, fid)).unwrap();
    }
    world.tracker.fsck_start().await.unwrap();
    world.run(Fsck::new(&world.tracker)).await;
    assert!(world.object("k").await.replicas.is_empty());
}

#[tokio::test]
async fn a_look_at_the_first_path_has_what_is_missing_made_anew() {
    for damage in [None, Some(&b"by"[..])] {
        let world = World::new(&[&[1], &[2]]).await;
        world.put("k", b"bytes").await;
        let fid = world.object("k").await.fid;
        match damage {
            None => fs::remove_file(world.path(dev(1), fid)).unwrap(),
            Some(bytes) => world.damage(dev(1), fid, bytes),
        }

        // Chance decides which copy is looked at.
        while world.object("k").await.replicas.len() == 2 {
            let found = world
                .tracker
                .file_paths((world.domain, &key("k")), FirstCopy::Checked, 1)
                .await;
            assert_eq!(found.unwrap()[0].device, dev(2));
        }
        world.replicate().await;

        assert_eq!(fs::read(world.path(dev(1), fid)).unwrap(), b"bytes");
    }
}

#[tokio::test]
async fn a_pass_is_spread_over_its_period_and_goes_on_after_a_restart() {
    let mut world = World::new(&[&[1]]).await;
    for number in 0..1_100 {
        let name = format!("k{number}");
        world.put_degraded(&name, b"bytes", 1).await;
    }
    let page = Scrub::new(&world.tracker).step().await.unwrap();
    assert_eq!(page, Next::Again);
    let half = world.states().await[0];
    assert_eq!((half.counts.files, half.haste), (1_000, ScrubHaste::Spread));
    assert!(half.begun.is_some() && half.last.is_none(), "{half:?}");

    world.restart().await;
    world.clock.advance(Duration::from_hours(1));
    world.run(Scrub::new(&world.tracker)).await;

    let whole = world.states().await[0];
    let (_, counts) = whole.last.unwrap();
    assert_eq!((counts.files, counts.bytes), (1_100, 5_500));
    assert_eq!((whole.position, whole.begun), (0, None));
    // The next pass begins a period after this one began.
    assert_eq!(whole.due.secs(), half.begun.unwrap().after(30 * DAY).secs());
    world.clock.advance(29 * DAY);
    world.run(Scrub::new(&world.tracker)).await;
    assert_eq!(world.states().await[0].due, whole.due);
}

#[tokio::test]
async fn a_device_stays_claimed_while_a_page_takes_long() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        world.put_degraded("k", b"bytes", 1).await;
        world.tracker.scrub_now(&[]).await.unwrap();
        let mut slow = Scrub::new(&world.tracker);
        let mut step = std::pin::pin!(slow.step());

        // The list of the device takes nine minutes, its digests eight.
        for (minutes, what) in [(9, "list"), (8, "digests")] {
            world.mood(1, Mood::Hung);
            while !world.is_awaited(1) {
                assert!(futures_util::poll!(&mut step).is_pending(), "{what}");
                tokio::task::yield_now().await;
            }
            world.clock.advance(Duration::from_mins(minutes));
            let due = world.states().await[0].due;
            assert!(due > world.clock.now(), "{what}");
            world.mood(1, Mood::Well);
            assert!(futures_util::poll!(&mut step).is_pending(), "{what}");
        }

        step.await.unwrap();
        assert_eq!(world.states().await[0].last.unwrap().1.files, 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_switched_off_is_read_when_somebody_asks() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("k", b"bytes").await;
    world.tracker.set_server_setting("scrub_days", "0").await.unwrap();

    world.run(Scrub::new(&world.tracker)).await;
    assert!(world.states().await.is_empty());

    assert_eq!(sums(&world.scrub().await), (2, 0, 0, 0));
    let unknown = world.tracker.scrub_now(&[dev(9)]).await;
    assert!(matches!(unknown, Err(Error::UnknownDevice)), "{unknown:?}");
    world.clock.advance(60 * DAY);
    let before = world.states().await;
    world.run(Scrub::new(&world.tracker)).await;
    assert_eq!(world.states().await, before);
}

#[tokio::test]
async fn a_device_that_is_away_is_left_for_later_and_does_not_hold_the_others_up() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("k", b"bytes").await;
    world.mood(1, Mood::Away);
    world.tracker.scrub_now(&[]).await.unwrap();

    world.run(Scrub::new(&world.tracker)).await;

    let states = world.states().await;
    assert_eq!(states[0].last, None);
    assert_eq!(states[1].last.unwrap().1.files, 1);
    world.mood(1, Mood::Well);
    world.clock.advance(Duration::from_mins(11));
    world.run(Scrub::new(&world.tracker)).await;
    assert_eq!(world.states().await[0].last.unwrap().1.files, 1);
}

#[tokio::test]
async fn a_file_without_a_digest_gets_one_and_is_read_by_the_next_pass() {
    let world = World::new(&[&[1], &[2]]).await;
    world.put("k", b"bytes").await;
    let fid = world.object("k").await.fid;
    world.run_sql_of(&UNDIGESTED, Some(fid)).await;

    assert_eq!(sums(&world.scrub().await), (0, 0, 0, 0));
    world.run(Digest::new(&world.tracker)).await;

    assert!(world.object("k").await.crc64.is_some());
    assert_eq!(sums(&world.scrub().await), (2, 0, 0, 0));
}
