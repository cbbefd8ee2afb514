//! What runs without a client: bounded, repeatable steps ([`Job`]), and the one loop that drives them ([`Driver`]).
//!
//! A step finds its work in the database. A wake carries nothing: start-up, a second tracker and a lost wake are the
//! same case. Steps wait for the clock, nodes and the database alone, so that the simulation can run them.
//!
//! | job | one step |
//! | --- | --- |
//! | [`monitor`] | looks at the devices, publishes what it saw |
//! | [`replicate`] | claims files, asks their policies, makes or drops copies |
//! | [`delete`] | claims fids, deletes their copies |
//! | [`digest`] | reads files that nobody has digested, keeps their MD5 and CRC |
//! | [`sweep`] | ends fids that nobody ended: after a crash, a hang-up, a failed transaction |
//! | [`reaper`] | forgets a batch of a dead device's copies, queues their files; takes up what dead trackers had claimed |
//! | [`fsck`] | checks a range of files against what the devices hold, mends what differs |
//! | [`scrub`] | reads a page of a device's files, compares them with their digests and what is on record |
//! | [`rebalance`] | queues copies that a policy wants elsewhere, and moves them |
//! | [`drain`] | queues what is on devices that are to be empty |
//! | [`expire`] | moves old reservations, finished uploads and the old queues out of the way |

mod alone;
mod board;
pub mod delete;
pub mod digest;
pub mod drain;
mod driver;
pub mod expire;
pub mod fsck;
pub mod join;
mod marks;
pub mod monitor;
pub mod reaper;
pub mod rebalance;
pub mod replicate;
pub mod scrub;
pub mod sweep;

pub use board::{Done, JobBoard, JobStatus};
pub use driver::Driver;

use std::{future::Future, sync::Arc};

use tokio::sync::Notify;

use crate::Error;

/// Background work in small, repeatable steps.
pub trait Job: Send + 'static {
    /// Which job it is.
    const NAME: JobName;

    /// Reads the state, does one bounded unit of work, says whether more is waiting. Idempotent; may be dropped at any
    /// await.
    fn step(&mut self) -> impl Future<Output = Result<Next, Error>> + Send;

    /// How the step that ended last yields to clients.
    fn pace(&self) -> Pace {
        Pace::AfterStep
    }
}

/// How a step yields to clients ([`crate::pace`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The driver rests after it.
    AfterStep,
    /// It has rested while it worked, with [`Tracker::give_way`](crate::Tracker::give_way).
    Within,
    /// It does not: somebody relies on it, or the cluster is not safe until it is done.
    Urgent,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There may be more work at once.
    Again,
    /// Nothing is due.
    Idle,
}

/// The jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobName {
    /// [`monitor`].
    Monitor,
    /// [`replicate`].
    Replicate,
    /// [`delete`].
    Delete,
    /// Joins the segments of multipart objects.
    Join,
    /// [`digest`].
    Digest,
    /// [`sweep`].
    Sweep,
    /// [`expire`].
    Expire,
    /// [`reaper`].
    Reaper,
    /// [`fsck`].
    Fsck,
    /// [`rebalance`].
    Rebalance,
    /// [`drain`].
    Drain,
    /// [`scrub`].
    Scrub,
}

impl JobName {
    /// All jobs.
    pub const ALL: [JobName; 12] = [
        JobName::Monitor,
        JobName::Replicate,
        JobName::Delete,
        JobName::Join,
        JobName::Digest,
        JobName::Sweep,
        JobName::Expire,
        JobName::Reaper,
        JobName::Fsck,
        JobName::Rebalance,
        JobName::Drain,
        JobName::Scrub,
    ];

    /// The job of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<JobName> {
        JobName::ALL.into_iter().find(|job| job.as_str() == name)
    }

    /// Whether operators may pause it. Without the monitor a tracker sees neither devices nor settings any more, not even that it
    /// may go on; without the sweep it does not renew its blocks of fids, and another tracker would collect what it stores.
    #[must_use]
    pub fn may_pause(self) -> bool {
        !matches!(self, JobName::Monitor | JobName::Sweep)
    }

    /// The name for logs and operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JobName::Monitor => "monitor",
            JobName::Replicate => "replicate",
            JobName::Delete => "delete",
            JobName::Join => "join",
            JobName::Digest => "digest",
            JobName::Sweep => "sweep",
            JobName::Expire => "expire",
            JobName::Reaper => "reaper",
            JobName::Fsck => "fsck",
            JobName::Rebalance => "rebalance",
            JobName::Drain => "drain",
            JobName::Scrub => "scrub",
        }
    }
}

/// One bell for each job.
#[derive(Debug, Clone, Default)]
pub struct Wakes(Arc<[Notify; JobName::ALL.len()]>);

impl Wakes {
    /// Wakes one worker of a job; if all are busy, the next to be idle looks again at once.
    pub fn wake(&self, job: JobName) {
        self.bell(job).notify_one();
    }

    /// Resolves after the next wake, or at once if one was missed.
    pub async fn woken(&self, job: JobName) {
        self.bell(job).notified().await;
    }

    fn bell(&self, job: JobName) -> &Notify {
        let [
            monitor,
            replicate,
            delete,
            join,
            digest,
            sweep,
            expire,
            reaper,
            fsck,
            rebalance,
            drain,
            scrub,
        ] = &*self.0;
        match job {
            JobName::Monitor => monitor,
            JobName::Replicate => replicate,
            JobName::Delete => delete,
            JobName::Join => join,
            JobName::Digest => digest,
            JobName::Sweep => sweep,
            JobName::Expire => expire,
            JobName::Reaper => reaper,
            JobName::Fsck => fsck,
            JobName::Rebalance => rebalance,
            JobName::Drain => drain,
            JobName::Scrub => scrub,
        }
    }
}
