//! What a command can answer instead of success, in the system's own words.
//!
//! Each face translates every variant in one file, by a `match` without `_`.

use mogul_storage::DevId;

use crate::{
    command::tempfiles::CloseError,
    model::{KeyError, PartNumber},
    policy::PolicyError,
};

/// Why a command did not do what was asked. The texts are for the log; clients read those of their face.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No domain (bucket) of that name.
    #[error("no such domain")]
    UnknownDomain,
    /// The bucket exists and belongs to somebody else.
    #[error("the domain belongs to another user")]
    DomainTaken,
    /// The bucket still has objects.
    #[error("the domain still has files")]
    DomainNotEmpty,
    /// The name cannot be given to a new bucket or domain.
    #[error("not a valid domain name")]
    InvalidDomainName,
    /// `domain.dmid` or `class.classid` has no number left.
    #[error("no number is left for another {0}")]
    Exhausted(&'static str),
    /// A domain of that name exists.
    #[error("the domain exists already")]
    DomainExists,
    /// The domain has classes besides `default`.
    #[error("the domain still has classes")]
    DomainHasClasses,
    /// A class of that name, case ignored, exists in the domain.
    #[error("the class exists already")]
    ClassExists,
    /// Files are of the class.
    #[error("the class still has files")]
    ClassNotEmpty,
    /// The class `default` cannot be removed.
    #[error("the class default cannot be removed")]
    DefaultClass,
    /// The text is no replication policy that can be kept.
    #[error("invalid replication policy")]
    InvalidPolicy(#[from] PolicyError),
    /// No host of that name or number.
    #[error("no such host")]
    UnknownHost,
    /// A host of that name exists.
    #[error("the host exists already")]
    HostExists,
    /// The host has devices, dead ones included.
    #[error("the host still has devices")]
    HostNotEmpty,
    /// Another host has that address.
    #[error("the address belongs to another host")]
    AddressTaken,
    /// No device of that number.
    #[error("no such device")]
    UnknownDevice,
    /// A device of that number exists.
    #[error("the device exists already")]
    DeviceExists,
    /// The device belongs to another host than the one named.
    #[error("the device belongs to another host")]
    HostMismatch,
    /// A dead device cannot become alive: its replicas are forgotten. It may become down.
    #[error("the device is dead")]
    DeadDevice,
    /// The setting is not one that operators may write.
    #[error("the setting cannot be written")]
    SettingReadOnly,
    /// The value does not have the form of the setting.
    #[error("invalid value of the setting: {0}")]
    InvalidSetting(&'static str),
    /// No class of that name in the domain.
    #[error("no such class")]
    UnknownClass,
    /// The text is not a key, or the database cannot hold it.
    #[error("invalid key: {0}")]
    InvalidKey(#[from] KeyError),
    /// No current object under the key.
    #[error("no such key")]
    UnknownKey,
    /// The key to rename to has a file.
    #[error("the key is taken")]
    KeyTaken,
    /// The fid that a client chose is, or was, somebody else's.
    #[error("the fid is in use")]
    FidInUse,
    /// An upload of the tracker port could not be closed.
    #[error(transparent)]
    Close(#[from] CloseError),
    /// A condition of the request does not hold.
    #[error("precondition failed: {0}")]
    PreconditionFailed(&'static str),
    /// The upload does not exist, or is of another bucket or key.
    #[error("no such upload")]
    UnknownUpload,
    /// The listed part does not exist or has another entity tag.
    #[error("part {0:?} is unknown or differs")]
    UnknownPart(PartNumber),
    /// A part that is not the last is below the minimum.
    #[error("part {number:?} has {size} bytes, less than {min}")]
    PartTooSmall {
        /// Its number.
        number: PartNumber,
        /// Its size in bytes.
        size: u64,
        /// The smallest size of a part that is not the last.
        min: u64,
    },
    /// A part's checksum is missing or differs from the listed one.
    #[error("the checksum of part {0:?} is missing or differs")]
    PartChecksum(PartNumber),
    /// The sizes or checksums given with the whole do not match the parts.
    #[error("the {0} given does not match the parts")]
    WholeMismatch(&'static str),
    /// No device can take the file.
    #[error("no device can take the file")]
    NoDevices,
    /// Fewer copies could be written than the class demands, and it refuses degraded writes.
    #[error("{written} of {required} copies could be written")]
    TooFewCopies {
        /// Copies on stable storage.
        written: usize,
        /// Copies the class demands.
        required: usize,
    },
    /// Every copy on record is missing or unreadable.
    #[error("no copy can be read")]
    NoReadableCopy,
    /// The bytes are not as many as was said.
    #[error("{actual} bytes came instead of {expected}")]
    SizeMismatch {
        /// What was said.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// The bytes are not those of which the digest was given.
    #[error("the digest does not match")]
    DigestMismatch,
    /// No such user.
    #[error("no such user")]
    UnknownUser,
    /// A user of that name, or a key of that id, exists.
    #[error("the {0} exists already")]
    Exists(&'static str),
    /// No such access key.
    #[error("no such access key")]
    UnknownAccessKey,
    /// No token of that name, or whose text this is.
    #[error("no such token")]
    UnknownToken,
    /// No job of that name.
    #[error("no such job")]
    UnknownJob,
    /// The user still owns buckets.
    #[error("the user still owns buckets")]
    UserOwnsBuckets,
    /// A field has a value outside its range.
    #[error("invalid {field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A background run cannot be begun, changed or ended now.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A queue is full, or the process is stopping: try again.
    #[error("busy")]
    Busy,
    /// A device failed in a way that the command cannot work around.
    #[error("device {device} failed")]
    Device {
        /// The device.
        device: DevId,
        /// How.
        #[source]
        source: mogul_storage::NodeError,
    },
    /// The database cannot be reached or refuses to work.
    #[error("the database failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A bug, or a database that does not hold what it must.
    #[error("internal error: {0}")]
    Internal(String),
}

/// An error with its causes, as one line. A cause that the text before ends with (sqlx repeats them) is said once.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error that repeats its cause, as sqlx's do.
    #[derive(Debug, thiserror::Error)]
    #[error("refused: {0}")]
    struct Repeating(#[source] std::io::Error);

    #[test]
    fn the_line_of_an_error_has_each_cause_once() {
        let cause = Repeating(std::io::Error::other("no\nroom"));

        let line = chain(&Error::Database(Box::new(cause)));

        assert_eq!(line, "the database failed: refused: no room");
    }
}

/// Why a background run (fsck, rebalance) is not begun, changed or ended. The texts are the original's (mogilefs.md §4.6,
/// §4.7): operators' scripts read them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Fsck runs already.
    #[error("fsck is already running")]
    FsckRunning,
    /// A rebalance cannot begin while fsck runs.
    #[error("fsck running; cannot run rebalance at same time")]
    FsckInTheWay,
    /// A rebalance runs already.
    #[error("rebalance is already running")]
    RebalanceRunning,
    /// Fsck cannot begin while a rebalance runs.
    #[error("rebalance running; cannot run fsck at same time")]
    RebalanceInTheWay,
    /// The state of a rebalance that runs stays.
    #[error("rebalance is running")]
    StateInUse,
    /// The policy of a rebalance that runs stays.
    #[error("cannot change rebalance policy while rebalance is running")]
    PolicyInUse,
    /// No rebalance runs.
    #[error("Rebalance not running")]
    NotStarted,
    /// The device, or no device of the host, is being drained.
    #[error("the device is not being drained")]
    NotDraining,
    /// No rebalance was ever begun, or its state was reset.
    #[error("No available rebalance status")]
    NoState,
    /// No policy was set.
    #[error("No rebalance policy available")]
    NoPolicy,
    /// The text is no policy.
    #[error(transparent)]
    BadPolicy(#[from] crate::balance::PolicyError),
}
