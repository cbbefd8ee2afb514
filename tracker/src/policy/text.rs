//! Policies as text, in MogileFS's grammar: `Name(args)`, blanks allowed anywhere (`MogileFS/ReplicationPolicy.pm`).

use std::{collections::BTreeMap, fmt};

use super::PolicySpec;
use crate::model::ZoneName;

/// The text of a policy that can be kept, as an operator wrote it: what `class.replpolicy` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText(String);

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
    /// The policy takes one optional number from 1 to 255.
    #[error("{0} is not a number of copies from 1 to 255")]
    Argument(String),
    /// The policy takes zones with a number of copies each.
    #[error("{0} is not a zone with its copies, as in near=2, or the zone was named before")]
    Zone(String),
    /// The zones of a policy ask for more copies than a file can have.
    #[error("a file has 255 copies at most")]
    TooMany,
}

impl PolicyText {
    /// Longest text in characters (`class.replpolicy` is a VARCHAR(255)).
    pub const CHARS_MAX: usize = 255;

    /// Checks a text.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<PolicyText, PolicyError> {
        PolicySpec::parse(text)?;
        Ok(PolicyText(text.to_owned()))
    }
}

impl fmt::Display for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PolicySpec {
    /// Reads a policy; the empty text is [`PolicySpec::DEFAULT`].
    ///
    /// # Errors
    /// [`PolicyError`]: a class with a policy that nobody can follow would never be replicated, so it is refused.
    pub fn parse(text: &str) -> Result<PolicySpec, PolicyError> {
        if text.chars().count() > PolicyText::CHARS_MAX {
            return Err(PolicyError::TooLong);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if text.is_empty() {
            return Ok(PolicySpec::DEFAULT);
        }
        let (name, rest) = text.split_once('(').ok_or(PolicyError::Grammar)?;
        let arguments = rest.strip_suffix(')').ok_or(PolicyError::Grammar)?;
        match name.strip_prefix("MogileFS::ReplicationPolicy::").unwrap_or(name) {
            "MultipleHosts" => Ok(PolicySpec::MultipleHosts {
                copies: copies(arguments)?,
            }),
            "MultipleDevices" => Ok(PolicySpec::MultipleDevices {
                copies: copies(arguments)?,
            }),
            "MultipleNetworks" => Ok(PolicySpec::MultipleNetworks {
                copies: copies(arguments)?,
            }),
            "HostsPerNetwork" => hosts_per_network(arguments),
            "Union" => union(arguments),
            "" => Err(PolicyError::Grammar),
            unknown => Err(PolicyError::Unknown(unknown.to_owned())),
        }
    }
}

/// Reads the one optional number of copies.
fn copies(argument: &str) -> Result<Option<u8>, PolicyError> {
    if argument.is_empty() {
        return Ok(None);
    }
    let number = number(argument);
    let number = number.ok_or_else(|| PolicyError::Argument(argument.to_owned()))?;
    Ok(Some(number))
}

fn number(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number| *number != 0)
}

/// Reads `zone=n, …`.
fn hosts_per_network(arguments: &str) -> Result<PolicySpec, PolicyError> {
    let mut zones = BTreeMap::new();
    let mut sum = 0_u8;
    for part in parts(arguments) {
        let wrong = || PolicyError::Zone(part.to_owned());
        let (zone, copies) = part.split_once('=').ok_or_else(wrong)?;
        let zone = ZoneName::parse(zone).ok_or_else(wrong)?;
        let copies = number(copies).ok_or_else(wrong)?;
        sum = sum.checked_add(copies).ok_or(PolicyError::TooMany)?;
        if zones.insert(zone, copies).is_some() {
            return Err(wrong());
        }
    }
    if zones.is_empty() {
        return Err(PolicyError::Grammar);
    }
    Ok(PolicySpec::HostsPerNetwork { zones })
}

