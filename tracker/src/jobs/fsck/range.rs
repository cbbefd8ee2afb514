//! What a step checks: files that were put off, or the next range of the run.

use mogul_storage::Fid;

use super::{Batch, Fsck};
use crate::{
    Error,
    meta::{
        Tx,
        fsck::{self as meta, Range},
        queues, settings,
        work::{self, Kind},
    },
    model::Timestamp,
};

/// Files of a range if `queue_rate_for_fsck` says nothing, as in the original.
const RATE: u64 = 1_000;
/// Files of a range, at most.
const RATE_MAX: u64 = 10_000;
/// Files in `file_to_queue` beyond which no range is taken if `queue_size_for_fsck` says nothing, as in the original.
const QUEUE: u64 = 20_000;
/// Files of one step that had been put off.
const BATCH: usize = 256;

impl Fsck {
    /// Takes what is to be checked next, if there is anything.
    pub(super) async fn take(&self, now: Timestamp) -> Result<Option<Batch>, Error> {
        let mut tx = self.0.db().reader().await?;
        let due = work::due(&mut tx, Kind::Fsck, now).await?;
        let running = settings::value_of(&mut tx, "fsck_host").await?.is_some();
        drop(tx);
        if due {
            let claim = self
                .0
                .db()
                .write(move |tx| Box::pin(async move { work::claimed(tx, Kind::Fsck, now, BATCH).await }));
            let fids: Vec<Fid> = claim.await?.into_iter().map(|work| work.fid).collect();
            if !fids.is_empty() {
                return Ok(Some(Batch::Files(fids)));
            }
        }
        if !running {
            return Ok(None);
        }
        let range = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { range_taken(tx, now).await }));
        Ok(range.await?.map(Batch::Range))
    }
}

/// Takes the next range of the run that is under way, or ends the run.
async fn range_taken(tx: &mut Tx, now: Timestamp) -> Result<Option<Range>, Error> {
    settings::run_held(tx).await?;
    if settings::value_of(tx, "fsck_host").await?.is_none() {
        return Ok(None);
    }
    let after = settings::number_of(tx, "fsck_highest_fid_checked").await?;
    let end = settings::number_of(tx, "fsck_fid_at_end").await?;
    if after >= end {
        settings::unset(tx, "fsck_host").await?;
        settings::set(tx, "fsck_stop_time", &now.secs().to_string()).await?;
        return Ok(None);
    }
    let most = match settings::number_of(tx, "queue_size_for_fsck").await? {
        0 => QUEUE,
        most => most,
    };
    if work::length(tx, Kind::Fsck, most).await? >= most {
        return Ok(None);
    }
    let rate = match settings::number_of(tx, "queue_rate_for_fsck").await? {
        0 => RATE,
        rate => rate.min(RATE_MAX),
    };
    let range = Range {
        after,
        // Behind the last file there may be orphans.
        last: meta::range_end(tx, after, end, rate).await?.unwrap_or(end),
        until: now.after(queues::CLAIM).secs(),
    };
    meta::range_queued(tx, range).await?;
    settings::set(tx, "fsck_highest_fid_checked", &range.last.to_string()).await?;
    Ok(Some(range))
}
