//! Rounds of a rebalance whose policy is `auto`: shift after shift ([`crate::balance::shift`]), each planned on figures that were
//! read after the one before was over.

use mogul_storage::DevId;

use super::round::{Desk, Round, save};
use crate::{
    Error,
    balance::{Balance, State, shift, takers_of},
    meta::{
        Tx, devices,
        replicas::{self, Age},
        settings,
        work::{self, Kind, Move, TRIES_MAX},
    },
    model::DeviceStatus,
};

impl Desk {
    /// Queues the next copies of the shift that is under way, or plans the next one.
    pub(super) async fn even_out(
        &self,
        tx: &mut Tx,
        policy: &Balance,
        state: &mut State,
        within: u64,
    ) -> Result<Round, Error> {
        if let Some(source) = state.current
            && state.device_limit > 0
        {
            self.continue_shift(tx, policy, state, source).await?;
            save(tx, state).await?;
            return Ok(Round::Queued);
        }
        if !self.has_settled(tx, state).await? {
            return Ok(Round::Nothing);
        }
        let next = shift(&self.view, within, &state.completed);
        let from = next.as_ref().map(|shift| shift.from);
        if let Some(before) = state.current.filter(|before| Some(*before) != from) {
            self.leave(tx, policy, before).await?;
            state.current = None;
        }
        let Some(next) = next else {
            state.finished = self.now.secs();
            settings::unset(tx, "rebal_host").await?;
            save(tx, state).await?;
            return Ok(Round::Over);
        };
        if state.current.is_none() {
            // A device that gives goes on where it was as long as no other does.
            state.last = None;
        }
        (state.current, state.device_limit) = (Some(next.from), next.bytes);
        save(tx, state).await?;
        Ok(Round::Queued)
    }

    /// Whether all moves are over, and the figures of all devices are younger than that.
    async fn has_settled(&self, tx: &mut Tx, state: &mut State) -> Result<bool, Error> {
        if work::length(tx, Kind::Rebalance, 1).await? > 0 {
            return Ok(false);
        }
        if state.latest_run > 0 && state.latest_empty_run <= state.latest_run {
            // From the next second on, for the figures have whole seconds, too.
            state.latest_empty_run = self.now.secs().saturating_add(1);
            save(tx, state).await?;
            return Ok(false);
        }
        let old = |asof: Option<i64>| asof.is_some_and(|asof| asof < state.latest_empty_run);
        let mut measured = self.view.devices().filter(|device| device.deletable());
        Ok(!measured.any(|device| old(device.device.mb_asof)))
    }

    /// Queues the next copies of a device, those that fit into what is left of the shift.
    async fn continue_shift(
        &self,
        tx: &mut Tx,
        policy: &Balance,
        state: &mut State,
        source: DevId,
    ) -> Result<(), Error> {
        devices::device_shifted(tx, source, DeviceStatus::Alive, DeviceStatus::Drain).await?;
        let rate = Desk::rate(tx).await?;
        let targets = takers_of(&self.view, state.device_limit);
        let files = match targets.as_slice() {
            [] => Vec::new(),
            _ => replicas::files_on(tx, source, Age::Oldest, state.last, rate).await?,
        };
        let exhausted = files.len() < rate;
        let mut moves = Vec::new();
        for (fid, size) in files {
            match state.device_limit.checked_sub(size) {
                Some(rest) => state.device_limit = rest,
                // One that no shift can hold stays where it is; else the next shift begins with it.
                None if moves.is_empty() => {
                    state.last = Some(fid);
                    continue;
                }
                None => {
                    state.device_limit = 0;
                    break;
                }
            }
            state.last = Some(fid);
            state.fids_queued += 1;
            state.bytes_queued = state.bytes_queued.saturating_add(size);
            moves.push(Move {
                fid,
                from: source,
                to: self.drawn(policy, &targets),
                // Another file does as well.
                failcount: TRIES_MAX,
            });
        }
        work::moves_added(tx, &moves, self.now).await?;
        state.latest_run = self.now.secs();
        if exhausted && state.device_limit > 0 {
            self.leave(tx, policy, source).await?;
            state.completed.push(source);
            (state.current, state.last, state.device_limit) = (None, None, 0);
        }
        Ok(())
    }
}
