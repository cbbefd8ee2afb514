//! The domain of mogul: commands, placement, replication policies, background jobs, metadata.
//!
//! A face parses a request, calls one command on [`Tracker`], and renders the answer; everything that is decided
//! is decided here. [`model`] has the nouns, [`command`] the verbs, [`meta`] the only SQL of the project,
//! [`policy`] and [`placement`] the pure rules, [`jobs`] what runs without a client.

pub mod balance;
pub mod clock;
pub mod command;
pub mod error;
pub mod fids;
mod inspect;
pub mod jobs;
pub mod meta;
pub mod model;
pub mod nodes;
pub mod pace;
pub mod placement;
pub mod policy;
mod refresh;
pub mod rng;
pub mod url;
mod utilization;
pub mod view;

#[cfg(test)]
extern crate self as mogul_tracker;

pub use error::Error;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use jobs::{JobBoard, JobName, Wakes, replicate::Lanes};
use meta::{
    Db, Engine,
    committer::Committer,
    finder::{FileFinder, Finder, ObjectFinder, TempfileFinder},
    lock::Locks,
    reserver::Reserver,
};
use model::Timestamp;
use mogul_storage::latency::Latencies;
use view::{ClusterView, ViewCell};

/// The handle to the domain: cheap to clone, shared by all faces and jobs. Beside it the nodes, as whose work it does reaches
/// them.
#[derive(Clone)]
pub struct Tracker(Arc<Inner>, nodes::Nodes);

/// What a [`Tracker`] is made of.
pub struct Parts {
    /// The database, migrated.
    pub db: Db,
    /// How devices are reached.
    pub nodes: nodes::Nodes,
    /// Time.
    pub clock: Arc<dyn clock::Clock>,
    /// Chance.
    pub entropy: Arc<dyn rng::Entropy>,
    /// Settings of this process.
    pub settings: Settings,
}

/// Settings of one tracker, fixed for the life of the process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `mindevcount` of a class `default` that has no row (MogileFS `default_mindevcount`).
    pub default_mindevcount: u8,
    /// Devices below this many free bytes take no new files (MogileFS `min_free_space`).
    pub min_free_bytes: u64,
    /// Objects of several parts above this size in bytes stay in segments.
    pub join_bytes_max: u64,
    /// Files that each of the jobs `replicate` and `digest` works on at a time, at least 1.
    pub replicate_at_once: usize,
    /// The name of this machine: who runs fsck and rebalance (`fsck_host`, `rebal_host`).
    pub hostname: String,
}

/// Whether other processes work on the same database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// An embedded database: what this process does not change, nobody changes.
    Alone,
    /// A database server: others may change anything at any time.
    Shared,
}

struct Inner {
    parts: Parts,
    view: Arc<ViewCell>,
    fids: fids::FidPool,
    wakes: Wakes,
    jobs: JobBoard,
    utilizations: utilization::Utilizations,
    credentials: command::users::Credentials,
    committer: Committer,
    reserver: Reserver,
    objects: ObjectFinder,
    files: FileFinder,
    tempfiles: TempfileFinder,
    locks: Locks,
    lanes: Lanes,
    /// Devices that have stayed away and are not helped, because another host's are.
    vanished: AtomicU64,
}

