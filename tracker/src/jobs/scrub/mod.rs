//! Reads every copy once in a period and compares it with its digest; finds, on the way, what is on record and not there,
//! and what is there and not on record.
//!
//! A device is gone through in the order of its fids, a page at a time; how far a pass has come is in `mogul_scrub`, so
//! that it goes on after a restart, and any tracker goes on with it: the device is claimed for the page. The work is
//! spread: what is left of the device's bytes over what is left of the period. An operator can have a pass at once
//! ([`crate::command::scrub`]). Devices that cannot be read wait.
//!
//! A page is three looks: what the device lists ([`Node::sizes`]) against what is on record there, and the CRCs of what
//! is in both ([`read`]). A copy that is rotten or cannot be read is given up if another one is good
//! ([`Tracker::report_bad_copy`]) and made anew by the replicate job. What is missing, too many, miscounted or in the
//! wrong place is mended as fsck mends it, and is in fsck's log then. So nobody has to start fsck: it is for those who
//! want to know now, or want it all checked at once.
//!
//! A file that nobody has digested is queued for that ([`super::digest`], which compares its copies with each other),
//! and is read by the next pass.

mod claim;
mod read;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use mogul_storage::{
    DevId, Fid, Node, NodeError,
    bulk::{BULK_MAX, CRC_BYTES_MAX},
    download::{BadCopy, Fault},
};

use self::{
    claim::PageClaim,
    read::{PageError, Verdict},
};
use super::{
    Done, Job, JobName, Next,
    fsck::{Fsck, Looked},
};
use crate::{
    Error, Tracker,
    command::settings::{SCRUB_PERIOD_DEFAULT, scrub_period},
    meta::{
        digests,
        replicas::{self, Age},
        scrub::{self as meta, PageRead},
    },
    model::{ScrubCounts, ScrubHaste, ScrubState, Timestamp},
};

/// How often there is a look without a wake.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Files of a page, at most.
const FILES: usize = BULK_MAX;
/// Bytes of a page, at most, unless its first file alone has more.
const BYTES: u64 = CRC_BYTES_MAX;
/// How long a device waits that could not be read.
const AWAY: Duration = Duration::from_mins(10);
/// The longest wait between two pages: a new period is followed within that time.
const WAIT_MAX: Duration = Duration::from_hours(1);
/// The part of the period in which a pass that is late is brought to its end: a tenth, so that a cluster which was down
/// for weeks does not read everything at once.
const LATE_DIVISOR: u32 = 10;
/// Bytes of a MiB, in which `device` counts.
const MIB: u64 = 1 << 20;

/// The job.
#[derive(Clone)]
pub struct Scrub(Tracker);

/// A part of a device, as it is on record and as the device lists it.
#[derive(Debug, Default)]
struct Page {
    /// What is on record there: fid and bytes.
    recorded: Vec<(Fid, u64)>,
    /// What the device lists, if it can.
    listed: Option<BTreeMap<Fid, u64>>,
    /// The last fid of the page; `None` if it is the device's last page.
    last: Option<Fid>,
}

impl Scrub {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Scrub {
        Scrub(tracker.at_work())
    }

    /// Claims the device that has waited longest, those in haste first. Takes up what is new.
    async fn claimed(&self, now: Timestamp, period: Option<Duration>) -> Result<Option<ScrubState>, Error> {
        let states = meta::scrubs(&mut self.0.db().reader().await?).await?;
        let known: BTreeMap<DevId, ScrubState> =
            states.into_iter().map(|state| (state.device, state)).collect();
        let view = self.0.view();
        let readable = view.devices().filter(|device| device.readable());
        let here = readable.map(|device| device.device.id);
        let (old, new): (Vec<DevId>, Vec<DevId>) = here
            .filter(|device| self.0.nodes().has(*device))
            .partition(|device| known.contains_key(device));
        let due = old.iter().filter_map(|device| known.get(device));
        let due = due.filter(|state| state.due <= now);
        let due = due.filter(|state| period.is_some() || state.haste == ScrubHaste::AtOnce);
        let new: Vec<DevId> = new.into_iter().filter(|_| period.is_some()).collect();
        let next = due.min_by_key(|state| (state.haste == ScrubHaste::Spread, state.due));
        let next = next.map(|state| state.device).or(new.first().copied());
        let Some(device) = next else {
            return Ok(None);
        };
        let new = Arc::new(new);
        let claim = self.0.db().write(move |tx| {
            let new = Arc::clone(&new);
            Box::pin(async move {
                meta::scrubs_added(tx, &new, now).await?;
                meta::scrub_claimed(tx, device, now).await
            })
        });
        claim.await
    }

