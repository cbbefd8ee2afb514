//! Network zones: which hosts are near each other, as the settings `network_zones` and `zone_<name>` say (mogilefs.md §20, §21).

use std::{fmt, net::IpAddr, sync::Arc};

use mogul_storage::networks::Network;

/// The name of a zone; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneName(Arc<str>);

/// All zones with their networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zones(Vec<(Network, ZoneName)>);

impl ZoneName {
    /// Longest name in characters: the setting that holds its networks is `zone_<name>`, in 50.
    pub const CHARS_MAX: usize = 45;

    /// Checks a name: 1 to [`ZoneName::CHARS_MAX`] letters, digits, `_`, `-` and `.`.
    #[must_use]
    pub fn parse(name: &str) -> Option<ZoneName> {
        let fits = !name.is_empty() && name.chars().count() <= Self::CHARS_MAX;
        let plain = name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        (fits && plain).then(|| ZoneName(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Zones {
    /// The zones that the settings describe: `network_zones` names them, each has its networks in `zone_<name>`. What is not
    /// understood is left out, for only a foreign tool can have written it.
    #[must_use]
    pub fn of<'a>(setting: impl Fn(&str) -> Option<&'a str>) -> Zones {
        let names = separated(setting("network_zones").unwrap_or_default());
        let mut networks: Vec<(Network, ZoneName)> = Vec::new();
        for zone in names.filter_map(ZoneName::parse) {
            let listed = setting(&format!("zone_{zone}")).unwrap_or_default();
            let parsed = separated(listed).filter_map(|network| network.parse().ok());
            networks.extend(parsed.map(|network| (network, zone.clone())));
        }
        // The narrowest network that has an address says in which zone it is.
        networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.length()));
        Zones(networks)
    }

    /// The zone of an address. One that no zone has is in that of its neighbours, `10.2.0.0/16`, as in MogileFS, under a name
    /// that no operator can give; a host that is known by a name is in none.
    #[must_use]
    pub fn zone_of(&self, address: &str) -> Option<ZoneName> {
        let address: IpAddr = address.parse().ok()?;
        let found = self.0.iter().find(|(network, _)| network.contains(address));
        match (found, address) {
            (Some((_, zone)), _) => Some(zone.clone()),
            (None, IpAddr::V4(address)) => {
                let [first, second, ..] = address.octets();
                Some(ZoneName(format!("{first}.{second}.0.0/16").into()))
            }
            (None, IpAddr::V6(_)) => None,
        }
    }
}

/// What commas and blanks separate.
pub(crate) fn separated(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|letter: char| letter == ',' || letter.is_whitespace());
    parts.filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(settings: &[(&'static str, &'static str)]) -> Zones {
        Zones::of(|key| {
            settings
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| *value)
        })
    }

    #[test]
    fn the_narrowest_network_says_in_which_zone_a_host_is() {
        let zones = zones(&[
            ("network_zones", "near, far,unset"),
            ("zone_near", "10.0.0.0/8,192.168.0.0/16"),
            ("zone_far", "10.2.0.0:255.255.0.0, nonsense"),
            ("zone_other", "172.16.0.0/12"),
        ]);

        for (address, expected) in [
            ("10.1.0.1", Some("near")),
            ("10.2.0.1", Some("far")),
            ("192.168.7.7", Some("near")),
            ("172.16.0.1", Some("172.16.0.0/16")),
            ("127.0.3.1", Some("127.0.0.0/16")),
            ("fd00::1", None),
            ("node7", None),
        ] {
            let zone = zones.zone_of(address);
            assert_eq!(zone.as_ref().map(ZoneName::as_str), expected, "{address}");
        }
    }

    #[test]
    fn without_settings_neighbours_are_a_zone() {
        for settings in [&[][..], &[("network_zones", "near")]] {
            let zone = zones(settings).zone_of("10.0.7.1");
            assert_eq!(zone.as_ref().map(ZoneName::as_str), Some("10.0.0.0/16"));
        }
        assert_eq!(ZoneName::parse("10.0.0.0/16"), None);
    }
}
