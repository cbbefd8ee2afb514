//! Moves out of the way what time alone ends: reservations of the tracker port that were never closed, the memory of
//! finished uploads, and rows of MogileFS's old deletion queues.

use std::time::Duration;

use mogul_storage::Fid;

use super::{Done, Job, JobName, Next};
use crate::{
    Error, Tracker,
    meta::{Tx, files, lock, queues, replicas, tempfiles, uploads},
    model::Timestamp,
};

/// A reservation of the tracker port is given up when it is this old, as in MogileFS.
const TEMPFILE_AGE_MAX: Duration = Duration::from_hours(1);
/// How long a finished upload answers a repeated request to complete it.
const UPLOAD_MEMORY: Duration = Duration::from_hours(24);
/// Rows of each kind that one step takes.
const BATCH: usize = 500;
/// How often there is a look.
pub const PERIOD: Duration = Duration::from_mins(1);

/// The job.
#[derive(Clone)]
pub struct Expire(Tracker);

impl Expire {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Expire {
        Expire(tracker.clone())
    }
}

impl Job for Expire {
    const NAME: JobName = JobName::Expire;

    async fn step(&mut self) -> Result<Next, Error> {
        let Some(turn) = self.0.locks().named(lock::TEMPFILES).await? else {
            return Ok(Next::Idle);
        };
        let now = self.0.now();
        let expired = self.0.db().write(move |tx| {
            Box::pin(async move {
                let tempfiles = tempfiles_given_up(tx, now).await?;
                let queued = queues::old_queues_moved(tx, now, BATCH).await?;
                let uploads = uploads::uploads_forgotten(tx, now.before(UPLOAD_MEMORY), BATCH).await?;
                Ok([tempfiles, queued, uploads])
            })
        });
        let [tempfiles, queued, uploads] = expired.await?;
        turn.release().await;
        if tempfiles + queued > 0 {
            self.0.wake(JobName::Delete);
        }
        self.0.did(Self::NAME, Done::files(tempfiles + queued + uploads));
        let more = [tempfiles, queued, uploads].iter().any(|count| *count >= BATCH);
        Ok(if more { Next::Again } else { Next::Idle })
    }
}

/// Gives up reservations that were never closed: whatever the devices that were offered hold is deleted. Answers how many
/// there were.
async fn tempfiles_given_up(tx: &mut Tx, now: Timestamp) -> Result<usize, Error> {
    let old = tempfiles::tempfiles_before(tx, now.before(TEMPFILE_AGE_MAX), BATCH).await?;
    let fids: Vec<Fid> = old.iter().map(|(fid, _)| *fid).collect();
    let present = files::files_present(tx, &fids).await?;
    let lost = || old.iter().filter(|(fid, _)| !present.contains(fid));
    let copies = lost().flat_map(|(fid, devices)| devices.iter().map(move |device| (*fid, *device)));
    replicas::add(tx, &copies.collect::<Vec<_>>()).await?;
    let given_up: Vec<Fid> = lost().map(|(fid, _)| *fid).collect();
    queues::delete(tx, &given_up, now).await?;
    tempfiles::forget(tx, &fids).await?;
    Ok(fids.len())
}
