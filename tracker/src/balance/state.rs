//! How far a rebalance has come: one line of `key=value`, in the setting `rebal_state`.

use std::fmt;

use mogul_storage::{DevId, Fid};

use crate::model::Timestamp;

/// The state of a rebalance. The times are unix seconds, 0 for never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Devices whose copies have been queued.
    pub completed: Vec<DevId>,
    /// Devices that are still to come.
    pub sources: Vec<DevId>,
    /// The device whose copies are being queued.
    pub current: Option<DevId>,
    /// The last of its fids that was queued.
    pub last: Option<Fid>,
    /// What is left of its limit.
    pub device_limit: u64,
    /// What is left of the limit of the run.
    pub limit: u64,
    /// Files queued.
    pub fids_queued: u64,
    /// Their bytes.
    pub bytes_queued: u64,
    /// When the run began.
    pub started: i64,
    /// When its last copy was queued.
    pub finished: i64,
    /// When it was stopped.
    pub stopped: i64,
    /// When copies were queued last.
    pub latest_run: i64,
    /// When a look found none.
    pub latest_empty_run: i64,
    /// How often a look found none.
    pub empty_runs: u64,
}

impl State {
    /// A run that begins now.
    #[must_use]
    pub fn new(sources: Vec<DevId>, limit: u64, now: Timestamp) -> State {
        State {
            sources,
            limit,
            started: now.secs(),
            ..State::default()
        }
    }

    /// Reads a state; what is missing or unknown does no harm: an original tracker leaves out what it has not.
    #[must_use]
    pub fn parse(text: &str) -> State {
        let mut state = State::default();
        for (key, value) in text.split_whitespace().filter_map(|pair| pair.split_once('=')) {
            let number = || value.parse().unwrap_or(0);
            let time = || value.parse().unwrap_or(0);
            match key {
                "completed_devs" => state.completed = devices(value),
                "source_devs" => state.sources = devices(value),
                "sdev_current" => state.current = devices(value).first().copied(),
                "sdev_lastfid" => state.last = Fid::new(number()),
                "sdev_limit" => state.device_limit = number(),
                "limit" => state.limit = number(),
                "fids_queued" => state.fids_queued = number(),
                "bytes_queued" => state.bytes_queued = number(),
                "time_started" => state.started = time(),
                "time_finished" => state.finished = time(),
                "time_stopped" => state.stopped = time(),
                "time_latest_run" => state.latest_run = time(),
                "time_latest_empty_run" => state.latest_empty_run = time(),
                "empty_runs" => state.empty_runs = number(),
                _ => {}
            }
        }
        state
    }

    /// The devices of the run: those that are done, the current one, and those to come.
    #[must_use]
    pub fn all_sources(&self) -> Vec<DevId> {
        let all = self.completed.iter().chain(&self.current).chain(&self.sources);
        all.copied().collect()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The comma before the first is the original's: its list begins with an empty item.
        write!(f, "completed_devs=")?;
        for device in &self.completed {
            write!(f, ",{device}")?;
        }
        let sources: Vec<String> = self.sources.iter().map(ToString::to_string).collect();
        write!(f, " source_devs={}", sources.join(","))?;
        write!(f, " sdev_current={}", self.current.map_or(0, DevId::get))?;
        write!(f, " sdev_lastfid={}", self.last.map_or(0, Fid::get))?;
        write!(f, " sdev_limit={} limit={}", self.device_limit, self.limit)?;
        write!(
            f,
            " fids_queued={} bytes_queued={}",
            self.fids_queued, self.bytes_queued
        )?;
        write!(
            f,
            " time_started={} time_finished={}",
            self.started, self.finished
        )?;
        write!(
            f,
            " time_stopped={} time_latest_run={}",
            self.stopped, self.latest_run
        )?;
        write!(
            f,
            " time_latest_empty_run={} empty_runs={}",
            self.latest_empty_run, self.empty_runs
        )
    }
}

/// Numbers of devices, separated by commas; empty ones and 0 are none.
fn devices(text: &str) -> Vec<DevId> {
    let numbers = text.split(',').filter_map(|number| number.parse().ok());
    numbers.filter_map(DevId::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_as_it_was_written() {
        let dev = |id| DevId::new(id).unwrap();
        let state = State {
            completed: vec![dev(1), dev(7)],
            sources: vec![dev(3)],
            current: Some(dev(2)),
            last: Fid::new(9),
            device_limit: 4,
            limit: 5,
            fids_queued: 6,
            bytes_queued: 7,
            started: 8,
            finished: 9,
            stopped: 10,
            latest_run: 11,
            latest_empty_run: 12,
            empty_runs: 13,
        };

        assert_eq!(State::parse(&state.to_string()), state);
        assert!(
            state
                .to_string()
                .starts_with("completed_devs=,1,7 source_devs=3 sdev_current=2")
        );
    }

    #[test]
    fn a_state_of_the_original_is_read() {
        let state = State::parse(
            "time_started=1795335506 limit=0 completed_devs=,1 bytes_queued=16 fids_queued=5 \
             time_latest_empty_run=0 time_stopped=1795335510 time_finished=0 source_devs=2 \
             time_latest_run=1795335512 empty_runs=0",
        );

        assert_eq!(state.completed, [DevId::new(1).unwrap()]);
        assert_eq!(state.sources, [DevId::new(2).unwrap()]);
        assert_eq!(
            (state.current, state.fids_queued, state.bytes_queued),
            (None, 5, 16)
        );
    }
}
