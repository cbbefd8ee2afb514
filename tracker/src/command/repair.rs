//! Copies that are not what the tables say.
//!
//! Whoever reads tells here what failed: S3's reads and copies, joins, the replicate job, the digest job, the scrub, and the
//! look at the first copy that `get_paths` takes.

use std::time::Duration;

use futures_util::future::{self, Either};
use mogul_storage::{
    DevFid, DevId,
    download::{BadCopy, Fault},
};

use crate::{
    Error, Tracker,
    error::chain,
    inspect::{Expected, digest_known},
    jobs::JobName,
    meta::{
        Tx, files, queues, replicas,
        work::{self, Kind},
    },
    view::DeviceView,
};

/// Files up to this size in bytes are read on the device of another copy before a bad one is given up; of larger ones, for
/// which a client would wait, the size must do. Copies are made with the digest in hand in any case.
const READ_MAX: u64 = 256 << 20;

/// How long the look at other copies may take: a client may wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the look at the copy itself may take: a disk that fails takes long to say so.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// When a file is looked at of which the only good copy may be missing: later, so that many who read it have it looked at
/// once.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

impl Tracker {
    /// Tells that a copy could not be read as it is on record, so that it is repaired.
    ///
    /// A copy that is missing, short or rotten, still, is forgotten if there is another on record that is seen to be good; the
    /// replicate job, which has the file to itself then, deletes it and makes it anew. Else it stays, bad as it is: it may be the
    /// best that is left. One that is missing or short is looked at again by fsck then. A device that cannot be reached is the
    /// monitor's business.
    ///
    /// # Cancel safety
    /// Dropped, it has done nothing, and whoever reads the file next reports it again; or the copy is forgotten and its file
    /// queued, in one transaction, and the replicate job is not woken but finds it by itself.
    pub async fn report_bad_copy(&self, bad: BadCopy) {
        let (fid, device) = (bad.fid, bad.device);
        tracing::warn!(fid = fid.get(), devid = device.get(), fault = ?bad.fault, "copy was bad");
        if bad.fault == Fault::Unreachable {
            return;
        }
        match self.repair(bad).await {
            Ok(Repair::Queued) => {}
            Ok(Repair::Impossible | Repair::Needless) => return,
            Err(error) => {
                // Whoever reads the file next reports it again.
                tracing::warn!(
                    fid = fid.get(),
                    error = chain(&error),
                    "bad copy was not queued for repair"
                );
                return;
            }
        }
        self.wake(JobName::Replicate);
    }

    async fn repair(&self, bad: BadCopy) -> Result<Repair, Error> {
        let fid = bad.fid;
        let mut tx = self.db().reader().await?;
        let file = files::files_by_fid(&mut tx, &[fid]).await?.remove(&fid);
        let on = replicas::replicas_of(&mut tx, &[fid]).await?.remove(&fid);
        let (Some(file), Some(on)) = (file, on.filter(|on| on.contains(&bad.device))) else {
            return Ok(Repair::Needless);
        };
        let digest = match bad.fault {
            Fault::Short | Fault::Rotten if file.size <= READ_MAX => digest_known(&mut tx, fid).await?,
            Fault::Short | Fault::Rotten | Fault::Missing | Fault::Unreachable => None,
        };
        drop(tx);
        let expected = Expected {
            size: file.size,
            digest,
        };
        if self.is_good_by_now(bad, &expected).await {
            let devid = bad.device.get();
            tracing::info!(fid = fid.get(), devid, "a copy that was reported is good by now");
            return Ok(Repair::Needless);
        }
        if let Some(good) = self.another(bad, &on, &expected).await {
            let forget = self.db().write(move |tx| Box::pin(forget(tx, bad, good)));
            return forget.await;
        }
        tracing::error!(
            fid = fid.get(),
            devid = bad.device.get(),
            "a bad copy is kept: no other is known to be good"
        );
        if bad.fault != Fault::Rotten {
            let later = self.now().after(LOOK_AGAIN);
            let queue = self.db().write(move |tx| {
                Box::pin(async move { work::files_added(tx, Kind::Fsck, &[fid], later).await })
            });
            queue.await?;
        }
        Ok(Repair::Impossible)
    }

    /// Whether a copy is good that was reported: many readers may have met the same bad copy, and it was made anew after the
    /// first report. One that nobody can compare with anything, or that cannot be read in time, is believed to be bad.
    async fn is_good_by_now(&self, bad: BadCopy, expected: &Expected) -> bool {
        if bad.fault == Fault::Rotten && expected.digest.is_none() {
            return false;
        }
        let at = DevFid {
            device: bad.device,
            fid: bad.fid,
        };
        let look = std::pin::pin!(self.is_good(at, expected));
        match future::select(look, self.clock().sleep(SECOND_LOOK)).await {
            Either::Left((good, _)) => good,
            Either::Right(_) => false,
        }
    }

    /// The device of another copy on record that is seen to be good.
    async fn another(&self, bad: BadCopy, on: &[DevId], expected: &Expected) -> Option<DevId> {
        let fid = bad.fid;
        let view = self.view();
        let looks = std::pin::pin!(async {
            for device in on.iter().copied() {
                let readable = view.device(device).is_some_and(DeviceView::readable);
                if device != bad.device && readable && self.is_good(DevFid { device, fid }, expected).await {
                    return Some(device);
                }
            }
            None
        });
        match future::select(looks, self.clock().sleep(PATIENCE)).await {
            Either::Left((found, _)) => found,
            Either::Right(_) => None,
        }
    }
}

/// Whether something can be done.
enum Repair {
    /// The copy is forgotten, and a new one will be made.
    Queued,
    /// There is no other good copy on record.
    Impossible,
    /// The copy is good by now, or the file is gone, or has no such copy on record.
    Needless,
}

/// Forgets a bad copy if the one that was seen to be good is still on record.
async fn forget(tx: &mut Tx, bad: BadCopy, good: DevId) -> Result<Repair, Error> {
    if !files::file_locked(tx, bad.fid).await? {
        return Ok(Repair::Needless);
    }
    let on = replicas::replicas_of(tx, &[bad.fid]).await?;
    let on = on.get(&bad.fid).map(Vec::as_slice).unwrap_or_default();
    if !on.contains(&good) || !on.contains(&bad.device) {
        return Ok(Repair::Impossible);
    }
    replicas::forget(tx, bad.fid, bad.device).await?;
    files::devcount_updated(tx, bad.fid).await?;
    queues::replicate_suspect(tx, &[bad.fid]).await?;
    Ok(Repair::Queued)
}
