//! Classes of a domain: made, changed and removed by operators, found by whoever stores. S3's storage classes are these.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mogul_storage::HashType;

use super::Change;
use crate::{
    Error, Tracker,
    meta::{Tx, classes, domains},
    model::{Class, ClassId, ClassName, DomainId, DomainName},
    policy::PolicyText,
    refresh::default_class,
};

/// Makes a class.
#[derive(Debug, Clone)]
pub struct CreateClass {
    /// The domain.
    pub domain: String,
    /// The class's name.
    pub name: ClassName,
    /// Copies wanted, at least 1.
    pub mindevcount: u8,
    /// How they are spread; `MultipleHosts()` if `None`.
    pub policy: Option<PolicyText>,
    /// The digest that is kept of each file, if any: MD5 or SHA-1.
    pub hash: Option<HashType>,
}

/// Changes a class.
#[derive(Debug, Clone)]
pub struct UpdateClass {
    /// The domain.
    pub domain: String,
    /// The class's name, case ignored. `default` gets a row if it had none.
    pub name: ClassName,
    /// Copies wanted, at least 1, if that changes.
    pub mindevcount: Option<u8>,
    /// How they are spread.
    pub policy: Change<PolicyText>,
    /// The digest that is kept of each file.
    pub hash: Change<HashType>,
}

impl Tracker {
    /// Makes a class of a domain. Its number is the one after the largest; the name `default` gets 0, the number of the class
    /// that every domain has.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UnknownDomain`], [`Error::ClassExists`], [`Error::Exhausted`], [`Error::Database`].
    pub async fn create_class(&self, request: CreateClass) -> Result<(), Error> {
        copies_checked(request.mindevcount)?;
        digest_checked(request.hash)?;
        let mindevcount = self.settings().default_mindevcount;
        let (domain, request) = (request.domain.clone(), Arc::new(request));
        self.change_domain(&domain, move |tx, domain| {
            let request = Arc::clone(&request);
            Box::pin(async move {
                let there = classes::classes_of(tx, domain).await?;
                if there.iter().any(|class| same_name(class, &request.name)) {
                    return Err(Error::ClassExists);
                }
                let id = if request.name == ClassName::default_class() {
                    ClassId::DEFAULT
                } else {
                    free_number(&there)?
                };
                let class = Class {
                    id,
                    name: request.name.clone(),
                    mindevcount: request.mindevcount,
                    policy: request
                        .policy
                        .as_ref()
                        .map_or_else(String::new, ToString::to_string),
                    hash: request.hash,
                    ..default_class(domain, mindevcount)
                };
                classes::class_added(tx, &class).await
            })
        })
        .await
    }

    /// Changes a class of a domain. Files that are there follow when fsck looks at them (mogilefs.md §18.6).
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UnknownDomain`], [`Error::UnknownClass`], [`Error::Database`].
    pub async fn update_class(&self, request: UpdateClass) -> Result<(), Error> {
        request.mindevcount.map_or(Ok(()), copies_checked)?;
        digest_checked(request.hash.as_set().copied())?;
        let mindevcount = self.settings().default_mindevcount;
        let (domain, request) = (request.domain.clone(), Arc::new(request));
        self.change_domain(&domain, move |tx, domain| {
            let request = Arc::clone(&request);
            Box::pin(async move {
                let there = classes::classes_of(tx, domain).await?;
                let known = there.into_iter().find(|class| same_name(class, &request.name));
                let missing = default_class(domain, mindevcount);
                let class = match known {
                    Some(class) => class,
                    None if same_name(&missing, &request.name) => {
                        classes::class_added(tx, &missing).await?;
                        missing
                    }
                    None => return Err(Error::UnknownClass),
                };
                classes::class_changed(tx, &changed(class, &request)).await
            })
        })
        .await
    }

    /// Removes a class that no file is of.
    ///
    /// # Errors
    /// [`Error::DefaultClass`], [`Error::UnknownDomain`], [`Error::UnknownClass`], [`Error::ClassNotEmpty`],
    /// [`Error::Database`].
    pub async fn delete_class(&self, domain: &str, name: &str) -> Result<(), Error> {
        if name == ClassName::default_class().as_str() {
            return Err(Error::DefaultClass);
        }
        let name = name.to_owned();
        self.change_domain(domain, move |tx, domain| {
            let name = name.clone();
            Box::pin(async move {
                let there = classes::classes_of(tx, domain).await?;
                let named = |class: &&Class| class.name.as_str().eq_ignore_ascii_case(&name);
                let class = there.iter().find(named).ok_or(Error::UnknownClass)?.id;
                if class == ClassId::DEFAULT {
                    return Err(Error::DefaultClass);
                }
                if classes::class_filled(tx, domain, class).await? {
                    return Err(Error::ClassNotEmpty);
                }
                classes::class_removed(tx, domain, class).await
            })
        })
        .await
    }

    /// Changes something of a domain, which nobody else changes or stores to meanwhile; then the view follows.
    async fn change_domain(
        &self,
        name: &str,
        change: impl for<'t> Fn(&'t mut Tx, DomainId) -> BoxFuture<'t, Result<(), Error>>
        + Clone
        + Send
        + Sync
        + 'static,
    ) -> Result<(), Error> {
        let wanted = name.to_owned();
        let write = self.db().write(move |tx| {
            let (name, change) = (wanted.clone(), change.clone());
            Box::pin(async move {
                let bucket = domains::domain_named_locked(tx, &name).await?;
                let domain = bucket.ok_or(Error::UnknownDomain)?.domain.id;
                change(tx, domain).await
            })
        });
        write.await?;
        self.refresh_domain(name).await?;
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
                    if there.iter().any(|other| same_name(other, &class.name)) {
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

/// Names of classes are names of storage classes, in which S3 ignores case.
fn same_name(class: &Class, name: &ClassName) -> bool {
    class.name.as_str().eq_ignore_ascii_case(name.as_str())
}

/// A class as a request wants it.
fn changed(mut class: Class, request: &UpdateClass) -> Class {
    class.mindevcount = request.mindevcount.unwrap_or(class.mindevcount);
    match &request.policy {
        Change::Keep => {}
        Change::Clear => class.policy = String::new(),
        Change::Set(policy) => class.policy = policy.to_string(),
    }
    match request.hash {
        Change::Keep => {}
        Change::Clear => class.hash = None,
        Change::Set(hash) => class.hash = Some(hash),
    }
    class
}

fn copies_checked(mindevcount: u8) -> Result<(), Error> {
    if mindevcount == 0 {
        return Err(Error::Invalid {
            field: "mindevcount",
            reason: "it must be at least 1".to_owned(),
        });
    }
    Ok(())
}

/// The table `checksum` of MogileFS knows two digests.
fn digest_checked(hash: Option<HashType>) -> Result<(), Error> {
    match hash {
        None | Some(HashType::Md5 | HashType::Sha1) => Ok(()),
        Some(other) => Err(Error::Invalid {
            field: "hashtype",
            reason: format!("{} is neither MD5 nor SHA-1", other.name()),
        }),
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
