//! Buckets: domains made, found, listed and removed for S3.

use std::sync::Arc;

use super::domains::{Classes, Making, made};
use crate::{
    Error, Tracker,
    meta::{buckets, domains, users},
    model::{Bucket, DomainId, DomainName, Tags, UserId},
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

impl<T> Page<T> {
    /// The page of the first `limit` entries, of which one more than that was looked for.
    pub(crate) fn cut(mut entries: Vec<T>, limit: usize) -> Page<T> {
        let more = entries.len() > limit;
        entries.truncate(limit);
        Page { entries, more }
    }
}

impl Tracker {
    /// Makes a bucket: the domain and its S3 properties in one transaction.
    ///
    /// # Errors
    /// [`Error::DomainTaken`], [`Error::InvalidDomainName`], [`Error::UnknownUser`] (removed meanwhile),
    /// [`Error::Exhausted`], [`Error::Database`].
    pub async fn create_bucket(&self, request: CreateBucket) -> Result<BucketCreation, Error> {
        if !request.name.is_bucket_name() {
            return Err(Error::InvalidDomainName);
        }
        let (now, shared) = (self.now(), Arc::new(request.clone()));
        let creation = self
            .db()
            .write(move |tx| {
                let request = Arc::clone(&shared);
                Box::pin(async move {
                    if request.owner != UserId::root() && !users::user_locked(tx, &request.owner).await? {
                        return Err(Error::UnknownUser);
                    }
                    let domain = match made(tx, &request.name).await? {
                        Making::Made(domain) => domain,
                        Making::There(bucket) if bucket.owner == request.owner => {
                            return Ok(BucketCreation::AlreadyYours);
                        }
                        Making::There(_) => return Err(Error::DomainTaken),
                    };
                    buckets::bucket_added(tx, domain, &request.owner, now).await?;
                    buckets::bucket_tagged(tx, domain, &request.tags).await?;
                    Ok(BucketCreation::Created)
                })
            })
            .await?;
        self.refresh_domain(request.name.as_str()).await?;
        Ok(creation)
    }

    /// Finds a bucket by name. Served from memory where nobody else can have changed it.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::Database`].
    pub async fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        Ok(self.domain_named(name).await?.bucket.clone())
    }

    /// The tags of a bucket, in the order in which they were put.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn bucket_tags(&self, domain: DomainId) -> Result<Tags, Error> {
        buckets::bucket_tags(&mut self.db().reader().await?, domain).await
    }

    /// Replaces the tags of a bucket; none takes them away.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::Database`].
    pub async fn set_bucket_tags(&self, name: &DomainName, tags: Tags) -> Result<(), Error> {
        let shared = Arc::new((name.clone(), tags));
        self.db()
            .write(move |tx| {
                let shared = Arc::clone(&shared);
                Box::pin(async move {
                    let (name, tags) = &*shared;
                    let bucket = domains::domain_named_locked(tx, name.as_str()).await?;
                    let domain = bucket.ok_or(Error::UnknownDomain)?.domain.id;
                    buckets::bucket_tagged(tx, domain, tags).await
                })
            })
            .await
    }

    /// Lists buckets.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_buckets(&self, request: ListBuckets) -> Result<Page<Bucket>, Error> {
        let mut tx = self.db().reader().await?;
        let after = request.after.as_deref().unwrap_or("");
        let limit = request.limit.saturating_add(1);
        let entries =
            buckets::buckets_page(&mut tx, request.owner.as_ref(), &request.prefix, after, limit).await?;
        Ok(Page::cut(entries, request.limit))
    }

    /// Removes an empty bucket; uploads in progress are aborted.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::DomainNotEmpty`], [`Error::Database`].
    pub async fn delete_bucket(&self, name: &DomainName) -> Result<(), Error> {
        self.remove_domain(name.as_str(), Classes::Go).await
    }
}
