//! `HostsPerNetwork`: so many copies in each of the zones it names, there spread over hosts as by `MultipleHosts`
//! (the distribution `MogileFS-Network`).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    multiple_hosts,
    spread::{Missing, Spread},
};
use crate::model::ZoneName;

/// What is missing in the zones, if anything is. While a zone can take none, a copy elsewhere is better than nothing.
pub(super) fn missing(zones: &BTreeMap<ZoneName, u8>, spread: &Spread<'_>) -> Option<Missing> {
    let in_zone = |(zone, copies): (&ZoneName, &u8)| {
        multiple_hosts::missing(usize::from(*copies), &spread.within(zone))
    };
    let lacking: Vec<Missing> = zones.iter().filter_map(in_zone).collect();
    if lacking.is_empty() {
        return None;
    }
    let wanted: usize = zones.values().map(|copies| usize::from(*copies)).sum();
    let ideal: Vec<_> = lacking.iter().flat_map(|zone| &zone.ideal).copied().collect();
    let mut desperate: Vec<_> = lacking.iter().flat_map(|zone| &zone.desperate).copied().collect();
    if spread.on.len() < wanted && desperate.is_empty() {
        let chosen: BTreeSet<_> = ideal.iter().copied().collect();
        desperate = spread.candidates(|device| !chosen.contains(&device.id));
    }
    Some(Missing { ideal, desperate })
}
