//! One round of a rebalance: queues the next copies of the current source device.

use std::{sync::Arc, time::Duration};

use mogul_storage::DevId;

use super::Rebalance;
use crate::{
    Error, Sharing, Tracker,
    balance::{Balance, Drain, LimitScope, State},
    meta::{
        Tx, devices, replicas, settings,
        work::{self, Kind, Move},
    },
    model::{DeviceStatus, Timestamp},
    view::ClusterView,
};

/// How long a run that another tracker began stands still before this one goes on with it.
pub(super) const SILENCE: Duration = Duration::from_mins(5);

/// Copies of one round if `queue_rate_for_rebal` says nothing, as in the original.
const RATE: u64 = 500;
/// Copies of one round, at most.
const RATE_MAX: u64 = 10_000;
/// Queued copies beyond which there is no round if `queue_size_for_rebal` says nothing, as in the original.
const QUEUE: u64 = 10_000;

/// What a round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// There is no run, or nothing that it can do now.
    Nothing,
    /// Copies were queued, or a device is done.
    Queued,
    /// The run is over.
    Over,
}

/// What a round works with.
pub(super) struct Desk {
    pub(super) tracker: Tracker,
    pub(super) view: Arc<ClusterView>,
    pub(super) now: Timestamp,
}

impl Rebalance {
    /// Queues the next copies, if a rebalance runs and is ours.
    pub(super) async fn round(&self, now: Timestamp) -> Result<Round, Error> {
        let mut tx = self.tracker.db().reader().await?;
        let Some(host) = settings::value_of(&mut tx, "rebal_host").await? else {
            return Ok(Round::Nothing);
        };
        let state = settings::value_of(&mut tx, "rebal_state").await?;
        drop(tx);
        let state = State::parse(&state.unwrap_or_default());
        let sign_of_life = Timestamp::from_secs(state.latest_run.max(state.started));
        let ours = match self.tracker.sharing() {
            Sharing::Alone => true,
            Sharing::Shared => host == self.tracker.settings().hostname || sign_of_life.until(now) > SILENCE,
        };
        if !ours {
            return Ok(Round::Nothing);
        }
        let desk = Arc::new(Desk {
            tracker: self.tracker.clone(),
            view: self.tracker.view(),
            now,
        });
        let round = self.tracker.db().write(move |tx| {
            let desk = Arc::clone(&desk);
            Box::pin(async move { desk.round(tx).await })
        });
        let round = round.await?;
        if round != Round::Nothing {
            // The states of source devices may have changed.
            self.tracker.refresh_devices().await?;
        }
        Ok(round)
    }
}

impl Desk {
    async fn round(&self, tx: &mut Tx) -> Result<Round, Error> {
        settings::run_held(tx).await?;
        if settings::value_of(tx, "rebal_host").await?.is_none() {
            return Ok(Round::Nothing);
        }
        let policy = settings::value_of(tx, "rebal_policy").await?.unwrap_or_default();
        let policy = Balance::parse(&policy).map_err(crate::error::RunError::from)?;
        let text = settings::value_of(tx, "rebal_state").await?.unwrap_or_default();
        let mut state = State::parse(&text);
        if settings::value_of(tx, "rebal_signal").await?.as_deref() == Some("stop") {
            return self.stop(tx, &policy, state).await;
        }
        let most = match settings::number_of(tx, "queue_size_for_rebal").await? {
            0 => QUEUE,
            most => most,
        };
        if work::length(tx, Kind::Rebalance, most).await? >= most {
            return Ok(Round::Nothing);
        }
        if let Some(within) = policy.evens_out() {
            return self.even_out(tx, &policy, &mut state, within).await;
        }
        let Some(source) = self.source(&policy, &mut state) else {
            state.finished = self.now.secs();
            settings::unset(tx, "rebal_host").await?;
            save(tx, &state).await?;
            return Ok(Round::Over);
        };
        devices::device_shifted(tx, source, DeviceStatus::Alive, DeviceStatus::Drain).await?;
        let targets = policy.targets(&self.view, &state.all_sources());
        if targets.is_empty() {
            tracing::warn!(
                devid = source.get(),
                "rebalance finds no device to move copies to"
            );
            state.empty_runs += 1;
            state.latest_empty_run = self.now.secs();
            save(tx, &state).await?;
            return Ok(Round::Nothing);
        }
        self.queue(tx, &policy, &mut state, (source, &targets)).await?;
        save(tx, &state).await?;
        Ok(Round::Queued)
    }

