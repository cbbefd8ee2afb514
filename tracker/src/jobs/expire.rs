//! Moves out of the way what time alone ends: reservations of the tracker port that were never closed, S3 uploads that
//! nobody goes on with, the memory of finished ones, old lines of fsck's log, and rows of MogileFS's old deletion queues. docs/upkeep.md has all
//! rules with an age, these and those of other jobs.

use std::time::Duration;

use mogul_storage::Fid;

use super::{Done, Job, JobName, Next};
use crate::{
    Error, Tracker,
    command::settings::upload_age_max,
    meta::{
        Tx, deletions, files, fsck, lock, replicas, tempfiles,
        uploads::{self, UploadState},
    },
    model::Timestamp,
};

/// A reservation of the tracker port is given up when it is this old, as in MogileFS.
const TEMPFILE_AGE_MAX: Duration = Duration::from_hours(1);
/// How long a finished upload answers a repeated request to complete it.
const UPLOAD_MEMORY: Duration = Duration::from_hours(24);
/// How long a line of fsck's log is kept: three passes of the scrub, which writes to it for ever. The original keeps all until
/// somebody clears the log.
const LOG_AGE_MAX: Duration = Duration::from_hours(90 * 24);
/// Rows of each kind that one step takes.
const BATCH: usize = 500;
/// How often uploads are looked for that nobody goes on with.
const ABANDONED_EVERY: Duration = Duration::from_hours(1);
/// How often there is a look.
pub const PERIOD: Duration = Duration::from_mins(1);

/// The job.
#[derive(Clone)]
pub struct Expire {
    tracker: Tracker,
    /// When uploads that nobody goes on with were last looked for.
    looked: Option<Timestamp>,
}

impl Expire {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Expire {
        Expire {
            tracker: tracker.clone(),
            looked: None,
        }
    }

    /// Aborts uploads that nobody goes on with, when it is time. Answers how many.
    async fn abort_abandoned(&mut self, now: Timestamp) -> Result<usize, Error> {
        let recently = |looked: Timestamp| looked.until(now) < ABANDONED_EVERY;
        let Some(age) = upload_age_max(&self.tracker.view()) else {
            return Ok(0);
        };
        if self.looked.is_some_and(recently) {
            return Ok(0);
        }
        let before = now.before(age);
        let mut tx = self.tracker.db().reader().await?;
        let none = uploads::uploads_abandoned(&mut tx, before, 1).await?.is_empty();
        drop(tx);
        if none {
            self.looked = Some(now);
            return Ok(0);
        }
        let abort = self
            .tracker
            .db()
            .write(move |tx| Box::pin(async move { aborted(tx, before, now).await }));
        abort.await
    }
}

impl Expire {
    /// Takes old lines out of fsck's log. Answers how many.
    async fn trim_log(&self, now: Timestamp) -> Result<usize, Error> {
        let before = now.before(LOG_AGE_MAX);
        if !fsck::any_logged_before(&mut self.tracker.db().reader().await?, before).await? {
            return Ok(0);
        }
        let trim = self
            .tracker
            .db()
            .write(move |tx| Box::pin(async move { fsck::log_trimmed(tx, before, BATCH).await }));
        trim.await
    }
}

impl Job for Expire {
    const NAME: JobName = JobName::Expire;

    async fn step(&mut self) -> Result<Next, Error> {
        let now = self.tracker.now();
        let Some(turn) = self.tracker.locks().named(lock::TEMPFILES).await? else {
            return Ok(Next::Idle);
        };
        let abandoned = self.abort_abandoned(now).await?;
        let logged = self.trim_log(now).await?;
        let expired = self.tracker.db().write(move |tx| {
            Box::pin(async move {
                let tempfiles = tempfiles_given_up(tx, now).await?;
                let queued = deletions::old_queues_moved(tx, now, BATCH).await?;
                let uploads = uploads::uploads_forgotten(tx, now.before(UPLOAD_MEMORY), BATCH).await?;
                Ok([tempfiles, queued, uploads])
            })
        });
        let [tempfiles, queued, uploads] = expired.await?;
        turn.release().await;
        if tempfiles + queued + abandoned > 0 {
            self.tracker.wake(JobName::Delete);
        }
        let done = Done::files(tempfiles + queued + uploads + abandoned + logged);
        self.tracker.did(Self::NAME, done);
        let counts = [tempfiles, queued, uploads, logged];
        let more = abandoned > 0 || counts.iter().any(|count| *count >= BATCH);
        Ok(if more { Next::Again } else { Next::Idle })
    }
}

/// Aborts uploads that nobody has added to since `before`. Answers how many.
async fn aborted(tx: &mut Tx, before: Timestamp, now: Timestamp) -> Result<usize, Error> {
    let abandoned = uploads::uploads_abandoned(tx, before, BATCH).await?;
    for id in &abandoned {
        // A part or a completion that is on its way holds the row, and this waits for it.
        let held = uploads::upload_held(tx, id).await?;
        let newest = uploads::newest_part(tx, id).await?;
        let open = held.is_some_and(|upload| upload.state == UploadState::Open);
        if open && newest.is_none_or(|at| at < before) {
            tracing::info!(upload = id.0, "an upload that nobody goes on with was aborted");
            uploads::upload_aborted(tx, id, now).await?;
        }
    }
    Ok(abandoned.len())
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
    deletions::delete(tx, &given_up, now).await?;
    tempfiles::forget(tx, &fids).await?;
    Ok(fids.len())
}
