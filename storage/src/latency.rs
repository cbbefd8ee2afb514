//! How soon devices answer reads, as this process has seen it of late: by it readers choose a copy, and lose patience with one.
//!
//! Kept for each device is the time that is expected until its answer begins, a decaying average. An answer that comes moves
//! it. A device that is overtaken, because another copy was asked later and answered sooner, never tells how long it would
//! have taken: then [`OVERTAKEN_TIMES`] of what was expected when it was asked is expected from now on. Readers that
//! were under way together say so once, so that a short pause costs a device little, and one that hangs has lost its readers
//! after a handful of turns.
//!
//! Kept for all devices together is how the times of answers are spread: the rarest of them say when waiting longer is
//! worth less than asking another copy. Such second requests have a [budget](HEDGES_PER_HUNDRED): a cluster that is slow as a whole is
//! not pushed over by them.
//!
//! The time is the machine's. Where time is simulated there are no [`Latencies`], and readers wait as long as it takes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::fid::DevId;

/// How much longer a device is expected to take once it was overtaken.
const OVERTAKEN_TIMES: u32 = 4;

/// And how much longer at most than it was seen to take: more cannot be said of one that might have answered in the next moment.
const OVERTAKEN_TIMES_MAX: u32 = 32;

/// Most that is expected of any device: nobody waits longer.
const EXPECTED_MAX: Duration = Duration::from_secs(5);

/// A device is slow if it takes so many times as long as the fastest, and [`SLOW_MIN`] longer at least.
const SLOW_TIMES: u32 = 8;

/// Differences below this are those of a disk that seeks.
const SLOW_MIN: Duration = Duration::from_millis(20);

/// How often a slow device is tried: so long it takes until one that has recovered is used again.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// Readers wait as long as all but one in a hundred answers take; within these bounds. Below the first a second request costs
/// more than it can win, beyond the second the whole cluster is slow and does not get better by more requests.
const PATIENCE_MIN: Duration = Duration::from_millis(2);
const PATIENCE_MAX: Duration = Duration::from_secs(1);

/// How long they wait before enough is known.
const PATIENCE_AT_FIRST: Duration = Duration::from_millis(50);

/// Answers after which enough is known.
const KNOWN_MIN: u32 = 50;

/// A body that pauses is given so many times the patience for an answer; within these bounds.
const STALL_TIMES: u32 = 8;
const STALL_MIN: Duration = Duration::from_millis(100);
const STALL_MAX: Duration = Duration::from_secs(2);

/// Second requests for every hundred reads, in the long run.
const HEDGES_PER_HUNDRED: u32 = 5;

/// Second requests that may be saved up for the moment in which a device becomes slow under all its readers.
const HEDGES_SAVED: u32 = 256;

/// What one second request costs, where a read earns [`HEDGES_PER_HUNDRED`].
const HEDGE: u32 = 100;

/// Answers that the spread remembers: when there are as many, all count half.
const SPREAD_MAX: u32 = 4096;

/// Buckets of the spread for each doubling of the time.
const STEPS: u32 = 4;

/// Doublings, from [`STEPS`] microseconds on.
const DOUBLINGS: u32 = 22;

/// What is known of all devices; cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    devices: BTreeMap<DevId, Seen>,
    spread: Spread,
    /// Of the budget of second requests: what is left.
    saved: u32,
    hedges: u64,
}

/// What was seen of a device.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    expected: Duration,
    /// When it was last tried though it was slow.
    tried: Option<Instant>,
}

/// How the times of recent answers are spread: how many fell into each bucket.
#[derive(Debug)]
struct Spread {
    buckets: Vec<u32>,
    count: u32,
}

/// A request that a device has not answered yet.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    device: DevId,
    at: Instant,
    expected: Duration,
}

impl Latencies {
    /// How long a device is expected to take until its answer begins; zero if nothing is known of it.
    #[must_use]
    pub fn expected(&self, device: DevId) -> Duration {
        self.lock().expected(device)
    }

    /// Whether a device that takes `expected` is slow beside one that takes `fastest`.
    #[must_use]
    pub fn is_slow(expected: Duration, fastest: Duration) -> bool {
        expected > fastest.saturating_mul(SLOW_TIMES) && expected > fastest + SLOW_MIN
    }

