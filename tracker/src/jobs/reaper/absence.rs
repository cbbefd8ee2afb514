//! Copies elsewhere what lies on devices that stay away, and lets the surplus go when they are back.
//!
//! MogileFS waits for a person to mark a device dead, which is final. Here a device that has not answered for
//! `auto_dead_after` seconds becomes *absent*: its copies stay on record, no policy counts them, and its files are queued for
//! new copies. When it answers again they count again, and its files are queued once more so that what is too many is dropped.
//! All of it is in `mogul_absent`, so that it goes on after a restart, and in any tracker.
//!
//! What is careful about it:
//! - A device is seen by whichever tracker reaches it: `device.mb_asof` tells the others. One that has just been started knows
//!   nothing until it has watched for as long.
//! - A tracker that no device answers is cut off itself, and decides nothing.
//! - The devices of one host at a time: if a second one vanishes, copying everything once more is more likely to hurt than to
//!   help, and a person must look. That is logged and counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mogul_storage::{DevId, Fid};

use super::RATE;
use crate::{
    Error, Sharing, Tracker,
    command::settings::AUTO_DEAD_AFTER,
    jobs::{JobName, Next},
    meta::{Tx, absences, devices, files, ids::LIST_MAX, queues, replicas, settings},
    model::{Absence, DeviceStatus, HostId, Phase, Timestamp},
    view::{ClusterView, DeviceView},
};

/// How long after a phase has begun files are queued for it, where other trackers have to learn of it first: one that does not
/// know would find nothing to do.
const LEARNT: Duration = Duration::from_secs(16);

/// What this tracker has seen itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Absences {
    /// Since when it watches.
    since: Option<Timestamp>,
    /// When each device answered last.
    answered: BTreeMap<DevId, Timestamp>,
    /// Hosts that were said to have vanished without being helped.
    told: BTreeSet<HostId>,
}

/// A device that has been away for too long.
#[derive(Debug, Clone, Copy)]
struct Vanished {
    device: DevId,
    host: HostId,
    seen: Timestamp,
}

impl Absences {
    /// Sees who is away and who is back, and queues a batch of files.
    pub(super) async fn look(&mut self, tracker: &Tracker) -> Result<Next, Error> {
        let (now, view) = (tracker.now(), tracker.view());
        let since = *self.since.get_or_insert(now);
        for device in view.devices().filter(|device| device.answers()) {
            self.answered.insert(device.device.id, now);
        }
        let known = absences::absences(&mut tracker.db().reader().await?).await?;
        let changed = end_or_turn(tracker, &view, &known, now).await?;
        let vanished = self.vanished(&view, &known, (since, now));
        let begun = self.begin(tracker, &view, vanished, now).await?;
        if changed || begun {
            tracker.refresh_devices().await?;
        }
        for absence in known {
            if queue(tracker, absence, now).await? {
                return Ok(Next::Again);
            }
        }
        Ok(Next::Idle)
    }

    /// The devices that have been away for longer than the grace.
    fn vanished(
        &self,
        view: &ClusterView,
        known: &[Absence],
        (since, now): (Timestamp, Timestamp),
    ) -> Vec<Vanished> {
        let grace = view.setting(AUTO_DEAD_AFTER).and_then(|text| text.parse().ok());
        let Some(grace) = grace.filter(|seconds| *seconds > 0).map(Duration::from_secs) else {
            return Vec::new();
        };
        if !view.devices().any(DeviceView::answers) {
            return Vec::new();
        }
        let is_absent = |device: DevId| {
            let mut away = known.iter().filter(|absence| absence.phase == Phase::Away);
            away.any(|absence| absence.device == device)
        };
        let away = view
            .devices()
            .filter(|device| device.probed() && !device.answers() && !is_absent(device.device.id));
        let vanished = away.filter_map(|device| {
            let (id, host) = (device.device.id, device.device.host);
            let own = self.answered.get(&id).copied().unwrap_or(since);
            let seen = device
                .device
                .mb_asof
                .map_or(own, |asof| own.max(Timestamp::from_secs(asof)));
            (seen.until(now) >= grace).then_some(Vanished {
                device: id,
                host,
                seen,
            })
        });
        vanished.collect()
    }

    /// Makes those devices absent that may be. Answers whether there are any.
    async fn begin(
        &mut self,
        tracker: &Tracker,
        view: &ClusterView,
        vanished: Vec<Vanished>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let absent = view.devices().filter(|device| device.absent.is_some());
        let absent: BTreeSet<HostId> = absent.map(|device| device.device.host).collect();
        let longest = vanished.iter().min_by_key(|one| (one.seen, one.host));
        let Some(helped) = absent.first().copied().or(longest.map(|one| one.host)) else {
            tracker.0.vanished.store(0, Ordering::Relaxed);
            self.told.clear();
            return Ok(false);
        };
        let (begin, rest): (Vec<Vanished>, Vec<Vanished>) = vanished
            .into_iter()
            .partition(|one| one.host == helped && absent.len() <= 1);
        self.tell(tracker, &rest);
        if begin.is_empty() {
            return Ok(false);
        }
        let begin = Arc::new(begin);
        let write = tracker.db().write(move |tx| {
            let begin = Arc::clone(&begin);
            Box::pin(async move { begun(tx, &begin, now).await })
        });
        for device in write.await? {
            tracing::warn!(
                devid = device.get(),
                "a device has stayed away: its files are copied elsewhere"
            );
        }
        Ok(true)
    }

