//! A file that a node fetches from another node by itself: an extension of ours, so that copies do not pass through trackers.
//!
//! The storage port has no authentication, so what a request can make a node do is kept small:
//! - the source is an IP address and a port, never a name, and the path is made of integers, that of the same fid;
//! - the address is one that may itself connect to this node (`trusted.networks`), and no address that only means something
//!   to this machine's neighbours (link-local, where clouds keep their secrets), to many (multicast) or to nobody;
//! - nothing is read before the other side has declared itself a node of ours, and no redirect is followed;
//! - what came is kept only if it is as long as announced and, where the CRC is known, has it.
//!
//! So nobody gets more out of it than he could read and write on the two nodes himself.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroU64,
    sync::{Mutex, PoisonError},
};

use crate::{
    fid::DevId,
    networks::Networks,
    node::Node,
    remote::{RemoteOptions, remote},
};

/// Nodes that connections are kept to.
const SOURCES_MAX: usize = 256;

/// What is to be fetched, and from where. The fid is that of the file to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pull {
    /// The node that has the file.
    pub from: SocketAddr,
    /// Its device.
    pub device: DevId,
    /// Size of the file in bytes.
    pub size: u64,
    /// CRC64/NVME of the file, big-endian, where it is known.
    pub crc64: Option<[u8; 8]>,
    /// How fast it may be fetched at most, if there is a limit.
    pub bytes_per_second: Option<NonZeroU64>,
}

impl Pull {
    /// The query that asks for it.
    pub(crate) fn query(&self) -> String {
        let mut query = format!("pull&from={}&dev={}&size={}", self.from, self.device, self.size);
        if let Some(crc64) = self.crc64 {
            query.push_str("&crc64nvme=");
            query.push_str(&hex::encode(crc64));
        }
        if let Some(rate) = self.bytes_per_second {
            query.push_str("&rate=");
            query.push_str(&rate.to_string());
        }
        query
    }

    /// Reads a query; nothing if it is malformed.
    pub(crate) fn parse(query: &str) -> Option<Pull> {
        let fields = query.strip_prefix("pull&")?;
        let field = |name: &str| {
            let mut fields = fields.split('&').filter_map(|field| field.split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        Some(Pull {
            from: field("from")?.parse().ok()?,
            device: DevId::new(field("dev")?.parse().ok()?)?,
            size: field("size")?.parse().ok()?,
            crc64: match field("crc64nvme") {
                Some(text) => Some(hex::decode(text).ok()?.try_into().ok()?),
                None => None,
            },
            bytes_per_second: match field("rate") {
                Some(text) => Some(text.parse().ok()?),
                None => None,
            },
        })
    }
}

/// Where a node may fetch files from.
#[derive(Debug)]
pub struct Pulls {
    networks: Networks,
    sources: Mutex<BTreeMap<SocketAddr, Node>>,
}

impl Pulls {
    /// From nodes in these networks, which are those that may connect to this one.
    #[must_use]
    pub fn from_networks(networks: Networks) -> Pulls {
        Pulls {
            networks,
            sources: Mutex::default(),
        }
    }

    /// The node at an address, if files may be fetched from there.
    pub(crate) fn source(&self, from: SocketAddr) -> Option<Node> {
        if from.port() == 0 || !self.networks.admits(from.ip()) || !is_ordinary(from.ip()) {
            return None;
        }
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&from) {
            sources.clear();
        }
        let node = sources
            .entry(from)
            .or_insert_with(|| remote(&from.ip().to_string(), from.port(), &RemoteOptions::default()));
        Some(node.clone())
    }
}

/// Whether an address is that of one machine, as seen from all of the network.
fn is_ordinary(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            !(address.is_unspecified()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast())
        }
        IpAddr::V6(address) => {
            !(address.is_unspecified() || address.is_unicast_link_local() || address.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull() -> Pull {
        Pull {
            from: "10.0.0.2:7500".parse().unwrap(),
            device: DevId::new(3).unwrap(),
            size: 4096,
            crc64: Some([1, 2, 3, 4, 5, 6, 7, 0xff]),
            bytes_per_second: NonZeroU64::new(1_000_000),
        }
    }

    #[test]
    fn what_is_asked_is_understood() {
        let plain = Pull {
            from: "[fd00::2]:7500".parse().unwrap(),
            crc64: None,
            bytes_per_second: None,
            ..pull()
        };
        for asked in [pull(), plain] {
            assert_eq!(Pull::parse(&asked.query()), Some(asked));
        }
    }

    #[test]
    fn a_source_is_an_address_and_nothing_else() {
        for query in [
            "pull",
            "pull&from=10.0.0.2:7500&dev=3",
            "pull&from=node2:7500&dev=3&size=1",
            "pull&from=10.0.0.2&dev=3&size=1",
            "pull&from=10.0.0.2:7500/secret&dev=3&size=1",
            "pull&from=http://10.0.0.2:7500&dev=3&size=1",
            "pull&from=10.0.0.2:7500&dev=../3&size=1",
            "pull&from=10.0.0.2:7500&dev=3&size=1&crc64nvme=00",
            "pull&from=10.0.0.2:7500&dev=3&size=1&rate=0",
        ] {
            assert_eq!(Pull::parse(query), None, "{query}");
        }
    }

    #[test]
    fn files_are_fetched_from_nodes_that_may_connect_and_from_nowhere_else() {
        let open = Pulls::from_networks(Networks::default());
        let closed = Pulls::from_networks(Networks::new(vec!["10.0.0.0/8".parse().unwrap()]));
        for (from, by_open, by_closed) in [
            ("10.0.0.2:7500", true, true),
            ("192.168.0.2:7500", true, false),
            ("10.0.0.2:0", false, false),
            ("169.254.169.254:80", false, false),
            ("[fe80::1]:7500", false, false),
            ("[::ffff:169.254.169.254]:80", false, false),
            ("0.0.0.0:7500", false, false),
            ("224.0.0.1:7500", false, false),
            ("255.255.255.255:7500", false, false),
        ] {
            let from = from.parse().unwrap();
            assert_eq!(open.source(from).is_some(), by_open, "{from}");
            assert_eq!(closed.source(from).is_some(), by_closed, "{from}");
        }
    }
}
