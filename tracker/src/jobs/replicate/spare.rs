//! Drops a copy that is too many.

use std::collections::BTreeSet;

use mogul_storage::{
    DevFid, DevId, Fid, HashType, NodeError,
    download::{BadCopy, Fault},
};

use super::{Replicate, Rule, Work};
use crate::{
    Error,
    error::chain,
    inspect::digest_known,
    meta::{Tx, files, queues::Leftover, replicas},
    policy::Advice,
    view::DeviceView,
};

/// Files up to this size in bytes are digested by their node, which answers when it has read all and is waited for half a minute;
/// larger ones come piece by piece.
const DIGESTED_BY_NODE: u64 = 256 << 20;

/// Whether a copy was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// It is off the record, and its file is gone or found later.
    Yes,
    /// It stays, for this reason.
    No(&'static str),
}

impl Replicate {
    /// Drops a copy that is too many, if there is one that can be dropped.
    ///
    /// Decided on what the database has now, not on what it had when the batch was read: a copy on record that is gone
    /// must not be counted on.
    pub(super) async fn drop_spare(&self, work: &mut Work, rule: &Rule<'_>) -> Result<bool, Error> {
        self.record(work).await?;
        work.on = self.replicas(work.file.fid).await?;
        match self.advice(rule, &work.on, &[], work.file.size) {
            Advice::TooHappy => {}
            Advice::Happy | Advice::CopyTo { .. } | Advice::NoAnswer => return Ok(true),
        }
        let Some(device) = self.spare(rule, &work.on) else {
            return Ok(false);
        };
        if !self.others_hold(work, &work.on, device).await {
            return Ok(false);
        }
        Ok(match self.drop_copy(work, device).await? {
            Dropped::Yes => {
                work.on.retain(|other| *other != device);
                true
            }
            Dropped::No(_) => false,
        })
    }

    /// The copy without which the policy is still content, if there is one that can be dropped: on the fullest device.
    fn spare(&self, rule: &Rule<'_>, on: &[DevId]) -> Option<DevId> {
        let known: BTreeSet<DevId> = rule.view.devices().map(|device| device.device.id).collect();
        let content_without = |device: &DevId| {
            let rest: Vec<DevId> = on.iter().copied().filter(|other| other != device).collect();
            match self.advice(rule, &rest, &[], 0) {
                Advice::Happy | Advice::TooHappy => true,
                Advice::CopyTo { .. } | Advice::NoAnswer => false,
            }
        };
        on.iter()
            .filter(|device| known.contains(device) && content_without(device))
            .filter_map(|device| rule.view.device(*device).filter(|view| view.deletable()))
            .min_by_key(|view| (view.free_bytes, view.device.id))
            .map(|view| view.device.id)
    }

    /// Whether all other copies that count are there: none is dropped before that is sure.
    pub(super) async fn others_hold(&self, work: &Work, on: &[DevId], device: DevId) -> bool {
        let view = self.0.view();
        let counts = |other: &DevId| view.device(*other).is_none_or(|view| view.absent.is_none());
        for other in on.iter().filter(|other| **other != device && counts(other)) {
            let at = DevFid {
                device: *other,
                fid: work.file.fid,
            };
            let size = match self.0.nodes().get(*other) {
                Some(node) => node.size(at).await.ok(),
                None => None,
            };
            if size != Some(work.file.size) {
                return false;
            }
        }
        true
    }

