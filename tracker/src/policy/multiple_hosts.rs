//! `MultipleHosts`: copies on different hosts as long as there are hosts, then on different devices
//! (`MogileFS/ReplicationPolicy/MultipleHosts.pm`).

use super::{
    PolicyDevice,
    spread::{Missing, Spread},
};

/// What a file that wants `copies` copies misses, if anything; too many copies, well spread, are enough.
///
/// Two copies on one host while another host could have one ask for a third copy there; after that the file has one
/// too many, and a copy is dropped: this is how copies move apart.
pub(super) fn missing(copies: usize, spread: &Spread<'_>) -> Option<Missing> {
    let (on, hosts_on) = (spread.on.len(), spread.hosts_on());
    let all_hosts_used = hosts_on.len() >= spread.hosts();
    if hosts_on.len() >= copies || (all_hosts_used && on >= copies) || spread.is_everywhere() {
        return None;
    }
    if all_hosts_used {
        return Some(Missing {
            ideal: spread.candidates(|_| true),
            desperate: Vec::new(),
        });
    }
    let is_used = |device: &PolicyDevice| hosts_on.contains(&device.host);
    Some(Missing {
        ideal: spread.candidates(|device| !is_used(device)),
        // What is there already is as good as another copy on a host that has one.
        desperate: if on < copies {
            spread.candidates(is_used)
        } else {
            Vec::new()
        },
    })
}
