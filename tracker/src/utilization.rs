//! How busy the disks of the devices are, as their nodes tell it (mogilefs.md §7, §24.2).
//!
//! It changes every second and decides little: which copy a client is offered first. So it is kept beside the view, which is
//! not swapped for it.

use std::{collections::BTreeMap, time::Duration};

use arc_swap::ArcSwap;
use mogul_storage::{
    DevId,
    utilization::{Report, Utilization},
};

use crate::{
    Tracker,
    model::{HostId, Timestamp},
};

/// How long a figure counts. Nodes tell it every second.
const FRESH: Duration = Duration::from_secs(10);

/// The last figures of all devices.
#[derive(Debug, Default)]
pub(crate) struct Utilizations(ArcSwap<BTreeMap<DevId, (Utilization, Timestamp)>>);

impl Tracker {
    /// Takes note of what a host tells of its devices; what it tells of others does not count.
    pub fn utilization_told(&self, host: HostId, report: &Report) {
        let view = self.view();
        let mut its = report.clone();
        its.retain(|device, _| view.device(*device).is_some_and(|view| view.device.host == host));
        self.utilization_seen(&its);
    }

    /// Takes note of how busy devices are. One that is said to be unknown is; what is not in the report stays as it was.
    pub fn utilization_seen(&self, seen: &Report) {
        let (view, now) = (self.view(), self.now());
        self.0.utilizations.0.rcu(|before| {
            let mut all = (**before).clone();
            // What has left the cluster is not kept.
            all.retain(|device, _| view.device(*device).is_some() && !seen.contains_key(device));
            let known = seen
                .iter()
                .filter_map(|(device, busy)| Some((*device, ((*busy)?, now))));
            all.extend(known);
            all
        });
    }

    /// How busy the disk of a device has been in the last second, if its node told so lately.
    #[must_use]
    pub fn utilization(&self, device: DevId) -> Option<Utilization> {
        let all = self.0.utilizations.0.load();
        let (utilization, at) = all.get(&device)?;
        (at.until(self.now()) < FRESH).then_some(*utilization)
    }
}
