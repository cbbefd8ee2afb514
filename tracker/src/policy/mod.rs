//! Replication policies: how many copies of a file there shall be, and where. Pure: plain data in, [`Advice`] out.
//!
//! A class names its policy as text (`class.replpolicy`), in MogileFS's grammar: `Name(args)`, blanks allowed
//! anywhere. What the two policies say follows `MogileFS/ReplicationPolicy/*.pm`; the order of the devices in an
//! [`Advice`] says nothing, [`crate::placement`] chooses among them.

mod multiple_devices;
mod multiple_hosts;

use std::collections::BTreeSet;

use mogul_storage::DevId;

use crate::model::{DeviceStatus, HostId};

/// A replication policy of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// The text of a policy that can be kept, as an operator wrote it: what `class.replpolicy` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText(String);

impl PolicyText {
    /// Longest text in characters (`class.replpolicy` is a VARCHAR(255)).
    pub const CHARS_MAX: usize = 255;

    /// Checks a text.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<PolicyText, PolicyError> {
        PolicySpec::parse(text)?;
        if text.chars().count() > Self::CHARS_MAX {
            return Err(PolicyError::TooLong);
        }
        Ok(PolicyText(text.to_owned()))
    }
}

impl std::fmt::Display for PolicyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a policy that can be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not of the form `Name(args)`.
    #[error("a replication policy has the form Name(args)")]
    Grammar,
    /// No such policy.
    #[error("the replication policy {0} is not known")]
    Unknown(String),
    /// More than [`PolicyText::CHARS_MAX`].
    #[error("a replication policy has at most {max} characters", max = PolicyText::CHARS_MAX)]
    TooLong,
    /// Some policies of a union have a number of copies, others leave it to the class.
    #[error("all policies of a union have a number of copies, or none has")]
    Mixed,
    /// The policy takes one optional number from 1 to 255.
    #[error("{0} is not a number of copies from 1 to 255")]
    Argument(String),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyDevice {
    /// Its number.
    pub id: DevId,
    /// The host it is in.
    pub host: HostId,
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

    /// Reads a policy; the empty text is [`PolicySpec::DEFAULT`].
    ///
    /// # Errors
    /// [`PolicyError`]: a class with a policy that nobody can follow would never be replicated, so it is refused.
    pub fn parse(text: &str) -> Result<PolicySpec, PolicyError> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if text.is_empty() {
            return Ok(PolicySpec::DEFAULT);
        }
        let (name, rest) = text.split_once('(').ok_or(PolicyError::Grammar)?;
        let argument = rest.strip_suffix(')').ok_or(PolicyError::Grammar)?;
        match name.strip_prefix("MogileFS::ReplicationPolicy::").unwrap_or(name) {
            "MultipleHosts" => Ok(PolicySpec::MultipleHosts {
                copies: copies(argument)?,
            }),
            "MultipleDevices" => Ok(PolicySpec::MultipleDevices {
                copies: copies(argument)?,
            }),
            "Union" => union(argument),
            "" => Err(PolicyError::Grammar),
            unknown => Err(PolicyError::Unknown(unknown.to_owned())),
        }
    }

    /// Says what is to be done with a file.
    #[must_use]
    pub fn advise(&self, situation: &Situation<'_>) -> Advice {
        let spread = Spread::of(situation);
        match self {
            PolicySpec::MultipleHosts { copies } => {
                multiple_hosts::advise(copies.unwrap_or(situation.mindevcount), &spread)
            }
            PolicySpec::MultipleDevices { copies } => {
                multiple_devices::advise(copies.unwrap_or(situation.mindevcount), &spread)
            }
        }
    }

    /// The number of copies that the policy itself names.
    fn number(self) -> Option<u8> {
        match self {
            PolicySpec::MultipleHosts { copies } | PolicySpec::MultipleDevices { copies } => copies,
        }
    }

    /// How many copies the policy wants for a class with this `mindevcount`; at least 1.
    #[must_use]
    pub fn copies(&self, mindevcount: u8) -> u8 {
        match self {
            PolicySpec::MultipleHosts { copies } | PolicySpec::MultipleDevices { copies } => {
                copies.unwrap_or(mindevcount).max(1)
            }
        }
    }
}

