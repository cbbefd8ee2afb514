//! What another job has seen of files, mended as a run mends it: [`super::super::scrub`] goes through the devices by itself.

use std::{collections::BTreeMap, sync::Arc};

use mogul_storage::{DevId, Fid};

use super::{BUSY, Checksums, Counts, Court, Fsck, Lost, Outcome, Rules, STALLED, finding};
use crate::{
    Error,
    jobs::JobName,
    meta::{
        files, fsck as meta, queues,
        work::{self, Kind},
    },
    model::{Finding, FsckCode, FsckScope},
};

/// What was seen of the files of a device.
#[derive(Debug, Default)]
pub(in crate::jobs) struct Looked {
    /// Files that are on record there.
    pub(in crate::jobs) files: Vec<Fid>,
    /// Those of which a copy is not what it should be.
    pub(in crate::jobs) suspects: BTreeMap<Fid, Vec<DevId>>,
    /// What devices hold that is not on record.
    pub(in crate::jobs) strays: BTreeMap<Fid, Vec<DevId>>,
}

impl Fsck {
    /// Mends what was seen, and writes it to fsck's log. Files whose copies are not where their policy wants them are queued for
    /// the replicate job, and wrong counts of copies set right. Answers how many strays there are: copies of files that are not on record, and what
    /// is no file and nobody has reserved.
    pub(in crate::jobs) async fn look_into(&self, looked: Looked) -> Result<u64, Error> {
        let Looked {
            files,
            mut suspects,
            mut strays,
        } = looked;
        let fids: Vec<Fid> = strays.keys().copied().collect();
        let mut tx = self.0.db().reader().await?;
        for fid in files::files_present(&mut tx, &fids).await? {
            suspects.insert(fid, strays.remove(&fid).unwrap_or_default());
        }
        let recorded = meta::files_recorded(&mut tx, &files).await?;
        let waiting = queues::replicate_waiting(&mut tx, &files).await?;
        drop(tx);
        let of_files = suspects.values().filter(|devices| !devices.is_empty()).count();
        let rules = self.rules().await?;
        // Whoever calls has read what there is to read.
        let rules = Rules {
            scope: FsckScope::Files,
            checksums: Checksums::Off,
            lost: Lost::Kept,
            ..rules
        };
        let mut court = Court::new(&self.0, rules);
        let (mut misplaced, mut recount) = (Vec::new(), Vec::new());
        for file in recorded.iter().filter(|file| !file.on.is_empty()) {
            let class = court.class(file);
            let fid = file.file.fid;
            if !suspects.contains_key(&fid) && !waiting.contains(&fid) && !court.is_content(&class, &file.on)
            {
                misplaced.push(fid);
            }
            if rules.counts == Counts::Kept && file.devcount != file.on.len() {
                recount.push(fid);
            }
        }
        let mut outcome = Outcome::default();
        self.mend_all(suspects, &court, &mut outcome).await?;
        let orphans = self.give_up_orphans(strays).await?;
        self.put_right(misplaced, recount, outcome).await?;
        Ok(u64::try_from(of_files + orphans).unwrap_or(u64::MAX))
    }

    /// Writes down what others have to do: the replicate job, and a later look.
    async fn put_right(&self, misplaced: Vec<Fid>, recount: Vec<Fid>, outcome: Outcome) -> Result<(), Error> {
        if [&misplaced, &recount, &outcome.stalled, &outcome.busy]
            .iter()
            .all(|fids| fids.is_empty())
        {
            return Ok(());
        }
        let replicates = !misplaced.is_empty();
        let of_misplaced = misplaced.iter().flat_map(|fid| {
            let codes = [FsckCode::PolicyViolation, FsckCode::Replicate];
            codes.map(|code| finding(*fid, code))
        });
        let of_counts = recount.iter().map(|fid| finding(*fid, FsckCode::BadCount));
        let findings: Vec<Finding> = of_misplaced.chain(of_counts).collect();
        let (work, now) = (Arc::new((misplaced, recount, outcome, findings)), self.0.now());
        let write = self.0.db().write(move |tx| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (misplaced, recount, outcome, findings) = &*work;
                queues::replicate_again(tx, misplaced, now).await?;
                files::devcounts_updated(tx, recount).await?;
                meta::logged(tx, findings, now).await?;
                work::files_added(tx, Kind::Fsck, &outcome.stalled, now.after(STALLED)).await?;
                work::files_added(tx, Kind::Fsck, &outcome.busy, now.after(BUSY)).await
            })
        });
        write.await?;
        if replicates {
            self.0.wake(JobName::Replicate);
        }
        Ok(())
    }
}
