//! Makes the copies that are missing, drops those that are too many (mogilefs.md §10).
//!
//! A step claims a batch of `file_to_replicate` ([`batch`]) and works on many files at once. For each: what devices may hold
//! without record is deleted if the row is suspect ([`crate::meta::queues`]); then the class's policy is asked, and one
//! copy made or dropped, until the policy is content or cannot be served now. Bytes come before rows: copies are put on
//! record after their devices have synced them, in a transaction that finds the files still there.

mod batch;
mod copy;
mod lanes;
mod relocate;
mod spare;

use std::{sync::Arc, time::Duration};

use mogul_storage::{DevFid, DevId, Fid, NodeError};

pub use self::copy::Copied;
pub(crate) use self::lanes::{BANDWIDTH, Lanes, PER_DEVICE, PER_HOST};
pub(super) use self::relocate::Relocated;
use self::{batch::Batch, copy::Carried};
use super::{Done, Job, JobName, Next, Pace};
use crate::{
    Error, Tracker,
    inspect::Known,
    meta::{
        files::{self, FileRow},
        lock::Held,
        queues::{self, Claim, END_OF_TIME, Leftover, Urgency},
        replicas,
    },
    model::DeviceStatus,
    policy::{Advice, PolicySpec, Situation},
    refresh::policy_of,
    view::{ClusterView, DeviceView},
};

/// Copies made or dropped for one file in one step.
const CHANGES_MAX: usize = 32;
/// How often the queue is looked at without a wake.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Bytes a second that the slowest network reaches, and the slowest disk.
pub(super) const SLOWEST: u64 = 1 << 20;
/// Files up to this size in bytes are copied well within an ordinary claim.
const CLAIM_BYTES: u64 = 256 << 20;

/// Waits in seconds after each failure, then the last for ever, as in the original.
const BACK_OFF: [u64; 9] = [15, 60, 300, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400];

/// The job, and how the last step yields to clients.
#[derive(Clone)]
pub struct Replicate(Tracker, Pace);

/// A file that is being worked on, by nobody else.
struct Work {
    claim: Claim,
    /// What makes it so.
    held: Arc<Held>,
    file: FileRow,
    /// What its bytes must be, where that is known.
    digest: Option<Known>,
    /// Devices that have a copy, on record or not yet.
    on: Vec<DevId>,
    /// Those of them that are not on record yet.
    made: Vec<DevId>,
    /// Those of them whose copies were seen to be what the file is, since the work began.
    sound: Vec<DevId>,
    /// Devices that get no copy in this step: they did not take one, or did not answer when one was to be deleted.
    failed: Vec<DevId>,
}

/// What a file's copies are judged by.
struct Rule<'a> {
    policy: PolicySpec,
    mindevcount: u8,
    view: &'a ClusterView,
}

/// How the work on a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There is nothing more to do.
    Done,
    /// Something is missing: a device, a source, room.
    Later,
    /// No copy is on record anywhere.
    Lost,
    /// Nobody has worked on it: it waits as it did before, at least until then (unix seconds).
    Untouched(i64),
}

impl Replicate {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Replicate {
        Replicate(tracker.at_work(), Pace::AfterStep)
    }

    /// Deletes what devices hold of a suspect fid without record. Answers the claim, no longer suspect if all devices that
    /// are not dead have answered; and those that have not, which may delete later what is written to them now.
    async fn without_strays(&self, claim: Claim) -> Result<(Claim, Vec<DevId>), Error> {
        if claim.leftover == Leftover::None {
            return Ok((claim, Vec::new()));
        }
        let view = self.0.view();
        let living = view
            .devices()
            .filter(|view| view.device.status != DeviceStatus::Dead);
        let living: Vec<DevId> = living.map(|view| view.device.id).collect();
        let searched = Claim {
            leftover: Leftover::None,
            ..claim
        };
        self.without_copies_on(&living, searched).await
    }

    /// Deletes what these devices hold of a fid without record: a device whose answer was lost may have taken its copy.
    /// The claim is suspect from now on if one of them has not deleted it; those that may still do it are answered, too.
    ///
    /// Nothing is deleted of a file of which no copy on record is seen to be there: what a device holds without record may be
    /// all that is left, and fsck searches for it.
    async fn without_copies_on(&self, devices: &[DevId], claim: Claim) -> Result<(Claim, Vec<DevId>), Error> {
        let mut unanswered = Vec::new();
        if devices.is_empty() {
            return Ok((claim, unanswered));
        }
        let on = self.replicas(claim.fid).await?;
        if !self.can_do_without_strays(claim.fid, &on).await? {
            let leftover = Leftover::Possible;
            return Ok((Claim { leftover, ..claim }, unanswered));
        }
        let view = self.0.view();
        let mut leftover = claim.leftover;
        for device in devices.iter().filter(|device| !on.contains(device)) {
            let at = DevFid {
                device: *device,
                fid: claim.fid,
            };
            let deletable = view.device(*device).is_some_and(DeviceView::deletable);
            let deleted = match self.0.nodes().get(*device).filter(|_| deletable) {
                Some(node) => node.delete(at).await,
                None => Err(NodeError::NoDevice),
            };
            if let Err(error) = deleted {
                leftover = Leftover::Possible;
                if let NodeError::Unreachable(_) = error {
                    unanswered.push(*device);
                }
            }
        }
        Ok((Claim { leftover, ..claim }, unanswered))
    }

