//! `MultipleNetworks`: copies in as many zones as there are, then on different hosts, then on different devices
//! (the distribution `MogileFS-Network`; zones are settings, see [`crate::model::Zones`]).

use std::collections::BTreeSet;

use super::{
    PolicyDevice,
    spread::{Missing, Spread},
};

/// What a file that wants `copies` copies misses, if anything; too many copies, well spread, are enough.
///
/// No more zones are wanted than copies, and no more hosts.
pub(super) fn missing(copies: usize, spread: &Spread<'_>) -> Option<Missing> {
    let (on, zones_on, hosts_on) = (spread.on.len(), spread.zones_on(), spread.hosts_on());
    let more_zones = zones_on.len() < copies.min(spread.zones());
    let more_hosts = hosts_on.len() < copies.min(spread.hosts());
    if (on >= copies && !more_zones && !more_hosts) || spread.is_everywhere() {
        return None;
    }
    let new_zone = |device: &PolicyDevice| !zones_on.contains(&device.zone.as_ref());
    let new_host = |device: &PolicyDevice| !hosts_on.contains(&device.host);
    let (ideal, rest) = if more_zones {
        (spread.candidates(new_zone), spread.candidates(new_host))
    } else if more_hosts {
        (spread.candidates(new_host), Vec::new())
    } else {
        (spread.candidates(|_| true), Vec::new())
    };
    let desperate = if on >= copies {
        Vec::new()
    } else if rest.is_empty() {
        spread.candidates(|_| true)
    } else {
        rest
    };
    let chosen: BTreeSet<_> = ideal.iter().copied().collect();
    let desperate = desperate.into_iter().filter(|device| !chosen.contains(device));
    Some(Missing {
        desperate: desperate.collect(),
        ideal,
    })
}
