//! How the jobs of this process are doing: written by the driver that runs them, read by whoever asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{JobName, Next};
use crate::{Error, error::chain, model::Timestamp};

/// How a job is doing, all its workers together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobStatus {
    /// Copies of it that run in this process.
    pub workers: usize,
    /// Steps that ended well.
    pub steps: u64,
    /// Steps that failed.
    pub failures: u64,
    /// When the last step ended.
    pub last_step: Option<Timestamp>,
    /// Why the last one that failed did.
    pub last_failure: Option<String>,
}

/// The jobs of one process; cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct JobBoard(Arc<Mutex<BTreeMap<JobName, JobStatus>>>);

impl JobBoard {
    /// How each job that this process runs is doing.
    #[must_use]
    pub fn status(&self) -> BTreeMap<JobName, JobStatus> {
        self.lock().clone()
    }

    pub(super) fn staffed(&self, job: JobName, workers: usize) {
        self.lock().entry(job).or_default().workers = workers;
    }

    pub(super) fn record(&self, job: JobName, ended: Timestamp, outcome: &Result<Next, Error>) {
        let mut board = self.lock();
        let status = board.entry(job).or_default();
        status.last_step = Some(ended);
        match outcome {
            Ok(_) => status.steps += 1,
            Err(error) => {
                status.failures += 1;
                status.last_failure = Some(chain(error));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobName, JobStatus>> {
        // A status is whole between two of its fields: each is right by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
