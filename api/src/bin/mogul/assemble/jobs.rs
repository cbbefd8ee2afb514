//! The background work of a process that has the database.

use std::time::Duration;

use mogul_tracker::{
    Tracker,
    jobs::{
        Driver,
        delete::{self, Delete},
        digest::{self, Digest},
        drain::{self, Drains},
        expire::{self, Expire},
        fsck::{self, Fsck},
        join::Join,
        monitor::{self, Monitor},
        reaper::{self, Reaper},
        rebalance::{self, Rebalance},
        replicate::{self, Replicate},
        scrub::{self, Scrub},
        sweep::{self, Sweep},
    },
};

/// Files that are copied at a time: past this, the copies compete with clients for the same disks.
const REPLICATE_WORKERS: usize = 4;

/// Batches of fids that are deleted at a time.
const DELETE_WORKERS: usize = 2;

/// Ranges of files that fsck checks at a time: one waits for devices while the other waits for the database.
const FSCK_WORKERS: usize = 2;

/// Pages of devices that are read at a time: more would take the disks from the clients.
const SCRUB_WORKERS: usize = 1;

/// How often the join job looks for work that no wake told of.
const JOIN_PERIOD: Duration = Duration::from_secs(5);

/// How long background work may take to finish its step when the process stops.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Starts the jobs of a gateway: it keeps its view fresh and ends its own fids. All else is found in the database by the
/// trackers.
pub(super) fn start_of_gateway(tracker: &Tracker) -> Driver {
    let driver = Driver::new(tracker);
    driver.spawn(&Monitor::new(tracker), 1, monitor::PERIOD);
    driver.spawn(&Sweep::of_own(tracker), 1, sweep::PERIOD);
    driver
}

/// Starts all jobs.
pub(super) fn start(tracker: &Tracker) -> Driver {
    let driver = Driver::new(tracker);
    driver.spawn(&Monitor::new(tracker), 1, monitor::PERIOD);
    driver.spawn(&Replicate::new(tracker), REPLICATE_WORKERS, replicate::PERIOD);
    driver.spawn(&Delete::new(tracker), DELETE_WORKERS, delete::PERIOD);
    driver.spawn(&Join::new(tracker), 1, JOIN_PERIOD);
    driver.spawn(&Digest::new(tracker), 1, digest::PERIOD);
    driver.spawn(&Sweep::new(tracker), 1, sweep::PERIOD);
    driver.spawn(&Expire::new(tracker), 1, expire::PERIOD);
    driver.spawn(&Reaper::new(tracker), 1, reaper::PERIOD);
    driver.spawn(&Fsck::new(tracker), FSCK_WORKERS, fsck::PERIOD);
    driver.spawn(&Rebalance::new(tracker), 1, rebalance::PERIOD);
    driver.spawn(&Drains::new(tracker), 1, drain::PERIOD);
    driver.spawn(&Scrub::new(tracker), SCRUB_WORKERS, scrub::PERIOD);
    driver
}