    /// Whether it is time to try a slow device again. Who is told so must do it: for the others it is not, for a while.
    #[must_use]
    pub fn is_to_be_tried(&self, device: DevId) -> bool {
        let mut state = self.lock();
        // The reader who tries it will want another copy, and the other half is for those who are surprised.
        if state.saved < HEDGES_SAVED * HEDGE / 2 {
            return false;
        }
        let seen = state.devices.entry(device).or_default();
        let due = seen.tried.is_none_or(|tried| tried.elapsed() >= TRY_EVERY);
        if due {
            seen.tried = Some(Instant::now());
        }
        due
    }

    /// Second requests that were sent because a first one took too long.
    #[must_use]
    pub fn hedges(&self) -> u64 {
        self.lock().hedges
    }

    /// Notes that a read begins by asking a device.
    pub(crate) fn read_begins(&self) {
        let mut state = self.lock();
        state.saved = (state.saved + HEDGES_PER_HUNDRED).min(HEDGES_SAVED * HEDGE);
    }

    /// Notes that a device is asked.
    #[must_use]
    pub fn asked(&self, device: DevId) -> Asked {
        Asked {
            device,
            at: Instant::now(),
            expected: self.expected(device),
        }
    }

    /// Notes that an answer began.
    pub fn answered(&self, asked: Asked) {
        let took = asked.at.elapsed();
        let mut state = self.lock();
        state.spread.add(took);
        let seen = state.devices.entry(asked.device).or_default();
        seen.expected = match took.checked_sub(seen.expected) {
            _ if seen.expected.is_zero() => took,
            Some(longer) => seen.expected + longer / 8,
            // Believed soon: it was what was expected that kept readers away.
            None => (seen.expected + took * 3) / 4,
        };
    }

    /// Notes that a device was overtaken, or not waited for any longer.
    pub fn overtaken(&self, asked: Asked) {
        let took = asked.at.elapsed();
        let longer = asked.expected * OVERTAKEN_TIMES;
        let least = longer.clamp(took, took * OVERTAKEN_TIMES_MAX);
        let mut state = self.lock();
        let seen = state.devices.entry(asked.device).or_default();
        seen.expected = seen.expected.max(least).min(EXPECTED_MAX);
    }

    /// Notes that a device was waited for in vain for so long.
    pub fn waited_for(&self, device: DevId, pause: Duration) {
        let mut state = self.lock();
        let seen = state.devices.entry(device).or_default();
        seen.expected = seen.expected.max(pause).min(EXPECTED_MAX);
        seen.tried = Some(Instant::now());
    }

    /// How long to wait for an answer before another copy is asked.
    pub(crate) fn patience(&self) -> Duration {
        self.lock().patience()
    }

    /// How long a body may pause before another copy is asked.
    pub(crate) fn stall(&self) -> Duration {
        let stall = self.patience().saturating_mul(STALL_TIMES);
        stall.clamp(STALL_MIN, STALL_MAX)
    }

