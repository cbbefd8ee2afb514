//! The cluster at one moment: an immutable snapshot that is swapped whole.
//!
//! A [`ClusterView`] is what commands and jobs decide on without asking the database: domains with their classes,
//! hosts and devices, and what the monitor saw of the devices. It is never the last word on whether something
//! exists: a name that it does not know is looked up before the answer is "unknown".
//!
//! Every change is *read the tables, then swap if nobody swapped meanwhile, else read again* ([`ViewCell::refresh`]),
//! so that a slow reader can never put an older state over a newer one.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use mogul_storage::DevId;

use crate::{
    Error,
    model::{
        Absence, Bucket, Class, ClassId, Device, DeviceStatus, DomainId, Host, HostId, HostStatus, Phase,
        Timestamp,
    },
    pace::{Busyness, ClientTime},
    placement::Candidate,
    policy::PolicyDevice,
};

/// The cluster at one moment.
#[derive(Debug, Clone, Default)]
pub struct ClusterView {
    domains: BTreeMap<DomainId, Arc<DomainView>>,
    names: BTreeMap<String, DomainId>,
    hosts: BTreeMap<HostId, Host>,
    devices: BTreeMap<DevId, DeviceView>,
    settings: Arc<BTreeMap<String, String>>,
}

/// A domain with its classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainView {
    /// The domain with its S3 properties.
    pub bucket: Bucket,
    /// Its classes by number; `default` is always there.
    pub classes: BTreeMap<ClassId, Class>,
    /// When this was read from the database.
    pub read: Timestamp,
}

/// A device with what the monitor saw of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// The row.
    pub device: Device,
    /// The state of its host.
    pub host_status: HostStatus,
    /// What the last round of the monitor found.
    pub observed: Observed,
    /// Bytes that can still be written, when known.
    pub free_bytes: Option<u64>,
    /// Whether it refuses a file whose digest is not the one sent with it, when known.
    pub rejects_bad_md5: Option<bool>,
    /// When it was last tried whether it can be written, if that was tried since it began to answer.
    pub tried: Option<Timestamp>,
    /// How long clients had kept it busy when it last told.
    pub clients: Option<ClientTime>,
    /// How busy clients keep it.
    pub busyness: Busyness,
    /// What the node itself says of when its figures were read, and when that was first seen here.
    pub figures: Option<Figures>,
    /// When it was last seen, if it has stayed away for so long that its copies do not count.
    pub absent: Option<Timestamp>,
}

/// The age of what a node tells of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// When they were read, by the node's clock, in unix seconds.
    pub asof: i64,
    /// When figures of that time were first seen here.
    pub seen: Timestamp,
}

/// What the monitor found of a device (mogilefs.md §7, `observed_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Observed {
    /// Not looked at since this process started.
    #[default]
    Unknown,
    /// It does not answer, or not in time.
    Unreachable,
    /// It answers, and takes no files.
    Readable,
    /// It answers, and takes files.
    Writable,
}

/// What one look at a device found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observation {
    /// In what state it is.
    pub state: Observed,
    /// Bytes that can still be written, if it told.
    pub free_bytes: Option<u64>,
    /// Whether it refuses a file whose digest is not the one sent with it, if that was tried.
    pub rejects_bad_md5: Option<bool>,
    /// When it was last tried whether it can be written.
    pub tried: Option<Timestamp>,
    /// How long clients have kept it busy, if it told.
    pub clients: Option<ClientTime>,
    /// The age of the figures, if it told.
    pub figures: Option<Figures>,
}

/// The rows of a whole view, as the database has them.
#[derive(Debug, Default)]
pub struct Tables {
    /// Domains with their classes.
    pub domains: Vec<DomainView>,
    /// All hosts.
    pub hosts: Vec<Host>,
    /// All devices.
    pub devices: Vec<Device>,
    /// All server settings.
    pub settings: BTreeMap<String, String>,
    /// Devices that are absent, or have just come back.
    pub absences: Vec<Absence>,
}

impl DomainView {
    /// Finds a class by name, case ignored.
    #[must_use]
    pub fn class_named(&self, name: &str) -> Option<&Class> {
        self.classes
            .values()
            .find(|class| class.name.as_str().eq_ignore_ascii_case(name))
    }
}

impl DeviceView {
    /// Whether it answered when it was last looked at.
    #[must_use]
    pub fn answers(&self) -> bool {
        match self.observed {
            Observed::Unknown | Observed::Unreachable => false,
            Observed::Readable | Observed::Writable => true,
        }
    }

