//! Replication policies: how many copies of a file there shall be, and where. Pure: plain data in, [`Advice`] out.
//!
//! A class names its policy as [`text`] (`class.replpolicy`). What `MultipleHosts` and `MultipleDevices` say follows
//! `MogileFS/ReplicationPolicy/*.pm`; `Union` and the two that know network zones say what is missing in the same way, and have
//! too many copies when one can go and nothing is missing then. The order of the devices in an [`Advice`] says nothing,
//! [`crate::placement`] chooses among them.

mod hosts_per_network;
mod multiple_devices;
mod multiple_hosts;
mod multiple_networks;
mod spread;
#[cfg(test)]
mod tests;
mod text;
mod union;

pub use text::{PolicyError, PolicyText};

use std::collections::BTreeMap;

use mogul_storage::DevId;

use crate::model::{DeviceStatus, HostId, ZoneName};
use spread::{Missing, Spread};

/// A replication policy of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySpec {
    /// Copies on different hosts, as far as there are hosts.
    MultipleHosts {
        /// Copies wanted; the class's `mindevcount` if `None`.
        copies: Option<u8>,
    },
    /// Copies on different devices, whatever their hosts.
    MultipleDevices {
        /// Copies wanted; the class's `mindevcount` if `None`.
        copies: Option<u8>,
    },
    /// Copies in different network zones, as far as there are zones, then on different hosts.
    MultipleNetworks {
        /// Copies wanted; the class's `mindevcount` if `None`.
        copies: Option<u8>,
    },
    /// Copies on so many hosts of each of these zones.
    HostsPerNetwork {
        /// The zones, at least one, with their copies, at least 1 and 255 in all.
        zones: BTreeMap<ZoneName, u8>,
    },
    /// What each of these policies wants.
    Union {
        /// At least two, none of them a union.
        policies: Vec<PolicySpec>,
    },
}

/// What a policy says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// The copies are as they should be.
    Happy,
    /// There are more copies than wanted.
    TooHappy,
    /// A copy is missing: one of `ideal` would do well; one of `desperate` is better than nothing.
    CopyTo {
        /// Devices on which the policy would be content.
        ideal: Vec<DevId>,
        /// Devices that add a copy without the spread that is wanted.
        desperate: Vec<DevId>,
    },
    /// A copy is missing, and no device can take it at present.
    NoAnswer,
}

/// A device as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDevice {
    /// Its number.
    pub id: DevId,
    /// The host it is in.
    pub host: HostId,
    /// The network zone that its host is in; those of which it is not known are in one together.
    pub zone: Option<ZoneName>,
    /// Its state in the table.
    pub status: DeviceStatus,
    /// Whether it can take a new file now (MogileFS `should_get_new_files`).
    pub takes_files: bool,
}

/// What a policy decides on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The class's `mindevcount`.
    pub mindevcount: u8,
    /// Devices with a copy on record. Dead and unknown ones do not count.
    pub on: &'a [DevId],
    /// Devices on which a copy has just failed.
    pub failed: &'a [DevId],
    /// All devices.
    pub devices: &'a [PolicyDevice],
}

impl PolicySpec {
    /// The policy of a class that names none.
    pub const DEFAULT: PolicySpec = PolicySpec::MultipleHosts { copies: None };

    /// Says what is to be done with a file.
    #[must_use]
    pub fn advise(&self, situation: &Situation<'_>) -> Advice {
        let spread = Spread::of(situation);
        let min = situation.mindevcount;
        let too_many = match self {
            PolicySpec::MultipleHosts { copies } | PolicySpec::MultipleDevices { copies } => {
                spread.on.len() > number(*copies, min)
            }
            PolicySpec::MultipleNetworks { .. }
            | PolicySpec::HostsPerNetwork { .. }
            | PolicySpec::Union { .. } => {
                self.missing(min, &spread).is_none() && self.has_spare(min, &spread)
            }
        };
        if too_many {
            return Advice::TooHappy;
        }
        self.missing(min, &spread).map_or(Advice::Happy, Missing::advice)
    }

    /// How many copies the policy wants for a class with this `mindevcount`; at least 1.
    #[must_use]
    pub fn copies(&self, mindevcount: u8) -> u8 {
        match self {
            PolicySpec::MultipleHosts { copies }
            | PolicySpec::MultipleDevices { copies }
            | PolicySpec::MultipleNetworks { copies } => copies.unwrap_or(mindevcount).max(1),
            PolicySpec::HostsPerNetwork { zones } => sum(zones),
            PolicySpec::Union { policies } => union::copies(policies, mindevcount),
        }
    }

    /// What a file misses, if anything; too many copies are enough.
    fn missing(&self, mindevcount: u8, spread: &Spread<'_>) -> Option<Missing> {
        match self {
            PolicySpec::MultipleHosts { copies } => {
                multiple_hosts::missing(number(*copies, mindevcount), spread)
            }
            PolicySpec::MultipleDevices { copies } => {
                multiple_devices::missing(number(*copies, mindevcount), spread)
            }
            PolicySpec::MultipleNetworks { copies } => {
                multiple_networks::missing(number(*copies, mindevcount), spread)
            }
            PolicySpec::HostsPerNetwork { zones } => hosts_per_network::missing(zones, spread),
            PolicySpec::Union { policies } => {
                let lacking = policies
                    .iter()
                    .filter_map(|policy| policy.missing(mindevcount, spread));
                union::missing(&lacking.collect::<Vec<_>>())
            }
        }
    }

    /// Whether one of the copies can go and nothing is missing then.
    fn has_spare(&self, mindevcount: u8, spread: &Spread<'_>) -> bool {
        let content_without = |device: &DevId| self.missing(mindevcount, &spread.without(*device)).is_none();
        spread
            .on
            .iter()
            .map(|device| device.id)
            .any(|device| content_without(&device))
    }
}

/// The copies that a policy wants: its own number, else the class's.
fn number(copies: Option<u8>, mindevcount: u8) -> usize {
    usize::from(copies.unwrap_or(mindevcount))
}

/// All copies that zones want.
fn sum(zones: &BTreeMap<ZoneName, u8>) -> u8 {
    zones.values().fold(0, |sum, copies| sum.saturating_add(*copies))
}