    /// Drops a copy if another one is good: its row, then its file. A file that stays (the device does not answer, the process
    /// dies) is found because the claim is suspect then; a row without a file would be counted on by whoever reports
    /// another copy meanwhile.
    pub(super) async fn drop_copy(&self, work: &mut Work, device: DevId) -> Result<Dropped, Error> {
        let fid = work.file.fid;
        let Some(node) = self.0.nodes().get(device) else {
            return Ok(Dropped::No("nobody knows its node"));
        };
        let Some(sound) = self.sound_without(work, device).await? else {
            return Ok(Dropped::No("no other copy is seen to be good"));
        };
        if !work.held.still_claims(self.0.db(), &work.claim).await? {
            return Ok(Dropped::No("somebody else works on the file"));
        }
        let forget = self
            .0
            .db()
            .write(move |tx| Box::pin(forgotten_beside(tx, fid, device, sound)));
        if !forget.await? {
            return Ok(Dropped::No("the other copy is off the record"));
        }
        if let Err(error) = node.delete(DevFid { device, fid }).await {
            let error = chain(&error);
            tracing::warn!(
                fid = fid.get(),
                devid = device.get(),
                error,
                "copy was not deleted"
            );
            work.claim.leftover = Leftover::Possible;
            work.failed.push(device);
        }
        Ok(Dropped::Yes)
    }

    /// A device other than this with a copy that is what the file is: it was made in this step, or it is read now. What is
    /// found to be bad is reported.
    ///
    /// Where nobody knows what the file is, a copy counts that has the bytes of the one that is to go.
    async fn sound_without(&self, work: &mut Work, device: DevId) -> Result<Option<DevId>, Error> {
        let (fid, size) = (work.file.fid, work.file.size);
        let view = self.0.view();
        let readable = |other: &DevId| view.device(*other).is_some_and(DeviceView::readable);
        let others = work.on.iter().copied();
        let others: Vec<DevId> = others
            .filter(|other| *other != device && readable(other))
            .collect();
        if let Some(sound) = others.iter().find(|other| work.sound.contains(other)) {
            return Ok(Some(*sound));
        }
        let known = digest_known(&mut self.0.db().reader().await?, fid).await?;
        let is_known = known.is_some();
        let (hash, bytes) = match known {
            Some(known) => known,
            None => match self
                .read(DevFid { device, fid }, (HashType::Crc64Nvme, size))
                .await
            {
                Ok(bytes) => (HashType::Crc64Nvme, bytes),
                Err(_) => return Ok(None),
            },
        };
        for other in others {
            match self.read(DevFid { device: other, fid }, (hash, size)).await {
                Ok(found) if found == bytes => {
                    work.sound.push(other);
                    return Ok(Some(other));
                }
                Ok(_) if is_known => {
                    let (device, fault) = (other, Fault::Rotten);
                    self.0.report_bad_copy(BadCopy { fid, device, fault }).await;
                }
                Ok(_) => tracing::error!(
                    fid = fid.get(),
                    devid = other.get(),
                    "copies differ, and none is known to be right"
                ),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(fid = fid.get(), devid = other.get(), error, "a copy was not read");
                }
            }
        }
        Ok(None)
    }

    /// The digest of a copy of `size` bytes, read as copies are read that are made.
    pub(super) async fn read(&self, at: DevFid, (hash, size): (HashType, u64)) -> Result<Vec<u8>, NodeError> {
        let devices = [at.device, at.device];
        let _pass = self.0.lanes().enter(&self.0, devices, size).await;
        if size <= DIGESTED_BY_NODE {
            return Ok(self.0.digest_of(at, hash).await?.bytes);
        }
        let read = self.0.read_whole(at, &[hash]).await?;
        let digest = read.digests.get(hash).expect("the hasher was made for it");
        Ok(digest.bytes.clone())
    }
}

/// Takes a copy off the record if another is on record. Answers whether that is so.
async fn forgotten_beside(tx: &mut Tx, fid: Fid, device: DevId, sound: DevId) -> Result<bool, Error> {
    if !files::file_locked(tx, fid).await? {
        return Ok(false);
    }
    let on = replicas::replicas_of(tx, &[fid]).await?.remove(&fid);
    if !on.is_some_and(|on| on.contains(&sound)) {
        return Ok(false);
    }
    replicas::forget(tx, fid, device).await?;
    files::devcount_updated(tx, fid).await?;
    Ok(true)
}
