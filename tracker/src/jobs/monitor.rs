//! Looks at the devices and publishes what it saw.
//!
//! All devices at once, each with a deadline of its own, each published when it has answered: a node that hangs delays
//! nobody else. Devices of other processes are written to now and then, for some fail only then. Where others share the
//! database, the job also reads what they have changed: at the start of a round, while nodes let it wait every [`PERIOD`],
//! and at the end of a round that took long, so that what this process knows of the cluster is never much older than that.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, future, future::Either, stream::FuturesUnordered};
use mogul_storage::{
    DevId, Mark, Marking, Node, NodeError,
    node::{Trial, TrialFolder, Tried},
    usage::Usage,
};

use super::{
    Job, JobName, Next, Pace,
    marks::{FirstUse, Verdict, judge},
};
use crate::{
    Error, Sharing, Tracker,
    command::settings::SKIP_MKCOL,
    error::chain,
    meta::{
        devices::{self, Fill},
        lock, marks,
    },
    model::{Refusal, Timestamp},
    pace::ClientTime,
    view::{DeviceView, Figures, Observation, Observed},
};

/// How long a node may take to tell how full a device is (MogileFS `conn_timeout`).
pub(super) const DEADLINE: Duration = Duration::from_secs(2);
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
/// A round that takes no longer than this adds so much to [`PERIOD`] for whoever waits for news; after others the news is read.
const SHORT: Duration = Duration::from_millis(500);
/// How often the devices are looked at, as in MogileFS.
pub const PERIOD: Duration = Duration::from_millis(2500);

/// Bytes of a MiB, in which `device` counts.
const MIB: u64 = 1 << 20;

/// What came of a look at a device.
enum Looked<'v> {
    /// It is not used, and that is published.
    Away,
    /// It is used, and that is published.
    Used(DevId, Usage),
    /// It would be used for the first time: its node tells of this mark.
    New(&'v DeviceView, Usage, Marking),
}

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
        let (mut fills, mut new, mut marked) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(looked) = looks.next().await {
            match looked {
                Looked::Away => {}
                Looked::Used(device, usage) => fills.extend(self.due(device, &usage)),
                Looked::New(device, usage, told) => new.push((device, usage, told)),
            }
        }
        let seen = new.iter().map(|(device, _, told)| (device.device.id, told));
        self.adopt_name(seen).await?;
        for (device, usage, told) in new {
            match self.first_use(device, &told).await? {
                FirstUse::Marked(mark) => marked.push(mark),
                FirstUse::Unmarked => {}
                FirstUse::Refused(refusal) => {
                    self.refuse(device, refusal);
                    continue;
                }
            }
            self.use_device(device, &usage).await;
            fills.extend(self.due(device.device.id, &usage));
        }
        self.record_marks(marked).await?;
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

    /// Reads what other processes have changed, every period, until that fails.
    async fn keep_fresh(&self) -> Error {
        loop {
            self.0.clock().sleep(PERIOD).await;
            if let Err(failed) = self.0.refresh_all().await {
                return failed;
            }
        }
    }

    /// Looks at a device and publishes what it saw, but of one that is used for the first time.
    async fn look<'v>(&self, before: &'v DeviceView) -> Looked<'v> {
        let device = before.device.id;
        let Some(node) = self.0.nodes().get(device) else {
            self.publish(device, unreachable());
            return Looked::Away;
        };
        let (usage, told) = match self.in_time(DEADLINE, node.look(device)).await {
            Ok(seen) => seen,
            Err(NodeError::NoDevice) if before.device.mark.is_some() => {
                self.refuse(before, Refusal::NotThere);
                return Looked::Away;
            }
            Err(error) => {
                if before.observed != Observed::Unreachable {
                    tracing::warn!(
                        devid = device.get(),
                        error = chain(&error),
                        "device became unreachable"
                    );
                }
                self.publish(device, unreachable());
                return Looked::Away;
            }
        };
        match judge(&before.device, &told) {
            Verdict::New => Looked::New(before, usage, told),
            Verdict::Refused(refusal) => {
                self.refuse(before, refusal);
                Looked::Away
            }
            Verdict::Known => {
                self.use_device(before, &usage).await;
                Looked::Used(device, usage)
            }
        }
    }

    /// Puts marks on record, and from then on asks for these disks alone.
    async fn record_marks(&self, marked: Vec<Mark>) -> Result<(), Error> {
        if marked.is_empty() {
            return Ok(());
        }
        let (marked, now) = (Arc::new(marked), self.0.now());
        let write = self.0.db().write(move |tx| {
            let marked = Arc::clone(&marked);
            Box::pin(async move {
                for mark in &*marked {
                    marks::mark_recorded(tx, mark, now).await?;
                }
                Ok(())
            })
        });
        write.await?;
        self.0.refresh_devices().await
    }

    /// Publishes that the disk in a device's place is not used.
    fn refuse(&self, before: &DeviceView, refusal: Refusal) {
        if before.refused != Some(refusal) {
            tracing::error!(devid = before.device.id.get(), reason = %refusal, "device refused; docs/cluster.md says what to do");
        }
        let seen = Observation {
            refused: Some(refusal),
            ..unreachable()
        };
        self.publish(before.device.id, seen);
    }

    /// Sees whether a device takes files, and publishes it.
    async fn use_device(&self, before: &DeviceView, usage: &Usage) {
        let device = before.device.id;
        let figures = self.age(before, usage);
        let mut seen = Observation {
            state: before.observed,
            free_bytes: self.believes(before, figures).then_some(usage.available_bytes),
            tried: before.tried,
            clients: usage.clients.map(|spent| ClientTime {
                spent,
                at: self.0.now(),
            }),
            figures: Some(figures),
            ..Observation::default()
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
            && let Some(node) = self.0.nodes().get(device)
        {
            self.try_writing(&node, before, &mut seen).await;
        }
        self.publish(device, seen);
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
            tracing::warn!(
                devid = device.get(),
                error = chain(error),
                "device takes no files"
            );
        }
        seen.rejects_bad_md5 = tried.ok().flatten().flatten();
    }

    fn publish(&self, device: DevId, seen: Observation) {
        self.0.0.view.update(|view| view.with_observation(device, seen));
    }

    /// What the monitor belongs to.
    pub(super) fn tracker(&self) -> &Tracker {
        &self.0
    }

    pub(super) async fn in_time<T>(
        &self,
        deadline: Duration,
        asked: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let asked = pin!(asked);
        match future::select(asked, self.0.clock().sleep(deadline)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(NodeError::Unreachable("no answer in time".into())),
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
            Sharing::Alone => {
                self.0.refresh_devices().await?;
                self.observe().await?;
            }
            Sharing::Shared => {
                self.0.refresh_all().await?;
                let read = self.0.now();
                let (round, fresh) = (pin!(self.observe()), pin!(self.keep_fresh()));
                match future::select(round, fresh).await {
                    Either::Left((seen, _)) => seen?,
                    Either::Right((failed, _)) => return Err(failed),
                }
                if read.until(self.0.now()) > SHORT {
                    self.0.refresh_all().await?;
                }
            }
        }
        Ok(Next::Idle)
    }

    fn pace(&self) -> Pace {
        Pace::Urgent
    }
}
