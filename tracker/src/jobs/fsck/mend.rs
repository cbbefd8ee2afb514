//! Mends one file that is not as it should be (the original's `fix_fid`, mogilefs.md §15).
//!
//! The file's row in `file_to_replicate` is claimed meanwhile: nobody else makes or drops copies of it. Devices are asked
//! first, then one transaction writes down what was found and what follows from it.

use std::sync::Arc;

use mogul_storage::{DevFid, DevId, Fid};

use super::{Counts, Court, Fsck, Lost, checksum::Verified, survey::Seen};
use crate::{
    Error,
    meta::{
        Tx, checksums, files,
        fsck::{self as meta, Recorded},
        queues::{self, Leftover, Sole},
        replicas,
    },
    model::{DeviceStatus, Finding, FsckCode, Timestamp},
};

/// How mending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mended {
    /// The file is as it should be, or is none any more, or cannot be mended.
    Fine,
    /// The replicate job does the rest.
    Queued,
    /// A device does not answer.
    Stalled,
    /// Somebody else works on the file.
    Busy,
}

/// What was found of a file, and what is to be done.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    /// Devices whose copies are good.
    pub(super) good: Vec<DevId>,
    /// Devices on record without a good copy.
    pub(super) bad: Vec<DevId>,
    /// Copies on record on devices that are absent: they do not count, and stay.
    absent: usize,
    /// A device that has the file and is not on record.
    found: Option<DevId>,
    /// The checksum to be put on record: number of the algorithm, bytes.
    pub(super) checksum: Option<(i64, Vec<u8>)>,
    /// Whether devices hold what is not on record, and the replicate job has to delete it.
    pub(super) strays: Strays,
    /// Whether the policy wants something else.
    content: Contentment,
}

/// Whether there is something to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Strays {
    #[default]
    None,
    Left,
}

/// What the policy says of the copies in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Contentment {
    #[default]
    Content,
    Wanting,
    /// There is nothing that it could be asked about.
    Lost,
}

impl Report {
    pub(super) fn find(&mut self, fid: Fid, code: FsckCode, device: Option<DevId>) {
        self.findings.push(Finding { fid, code, device });
    }
}

/// A device did not answer: nothing is decided.
pub(super) struct Stalled;

impl Fsck {
    /// Looks at one file again and mends it. `strays` are devices that were seen to hold a copy that is not on record.
    pub(super) async fn mend(&self, fid: Fid, strays: &[DevId], court: &Court<'_>) -> Result<Mended, Error> {
        let now = self.0.now();
        let Some((sole, held)) = self.0.to_itself(fid, now).await? else {
            return Ok(Mended::Busy);
        };
        let mended = self.0.keeping(&held, self.mend_alone(sole, strays, court));
        let mended = mended.await?;
        held.release().await;
        Ok(mended)
    }

    /// Mends a file that is claimed.
    async fn mend_alone(&self, sole: Sole, strays: &[DevId], court: &Court<'_>) -> Result<Mended, Error> {
        let fid = sole.claim.fid;
        let mut tx = self.0.db().reader().await?;
        let file = meta::files_recorded(&mut tx, &[fid]).await?.pop();
        let in_parts = files::file_segmented(&mut tx, fid).await?;
        drop(tx);
        let Some(file) = file.filter(|file| !(in_parts && file.on.is_empty())) else {
            self.release(sole).await?;
            return Ok(Mended::Fine);
        };
        let copies = u64::try_from(file.on.len()).unwrap_or(u64::MAX);
        let claim = self.0.extended(sole.claim, file.file.size.saturating_mul(copies));
        let sole = Sole {
            claim: claim.await?,
            ..sole
        };
        if let Ok(mut report) = self.examine(&file, strays, court).await? {
            if report.content == Contentment::Lost && court.rules.lost == Lost::Kept {
                report.bad.clear();
            }
            return self.write_down(sole, file, report, court).await;
        }
        self.release(sole).await?;
        Ok(Mended::Stalled)
    }

    /// Looks at all copies of a file.
    async fn examine(
        &self,
        file: &Recorded,
        strays: &[DevId],
        court: &Court<'_>,
    ) -> Result<Result<Report, Stalled>, Error> {
        let (fid, class) = (file.file.fid, court.class_of(file));
        let mut report = Report::default();
        if file.on.is_empty() {
            report.find(fid, FsckCode::NoPaths, None);
        } else if !court.is_content(&class, &file.on) {
            report.find(fid, FsckCode::PolicyViolation, None);
        }
        for device in &file.on {
            if court.is_absent(*device) {
                report.absent += 1;
                continue;
            }
            match self.0.seen(DevFid { device: *device, fid }).await {
                Seen::Size(size) if size == file.file.size => report.good.push(*device),
                Seen::Size(_) => {
                    report.find(fid, FsckCode::BadLength, Some(*device));
                    report.bad.push(*device);
                    report.strays = Strays::Left;
                }
                Seen::Missing => {
                    report.find(fid, FsckCode::Missing, Some(*device));
                    report.bad.push(*device);
                }
                // The reaper has not come to it yet.
                Seen::Dead => report.bad.push(*device),
                Seen::Away => return Ok(Err(Stalled)),
            }
        }
        if report.good.is_empty() && report.absent > 0 {
            return Ok(Err(Stalled));
        }
        let checked = self.verify(file, class.hash, court.rules.checksums, &mut report);
        if let Verified::Stalled = checked.await? {
            return Ok(Err(Stalled));
        }
        if report.good.is_empty() && self.search(file, &mut report).await.is_err() {
            return Ok(Err(Stalled));
        }
        for device in strays.iter().filter(|device| !file.on.contains(device)) {
            if let Seen::Size(_) = self.0.seen(DevFid { device: *device, fid }).await {
                report.find(fid, FsckCode::Orphan, Some(*device));
                report.strays = Strays::Left;
            }
        }
        report.content = if report.good.is_empty() {
            Contentment::Lost
        } else if court.is_content(&class, &report.good) {
            Contentment::Content
        } else {
            report.find(fid, FsckCode::Replicate, None);
            Contentment::Wanting
        };
        Ok(Ok(report))
    }

