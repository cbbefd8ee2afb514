//! Buckets: domains made, found, listed and removed for S3.

use std::sync::Arc;

use crate::{
    Error, Tracker,
    jobs::JobName,
    meta::{buckets, classes, domains, users},
    model::{Bucket, Class, ClassId, ClassName, DomainId, DomainName, Tags, UserId},
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
                    if let Some(bucket) = domains::domain_named(tx, request.name.as_str()).await? {
                        let yours = bucket.owner == request.owner;
                        return if yours {
                            Ok(BucketCreation::AlreadyYours)
                        } else {
                            Err(Error::DomainTaken)
                        };
                    }
                    let domain = domains::domain_added(tx, &request.name).await?;
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
        let (now, wanted) = (self.now(), name.clone());
        let removed = self.db().write(move |tx| {
            let name = wanted.clone();
            Box::pin(async move {
                let bucket = domains::domain_named_locked(tx, name.as_str()).await?;
                let domain = bucket.ok_or(Error::UnknownDomain)?.domain.id;
                if buckets::bucket_filled(tx, domain).await? {
                    return Err(Error::DomainNotEmpty);
                }
                buckets::uploads_ended(tx, domain, now).await?;
                domains::domain_removed(tx, domain).await
            })
        });
        removed.await?;
        self.refresh_domain(name.as_str()).await?;
        self.wake(JobName::Delete);
        Ok(())
    }

    /// Finds a class of a domain by id: `default` always exists.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::UnknownClass`], [`Error::Database`].
    pub async fn class(&self, domain: DomainId, id: ClassId) -> Result<Class, Error> {
        let view = self.view();
        let known = view.domain(domain).ok_or(Error::UnknownDomain)?;
        if let Some(class) = known.classes.get(&id)
            && self.believes(known)
        {
            return Ok(class.clone());
        }
        let found = self.refresh_domain(known.bucket.domain.name.as_str()).await?;
        let found = found.filter(|found| found.bucket.domain.id == domain);
        let found = found.ok_or(Error::UnknownDomain)?;
        found.classes.get(&id).cloned().ok_or(Error::UnknownClass)
    }

    /// Finds a class of a domain by name (case ignored), making it from the server's template of that name if there is one:
    /// the storage classes of S3 exist when they are first used (s3.md, "Storage classes and `MogileFS` classes").
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::UnknownClass`], [`Error::Exhausted`], [`Error::Database`].
    pub async fn class_named(&self, domain: DomainId, name: &ClassName) -> Result<Class, Error> {
        let wanted = match template(name.as_str()) {
            Template::Default => ClassName::default_class(),
            Template::Offline => return Err(Error::UnknownClass),
            Template::Copies(_) | Template::None => name.clone(),
        };
        let view = self.view();
        let known = view.domain(domain).ok_or(Error::UnknownDomain)?;
        if let Some(class) = known.class_named(wanted.as_str())
            && self.believes(known)
        {
            return Ok(class.clone());
        }
        let bucket = known.bucket.domain.name.clone();
        let found = self.refresh_domain(bucket.as_str()).await?;
        let found = found.filter(|found| found.bucket.domain.id == domain);
        let found = found.ok_or(Error::UnknownDomain)?;
        match (found.class_named(wanted.as_str()), template(wanted.as_str())) {
            (Some(class), _) => Ok(class.clone()),
            (None, Template::Copies(copies)) => {
                let default = found.classes.get(&ClassId::DEFAULT).ok_or(Error::UnknownClass)?;
                let made = from_template(default, &wanted, copies)?;
                self.add_class(&bucket, made).await
            }
            (None, Template::Default | Template::Offline | Template::None) => Err(Error::UnknownClass),
        }
    }

    /// Adds a class to a domain; if one of the name is there by now, it is that one.
    async fn add_class(&self, bucket: &DomainName, class: Class) -> Result<Class, Error> {
        let (name, made) = (bucket.clone(), class.clone());
        self.db()
            .write(move |tx| {
                let (name, mut class) = (name.clone(), made.clone());
                Box::pin(async move {
                    let found = domains::domain_named_locked(tx, name.as_str()).await?;
                    let found = found.filter(|found| found.domain.id == class.domain);
                    found.ok_or(Error::UnknownDomain)?;
                    let there = classes::classes_of(tx, class.domain).await?;
                    if there.iter().any(|other| other.name == class.name) {
                        return Ok(());
                    }
                    class.id = free_number(&there)?;
                    classes::class_added(tx, &class).await
                })
            })
            .await?;
        let domain = self
            .refresh_domain(bucket.as_str())
            .await?
            .ok_or(Error::UnknownDomain)?;
        let added = domain.class_named(class.name.as_str());
        added.cloned().ok_or(Error::UnknownClass)
    }
}

/// What the server makes of the name of a storage class.
enum Template {
    /// The class `default` under another name.
    Default,
    /// A class with copies of its own.
    Copies(TemplateCopies),
    /// Clients take objects of such a class for being offline: nothing that can be read may have it (s3.md §23).
    Offline,
    /// A name of the user's.
    None,
}

/// How many copies a class of a template has.
#[derive(Clone, Copy)]
enum TemplateCopies {
    One,
    AsDefault,
}

fn template(name: &str) -> Template {
    match name.to_ascii_lowercase().as_str() {
        "standard" | "default" | "intelligent_tiering" => Template::Default,
        "reduced_redundancy" => Template::Copies(TemplateCopies::One),
        "standard_ia" | "onezone_ia" | "glacier_ir" => Template::Copies(TemplateCopies::AsDefault),
        "glacier" | "deep_archive" => Template::Offline,
        _ => Template::None,
    }
}

/// The class of a template; its number is given when it is added.
fn from_template(default: &Class, name: &ClassName, copies: TemplateCopies) -> Result<Class, Error> {
    let name = name.as_str().to_ascii_lowercase();
    Ok(Class {
        name: ClassName::parse(&name).ok_or(Error::UnknownClass)?,
        mindevcount: match copies {
            TemplateCopies::One => 1,
            TemplateCopies::AsDefault => default.mindevcount,
        },
        ..default.clone()
    })
}

/// The number after the largest; when that is taken up, the smallest that is free.
fn free_number(there: &[Class]) -> Result<ClassId, Error> {
    let taken = |number: &u8| there.iter().any(|class| class.id.0 == *number);
    let largest = there.iter().map(|class| class.id.0).max().unwrap_or(0);
    let next = largest.checked_add(1);
    next.or_else(|| (1..=u8::MAX).find(|number| !taken(number)))
        .map(ClassId)
        .ok_or(Error::Exhausted("class"))
}
