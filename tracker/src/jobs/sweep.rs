//! Ends fids that nobody ended (see [`crate::fids`]): those whose lease was dropped, and those that a process which died
//! had reserved.
//!
//! What a dead process left is found by asking every device for the fids it holds in the range of the dead one's blocks:
//! one that is no file, and is not reserved by the tracker port (mogilefs.md §18.1), is queued for deletion. A block's row goes when every device that is not dead has been asked.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mogul_storage::{DevId, Fid, NodeError};

use super::{Done, Job, JobName, Next};
use crate::{
    Error, Sharing, Tracker,
    meta::{
        Tx, deletions,
        fid_blocks::{self, FidBlock},
        replicas, tempfiles,
    },
    model::{DeviceStatus, Timestamp},
};

/// A process on a shared database that has not renewed its blocks for this long is dead: far longer than a database may
/// be away without anybody giving up.
const LEASE: Duration = Duration::from_mins(10);
/// How often a process renews its blocks.
const RENEW_EVERY: Duration = Duration::from_mins(1);
/// Fids asked for in one request.
const LIST: usize = 1_000;
/// How often there is a look without a wake.
pub const PERIOD: Duration = Duration::from_secs(30);

/// Whose fids are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Those of this process and of dead ones.
    All,
    /// Those of this process.
    Own,
}

/// The job.
#[derive(Clone)]
pub struct Sweep {
    tracker: Tracker,
    reach: Reach,
    /// Devices that were asked for a block; lost with the process, and then asked again.
    asked: BTreeSet<(Fid, DevId)>,
    renewed: Option<Timestamp>,
}

impl Sweep {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Sweep {
        Sweep::reaching(tracker, Reach::All)
    }

    /// The job of a gateway: what dead processes left is the trackers' business.
    #[must_use]
    pub fn of_own(tracker: &Tracker) -> Sweep {
        Sweep::reaching(tracker, Reach::Own)
    }

    fn reaching(tracker: &Tracker, reach: Reach) -> Sweep {
        Sweep {
            tracker: tracker.at_work(),
            reach,
            asked: BTreeSet::new(),
            renewed: None,
        }
    }

    /// Says that this process is alive, when it is time.
    async fn renew(&mut self) -> Result<(), Error> {
        let now = self.tracker.now();
        if self
            .renewed
            .is_some_and(|renewed| renewed.until(now) < RENEW_EVERY)
        {
            return Ok(());
        }
        let owner = self.tracker.0.fids.owner().to_owned();
        let renew = self.tracker.db().write(move |tx| {
            let owner = owner.clone();
            Box::pin(async move { Ok(fid_blocks::renew(tx, &owner, now).await?) })
        });
        renew.await?;
        self.renewed = Some(now);
        Ok(())
    }

    /// The blocks of processes that are dead.
    async fn dead_blocks(&self) -> Result<Vec<FidBlock>, Error> {
        let mut tx = self.tracker.db().reader().await?;
        let mut blocks = fid_blocks::blocks(&mut tx).await?;
        let (owner, now) = (self.tracker.0.fids.owner(), self.tracker.now());
        blocks.retain(|block| {
            let dead = match self.tracker.sharing() {
                Sharing::Alone => true,
                Sharing::Shared => block.renewed.until(now) > LEASE,
            };
            dead && block.owner != owner
        });
        Ok(blocks)
    }

    /// Asks one device about one block, or lets the block go. Answers whether there was something to do.
    async fn sweep(&mut self, block: &FidBlock) -> Result<bool, Error> {
        let view = self.tracker.view();
        let left: Vec<_> = view
            .devices()
            .filter(|device| device.device.status != DeviceStatus::Dead)
            .filter(|device| !self.asked.contains(&(block.first, device.device.id)))
            .collect();
        if left.is_empty() {
            let first = block.first;
            let release = self
                .tracker
                .db()
                .write(move |tx| Box::pin(async move { Ok(fid_blocks::release(tx, first).await?) }));
            release.await?;
            self.asked.retain(|(asked, _)| *asked != first);
            return Ok(true);
        }
        let reachable = left.iter().find(|device| device.answers());
        let Some(device) = reachable.map(|device| device.device.id) else {
            return Ok(false);
        };
        self.collect(block, device).await?;
        self.asked.insert((block.first, device));
        Ok(true)
    }

    /// Queues what a device holds of a block and nobody knows.
    async fn collect(&self, block: &FidBlock, device: DevId) -> Result<(), Error> {
        let node = self.tracker.nodes().get(device).ok_or(Error::NoDevices)?;
        let mut next = Some(block.first);
        while let Some(first) = next {
            let listed = node.list(device, first, LIST).await;
            let mut found = match listed {
                Ok(found) => found,
                // An original node cannot tell what it holds; the original never asks.
                Err(NodeError::Unsupported(_)) => return Ok(()),
                Err(source) => return Err(Error::Device { device, source }),
            };
            next = match found.last() {
                Some(last) if found.len() == LIST && *last < block.last => Fid::new(last.get() + 1),
                Some(_) | None => None,
            };
            found.retain(|fid| *fid <= block.last);
            if found.is_empty() {
                return Ok(());
            }
            let (found, now) = (Arc::new(found), self.tracker.now());
            let queue = self.tracker.db().write(move |tx| {
                let found = Arc::clone(&found);
                Box::pin(async move { give_up(tx, &found, device, now).await })
            });
            queue.await?;
            self.tracker.wake(JobName::Delete);
        }
        Ok(())
    }
}

impl Job for Sweep {
    const NAME: JobName = JobName::Sweep;

    async fn step(&mut self) -> Result<Next, Error> {
        let settled = self
            .tracker
            .0
            .fids
            .settle_orphans(self.tracker.db(), self.tracker.clock());
        let settled = settled.await?;
        if settled > 0 {
            self.tracker.did(Self::NAME, Done::files(settled));
            return Ok(Next::Again);
        }
        self.renew().await?;
        if self.reach == Reach::Own {
            return Ok(Next::Idle);
        }
        for block in self.dead_blocks().await? {
            if self.sweep(&block).await? {
                return Ok(Next::Again);
            }
        }
        Ok(Next::Idle)
    }
}

/// Queues those of these fids on a device that nobody answers for.
async fn give_up(tx: &mut Tx, fids: &[Fid], device: DevId, now: Timestamp) -> Result<(), Error> {
    let present = tempfiles::accounted_for(tx, fids).await?;
    let strays: Vec<Fid> = fids
        .iter()
        .copied()
        .filter(|fid| !present.contains(fid))
        .collect();
    let copies: Vec<_> = strays.iter().map(|fid| (*fid, device)).collect();
    replicas::add(tx, &copies).await?;
    deletions::delete(tx, &strays, now).await
}
