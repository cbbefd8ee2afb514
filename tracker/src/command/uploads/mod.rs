//! Multipart uploads: begun, filled part by part, completed into one object or aborted.
//!
//! A part is a fid like any other, under a reserved key in the class of its upload. Completing moves no bytes: the object
//! is a new fid whose segments are the parts, until [`crate::jobs::join`] makes one file of them.

mod complete;
mod list;
mod parts;
mod plan;

use mogul_storage::Digest;

use super::{
    files::{Copies, CreateOpen, Opened, Stored},
    objects::Written,
};
use crate::{
    Error, Tracker,
    jobs::JobName,
    meta::{
        domains,
        uploads::{self, StoredUpload, UploadState},
    },
    model::{
        Attributes, Checksum, ChecksumType, Class, DomainId, ETag, Key, PartNumber, Tags, Timestamp, Upload,
        UploadId, UserId, WriteCondition,
    },
    rng,
};

/// Begins an upload.
#[derive(Debug, Clone)]
pub struct CreateUpload {
    /// The key of the object to be.
    pub key: Key,
    /// Its class, and by it the domain.
    pub class: Class,
    /// Who begins it.
    pub owner: UserId,
    /// What the object will carry.
    pub attributes: Attributes,
    /// The tags it will carry.
    pub tags: Tags,
    /// The declared checksum algorithm and type.
    pub checksum: Option<(mogul_storage::HashType, ChecksumType)>,
}

/// Makes the bytes of a reserved fid a part of an upload, replacing one of the same number.
#[derive(Debug, Clone)]
pub struct PutPart {
    /// The upload.
    pub upload: UploadId,
    /// The number.
    pub number: PartNumber,
    /// The fid.
    pub opened: Opened,
    /// What was written.
    pub stored: Stored,
    /// The checksum of the part.
    pub checksum: Option<Digest>,
}

/// Makes an object of the listed parts.
#[derive(Debug, Clone)]
pub struct CompleteUpload {
    /// The bucket.
    pub domain: DomainId,
    /// The key; must be the upload's.
    pub key: Key,
    /// The upload.
    pub upload: UploadId,
    /// The parts, strictly ascending by number, at least one.
    pub parts: Vec<ListedPart>,
    /// The size of the whole that the client expects, if it says so.
    pub size: Option<u64>,
    /// The checksum of the whole that the client gives, if any; for a composite one without its `-N`.
    pub checksum: Option<Digest>,
    /// The checksum type that the client gives, if any; must be the upload's.
    pub checksum_type: Option<ChecksumType>,
    /// What must hold of the object it replaces.
    pub condition: WriteCondition,
}

/// A part as the client lists it.
#[derive(Debug, Clone)]
pub struct ListedPart {
    /// Its number.
    pub number: PartNumber,
    /// Its entity tag.
    pub etag: ETag,
    /// Its checksum, if listed.
    pub checksum: Option<Digest>,
}

/// A completed upload.
#[derive(Debug, Clone)]
pub struct Completed {
    /// The object.
    pub written: Written,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// Lists uploads in progress by key, then by time.
#[derive(Debug, Clone, Default)]
pub struct ListUploads {
    /// Only keys that begin so.
    pub prefix: String,
    /// Rolls up as in object listings.
    pub delimiter: String,
    /// Only behind this key, or, with `upload_after`, behind that upload of this key.
    pub key_after: Option<String>,
    /// See `key_after`.
    pub upload_after: Option<UploadId>,
    /// At most this many entries, 0 to 1,000.
    pub limit: usize,
}

/// One line of a listing of uploads.
#[derive(Debug, Clone)]
pub enum UploadEntry {
    /// An upload.
    Upload(Box<Upload>),
    /// A common prefix.
    Prefix(String),
}

impl Tracker {
    /// Begins an upload: its devices are chosen now, so that all parts can lie together.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::NoDevices`], [`Error::Database`].
    pub async fn create_upload(&self, request: CreateUpload) -> Result<Upload, Error> {
        let now = self.now();
        let class = &request.class;
        let targets = self.targets(&CreateOpen {
            class,
            size: None,
            copies: Copies::OfClass,
            prefer: &[],
        })?;
        let upload = Upload {
            id: upload_id(now, self.entropy()),
            domain: class.domain,
            key: request.key,
            class: class.id,
            owner: request.owner,
            initiated: now,
            attributes: request.attributes,
            tags: request.tags,
            checksum: request.checksum,
            devices: targets.iter().map(|target| target.device).collect(),
        };
        let added = std::sync::Arc::new(upload.clone());
        let write = self.db().write(move |tx| {
            let upload = std::sync::Arc::clone(&added);
            Box::pin(async move {
                domains::domain_held(tx, upload.domain).await?;
                uploads::upload_added(tx, &upload).await
            })
        });
        write.await?;
        Ok(upload)
    }

    /// Finds an upload in progress.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`] also if it is of another domain or key; [`Error::Database`].
    pub async fn upload(&self, domain: DomainId, key: &Key, id: &UploadId) -> Result<Upload, Error> {
        let mut tx = self.db().reader().await?;
        let stored = uploads::upload_by_id(&mut tx, id).await?;
        Ok(open_at(stored, domain, key)?.upload)
    }

    /// Ends an upload and gives its parts up.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`], [`Error::Database`].
    pub async fn abort_upload(&self, domain: DomainId, key: &Key, id: &UploadId) -> Result<(), Error> {
        let now = self.now();
        let (key, id) = (key.clone(), id.clone());
        let write = self.db().write(move |tx| {
            let (key, id) = (key.clone(), id.clone());
            Box::pin(async move {
                let stored = uploads::upload_held(tx, &id).await?;
                open_at(stored, domain, &key)?;
                uploads::upload_aborted(tx, &id, now).await
            })
        });
        write.await?;
        self.wake(JobName::Delete);
        Ok(())
    }
}

/// The upload, if it is open and of this key.
fn open_at(stored: Option<StoredUpload>, domain: DomainId, key: &Key) -> Result<StoredUpload, Error> {
    let stored = stored.filter(|it| it.upload.domain == domain && it.upload.key == *key);
    stored
        .filter(|it| it.state == UploadState::Open)
        .ok_or(Error::UnknownUpload)
}

/// An id that nobody can guess: 160 random bits, behind the time, so that ids sort by it.
fn upload_id(now: Timestamp, entropy: &dyn rng::Entropy) -> UploadId {
    let time = u64::try_from(now.millis()).unwrap_or(0);
    UploadId(format!("{time:012x}{}", hex::encode(rng::fill::<20>(entropy))))
}
