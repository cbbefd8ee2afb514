//! Which addresses may connect: the list that guards the ports without authentication (7001, 7500, 7501).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A set of networks. The empty one admits everybody who reaches the port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// Addresses with a common beginning: `10.0.0.0/8`, `10.0.0.0:255.0.0.0`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many leading bits are common.
    length: u32,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is expected, such as 10.0.0.0/8, fd00::/8 or 192.168.1.7")]
pub struct NotANetwork;

impl Networks {
    /// The set of these networks.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Networks {
        Networks(networks)
    }

    /// Whether everybody is admitted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a peer with this address may connect.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        self.is_open() || self.0.iter().any(|network| network.contains(peer))
    }
}

impl Network {
    /// How many leading bits its addresses have in common.
    #[must_use]
    pub fn length(self) -> u32 {
        self.length
    }

    /// Whether an address is in the network. IPv4 in IPv6 form (`::ffff:10.0.0.1`) is IPv4.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let (own, other) = (self.address, address.to_canonical());
        own.is_ipv4() == other.is_ipv4() && (bits(own) ^ bits(other)) & mask(width(own), self.length) == 0
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        if let Ok(address) = text.parse() {
            let length = width(address);
            return Ok(Network { address, length });
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, length.parse().map_err(|_| NotANetwork)?),
            None => masked(text).ok_or(NotANetwork)?,
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let width = width(address);
        if length > width {
            return Err(NotANetwork);
        }
        Ok(Network { address, length })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Splits `10.0.0.0:255.0.0.0`; a mask of which not only the leading bits are set is none.
fn masked(text: &str) -> Option<(&str, u32)> {
    let (address, mask) = text.split_once(':')?;
    let mask: Ipv4Addr = mask.parse().ok()?;
    let length = mask.to_bits().leading_ones();
    (length == mask.to_bits().count_ones()).then_some((address, length))
}

/// Bits of an address of this kind.
fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => Ipv6Addr::BITS,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The leading `length` of `width` bits.
fn mask(width: u32, length: u32) -> u128 {
    let host = width - length;
    let all = u128::MAX >> (u128::BITS - width);
    all & u128::MAX.checked_shl(host).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, address: &str, expected: bool) {
        let network: Network = network.parse().unwrap();
        assert_eq!(
            network.contains(address.parse().unwrap()),
            expected,
            "{address} in {network}"
        );
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.1.2.3/32", "10.1.2.3", true);
        check("10.1.2.3", "10.1.2.4", false);
        check("10.0.0.0:255.0.0.0", "10.255.0.1", true);
        check("10.0.0.0:255.0.0.0", "11.0.0.1", false);
        check("fd00::1", "fd00::1", true);
        check("0.0.0.0/0", "192.168.0.1", true);
        check("0.0.0.0/0", "::1", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("fd00::/8", "fdab::1", true);
        check("fd00::/8", "fe80::1", false);
        check("::/0", "fe80::1", true);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/129",
            "host",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0:255.0.255.0",
            "fd00::/8:255.0.0.0",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }

    #[test]
    fn no_network_at_all_admits_everybody() {
        let anybody = "203.0.113.9".parse().unwrap();

        assert!(Networks::default().admits(anybody));
        assert!(!Networks::new(vec!["10.0.0.0/8".parse().unwrap()]).admits(anybody));
    }
}
