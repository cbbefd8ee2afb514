//! How the jobs of this process are doing: written by the driver that runs them and by their steps, read by whoever asks.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{JobName, Next};
use crate::{Error, error::chain, model::Timestamp};

/// Over how long a rate is taken.
const RATE_OVER: Duration = Duration::from_mins(1);
/// How far apart the counts are that are kept for it.
const RATE_EVERY: Duration = Duration::from_secs(5);

/// Work that was done, in the job's own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Files, or fids that are none.
    pub files: u64,
    /// Bytes that were read, copied or moved for it.
    pub bytes: u64,
}

impl Done {
    /// So many files.
    #[must_use]
    pub fn files(files: impl TryInto<u64>) -> Done {
        Done {
            files: files.try_into().unwrap_or(u64::MAX),
            bytes: 0,
        }
    }

    /// So many bytes.
    #[must_use]
    pub fn bytes(bytes: u64) -> Done {
        Done { files: 0, bytes }
    }
}

/// How a job is doing, all its workers together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobStatus {
    /// Copies of it that run in this process.
    pub workers: usize,
    /// Those of them that are within a step.
    pub at_work: usize,
    /// What the last step that ended found, unless it failed.
    pub last_found: Option<Next>,
    /// Steps that ended well.
    pub steps: u64,
    /// Steps that failed.
    pub failures: u64,
    /// When the last step ended.
    pub last_step: Option<Timestamp>,
    /// Why the last one that failed did.
    pub last_failure: Option<String>,
    /// What all steps have done.
    pub done: Done,
    /// What was done in a second, over the last minute, in thousandths.
    pub rate_thousandths: Done,
}

/// The jobs of one process; cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct JobBoard(Arc<Mutex<BTreeMap<JobName, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    status: JobStatus,
    /// What had been done at times of the last minute, oldest first.
    counts: VecDeque<(Timestamp, Done)>,
}

impl JobBoard {
    /// How each job that this process runs is doing.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> BTreeMap<JobName, JobStatus> {
        let board = self.lock();
        let status = |(job, entry): (&JobName, &Entry)| {
            let rate_thousandths = entry.rate(now);
            let status = JobStatus {
                rate_thousandths,
                ..entry.status.clone()
            };
            (*job, status)
        };
        board.iter().map(status).collect()
    }

    /// How many workers a job has; `None` if this process does not run it.
    #[must_use]
    pub fn workers(&self, job: JobName) -> Option<usize> {
        self.lock().get(&job).map(|entry| entry.status.workers)
    }

    /// Counts work that a step has done.
    pub(crate) fn did(&self, job: JobName, done: Done, now: Timestamp) {
        self.lock().entry(job).or_default().did(done, now);
    }

    pub(super) fn staffed(&self, job: JobName, workers: usize) {
        self.lock().entry(job).or_default().status.workers = workers;
    }

    pub(super) fn begun(&self, job: JobName) {
        self.lock().entry(job).or_default().status.at_work += 1;
    }

    pub(super) fn record(&self, job: JobName, ended: Timestamp, outcome: &Result<Next, Error>) {
        let mut board = self.lock();
        let status = &mut board.entry(job).or_default().status;
        status.at_work = status.at_work.saturating_sub(1);
        status.last_step = Some(ended);
        match outcome {
            Ok(next) => {
                status.steps += 1;
                status.last_found = Some(*next);
            }
            Err(error) => {
                status.failures += 1;
                status.last_found = None;
                status.last_failure = Some(chain(error));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobName, Entry>> {
        // A status is whole between two of its fields: each is right by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobStatus {
    /// Whether the last step failed.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.last_step.is_some() && self.last_found.is_none()
    }

    /// Whether there is work: a step runs, or the last one left more.
    #[must_use]
    pub fn works(&self) -> bool {
        self.at_work > 0 || self.last_found == Some(Next::Again)
    }
}

impl Entry {
    fn did(&mut self, done: Done, now: Timestamp) {
        let last = self.counts.back();
        if last.is_none_or(|(at, _)| at.until(now) >= RATE_EVERY) {
            while self
                .counts
                .front()
                .is_some_and(|(at, _)| at.until(now) > RATE_OVER)
            {
                self.counts.pop_front();
            }
            self.counts.push_back((now, self.status.done));
        }
        let total = &mut self.status.done;
        total.files = total.files.saturating_add(done.files);
        total.bytes = total.bytes.saturating_add(done.bytes);
    }

    /// What was done since the oldest count of the last minute, by the second.
    fn rate(&self, now: Timestamp) -> Done {
        let mut counts = self.counts.iter();
        let Some((since, before)) = counts.find(|(at, _)| at.until(now) <= RATE_OVER) else {
            return Done::default();
        };
        let millis = since.until(now).max(Duration::from_secs(1)).as_millis();
        let rate = |after: u64, before: u64| {
            let thousandths = u128::from(after - before) * 1_000_000 / millis;
            u64::try_from(thousandths).unwrap_or(u64::MAX)
        };
        Done {
            files: rate(self.status.done.files, before.files),
            bytes: rate(self.status.done.bytes, before.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_done_in_the_last_minute() {
        let board = JobBoard::default();
        let job = JobName::Replicate;
        let at = |seconds: i64| Timestamp::from_secs(1_000 + seconds);
        let rate = |seconds: i64| board.status(at(seconds))[&job].rate_thousandths;
        for second in 0..300 {
            let done = Done {
                files: 10,
                bytes: 4096,
            };
            board.did(job, done, at(second));
        }

        let busy = Done {
            files: 10_000,
            bytes: 4_096_000,
        };
        assert_eq!(rate(300), busy);
        assert_eq!(rate(330).files, 5_000);
        assert_eq!(rate(400), Done::default());
        assert_eq!(board.status(at(400))[&job].done.files, 3_000);
    }
}
