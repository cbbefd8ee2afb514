//! What the jobs still have before them.

use std::time::Duration;

use crate::{Error, Tracker, meta::backlog};

/// Fids that wait for a job, whether they are due or put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// For copies that are missing, or too many.
    pub to_replicate: u64,
    /// For the deletion of their copies.
    pub to_delete: u64,
    /// For their segments to be joined into one file; those too large for it wait for nothing.
    pub to_join: u64,
}

impl Tracker {
    /// How long the file has waited for copies that has waited longest, of those that are due.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn replication_lag(&self) -> Result<Duration, Error> {
        backlog::replicate_lag(&mut self.db().reader().await?, self.now()).await
    }

    /// Counts what waits in the queues.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let [to_replicate, to_delete, to_join] = backlog::lengths(&mut self.db().reader().await?).await?;
        Ok(Backlog {
            to_replicate,
            to_delete,
            to_join,
        })
    }
}
