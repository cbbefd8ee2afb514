//! What fsck finds, and how a run is doing.

use mogul_storage::{DevId, Fid};

use super::Timestamp;

/// What fsck can find of a file: `fsck_log.evcode` (mogilefs.md §15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FsckCode {
    /// No copy is on record.
    NoPaths,
    /// Too few copies, too many, or in the wrong places.
    PolicyViolation,
    /// A copy on record is not there.
    Missing,
    /// A copy has another size than its file.
    BadLength,
    /// No device has it.
    Gone,
    /// All devices are asked for it.
    SearchStarted,
    /// A device that was not on record has it.
    Found,
    /// It is queued for replication.
    Replicate,
    /// `file.devcount` was wrong.
    BadCount,
    /// A copy is not what the checksum on record says; or copies differ and none is on record.
    BadChecksum,
    /// There was no checksum; it is on record now.
    NewChecksum,
    /// Copies differ and no checksum is on record.
    MultipleChecksums,
    /// The checksum on record has another algorithm than the class.
    BadAlgorithm,
    /// A device has a file that is not on record. The original does not look for these.
    Orphan,
}

impl FsckCode {
    /// The four letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FsckCode::NoPaths => "NOPA",
            FsckCode::PolicyViolation => "POVI",
            FsckCode::Missing => "MISS",
            FsckCode::BadLength => "BLEN",
            FsckCode::Gone => "GONE",
            FsckCode::SearchStarted => "SRCH",
            FsckCode::Found => "FOND",
            FsckCode::Replicate => "REPL",
            FsckCode::BadCount => "BCNT",
            FsckCode::BadChecksum => "BSUM",
            FsckCode::NewChecksum => "NSUM",
            FsckCode::MultipleChecksums => "MSUM",
            FsckCode::BadAlgorithm => "BALG",
            FsckCode::Orphan => "ORPH",
        }
    }
}

/// Something that fsck found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub fid: Fid,
    /// What.
    pub code: FsckCode,
    /// The device, where it is about one copy.
    pub device: Option<DevId>,
}

/// A line of the log, as it is on record: an original tracker may have written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its number.
    pub number: u64,
    /// When it was written, in whole seconds.
    pub at: Timestamp,
    /// The file.
    pub fid: Option<u64>,
    /// What was found.
    pub code: Option<String>,
    /// The device.
    pub device: Option<u32>,
}

/// What a run of fsck looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FsckScope {
    /// The policy, and the files on the devices.
    #[default]
    Files,
    /// The policy alone: no device is asked.
    PolicyOnly,
}

/// How fsck is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsckStatus {
    /// The host of the tracker that began the run; `None` if none is under way.
    pub host: Option<String>,
    /// All files up to this fid have been checked, or are being checked.
    pub checked: u64,
    /// The last fid of the run.
    pub end: u64,
    /// What the run looks at.
    pub scope: FsckScope,
    /// When the last run began, unix seconds; 0 if none did.
    pub started: u64,
    /// When it ended, unix seconds; 0 if it did not.
    pub stopped: u64,
    /// Unix seconds of this moment.
    pub now: i64,
    /// The number of the last line of the log.
    pub last_logged: u64,
    /// How often each code was found since the last reset.
    pub counters: Vec<(String, u64)>,
}
