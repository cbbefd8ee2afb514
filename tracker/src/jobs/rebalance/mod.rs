//! Moves copies from device to device as the operator's policy says (mogilefs.md §14).
//!
//! A run lives in the settings `rebal_policy` and `rebal_state` ([`crate::balance`]). A step queues the next copies of the
//! current source device in `file_to_queue` ([`round`]), then moves some of those that are queued. Everything is in the
//! database: a run goes on after a restart, and another tracker takes it over when the one that began it is silent for
//! [`round::SILENCE`].
//!
//! Beyond the original: limits are kept to the file, a source device that is stopped in the middle is put back to the state
//! it had, and a move that fails is tried again.

mod round;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use mogul_storage::{DevId, Fid};

use self::round::Round;
use super::{
    Job, JobName, Next,
    replicate::{Relocated, Replicate},
};
use crate::{
    Error, Tracker,
    meta::{
        Tx, queues,
        work::{self, Kind, Work},
    },
    model::Timestamp,
};

/// How often there is a look without a wake, as the original's job master.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Moves of one step.
const BATCH: usize = 64;
/// How long a move waits for somebody else who works on the file.
const BUSY: Duration = Duration::from_secs(15);
/// How long a move waits after each failure.
const BACK_OFF: [Duration; 4] = [
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
];

/// The job.
#[derive(Clone)]
pub struct Rebalance {
    tracker: Tracker,
    replicate: Replicate,
}

/// How a queued move ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is over, one way or the other.
    Done,
    /// It is tried again, with so many failures on record.
    Later(Duration, u8),
}

impl Rebalance {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Rebalance {
        Rebalance {
            tracker: tracker.clone(),
            replicate: Replicate::new(tracker),
        }
    }

    /// Carries out moves that are queued. Answers how many it took.
    async fn move_copies(&self, now: Timestamp) -> Result<usize, Error> {
        let mut tx = self.tracker.db().reader().await?;
        if !work::due(&mut tx, Kind::Rebalance, now).await? {
            return Ok(0);
        }
        drop(tx);
        let claim = self
            .tracker
            .db()
            .write(move |tx| Box::pin(async move { work::claimed(tx, Kind::Rebalance, now, BATCH).await }));
        let claimed = claim.await?;
        let taken = claimed.len();
        let moves = claimed
            .into_iter()
            .map(|order| async move { (order.fid, Box::pin(self.carry_out(order)).await) });
        let at_once = self.tracker.settings().replicate_at_once;
        let ends: Vec<(Fid, Result<End, Error>)> =
            stream::iter(moves).buffer_unordered(at_once).collect().await;
        let mut failed = None;
        let mut ended = Vec::new();
        for (fid, end) in ends {
            match end {
                Ok(end) => ended.push((fid, end)),
                // The claim of this one runs out.
                Err(error) => failed = Some(error),
            }
        }
        let (ended, now) = (Arc::new(ended), self.tracker.now());
        let record = self.tracker.db().write(move |tx| {
            let ended = Arc::clone(&ended);
            Box::pin(async move { recorded(tx, &ended, now).await })
        });
        record.await?;
        failed.map_or(Ok(taken), Err)
    }

    /// Moves one copy, with the file to itself.
    async fn carry_out(&self, order: Work) -> Result<End, Error> {
        let (fid, now) = (order.fid, self.tracker.now());
        let Some(from) = order.device else {
            tracing::warn!(fid = fid.get(), "a move without a source was dropped");
            return Ok(End::Done);
        };
        let targets = order.arg.as_deref().unwrap_or_default();
        let to: Vec<DevId> = targets
            .split(',')
            .filter_map(|number| DevId::new(number.trim().parse().ok()?))
            .collect();
        let Some((sole, held)) = self.tracker.to_itself(fid, now).await? else {
            return Ok(End::Later(BUSY, order.failcount));
        };
        let held = Arc::new(held);
        let claim = (sole.claim, Arc::clone(&held));
        let (relocated, claim) = self.replicate.relocate(claim, from, &to).await?;
        let waits = sole.waited || claim.leftover != queues::Leftover::None;
        let now = self.tracker.now();
        let release = self.tracker.db().write(move |tx| {
            Box::pin(async move {
                if waits {
                    queues::replicate_later(tx, &claim, now.secs(), claim.failcount).await
                } else {
                    queues::replicate_done(tx, &[claim]).await
                }
            })
        });
        release.await?;
        if let Some(held) = Arc::into_inner(held) {
            held.release().await;
        }
        Ok(match relocated {
            Relocated::Gone => End::Done,
            Relocated::Refused(reason) => after_failure(fid, from, order.failcount, reason),
        })
    }
}

impl Job for Rebalance {
    const NAME: JobName = JobName::Rebalance;

    async fn step(&mut self) -> Result<Next, Error> {
        let now = self.tracker.now();
        let round = self.round(now).await?;
        let moved = self.move_copies(now).await?;
        Ok(if round == Round::Queued || moved > 0 {
            Next::Again
        } else {
            Next::Idle
        })
    }
}

/// What becomes of a move that did not succeed.
fn after_failure(fid: Fid, from: DevId, failcount: u8, reason: &str) -> End {
    tracing::warn!(
        fid = fid.get(),
        devid = from.get(),
        failcount,
        reason,
        "a copy was not moved"
    );
    match BACK_OFF.get(usize::from(failcount)) {
        Some(wait) => End::Later(*wait, failcount.saturating_add(1)),
        None => End::Done,
    }
}

async fn recorded(tx: &mut Tx, ended: &[(Fid, End)], now: Timestamp) -> Result<(), Error> {
    let done = ended.iter().filter(|(_, end)| *end == End::Done);
    let done: Vec<Fid> = done.map(|(fid, _)| *fid).collect();
    work::done(tx, Kind::Rebalance, &done).await?;
    for (fid, end) in ended {
        if let End::Later(wait, failcount) = end {
            work::put_off(tx, Kind::Rebalance, &[*fid], now.after(*wait), *failcount).await?;
        }
    }
    Ok(())
}