    /// Whether nothing is lost with what is not on record: the file is deleted, or lies in the parts it was uploaded in, or one
    /// of its copies on record is seen to be there.
    async fn can_do_without_strays(&self, fid: Fid, on: &[DevId]) -> Result<bool, Error> {
        let mut tx = self.0.db().reader().await?;
        let Some(file) = files::files_by_fid(&mut tx, &[fid]).await?.remove(&fid) else {
            return Ok(true);
        };
        if on.is_empty() {
            return files::file_segmented(&mut tx, fid).await;
        }
        drop(tx);
        for device in on {
            let size = self.0.size_of(DevFid { device: *device, fid }).await;
            if size.is_ok_and(|size| size == file.size) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes and drops copies until the policy is content.
    async fn satisfy(&self, work: &mut Work) -> Result<End, Error> {
        let file = &work.file;
        self.0.know_classes([(file.domain, file.class)]).await?;
        let class = self.0.class_of(&work.file);
        for _ in 0..CHANGES_MAX {
            if work.on.is_empty() {
                return self.without_copies(work.file.fid).await;
            }
            let view = self.0.view();
            let rule = Rule {
                policy: policy_of(&class),
                mindevcount: class.mindevcount,
                view: &view,
            };
            match self.advice(&rule, &work.on, &work.failed, work.file.size) {
                Advice::Happy => return Ok(End::Done),
                Advice::NoAnswer => return Ok(End::Later),
                Advice::TooHappy => {
                    if !self.drop_spare(work, &rule).await? {
                        return Ok(End::Later);
                    }
                }
                Advice::CopyTo { ideal, desperate } => {
                    let Some(target) = self.pick(&view, &ideal, &desperate) else {
                        return Ok(End::Later);
                    };
                    match self.carry(&work.load(), &view, target).await {
                        Carried::There => {
                            work.on.push(target);
                            work.made.push(target);
                            work.sound.push(target);
                            self.0.did(JobName::Replicate, Done::bytes(work.file.size));
                        }
                        Carried::TargetFailed => work.failed.push(target),
                        Carried::NoSource => return Ok(End::Later),
                    }
                }
            }
        }
        Ok(End::Later)
    }

    /// Asks the policy about a file of `size` bytes with copies on these devices, after copies to others have failed.
    fn advice(&self, rule: &Rule<'_>, on: &[DevId], failed: &[DevId], size: u64) -> Advice {
        let room = size.saturating_add(self.0.settings().min_free_bytes);
        let mut devices = rule.view.policy_devices(room);
        for device in &mut devices {
            device.takes_files &= self.0.nodes().has(device.id);
        }
        rule.policy.advise(&Situation {
            mindevcount: rule.mindevcount,
            on,
            failed,
            devices: &devices,
        })
    }

    /// Draws a target among the devices that a policy advises.
    fn pick(&self, view: &ClusterView, ideal: &[DevId], desperate: &[DevId]) -> Option<DevId> {
        let among = if ideal.is_empty() { desperate } else { ideal };
        let mut candidates = view.candidates();
        candidates.retain(|candidate| among.contains(&candidate.id));
        let order = crate::placement::shuffle(candidates, || self.0.entropy().next_u64());
        order.first().map(|candidate| candidate.id)
    }

    async fn replicas(&self, fid: Fid) -> Result<Vec<DevId>, Error> {
        let mut tx = self.0.db().reader().await?;
        let mut found = replicas::replicas_of(&mut tx, &[fid]).await?;
        Ok(found.remove(&fid).unwrap_or_default())
    }

    /// A file without copies lies in the parts it was uploaded in, or is lost.
    async fn without_copies(&self, fid: Fid) -> Result<End, Error> {
        let mut tx = self.0.db().reader().await?;
        if files::file_segmented(&mut tx, fid).await? || !files::file_locked(&mut tx, fid).await? {
            return Ok(End::Done);
        }
        tracing::error!(fid = fid.get(), "no copy of a file is on record");
        Ok(End::Lost)
    }

    /// When a file that has failed so often before is tried again: 80 to 120 % of the wait, so that files which failed
    /// together do not come back together.
    fn back_off(&self, failcount: u8) -> i64 {
        let last = BACK_OFF[BACK_OFF.len() - 1];
        let wait = BACK_OFF.get(usize::from(failcount)).copied().unwrap_or(last);
        let percent = 80 + self.0.entropy().next_u64() % 41;
        let millis = wait.saturating_mul(percent).saturating_mul(10);
        self.0.now().after(Duration::from_millis(millis)).secs()
    }
}

impl Tracker {
    /// Keeps a file for as long as it may take to read or copy so many bytes of it: a large one needs more than an ordinary
    /// claim.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) async fn extended(&self, claim: Claim, bytes: u64) -> Result<Claim, Error> {
        if bytes <= CLAIM_BYTES {
            return Ok(claim);
        }
        let seconds = i64::try_from(bytes / SLOWEST).unwrap_or(i64::from(i32::MAX));
        let until = claim.until.saturating_add(seconds).min(END_OF_TIME - 1);
        let extend = self
            .db()
            .write(move |tx| Box::pin(async move { queues::replicate_extended(tx, &claim, until).await }));
        extend.await
    }
}

impl Job for Replicate {
    const NAME: JobName = JobName::Replicate;

    async fn step(&mut self) -> Result<Next, Error> {
        let now = self.0.now();
        self.1 = match queues::replicate_due(&mut self.0.db().reader().await?, now).await? {
            None => return Ok(Next::Idle),
            Some(Urgency::Urgent) => Pace::Urgent,
            Some(Urgency::Ordinary) => Pace::AfterStep,
        };
        let turn = self.0.lanes().turn(self.0.clock()).await;
        match Batch::taken(&self.0, self.0.now()).await? {
            Some(batch) => {
                let _turn = turn.filter(|_| batch.is_light());
                self.work_off(batch).await
            }
            None => Ok(Next::Idle),
        }
    }

    fn pace(&self) -> Pace {
        self.1
    }
}
