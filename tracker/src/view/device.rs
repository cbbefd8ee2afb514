//! A device in the view: its row, the state of its host, and what was seen of it.

use crate::{
    model::{Device, DeviceStatus, HostStatus, Refusal, Timestamp, ZoneName},
    pace::{Busyness, ClientTime},
};

/// A device with what the monitor saw of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// The row.
    pub device: Device,
    /// The state of its host.
    pub host_status: HostStatus,
    /// The network zone that its host is in, if it is in one.
    pub zone: Option<ZoneName>,
    /// What the last round of the monitor found.
    pub observed: Observed,
    /// Bytes that can still be written, when known.
    pub free_bytes: Option<u64>,
    /// Whether it refuses a file whose digest is not the one sent with it, when known.
    pub rejects_bad_md5: Option<bool>,
    /// When it was last tried whether it can be written, if that was tried since it began to answer.
    pub tried: Option<Timestamp>,
    /// How long clients had kept it busy when it last told.
    pub clients: Option<ClientTime>,
    /// How busy clients keep it.
    pub busyness: Busyness,
    /// What the node itself says of when its figures were read, and when that was first seen here.
    pub figures: Option<Figures>,
    /// When it was last seen, if it has stayed away for so long that its copies do not count.
    pub absent: Option<Timestamp>,
    /// Why the disk in its place is not used; it counts as unreachable then.
    pub refused: Option<Refusal>,
}

/// The age of what a node tells of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// When they were read, by the node's clock, in unix seconds.
    pub asof: i64,
    /// When figures of that time were first seen here.
    pub seen: Timestamp,
}

/// What the monitor found of a device (mogilefs.md §7, `observed_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Observed {
    /// Not looked at since this process started.
    #[default]
    Unknown,
    /// It does not answer, or not in time.
    Unreachable,
    /// It answers, and takes no files.
    Readable,
    /// It answers, and takes files.
    Writable,
}

/// What one look at a device found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observation {
    /// In what state it is.
    pub state: Observed,
    /// Bytes that can still be written, if it told.
    pub free_bytes: Option<u64>,
    /// Whether it refuses a file whose digest is not the one sent with it, if that was tried.
    pub rejects_bad_md5: Option<bool>,
    /// When it was last tried whether it can be written.
    pub tried: Option<Timestamp>,
    /// How long clients have kept it busy, if it told.
    pub clients: Option<ClientTime>,
    /// The age of the figures, if it told.
    pub figures: Option<Figures>,
    /// Why the disk in its place is not used.
    pub refused: Option<Refusal>,
}

impl DeviceView {
    /// Whether it answered when it was last looked at.
    #[must_use]
    pub fn answers(&self) -> bool {
        match self.observed {
            Observed::Unknown | Observed::Unreachable => false,
            Observed::Readable | Observed::Writable => true,
        }
    }

    /// Whether its host's state and its own allow writing to it: then the monitor tries that.
    #[must_use]
    pub fn may_be_written(&self) -> bool {
        let device = match self.device.status {
            DeviceStatus::Alive | DeviceStatus::Drain => true,
            DeviceStatus::ReadOnly | DeviceStatus::Down | DeviceStatus::Dead => false,
        };
        device && self.host_status == HostStatus::Alive
    }

    /// Whether copies on it can be read now (MogileFS `should_read_from`).
    #[must_use]
    pub fn readable(&self) -> bool {
        let host = match self.host_status {
            HostStatus::Alive | HostStatus::ReadOnly => true,
            HostStatus::Down | HostStatus::Dead => false,
        };
        let device = match self.device.status {
            DeviceStatus::Alive | DeviceStatus::ReadOnly | DeviceStatus::Drain => true,
            DeviceStatus::Down | DeviceStatus::Dead => false,
        };
        host && device && self.answers()
    }

    /// Whether new files may go to it now, room apart (MogileFS `should_get_new_files`).
    #[must_use]
    pub fn takes_files(&self) -> bool {
        self.host_status == HostStatus::Alive
            && self.device.status == DeviceStatus::Alive
            && self.observed == Observed::Writable
    }

    /// Whether files may be deleted on it now (MogileFS `can_delete_from`).
    ///
    /// The original also wants a successful test write, and so never frees a full device; we do not.
    #[must_use]
    pub fn deletable(&self) -> bool {
        self.may_be_written() && self.answers()
    }

    /// Takes what it now told of its clients' time.
    pub(super) fn was_busy_until(&mut self, now: Option<ClientTime>) {
        let share = match (self.clients, now) {
            (Some(before), Some(now)) => Busyness::between(before, now),
            (None, _) | (_, None) => Some(Busyness::IDLE),
        };
        // Where two looks are too near to each other, the earlier one counts on.
        if let Some(share) = share {
            (self.busyness, self.clients) = (share, now);
        }
    }

    /// Whether the monitor looks at it (mogilefs.md §8).
    #[must_use]
    pub fn probed(&self) -> bool {
        DeviceView {
            observed: Observed::Readable,
            ..self.clone()
        }
        .readable()
    }
}
