//! The cluster at one moment: an immutable snapshot that is swapped whole.
//!
//! A [`ClusterView`] is what commands and jobs decide on without asking the database: domains with their classes,
//! hosts and devices, and what the monitor saw of the devices. It is never the last word on whether something
//! exists: a name that it does not know is looked up before the answer is "unknown".
//!
//! Every change is *read the tables, then swap if nobody swapped meanwhile, else read again* ([`ViewCell::refresh`]),
//! so that a slow reader can never put an older state over a newer one.

mod cell;
mod device;
#[cfg(test)]
mod tests;

pub use cell::ViewCell;
pub use device::{DeviceView, Figures, Observation, Observed};

use std::{collections::BTreeMap, sync::Arc};

use mogul_storage::DevId;

use crate::{
    model::{
        Absence, Bucket, Class, ClassId, Device, DeviceStatus, DomainId, Host, HostId, HostStatus, Phase,
        Timestamp, Zones,
    },
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
    /// What the settings say of network zones.
    zones: Arc<Zones>,
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
                    zone: view.zone.clone(),
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
            zone: view.zone.clone(),
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
        let zones = Zones::of(|key| tables.settings.get(key).map(String::as_str));
        let mut view = ClusterView {
            hosts: tables.hosts.into_iter().map(|host| (host.id, host)).collect(),
            zones: Arc::new(zones),
            settings: Arc::new(tables.settings),
            ..ClusterView::default()
        };
        for domain in tables.domains {
            view.insert_domain(domain);
        }
        view.devices = merge_devices(self, &view, tables.devices);
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
        let mut view = ClusterView {
            domains: self.domains.clone(),
            names: self.names.clone(),
            devices: BTreeMap::new(),
            hosts: hosts.into_iter().map(|host| (host.id, host)).collect(),
            settings: Arc::clone(&self.settings),
            zones: Arc::clone(&self.zones),
        };
        view.devices = merge_devices(self, &view, devices);
        view
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
            device.refused = seen.refused;
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
}

/// The devices of these rows in a view that has its hosts and zones; what was observed of each before stays.
fn merge_devices(
    before: &ClusterView,
    view: &ClusterView,
    devices: Vec<Device>,
) -> BTreeMap<DevId, DeviceView> {
    let merge = |device: Device| {
        let before = before.devices.get(&device.id);
        let host = view.hosts.get(&device.host);
        let merged = DeviceView {
            // A device whose host has no row cannot be reached.
            host_status: host.map_or(HostStatus::Down, |host| host.status),
            zone: host.and_then(|host| view.zones.zone_of(&host.ip)),
            observed: before.map_or(Observed::Unknown, |before| before.observed),
            free_bytes: before.and_then(|before| before.free_bytes),
            rejects_bad_md5: before.and_then(|before| before.rejects_bad_md5),
            tried: before.and_then(|before| before.tried),
            clients: before.and_then(|before| before.clients),
            busyness: before.map(|before| before.busyness).unwrap_or_default(),
            figures: before.and_then(|before| before.figures),
            absent: before.and_then(|before| before.absent),
            refused: before.and_then(|before| before.refused),
            device,
        };
        (merged.device.id, merged)
    };
    devices.into_iter().map(merge).collect()
}