    /// Reads the next page of a claimed device and says when the one after it is due.
    async fn advance(&self, state: ScrubState, period: Duration) -> Result<(), Error> {
        let device = state.device;
        let begun = state.begun.unwrap_or(self.0.now());
        let Some(node) = self.0.nodes().get(device) else {
            return self.put_off(device).await;
        };
        let mut claim = PageClaim::of(&state);
        let looked = async {
            let page = self.page(&node, device, state.position).await?;
            let verdicts = self.read(&node, &mut claim, &page).await?;
            Ok::<_, PageError>((page, verdicts))
        };
        let (page, verdicts) = match looked.await {
            Ok(looked) => looked,
            Err(PageError::Domain(error)) => return Err(error),
            Err(PageError::Node(error)) => {
                tracing::warn!(devid = device.get(), %error, "a device could not be scrubbed");
                return self.put_off(device).await;
            }
        };
        let counts = self.settle(device, &page, &verdicts).await?;
        let done = Done {
            files: counts.files,
            bytes: counts.bytes,
        };
        self.0.did(JobName::Scrub, done);
        let now = self.0.now();
        let read = PageRead {
            device,
            begun,
            after: state.position,
            last: page.last.map_or(state.position, Fid::get),
            counts,
            next: now.after(self.wait(&state, counts.bytes, begun.until(now), period)),
        };
        let ended = page.last.is_none();
        if ended {
            tracing::info!(devid = device.get(), "a device was scrubbed");
        }
        let record = self.0.db().write(move |tx| {
            Box::pin(async move {
                meta::scrub_read(tx, &read).await?;
                if ended {
                    let next = begun.after(period);
                    meta::scrub_ended(tx, (device, read.last), (now, next)).await?;
                }
                Ok(())
            })
        });
        record.await
    }

