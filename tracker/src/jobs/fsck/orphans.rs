//! Copies of what is no file.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use mogul_storage::{DevId, Fid};

use super::Fsck;
use crate::{
    Error,
    meta::{Tx, deletions, fid_blocks, files, fsck as meta, replicas},
    model::{Finding, FsckCode, Timestamp},
};

/// How long a file on a device stays that nobody knows.
pub(super) const ORPHAN_AGE: Duration = Duration::from_hours(1);

impl Fsck {
    /// Queues what devices hold and nobody knows.
    ///
    /// What somebody has reserved or is deleting is left to them: blocks of fids, open uploads, the delete queue.
    /// Answers how many copies there are.
    pub(super) async fn give_up_orphans(&self, strays: BTreeMap<Fid, Vec<DevId>>) -> Result<usize, Error> {
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
    deletions::delete(tx, &fids, now.after(ORPHAN_AGE)).await?;
    let findings = lost.iter().map(|(fid, device)| Finding {
        fid: *fid,
        code: FsckCode::Orphan,
        device: Some(*device),
    });
    meta::logged(tx, &findings.collect::<Vec<_>>(), now).await?;
    Ok(lost.len())
}
