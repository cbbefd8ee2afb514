//! Multipart uploads: begun, filled part by part, completed into one object or aborted.

use mogul_storage::Digest;

use super::{
    buckets::Page,
    files::{Opened, Stored},
    objects::Written,
};
use crate::{
    Error, Tracker,
    model::{
        Attributes, Checksum, ChecksumType, Class, DomainId, ETag, Key, Part, PartNumber, Tags, Upload,
        UploadId, UserId, WriteCondition,
    },
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
    /// Begins an upload.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::NoDevices`], [`Error::Database`].
    pub async fn create_upload(&self, request: CreateUpload) -> Result<Upload, Error> {
        let _ = request;
        todo!()
    }

    /// Finds an upload in progress.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`] also if it is of another domain or key; [`Error::Database`].
    pub async fn upload(&self, domain: DomainId, key: &Key, id: &UploadId) -> Result<Upload, Error> {
        let _ = (domain, key, id);
        todo!()
    }

    /// Records a part. On any error but [`Error::Database`] the fid has been given up.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`] (also if it ended meanwhile), [`Error::TooFewCopies`], [`Error::Database`].
    pub async fn put_part(&self, request: PutPart) -> Result<Part, Error> {
        let _ = request;
        todo!()
    }

    /// Makes the object, in one transaction that moves no bytes; the parts are joined in the background. Asked again
    /// within a day with the same parts, it answers the same.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`], [`Error::UnknownPart`], [`Error::PartTooSmall`], [`Error::PartChecksum`],
    /// [`Error::WholeMismatch`], [`Error::PreconditionFailed`], [`Error::UnknownKey`] (`If-Match` without an object), [`Error::Database`].
    pub async fn complete_upload(&self, request: CompleteUpload) -> Result<Completed, Error> {
        let _ = request;
        todo!()
    }

    /// Ends an upload and gives its parts up.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`], [`Error::Database`].
    pub async fn abort_upload(&self, domain: DomainId, key: &Key, id: &UploadId) -> Result<(), Error> {
        let _ = (domain, key, id);
        todo!()
    }

    /// Lists the parts of an upload, by number, behind `after`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_parts(
        &self,
        upload: &UploadId,
        after: Option<PartNumber>,
        limit: usize,
    ) -> Result<Page<Part>, Error> {
        let _ = (upload, after, limit);
        todo!()
    }

    /// Lists uploads in progress.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_uploads(
        &self,
        domain: DomainId,
        request: ListUploads,
    ) -> Result<Page<UploadEntry>, Error> {
        let _ = (domain, request);
        todo!()
    }
}
