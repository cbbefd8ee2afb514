//! Fids handed out from memory, a block at a time, and who is accountable for each.
//!
//! A block is a range of fids that one process has reserved (`mogul_fid_block`). Its row stays until every fid of it is
//! *ended*: a row in `file` or in `tempfile`, or given up with its copies deleted or queued. So whatever a process that died had begun
//! lies in the range of a block that is on record, where [`crate::jobs::sweep`] finds it.
//!
//! A [`Lease`] is the duty to end one fid. It ends by [`Lease::end`]; one that is dropped before (a client hung up, a
//! transaction failed) makes its fid an *orphan*, which the sweep job looks up: it is on record by now, or it is given up.
//! **Whoever records a fid must own its lease until the transaction is over**, also if nobody waits for it any more:
//! otherwise a fid could be given up just before it becomes a file.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use mogul_storage::{DevId, Fid};

use crate::{
    Error,
    clock::Clock,
    error::chain,
    jobs::{JobName, Wakes},
    meta::{Db, deletions, fid_blocks, replicas, tempfiles},
};

/// Fids of one block: at ten thousand objects a second a new one is needed every tenth of a second, and a sweep after a
/// crash looks at no more than this many a block.
const BLOCK_FIDS: u32 = 1_000;
/// The next block is fetched when fewer fids than this are left, so that nobody waits for it.
const LOW_WATER: u64 = 500;

/// The fids of this process.
#[derive(Debug, Clone)]
pub(crate) struct FidPool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    /// Names this process in `mogul_fid_block`.
    owner: String,
    wakes: Wakes,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Blocks with fids that can be handed out, or that are not ended.
    blocks: BTreeMap<Fid, Block>,
    /// Blocks whose fids are all ended; their rows go with the next transaction.
    ended: Vec<Fid>,
    /// Whether somebody is fetching a block ahead of time.
    fetching: bool,
    orphans: Vec<Orphan>,
}

#[derive(Debug)]
struct Block {
    /// First fid not handed out; beyond `last` if there is none.
    next: u64,
    last: u64,
    /// Fids handed out and not ended.
    open: u64,
}

/// A fid whose lease was dropped.
#[derive(Debug, Clone)]
pub(crate) struct Orphan {
    fid: Fid,
    /// Devices that may have a copy.
    devices: Vec<DevId>,
}

/// The duty to end one fid; see the module.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Duty>);

#[derive(Debug)]
struct Duty {
    fid: Fid,
    devices: Vec<DevId>,
    pool: FidPool,
    ended: AtomicBool,
}

impl Lease {
    /// The fid.
    #[must_use]
    pub fn fid(&self) -> Fid {
        self.0.fid
    }

    /// Ends the fid: it is a file, or nothing of it is left that is not queued for deletion.
    pub(crate) fn end(&self) {
        if !self.0.ended.swap(true, Ordering::AcqRel) {
            self.0.pool.ended(self.0.fid);
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if !*self.ended.get_mut() {
            let orphan = Orphan {
                fid: self.fid,
                devices: std::mem::take(&mut self.devices),
            };
            self.pool.lock().orphans.push(orphan);
            self.pool.0.wakes.wake(JobName::Sweep);
        }
    }
}

impl FidPool {
    /// An empty pool of the process named `owner`.
    pub(crate) fn new(owner: String, wakes: Wakes) -> FidPool {
        FidPool(Arc::new(Pool {
            owner,
            wakes,
            state: Mutex::default(),
        }))
    }

    /// The name of this process in `mogul_fid_block`.
    pub(crate) fn owner(&self) -> &str {
        &self.0.owner
    }

    /// Hands out a fid of which `devices` may get copies.
    ///
    /// # Errors
    /// [`Error::Database`] if a new block is needed and cannot be had.
    ///
    /// # Cancel safety
    /// Dropped after the fid was taken, the lease ends as an orphan.
    pub(crate) async fn lease(
        &self,
        db: &Db,
        clock: &dyn Clock,
        devices: Vec<DevId>,
    ) -> Result<Lease, Error> {
        loop {
            let (fid, left) = self.take();
            let lease = fid.map(|fid| {
                Lease(Arc::new(Duty {
                    fid,
                    devices: devices.clone(),
                    pool: self.clone(),
                    ended: AtomicBool::new(false),
                }))
            });
            let fetched = match (&lease, left < LOW_WATER) {
                (Some(_), false) => Ok(()),
                // Another fetches already; there are fids until it is done.
                (Some(_), true) => match self.begin_fetching() {
                    Some(_fetching) => self.fetch(db, clock).await,
                    None => Ok(()),
                },
                (None, _) => self.fetch(db, clock).await,
            };
            match (lease, fetched) {
                (Some(lease), Err(error)) => {
                    tracing::warn!(
                        error = chain(&error),
                        "no block of fids could be fetched ahead of time"
                    );
                    return Ok(lease);
                }
                (Some(lease), Ok(())) => return Ok(lease),
                (None, fetched) => fetched?,
            }
        }
    }

