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
//! replicate job; one of no file is queued for deletion after [`orphans::ORPHAN_AGE`], and spared if it is a file by then.

mod aside;
mod checksum;
mod court;
mod mend;
mod orphans;
mod range;
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
    court::{Court, Verdict},
    mend::Mended,
    survey::Survey,
};
use super::{Done, Job, JobName, Next};
use crate::{
    Error, Tracker,
    meta::{
        files,
        fsck::{self as meta, Range},
        segments, settings,
        work::{self, Kind},
    },
    model::{Finding, FsckCode, FsckScope},
};

/// How often there is a look without a wake, as in the original.
pub const PERIOD: Duration = Duration::from_secs(2);

/// How long a file waits of which a device does not answer; it must outlast the claim of its range.
const STALLED: Duration = Duration::from_secs(1_001);
/// How long a file waits on which somebody else works.
const BUSY: Duration = Duration::from_mins(1);

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
        let domains = recorded.iter().map(|file| file.file.domain).collect();
        self.0.reread_domains(domains).await?;
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

/// A finding about a file as a whole.
fn finding(fid: Fid, code: FsckCode) -> Finding {
    Finding {
        fid,
        code,
        device: None,
    }
}