/// Reads `P1, P2, …`: a file has what each of them asks for when it has the most copies that one asks for, on as many hosts if
/// one asks for hosts. (The original takes a union and never replicates by it.)
fn union(arguments: &str) -> Result<PolicySpec, PolicyError> {
    let mut parts = parts(arguments).into_iter().map(PolicySpec::parse);
    let first = parts.next().ok_or(PolicyError::Grammar)??;
    parts.try_fold(first, |union, part| {
        let (ours, its) = (union.number(), part?);
        let copies = match (ours, its.number()) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(PolicyError::Mixed),
        };
        Ok(match (union, its) {
            (PolicySpec::MultipleDevices { .. }, PolicySpec::MultipleDevices { .. }) => {
                PolicySpec::MultipleDevices { copies }
            }
            (PolicySpec::MultipleHosts { .. }, _) | (_, PolicySpec::MultipleHosts { .. }) => {
                PolicySpec::MultipleHosts { copies }
            }
        })
    })
}

/// What commas outside of parentheses separate, up to the first part that is empty.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let outside = text.split(move |letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    outside.take_while(|part| !part.is_empty()).collect()
}

/// Reads the one optional argument.
fn copies(argument: &str) -> Result<Option<u8>, PolicyError> {
    if argument.is_empty() {
        return Ok(None);
    }
    match argument.parse() {
        Ok(0) | Err(_) => Err(PolicyError::Argument(argument.to_owned())),
        Ok(number) => Ok(Some(number)),
    }
}

/// A situation, counted: what both policies decide on.
struct Spread {
    /// Devices with a copy that counts.
    on: BTreeSet<DevId>,
    /// Their hosts.
    hosts_on: BTreeSet<HostId>,
    /// Devices that are not dead.
    devices: usize,
    /// Hosts with at least one device whose state is alive; the host's own state is ignored, as in the original.
    hosts: usize,
    /// Devices that could take a copy.
    candidates: Vec<PolicyDevice>,
}

impl Spread {
    fn of(situation: &Situation<'_>) -> Spread {
        let living = || {
            let devices = situation.devices.iter();
            devices.filter(|device| device.status != DeviceStatus::Dead)
        };
        let has_copy = |device: &PolicyDevice| situation.on.contains(&device.id);
        let alive_hosts: BTreeSet<HostId> = living()
            .filter(|device| device.status == DeviceStatus::Alive)
            .map(|device| device.host)
            .collect();
        Spread {
            on: living().filter(|d| has_copy(d)).map(|d| d.id).collect(),
            hosts_on: living().filter(|d| has_copy(d)).map(|d| d.host).collect(),
            devices: living().count(),
            hosts: alive_hosts.len(),
            candidates: living()
                .filter(|d| d.takes_files && !has_copy(d) && !situation.failed.contains(&d.id))
                .copied()
                .collect(),
        }
    }

    /// The devices of `candidates` for which `wanted` holds.
    fn candidates(&self, wanted: impl Fn(&PolicyDevice) -> bool) -> Vec<DevId> {
        self.candidates
            .iter()
            .filter(|device| wanted(device))
            .map(|device| device.id)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_with_blanks_anywhere() {
        for (text, expected) in [
            ("", PolicySpec::MultipleHosts { copies: None }),
            ("MultipleHosts()", PolicySpec::MultipleHosts { copies: None }),
            (
                " MultipleHosts ( 3 ) ",
                PolicySpec::MultipleHosts { copies: Some(3) },
            ),
            (
                "MultipleDevices(2)",
                PolicySpec::MultipleDevices { copies: Some(2) },
            ),
            (
                "MogileFS::ReplicationPolicy::MultipleDevices()",
                PolicySpec::MultipleDevices { copies: None },
            ),
            (
                "Union(MultipleHosts(2), MultipleDevices(3))",
                PolicySpec::MultipleHosts { copies: Some(3) },
            ),
            (
                "Union(MultipleDevices(), Union(MultipleDevices()))",
                PolicySpec::MultipleDevices { copies: None },
            ),
        ] {
            assert_eq!(PolicySpec::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_follow_is_refused() {
        for (text, expected) in [
            ("MultipleHosts", PolicyError::Grammar),
            ("MultipleHosts(2", PolicyError::Grammar),
            ("(2)", PolicyError::Grammar),
            ("MultipleHosts(0)", PolicyError::Argument("0".into())),
            ("MultipleHosts(two)", PolicyError::Argument("two".into())),
            ("MultipleHosts(256)", PolicyError::Argument("256".into())),
            ("Union()", PolicyError::Grammar),
            ("Union(MultipleHosts(), MultipleDevices(3))", PolicyError::Mixed),
            (
                "Union(MultipleHosts(2), Nosuch(1, 2))",
                PolicyError::Unknown("Nosuch".into()),
            ),
            (
                "HostsPerNetwork(a=1)",
                PolicyError::Unknown("HostsPerNetwork".into()),
            ),
        ] {
            assert_eq!(PolicySpec::parse(text), Err(expected), "{text}");
        }
    }
}
