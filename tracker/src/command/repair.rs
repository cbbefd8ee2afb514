//! Copies that are not what the tables say.

use mogul_storage::{
    DevFid,
    download::{BadCopy, Fault},
};

use crate::{
    Error, Tracker,
    error::chain,
    jobs::JobName,
    meta::{Tx, files, queues, replicas},
};

impl Tracker {
    /// Tells that a copy could not be read as it is on record, so that it is repaired.
    ///
    /// A copy that is missing, short or rotten is forgotten if there is another on record, and made anew elsewhere; the
    /// last one is never given up, bad as it is. A device that cannot be reached is the monitor's business.
    ///
    /// # Cancel safety
    /// Dropped, it may leave the file of a forgotten copy to the replicate job.
    pub async fn report_bad_copy(&self, bad: BadCopy) {
        let (fid, device) = (bad.fid, bad.device);
        tracing::warn!(fid = fid.get(), devid = device.get(), fault = ?bad.fault, "copy was bad");
        if bad.fault == Fault::Unreachable {
            return;
        }
        let forget = self.db().write(move |tx| Box::pin(forget(tx, bad)));
        match forget.await {
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
        if let Err(error) = self.delete_now(DevFid { device, fid }).await {
            tracing::warn!(
                fid = fid.get(),
                devid = device.get(),
                error = chain(&error),
                "bad copy is left to the replicate job"
            );
        }
        self.wake(JobName::Replicate);
    }
}

/// Whether something can be done.
enum Repair {
    /// The copy is forgotten, and a new one will be made.
    Queued,
    /// There is no other copy on record, or the file or this copy is gone.
    Impossible,
}

/// Forgets a bad copy if there is another.
async fn forget(tx: &mut Tx, bad: BadCopy) -> Result<Repair, Error> {
    if !files::file_locked(tx, bad.fid).await? {
        return Ok(Repair::Impossible);
    }
    let on = replicas::replicas_of(tx, &[bad.fid]).await?;
    let on = on.get(&bad.fid).map(Vec::as_slice).unwrap_or_default();
    if on.len() < 2 || !on.contains(&bad.device) {
        return Ok(Repair::Impossible);
    }
    replicas::forget(tx, bad.fid, bad.device).await?;
    files::devcount_updated(tx, bad.fid).await?;
    queues::replicate_suspect(tx, &[bad.fid]).await?;
    Ok(Repair::Queued)
}
