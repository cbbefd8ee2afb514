//! Deletes the copies of fids that are queued in `file_to_delete2` (mogilefs.md §12).
//!
//! A batch is claimed, its copies are deleted on all devices at once, and one transaction records what is gone. A step
//! that dies in between leaves the claim to run out; deleting twice is harmless. Where a node can, a device deletes all of its
//! copies in one request.
//!
//! What cannot be deleted waits, the longer the less it helps to try (`wait`), and nothing waits behind it: the queue is
//! worked on by due time. A fid of which one copy is gone and another waits has lost the row of the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use mogul_storage::{DevFid, DevId, Fid, Node, NodeError, bulk::BULK_MAX};

use super::{Done, Job, JobName, Next};
use crate::{
    Error, Tracker,
    error::chain,
    meta::{Tx, checksums, deletions, files, queues::Claim, replicas, tempfiles},
    model::{DeviceStatus, Timestamp},
    view::ClusterView,
};

/// Fids of one step.
const BATCH: usize = 1_000;
/// Deletions under way at a time: devices, or files of a device that takes one request for each.
const DELETIONS: usize = 32;
/// How often the queue is looked at without a wake: rows become due by time, too.
pub const PERIOD: Duration = Duration::from_secs(1);

/// The job.
#[derive(Clone)]
pub struct Delete(Tracker);

/// What came of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is not there any more.
    Gone,
    /// Its device cannot be reached now.
    Away,
    /// Its device may not be written to now.
    Forbidden,
    /// Its device refused.
    Refused,
}

impl Delete {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Delete {
        Delete(tracker.at_work())
    }

    /// Deletes the copies of claimed fids: all devices at a time.
    async fn delete(&self, copies: Vec<(Fid, DevId)>) -> Vec<(Fid, DevId, Fate)> {
        let mut by_device: BTreeMap<DevId, Vec<Fid>> = BTreeMap::new();
        for (fid, device) in copies {
            by_device.entry(device).or_default().push(fid);
        }
        let view = self.0.view();
        let delete = |(device, fids): (DevId, Vec<Fid>)| {
            let view = &view;
            async move {
                let fates = self.delete_on(view, device, fids).await;
                fates.into_iter().map(move |(fid, fate)| (fid, device, fate))
            }
        };
        let fates: Vec<_> = stream::iter(by_device)
            .map(delete)
            .buffer_unordered(DELETIONS)
            .collect()
            .await;
        fates.into_iter().flatten().collect()
    }

    /// Deletes copies on one device.
    async fn delete_on(&self, view: &ClusterView, device: DevId, fids: Vec<Fid>) -> Vec<(Fid, Fate)> {
        let all = |fate| fids.iter().map(|fid| (*fid, fate)).collect();
        let Some(known) = view.device(device) else {
            // Nobody knows what is there, or where it is.
            return all(Fate::Forbidden);
        };
        match known.device.status {
            DeviceStatus::Dead => return all(Fate::Gone),
            DeviceStatus::Alive | DeviceStatus::Drain => {}
            DeviceStatus::Down | DeviceStatus::ReadOnly => return all(Fate::Forbidden),
        }
        let Some(node) = self.0.nodes().get(device).filter(|_| known.deletable()) else {
            return all(Fate::Away);
        };
        let mut fates = Vec::new();
        for fids in fids.chunks(BULK_MAX) {
            match node.delete_many(device, fids).await {
                Ok(left) => {
                    let left: BTreeSet<Fid> = left.into_iter().collect();
                    let fate = |fid| {
                        if left.contains(&fid) {
                            Fate::Refused
                        } else {
                            Fate::Gone
                        }
                    };
                    fates.extend(fids.iter().map(|fid| (*fid, fate(*fid))));
                }
                Err(NodeError::Unsupported(_)) => fates.extend(delete_each(&node, device, fids).await),
                Err(error) => {
                    tracing::warn!(
                        devid = device.get(),
                        copies = fids.len(),
                        error = chain(&error),
                        "copies were not deleted"
                    );
                    fates.extend(fids.iter().map(|fid| (*fid, Fate::Refused)));
                }
            }
        }
        fates
    }
}

/// Deletes copies on a device whose node takes one request for each.
async fn delete_each(node: &Node, device: DevId, fids: &[Fid]) -> Vec<(Fid, Fate)> {
    let delete = |fid: Fid| async move {
        match node.delete(DevFid { device, fid }).await {
            Ok(_) => (fid, Fate::Gone),
            Err(error) => {
                tracing::warn!(
                    fid = fid.get(),
                    devid = device.get(),
                    error = chain(&error),
                    "copy was not deleted"
                );
                (fid, Fate::Refused)
            }
        }
    };
    stream::iter(fids.iter().copied())
        .map(delete)
        .buffer_unordered(DELETIONS)
        .collect()
        .await
}

impl Job for Delete {
    const NAME: JobName = JobName::Delete;

