//! How the view follows the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    Error, Sharing, Tracker,
    meta::{Db, absences, classes, devices, domains, files::FileRow, hosts, settings},
    model::{Ack, Bucket, Class, ClassId, ClassName, Degraded, DomainId, Timestamp},
    policy::PolicySpec,
    view::{DomainView, Tables},
};

/// How long a domain is believed without a look where other processes may change it.
const DOMAIN_FRESH: Duration = Duration::from_secs(1);

/// Domains that are read one by one rather than with everything else.
const DOMAINS_APART: usize = 4;

impl Tracker {
    /// A domain by name: from memory where nobody else can have changed it, else from the database.
    ///
    /// # Errors
    /// [`Error::UnknownDomain`], [`Error::Database`].
    pub async fn domain_named(&self, name: &str) -> Result<Arc<DomainView>, Error> {
        if let Some(domain) = self.view().domain_named(name)
            && self.believes(domain)
        {
            return Ok(Arc::clone(domain));
        }
        self.refresh_domain(name).await?.ok_or(Error::UnknownDomain)
    }

    /// A class of a domain by name, case ignored; one that another process may have made a moment ago is looked for there.
    ///
    /// # Errors
    /// [`Error::UnknownClass`], [`Error::Database`].
    pub async fn class_in(&self, domain: &DomainView, name: &str) -> Result<Class, Error> {
        if let Some(class) = domain.class_named(name) {
            return Ok(class.clone());
        }
        let fresh = match self.sharing() {
            Sharing::Alone => None,
            Sharing::Shared => self.refresh_domain(domain.bucket.domain.name.as_str()).await?,
        };
        let class = fresh.as_ref().and_then(|domain| domain.class_named(name));
        class.cloned().ok_or(Error::UnknownClass)
    }

    /// Whether what the view has of a domain still counts.
    pub(crate) fn believes(&self, domain: &DomainView) -> bool {
        match self.sharing() {
            Sharing::Alone => true,
            Sharing::Shared => domain.read.until(self.now()) < DOMAIN_FRESH,
        }
    }

    /// Makes sure that the view knows these classes of files: another process may have made one a moment ago. A class that is
    /// still unknown has no row.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn know_classes(
        &self,
        classes: impl IntoIterator<Item = (DomainId, ClassId)>,
    ) -> Result<(), Error> {
        let view = self.view();
        let unknown = |(domain, class): (DomainId, ClassId)| {
            let domain = view.domain(domain);
            domain.is_none_or(|domain| !domain.classes.contains_key(&class))
        };
        if classes.into_iter().any(unknown) {
            self.refresh_shared().await?;
        }
        Ok(())
    }

    /// Reads these domains anew where other processes may have changed them: who ends what was queued because a class has changed
    /// must know the class as it was by then.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn reread_domains(&self, domains: BTreeSet<DomainId>) -> Result<(), Error> {
        if self.sharing() == Sharing::Alone {
            return Ok(());
        }
        if domains.len() > DOMAINS_APART {
            return self.refresh_all().await;
        }
        let view = self.view();
        for domain in domains {
            match view.domain(domain) {
                Some(known) => drop(self.refresh_domain(known.bucket.domain.name.as_str()).await?),
                None => return self.refresh_all().await,
            }
        }
        Ok(())
    }

    /// The class of a file, which [`Tracker::know_classes`] has seen; `default` if it names one that is not there, as in the original.
    pub(crate) fn class_of(&self, file: &FileRow) -> Class {
        let view = self.view();
        let domain = view.domain(file.domain);
        let class = domain.and_then(|domain| {
            let classes = &domain.classes;
            classes
                .get(&file.class)
                .or_else(|| classes.get(&ClassId::DEFAULT))
        });
        class
            .cloned()
            .unwrap_or_else(|| default_class(file.domain, self.settings().default_mindevcount))
    }

    /// Reads a domain and puts it into the view, or takes it out if there is none.
    pub(crate) async fn refresh_domain(&self, name: &str) -> Result<Option<Arc<DomainView>>, Error> {
        let (db, mindevcount) = (self.db().clone(), self.settings().default_mindevcount);
        let (now, name) = (self.now(), name.to_owned());
        let wanted = name.clone();
        let view = self
            .0
            .view
            .refresh(move |view| {
                let (db, name) = (db.clone(), wanted.clone());
                Box::pin(async move {
                    let found = read_domain(&db, &name, mindevcount, now).await?;
                    if found.is_none() && view.domain_named(&name).is_none() {
                        return Ok((*view).clone());
                    }
                    Ok(view.with_domain(&name, found))
                })
            })
            .await?;
        Ok(view.domain_named(&name).cloned())
    }

    /// Reads everything.
    pub(crate) async fn refresh_all(&self) -> Result<(), Error> {
        let (db, mindevcount) = (self.db().clone(), self.settings().default_mindevcount);
        let now = self.now();
        let read = self.0.view.refresh(move |view| {
            let db = db.clone();
            Box::pin(async move { Ok(view.with_tables(read_tables(&db, mindevcount, now).await?)) })
        });
        read.await?;
        self.nodes().follow(&self.0.view);
        Ok(())
    }

    /// Reads everything where other processes may have changed it.
    pub(crate) async fn refresh_shared(&self) -> Result<(), Error> {
        match self.sharing() {
            Sharing::Alone => Ok(()),
            Sharing::Shared => self.refresh_all().await,
        }
    }

    /// The same for who is content with what was known before, where the database is away: lists of what there is.
    pub(crate) async fn refresh_where_possible(&self) {
        if let Err(error) = self.refresh_shared().await {
            tracing::warn!(%error, "a list is as old as what was read last");
        }
    }

    /// Reads hosts and devices, and which of these are absent.
    pub(crate) async fn refresh_devices(&self) -> Result<(), Error> {
        let db = self.db().clone();
        let read = self.0.view.refresh(move |view| {
            let db = db.clone();
            Box::pin(async move {
                let mut tx = db.reader().await?;
                let hosts = hosts::hosts(&mut tx).await?;
                let devices = devices::devices(&mut tx).await?;
                let absences = absences::absences(&mut tx).await?;
                Ok(view.with_devices(hosts, devices).with_absences(&absences))
            })
        });
        read.await?;
        self.nodes().follow(&self.0.view);
        Ok(())
    }
}