    /// The device whose copies are queued; the next one begins.
    fn source(&self, policy: &Balance, state: &mut State) -> Option<DevId> {
        if state.current.is_none() && !state.sources.is_empty() {
            let next = state.sources.remove(0);
            let device = self.view.device(next).map(|view| &view.device);
            state.current = Some(next);
            state.last = None;
            state.device_limit = policy.amount(device);
        }
        state.current
    }

    /// Queues a batch of a device's copies, and ends with the device when it has no more or the limit is reached.
    async fn queue(
        &self,
        tx: &mut Tx,
        policy: &Balance,
        state: &mut State,
        (source, targets): (DevId, &[DevId]),
    ) -> Result<(), Error> {
        let rate = Desk::rate(tx).await?;
        let files = replicas::files_on(tx, source, policy.age(), state.last, rate).await?;
        let exhausted = files.len() < rate;
        let mut moves = Vec::new();
        let mut reached = false;
        for (fid, size) in files {
            if let Some(cost) = policy.cost(size) {
                let left = match policy.scope() {
                    LimitScope::Device => &mut state.device_limit,
                    LimitScope::Global => &mut state.limit,
                };
                let Some(rest) = left.checked_sub(cost) else {
                    reached = true;
                    break;
                };
                *left = rest;
            }
            state.last = Some(fid);
            state.fids_queued += 1;
            state.bytes_queued = state.bytes_queued.saturating_add(size);
            moves.push(Move {
                fid,
                from: source,
                to: self.drawn(policy, targets),
                failcount: 0,
            });
        }
        work::moves_added(tx, &moves, self.now).await?;
        state.latest_run = self.now.secs();
        if reached && policy.scope() == LimitScope::Global {
            state.sources.clear();
        }
        if exhausted || reached {
            self.leave(tx, policy, source).await?;
            state.completed.push(source);
            (state.current, state.last, state.device_limit) = (None, None, 0);
        }
        Ok(())
    }

    /// Copies of one round.
    pub(super) async fn rate(tx: &mut Tx) -> Result<usize, Error> {
        let rate = match settings::number_of(tx, "queue_rate_for_rebal").await? {
            0 => RATE,
            rate => rate.min(RATE_MAX),
        };
        Ok(usize::try_from(rate).unwrap_or(usize::MAX))
    }

    /// The targets that are offered for a file: all, or as many as the policy says, drawn.
    pub(super) fn drawn(&self, policy: &Balance, targets: &[DevId]) -> String {
        let mut targets = targets.to_vec();
        if let Some(count) = policy.targets_per_file() {
            for index in 0..count.min(targets.len()) {
                let left = u64::try_from(targets.len() - index).unwrap_or(1);
                let drawn = usize::try_from(self.tracker.entropy().next_u64() % left).unwrap_or(0);
                targets.swap(index, index + drawn);
            }
            targets.truncate(count);
        }
        let numbers: Vec<String> = targets.iter().map(ToString::to_string).collect();
        numbers.join(",")
    }

    /// Puts a source device back to the state it had, unless it shall stay in drain, or is being drained.
    pub(super) async fn leave(&self, tx: &mut Tx, policy: &Balance, source: DevId) -> Result<(), Error> {
        let drains = settings::value_of(tx, &Drain::setting_of(source))
            .await?
            .is_some();
        if policy.leaves_in_drain() || drains {
            return Ok(());
        }
        devices::device_shifted(tx, source, DeviceStatus::Drain, DeviceStatus::Alive).await
    }

    /// Ends the run as the operator asked; it can be begun again where it was.
    async fn stop(&self, tx: &mut Tx, policy: &Balance, mut state: State) -> Result<Round, Error> {
        if let Some(source) = state.current {
            self.leave(tx, policy, source).await?;
        }
        state.stopped = self.now.secs();
        settings::unset(tx, "rebal_host").await?;
        settings::unset(tx, "rebal_signal").await?;
        save(tx, &state).await?;
        Ok(Round::Over)
    }
}

pub(super) async fn save(tx: &mut Tx, state: &State) -> Result<(), Error> {
    settings::set(tx, "rebal_state", &state.to_string()).await?;
    Ok(())
}
