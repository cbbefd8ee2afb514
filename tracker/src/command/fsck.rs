//! Beginning, ending and watching a check of all files (mogilefs.md §4.6); [`crate::jobs::fsck`] does the checking.

use crate::{
    Error, Tracker,
    error::RunError,
    meta::{Tx, fsck as meta, settings},
    model::{FsckScope, FsckStatus, Logged, Timestamp},
};

/// Lines of one page of the log, as in the original.
pub const LOG_PAGE: usize = 100;

/// Where a check begins, and what it looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FsckReset {
    /// What is looked at.
    pub scope: FsckScope,
    /// The fid after which it begins; 0 for the first.
    pub after: u64,
}

impl Tracker {
    /// Begins a check where the last one was stopped; at the beginning if that one was complete, or there was none.
    ///
    /// # Errors
    /// [`RunError::FsckRunning`], [`RunError::RebalanceInTheWay`], [`Error::Database`].
    pub async fn fsck_start(&self) -> Result<(), Error> {
        let (hostname, now) = (self.settings().hostname.clone(), self.now());
        let start = self.db().write(move |tx| {
            let hostname = hostname.clone();
            Box::pin(async move { started(tx, &hostname, now).await })
        });
        // No wake: a script that asks for the status at once finds it running, as it does with the original.
        start.await
    }

    /// Ends the check that runs, if one does. Files that are queued are still checked.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn fsck_stop(&self) -> Result<(), Error> {
        let now = self.now();
        let stop = self.db().write(move |tx| {
            Box::pin(async move {
                settings::run_held(tx).await?;
                settings::unset(tx, "fsck_host").await?;
                settings::set(tx, "fsck_stop_time", &now.secs().to_string()).await?;
                Ok(())
            })
        });
        stop.await
    }

    /// Says where the next check begins, up to the last file of now, and forgets what the last one counted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn fsck_reset(&self, reset: FsckReset) -> Result<(), Error> {
        let write = self
            .db()
            .write(move |tx| Box::pin(async move { was_reset(tx, reset).await }));
        write.await
    }

    /// Empties the log.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn fsck_clear_log(&self) -> Result<(), Error> {
        let clear = self
            .db()
            .write(move |tx| Box::pin(async move { meta::log_cleared(tx).await }));
        clear.await
    }

    /// At most [`LOG_PAGE`] lines of the log after a number.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn fsck_log(&self, after: u64) -> Result<Vec<Logged>, Error> {
        meta::log_after(&mut self.db().reader().await?, after, LOG_PAGE).await
    }

    /// How the check is doing.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn fsck_status(&self) -> Result<FsckStatus, Error> {
        let now = self.now();
        let read = self
            .db()
            .write(move |tx| Box::pin(async move { status(tx, now).await }));
        read.await
    }
}

async fn started(tx: &mut Tx, hostname: &str, now: Timestamp) -> Result<(), Error> {
    settings::run_held(tx).await?;
    if is_set(tx, "fsck_host").await? {
        return Err(RunError::FsckRunning.into());
    }
    if is_set(tx, "rebal_host").await? {
        return Err(RunError::RebalanceInTheWay.into());
    }
    let checked = settings::number_of(tx, "fsck_highest_fid_checked").await?;
    let end = settings::number_of(tx, "fsck_fid_at_end").await?;
    if checked >= end {
        was_reset(tx, FsckReset::default()).await?;
    }
    let first = settings::number_of(tx, "fsck_highest_fid_checked").await?;
    settings::set(tx, "fsck_start_time", &now.secs().to_string()).await?;
    settings::unset(tx, "fsck_stop_time").await?;
    settings::set(tx, "fsck_fids_checked", "0").await?;
    settings::set(tx, "fsck_start_fid", &first.to_string()).await?;
    settings::set(tx, "fsck_host", hostname).await?;
    Ok(())
}

async fn was_reset(tx: &mut Tx, reset: FsckReset) -> Result<(), Error> {
    settings::run_held(tx).await?;
    match reset.scope {
        FsckScope::PolicyOnly => settings::set(tx, "fsck_opt_policy_only", "1").await?,
        FsckScope::Files => settings::unset(tx, "fsck_opt_policy_only").await?,
    }
    let end = meta::last_file(tx).await?;
    settings::set(tx, "fsck_highest_fid_checked", &reset.after.to_string()).await?;
    settings::set(tx, "fsck_fid_at_end", &end.to_string()).await?;
    meta::counters_reset(tx).await
}

/// Reads the state; what originals have logged is counted on the way, as they do.
async fn status(tx: &mut Tx, now: Timestamp) -> Result<FsckStatus, Error> {
    meta::summed(tx).await?;
    let host = settings::value_of(tx, "fsck_host").await?;
    let policy_only = is_set(tx, "fsck_opt_policy_only").await?;
    Ok(FsckStatus {
        host: host.filter(|host| !host.is_empty()),
        checked: settings::number_of(tx, "fsck_highest_fid_checked").await?,
        end: settings::number_of(tx, "fsck_fid_at_end").await?,
        scope: if policy_only {
            FsckScope::PolicyOnly
        } else {
            FsckScope::Files
        },
        started: settings::number_of(tx, "fsck_start_time").await?,
        stopped: settings::number_of(tx, "fsck_stop_time").await?,
        now: now.secs(),
        last_logged: meta::last_logged(tx).await?,
        counters: meta::counters(tx).await?,
    })
}

/// Whether a setting says something else than nothing and no.
async fn is_set(tx: &mut Tx, field: &str) -> Result<bool, Error> {
    let value = settings::value_of(tx, field).await?;
    Ok(value.is_some_and(|value| !value.is_empty() && value != "0"))
}