    async fn put_off(&self, device: DevId) -> Result<(), Error> {
        let until = self.0.now().after(AWAY);
        let put_off = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { meta::scrub_put_off(tx, device, until).await }));
        put_off.await
    }

    /// How long the page after one of `bytes` waits.
    fn wait(&self, state: &ScrubState, bytes: u64, passed: Duration, period: Duration) -> Duration {
        let view = self.0.view();
        let used = view.device(state.device).and_then(|device| device.device.mb_used);
        let used = used.unwrap_or(0).saturating_mul(MIB);
        let read = state.counts.bytes.saturating_add(bytes);
        spread(bytes, used.saturating_sub(read), passed, period)
    }

    /// The next part of a device after a fid.
    async fn page(&self, node: &Node, device: DevId, after: u64) -> Result<Page, PageError> {
        let Some(first) = Fid::new(after.saturating_add(1)) else {
            return Ok(Page::default());
        };
        // First the device, then the tables: what is written meanwhile is on record, and not taken for a stray.
        let listed = match node.sizes(device, first, FILES).await {
            Ok(listed) => Some(listed),
            Err(NodeError::Unsupported(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let mut tx = self.0.db().reader().await.map_err(Error::from)?;
        let mut recorded = replicas::files_on(&mut tx, device, Age::Oldest, Fid::new(after), FILES).await?;
        drop(tx);
        let full = |count: usize, last: Option<Fid>| last.filter(|_| count >= FILES);
        let ends = [
            full(recorded.len(), recorded.last().map(|(fid, _)| *fid)),
            listed
                .as_ref()
                .and_then(|listed| full(listed.len(), listed.last().map(|(fid, _)| *fid))),
            end_of_bytes(&recorded),
        ];
        let last = ends.into_iter().flatten().min();
        let within = |fid: &Fid| last.is_none_or(|last| *fid <= last);
        recorded.retain(|(fid, _)| within(fid));
        let listed = listed.map(|listed| listed.into_iter().filter(|(fid, _)| within(fid)).collect());
        Ok(Page {
            recorded,
            listed,
            last,
        })
    }

    /// Draws the consequences of a page, and counts.
    async fn settle(
        &self,
        device: DevId,
        page: &Page,
        verdicts: &BTreeMap<Fid, Verdict>,
    ) -> Result<ScrubCounts, Error> {
        let mut counts = ScrubCounts::default();
        let mut looked = Looked {
            files: page.recorded.iter().map(|(fid, _)| *fid).collect(),
            ..Looked::default()
        };
        let mut undigested = Vec::new();
        for (fid, size) in &page.recorded {
            match verdicts.get(fid) {
                Some(Verdict::Good) => {
                    counts.files += 1;
                    counts.bytes = counts.bytes.saturating_add(*size);
                }
                Some(Verdict::Rotten) => {
                    counts.rotten += 1;
                    let (fid, fault) = (*fid, Fault::Rotten);
                    self.0.report_bad_copy(BadCopy { fid, device, fault }).await;
                }
                Some(Verdict::Absent) => {
                    counts.missing += 1;
                    looked.suspects.insert(*fid, Vec::new());
                }
                Some(Verdict::Undigested) => undigested.push(*fid),
                None => {}
            }
        }
        let recorded: BTreeSet<Fid> = looked.files.iter().copied().collect();
        for fid in page.listed.iter().flat_map(BTreeMap::keys) {
            if !recorded.contains(fid) {
                looked.strays.insert(*fid, vec![device]);
            }
        }
        counts.strays = Fsck::new(&self.0).look_into(looked).await?;
        self.digest_later(undigested).await?;
        Ok(counts)
    }

    /// Queues files that nobody has digested.
    async fn digest_later(&self, fids: Vec<Fid>) -> Result<(), Error> {
        if fids.is_empty() {
            return Ok(());
        }
        let fids = Arc::new(fids);
        let queue = self.0.db().write(move |tx| {
            let fids = Arc::clone(&fids);
            Box::pin(async move {
                // Parts of open uploads have theirs, and are read when they are joined.
                let wanted = digests::digestible(tx, &fids).await?;
                digests::digests_queued(tx, &wanted).await
            })
        });
        queue.await?;
        self.0.wake(JobName::Digest);
        Ok(())
    }
}

impl Job for Scrub {
    const NAME: JobName = JobName::Scrub;

    async fn step(&mut self) -> Result<Next, Error> {
        let period = scrub_period(&self.0.view());
        match self.claimed(self.0.now(), period).await? {
            Some(state) => {
                let period = period.unwrap_or(SCRUB_PERIOD_DEFAULT);
                self.advance(state, period).await.map(|()| Next::Again)
            }
            None => Ok(Next::Idle),
        }
    }
}

/// The first fid with which these files have as many bytes as a page, if they do.
fn end_of_bytes(files: &[(Fid, u64)]) -> Option<Fid> {
    let mut bytes = 0_u64;
    files
        .iter()
        .find(|(_, size)| {
            bytes = bytes.saturating_add(*size);
            bytes >= BYTES
        })
        .map(|(fid, _)| *fid)
}

/// How long the page after one of `bytes` waits, so that the `left` bytes take what is left of the period.
fn spread(bytes: u64, left: u64, passed: Duration, period: Duration) -> Duration {
    if left == 0 {
        return Duration::ZERO;
    }
    let time = period.saturating_sub(passed).max(period / LATE_DIVISOR);
    let nanos = time.as_nanos().saturating_mul(u128::from(bytes)) / u128::from(left);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn the_work_is_spread_over_what_is_left_of_the_period() {
        let tera = 1 << 40;
        let page = tera / (30 * 24 * 60);

        // One page a minute reads a thirtieth a day.
        let minute = spread(page, tera, Duration::ZERO, 30 * DAY);
        assert!((59..=61).contains(&minute.as_secs()), "{minute:?}");
        // Half the work in half the time: the same. A pass that is late hastens, but not without a bound.
        assert!((59..=61).contains(&spread(page, tera / 2, 15 * DAY, 30 * DAY).as_secs()));
        assert_eq!(
            spread(page, tera, 29 * DAY, 30 * DAY),
            spread(page, tera, 27 * DAY, 30 * DAY)
        );
        assert!((5..=6).contains(&spread(page, tera, 60 * DAY, 30 * DAY).as_secs()));
        assert_eq!(spread(page, 0, Duration::ZERO, 30 * DAY), Duration::ZERO);
        assert_eq!(spread(BYTES, BYTES, Duration::ZERO, 30 * DAY), WAIT_MAX);
    }

    #[test]
    fn a_page_ends_with_the_file_that_fills_it() {
        let file = |fid, size| (Fid::new(fid).unwrap(), size);

        assert_eq!(end_of_bytes(&[]), None);
        assert_eq!(end_of_bytes(&[file(1, BYTES - 1)]), None);
        assert_eq!(
            end_of_bytes(&[file(1, 9), file(2, BYTES), file(3, 1)]),
            Fid::new(2)
        );
    }
}
