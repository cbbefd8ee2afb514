//! One file to one worker alone: its row in `file_to_replicate` claimed, and its lock held.

use mogul_storage::Fid;

use crate::{
    Error, Tracker,
    meta::{
        lock::Held,
        queues::{self, Leftover, Sole},
    },
    model::Timestamp,
};

impl Tracker {
    /// Takes a file for the caller alone, queued or not. `None` if somebody has it: a worker of ours, or of an original
    /// tracker.
    ///
    /// # Errors
    /// [`Error::Database`]; a claim that is left then is found by the reaper.
    pub(super) async fn to_itself(&self, fid: Fid, now: Timestamp) -> Result<Option<(Sole, Held)>, Error> {
        let claim = self
            .db()
            .write(move |tx| Box::pin(async move { queues::claim_file(tx, fid, now).await }));
        let Some(sole) = claim.await? else {
            return Ok(None);
        };
        let held = self.locks().files(&[fid]).await?;
        if held.has(fid) {
            return Ok(Some((sole, held)));
        }
        let give_back = self.db().write(move |tx| {
            Box::pin(async move {
                let claim = sole.claim;
                if sole.waited || claim.leftover != Leftover::None {
                    queues::replicate_later(tx, &claim, claim.was, claim.failcount).await
                } else {
                    queues::replicate_done(tx, &[claim]).await
                }
            })
        });
        give_back.await?;
        Ok(None)
    }
}
