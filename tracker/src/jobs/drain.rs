//! Empties devices that operators drain: queues what is on them for [`super::rebalance`], which moves it, copy first.
//!
//! A drain lives in a setting of its device ([`crate::balance::Drain`]); any tracker goes on with it. Passes over the device's
//! files follow one another until nothing is left. A device that is empty stays under watch: what an upload that was under way
//! still puts there is moved as well. When its state is not `drain` any more, somebody has decided otherwise, and the drain ends.

use std::{sync::Arc, time::Duration};

use mogul_storage::DevId;

use super::{Job, JobName, Next};
use crate::{
    Error, Tracker,
    balance::Drain,
    command::drain::drain_ended,
    meta::{
        Tx, devices,
        replicas::{self, Age},
        settings,
        work::{self, Kind, Move},
    },
    model::{DeviceStatus, Timestamp},
};

/// How often devices are looked at without a wake.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Copies of one step and device.
const BATCH: usize = 500;
/// Queued copies of a device beyond which no more are: enough for the movers, and little to forget when a drain is cancelled.
const AHEAD: u64 = 1_000;

/// Why a device is not empty on which there are no files any more.
const OF_NO_FILE: &str = "what is left is of no file and is deleted when its time is up";

/// The job.
#[derive(Clone)]
pub struct Drains(Tracker);

impl Drains {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Drains {
        Drains(tracker.clone())
    }

    /// Queues the next copies of a device. Answers whether there were any.
    async fn queue(&self, device: DevId) -> Result<Next, Error> {
        let view = self.0.view();
        let targets = view.devices().filter(|device| device.takes_files());
        let targets: Vec<DevId> = targets
            .map(|target| target.device.id)
            .filter(|target| *target != device)
            .collect();
        let (targets, now) = (Arc::new(targets), self.0.now());
        let queue = self.0.db().write(move |tx| {
            let targets = Arc::clone(&targets);
            Box::pin(async move { queued(tx, device, &targets, now).await })
        });
        let found = queue.await?;
        match found {
            Found::Queued => {
                self.0.wake(JobName::Rebalance);
                return Ok(Next::Again);
            }
            Found::Empty => tracing::info!(devid = device.get(), "device is drained: nothing is left on it"),
            Found::Ended => tracing::info!(devid = device.get(), "drain ended: the device has another state"),
            Found::Nothing => return Ok(Next::Idle),
        }
        self.0.refresh_all().await?;
        Ok(Next::Idle)
    }
}

impl Job for Drains {
    const NAME: JobName = JobName::Drain;

    async fn step(&mut self) -> Result<Next, Error> {
        let mut next = Next::Idle;
        for device in Drain::among(self.0.view().settings()).into_keys() {
            if self.queue(device).await? == Next::Again {
                next = Next::Again;
            }
        }
        Ok(next)
    }
}

/// What a look at a device found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Copies, which are queued now.
    Queued,
    /// Nothing to do at present.
    Nothing,
    /// Nothing is left on it, which is new.
    Empty,
    /// It is not to be drained any more.
    Ended,
}

async fn queued(tx: &mut Tx, device: DevId, targets: &[DevId], now: Timestamp) -> Result<Found, Error> {
    settings::run_held(tx).await?;
    let Some(text) = settings::value_of(tx, &Drain::setting_of(device)).await? else {
        return Ok(Found::Nothing);
    };
    let mut drain = Drain::parse(&text);
    let all = devices::devices(tx).await?;
    let status = all
        .iter()
        .find(|known| known.id == device)
        .map(|known| known.status);
    if status != Some(DeviceStatus::Drain) {
        drain_ended(tx, device).await?;
        return Ok(Found::Ended);
    }
    let waiting = work::length_of(tx, Kind::Rebalance, device, AHEAD).await?;
    if waiting >= AHEAD {
        return Ok(Found::Nothing);
    }
    let files = match targets {
        [] => {
            drain.refusal = Some("no device takes files".to_owned());
            Vec::new()
        }
        _ => replicas::files_on(tx, device, Age::Oldest, drain.last, BATCH).await?,
    };
    if files.is_empty() {
        let found = pass_ended(tx, device, (&mut drain, waiting), now).await?;
        if drain.to_string() != text {
            settings::set(tx, &Drain::setting_of(device), &drain.to_string()).await?;
        }
        return Ok(found);
    }
    let numbers: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let to = numbers.join(",");
    let moves = files.iter().map(|(fid, _)| Move {
        fid: *fid,
        from: device,
        to: to.clone(),
        failcount: 0,
    });
    work::moves_added(tx, &moves.collect::<Vec<_>>(), now).await?;
    drain.last = files.last().map(|(fid, _)| *fid);
    drain.ended = 0;
    settings::set(tx, &Drain::setting_of(device), &drain.to_string()).await?;
    Ok(Found::Queued)
}

/// Looks what a pass has left on a device.
async fn pass_ended(
    tx: &mut Tx,
    device: DevId,
    (drain, waiting): (&mut Drain, u64),
    now: Timestamp,
) -> Result<Found, Error> {
    // The next pass begins when the moves of this one are over: each then has been tried for as long as moves are.
    if waiting > 0 {
        return Ok(Found::Nothing);
    }
    drain.last = None;
    if !replicas::replicas_on(tx, device, 1).await?.is_empty() {
        // What is being deleted is on record, too, and goes by itself.
        let of_files = replicas::files_on(tx, device, Age::Oldest, None, 1).await?;
        let waits = drain.refusal.as_deref() == Some(OF_NO_FILE);
        match (of_files.is_empty(), waits) {
            (true, _) => drain.refusal = Some(OF_NO_FILE.to_owned()),
            (false, true) => drain.refusal = None,
            (false, false) => {}
        }
        drain.files = drain.moved.saturating_add(replicas::count_on(tx, device).await?);
        return Ok(Found::Nothing);
    }
    if drain.ended > 0 {
        return Ok(Found::Nothing);
    }
    (drain.ended, drain.refusal) = (now.secs(), None);
    Ok(Found::Empty)
}
