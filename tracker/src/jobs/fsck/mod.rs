//! Checks that every file is what its row says, and mends what is not (mogilefs.md §15).
//!
//! A run goes through all fids in order, a range at a time. Whoever takes a range moves `fsck_highest_fid_checked` on and
//! puts the range's files into `file_to_queue`, claimed, in one transaction; any tracker takes part, and what one that
//! died had taken is due again when its claim runs out. So a run is resumed wherever it was.
//!
//! Checking a range is a merge: what the tables say, against what each device lists ([`survey`]). Only where the two
//! differ is a file looked at by itself ([`mend`]), alone (its row in `file_to_replicate` is claimed), and what was wrong
//! is written to `fsck_log` if it still is. Devices that cannot list are asked for each file.
//!
//! Beyond the original: files on a device that are not on record are found, too (`ORPH`). One of a file is deleted by the
//! replicate job; one of no file is queued for deletion after [`ORPHAN_AGE`], and spared if it is a file by then.

mod aside;
mod checksum;
mod mend;
mod survey;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use mogul_storage::{DevId, Fid, HashType};

pub(super) use self::aside::Looked;
use self::{
    mend::Mended,
    survey::{Seen, Survey},
};
use super::{Done, Job, JobName, Next};
use crate::{
    Error, Tracker,
    meta::{
        Tx, fid_blocks, files,
        fsck::{self as meta, Range, Recorded},
        queues, replicas, segments, settings,
        work::{self, Kind},
    },
    model::{ClassId, DomainId, Finding, FsckCode, FsckScope, Timestamp},
    policy::{Advice, PolicyDevice, PolicySpec, Situation},
    refresh::policy_of,
};

/// How often there is a look without a wake, as in the original.
pub const PERIOD: Duration = Duration::from_secs(2);

/// Files of a range if `queue_rate_for_fsck` says nothing, as in the original.
const RATE: u64 = 1_000;
/// Files of a range, at most.
const RATE_MAX: u64 = 10_000;
/// Files in `file_to_queue` beyond which no range is taken if `queue_size_for_fsck` says nothing, as in the original.
const QUEUE: u64 = 20_000;
/// Files of one step that had been put off.
const BATCH: usize = 256;
/// How long a file waits of which a device does not answer; it must outlast the claim of its range.
const STALLED: Duration = Duration::from_secs(1_001);
/// How long a file waits on which somebody else works.
const BUSY: Duration = Duration::from_mins(1);
/// How long a file on a device stays that nobody knows.
const ORPHAN_AGE: Duration = Duration::from_hours(1);

/// The job.
#[derive(Clone)]
pub struct Fsck(Tracker);

/// What one step checks.
#[derive(Debug, Clone)]
enum Batch {
    /// The next range of the run.
    Range(Range),
    /// Files that were put off, or that an original tracker has queued.
    Files(Vec<Fid>),
}

/// Which copies are read and compared: the setting `fsck_checksum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checksums {
    /// None.
    Off,
    /// Those of files whose class keeps checksums.
    OfClass,
    /// All, by this algorithm.
    All(HashType),
}

/// The settings of a run.
#[derive(Debug, Clone, Copy)]
struct Rules {
    scope: FsckScope,
    checksums: Checksums,
    /// Whether `file.devcount` is kept.
    counts: Counts,
    lost: Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Kept,
    Skipped,
}

/// What becomes of the copies on record of a file that no device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// They are forgotten, as in the original: an operator runs fsck.
    Forgotten,
    /// They stay: nobody has said that all devices are where they should be.
    Kept,
}

/// What the batch is judged by.
struct Court<'a> {
    tracker: &'a Tracker,
    rules: Rules,
    devices: Vec<PolicyDevice>,
    absent: BTreeSet<DevId>,
    classes: BTreeMap<(DomainId, ClassId), ClassRule>,
    /// What policies said of classes and devices: files are many, and these are few.
    content: BTreeMap<(DomainId, ClassId, Vec<DevId>), bool>,
}

