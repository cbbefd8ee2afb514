//! How many copies read from or write to a device or a host at a time, and how fast: settings that all trackers share, each
//! tracker by itself. 0 is no limit.
//!
//! | setting | default | |
//! | --- | --- | --- |
//! | `replicate_per_device` | 64 | copies at a time; a file of more than 256 KiB counts as eight |
//! | `replicate_per_host` | 128 | the same for all devices of a host together |
//! | `replicate_device_bandwidth` | 0 | bytes a second |
//!
//! And how small files come together: a step that has but a few small ones has the *turn* while it works. Another waits for that
//! with what is queued meanwhile, so that its batch is as large as the load makes it: what a batch costs the database would else
//! be spent on three or four files.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{Either, select};
use mogul_storage::DevId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Tracker,
    clock::Clock,
    model::{HostId, Timestamp},
    view::ClusterView,
};

/// Copies of small files at a time on a device: enough that they share its syncs.
pub(crate) const PER_DEVICE: (&str, u32) = ("replicate_per_device", 64);
/// The same for a host.
pub(crate) const PER_HOST: (&str, u32) = ("replicate_per_host", 128);
/// Bytes a second that copies read from a device and write to it.
pub(crate) const BANDWIDTH: &str = "replicate_device_bandwidth";

/// Steps that copy large files at a time: one fewer than there are workers where nobody has changed that.
const LONG_STEPS_MAX: usize = 3;

/// How long a step waits for its turn: that of one whose device hangs does not end soon, and a new file is promised its copies.
const TURN_MAX: Duration = Duration::from_millis(50);

/// Files of up to so many bytes cost their syncs; larger ones cost their bytes.
pub(super) const SMALL: u64 = 256 << 10;
/// As how many small files a larger one counts.
const LARGE_COUNTS: u32 = 8;

/// What copies share in one process.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// For steps that have large files.
    long_steps: Arc<Semaphore>,
    /// For the one step that has a few small files.
    turn: Arc<Semaphore>,
    gates: Mutex<BTreeMap<Place, Gate>>,
    /// When each device may take the next bytes.
    free: Mutex<BTreeMap<DevId, Timestamp>>,
    copies: AtomicU64,
    bytes: AtomicU64,
}

/// What is limited; in this order, so that no two copies wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Device(DevId),
    Host(HostId),
}

/// The limit as it was when the gate was made: another one makes another gate.
#[derive(Debug)]
struct Gate {
    limit: u32,
    semaphore: Arc<Semaphore>,
}

