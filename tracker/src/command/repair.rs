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

/// When a file is looked at of which the only good copy may be missing: later, so that many who read it have it looked at
/// once.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

impl Tracker {
    /// Tells that a copy could not be read as it is on record, so that it is repaired.
    ///
    /// A copy that is missing, short or rotten is forgotten if there is another on record that is seen to be good; the replicate
    /// job, which has the file to itself then, deletes it and makes it anew. Else it stays, bad as it is: it may be the best that is left. One that is missing or short is looked at again
    /// by fsck then. A device that cannot be reached is the monitor's business.
    ///
    /// # Cancel safety
    /// Dropped, it may leave the file of a forgotten copy to the replicate job.
    pub async fn report_bad_copy(&self, bad: BadCopy) {
        let (fid, device) = (bad.fid, bad.device);
        tracing::warn!(fid = fid.get(), devid = device.get(), fault = ?bad.fault, "copy was bad");
        if bad.fault == Fault::Unreachable {
            return;
        }
        match self.repair(bad).await {
            Ok(Repair::Queued) => {}
            Ok(Repair::Impossible) => return,
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
        if let Some(good) = self.another(bad).await? {
            let forget = self.db().write(move |tx| Box::pin(forget(tx, bad, good)));
            return forget.await;
        }
        tracing::error!(
            fid = bad.fid.get(),
            devid = bad.device.get(),
            "a bad copy is kept: no other is known to be good"
        );
        if bad.fault != Fault::Rotten {
            let later = self.now().after(LOOK_AGAIN);
            let queue = self.db().write(move |tx| {
                Box::pin(async move { work::files_added(tx, Kind::Fsck, &[bad.fid], later).await })
            });
            queue.await?;
        }
        Ok(Repair::Impossible)
    }

    /// The device of another copy on record that is seen to be good.
    async fn another(&self, bad: BadCopy) -> Result<Option<DevId>, Error> {
        let fid = bad.fid;
        let mut tx = self.db().reader().await?;
        let Some(file) = files::files_by_fid(&mut tx, &[fid]).await?.remove(&fid) else {
            return Ok(None);
        };
        let on = replicas::replicas_of(&mut tx, &[fid]).await?.remove(&fid);
        let digest = match bad.fault {
            Fault::Short | Fault::Rotten if file.size <= READ_MAX => digest_known(&mut tx, fid).await?,
            Fault::Short | Fault::Rotten | Fault::Missing | Fault::Unreachable => None,
        };
        drop(tx);
        let expected = Expected {
            size: file.size,
            digest,
        };
        let view = self.view();
        let looks = std::pin::pin!(async {
            for device in on.unwrap_or_default() {
                let readable = view.device(device).is_some_and(DeviceView::readable);
                if device != bad.device && readable && self.is_good(DevFid { device, fid }, &expected).await {
                    return Some(device);
                }
            }
            None
        });
        match future::select(looks, self.clock().sleep(PATIENCE)).await {
            Either::Left((found, _)) => Ok(found),
            Either::Right(_) => Ok(None),
        }
    }
}

/// Whether something can be done.
enum Repair {
    /// The copy is forgotten, and a new one will be made.
    Queued,
    /// There is no other good copy on record, or the file or this copy is gone.
    Impossible,
}

/// Forgets a bad copy if the one that was seen to be good is still on record.
async fn forget(tx: &mut Tx, bad: BadCopy, good: DevId) -> Result<Repair, Error> {
    if !files::file_locked(tx, bad.fid).await? {
        return Ok(Repair::Impossible);
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