async fn read_domain(
    db: &Db,
    name: &str,
    mindevcount: u8,
    now: Timestamp,
) -> Result<Option<DomainView>, Error> {
    let mut tx = db.reader().await?;
    let Some(bucket) = domains::domain_named(&mut tx, name).await? else {
        return Ok(None);
    };
    let classes = classes::classes_of(&mut tx, bucket.domain.id).await?;
    Ok(Some(domain_view(bucket, classes, mindevcount, now)))
}

async fn read_tables(db: &Db, mindevcount: u8, now: Timestamp) -> Result<Tables, Error> {
    let mut tx = db.reader().await?;
    let mut by_domain = BTreeMap::<_, Vec<Class>>::new();
    for class in classes::classes(&mut tx).await? {
        by_domain.entry(class.domain).or_default().push(class);
    }
    let domains = domains::domains(&mut tx).await?;
    Ok(Tables {
        domains: domains
            .into_iter()
            .map(|bucket| {
                let classes = by_domain.remove(&bucket.domain.id).unwrap_or_default();
                domain_view(bucket, classes, mindevcount, now)
            })
            .collect(),
        hosts: hosts::hosts(&mut tx).await?,
        devices: devices::devices(&mut tx).await?,
        settings: settings::settings(&mut tx).await?,
        absences: absences::absences(&mut tx).await?,
    })
}

/// A domain with its classes: `default` is there whether or not it has a row.
fn domain_view(bucket: Bucket, classes: Vec<Class>, mindevcount: u8, now: Timestamp) -> DomainView {
    let mut classes: BTreeMap<ClassId, Class> = classes.into_iter().map(|class| (class.id, class)).collect();
    let domain = bucket.domain.id;
    let missing = || default_class(domain, mindevcount);
    classes.entry(ClassId::DEFAULT).or_insert_with(missing);
    DomainView {
        bucket,
        classes,
        read: now,
    }
}

/// The class that every domain has without a row.
pub(crate) fn default_class(domain: DomainId, mindevcount: u8) -> Class {
    Class {
        domain,
        id: ClassId::DEFAULT,
        name: ClassName::default_class(),
        mindevcount: mindevcount.max(1),
        policy: String::new(),
        hash: None,
        ack: Ack::default(),
        degraded: Degraded::default(),
    }
}

/// The policy of a class; one that nobody can follow, which only a foreign tool can have written, counts as the default.
pub(crate) fn policy_of(class: &Class) -> PolicySpec {
    PolicySpec::parse(&class.policy).unwrap_or_else(|error| {
        tracing::warn!(domain = class.domain.0, class = %class.name, %error, "replication policy not understood");
        PolicySpec::DEFAULT
    })
}
