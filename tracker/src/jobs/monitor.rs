//! Looks at the devices and publishes what it saw.
//!
//! All devices at once, each with a deadline of its own, each published when it has answered: a node that hangs delays
//! nobody else. Devices of other processes are written to now and then, for some fail only then. Where others share the database, the round also reads what they have changed.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, future, future::Either, stream::FuturesUnordered};
use mogul_storage::{
    DevId, Node, NodeError,
    node::{Trial, TrialFolder, Tried},
    usage::Usage,
};

use super::{Job, JobName, Next, Pace};
use crate::{
    Error, Sharing, Tracker,
    command::settings::SKIP_MKCOL,
    meta::{
        devices::{self, Fill},
        lock,
    },
    model::Timestamp,
    pace::ClientTime,
    view::{DeviceView, Figures, Observation, Observed},
};

/// How long a node may take to tell how full a device is (MogileFS `conn_timeout`).
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a node may take for all files that are written to see whether it takes any. Its disk may be busy and sync them; but
/// the next round waits for it.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How often it is tried whether a device of another process takes files.
const TRY_EVERY: Duration = Duration::from_secs(15);
/// Names of the files that are written for it: several trackers seldom use the same at once.
const TRIAL_NAMES: u64 = 100;
/// How long a device may tell the same figures of its space before it takes no new files.
const FROZEN: Duration = Duration::from_mins(2);
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
        Monitor(tracker.at_work())
    }

    /// Looks at all devices once, and writes down what is due.
    ///
    /// # Errors
    /// [`Error::Database`]; what was seen is published all the same.
    pub async fn observe(&self) -> Result<(), Error> {
        let view = self.0.view();
        self.observe_those(view.devices()).await
    }

    /// As [`Monitor::observe`], for some devices.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn observe_some(&self, devices: &[DevId]) -> Result<(), Error> {
        let view = self.0.view();
        self.observe_those(devices.iter().filter_map(|device| view.device(*device)))
            .await
    }

    async fn observe_those<'v>(&self, devices: impl Iterator<Item = &'v DeviceView>) -> Result<(), Error> {
        let mut looks: FuturesUnordered<_> = devices
            .filter(|device| device.probed())
            .map(|device| self.look(device))
            .collect();
        let mut fills = Vec::new();
        while let Some((device, usage)) = looks.next().await {
            fills.extend(usage.and_then(|usage| self.due(device, &usage)));
        }
        if fills.is_empty() {
            return Ok(());
        }
        // Another tracker that is just writing has seen the same.
        let Some(turn) = self.0.locks().named(lock::DEVICE_UPDATE).await? else {
            return Ok(());
        };
        let fills = Arc::new(fills);
        let write = self.0.db().write(move |tx| {
            let fills = Arc::clone(&fills);
            Box::pin(async move { devices::devices_filled(tx, &fills).await })
        });
        write.await?;
        turn.release().await;
        self.0.refresh_devices().await
    }

    /// Looks at a device and publishes what it saw; answers how full it is if it tells in time.
    async fn look(&self, before: &DeviceView) -> (DevId, Option<Usage>) {
        let device = before.device.id;
        let Some(node) = self.0.nodes().get(device) else {
            self.publish(device, unreachable());
            return (device, None);
        };
        let usage = match self.in_time(DEADLINE, node.usage(device)).await {
            Ok(usage) => usage,
            Err(error) => {
                if before.observed != Observed::Unreachable {
                    tracing::warn!(devid = device.get(), error, "device became unreachable");
                }
                self.publish(device, unreachable());
                return (device, None);
            }
        };
        let figures = self.age(before, &usage);
        let mut seen = Observation {
            state: before.observed,
            free_bytes: self.believes(before, figures).then_some(usage.available_bytes),
            rejects_bad_md5: None,
            tried: before.tried,
            clients: usage.clients.map(|spent| ClientTime {
                spent,
                at: self.0.now(),
            }),
            figures: Some(figures),
        };
        if !before.may_be_written() {
            seen.state = Observed::Readable;
            seen.tried = None;
        } else if self.0.nodes().is_local(device) {
            // Uploads tell soon enough that a disk of this process takes no files.
            seen.state = Observed::Writable;
            seen.rejects_bad_md5 = Some(true);
        } else if seen
            .tried
            .is_none_or(|tried| tried.until(self.0.now()) >= TRY_EVERY)
        {
            self.try_writing(&node, before, &mut seen).await;
        }
        self.publish(device, seen);
        (device, Some(usage))
    }

    /// Since when a device tells these figures.
    fn age(&self, before: &DeviceView, usage: &Usage) -> Figures {
        let same = before.figures.filter(|figures| figures.asof == usage.asof);
        same.unwrap_or(Figures {
            asof: usage.asof,
            seen: self.0.now(),
        })
    }

    /// Whether figures are good for choosing devices by. An original node reads them every ten seconds and goes on telling the
    /// last ones when it cannot; ours reads them when it is asked, and one that tells no time has to be believed.
    fn believes(&self, before: &DeviceView, figures: Figures) -> bool {
        let device = before.device.id;
        if figures.asof == 0 || self.0.nodes().is_local(device) {
            return true;
        }
        let fresh = figures.seen.until(self.0.now()) < FROZEN;
        if !fresh && before.free_bytes.is_some() {
            tracing::warn!(
                devid = device.get(),
                asof = figures.asof,
                "device tells old figures of its space: it takes no files"
            );
        }
        fresh
    }

    /// Writes small files to a device of another process, and reads one back (mogilefs.md §7).
    async fn try_writing(&self, node: &Node, before: &DeviceView, seen: &mut Observation) {
        let device = before.device.id;
        let number = self.0.entropy().next_u64() % TRIAL_NAMES;
        let trial = Trial {
            name: format!("test-write-{number}"),
            text: format!("time={} rand={number}", self.0.now().secs()),
            folder: if self.0.view().setting_is_on(SKIP_MKCOL) {
                TrialFolder::IsThere
            } else {
                TrialFolder::Make
            },
        };
        let tried = async {
            let mut tried = node.try_writing(device, &trial).await?;
            if tried == Tried::Differs {
                // Another tracker may have written under the same name meanwhile.
                tried = node.try_writing(device, &trial).await?;
            }
            match tried {
                Tried::Differs => Ok(None),
                // A node that hangs up on the wrong digest takes files all the same.
                Tried::ReadBack => Ok(Some(node.rejects_bad_md5(device).await.ok())),
            }
        };
        let tried = self.in_time(WRITE_DEADLINE, tried).await;
        seen.tried = Some(self.0.now());
        seen.state = match &tried {
            Ok(Some(_)) => Observed::Writable,
            Ok(None) | Err(_) => Observed::Readable,
        };
        if let (Err(error), false) = (&tried, before.observed == Observed::Readable) {
            tracing::warn!(devid = device.get(), error, "device takes no files");
        }
        seen.rejects_bad_md5 = tried.ok().flatten().flatten();
    }

    fn publish(&self, device: DevId, seen: Observation) {
        self.0.0.view.update(|view| view.with_observation(device, seen));
    }

    async fn in_time<T>(
        &self,
        deadline: Duration,
        asked: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, String> {
        let asked = std::pin::pin!(asked);
        match future::select(asked, self.0.clock().sleep(deadline)).await {
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

/// What is seen of a device that does not answer: when it does again, it is tried at once whether it can be written.
fn unreachable() -> Observation {
    Observation {
        state: Observed::Unreachable,
        ..Observation::default()
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

    fn pace(&self) -> Pace {
        Pace::Urgent
    }
}
