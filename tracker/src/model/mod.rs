//! The nouns of mogul: plain data, checked when made, no I/O.
//!
//! Edges parse text into these types; behind the edge nobody checks again.

mod absence;
mod bucket;
mod class;
mod cluster;
mod domain;
mod fsck;
mod key;
mod object;
mod scrub;
mod timestamp;
mod token;
mod upload;
mod user;
mod zone;

pub use absence::{Absence, Phase};
pub use bucket::Bucket;
pub use class::{Ack, Class, ClassId, ClassName, Degraded};
pub use cluster::{Device, DeviceStatus, Host, HostId, HostStatus, Refusal};
pub use domain::{Domain, DomainId, DomainName};
pub use fsck::{Finding, FsckCode, FsckScope, FsckStatus, Logged};
pub use key::{Key, KeyError};
pub use object::{
    Attributes, Checksum, ChecksumType, ETag, ETagMatch, ObjectVersion, Part, Tags, VersionId, WriteCondition,
};
pub use scrub::{ScrubCounts, ScrubHaste, ScrubState};
pub use timestamp::Timestamp;
pub use token::{BearerToken, Token};
pub use upload::{PartNumber, Upload, UploadId};
pub use user::{AccessKey, Credential, SecretKey, User, UserId};
pub(crate) use zone::separated;
pub use zone::{ZoneName, Zones};