    /// Whether its host's state and its own allow writing to it: then the monitor tries that.
    #[must_use]
    pub fn may_be_written(&self) -> bool {
        let device = match self.device.status {
            DeviceStatus::Alive | DeviceStatus::Drain => true,
            DeviceStatus::ReadOnly | DeviceStatus::Down | DeviceStatus::Dead => false,
        };
        device && self.host_status == HostStatus::Alive
    }

    /// Whether copies on it can be read now (MogileFS `should_read_from`).
    #[must_use]
    pub fn readable(&self) -> bool {
        let host = match self.host_status {
            HostStatus::Alive | HostStatus::ReadOnly => true,
            HostStatus::Down | HostStatus::Dead => false,
        };
        let device = match self.device.status {
            DeviceStatus::Alive | DeviceStatus::ReadOnly | DeviceStatus::Drain => true,
            DeviceStatus::Down | DeviceStatus::Dead => false,
        };
        host && device && self.answers()
    }

    /// Whether new files may go to it now, room apart (MogileFS `should_get_new_files`).
    #[must_use]
    pub fn takes_files(&self) -> bool {
        self.host_status == HostStatus::Alive
            && self.device.status == DeviceStatus::Alive
            && self.observed == Observed::Writable
    }

    /// Whether files may be deleted on it now (MogileFS `can_delete_from`).
    ///
    /// The original also wants a successful test write, and so never frees a full device; we do not.
    #[must_use]
    pub fn deletable(&self) -> bool {
        self.may_be_written() && self.answers()
    }

    /// Takes what it now told of its clients' time.
    fn was_busy_until(&mut self, now: Option<ClientTime>) {
        let share = match (self.clients, now) {
            (Some(before), Some(now)) => Busyness::between(before, now),
            (None, _) | (_, None) => Some(Busyness::IDLE),
        };
        // Where two looks are too near to each other, the earlier one counts on.
        if let Some(share) = share {
            (self.busyness, self.clients) = (share, now);
        }
    }

    /// Whether the monitor looks at it (mogilefs.md §8).
    #[must_use]
    pub fn probed(&self) -> bool {
        DeviceView {
            observed: Observed::Readable,
            ..self.clone()
        }
        .readable()
    }
}

impl ClusterView {
    /// A domain by name.
    #[must_use]
    pub fn domain_named(&self, name: &str) -> Option<&Arc<DomainView>> {
        self.domain(*self.names.get(name)?)
    }

