//! Which copy is read: the order in which the devices of a file are asked.

use std::time::Duration;

use mogul_storage::{DevId, Fid, latency::Latencies};

use crate::{
    Tracker,
    view::{ClusterView, DeviceView},
};

/// The place of a device in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    group: Group,
    /// Within the group, the shortest is first.
    draw: Duration,
}

/// Devices that are asked before others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// Of this process: no network is between.
    Own,
    /// All others that can be read, and what is slow of this process.
    Other,
    /// It does not answer the monitor, but may answer again.
    Doubtful,
}

impl Tracker {
    /// Orders the devices of a file: readable ones first, then those that may still answer; dead ones have nothing.
    ///
    /// Of these, those of this process first, which no network is between, unless they are slow. Among them each fid has an
    /// order of its own: reads spread over the devices, and those of one fid go to the same device, so that this machine's
    /// memory has it once. Among the others chance decides, so that a fid that everybody wants is not served by one host
    /// alone: a device that takes twice as long to answer is drawn half as often, so that what is slow because much is asked
    /// of it recovers, and not all readers of all processes run from one host to the next. What is much slower is drawn
    /// next to never; one reader tries it [now and then](Latencies::is_to_be_tried).
    pub(super) fn best_first(&self, view: &ClusterView, fid: Fid, devices: &[DevId]) -> Vec<DevId> {
        let count = u64::try_from(devices.len()).unwrap_or(1).max(1);
        let turn = usize::try_from(fid.get() % count).unwrap_or(0);
        let mut order = devices.to_vec();
        order.sort_unstable();
        order.rotate_left(turn);
        let readable = |device: DevId| view.device(device).is_some_and(DeviceView::readable);
        let expected = |device: DevId| {
            let latencies = self.nodes().latencies();
            latencies.map_or(Duration::ZERO, |latencies| latencies.expected(device))
        };
        let fastest = order.iter().copied().filter(|device| readable(*device));
        let fastest = fastest.map(expected).min().unwrap_or_default();
        let is_slow = |device: DevId| Latencies::is_slow(expected(device), fastest);
        order.sort_by_cached_key(|device| {
            let own = self.nodes().is_local(*device);
            let lot = if own { 0 } else { self.entropy().next_u64() };
            let group = match (readable(*device), own && !is_slow(*device)) {
                (false, _) => Group::Doubtful,
                (true, true) => Group::Own,
                (true, false) => Group::Other,
            };
            let draw = if group == Group::Own {
                Duration::ZERO
            } else {
                drawn(expected(*device), lot)
            };
            Place { group, draw }
        });
        self.try_slow(order, |device| readable(device) && is_slow(device))
    }

    /// Puts a slow device first if it is time to try it, and something can be learned from it: while a device of this process is
    /// fast, those of others are not needed.
    fn try_slow(&self, mut order: Vec<DevId>, is_slow: impl Fn(DevId) -> bool) -> Vec<DevId> {
        let Some(latencies) = self.nodes().latencies() else {
            return order;
        };
        let needed = |device: &DevId| {
            let first_is_own = order.first().is_some_and(|first| self.nodes().is_local(*first));
            is_slow(*device) && (!first_is_own || self.nodes().is_local(*device))
        };
        let slow = order.iter().skip(1).position(needed).map(|behind| behind + 1);
        if let Some(at) = slow
            && latencies.is_to_be_tried(order[at])
        {
            order[..=at].rotate_right(1);
        }
        order
    }
}

/// Draws a time at random, on average as long as is expected (an exponential distribution: of several that are drawn, each
/// is the shortest as often as its mean is short). What nothing is known of counts as fast.
fn drawn(expected: Duration, lot: u64) -> Duration {
    let upper = u32::try_from(lot >> 32).unwrap_or(u32::MAX);
    let chance = (f64::from(upper) + 1.0) / (f64::from(u32::MAX) + 1.0);
    let mean = expected.max(Duration::from_micros(50));
    mean.mul_f64(-chance.ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Entropy, SystemEntropy};

    fn first_of(expected: [u64; 2]) -> usize {
        let draws = expected.map(|ms| drawn(Duration::from_millis(ms), SystemEntropy.next_u64()));
        usize::from(draws[1] < draws[0])
    }

    #[test]
    fn the_slower_of_two_devices_is_drawn_less_often() {
        let second = |expected| (0..10_000).map(|_| first_of(expected)).sum::<usize>();

        let (equal, half, never) = (second([1, 1]), second([1, 2]), second([1, 1000]));

        assert!((4500..5500).contains(&equal), "{equal}");
        assert!((2900..3800).contains(&half), "{half}");
        assert!(never < 50, "{never}");
    }

    #[test]
    fn every_lot_is_a_time() {
        for lot in [0, 1, u64::MAX >> 32, u64::MAX] {
            assert!(drawn(Duration::from_secs(5), lot) < Duration::from_mins(5));
        }
    }
}
