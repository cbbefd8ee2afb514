//! Sees to what the dead have left: the copies of devices that are dead are forgotten and their files queued for new ones
//! (mogilefs.md §13), files on which a tracker worked that has died are given to others ([`claims`]), and devices that stay
//! away are done without ([`absence`]).
//!
//! A batch is forgotten and queued in one transaction, so nothing is lost between the two. A device stays under watch for
//! as long as it is dead: a copy that was on its way when it died is found as well.

mod absence;
mod claims;

use std::{collections::BTreeMap, time::Duration};

use mogul_storage::DevId;

use self::{absence::Absences, claims::Claims};
use super::{Done, Job, JobName, Next};
use crate::{
    Error, Sharing, Tracker,
    meta::{Tx, devices, files, ids::LIST_MAX, lock, queues, replicas, settings},
    model::{DeviceStatus, Timestamp},
};

/// How often dead devices are looked at, as in the original.
pub const PERIOD: Duration = Duration::from_secs(5);

/// How long a device has been dead before its copies are forgotten where other trackers may still use it: as long as the
/// original gives their caches.
const GRACE: Duration = Duration::from_secs(16);

/// Copies of one step if `queue_rate_for_reaper` says nothing, as in the original.
const RATE: u64 = 1_000;

/// The job.
#[derive(Clone)]
pub struct Reaper {
    tracker: Tracker,
    /// Since when this process has known each device to be dead.
    dead: BTreeMap<DevId, Timestamp>,
    claims: Claims,
    absences: Absences,
}

impl Reaper {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Reaper {
        Reaper {
            tracker: tracker.clone(),
            dead: BTreeMap::new(),
            claims: Claims::default(),
            absences: Absences::default(),
        }
    }

    /// The devices that have been dead for long enough.
    fn due(&mut self) -> Vec<DevId> {
        let (now, view) = (self.tracker.now(), self.tracker.view());
        let is_dead = |device: &DevId| {
            let view = view.device(*device);
            view.is_some_and(|view| view.device.status == DeviceStatus::Dead)
        };
        self.dead.retain(|device, _| is_dead(device));
        let devices = view.devices().map(|view| view.device.id);
        for device in devices.filter(is_dead) {
            self.dead.entry(device).or_insert(now);
        }
        let grace = match self.tracker.sharing() {
            Sharing::Alone => Duration::ZERO,
            Sharing::Shared => GRACE,
        };
        let due = self.dead.iter().filter(|(_, since)| since.until(now) >= grace);
        due.map(|(device, _)| *device).collect()
    }

    /// Reaps one batch of a device. Answers how many copies were forgotten.
    async fn reap(&self, device: DevId) -> Result<usize, Error> {
        let mut tx = self.tracker.db().reader().await?;
        if replicas::replicas_on(&mut tx, device, 1).await?.is_empty() {
            return Ok(0);
        }
        let most = settings::number_of(&mut tx, "queue_size_for_reaper").await?;
        if most > 0 && queues::replicate_ordinary(&mut tx, most).await? >= most {
            return Ok(0);
        }
        let rate = match settings::number_of(&mut tx, "queue_rate_for_reaper").await? {
            0 => RATE,
            rate => rate,
        };
        drop(tx);
        let Some(turn) = self.tracker.locks().named(lock::REAPER).await? else {
            return Ok(0);
        };
        let rate = usize::try_from(rate).unwrap_or(LIST_MAX).min(LIST_MAX);
        let now = self.tracker.now();
        let reap = self
            .tracker
            .db()
            .write(move |tx| Box::pin(async move { reaped(tx, device, rate, now).await }));
        let reaped = reap.await;
        turn.release().await;
        reaped
    }
}

impl Job for Reaper {
    const NAME: JobName = JobName::Reaper;

    async fn step(&mut self) -> Result<Next, Error> {
        self.claims.look(&self.tracker).await?;
        for device in self.due() {
            let copies = self.reap(device).await?;
            if copies > 0 {
                tracing::info!(
                    devid = device.get(),
                    copies,
                    "copies of a dead device were forgotten"
                );
                self.tracker.did(Self::NAME, Done::files(copies));
                self.tracker.wake(JobName::Replicate);
                return Ok(Next::Again);
            }
        }
        self.absences.look(&self.tracker).await
    }
}

/// Forgets at most `limit` copies of a device and queues their files, unless it is not dead any more.
async fn reaped(tx: &mut Tx, device: DevId, limit: usize, now: Timestamp) -> Result<usize, Error> {
    let known = devices::devices(tx).await?;
    let is_dead = |known: &crate::model::Device| known.id == device && known.status == DeviceStatus::Dead;
    if !known.iter().any(is_dead) {
        return Ok(0);
    }
    let fids = replicas::replicas_on(tx, device, limit).await?;
    // What is being deleted needs no new copies.
    let files: Vec<_> = files::files_present(tx, &fids).await?.into_iter().collect();
    replicas::forget_on(tx, device, &fids).await?;
    files::devcounts_updated(tx, &files).await?;
    queues::replicate_again(tx, &files, now).await?;
    Ok(fids.len())
}
