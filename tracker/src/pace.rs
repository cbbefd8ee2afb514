//! How much background work yields to clients: plain arithmetic on what is seen of the devices.
//!
//! A node of ours counts how long clients keep each of its devices busy; what jobs ask for is told apart and does not count. The
//! monitor reads that with the usage, so a tracker knows it within the view's bound, whichever process serves the clients. After
//! its work a job rests: the time that the work took, times *tranquillity* (a setting of the whole cluster), times the share of
//! time in which clients keep the busiest device busy. While they ask for nothing, nothing rests. A foreign node does not tell,
//! and counts as idle.
//!
//! The driver rests after each step; a job that works through long bodies asks within its step
//! ([`Tracker::give_way`], [`crate::jobs::Pace`]).

use std::time::Duration;

use mogul_storage::DevId;

use crate::{Tracker, model::Timestamp, view::ClusterView};

/// The setting of the cluster: 0 to [`TRANQUILLITY_MAX`], [`TRANQUILLITY`] without a row.
pub const SETTING: &str = "tranquillity";

/// How many times its own length a step rests while clients keep a device busy all the time, if nobody says otherwise: work then
/// goes on a third of the time.
pub const TRANQUILLITY: u32 = 2;

/// The most that may be set.
pub const TRANQUILLITY_MAX: u32 = 100;

/// The longest rest at a time: what becomes urgent meanwhile does not wait for longer.
const REST_MAX: Duration = Duration::from_secs(5);

/// Between two looks at least, for the share between them to mean something.
const BETWEEN_MIN: Duration = Duration::from_millis(200);

/// In what share of the time clients keep a device busy, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Busyness(u32);

/// What a node has told of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTime {
    /// How long clients had kept it busy since its node started.
    pub spent: Duration,
    /// When it was told.
    pub at: Timestamp,
}

impl Busyness {
    /// No client asks for anything.
    pub const IDLE: Busyness = Busyness(0);
    /// There is always a client who waits.
    pub const ALWAYS: Busyness = Busyness(1000);

    /// The share between two looks; `None` if they are too near to each other, idle if the node was started anew.
    #[must_use]
    pub fn between(before: ClientTime, after: ClientTime) -> Option<Busyness> {
        let elapsed = before.at.until(after.at);
        if elapsed < BETWEEN_MIN {
            return None;
        }
        let spent = after.spent.saturating_sub(before.spent);
        let thousandths = spent.as_micros() * 1000 / elapsed.as_micros();
        let share = u32::try_from(thousandths).unwrap_or(u32::MAX);
        Some(Busyness(share.min(Busyness::ALWAYS.0)))
    }

    /// The share, in thousandths.
    #[must_use]
    pub fn thousandths(self) -> u32 {
        self.0
    }
}

/// How long work rests that took `worked`.
fn rest(worked: Duration, tranquillity: u32, busy: Busyness) -> Duration {
    let rest = worked.saturating_mul(tranquillity).saturating_mul(busy.0) / Busyness::ALWAYS.0;
    rest.min(REST_MAX)
}

/// A value of the setting, if it is one.
#[must_use]
pub(crate) fn tranquillity(text: &str) -> Option<u32> {
    let number = text.trim().parse().ok();
    number.filter(|number| *number <= TRANQUILLITY_MAX)
}

impl ClusterView {
    /// How long work that took `worked` rests now, judged by the busiest device.
    #[must_use]
    pub fn rest(&self, worked: Duration) -> Duration {
        let busiest = self.devices().map(|device| device.busyness).max();
        rest(worked, self.tranquillity(), busiest.unwrap_or_default())
    }

    /// How long work on one device that took `worked` rests now.
    #[must_use]
    pub fn rest_on(&self, device: DevId, worked: Duration) -> Duration {
        let busy = self.device(device).map(|device| device.busyness);
        rest(worked, self.tranquillity(), busy.unwrap_or_default())
    }

    /// The setting. What somebody else has written and is no value counts as none.
    #[must_use]
    pub fn tranquillity(&self) -> u32 {
        self.setting(SETTING)
            .and_then(tranquillity)
            .unwrap_or(TRANQUILLITY)
    }
}

impl Tracker {
    /// Lets clients pass on a device on which a job has worked since `began`: for jobs whose steps are long
    /// ([`crate::jobs::Pace::Within`]).
    pub async fn give_way(&self, device: DevId, began: Timestamp) {
        let rest = self.view().rest_on(device, began.until(self.now()));
        if !rest.is_zero() {
            self.clock().sleep(rest).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(spent_ms: u64, at_ms: i64) -> ClientTime {
        ClientTime {
            spent: Duration::from_millis(spent_ms),
            at: Timestamp::from_millis(at_ms),
        }
    }

    #[test]
    fn work_rests_in_proportion_to_what_clients_ask_and_what_operators_want() {
        for (worked_ms, tranquillity, busy, expected_ms) in [
            (100, 2, Busyness::ALWAYS, 200),
            (100, 2, Busyness(500), 100),
            (100, 2, Busyness::IDLE, 0),
            (100, 0, Busyness::ALWAYS, 0),
            (100, 10, Busyness(250), 250),
            (60_000, 100, Busyness::ALWAYS, 5_000),
        ] {
            let rest = rest(Duration::from_millis(worked_ms), tranquillity, busy);

            assert_eq!(
                rest,
                Duration::from_millis(expected_ms),
                "{worked_ms} {tranquillity} {busy:?}"
            );
        }
    }

    #[test]
    fn the_share_of_clients_is_what_was_spent_between_two_looks() {
        for (before, after, expected) in [
            (seen(0, 0), seen(1000, 2000), Some(Busyness(500))),
            (seen(5000, 0), seen(5000, 2500), Some(Busyness::IDLE)),
            (seen(0, 0), seen(3000, 2500), Some(Busyness::ALWAYS)),
            // The node was started anew meanwhile.
            (seen(9000, 0), seen(10, 2500), Some(Busyness::IDLE)),
            (seen(0, 0), seen(50, 100), None),
        ] {
            assert_eq!(Busyness::between(before, after), expected, "{before:?} {after:?}");
        }
    }
}
