//! Where clients find a copy: the URL of a fid on a device. Pure.
//!
//! A host may have a second address for the clients of another network (mogilefs.md §21): who comes from it, or asks for it,
//! is given that one.

use std::net::IpAddr;

use mogul_storage::{DevFid, networks::Network};

use crate::{
    model::{Host, HostId},
    view::ClusterView,
};

/// Who a URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// Where the request came from.
    pub ip: IpAddr,
    /// Which addresses it wants.
    pub zone: Zone,
}

/// Which of a host's addresses are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The one of the network the client is in.
    OfClient,
    /// The second one, wherever there is one (`zone=alt`).
    Alternative,
}

impl ClusterView {
    /// The URL to read a copy from; `None` if the device or its host is unknown.
    #[must_use]
    pub fn read_url(&self, at: DevFid, reader: Reader) -> Option<String> {
        let host = self.host_of(at)?;
        Some(url(host, host.get_port.unwrap_or(host.port), at, reader))
    }

    /// The URL to write a copy to; `None` if the device or its host is unknown.
    #[must_use]
    pub fn write_url(&self, at: DevFid, reader: Reader) -> Option<String> {
        let host = self.host_of(at)?;
        Some(url(host, host.port, at, reader))
    }

    fn host_of(&self, at: DevFid) -> Option<&Host> {
        let id: HostId = self.device(at.device)?.device.host;
        self.host(id)
    }
}

fn url(host: &Host, port: u16, at: DevFid, reader: Reader) -> String {
    let mut url = String::with_capacity(64);
    url.push_str("http://");
    url.push_str(address(host, reader));
    url.push(':');
    url.push_str(&port.to_string());
    url.push_str(&at.path());
    url
}

/// The address of a host that a client is to use.
fn address(host: &Host, reader: Reader) -> &str {
    let Some(alternative) = &host.alt_ip else {
        return &host.ip;
    };
    let inside = || {
        let mask = host.alt_mask.as_deref();
        mask.is_some_and(|mask| network_has(mask, reader.ip))
    };
    if reader.zone == Zone::Alternative || inside() {
        alternative
    } else {
        &host.ip
    }
}

/// Whether an address lies in `network`; what is no network has nobody in it.
fn network_has(network: &str, ip: IpAddr) -> bool {
    network
        .trim()
        .parse()
        .is_ok_and(|network: Network| network.contains(ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostStatus;

    fn host() -> Host {
        Host {
            id: HostId(1),
            name: "one".to_owned(),
            status: HostStatus::Alive,
            ip: "10.0.0.1".to_owned(),
            port: 7500,
            get_port: Some(7600),
            alt_ip: Some("192.168.0.1".to_owned()),
            alt_mask: Some("127.0.9.0/24".to_owned()),
        }
    }

    #[track_caller]
    fn check(mask: &str, ip: &str, expected: bool) {
        assert_eq!(network_has(mask, ip.parse().unwrap()), expected, "{mask} {ip}");
    }

    #[test]
    fn a_network_has_the_addresses_of_its_mask() {
        check("127.0.9.0/24", "127.0.9.9", true);
        check("127.0.9.0/24", "127.0.8.9", false);
        check("127.0.9.0:255.255.255.0", "127.0.9.9", true);
        check("127.0.9.9", "127.0.9.9", true);
        check("127.0.9.9", "127.0.9.8", false);
        check("0.0.0.0/0", "1.2.3.4", true);
        check("127.0.9.0/24", "::ffff:127.0.9.1", true);
        check("fd00::/8", "fd12::1", true);
        check("nonsense", "127.0.0.1", false);
        check("127.0.9.0/x", "127.0.9.1", false);
    }

    #[test]
    fn a_client_of_the_other_network_is_given_the_other_address() {
        let from = |ip: &str, zone| {
            let reader = Reader {
                ip: ip.parse().unwrap(),
                zone,
            };
            address(&host(), reader).to_owned()
        };

        assert_eq!(from("127.0.0.1", Zone::OfClient), "10.0.0.1");
        assert_eq!(from("127.0.9.3", Zone::OfClient), "192.168.0.1");
        assert_eq!(from("127.0.0.1", Zone::Alternative), "192.168.0.1");
    }
}
