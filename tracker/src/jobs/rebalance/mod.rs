//! Moves copies from device to device as the operator's policy says (mogilefs.md §14).
//!
//! A run lives in the settings `rebal_policy` and `rebal_state` ([`crate::balance`]). A step queues the next copies of the
//! current source device in `file_to_queue` ([`round`]), then moves some of those that are queued. Everything is in the
//! database: a run goes on after a restart, and another tracker takes it over when the one that began it is silent for
//! [`round::SILENCE`].
//!
//! Beyond the original: limits are kept to the file, a source device that is stopped in the middle is put back to the state
//! it had, and a move that fails is tried again.

mod even;
mod round;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use mogul_storage::{DevId, Fid};

use self::round::Round;
use super::{
    Done, Job, JobName, Next,
    replicate::{Relocated, Replicate},
};
use crate::{
    Error, Tracker,
    balance::Drain,
    meta::{
        Tx, queues, settings,
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
const BACK_OFF: [Duration; work::TRIES] = [
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
    /// So many bytes are elsewhere now.
    Moved(u64),
    /// There is nothing to move, or it cannot be.
    Over,
    /// It is tried again.
    Later {
        /// After this time.
        wait: Duration,
        /// How often it has failed.
        failcount: u8,
        /// Why it failed, if it did.
        refusal: Option<&'static str>,
    },
}

/// What a step did for the drain of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Drained {
    moved: Done,
    refusal: Option<&'static str>,
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

    /// Carries out moves that are queued, those of drains among them. Answers how many it took.
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
            .map(|order| async move { (order.fid, order.device, Box::pin(self.carry_out(order)).await) });
        let at_once = self.tracker.settings().replicate_at_once;
        let ends: Vec<(Fid, Option<DevId>, Result<End, Error>)> =
            stream::iter(moves).buffer_unordered(at_once).collect().await;
        let mut failed = None;
        let mut ended = Vec::new();
        let mut drained: BTreeMap<DevId, Drained> = BTreeMap::new();
        for (fid, from, end) in ends {
            match end {
                Ok(end) => {
                    self.tell(from, end, &mut drained);
                    ended.push((fid, end));
                }
                // The claim of this one runs out.
                Err(error) => failed = Some(error),
            }
        }
        let (outcome, now) = (Arc::new((ended, drained)), self.tracker.now());
        let record = self.tracker.db().write(move |tx| {
            let outcome = Arc::clone(&outcome);
            Box::pin(async move {
                let (ended, drained) = &*outcome;
                // First what holds the settings: who queues moves takes them in this order, too.
                drains_advanced(tx, drained).await?;
                recorded(tx, ended, now).await
            })
        });
        record.await?;
        failed.map_or(Ok(taken), Err)
    }

    /// Counts what a move has done, for the drain of its device if there is one.
    fn tell(&self, from: Option<DevId>, end: End, drained: &mut BTreeMap<DevId, Drained>) {
        let drains = from.filter(|device| self.tracker.view().is_draining(*device));
        let moved = match end {
            End::Moved(bytes) => Done {
                bytes,
                ..Done::files(1)
            },
            End::Over | End::Later { .. } => Done::default(),
        };
        let job = drains.map_or(JobName::Rebalance, |_| JobName::Drain);
        self.tracker.did(job, moved);
        if let Some(device) = drains {
            let drained = drained.entry(device).or_default();
            drained.moved.files += moved.files;
            drained.moved.bytes += moved.bytes;
            if let End::Later {
                refusal: Some(reason),
                ..
            } = end
            {
                drained.refusal = Some(reason);
            }
        }
    }

    /// Moves one copy, with the file to itself.
    async fn carry_out(&self, order: Work) -> Result<End, Error> {
        let (fid, now) = (order.fid, self.tracker.now());
        let Some(from) = order.device else {
            tracing::warn!(fid = fid.get(), "a move without a source was dropped");
            return Ok(End::Over);
        };
        let targets = order.arg.as_deref().unwrap_or_default();
        let to: Vec<DevId> = targets
            .split(',')
            .filter_map(|number| DevId::new(number.trim().parse().ok()?))
            .collect();
        let Some((sole, held)) = self.tracker.to_itself(fid, now).await? else {
            return Ok(End::Later {
                wait: BUSY,
                failcount: order.failcount,
                refusal: None,
            });
        };
        let held = Arc::new(held);
        let claim = (sole.claim, Arc::clone(&held));
        let relocate = Box::pin(self.replicate.relocate(claim, from, &to));
        let (relocated, claim) = self.tracker.keeping(&held, relocate).await?;
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
            Relocated::Moved(bytes) => End::Moved(bytes),
            Relocated::Gone => End::Over,
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
fn after_failure(fid: Fid, from: DevId, failcount: u8, reason: &'static str) -> End {
    let (fid, devid) = (fid.get(), from.get());
    let Some(wait) = BACK_OFF.get(usize::from(failcount)) else {
        tracing::debug!(fid, devid, reason, "a copy stays where it is");
        return End::Over;
    };
    tracing::warn!(fid, devid, failcount, reason, "a copy was not moved");
    End::Later {
        wait: *wait,
        failcount: failcount.saturating_add(1),
        refusal: Some(reason),
    }
}

async fn recorded(tx: &mut Tx, ended: &[(Fid, End)], now: Timestamp) -> Result<(), Error> {
    let mut done = Vec::new();
    for (fid, end) in ended {
        match end {
            End::Moved(_) | End::Over => done.push(*fid),
            End::Later { wait, failcount, .. } => {
                work::put_off(tx, Kind::Rebalance, &[*fid], now.after(*wait), *failcount).await?;
            }
        }
    }
    work::done(tx, Kind::Rebalance, &done).await
}

/// Writes down how far drains have come.
async fn drains_advanced(tx: &mut Tx, drained: &BTreeMap<DevId, Drained>) -> Result<(), Error> {
    if drained.is_empty() {
        return Ok(());
    }
    settings::run_held(tx).await?;
    for (device, step) in drained {
        let setting = Drain::setting_of(*device);
        let Some(text) = settings::value_of(tx, &setting).await? else {
            continue;
        };
        let mut drain = Drain::parse(&text);
        drain.moved = drain.moved.saturating_add(step.moved.files);
        drain.bytes = drain.bytes.saturating_add(step.moved.bytes);
        if let Some(reason) = step.refusal {
            drain.refusal = Some(reason.to_owned());
        }
        if drain.to_string() != text {
            settings::set(tx, &setting, &drain.to_string()).await?;
        }
    }
    Ok(())
}
