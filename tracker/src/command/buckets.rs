//! Buckets: domains made, found, listed and removed for S3.

use crate::{
    Error, Tracker,
    model::{Bucket, Class, ClassName, DomainId, DomainName, Tags, UserId},
};

/// Makes a bucket.
#[derive(Debug, Clone)]
pub struct CreateBucket {
    /// Its name; must satisfy [`DomainName::is_bucket_name`].
    pub name: DomainName,
    /// Its owner.
    pub owner: UserId,
    /// Its tags.
    pub tags: Tags,
}

/// What came of [`Tracker::create_bucket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketCreation {
    /// It is new.
    Created,
    /// It was there and belongs to the caller; nothing changed.
    AlreadyYours,
}

/// Lists buckets by name.
#[derive(Debug, Clone, Default)]
pub struct ListBuckets {
    /// Only those of this owner; all if `None` (root).
    pub owner: Option<UserId>,
    /// Only names that begin so.
    pub prefix: String,
    /// Only names behind this one.
    pub after: Option<String>,
    /// At most this many, 1 to 10,000.
    pub limit: usize,
}

/// A page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Whether more follow.
    pub more: bool,
}

impl Tracker {
    /// Makes a bucket: the domain and its S3 properties in one transaction.
    ///
    /// # Errors
    /// [`Error::DomainTaken`], [`Error::InvalidDomainName`], [`Error::Exhausted`], [`Error::Database`].
    pub async fn create_bucket(&self, request: CreateBucket) -> Result<BucketCreation, Error> {
        let _ = request;
        todo!()
    }

    /// Finds a bucket by name. Served from memory where nobody else can have changed it.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::Database`].
    pub async fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        let _ = name;
        todo!()
    }

    /// Lists buckets.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_buckets(&self, request: ListBuckets) -> Result<Page<Bucket>, Error> {
        let _ = request;
        todo!()
    }

    /// Removes an empty bucket; uploads in progress are aborted.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::DomainNotEmpty`], [`Error::Database`].
    pub async fn delete_bucket(&self, name: &DomainName) -> Result<(), Error> {
        let _ = name;
        todo!()
    }

    /// Finds a class of a domain by id: `default` always exists.
    ///
    /// # Errors
    /// [`Error::UnknownClass`], [`Error::Database`].
    pub async fn class(&self, domain: DomainId, id: crate::model::ClassId) -> Result<Class, Error> {
        let _ = (domain, id);
        todo!()
    }

    /// Finds a class of a domain by name (case ignored), making it from the server's template of that name if there is one:
    /// the storage classes of S3 exist when they are first used (s3.md, "Storage classes and `MogileFS` classes").
    ///
    /// # Errors
    /// [`Error::UnknownClass`], [`Error::Exhausted`], [`Error::Database`].
    pub async fn class_named(&self, domain: DomainId, name: &ClassName) -> Result<Class, Error> {
        let _ = (domain, name);
        todo!()
    }
}
