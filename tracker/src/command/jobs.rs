//! The background jobs as operators see them: what each is doing, how much is left, and that it shall pause.
//!
//! What is left is the whole cluster's, as the database has it; what is done and how fast is this process's. A job is paused
//! by a setting, so that all trackers of the database pause it, within the view's bound, and after a restart, too.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Error, Tracker,
    balance::Drain,
    command::{drain, scrub},
    jobs::{JobName, JobStatus},
    meta::{
        Tx, backlog, digests, scrub as scrubs, settings,
        work::{self, Kind},
    },
    view::ClusterView,
};

/// Before the name of a job: the setting that pauses it.
const PAUSED: &str = "mogul_paused_";

/// How far a queue is counted.
const COUNTED_MAX: u64 = 1 << 32;

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// There is work, and it does it.
    Running,
    /// There is no work.
    Idle,
    /// An operator has paused it, in all trackers.
    Paused,
    /// Its last step failed; it is tried again.
    Failing,
}

impl JobState {
    /// The word for operators.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Idle => "idle",
            JobState::Paused => "paused",
            JobState::Failing => "failing",
        }
    }
}

/// A job, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// Which.
    pub job: JobName,
    /// What it is doing.
    pub state: JobState,
    /// How it is doing in this process.
    pub status: JobStatus,
    /// Files that are still before it, in the whole cluster; `None` where nobody knows.
    pub backlog: Option<u64>,
    /// How long that takes at the present rate, if it goes on at all.
    pub left: Option<Duration>,
}

impl ClusterView {
    /// Whether an operator has paused a job.
    #[must_use]
    pub fn is_paused(&self, job: JobName) -> bool {
        job.may_pause() && self.setting_is_on(&setting_of(job))
    }
}

impl Tracker {
    /// How the jobs that this process runs are doing.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn job_reports(&self) -> Result<Vec<JobReport>, Error> {
        self.refresh_shared().await?;
        let view = self.view();
        let backlogs = self.backlogs().await?;
        let report = |(job, status): (JobName, JobStatus)| {
            let backlog = backlogs.get(&job).copied();
            JobReport {
                job,
                state: state_of(&view, job, &status),
                left: backlog.and_then(|backlog| time_left(backlog, status.rate_thousandths.files)),
                backlog,
                status,
            }
        };
        Ok(self.job_status().into_iter().map(report).collect())
    }

    /// How each job that this process runs is doing in it.
    #[must_use]
    pub fn job_status(&self) -> BTreeMap<JobName, JobStatus> {
        self.jobs().status(self.now())
    }

    /// Files that are before each job, where that is known.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn backlogs(&self) -> Result<BTreeMap<JobName, u64>, Error> {
        let mut tx = self.db().reader().await?;
        let [to_replicate, to_delete, to_join] = backlog::lengths(&mut tx).await?;
        Ok(BTreeMap::from([
            (JobName::Replicate, to_replicate),
            (JobName::Delete, to_delete),
            (JobName::Join, to_join),
            (JobName::Digest, digests::undigested(&mut tx).await?),
            (JobName::Fsck, unchecked(&mut tx).await?),
            (
                JobName::Drain,
                drain::on_record(&mut tx).await?.values().map(Drain::left).sum(),
            ),
            (
                JobName::Rebalance,
                work::length(&mut tx, Kind::Rebalance, COUNTED_MAX).await?,
            ),
            (
                JobName::Scrub,
                scrub::unread(&self.view(), &scrubs::scrubs(&mut tx).await?),
            ),
        ]))
    }

    /// Pauses a job in all trackers, or lets it go on. A step that runs is finished.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the job must not pause; [`Error::Database`].
    pub async fn pause_job(&self, job: JobName, pause: Pause) -> Result<(), Error> {
        if !job.may_pause() {
            return Err(Error::Invalid {
                field: "job",
                reason: format!(
                    "{} must not pause: what trackers know and hold depends on it",
                    job.as_str()
                ),
            });
        }
        let write = self.db().write(move |tx| {
            Box::pin(async move {
                match pause {
                    Pause::Begin => settings::set(tx, &setting_of(job), "1").await?,
                    Pause::End => settings::unset(tx, &setting_of(job)).await?,
                }
                Ok(())
            })
        });
        write.await?;
        self.refresh_all().await?;
        self.wake(job);
        Ok(())
    }
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It pauses.
    Begin,
    /// It goes on.
    End,
}

fn setting_of(job: JobName) -> String {
    [PAUSED, job.as_str()].concat()
}

fn state_of(view: &ClusterView, job: JobName, status: &JobStatus) -> JobState {
    if view.is_paused(job) {
        JobState::Paused
    } else if status.fails() {
        JobState::Failing
    } else if status.works() {
        JobState::Running
    } else {
        JobState::Idle
    }
}

/// How long so many files take at so many thousandths of a file a second.
fn time_left(files: u64, rate_thousandths: u64) -> Option<Duration> {
    let millis = u128::from(files) * 1_000_000;
    let millis = millis.checked_div(u128::from(rate_thousandths))?;
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

/// Fids that the check which runs has still before it: numbers, not all of them files.
async fn unchecked(tx: &mut Tx) -> Result<u64, Error> {
    let queued = work::length(tx, Kind::Fsck, COUNTED_MAX).await?;
    if settings::value_of(tx, "fsck_host").await?.is_none() {
        return Ok(queued);
    }
    let checked = settings::number_of(tx, "fsck_highest_fid_checked").await?;
    let end = settings::number_of(tx, "fsck_fid_at_end").await?;
    Ok(queued.saturating_add(end.saturating_sub(checked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_follows_from_rate_and_backlog() {
        assert_eq!(time_left(100, 10_000), Some(Duration::from_secs(10)));
        assert_eq!(time_left(0, 10_000), Some(Duration::ZERO));
        assert_eq!(time_left(100, 0), None);
    }
}
