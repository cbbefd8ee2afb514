//! Drops a copy that is too many.

use std::collections::BTreeSet;

use mogul_storage::{DevFid, DevId};

use super::{Replicate, Rule, Work};
use crate::{
    Error,
    meta::{files, replicas},
    policy::Advice,
};

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
        self.drop_copy(work, device).await?;
        work.on.retain(|other| *other != device);
        Ok(true)
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

    /// Drops a copy: the file, then its row. A row without a file is mended when somebody reads it; a file without a row
    /// would stay for ever.
    ///
    /// # Errors
    /// [`Error::Busy`] if the file is not ours any more: somebody else may be dropping another of its copies.
    pub(super) async fn drop_copy(&self, work: &Work, device: DevId) -> Result<(), Error> {
        let fid = work.file.fid;
        let node = self.0.nodes().get(device).ok_or(Error::NoDevices)?;
        if !work.held.still_claims(self.0.db(), &work.claim).await? {
            return Err(Error::Busy);
        }
        let deleted = node.delete(DevFid { device, fid }).await;
        deleted.map_err(|source| Error::Device { device, source })?;
        let forget = self.0.db().write(move |tx| {
            Box::pin(async move {
                replicas::forget(tx, fid, device).await?;
                files::devcount_updated(tx, fid).await
            })
        });
        forget.await
    }
}
