//! What operators do while faults come and go.

use mogul_storage::DevId;
use mogul_tracker::{
    Error, Tracker,
    command::{devices::DeviceRef, drain::DrainTarget, jobs::Pause},
    jobs::JobName,
};

use super::executor::SimClock;

/// One of their acts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// Drains a device.
    Drain(DevId),
    /// Ends that.
    CancelDrain(DevId),
    /// Pauses a job.
    Pause(JobName),
    /// Lets it go on.
    Resume(JobName),
}

impl Act {
    /// Any of them, on one of these devices.
    pub(super) fn drawn(clock: &SimClock, devices: &[DevId]) -> Act {
        let of = |count: usize| {
            let count = u64::try_from(count).expect("a handful");
            usize::try_from(clock.below(count)).expect("a handful")
        };
        let (device, job) = (devices[of(devices.len())], JobName::ALL[of(JobName::ALL.len())]);
        match clock.below(4) {
            0 => Act::Drain(device),
            1 => Act::CancelDrain(device),
            2 => Act::Pause(job),
            _ => Act::Resume(job),
        }
    }

    /// What ends all drains and pauses.
    pub(super) fn undoing_all(devices: &[DevId]) -> Vec<Act> {
        let drains = devices.iter().map(|device| Act::CancelDrain(*device));
        drains.chain(JobName::ALL.map(Act::Resume)).collect()
    }

    /// Does it. It may be refused: a drain that is not there cannot be ended.
    pub(super) async fn carry_out(self, tracker: &Tracker) {
        let done = match self {
            Act::Drain(device) => tracker.drain(drained(device)).await,
            Act::CancelDrain(device) => tracker.drain_cancel(drained(device)).await,
            Act::Pause(job) => tracker.pause_job(job, Pause::Begin).await,
            Act::Resume(job) => tracker.pause_job(job, Pause::End).await,
        };
        match done {
            Ok(()) | Err(Error::Run(_) | Error::Invalid { .. } | Error::UnknownDevice) => {}
            Err(error) => panic!("an operator could not {self:?}: {error}"),
        }
    }
}

/// A device as what is drained.
pub(super) fn drained(device: DevId) -> DrainTarget {
    DrainTarget::Device(DeviceRef { device, host: None })
}
