//! Domains: made, listed and removed, for MogileFS's clients and for S3's buckets alike.

use std::sync::Arc;

use crate::{
    Error, Tracker,
    jobs::JobName,
    meta::{Tx, buckets, classes, domains},
    model::{Bucket, ClassId, DomainId, DomainName, UserId},
    view::DomainView,
};

/// What came of making a domain.
pub(super) enum Making {
    /// It is new.
    Made(DomainId),
    /// It was there.
    There(Bucket),
}

/// What becomes of the classes of a domain that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Classes {
    /// They go with it.
    Go,
    /// As in MogileFS, the domain stays as long as it has classes besides `default`.
    Hold,
}

impl Tracker {
    /// Makes a domain. It belongs to root, and is a bucket of S3 at once.
    ///
    /// # Errors
    /// [`Error::DomainExists`], [`Error::Exhausted`], [`Error::Database`].
    pub async fn create_domain(&self, name: &DomainName) -> Result<(), Error> {
        let (now, wanted) = (self.now(), name.clone());
        let create = self.db().write(move |tx| {
            let name = wanted.clone();
            Box::pin(async move {
                match made(tx, &name).await? {
                    // Root owns what has no row, too; but S3 shows when a bucket was made.
                    Making::Made(domain) => buckets::bucket_added(tx, domain, &UserId::root(), now).await,
                    Making::There(_) => Err(Error::DomainExists),
                }
            })
        });
        create.await?;
        self.refresh_domain(name.as_str()).await?;
        Ok(())
    }

    /// Removes a domain that has neither files nor classes besides `default`; S3's uploads in progress are ended.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::DomainNotEmpty`], [`Error::DomainHasClasses`], [`Error::Database`].
    pub async fn delete_domain(&self, name: &str) -> Result<(), Error> {
        self.remove_domain(name, Classes::Hold).await
    }

    /// All domains with their classes, by number, as the database has them now.
    pub async fn domains(&self) -> Vec<Arc<DomainView>> {
        self.refresh_where_possible().await;
        self.view().domains().cloned().collect()
    }

    /// Removes a domain without files; errors are tested in the order of MogileFS.
    pub(super) async fn remove_domain(&self, name: &str, kept: Classes) -> Result<(), Error> {
        let (now, wanted) = (self.now(), name.to_owned());
        let removed = self.db().write(move |tx| {
            let name = wanted.clone();
            Box::pin(async move {
                let bucket = domains::domain_named_locked(tx, &name).await?;
                let domain = bucket.ok_or(Error::UnknownDomain)?.domain.id;
                if buckets::bucket_filled(tx, domain).await? {
                    return Err(Error::DomainNotEmpty);
                }
                if kept == Classes::Hold && has_classes(tx, domain).await? {
                    return Err(Error::DomainHasClasses);
                }
                buckets::uploads_ended(tx, domain, now).await?;
                domains::domain_removed(tx, domain).await
            })
        });
        removed.await?;
        self.refresh_domain(name).await?;
        self.wake(JobName::Delete);
        Ok(())
    }
}

/// Makes a domain, unless there is one of the name.
pub(super) async fn made(tx: &mut Tx, name: &DomainName) -> Result<Making, Error> {
    if let Some(bucket) = domains::domain_named(tx, name.as_str()).await? {
        return Ok(Making::There(bucket));
    }
    if domains::domain_name_taken(tx, name.as_str()).await? {
        return Err(Error::DomainExists);
    }
    Ok(Making::Made(domains::domain_added(tx, name).await?))
}

async fn has_classes(tx: &mut Tx, domain: DomainId) -> Result<bool, Error> {
    let classes = classes::classes_of(tx, domain).await?;
    Ok(classes.iter().any(|class| class.id != ClassId::DEFAULT))
}