/// Reads `P1, P2, …`; a union in a union is its parts.
fn union(arguments: &str) -> Result<PolicySpec, PolicyError> {
    let mut all = Vec::new();
    for part in parts(arguments) {
        let policy = PolicySpec::parse(part)?;
        if let PolicySpec::Union { policies } = policy {
            all.extend(policies);
        } else {
            all.push(policy);
        }
    }
    match all.len() {
        0 => Err(PolicyError::Grammar),
        1 => Ok(all.remove(0)),
        _ => Ok(PolicySpec::Union { policies: all }),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(copies: Option<u8>) -> PolicySpec {
        PolicySpec::MultipleHosts { copies }
    }

    fn devices(copies: Option<u8>) -> PolicySpec {
        PolicySpec::MultipleDevices { copies }
    }

    fn zones(zones: &[(&str, u8)]) -> PolicySpec {
        let named = |(name, copies): &(&str, u8)| (ZoneName::parse(name).unwrap(), *copies);
        PolicySpec::HostsPerNetwork {
            zones: zones.iter().map(named).collect(),
        }
    }

    fn union(policies: Vec<PolicySpec>) -> PolicySpec {
        PolicySpec::Union { policies }
    }

    #[test]
    fn policies_are_read_with_blanks_anywhere() {
        for (text, expected) in [
            ("", hosts(None)),
            ("MultipleHosts()", hosts(None)),
            (" MultipleHosts ( 3 ) ", hosts(Some(3))),
            ("MultipleDevices(2)", devices(Some(2))),
            ("MogileFS::ReplicationPolicy::MultipleDevices()", devices(None)),
            (
                "MultipleNetworks( 3 )",
                PolicySpec::MultipleNetworks { copies: Some(3) },
            ),
            (
                "HostsPerNetwork(near = 2, far=1)",
                zones(&[("near", 2), ("far", 1)]),
            ),
            (
                "Union(MultipleHosts(2), MultipleDevices(3))",
                union(vec![hosts(Some(2)), devices(Some(3))]),
            ),
            (
                "Union(MultipleHosts(), HostsPerNetwork(near=1,far=1))",
                union(vec![hosts(None), zones(&[("near", 1), ("far", 1)])]),
            ),
            (
                "Union(MultipleDevices(), Union(MultipleHosts(), MultipleDevices(2)))",
                union(vec![devices(None), hosts(None), devices(Some(2))]),
            ),
            ("Union(MultipleHosts(2))", hosts(Some(2))),
        ] {
            assert_eq!(PolicySpec::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_follow_is_refused() {
        let zone = |text: &str| PolicyError::Zone(text.into());
        for (text, expected) in [
            ("MultipleHosts", PolicyError::Grammar),
            ("MultipleHosts(2", PolicyError::Grammar),
            ("(2)", PolicyError::Grammar),
            ("MultipleHosts(0)", PolicyError::Argument("0".into())),
            ("MultipleHosts(two)", PolicyError::Argument("two".into())),
            ("MultipleHosts(256)", PolicyError::Argument("256".into())),
            ("MultipleNetworks(0)", PolicyError::Argument("0".into())),
            ("HostsPerNetwork()", PolicyError::Grammar),
            ("HostsPerNetwork(near)", zone("near")),
            ("HostsPerNetwork(near=0)", zone("near=0")),
            ("HostsPerNetwork(near=1,near=1)", zone("near=1")),
            ("HostsPerNetwork(=1)", zone("=1")),
            ("HostsPerNetwork(near=200,far=100)", PolicyError::TooMany),
            ("Union()", PolicyError::Grammar),
            (
                "Union(MultipleHosts(2), Nosuch(1, 2))",
                PolicyError::Unknown("Nosuch".into()),
            ),
            ("Nosuch()", PolicyError::Unknown("Nosuch".into())),
        ] {
            assert_eq!(PolicySpec::parse(text), Err(expected), "{text}");
        }
        let long = format!("MultipleHosts({})", " ".repeat(255));
        assert_eq!(PolicySpec::parse(&long), Err(PolicyError::TooLong));
    }
}