/// What a class wants.
#[derive(Debug, Clone)]
struct ClassRule {
    policy: PolicySpec,
    mindevcount: u8,
    hash: Option<HashType>,
}

/// What is said of a file at first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// A device does not answer.
    Stalled,
    /// Something is not as it should be.
    Suspect,
}

/// What came of a batch.
#[derive(Debug, Default)]
struct Outcome {
    findings: Vec<Finding>,
    recount: Vec<Fid>,
    stalled: Vec<Fid>,
    busy: Vec<Fid>,
    done: Vec<Fid>,
}

impl Fsck {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Fsck {
        Fsck(tracker.at_work())
    }

    async fn take(&self, now: Timestamp) -> Result<Option<Batch>, Error> {
        let mut tx = self.0.db().reader().await?;
        let due = work::due(&mut tx, Kind::Fsck, now).await?;
        let running = settings::value_of(&mut tx, "fsck_host").await?.is_some();
        drop(tx);
        if due {
            let claim = self
                .0
                .db()
                .write(move |tx| Box::pin(async move { work::claimed(tx, Kind::Fsck, now, BATCH).await }));
            let fids: Vec<Fid> = claim.await?.into_iter().map(|work| work.fid).collect();
            if !fids.is_empty() {
                return Ok(Some(Batch::Files(fids)));
            }
        }
        if !running {
            return Ok(None);
        }
        let range = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { range_taken(tx, now).await }));
        Ok(range.await?.map(Batch::Range))
    }

    async fn rules(&self) -> Result<Rules, Error> {
        let mut tx = self.0.db().reader().await?;
        let set = |value: Option<String>| value.is_some_and(|value| !value.is_empty() && value != "0");
        let checksums = settings::value_of(&mut tx, "fsck_checksum").await?;
        let runs = settings::value_of(&mut tx, "fsck_host").await?.is_some();
        Ok(Rules {
            scope: if set(settings::value_of(&mut tx, "fsck_opt_policy_only").await?) {
                FsckScope::PolicyOnly
            } else {
                FsckScope::Files
            },
            checksums: match checksums.as_deref().map(str::to_ascii_uppercase).as_deref() {
                Some("OFF") => Checksums::Off,
                Some("MD5") => Checksums::All(HashType::Md5),
                Some("SHA-1") => Checksums::All(HashType::Sha1),
                Some(_) | None => Checksums::OfClass,
            },
            counts: if set(settings::value_of(&mut tx, "skip_devcount").await?) {
                Counts::Skipped
            } else {
                Counts::Kept
            },
            lost: if runs { Lost::Forgotten } else { Lost::Kept },
        })
    }

    /// Checks a batch and writes down what came of it.
    async fn check(&self, batch: Batch) -> Result<(), Error> {
        let mut rules = self.rules().await?;
        if let Batch::Range(_) = batch {
            // The run may be over by now.
            rules.lost = Lost::Forgotten;
        }
        // First the devices, then the tables: what is written meanwhile is on record, and not taken for an orphan.
        let mut survey = match &batch {
            Batch::Range(range) if rules.scope == FsckScope::Files => self.survey(*range).await,
            Batch::Range(_) | Batch::Files(_) => Survey::default(),
        };
        let mut tx = self.0.db().reader().await?;
        let (recorded, on) = match &batch {
            Batch::Range(range) => meta::range_recorded(&mut tx, *range).await?,
            Batch::Files(fids) => (meta::files_recorded(&mut tx, fids).await?, BTreeMap::new()),
        };
        let fids: Vec<Fid> = recorded.iter().map(|file| file.file.fid).collect();
        let nowhere = recorded.iter().filter(|file| file.on.is_empty());
        let nowhere: Vec<Fid> = nowhere.map(|file| file.file.fid).collect();
        let in_parts = segments::unjoined(&mut tx, &nowhere).await?;
        drop(tx);
        let classes = recorded.iter().map(|file| (file.file.domain, file.file.class));
        self.0.know_classes(classes).await?;
        let mut court = Court::new(&self.0, rules);
        let checked_in = if court.wants_checksums(&recorded) {
            let mut tx = self.0.db().reader().await?;
            meta::checksums_of(&mut tx, &fids).await?.into_keys().collect()
        } else {
            BTreeSet::new()
        };
        let looked_at = match &batch {
            Batch::Range(range) => Done::files(range.last.saturating_sub(range.after)),
            Batch::Files(fids) => Done::files(fids.len()),
        };
        self.0.did(Self::NAME, looked_at);
        if rules.scope == FsckScope::Files {
            self.ask_for_each(&recorded, &mut survey).await;
        }

        let mut outcome = Outcome::default();
        let mut suspects: BTreeMap<Fid, Vec<DevId>> = BTreeMap::new();
        let mut strays = survey.not_on(&on);
        for file in recorded.iter().filter(|file| !in_parts.contains(&file.file.fid)) {
            let fid = file.file.fid;
            let has_checksum = checked_in.contains(&fid);
            match court.judge(file, has_checksum, &survey) {
                Verdict::Suspect => drop(suspects.insert(fid, Vec::new())),
                Verdict::Stalled => outcome.stalled.push(fid),
                Verdict::Fine => {
                    if let Some(devices) = strays.remove(&fid) {
                        suspects.insert(fid, devices);
                    }
                    if rules.counts == Counts::Kept && file.devcount != file.on.len() {
                        outcome.recount.push(fid);
                        outcome.findings.push(finding(fid, FsckCode::BadCount));
                    }
                }
            }
        }
        let known: BTreeSet<Fid> = fids.iter().copied().collect();
        strays.retain(|fid, _| !known.contains(fid));
        self.mend_all(suspects, &court, &mut outcome).await?;
        self.give_up_orphans(strays).await?;
        if let Batch::Files(fids) = &batch {
            outcome.done = fids.clone();
        }
        self.record(batch, outcome).await
    }

    /// Mends files, several at a time.
    async fn mend_all(
        &self,
        suspects: BTreeMap<Fid, Vec<DevId>>,
        court: &Court<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mends = suspects
            .into_iter()
            .map(|(fid, strays)| async move { (fid, Box::pin(self.mend(fid, &strays, court)).await) });
        let mut mended = stream::iter(mends).buffer_unordered(self.0.settings().replicate_at_once);
        let mut failed = None;
        let mut replicate = false;
        while let Some((fid, end)) = mended.next().await {
            match end {
                Ok(Mended::Fine) => {}
                Ok(Mended::Queued) => replicate = true,
                Ok(Mended::Stalled) => outcome.stalled.push(fid),
                Ok(Mended::Busy) => outcome.busy.push(fid),
                // The others go on; the claim of the batch runs out.
                Err(error) => failed = Some(error),
            }
        }
        if replicate {
            self.0.wake(JobName::Replicate);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Queues what devices hold and nobody knows.
    ///
    /// What somebody has reserved or is deleting is left to them: blocks of fids, open uploads, the delete queue.
    /// Answers how many copies there are.
    async fn give_up_orphans(&self, strays: BTreeMap<Fid, Vec<DevId>>) -> Result<usize, Error> {
        if strays.is_empty() {
            return Ok(0);
        }
        let fids: Vec<Fid> = strays.keys().copied().collect();
        let mut tx = self.0.db().reader().await?;
        let blocks = fid_blocks::blocks(&mut tx).await?;
        let unsettled = meta::unsettled(&mut tx, &fids).await?;
        drop(tx);
        let reserved = |fid: &Fid| {
            blocks
                .iter()
                .any(|block| (block.first..=block.last).contains(fid))
        };
        let orphans: Vec<(Fid, DevId)> = strays
            .into_iter()
            .filter(|(fid, _)| !reserved(fid) && !unsettled.contains(fid))
            .flat_map(|(fid, devices)| devices.into_iter().map(move |device| (fid, device)))
            .collect();
        let (orphans, now) = (Arc::new(orphans), self.0.now());
        let give_up = self.0.db().write(move |tx| {
            let orphans = Arc::clone(&orphans);
            Box::pin(async move { orphans_given_up(tx, &orphans, now).await })
        });
        give_up.await
    }

    async fn record(&self, batch: Batch, outcome: Outcome) -> Result<(), Error> {
        let (work, now) = (Arc::new((batch, outcome)), self.0.now());
        let record = self.0.db().write(move |tx| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (batch, outcome) = &*work;
                files::devcounts_updated(tx, &outcome.recount).await?;
                meta::logged(tx, &outcome.findings, now).await?;
                let (stalled, busy) = (&outcome.stalled, &outcome.busy);
                match batch {
                    Batch::Range(range) => {
                        work::put_off(tx, Kind::Fsck, stalled, now.after(STALLED), 0).await?;
                        work::put_off(tx, Kind::Fsck, busy, now.after(BUSY), 0).await?;
                        meta::range_done(tx, *range).await
                    }
                    Batch::Files(_) => {
                        let waits = |fid: &&Fid| stalled.contains(fid) || busy.contains(fid);
                        let done: Vec<Fid> = outcome.done.iter().filter(|fid| !waits(fid)).copied().collect();
                        work::put_off(tx, Kind::Fsck, stalled, now.after(STALLED), 0).await?;
                        work::put_off(tx, Kind::Fsck, busy, now.after(BUSY), 0).await?;
                        work::done(tx, Kind::Fsck, &done).await
                    }
                }
            })
        });
        record.await
    }
}