    /// Says, once each, that hosts have vanished beside the one that is helped.
    fn tell(&mut self, tracker: &Tracker, rest: &[Vanished]) {
        let count = u64::try_from(rest.len()).unwrap_or(u64::MAX);
        tracker.0.vanished.store(count, Ordering::Relaxed);
        let hosts: BTreeSet<HostId> = rest.iter().map(|one| one.host).collect();
        self.told.retain(|host| hosts.contains(host));
        for host in hosts {
            if self.told.insert(host) {
                tracing::error!(
                    host = host.0,
                    "a second host has vanished: its files are not copied elsewhere by themselves"
                );
            }
        }
    }
}

/// Lets absent devices be back that answer, and ends what is decided otherwise. Answers whether anything has changed.
async fn end_or_turn(
    tracker: &Tracker,
    view: &ClusterView,
    known: &[Absence],
    now: Timestamp,
) -> Result<bool, Error> {
    let mut changed = false;
    for absence in known.iter().copied() {
        let device = view.device(absence.device);
        // The reaper sees to dead devices.
        let is_over = device.is_none_or(|device| device.device.status == DeviceStatus::Dead);
        let is_back = absence.phase == Phase::Away && device.is_some_and(DeviceView::answers);
        if !is_over && !is_back {
            continue;
        }
        let write = tracker.db().write(move |tx| {
            Box::pin(async move {
                if is_over {
                    absences::absence_over(tx, &absence).await
                } else {
                    absences::absence_returned(tx, absence.device, now).await
                }
            })
        });
        write.await?;
        changed = true;
        if is_back {
            tracing::info!(devid = absence.device.get(), "an absent device is back");
        }
    }
    Ok(changed)
}

/// Makes devices absent, if nobody has seen them meanwhile and no other host has an absent one. Answers which.
async fn begun(tx: &mut Tx, vanished: &[Vanished], now: Timestamp) -> Result<Vec<DevId>, Error> {
    settings::run_held(tx).await?;
    let rows = devices::devices(tx).await?;
    let row_of = |device: DevId| rows.iter().find(|row| row.id == device);
    let known = absences::absences(tx).await?;
    let away = known.iter().filter(|absence| absence.phase == Phase::Away);
    let away: Vec<_> = away.filter_map(|absence| row_of(absence.device)).collect();
    let mut begun = Vec::new();
    for one in vanished {
        let others = away.iter().any(|row| row.host != one.host);
        let row = row_of(one.device);
        let seen = row.is_none_or(|row| row.mb_asof.is_some_and(|asof| asof > one.seen.secs()));
        if !others && !seen {
            absences::absence_begun(tx, one.device, one.seen, now).await?;
            begun.push(one.device);
        }
    }
    Ok(begun)
}

/// Queues a batch of a device's files, if that phase still has some to be queued. Answers whether there may be more.
async fn queue(tracker: &Tracker, absence: Absence, now: Timestamp) -> Result<bool, Error> {
    let learnt = match tracker.sharing() {
        Sharing::Alone => true,
        Sharing::Shared => absence.changed.until(now) >= LEARNT,
    };
    let mut tx = tracker.db().reader().await?;
    let beyond = absence.queued_to;
    let some = replicas::replicas_beyond(&mut tx, absence.device, beyond, 1).await?;
    if !learnt || (absence.phase == Phase::Away && some.is_empty()) {
        return Ok(false);
    }
    let most = settings::number_of(&mut tx, "queue_size_for_reaper").await?;
    if most > 0 && queues::replicate_ordinary(&mut tx, most).await? >= most {
        return Ok(false);
    }
    drop(tx);
    let queue = tracker
        .db()
        .write(move |tx| Box::pin(async move { queued(tx, &absence, now).await }));
    let count = queue.await?;
    if count > 0 {
        tracing::info!(devid = absence.device.get(), files = count, phase = ?absence.phase, "files of an absent device were queued");
        tracker.wake(JobName::Replicate);
    }
    Ok(count > 0)
}

/// Queues the next files of a device; an absence that is over and has no more goes. Answers how many.
async fn queued(tx: &mut Tx, absence: &Absence, now: Timestamp) -> Result<usize, Error> {
    let limit = usize::try_from(RATE).unwrap_or(LIST_MAX).min(LIST_MAX);
    let fids = replicas::replicas_beyond(tx, absence.device, absence.queued_to, limit).await?;
    let Some(last) = fids.last().copied() else {
        if absence.phase == Phase::Back {
            absences::absence_over(tx, absence).await?;
        }
        return Ok(0);
    };
    if !absences::absence_queued(tx, absence, last).await? {
        return Ok(0);
    }
    // What is being deleted needs no copies.
    let files: Vec<Fid> = files::files_present(tx, &fids).await?.into_iter().collect();
    queues::replicate_again(tx, &files, now).await?;
    Ok(fids.len())
}