impl Tracker {
    /// Takes up the work: loads the view, looks at the devices once, reserves fids. What a process that died has left is
    /// collected by the jobs.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Internal`] if the database holds what it must not.
    pub async fn open(parts: Parts) -> Result<Tracker, Error> {
        let wakes = Wakes::default();
        let owner = hex::encode(rng::fill::<16>(&*parts.entropy));
        let nodes = parts.nodes.clone();
        let inner = Inner {
            view: Arc::default(),
            fids: fids::FidPool::new(owner, wakes.clone()),
            wakes,
            jobs: JobBoard::default(),
            utilizations: utilization::Utilizations::default(),
            credentials: command::users::Credentials::default(),
            committer: Committer::start(&parts.db),
            reserver: Reserver::start(&parts.db),
            objects: Finder::objects(&parts.db),
            files: Finder::files(&parts.db),
            tempfiles: Finder::tempfiles(&parts.db),
            locks: Locks::new(&parts.db),
            lanes: Lanes::default(),
            vanished: AtomicU64::new(0),
            parts,
        };
        let tracker = Tracker(Arc::new(inner), nodes);
        tracker.refresh_all().await?;
        jobs::monitor::Monitor::new(&tracker).observe().await?;
        let (sharing, now) = (tracker.sharing(), tracker.now());
        let write = tracker.db().write(move |tx| {
            Box::pin(async move {
                match sharing {
                    Sharing::Alone => {
                        meta::queues::unclaim(tx).await?;
                        meta::deletions::unclaim(tx, now).await?;
                        meta::scrub::scrubs_unclaimed(tx, now).await?;
                        meta::segments::joins_unclaimed(tx, now).await
                    }
                    Sharing::Shared => meta::segments::joins_taken_off_the_shelf(tx, now).await,
                }
            })
        });
        write.await?;
        tracker.0.fids.fetch(tracker.db(), tracker.clock()).await?;
        Ok(tracker)
    }

    /// Lays the work down: nothing is left to collect if nothing was under way. The faces and the jobs have stopped.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn close(&self) -> Result<(), Error> {
        self.0.fids.close(self.db(), self.clock()).await
    }

    /// The cluster at this moment.
    #[must_use]
    pub fn view(&self) -> Arc<ClusterView> {
        self.0.view.load()
    }

    /// The view as it changes, for the driver.
    #[must_use]
    pub fn views(&self) -> Arc<ViewCell> {
        Arc::clone(&self.0.view)
    }

    /// How soon devices answer reads of late, if that is measured.
    #[must_use]
    pub fn latencies(&self) -> Option<&Latencies> {
        self.nodes().latencies()
    }

    /// What wakes the jobs.
    #[must_use]
    pub fn wakes(&self) -> &Wakes {
        &self.0.wakes
    }

    /// How the jobs of this process are doing.
    #[must_use]
    pub fn jobs(&self) -> &JobBoard {
        &self.0.jobs
    }

    /// What limits copies between devices.
    pub(crate) fn lanes(&self) -> &Lanes {
        &self.0.lanes
    }

    /// Copies of files that this process has made, and their bytes.
    #[must_use]
    pub fn copies_made(&self) -> (u64, u64) {
        self.0.lanes.counted()
    }

    /// Devices that have stayed away for too long and are not made absent, because those of another host are.
    #[must_use]
    pub fn vanished(&self) -> u64 {
        self.0.vanished.load(Ordering::Relaxed)
    }

    /// Counts work that a step of a job has done.
    pub(crate) fn did(&self, job: JobName, done: jobs::Done) {
        self.0.jobs.did(job, done, self.now());
    }

    /// Tells a job that there may be work.
    pub(crate) fn wake(&self, job: JobName) {
        self.0.wakes.wake(job);
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.parts.db
    }

    /// The same tracker for a background job: what it asks of nodes does not count as clients' work ([`pace`]).
    pub(crate) fn at_work(&self) -> Tracker {
        Tracker(Arc::clone(&self.0), self.1.for_jobs())
    }

    pub(crate) fn nodes(&self) -> &nodes::Nodes {
        &self.1
    }

    pub(crate) fn clock(&self) -> &dyn clock::Clock {
        &*self.0.parts.clock
    }

    pub(crate) fn shared_clock(&self) -> Arc<dyn clock::Clock> {
        Arc::clone(&self.0.parts.clock)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    pub(crate) fn entropy(&self) -> &dyn rng::Entropy {
        &*self.0.parts.entropy
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.parts.settings
    }

    pub(crate) fn sharing(&self) -> Sharing {
        match self.db().engine() {
            Engine::Sqlite => Sharing::Alone,
            Engine::Postgres | Engine::MySql => Sharing::Shared,
        }
    }

    /// Named locks, which end with this process.
    pub(crate) fn locks(&self) -> &Locks {
        &self.0.locks
    }

    /// What writes finished uploads.
    pub(crate) fn committer(&self) -> &Committer {
        &self.0.committer
    }

    /// What puts reserved fids on record.
    pub(crate) fn reserver(&self) -> &Reserver {
        &self.0.reserver
    }
}