impl Job for Fsck {
    const NAME: JobName = JobName::Fsck;

    async fn step(&mut self) -> Result<Next, Error> {
        match self.take(self.0.now()).await? {
            None => Ok(Next::Idle),
            Some(batch) => {
                self.check(batch).await?;
                Ok(Next::Again)
            }
        }
    }
}

impl<'a> Court<'a> {
    fn new(tracker: &'a Tracker, rules: Rules) -> Court<'a> {
        let view = tracker.view();
        let absent = view.devices().filter(|device| device.absent.is_some());
        Court {
            tracker,
            rules,
            devices: view.policy_devices(0),
            absent: absent.map(|device| device.device.id).collect(),
            classes: BTreeMap::new(),
            content: BTreeMap::new(),
        }
    }

    /// What the class of a file wants; remembered, because files are many and classes few.
    fn class(&mut self, file: &Recorded) -> ClassRule {
        let key = (file.file.domain, file.file.class);
        if let Some(rule) = self.classes.get(&key) {
            return rule.clone();
        }
        let rule = self.class_of(file);
        self.classes.insert(key, rule.clone());
        rule
    }

    fn class_of(&self, file: &Recorded) -> ClassRule {
        let class = self.tracker.class_of(&file.file);
        ClassRule {
            policy: policy_of(&class),
            mindevcount: class.mindevcount,
            hash: class.hash,
        }
    }

    /// Whether a policy is content with a file on these devices: neither too few nor too many.
    fn is_content(&self, class: &ClassRule, on: &[DevId]) -> bool {
        let situation = Situation {
            mindevcount: class.mindevcount,
            on,
            failed: &[],
            devices: &self.devices,
        };
        class.policy.advise(&situation) == Advice::Happy
    }

    /// Whether copies on a device do not count because it has stayed away: nothing is said of them.
    fn is_absent(&self, device: DevId) -> bool {
        self.absent.contains(&device)
    }

    fn wants_checksums(&mut self, files: &[Recorded]) -> bool {
        self.rules.checksums != Checksums::Off && files.iter().any(|file| self.class(file).hash.is_some())
    }

    /// The first look at a file, in the order of the original's `check_fid`.
    fn judge(&mut self, file: &Recorded, has_checksum: bool, survey: &Survey) -> Verdict {
        if file.on.is_empty() {
            return Verdict::Suspect;
        }
        let class = self.class(file);
        let seen = (file.file.domain, file.file.class, file.on.clone());
        let content = if let Some(content) = self.content.get(&seen) {
            *content
        } else {
            let content = self.is_content(&class, &file.on);
            self.content.insert(seen, content);
            content
        };
        let reads = self.rules.checksums != Checksums::Off && class.hash.is_some();
        if !content || (reads && !has_checksum) {
            return Verdict::Suspect;
        }
        if self.rules.scope == FsckScope::PolicyOnly {
            return Verdict::Fine;
        }
        let mut verdict = Verdict::Fine;
        for device in file.on.iter().filter(|device| !self.is_absent(**device)) {
            match survey.seen(*device, file.file.fid) {
                Seen::Size(size) if size == file.file.size => {}
                Seen::Size(_) | Seen::Missing | Seen::Dead => return Verdict::Suspect,
                Seen::Away => verdict = Verdict::Stalled,
            }
        }
        if verdict == Verdict::Fine && (reads || matches!(self.rules.checksums, Checksums::All(_))) {
            return Verdict::Suspect;
        }
        verdict
    }
}

/// A finding about a file as a whole.
fn finding(fid: Fid, code: FsckCode) -> Finding {
    Finding {
        fid,
        code,
        device: None,
    }
}

/// Takes the next range of the run that is under way, or ends the run.
async fn range_taken(tx: &mut Tx, now: Timestamp) -> Result<Option<Range>, Error> {
    settings::run_held(tx).await?;
    if settings::value_of(tx, "fsck_host").await?.is_none() {
        return Ok(None);
    }
    let after = settings::number_of(tx, "fsck_highest_fid_checked").await?;
    let end = settings::number_of(tx, "fsck_fid_at_end").await?;
    if after >= end {
        settings::unset(tx, "fsck_host").await?;
        settings::set(tx, "fsck_stop_time", &now.secs().to_string()).await?;
        return Ok(None);
    }
    let most = match settings::number_of(tx, "queue_size_for_fsck").await? {
        0 => QUEUE,
        most => most,
    };
    if work::length(tx, Kind::Fsck, most).await? >= most {
        return Ok(None);
    }
    let rate = match settings::number_of(tx, "queue_rate_for_fsck").await? {
        0 => RATE,
        rate => rate.min(RATE_MAX),
    };
    let range = Range {
        after,
        // Behind the last file there may be orphans.
        last: meta::range_end(tx, after, end, rate).await?.unwrap_or(end),
        until: now.after(queues::CLAIM).secs(),
    };
    meta::range_queued(tx, range).await?;
    settings::set(tx, "fsck_highest_fid_checked", &range.last.to_string()).await?;
    Ok(Some(range))
}

/// Queues copies of what is no file for deletion, on record so that they are found.
async fn orphans_given_up(tx: &mut Tx, orphans: &[(Fid, DevId)], now: Timestamp) -> Result<usize, Error> {
    let fids: BTreeSet<Fid> = orphans.iter().map(|(fid, _)| *fid).collect();
    let fids: Vec<Fid> = fids.into_iter().collect();
    let present = files::files_present(tx, &fids).await?;
    let lost: Vec<(Fid, DevId)> = orphans
        .iter()
        .filter(|(fid, _)| !present.contains(fid))
        .copied()
        .collect();
    replicas::add(tx, &lost).await?;
    let fids: Vec<Fid> = fids.into_iter().filter(|fid| !present.contains(fid)).collect();
    queues::delete(tx, &fids, now.after(ORPHAN_AGE)).await?;
    let findings = lost.iter().map(|(fid, device)| Finding {
        fid: *fid,
        code: FsckCode::Orphan,
        device: Some(*device),
    });
    meta::logged(tx, &findings.collect::<Vec<_>>(), now).await?;
    Ok(lost.len())
}
