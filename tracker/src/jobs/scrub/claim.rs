//! The claim of a page while it is read: a page is one file at least, however large, and a disk may be slow.

use std::time::Duration;

use mogul_storage::DevId;

use super::Scrub;
use crate::{
    Error,
    jobs::replicate::SLOWEST,
    meta::scrub as meta,
    model::{ScrubState, Timestamp},
};

/// A device that this worker has claimed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageClaim {
    pub(super) device: DevId,
    /// Until when: by it the claim is known.
    until: Timestamp,
}

impl PageClaim {
    /// The claim by which a device was got.
    pub(super) fn of(state: &ScrubState) -> PageClaim {
        PageClaim {
            device: state.device,
            until: state.due,
        }
    }
}

impl Scrub {
    /// Sees that the claim lasts while so many bytes are read: half a claim is kept in hand, so that it is seldom extended.
    /// One that is lost, because an operator has begun the pass anew, is let be: what was read is not counted then.
    pub(super) async fn keep(&self, claim: &mut PageClaim, bytes: u64) -> Result<(), Error> {
        let now = self.0.now();
        let needed = Duration::from_secs(bytes / SLOWEST);
        if now.after(needed.saturating_add(meta::CLAIM / 2)) <= claim.until {
            return Ok(());
        }
        let (held, until) = (
            (claim.device, claim.until),
            now.after(meta::CLAIM.saturating_add(needed)),
        );
        let extend = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { meta::scrub_extended(tx, held, until).await }));
        if extend.await? {
            claim.until = until;
        }
        Ok(())
    }
}
