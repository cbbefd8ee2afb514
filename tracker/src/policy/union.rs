//! `Union`: what each of several policies wants (the original takes it, and never replicates by it).

use std::collections::{BTreeMap, BTreeSet};

use mogul_storage::DevId;

use super::{PolicySpec, spread::Missing, sum};
use crate::model::ZoneName;

/// What is missing where these policies each miss something: best is a device that helps all of them, then one that helps some.
pub(super) fn missing(lacking: &[Missing]) -> Option<Missing> {
    if lacking.is_empty() {
        return None;
    }
    let ideals = || {
        lacking
            .iter()
            .map(|part| &part.ideal)
            .filter(|ideal| !ideal.is_empty())
    };
    let helpful: BTreeSet<DevId> = ideals().flatten().copied().collect();
    let helps_all = |device: &DevId| ideals().all(|ideal| ideal.contains(device));
    let best: Vec<DevId> = helpful.iter().copied().filter(helps_all).collect();
    let ideal: Vec<DevId> = if best.is_empty() {
        helpful.into_iter().collect()
    } else {
        best
    };
    let desperate: BTreeSet<DevId> = lacking.iter().flat_map(|part| &part.desperate).copied().collect();
    let desperate = desperate.into_iter().filter(|device| !ideal.contains(device));
    Some(Missing {
        desperate: desperate.collect(),
        ideal,
    })
}

/// The fewest copies that can be all that these policies want.
pub(super) fn copies(policies: &[PolicySpec], mindevcount: u8) -> u8 {
    let mut most = 1;
    let mut in_zones: BTreeMap<ZoneName, u8> = BTreeMap::new();
    for policy in policies {
        match policy {
            PolicySpec::HostsPerNetwork { zones } => {
                for (zone, copies) in zones {
                    let wanted = in_zones.entry(zone.clone()).or_default();
                    *wanted = (*wanted).max(*copies);
                }
            }
            PolicySpec::MultipleHosts { .. }
            | PolicySpec::MultipleDevices { .. }
            | PolicySpec::MultipleNetworks { .. }
            | PolicySpec::Union { .. } => most = most.max(policy.copies(mindevcount)),
        }
    }
    most.max(sum(&in_zones))
}
