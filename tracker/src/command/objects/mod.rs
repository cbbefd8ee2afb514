//! Objects: stored, found, listed, changed and deleted. The types are here, and the listing; the verbs are in the files
//! beside.

mod change;
mod choice;
pub(crate) mod put;
mod read;
mod stream;

pub(super) use change::reclassed;

use mogul_storage::Fid;

use super::files::{Opened, Stored};
use crate::{
    Error, Tracker,
    meta::listing,
    model::{Attributes, Checksum, Class, DomainId, ETag, Key, Tags, Timestamp, UserId, WriteCondition},
};

/// Makes the bytes of a reserved fid the current object of a key.
#[derive(Debug, Clone)]
pub struct PutVersion {
    /// The fid.
    pub opened: Opened,
    /// What was written.
    pub stored: Stored,
    /// The key.
    pub key: Key,
    /// Who stores it.
    pub owner: UserId,
    /// What is kept beside the bytes.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// The checksum to show.
    pub checksum: Option<Checksum>,
    /// What must hold of the object it replaces.
    pub condition: WriteCondition,
}

/// What came of a write.
#[derive(Debug, Clone)]
pub struct Written {
    /// The entity tag.
    pub etag: ETag,
    /// When.
    pub modified: Timestamp,
    /// How many copies are on stable storage; fewer than the class wants if [`Written::degraded`].
    pub copies: usize,
    /// Whether copies are still missing and queued.
    pub degraded: bool,
}

/// Lists current objects in byte order of their keys.
#[derive(Debug, Clone, Default)]
pub struct ListObjects {
    /// Only keys that begin so; may be empty.
    pub prefix: String,
    /// Keys that have this after the prefix are rolled up into one common prefix; empty for none.
    pub delimiter: String,
    /// Where to go on.
    pub from: ListFrom,
    /// At most this many entries, 0 to 1,000.
    pub limit: usize,
}

/// Where a listing goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListFrom {
    /// At the first key.
    #[default]
    Start,
    /// Behind this text, which need not be a key (`start-after`, `marker`). If it lies in a rolled-up group, the group is
    /// listed if keys of it follow, unless the text is the common prefix itself: then the group is skipped.
    After(String),
}

/// One line of a listing.
#[derive(Debug, Clone)]
pub enum Entry {
    /// An object.
    Object(Box<ListedObject>),
    /// A common prefix: the prefix up to and including the delimiter.
    Prefix(String),
}

/// An object as listings show it.
#[derive(Debug, Clone)]
pub struct ListedObject {
    /// Its key.
    pub key: Key,
    /// Its entity tag.
    pub etag: ETag,
    /// Its size in bytes.
    pub size: u64,
    /// When it was stored.
    pub modified: Timestamp,
    /// Its class.
    pub class: crate::model::ClassId,
    /// The checksum algorithm and type it shows, if any.
    pub checksum: Option<(mogul_storage::HashType, crate::model::ChecksumType)>,
    /// Who stored it.
    pub owner: Option<UserId>,
}

/// Changes what is kept beside an object's bytes, or its class, without moving them: a copy onto itself.
#[derive(Debug, Clone)]
pub struct UpdateObject {
    /// The domain.
    pub domain: DomainId,
    /// The key.
    pub key: Key,
    /// The fid that the caller saw: if it is no longer current, the answer is [`Error::PreconditionFailed`].
    pub fid: Fid,
    /// The new attributes, if they change.
    pub attributes: Option<Attributes>,
    /// The new tags, if they change.
    pub tags: Option<Tags>,
    /// The new class, if it changes; copies follow.
    pub class: Option<Class>,
    /// The condition on the object itself.
    pub condition: WriteCondition,
}

/// What came of deleting one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// There was nothing.
    WasAbsent,
}

/// Deletes one key.
#[derive(Debug, Clone)]
pub struct DeleteObject {
    /// The key.
    pub key: Key,
    /// Its entity tag must match, if given.
    pub if_match: Option<crate::model::ETagMatch>,
    /// Its time in whole seconds must be this, if given (`DeleteObjects`).
    pub if_modified: Option<Timestamp>,
    /// Its size must be this, if given (`DeleteObjects`).
    pub if_size: Option<u64>,
}

impl Tracker {
    /// Lists current objects. `MogileFS` clients' files are objects like all others.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_objects(
        &self,
        domain: DomainId,
        request: ListObjects,
    ) -> Result<super::buckets::Page<Entry>, Error> {
        let mut tx = self.db().reader().await?;
        listing::page(&mut tx, domain, &request).await
    }
}