    /// Takes a second request out of the budget; false if there is none left.
    pub(crate) fn may_hedge(&self) -> bool {
        let mut state = self.lock();
        let Some(left) = state.saved.checked_sub(HEDGE) else {
            return false;
        };
        state.saved = left;
        state.hedges += 1;
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below the lock is complete before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for State {
    fn default() -> State {
        State {
            devices: BTreeMap::new(),
            spread: Spread::default(),
            saved: HEDGES_SAVED * HEDGE,
            hedges: 0,
        }
    }
}

impl State {
    fn expected(&self, device: DevId) -> Duration {
        self.devices
            .get(&device)
            .map_or(Duration::ZERO, |seen| seen.expected)
    }

    fn patience(&self) -> Duration {
        if self.spread.count < KNOWN_MIN {
            return PATIENCE_AT_FIRST;
        }
        self.spread.rarest().clamp(PATIENCE_MIN, PATIENCE_MAX)
    }
}

impl Default for Spread {
    fn default() -> Spread {
        let buckets = usize::try_from(DOUBLINGS * STEPS).expect("a few dozen");
        Spread {
            buckets: vec![0; buckets],
            count: 0,
        }
    }
}

impl Spread {
    fn add(&mut self, took: Duration) {
        let bucket = bucket_of(took).min(self.buckets.len() - 1);
        self.buckets[bucket] += 1;
        self.count += 1;
        if self.count >= SPREAD_MAX {
            for bucket in &mut self.buckets {
                *bucket /= 2;
            }
            self.count = self.buckets.iter().sum();
        }
    }

    /// What all but one in a hundred answers stay below.
    fn rarest(&self) -> Duration {
        let mut above = 0;
        for (bucket, count) in self.buckets.iter().enumerate().rev() {
            above += count;
            if above * 100 > self.count {
                return end_of(bucket);
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a time: its doubling of the shortest, and the step in that.
fn bucket_of(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let times = (micros / u64::from(STEPS)).max(1).ilog2();
    let above = micros.saturating_sub(u64::from(STEPS) << times) >> times;
    usize::try_from(u64::from(times * STEPS) + above).unwrap_or(usize::MAX)
}

/// Where a bucket ends.
fn end_of(bucket: usize) -> Duration {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX) + 1;
    let (times, above) = (bucket / u64::from(STEPS), bucket % u64::from(STEPS));
    Duration::from_micros((u64::from(STEPS) + above) << times.min(u64::from(DOUBLINGS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u32) -> DevId {
        DevId::new(number).unwrap()
    }

    async fn answers(latencies: &Latencies, number: u32, took: Duration) {
        let asked = latencies.asked(device(number));
        tokio::time::advance(took).await;
        latencies.answered(asked);
    }

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_time_lies_in_its_bucket() {
        for micros in (0..60).map(|n| 3_u64.pow(n / 4) + u64::from(n)) {
            let took = Duration::from_micros(micros);
            let bucket = bucket_of(took);

            assert!(took < end_of(bucket), "{took:?}");
            assert!(bucket == 0 || end_of(bucket - 1) <= took, "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readers_wait_as_long_as_all_but_the_rarest_answers_take() {
        let latencies = Latencies::default();
        assert_eq!(latencies.patience(), PATIENCE_AT_FIRST);

        for n in 0..1000 {
            let took = if n % 200 == 0 { 1000 } else { 10 };
            answers(&latencies, 1, MILLI * took).await;
        }

        let patience = latencies.patience();
        assert!(patience >= MILLI * 10 && patience < MILLI * 20, "{patience:?}");
        assert!(latencies.stall() > patience);
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_is_overtaken_becomes_slow_in_a_few_turns_and_is_believed_when_it_answers() {
        let latencies = Latencies::default();
        answers(&latencies, 1, MILLI).await;
        answers(&latencies, 2, MILLI).await;
        let fastest = latencies.expected(device(2));

        for _ in 0..5 {
            // Those that are under way together count once.
            let together = [(); 30].map(|()| latencies.asked(device(1)));
            tokio::time::advance(MILLI * 2).await;
            for asked in together {
                latencies.overtaken(asked);
            }
        }

        let slow = latencies.expected(device(1));
        assert!(Latencies::is_slow(slow, fastest), "{slow:?}");
        assert!(slow <= Duration::from_millis(64), "{slow:?}");
        for _ in 0..3 {
            answers(&latencies, 1, MILLI).await;
        }
        assert!(!Latencies::is_slow(latencies.expected(device(1)), fastest));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_device_is_tried_now_and_then_by_one_reader() {
        let latencies = Latencies::default();

        assert!(latencies.is_to_be_tried(device(1)));
        assert!(!latencies.is_to_be_tried(device(1)));
        tokio::time::advance(TRY_EVERY).await;
        assert!(latencies.is_to_be_tried(device(1)));
    }

    #[test]
    fn second_requests_are_few_in_the_long_run() {
        let latencies = Latencies::default();
        let mut hedges = 0;

        for _ in 0..100_000 {
            latencies.read_begins();
            hedges += u32::from(latencies.may_hedge());
        }

        assert!(hedges <= HEDGES_SAVED + 100_000 * HEDGES_PER_HUNDRED / 100);
        assert!(hedges >= 100_000 * HEDGES_PER_HUNDRED / 100);
        assert_eq!(latencies.hedges(), u64::from(hedges));
    }
}
