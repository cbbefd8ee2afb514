//! How the copies of a file are spread, counted: what all policies decide on.

use std::collections::BTreeSet;

use mogul_storage::DevId;

use super::{Advice, PolicyDevice, Situation};
use crate::model::{DeviceStatus, HostId, ZoneName};

/// The devices that are not dead, and which of them have a copy.
#[derive(Debug, Clone)]
pub(super) struct Spread<'a> {
    /// Devices with a copy that counts.
    pub(super) on: Vec<&'a PolicyDevice>,
    /// All of them.
    devices: Vec<&'a PolicyDevice>,
    failed: &'a [DevId],
}

/// What a policy misses: where a copy would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// Devices on which the policy would be content, or nearer to it.
    pub(super) ideal: Vec<DevId>,
    /// Devices that add a copy without the spread that is wanted.
    pub(super) desperate: Vec<DevId>,
}

impl<'a> Spread<'a> {
    pub(super) fn of(situation: &Situation<'a>) -> Spread<'a> {
        let living = situation.devices.iter();
        let devices: Vec<&PolicyDevice> = living
            .filter(|device| device.status != DeviceStatus::Dead)
            .collect();
        let on = devices.iter().filter(|device| situation.on.contains(&device.id));
        Spread {
            on: on.copied().collect(),
            devices,
            failed: situation.failed,
        }
    }

    /// The part that lies in a zone.
    pub(super) fn within(&self, zone: &ZoneName) -> Spread<'a> {
        let inside = |devices: &[&'a PolicyDevice]| {
            let inside = devices.iter().filter(|device| device.zone.as_ref() == Some(zone));
            inside.copied().collect()
        };
        Spread {
            on: inside(&self.on),
            devices: inside(&self.devices),
            failed: self.failed,
        }
    }

    /// As if there were no copy on a device.
    pub(super) fn without(&self, device: DevId) -> Spread<'a> {
        let mut rest = self.clone();
        rest.on.retain(|on| on.id != device);
        rest
    }

    /// Whether at least two copies are on all devices there are: nothing more can be asked for.
    pub(super) fn is_everywhere(&self) -> bool {
        self.on.len() >= 2 && self.on.len() == self.devices.len()
    }

    /// Hosts with a copy.
    pub(super) fn hosts_on(&self) -> BTreeSet<HostId> {
        self.on.iter().map(|device| device.host).collect()
    }

    /// How many hosts have at least one device whose state is alive; the host's own state is ignored, as in the original.
    pub(super) fn hosts(&self) -> usize {
        let hosts: BTreeSet<HostId> = self.alive().map(|device| device.host).collect();
        hosts.len()
    }

    /// Zones with a copy.
    pub(super) fn zones_on(&self) -> BTreeSet<Option<&'a ZoneName>> {
        self.on.iter().map(|device| device.zone.as_ref()).collect()
    }

    /// How many zones have at least one device whose state is alive.
    pub(super) fn zones(&self) -> usize {
        let zones: BTreeSet<_> = self.alive().map(|device| device.zone.as_ref()).collect();
        zones.len()
    }

    /// The devices that could take a copy now and for which `wanted` holds.
    pub(super) fn candidates(&self, wanted: impl Fn(&PolicyDevice) -> bool) -> Vec<DevId> {
        let free = |device: &PolicyDevice| {
            device.takes_files
                && !self.failed.contains(&device.id)
                && !self.on.iter().any(|on| on.id == device.id)
        };
        self.devices
            .iter()
            .filter(|device| free(device) && wanted(device))
            .map(|device| device.id)
            .collect()
    }

    fn alive(&self) -> impl Iterator<Item = &&'a PolicyDevice> {
        self.devices
            .iter()
            .filter(|device| device.status == DeviceStatus::Alive)
    }
}

impl Missing {
    /// The advice that follows.
    pub(super) fn advice(self) -> Advice {
        let Missing { ideal, desperate } = self;
        if ideal.is_empty() && desperate.is_empty() {
            return Advice::NoAnswer;
        }
        Advice::CopyTo { ideal, desperate }
    }
}
