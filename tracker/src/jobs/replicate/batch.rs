//! The files of one step: claimed together, worked on side by side, written down in groups.
//!
//! What many files need of the database is asked for all of them at once, and what came of them is written as it comes, as
//! many files in one transaction as have ended meanwhile: a commit is synced, and would cost more than a small file's copy.
//! A batch ends after [`STEP`]: files that nobody has begun with by then go back to the queue; and not all workers may have
//! large files at a time. So new files, which come first in the queue, do not wait for large ones.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, future, future::Either, stream::FuturesUnordered};
use mogul_storage::{DevId, Fid};
use tokio::sync::OwnedSemaphorePermit;

use super::{End, Lanes, Replicate, Work, lanes::SMALL};
use crate::{
    Error, Tracker,
    inspect::{Known, digests_known},
    jobs::{Done, JobName, Next},
    meta::{
        Tx, deletions,
        files::{self, FileRow},
        lock::Held,
        queues::{self, Claim, END_OF_TIME, Leftover},
        replicas,
    },
    model::Timestamp,
};

/// Files of one step. PostgreSQL has room for some thousands of locks in all (`max_locks_per_transaction`).
const BATCH: usize = 128;
/// How long a step begins with files.
const STEP: Duration = Duration::from_secs(2);
/// Files of which the ends are written in one transaction, at most.
const WRITTEN_AT_ONCE: usize = 64;
/// Transactions under way at a time that write them.
const WRITES: usize = 3;
/// Files of more bytes make a step last.
const LARGE: u64 = 64 << 20;
/// How long a large file waits when as many steps as may have large ones.
const CROWDED: Duration = Duration::from_secs(5);
/// How long a file waits on which an original tracker, or one that has lost its claim, works.
const BUSY: Duration = Duration::from_secs(2);

/// A claimed batch.
pub(super) struct Batch {
    claims: Vec<Claim>,
    held: Arc<Held>,
    files: BTreeMap<Fid, FileRow>,
    digests: BTreeMap<Fid, Known>,
    replicas: BTreeMap<Fid, Vec<DevId>>,
    began: Timestamp,
}

/// What the files of a step share.
struct Shift {
    held: Arc<Held>,
    began: Timestamp,
    /// Taken by the first large file.
    large: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Shift {
    /// Whether this step may take as long as a large file does.
    fn takes_large(&self, lanes: &Lanes) -> bool {
        let mut large = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        if large.is_none() {
            *large = lanes.long_step();
        }
        large.is_some()
    }
}

/// What came of a file.
#[derive(Debug, Clone)]
struct Ended {
    claim: Claim,
    /// Devices that have a copy which is not on record yet.
    made: Vec<DevId>,
    end: End,
    /// When it is tried again, if it is.
    nexttry: i64,
}

impl Batch {
    /// Claims what is due, and reads what is known of it.
    pub(super) async fn taken(tracker: &Tracker, now: Timestamp) -> Result<Option<Batch>, Error> {
        let claim = tracker
            .db()
            .write(move |tx| Box::pin(async move { queues::claim_replicate(tx, now, BATCH).await }));
        let claims = claim.await?;
        if claims.is_empty() {
            return Ok(None);
        }
        let fids: Vec<Fid> = claims.iter().map(|claim| claim.fid).collect();
        let held = Arc::new(tracker.locks().files(&fids).await?);
        let mut tx = tracker.db().reader().await?;
        let files = files::files_by_fid(&mut tx, &fids).await?;
        drop(tx);
        tracker
            .reread_domains(files.values().map(|file| file.domain).collect())
            .await?;
        let mut tx = tracker.db().reader().await?;
        Ok(Some(Batch {
            claims,
            held,
            files,
            digests: digests_known(&mut tx, &fids).await?,
            replicas: replicas::replicas_of(&mut tx, &fids).await?,
            began: now,
        }))
    }

    /// Whether it is done soon, and more files could have been in it: then the next waits for it ([`Lanes::turn`]).
    pub(super) fn is_light(&self) -> bool {
        self.claims.len() < BATCH && self.files.values().all(|file| file.size <= SMALL)
    }

    /// What there is to be done for each claim; nothing if the file was deleted.
    fn works(&mut self) -> Vec<(Claim, Option<Work>)> {
        let claims = std::mem::take(&mut self.claims);
        let mut works = Vec::with_capacity(claims.len());
        for claim in claims {
            let file = self.files.remove(&claim.fid);
            let work = file.map(|file| Work {
                claim,
                held: Arc::clone(&self.held),
                file,
                digest: self.digests.remove(&claim.fid),
                on: self.replicas.remove(&claim.fid).unwrap_or_default(),
                made: Vec::new(),
                sound: Vec::new(),
                failed: Vec::new(),
            });
            works.push((claim, work));
        }
        works
    }
}

impl Replicate {
    /// Works on all files of a batch and writes down how each ended.
    pub(super) async fn work_off(&self, mut batch: Batch) -> Result<Next, Error> {
        let full = batch.claims.len() == BATCH;
        let shift = Shift {
            held: Arc::clone(&batch.held),
            began: batch.began,
            large: Mutex::default(),
        };
        let works = batch.works();
        drop(batch);
        let work = Box::pin(self.work_through(works, &shift));
        let worked = self.0.keeping(&shift.held, work).await;
        if let Some(held) = Arc::into_inner(shift.held) {
            held.release().await;
        }
        worked?;
        Ok(if full { Next::Again } else { Next::Idle })
    }

