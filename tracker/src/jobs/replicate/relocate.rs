//! Moves one copy of a file off a device (mogilefs.md §14.2): a copy elsewhere first, then the one that is left behind goes.

use std::sync::Arc;

use mogul_storage::DevId;

use super::{CHANGES_MAX, Copied, Replicate, Rule, Work, copy::Carried, spare::Dropped};
use crate::{
    Error,
    inspect::digest_known,
    meta::{files, lock::Held, queues::Claim},
    policy::{Advice, Situation},
    refresh::policy_of,
    view::DeviceView,
};

/// What came of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs) enum Relocated {
    /// The device has no copy of the file any more: so many bytes were moved.
    Moved(u64),
    /// It had none.
    Gone,
    /// The copy stays, for this reason.
    Refused(&'static str),
}

impl Replicate {
    /// Moves the copy of a claimed file from a device to one of others. The copy goes only when the policy is content
    /// without it, when all other copies have been seen to be there, and one of them to be good. Answers the claim, suspect if a device may have
    /// taken a copy that is not on record.
    pub(in crate::jobs) async fn relocate(
        &self,
        (claim, held): (Claim, Arc<Held>),
        from: DevId,
        to: &[DevId],
    ) -> Result<(Relocated, Claim), Error> {
        let mut tx = self.0.db().reader().await?;
        let file = files::files_by_fid(&mut tx, &[claim.fid])
            .await?
            .remove(&claim.fid);
        let digest = digest_known(&mut tx, claim.fid).await?;
        drop(tx);
        let Some(file) = file else {
            return Ok((Relocated::Gone, claim));
        };
        let claim = self.0.extended(claim, file.size).await?;
        let (claim, failed) = self.without_strays(claim).await?;
        let mut work = Work {
            claim,
            held,
            file,
            digest,
            on: Vec::new(),
            made: Vec::new(),
            sound: Vec::new(),
            failed,
        };
        let relocated = self.shift(&mut work, from, to).await?;
        let (claim, _) = self.without_copies_on(&work.failed, work.claim).await?;
        Ok((relocated, claim))
    }

    /// Makes copies on the targets until the one that is to go is not needed, then drops it.
    async fn shift(&self, work: &mut Work, from: DevId, to: &[DevId]) -> Result<Relocated, Error> {
        let file = &work.file;
        self.0.know_classes([(file.domain, file.class)]).await?;
        let class = self.0.class_of(file);
        for _ in 0..CHANGES_MAX {
            work.on = self.replicas(work.file.fid).await?;
            if !work.on.contains(&from) {
                return Ok(Relocated::Gone);
            }
            let rest = work.on.iter().copied().filter(|device| *device != from);
            let rest: Vec<DevId> = rest.collect();
            let view = self.0.view();
            let rule = Rule {
                policy: policy_of(&class),
                mindevcount: class.mindevcount,
                view: &view,
            };
            match self.advice_among(&rule, work, &rest, to) {
                Advice::Happy | Advice::TooHappy => {
                    return self.leave(work, &rule, &rest, from).await;
                }
                Advice::NoAnswer => return Ok(Relocated::Refused("no target can take it")),
                // A desperate one would be worse than what there is.
                Advice::CopyTo { ideal, .. } => {
                    let Some(target) = self.pick(&view, &ideal, &[]) else {
                        return Ok(Relocated::Refused("the copies would lie worse than before"));
                    };
                    match self.carry(&work.load(), &view, target).await {
                        Carried::There => {
                            work.made.push(target);
                            work.sound.push(target);
                        }
                        Carried::TargetFailed => work.failed.push(target),
                        Carried::NoSource => return Ok(Relocated::Refused("no copy can be read")),
                    }
                    if self.record(work).await? == Copied::FileGone {
                        return Ok(Relocated::Gone);
                    }
                }
            }
        }
        Ok(Relocated::Refused("too many copies failed"))
    }

    /// Asks the policy about a file on `rest`, where only `to` take files.
    fn advice_among(&self, rule: &Rule<'_>, work: &Work, rest: &[DevId], to: &[DevId]) -> Advice {
        let room = work.file.size.saturating_add(self.0.settings().min_free_bytes);
        let mut devices = rule.view.policy_devices(room);
        for device in &mut devices {
            device.takes_files &= to.contains(&device.id) && self.0.nodes().has(device.id);
        }
        rule.policy.advise(&Situation {
            mindevcount: rule.mindevcount,
            on: rest,
            failed: &work.failed,
            devices: &devices,
        })
    }

    /// Drops the copy that is not needed any more, if the others are there and one of them is good.
    async fn leave(
        &self,
        work: &mut Work,
        rule: &Rule<'_>,
        rest: &[DevId],
        from: DevId,
    ) -> Result<Relocated, Error> {
        if rest.is_empty() || !self.others_hold(work, &work.on, from).await {
            return Ok(Relocated::Refused("the other copies cannot be seen"));
        }
        if !rule.view.device(from).is_some_and(DeviceView::deletable) {
            return Ok(Relocated::Refused("nothing may be deleted on the device"));
        }
        Ok(match self.drop_copy(work, from).await? {
            Dropped::Yes => Relocated::Moved(work.file.size),
            Dropped::No(reason) => Relocated::Refused(reason),
        })
    }
}