    /// Takes a fid, and tells how many are left.
    fn take(&self) -> (Option<Fid>, u64) {
        let mut state = self.lock();
        let mut taken = None;
        let mut left = 0;
        for block in state.blocks.values_mut() {
            if taken.is_none() && block.next <= block.last {
                taken = Fid::new(block.next);
                block.next += 1;
                block.open += 1;
            }
            left += (block.last + 1).saturating_sub(block.next);
        }
        (taken, left)
    }

    /// Reserves a block, and lets those go whose fids are all ended.
    pub(crate) async fn fetch(&self, db: &Db, clock: &dyn Clock) -> Result<(), Error> {
        let ended = self.lock().ended.clone();
        let (released, owner, now) = (ended.clone(), self.0.owner.clone(), clock.now());
        let first = db
            .write(move |tx| {
                let (released, owner) = (released.clone(), owner.clone());
                Box::pin(async move {
                    for first in released {
                        fid_blocks::release(tx, first).await?;
                    }
                    fid_blocks::reserve(tx, &owner, BLOCK_FIDS, now).await
                })
            })
            .await?;
        let mut state = self.lock();
        state.ended.retain(|block| !ended.contains(block));
        let block = Block {
            next: first.get(),
            last: first.get() + u64::from(BLOCK_FIDS - 1),
            open: 0,
        };
        state.blocks.insert(first, block);
        Ok(())
    }

    /// Notes that a fid is ended.
    fn ended(&self, fid: Fid) {
        let mut state = self.lock();
        let Some((first, block)) = state.blocks.range_mut(..=fid).next_back() else {
            return;
        };
        block.open = block.open.saturating_sub(1);
        if block.open == 0 && block.next > block.last {
            let first = *first;
            state.blocks.remove(&first);
            state.ended.push(first);
        }
    }

    /// Ends the orphans: those that are files or reserved are well; the others are given up, and their devices searched.
    ///
    /// # Errors
    /// [`Error::Database`]; they stay orphans.
    pub(crate) async fn settle_orphans(&self, db: &Db, clock: &dyn Clock) -> Result<usize, Error> {
        let orphans = std::mem::take(&mut self.lock().orphans);
        if orphans.is_empty() {
            return Ok(0);
        }
        let kept = Kept {
            pool: self,
            orphans: orphans.clone(),
        };
        let (count, now) = (orphans.len(), clock.now());
        let shared = Arc::new(orphans);
        db.write(move |tx| {
            let orphans = Arc::clone(&shared);
            Box::pin(async move {
                let fids: Vec<Fid> = orphans.iter().map(|orphan| orphan.fid).collect();
                let present = tempfiles::accounted_for(tx, &fids).await?;
                let lost = |orphan: &&Orphan| !present.contains(&orphan.fid) && !orphan.devices.is_empty();
                let copies = orphans.iter().filter(lost).flat_map(|orphan| {
                    let fid = orphan.fid;
                    orphan.devices.iter().map(move |device| (fid, *device))
                });
                replicas::add(tx, &copies.collect::<Vec<_>>()).await?;
                let fids: Vec<Fid> = orphans.iter().filter(lost).map(|orphan| orphan.fid).collect();
                deletions::delete(tx, &fids, now).await
            })
        })
        .await?;
        kept.settled();
        self.0.wakes.wake(JobName::Delete);
        Ok(count)
    }

    /// Lets the rows of all blocks go that have no open fid, for the process ends. What is open is found by the next start.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn close(&self, db: &Db, clock: &dyn Clock) -> Result<(), Error> {
        self.settle_orphans(db, clock).await?;
        let open: Vec<Fid> = {
            let mut state = self.lock();
            state.blocks.retain(|_, block| block.open > 0);
            for block in state.blocks.values_mut() {
                block.next = block.last + 1;
            }
            state.ended.clear();
            state.blocks.keys().copied().collect()
        };
        let owner = self.0.owner.clone();
        db.write(move |tx| {
            let (open, owner) = (open.clone(), owner.clone());
            Box::pin(async move {
                for block in fid_blocks::blocks(tx).await? {
                    if block.owner == owner && !open.contains(&block.first) {
                        fid_blocks::release(tx, block.first).await?;
                    }
                }
                Ok(())
            })
        })
        .await
    }

    fn begin_fetching(&self) -> Option<Fetching<'_>> {
        let fetching = std::mem::replace(&mut self.lock().fetching, true);
        // Made only where it is handed out: one that is dropped here would say that nobody fetches.
        (!fetching).then(|| Fetching(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below the lock is complete before anything that could panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by the one who fetches a block ahead of time.
struct Fetching<'p>(&'p FidPool);

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.0.lock().fetching = false;
    }
}

/// Orphans on their way: they are put back unless they were settled.
struct Kept<'p> {
    pool: &'p FidPool,
    orphans: Vec<Orphan>,
}

impl Kept<'_> {
    fn settled(mut self) {
        for orphan in std::mem::take(&mut self.orphans) {
            self.pool.ended(orphan.fid);
        }
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.pool.lock().orphans.append(&mut self.orphans);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_fetches_a_block_ahead() {
        let pool = FidPool::new("test".to_owned(), Wakes::default());

        let first = pool.begin_fetching();

        assert!(first.is_some());
        assert!(pool.begin_fetching().is_none());
        assert!(pool.begin_fetching().is_none());
        drop(first);
        assert!(pool.begin_fetching().is_some());
    }
}