    /// All domains, by number.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<DomainView>> {
        self.domains.values()
    }

    /// The value of a server setting, if it has one (mogilefs.md §20).
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// Whether a server setting is switched on.
    #[must_use]
    pub fn setting_is_on(&self, key: &str) -> bool {
        self.setting(key).is_some_and(|value| !matches!(value, "" | "0"))
    }

    /// All server settings by key.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// A domain by number.
    #[must_use]
    pub fn domain(&self, id: DomainId) -> Option<&Arc<DomainView>> {
        self.domains.get(&id)
    }

    /// A host.
    #[must_use]
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// All hosts, by number.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// A device.
    #[must_use]
    pub fn device(&self, id: DevId) -> Option<&DeviceView> {
        self.devices.get(&id)
    }

    /// All devices, by number.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceView> {
        self.devices.values()
    }

    /// The devices that can take new files, for [`crate::placement`]; one whose free space is unknown is left out.
    #[must_use]
    pub fn candidates(&self) -> Vec<Candidate> {
        let taking = self.devices.values().filter(|device| device.takes_files());
        taking
            .filter_map(|view| {
                Some(Candidate {
                    id: view.device.id,
                    host: view.device.host,
                    free_bytes: view.free_bytes?,
                })
            })
            .collect()
    }

    /// All devices as policies see them: one with less than `room_bytes` free takes no files, and what is absent is as good as
    /// dead.
    #[must_use]
    pub fn policy_devices(&self, room_bytes: u64) -> Vec<PolicyDevice> {
        let see = |view: &DeviceView| PolicyDevice {
            id: view.device.id,
            host: view.device.host,
            status: match view.absent {
                Some(_) => DeviceStatus::Dead,
                None => view.device.status,
            },
            takes_files: view.takes_files() && view.free_bytes.is_some_and(|free| free > room_bytes),
        };
        self.devices.values().map(see).collect()
    }

    /// This view with these tables; what was observed of a device stays.
    #[must_use]
    pub fn with_tables(&self, tables: Tables) -> ClusterView {
        let mut view = ClusterView {
            hosts: tables.hosts.into_iter().map(|host| (host.id, host)).collect(),
            settings: Arc::new(tables.settings),
            ..ClusterView::default()
        };
        for domain in tables.domains {
            view.insert_domain(domain);
        }
        view.devices = self.merge_devices(&view.hosts, tables.devices);
        view.with_absences(&tables.absences)
    }

    /// This view with these devices absent, and no others.
    #[must_use]
    pub fn with_absences(mut self, absences: &[Absence]) -> ClusterView {
        for (id, device) in &mut self.devices {
            let mut away = absences.iter().filter(|absence| absence.phase == Phase::Away);
            device.absent = away
                .find(|absence| absence.device == *id)
                .map(|absence| absence.seen);
        }
        self
    }

    /// This view with these hosts and devices, and its own domains.
    #[must_use]
    pub fn with_devices(&self, hosts: Vec<Host>, devices: Vec<Device>) -> ClusterView {
        let hosts = hosts.into_iter().map(|host| (host.id, host)).collect();
        ClusterView {
            domains: self.domains.clone(),
            names: self.names.clone(),
            devices: self.merge_devices(&hosts, devices),
            hosts,
            settings: Arc::clone(&self.settings),
        }
    }

    /// This view with what the database has under the name of a domain, or without it.
    #[must_use]
    pub fn with_domain(&self, name: &str, domain: Option<DomainView>) -> ClusterView {
        let mut view = self.clone();
        if let Some(id) = view.names.remove(name) {
            view.domains.remove(&id);
        }
        if let Some(domain) = domain {
            view.insert_domain(domain);
        }
        view
    }

    /// This view with another observation of one device; unchanged if there is no such device.
    #[must_use]
    pub fn with_observation(&self, id: DevId, seen: Observation) -> ClusterView {
        let mut view = self.clone();
        if let Some(device) = view.devices.get_mut(&id) {
            device.observed = seen.state;
            // A device that is away keeps the figures it had: it tells nothing new, and is not used meanwhile.
            device.free_bytes = match seen.figures {
                Some(_) => seen.free_bytes,
                None => seen.free_bytes.or(device.free_bytes),
            };
            device.figures = seen.figures.or(device.figures);
            device.rejects_bad_md5 = seen.rejects_bad_md5.or(device.rejects_bad_md5);
            device.tried = seen.tried;
            device.was_busy_until(seen.clients);
        }
        view
    }

    fn insert_domain(&mut self, domain: DomainView) {
        let id = domain.bucket.domain.id;
        self.names
            .insert(domain.bucket.domain.name.as_str().to_owned(), id);
        if let Some(renamed) = self.domains.insert(id, Arc::new(domain)) {
            // The number has been given to another name meanwhile.
            let name = renamed.bucket.domain.name.as_str();
            if self.domains[&id].bucket.domain.name.as_str() != name {
                self.names.remove(name);
            }
        }
    }

    fn merge_devices(
        &self,
        hosts: &BTreeMap<HostId, Host>,
        devices: Vec<Device>,
    ) -> BTreeMap<DevId, DeviceView> {
        let merge = |device: Device| {
            let before = self.devices.get(&device.id);
            let view = DeviceView {
                // A device whose host has no row cannot be reached.
                host_status: hosts
                    .get(&device.host)
                    .map_or(HostStatus::Down, |host| host.status),
                observed: before.map_or(Observed::Unknown, |before| before.observed),
                free_bytes: before.and_then(|before| before.free_bytes),
                rejects_bad_md5: before.and_then(|before| before.rejects_bad_md5),
                tried: before.and_then(|before| before.tried),
                clients: before.and_then(|before| before.clients),
                busyness: before.map(|before| before.busyness).unwrap_or_default(),
                figures: before.and_then(|before| before.figures),
                absent: before.and_then(|before| before.absent),
                device,
            };
            (view.device.id, view)
        };
        devices.into_iter().map(merge).collect()
    }
}

/// The current [`ClusterView`].
#[derive(Debug, Default)]
pub struct ViewCell(ArcSwap<ClusterView>);

impl ViewCell {
    /// The view of now. It does not change any more while it is looked at.
    #[must_use]
    pub fn load(&self) -> Arc<ClusterView> {
        self.0.load_full()
    }

    /// Changes the view by what is known without reading: `change` may run more than once.
    pub fn update(&self, change: impl Fn(&ClusterView) -> ClusterView) {
        self.0.rcu(|view| change(view));
    }