    /// Looks for a file on all devices, and takes the first that has it.
    ///
    /// That it is nowhere is said only if every device that is not dead has said so.
    async fn search(&self, file: &Recorded, report: &mut Report) -> Result<(), Stalled> {
        let fid = file.file.fid;
        report.find(fid, FsckCode::SearchStarted, None);
        let view = self.0.view();
        let living = view
            .devices()
            .filter(|device| device.device.status != DeviceStatus::Dead);
        let elsewhere = living
            .map(|device| device.device.id)
            .filter(|device| !file.on.contains(device));
        let mut away = Ok(());
        for device in elsewhere {
            match self.0.seen(DevFid { device, fid }).await {
                Seen::Size(size) if size == file.file.size => {
                    report.find(fid, FsckCode::Found, None);
                    report.found = Some(device);
                    report.good.push(device);
                    // Others may have it as well.
                    report.strays = Strays::Left;
                    return Ok(());
                }
                Seen::Size(_) | Seen::Missing | Seen::Dead => {}
                Seen::Away => away = Err(Stalled),
            }
        }
        away?;
        tracing::error!(fid = fid.get(), "no device has a file");
        report.find(fid, FsckCode::Gone, None);
        Ok(())
    }

    /// Gives a file back as it was.
    async fn release(&self, sole: Sole) -> Result<(), Error> {
        let now = self.0.now();
        let release = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { released(tx, sole, now).await }));
        release.await
    }

    /// Writes down what was found, and gives the file to the replicate job where that has something to do.
    async fn write_down(
        &self,
        sole: Sole,
        file: Recorded,
        mut report: Report,
        court: &Court<'_>,
    ) -> Result<Mended, Error> {
        let fid = file.file.fid;
        let copies = report.good.len() + report.absent;
        if report.content == Contentment::Content
            && court.rules.counts == Counts::Kept
            && file.devcount != copies
        {
            report.find(fid, FsckCode::BadCount, None);
        }
        let wanting = report.content == Contentment::Wanting;
        // Of a lost file nothing is deleted: what is left of it may help somebody.
        let strays = report.strays == Strays::Left && report.content != Contentment::Lost;
        let sole = Sole {
            claim: queues::Claim {
                leftover: if strays {
                    Leftover::Possible
                } else {
                    sole.claim.leftover
                },
                ..sole.claim
            },
            waited: sole.waited || wanting || strays,
        };
        let (changes, now) = (Arc::new((file, report)), self.0.now());
        let write = self.0.db().write(move |tx| {
            let changes = Arc::clone(&changes);
            Box::pin(async move { written(tx, sole, &changes, now).await })
        });
        write.await?;
        Ok(if sole.waited { Mended::Queued } else { Mended::Fine })
    }
}

/// Records what was found of a file, if it still is one.
async fn written(
    tx: &mut Tx,
    sole: Sole,
    (file, report): &(Recorded, Report),
    now: Timestamp,
) -> Result<(), Error> {
    let fid = file.file.fid;
    if files::file_locked(tx, fid).await? {
        for device in &report.bad {
            tracing::warn!(fid = fid.get(), devid = device.get(), "fsck forgets a copy");
            replicas::forget(tx, fid, *device).await?;
        }
        if let Some(device) = report.found {
            replicas::add(tx, &[(fid, device)]).await?;
        }
        files::devcount_updated(tx, fid).await?;
        if let Some((hash, bytes)) = &report.checksum {
            checksums::forget(tx, &[fid]).await?;
            checksums::added(tx, &[(fid, *hash, bytes.clone())]).await?;
        }
        meta::logged(tx, &report.findings, now).await?;
    }
    released(tx, sole, now).await
}

/// Ends a claim: the file waits for the replicate job if it did before, or has to.
async fn released(tx: &mut Tx, sole: Sole, now: Timestamp) -> Result<(), Error> {
    if sole.waited {
        queues::replicate_later(tx, &sole.claim, now.secs(), 0).await
    } else {
        queues::replicate_done(tx, &[sole.claim]).await
    }
}
