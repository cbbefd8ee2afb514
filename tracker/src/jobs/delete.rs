//! Deletes the copies of fids that are queued in `file_to_delete2` (mogilefs.md §12).
//!
//! A batch is claimed, its copies are deleted on all devices at once, and one transaction records what is gone. A step
//! that dies in between leaves the claim to run out; deleting twice is harmless.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use mogul_storage::{DevFid, DevId, Fid};

use super::{Done, Job, JobName, Next};
use crate::{
    Error, Tracker,
    error::chain,
    meta::{
        Tx, checksums, files,
        queues::{self, Claim},
        replicas, tempfiles,
    },
    model::{DeviceStatus, Timestamp},
    view::ClusterView,
};

/// Fids of one step.
const BATCH: usize = 1_000;
/// Deletions under way at a time.
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

    /// Deletes the copies of claimed fids.
    async fn delete(&self, copies: Vec<(Fid, DevId)>) -> Vec<(Fid, DevId, Fate)> {
        let view = self.0.view();
        let delete = |(fid, device): (Fid, DevId)| {
            let view = &view;
            async move { (fid, device, self.delete_copy(view, DevFid { device, fid }).await) }
        };
        stream::iter(copies)
            .map(delete)
            .buffer_unordered(DELETIONS)
            .collect()
            .await
    }

    async fn delete_copy(&self, view: &ClusterView, at: DevFid) -> Fate {
        let Some(device) = view.device(at.device) else {
            // Nobody knows what is there, or where it is.
            return Fate::Forbidden;
        };
        match device.device.status {
            DeviceStatus::Dead => return Fate::Gone,
            DeviceStatus::Alive | DeviceStatus::Drain => {}
            DeviceStatus::Down | DeviceStatus::ReadOnly => return Fate::Forbidden,
        }
        let Some(node) = self.0.nodes().get(at.device).filter(|_| device.deletable()) else {
            return Fate::Away;
        };
        match node.delete(at).await {
            Ok(_) => Fate::Gone,
            Err(error) => {
                tracing::warn!(
                    fid = at.fid.get(),
                    devid = at.device.get(),
                    error = chain(&error),
                    "copy was not deleted"
                );
                Fate::Refused
            }
        }
    }
}

impl Job for Delete {
    const NAME: JobName = JobName::Delete;

    async fn step(&mut self) -> Result<Next, Error> {
        let now = self.0.now();
        if !queues::delete_due(&mut self.0.db().reader().await?, now).await? {
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
    let mut claims = queues::claim_delete(tx, now, BATCH).await?;
    let fids: Vec<Fid> = claims.iter().map(|claim| claim.fid).collect();
    let present = files::files_present(tx, &fids).await?;
    if !present.is_empty() {
        tracing::error!(fids = ?present, "files in use were queued for deletion and are kept");
        queues::delete_done(tx, &present.iter().copied().collect::<Vec<_>>()).await?;
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
        queues::delete_held(tx, &claimed).await?;
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

        for (fid, device, fate) in &self.fates {
            if *fate == Fate::Gone && left.contains_key(fid) {
                replicas::forget(tx, *fid, *device).await?;
            }
        }
        let gone: Vec<Fid> = claimed
            .into_iter()
            .filter(|fid| !left.contains_key(fid))
            .collect();
        replicas::forget_all(tx, &gone).await?;
        checksums::forget(tx, &gone).await?;
        tempfiles::forget(tx, &gone).await?;
        queues::delete_done(tx, &gone).await?;
        for claim in &self.claims {
            match left.get(&claim.fid) {
                Some(Some(fate)) => {
                    let at = self.now.after(wait(*fate, claim.failcount));
                    queues::delete_later(tx, claim.fid, at, claim.failcount.saturating_add(1)).await?;
                }
                Some(None) => queues::delete_later(tx, claim.fid, self.now, claim.failcount).await?,
                None => {}
            }
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
