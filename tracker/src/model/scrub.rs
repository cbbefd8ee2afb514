//! How far the copies of a device have been read and compared with their digests.

use mogul_storage::DevId;

use super::Timestamp;

/// What a pass over a device has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubCounts {
    /// Files on record that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are not what their digest says, or cannot be read.
    pub rotten: u64,
    /// Files on record that are not there, or have another size.
    pub missing: u64,
    /// Files that are there and not on record.
    pub strays: u64,
}

/// How fast a device is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrubHaste {
    /// The work is spread over the period.
    Spread,
    /// An operator wants it done.
    AtOnce,
}

/// How the scrub of a device is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubState {
    /// The device.
    pub device: DevId,
    /// When its next files are due, in whole seconds.
    pub due: Timestamp,
    /// How fast.
    pub haste: ScrubHaste,
    /// When the pass that is under way began; `None` if none is.
    pub begun: Option<Timestamp>,
    /// The last fid that it has read; 0 at its beginning.
    pub position: u64,
    /// What it has come to.
    pub counts: ScrubCounts,
    /// The last whole pass: when it ended, and what it came to.
    pub last: Option<(Timestamp, ScrubCounts)>,
}
