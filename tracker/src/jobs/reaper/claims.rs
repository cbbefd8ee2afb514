//! Takes up the claims of trackers that have died.
//!
//! Who works on a file holds its lock, and the database frees that when the process is gone. So a row that is claimed and
//! whose lock can be had is nobody's. A worker claims a moment before it locks: a claim is given to others only if it was
//! there at the look before, too.

use std::{collections::BTreeMap, time::Duration};

use mogul_storage::Fid;

use crate::{
    Error, Tracker,
    jobs::JobName,
    meta::{ids::LIST_MAX, queues},
    model::Timestamp,
};

/// How often there is a look.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A look that takes long is followed by a pause of so many times its length: the queue is full of files that wait.
const PAUSE: u32 = 20;

/// What the last look saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    /// Claimed files, with the time of each claim.
    seen: BTreeMap<Fid, i64>,
    /// When the next look is due.
    next: Option<Timestamp>,
}

impl Claims {
    /// Looks, if it is time, and makes due what dead workers have claimed.
    pub(super) async fn look(&mut self, tracker: &Tracker) -> Result<(), Error> {
        let now = tracker.now();
        if self.next.is_some_and(|next| now < next) {
            return Ok(());
        }
        let mut tx = tracker.db().reader().await?;
        let claimed = queues::replicate_claimed(&mut tx, now, LIST_MAX).await?;
        drop(tx);
        let took = now.until(tracker.now());
        self.next = Some(now.after(LOOK_EVERY.max(took.saturating_mul(PAUSE))));
        let before = std::mem::replace(&mut self.seen, claimed);
        let stands = |(fid, until): &(&Fid, &i64)| before.get(fid) == Some(until);
        let standing = self.seen.iter().filter(stands);
        let standing: BTreeMap<Fid, i64> = standing.map(|(fid, until)| (*fid, *until)).collect();
        if standing.is_empty() {
            return Ok(());
        }
        self.take_up(tracker, standing).await
    }

    /// Makes due those of these claims that nobody holds the lock of.
    async fn take_up(&self, tracker: &Tracker, mut claims: BTreeMap<Fid, i64>) -> Result<(), Error> {
        let fids: Vec<Fid> = claims.keys().copied().collect();
        let held = tracker.locks().files(&fids).await?;
        claims.retain(|fid, _| held.has(*fid));
        if claims.is_empty() {
            held.release().await;
            return Ok(());
        }
        let free = tracker.db().write(move |tx| {
            let claims = claims.clone();
            Box::pin(async move { queues::replicate_freed(tx, &claims).await })
        });
        let freed = free.await?;
        held.release().await;
        if freed > 0 {
            tracing::warn!(files = freed, "claims of a worker that died were taken up");
            tracker.wake(JobName::Replicate);
        }
        Ok(())
    }
}