    async fn step(&mut self) -> Result<Next, Error> {
        let now = self.0.now();
        if !deletions::delete_due(&mut self.0.db().reader().await?, now).await? {
            return Ok(Next::Idle);
        }
        let claim = self.0.db().write(move |tx| Box::pin(claim(tx, now)));
        let (claims, copies) = claim.await?;
        if claims.is_empty() {
            return Ok(Next::Idle);
        }
        let (full, deleted) = (claims.len() == BATCH, claims.len());
        let outcome = Arc::new(Outcome {
            claims,
            fates: self.delete(copies).await,
            now: self.0.now(),
        });
        let record = self.0.db().write(move |tx| {
            let outcome = Arc::clone(&outcome);
            Box::pin(async move { outcome.record(tx).await })
        });
        record.await?;
        self.0.did(Self::NAME, Done::files(deleted));
        Ok(if full { Next::Again } else { Next::Idle })
    }
}

/// Claims fids and finds their copies.
///
/// A fid that is a file is nobody's to delete, whoever queued it: its row goes.
async fn claim(tx: &mut Tx, now: Timestamp) -> Result<(Vec<Claim>, Vec<(Fid, DevId)>), Error> {
    let mut claims = deletions::claim_delete(tx, now, BATCH).await?;
    let fids: Vec<Fid> = claims.iter().map(|claim| claim.fid).collect();
    let present = files::files_present(tx, &fids).await?;
    if !present.is_empty() {
        tracing::error!(fids = ?present, "files in use were queued for deletion and are kept");
        deletions::delete_done(tx, &present.iter().copied().collect::<Vec<_>>()).await?;
        claims.retain(|claim| !present.contains(&claim.fid));
    }
    let fids: Vec<Fid> = claims.iter().map(|claim| claim.fid).collect();
    let replicas = replicas::replicas_of(tx, &fids).await?;
    let copies = replicas
        .into_iter()
        .flat_map(|(fid, devices)| devices.into_iter().map(move |device| (fid, device)));
    Ok((claims, copies.collect()))
}

/// What a step did.
struct Outcome {
    claims: Vec<Claim>,
    fates: Vec<(Fid, DevId, Fate)>,
    now: Timestamp,
}

impl Outcome {
    /// Forgets what is gone, puts off what is not.
    ///
    /// A copy that was put on record meanwhile (the sweep asks one device after the other) has not been deleted: its
    /// fid stays in the queue and is due at once.
    async fn record(&self, tx: &mut Tx) -> Result<(), Error> {
        let claimed: Vec<Fid> = self.claims.iter().map(|claim| claim.fid).collect();
        deletions::delete_held(tx, &claimed).await?;
        let tried: BTreeSet<(Fid, DevId)> = self
            .fates
            .iter()
            .map(|(fid, device, _)| (*fid, *device))
            .collect();
        let on_record = replicas::replicas_of(tx, &claimed).await?;
        let is_late =
            |fid: Fid, devices: &[DevId]| devices.iter().any(|device| !tried.contains(&(fid, *device)));
        let late = on_record.iter().filter(|(fid, devices)| is_late(**fid, devices));
        let mut left: BTreeMap<Fid, Option<Fate>> = late.map(|(fid, _)| (*fid, None)).collect();
        let failed = self.fates.iter().filter(|(_, _, fate)| *fate != Fate::Gone);
        left.extend(failed.map(|(fid, _, fate)| (*fid, Some(*fate))));

        let mut half_gone: BTreeMap<DevId, Vec<Fid>> = BTreeMap::new();
        for (fid, device, fate) in &self.fates {
            if *fate == Fate::Gone && left.contains_key(fid) {
                half_gone.entry(*device).or_default().push(*fid);
            }
        }
        for (device, fids) in half_gone {
            replicas::forget_on(tx, device, &fids).await?;
        }
        let gone: Vec<Fid> = claimed
            .into_iter()
            .filter(|fid| !left.contains_key(fid))
            .collect();
        replicas::forget_all(tx, &gone).await?;
        checksums::forget(tx, &gone).await?;
        tempfiles::forget(tx, &gone).await?;
        deletions::delete_done(tx, &gone).await?;
        self.put_off(tx, &left).await
    }

    /// Puts off what is left: a statement for all that wait for the same.
    async fn put_off(&self, tx: &mut Tx, left: &BTreeMap<Fid, Option<Fate>>) -> Result<(), Error> {
        let mut waits: BTreeMap<(Timestamp, u8), Vec<Fid>> = BTreeMap::new();
        for claim in &self.claims {
            let until = match left.get(&claim.fid) {
                Some(Some(fate)) => {
                    let at = self.now.after(wait(*fate, claim.failcount));
                    (at, claim.failcount.saturating_add(1))
                }
                Some(None) => (self.now, claim.failcount),
                None => continue,
            };
            waits.entry(until).or_default().push(claim.fid);
        }
        for ((at, failcount), fids) in waits {
            deletions::delete_later(tx, &fids, at, failcount).await?;
        }
        Ok(())
    }
}

/// How long a fid waits after its `failcount`th failure, as in the original.
fn wait(fate: Fate, failcount: u8) -> Duration {
    let failures = u64::from(failcount);
    Duration::from_secs(match fate {
        Fate::Gone => 0,
        Fate::Away => 60 * (10 + failures),
        Fate::Forbidden => 3600 * (1 + failures),
        Fate::Refused => 1800 * (1 + failures),
    })
}