/// The right to copy, until it is dropped.
#[derive(Debug)]
pub(super) struct Pass(#[expect(dead_code, reason = "held for its drop")] Vec<OwnedSemaphorePermit>);

impl Default for Lanes {
    fn default() -> Lanes {
        Lanes {
            long_steps: Arc::new(Semaphore::new(LONG_STEPS_MAX)),
            turn: Arc::new(Semaphore::new(1)),
            gates: Mutex::default(),
            free: Mutex::default(),
            copies: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }
}

impl Lanes {
    /// The right of a step to copy large files, if there is one left.
    pub(super) fn long_step(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.long_steps).try_acquire_owned().ok()
    }

    /// Waits until no other step has the turn, and takes it; after [`TURN_MAX`] the step goes on without.
    pub(super) async fn turn(&self, clock: &dyn Clock) -> Option<OwnedSemaphorePermit> {
        if let Ok(turn) = Arc::clone(&self.turn).try_acquire_owned() {
            return Some(turn);
        }
        let turn = pin!(Arc::clone(&self.turn).acquire_owned());
        match select(turn, clock.sleep(TURN_MAX)).await {
            // Nobody closes it.
            Either::Left((turn, _)) => turn.ok(),
            Either::Right(_) => None,
        }
    }

    /// Waits until a file of `size` bytes may be copied between these devices.
    pub(super) async fn enter(&self, tracker: &Tracker, devices: [DevId; 2], size: u64) -> Pass {
        let view = tracker.view();
        let mut places = BTreeSet::new();
        for device in devices {
            places.insert(Place::Device(device));
            places.extend(view.device(device).map(|device| Place::Host(device.device.host)));
        }
        let weight = if size > SMALL { LARGE_COUNTS } else { 1 };
        let mut permits = Vec::with_capacity(places.len());
        for place in places {
            let (key, default) = match place {
                Place::Device(_) => PER_DEVICE,
                Place::Host(_) => PER_HOST,
            };
            let limit = number(&view, key).unwrap_or(default);
            if limit > 0 {
                // Nobody closes it.
                permits.extend(
                    self.gate(place, limit)
                        .acquire_many_owned(weight.min(limit))
                        .await,
                );
            }
        }
        if let Some(rate) = number(&view, BANDWIDTH).filter(|rate: &u64| *rate > 0) {
            let wait = self.reserve(
                devices,
                Duration::from_millis(size.saturating_mul(1000) / rate),
                tracker.now(),
            );
            tracker.clock().sleep(wait).await;
        }
        Pass(permits)
    }

    /// Counts a copy that was made.
    pub(super) fn count(&self, bytes: u64) {
        self.copies.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Copies that this process has made, and their bytes.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (
            self.copies.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    fn gate(&self, place: Place, limit: u32) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Gate {
            limit,
            semaphore: Arc::new(Semaphore::new(
                usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS),
            )),
        };
        let gate = gates.entry(place).or_insert_with(new);
        if gate.limit != limit {
            *gate = new();
        }
        Arc::clone(&gate.semaphore)
    }

    /// Takes a stretch of time on these devices, the next that is free on all; answers how long it is until then.
    fn reserve(&self, devices: [DevId; 2], stretch: Duration, now: Timestamp) -> Duration {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let starts = devices.iter().filter_map(|device| free.get(device).copied());
        let start = starts.fold(now, Timestamp::max);
        for device in devices {
            free.insert(device, start.after(stretch));
        }
        now.until(start)
    }
}

/// The limit of bytes a second, if there is one.
pub(super) fn bandwidth(view: &ClusterView) -> Option<std::num::NonZeroU64> {
    number(view, BANDWIDTH)
}

fn number<T: std::str::FromStr>(view: &ClusterView, key: &str) -> Option<T> {
    view.setting(key)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn bytes_are_spread_over_time_on_each_device() {
        let lanes = Lanes::default();
        let [one, two, three] = [1, 2, 3].map(|number| DevId::new(number).unwrap());
        let (second, now) = (Duration::from_secs(1), Timestamp::from_secs(100));

        assert_eq!(lanes.reserve([one, two], second, now), Duration::ZERO);
        assert_eq!(lanes.reserve([two, three], second, now), second);
        assert_eq!(lanes.reserve([one, three], second, now), second * 2);
        let later = now.after(second * 10);
        assert_eq!(lanes.reserve([one, two], second, later), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_step_waits_for_the_turn_of_another_and_goes_on_without_where_that_hangs() {
        let lanes = Lanes::default();

        let first = lanes.turn(&SystemClock).await;
        assert!(first.is_some());
        assert!(lanes.turn(&SystemClock).await.is_none());
        let mut second = pin!(lanes.turn(&SystemClock));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn a_place_takes_so_many_at_a_time_and_follows_a_new_limit() {
        let lanes = Lanes::default();
        let place = Place::Device(DevId::new(1).unwrap());

        let first = lanes.gate(place, 2).acquire_many_owned(2).await.unwrap();
        assert!(lanes.gate(place, 2).try_acquire_owned().is_err());
        assert!(lanes.gate(place, 3).try_acquire_owned().is_ok());
        drop(first);
        assert!(lanes.gate(place, 2).try_acquire_owned().is_ok());
    }
}