    /// Works on files side by side, and writes down how they ended as they do.
    ///
    /// Files go on while others are written down: one that waits for its turn may hold a connection to the database that the
    /// writing waits for.
    async fn work_through(&self, works: Vec<(Claim, Option<Work>)>, shift: &Shift) -> Result<(), Error> {
        let at_once = self.0.settings().replicate_at_once;
        let mut left = works.into_iter();
        let mut working = FuturesUnordered::new();
        let mut writing = FuturesUnordered::new();
        let mut ended = Vec::new();
        let mut outcome = Ok(());
        loop {
            // Where one file is worked on at a time, one thing is done at a time: the simulation is held to that.
            let busy = at_once == 1 && !(ended.is_empty() && writing.is_empty());
            while working.len() < at_once && !busy {
                let Some((claim, work)) = left.next() else {
                    break;
                };
                working.push(Box::pin(self.work(claim, work, shift)));
            }
            if !ended.is_empty() && writing.len() < WRITES {
                let group = ended.len().min(WRITTEN_AT_ONCE);
                writing.push(self.write_down(ended.drain(..group).collect()));
            }
            if working.is_empty() && writing.is_empty() {
                return outcome;
            }
            let work = pin!(next_of(&mut working));
            let write = pin!(next_of(&mut writing));
            match future::select(work, write).await {
                Either::Left((end, _)) => ended.push(end),
                // The others go on; the claims of these are found by the reaper.
                Either::Right((Err(error), _)) => outcome = Err(error),
                Either::Right((Ok(()), _)) => {}
            }
        }
    }

    /// Works on one claimed file.
    async fn work(&self, claim: Claim, work: Option<Work>, shift: &Shift) -> Result<Ended, Error> {
        let size = work.as_ref().map_or(0, |work| work.file.size);
        let untouched = |later| Ok(self.ended(claim, Vec::new(), End::Untouched(later)));
        if !shift.held.has(claim.fid) {
            return untouched(self.0.now().after(BUSY).secs());
        }
        if shift.began.until(self.0.now()) > STEP {
            return untouched(0);
        }
        if size > LARGE && !shift.takes_large(self.0.lanes()) {
            return untouched(self.0.now().after(CROWDED).secs());
        }
        let claim = self.0.extended(claim, size).await?;
        let (claim, unanswered) = self.without_strays(claim).await?;
        let (end, claim, made) = match work {
            Some(mut work) => {
                (work.claim, work.failed) = (claim, unanswered);
                let end = self.satisfy(&mut work).await?;
                let (claim, _) = self.without_copies_on(&work.failed, work.claim).await?;
                (end, claim, work.made)
            }
            // It was deleted.
            None => (End::Done, claim, Vec::new()),
        };
        self.0.did(JobName::Replicate, Done::files(1));
        Ok(self.ended(claim, made, end))
    }

    fn ended(&self, claim: Claim, made: Vec<DevId>, end: End) -> Ended {
        let nexttry = match end {
            End::Done if claim.leftover == Leftover::None => 0,
            End::Done | End::Later => self.back_off(claim.failcount),
            End::Lost => END_OF_TIME,
            End::Untouched(later) => claim.was.max(later),
        };
        Ended {
            claim,
            made,
            end,
            nexttry,
        }
    }

    /// Puts what was made on record, and ends the claims.
    async fn write_down(&self, ended: Vec<Result<Ended, Error>>) -> Result<(), Error> {
        let mut failed = None;
        let mut well = Vec::new();
        for end in ended {
            match end {
                Ok(end) => well.push(end),
                Err(error) => failed = Some(error),
            }
        }
        if well.is_empty() {
            return failed.map_or(Ok(()), Err);
        }
        let (well, now) = (Arc::new(well), self.0.now());
        let write = self.0.db().write(move |tx| {
            let well = Arc::clone(&well);
            Box::pin(async move { written(tx, &well, now).await })
        });
        if write.await? > 0 {
            self.0.wake(JobName::Delete);
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The next of these to be done; never, if there are none.
async fn next_of<T>(set: &mut FuturesUnordered<impl Future<Output = T>>) -> T {
    match set.next().await {
        Some(done) => done,
        None => future::pending().await,
    }
}

/// Writes down how files ended. Answers how many were deleted while they were copied.
async fn written(tx: &mut Tx, ended: &[Ended], now: Timestamp) -> Result<usize, Error> {
    let made: Vec<(Fid, DevId)> = ended
        .iter()
        .flat_map(|end| end.made.iter().map(|device| (end.claim.fid, *device)))
        .collect();
    let gone = recorded(tx, &made, now).await?;
    let is_done = |end: &&Ended| end.end == End::Done && end.claim.leftover == Leftover::None;
    let done: Vec<Claim> = ended.iter().filter(is_done).map(|end| end.claim).collect();
    queues::replicate_done(tx, &done).await?;
    for end in ended.iter().filter(|end| !is_done(end)) {
        let failcount = match end.end {
            End::Done | End::Later => end.claim.failcount.saturating_add(1),
            End::Lost | End::Untouched(_) => end.claim.failcount,
        };
        queues::replicate_later(tx, &end.claim, end.nexttry, failcount).await?;
    }
    Ok(gone)
}

/// Puts copies on record. Those of a file that was deleted meanwhile are queued for deletion; answers how many such files
/// there are.
pub(super) async fn recorded(tx: &mut Tx, made: &[(Fid, DevId)], now: Timestamp) -> Result<usize, Error> {
    if made.is_empty() {
        return Ok(0);
    }
    let mut fids: Vec<Fid> = made.iter().map(|(fid, _)| *fid).collect();
    fids.sort_unstable();
    fids.dedup();
    let there = files::files_locked(tx, &fids).await?;
    replicas::add(tx, made).await?;
    let (there, gone): (Vec<Fid>, Vec<Fid>) = fids.into_iter().partition(|fid| there.contains(fid));
    files::devcounts_updated(tx, &there).await?;
    deletions::delete(tx, &gone, now).await?;
    Ok(gone.len())
}