    /// Changes the view by what `read` finds in the database; it reads again if somebody else changed the view
    /// meanwhile, so the state that is swapped in is never older than the one it replaces.
    ///
    /// Ends: each time somebody has to read again, somebody else was done.
    ///
    /// # Errors
    /// Those of `read`.
    ///
    /// # Cancel safety
    /// The view is swapped whole or not at all.
    pub async fn refresh<R>(&self, mut read: R) -> Result<Arc<ClusterView>, Error>
    where
        R: FnMut(Arc<ClusterView>) -> BoxFuture<'static, Result<ClusterView, Error>>,
    {
        loop {
            let before = self.0.load_full();
            let after = Arc::new(read(Arc::clone(&before)).await?);
            let found = self.0.compare_and_swap(&before, Arc::clone(&after));
            if Arc::ptr_eq(&found, &before) {
                return Ok(after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Domain, DomainName, UserId};

    fn host(id: u32, status: HostStatus) -> Host {
        Host {
            id: HostId(id),
            name: format!("host{id}"),
            status,
            ip: format!("127.0.0.{id}"),
            port: 7500,
            get_port: None,
            alt_ip: None,
            alt_mask: None,
        }
    }

    fn device(id: u32, host: u32, status: DeviceStatus) -> Device {
        Device {
            id: DevId::new(id).unwrap(),
            host: HostId(host),
            status,
            weight: 100,
            mb_total: None,
            mb_used: None,
            mb_asof: None,
        }
    }

    fn seen(free_bytes: u64) -> Observation {
        Observation {
            state: Observed::Writable,
            free_bytes: Some(free_bytes),
            ..Observation::default()
        }
    }

    fn domain(id: u16, name: &str) -> DomainView {
        DomainView {
            bucket: Bucket {
                domain: Domain {
                    id: DomainId(id),
                    name: DomainName::parse(name).unwrap(),
                },
                owner: UserId::root(),
                created: Timestamp::default(),
            },
            classes: BTreeMap::new(),
            read: Timestamp::default(),
        }
    }

    #[test]
    fn what_was_observed_of_a_device_survives_a_change_of_the_tables() {
        let id = DevId::new(1).unwrap();
        let tables = || {
            (
                vec![host(1, HostStatus::Alive)],
                vec![device(1, 1, DeviceStatus::Alive)],
            )
        };
        let (hosts, devices) = tables();
        let view = ClusterView::default().with_devices(hosts, devices);
        assert!(view.candidates().is_empty(), "not observed yet");

        let view = view.with_observation(id, seen(5));
        let (hosts, devices) = tables();
        let view = view.with_devices(hosts, devices);

        assert_eq!(view.candidates().len(), 1);
        assert!(view.policy_devices(4)[0].takes_files);
        assert!(!view.policy_devices(5)[0].takes_files);
    }

    #[test]
    fn states_say_what_may_be_done_with_a_device() {
        use DeviceStatus as D;
        use HostStatus as H;
        for (host_status, device_status, read, write, delete) in [
            (H::Alive, D::Alive, true, true, true),
            (H::Alive, D::Drain, true, false, true),
            (H::Alive, D::ReadOnly, true, false, false),
            (H::Alive, D::Down, false, false, false),
            (H::Alive, D::Dead, false, false, false),
            (H::ReadOnly, D::Alive, true, false, false),
            (H::Down, D::Alive, false, false, false),
            (H::Dead, D::Alive, false, false, false),
        ] {
            let view = ClusterView::default()
                .with_devices(vec![host(1, host_status)], vec![device(1, 1, device_status)])
                .with_observation(DevId::new(1).unwrap(), seen(1));
            let device = view.device(DevId::new(1).unwrap()).unwrap();

            let found = (device.readable(), device.takes_files(), device.deletable());

            assert_eq!(found, (read, write, delete), "{host_status:?} {device_status:?}");
        }
    }

    #[test]
    fn a_domain_that_was_made_anew_is_found_under_its_new_number() {
        let view = ClusterView::default().with_domain("a", Some(domain(1, "a")));

        let view = view.with_domain("a", Some(domain(2, "a")));
        let view = view.with_domain("b", Some(domain(1, "b")));

        assert_eq!(view.domain_named("a").unwrap().bucket.domain.id, DomainId(2));
        assert_eq!(view.domain_named("b").unwrap().bucket.domain.id, DomainId(1));
        assert!(view.with_domain("a", None).domain(DomainId(2)).is_none());
    }
}
