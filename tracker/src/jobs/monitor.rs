//! Looks at the devices and publishes what it saw.
//!
//! All devices at once, each with a deadline of its own, each published when it has answered: a node that hangs delays
//! nobody else. Where others share the database, the round also reads what they have changed.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future, future::Either, stream::FuturesUnordered};
use mogul_storage::{DevId, Node, usage::Usage};

use super::{Job, JobName, Next};
use crate::{
    Error, Sharing, Tracker,
    meta::devices::{self, Fill},
    model::Timestamp,
    view::{DeviceView, Observed},
};

/// How long a node may take to tell how full a device is (MogileFS `conn_timeout`).
const DEADLINE: Duration = Duration::from_secs(2);
/// How often the figures of a device are written to its row.
const RECORD_EVERY: Duration = Duration::from_secs(15);
/// How often the devices are looked at, as in MogileFS.
pub const PERIOD: Duration = Duration::from_millis(2500);

/// Bytes of a MiB, in which `device` counts.
const MIB: u64 = 1 << 20;

/// The job.
#[derive(Clone)]
pub struct Monitor(Tracker);

impl Monitor {
    /// The monitor of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Monitor {
        Monitor(tracker.clone())
    }

    /// Looks at all devices once, and writes down what is due.
    ///
    /// # Errors
    /// [`Error::Database`]; what was seen is published all the same.
    pub async fn observe(&self) -> Result<(), Error> {
        let view = self.0.view();
        let mut looks: FuturesUnordered<_> = view
            .devices()
            .filter(|device| device.probed())
            .map(|device| self.look(device))
            .collect();
        let mut fills = Vec::new();
        while let Some((device, usage)) = looks.next().await {
            let (observed, free) = match &usage {
                Some(usage) => (Observed::Reachable, Some(usage.available_bytes)),
                None => (Observed::Unreachable, None),
            };
            self.0
                .0
                .view
                .update(|view| view.with_observation(device, observed, free));
            fills.extend(usage.and_then(|usage| self.due(device, &usage)));
        }
        if fills.is_empty() {
            return Ok(());
        }
        let fills = Arc::new(fills);
        let write = self.0.db().write(move |tx| {
            let fills = Arc::clone(&fills);
            Box::pin(async move { devices::devices_filled(tx, &fills).await })
        });
        write.await?;
        self.0.refresh_devices().await
    }

    /// Asks a node about a device; `None` if there is no answer in time.
    async fn look(&self, view: &DeviceView) -> (DevId, Option<Usage>) {
        let device = view.device.id;
        let Some(node) = self.0.nodes().get(device) else {
            return (device, None);
        };
        match self.ask(&node, device).await {
            Ok(usage) => (device, Some(usage)),
            Err(error) => {
                if view.observed != Observed::Unreachable {
                    tracing::warn!(devid = device.get(), error, "device became unreachable");
                }
                (device, None)
            }
        }
    }

    async fn ask(&self, node: &Node, device: DevId) -> Result<Usage, String> {
        let asked = std::pin::pin!(node.usage(device));
        match future::select(asked, self.0.clock().sleep(DEADLINE)).await {
            Either::Left((answer, _)) => answer.map_err(|error| error.to_string()),
            Either::Right(_) => Err("no answer in time".to_owned()),
        }
    }

    /// The figures of a device, if they are to be written now.
    fn due(&self, device: DevId, usage: &Usage) -> Option<Fill> {
        let view = self.0.view();
        let before = view.device(device)?.device.mb_asof;
        let now = self.0.now();
        let due = before.is_none_or(|asof| Timestamp::from_secs(asof).after(RECORD_EVERY) <= now);
        due.then_some(Fill {
            device,
            mb_total: usage.total_bytes / MIB,
            mb_used: usage.used_bytes / MIB,
            asof: now.secs(),
        })
    }
}

impl Job for Monitor {
    const NAME: JobName = JobName::Monitor;

    async fn step(&mut self) -> Result<Next, Error> {
        match self.0.sharing() {
            Sharing::Alone => self.0.refresh_devices().await?,
            Sharing::Shared => self.0.refresh_all().await?,
        }
        self.observe().await?;
        Ok(Next::Idle)
    }
}
