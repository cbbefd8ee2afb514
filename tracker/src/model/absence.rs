//! A device that has stayed away for long.

use mogul_storage::DevId;

use super::Timestamp;

/// A device whose copies are made elsewhere because it has stayed away, or which has just come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// The device.
    pub device: DevId,
    /// When it was last seen before.
    pub seen: Timestamp,
    /// Whether it is away.
    pub phase: Phase,
    /// When the phase began.
    pub changed: Timestamp,
    /// Files up to this fid have been queued for the replicate job in this phase.
    pub queued_to: u64,
}

/// The two parts of an absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The device is away: its copies stay on record, and do not count.
    Away,
    /// It is back: they count again, and what is too many is dropped.
    Back,
}

impl Phase {
    /// Its number in the table.
    pub(crate) fn number(self) -> i64 {
        match self {
            Phase::Away => 0,
            Phase::Back => 1,
        }
    }
}
