//! Multipart uploads.

use mogul_storage::{DevId, HashType};

use super::{Attributes, ChecksumType, ClassId, DomainId, Key, Tags, Timestamp, UserId};

/// The id of an upload: URL-safe, unguessable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub String);

/// The number of a part: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(u16);

impl PartNumber {
    /// S3's largest part number.
    pub const MAX: u16 = 10_000;

    /// Checks a number.
    #[must_use]
    pub fn new(number: u16) -> Option<PartNumber> {
        (1..=Self::MAX).contains(&number).then_some(PartNumber(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// An upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The domain of the object to be.
    pub domain: DomainId,
    /// The key of the object to be.
    pub key: Key,
    /// The class of the object to be, and so of its parts.
    pub class: ClassId,
    /// Who began it.
    pub owner: UserId,
    /// When.
    pub initiated: Timestamp,
    /// What the object will carry.
    pub attributes: Attributes,
    /// The tags it will carry.
    pub tags: Tags,
    /// The declared checksum algorithm and what the object's value will cover.
    pub checksum: Option<(HashType, ChecksumType)>,
    /// The devices on which all parts lie, as far as that is possible, so that they can be joined in place.
    pub devices: Vec<DevId>,
}
