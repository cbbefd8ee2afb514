//! One file to one worker alone: its row in `file_to_replicate` claimed, and its lock held.

use std::{convert::Infallible, pin::pin, time::Duration};

use futures_util::future::{self, Either};
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
        let turn = self.locks().turn().await;
        let claim = self
            .db()
            .write(move |tx| Box::pin(async move { queues::claim_file(tx, fid, now).await }));
        let Some(sole) = claim.await? else {
            return Ok(None);
        };
        let held = self.locks().files(&[fid]).await?.in_turn(turn);
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

    /// Does something, and keeps the locks meanwhile. Both go on side by side: the work may hold what the sign of life waits for.
    pub(super) async fn keeping<T>(&self, held: &Held, work: impl Future<Output = T>) -> T {
        let Some(every) = held.pulse_every() else {
            return work.await;
        };
        match future::select(pin!(work), pin!(self.signs_of_life(held, every))).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn signs_of_life(&self, held: &Held, every: Duration) -> Infallible {
        loop {
            self.clock().sleep(every).await;
            if let Err(error) = held.pulse().await {
                tracing::warn!(%error, "the locks of files that are worked on were lost");
            }
        }
    }
}
