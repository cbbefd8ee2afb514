//! Digests files that came without a digest: a client of the tracker port, or another tracker, stored them.
//!
//! Until then such a file has a stand-in for an entity tag and is read unchecked; afterwards it has its MD5, and the CRC by
//! which every whole read is verified. One copy is read; what the others hold is asked of their nodes, because a digest of
//! rotten bytes would make good copies look bad: where copies differ nothing is written down, and fsck has to say which is
//! right. An MD5 that is on record (`checksum`) decides by itself.
//!
//! Files closed through us are queued with their close. Files of other programs are searched for when nothing is queued, in
//! the order of their fids; how far the search has come is in `server_settings`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use mogul_storage::{
    DevFid, DevId, Digests, Fid, HashType, NodeError,
    download::{BadCopy, Fault},
};

use super::{Done, Job, JobName, Next};
use crate::{
    Error, Tracker,
    meta::{
        digests::{self, DigestClaim, Digested, Searched},
        files::{self, FileRow},
        replicas,
    },
    model::Timestamp,
};

/// Files of one step.
const BATCH: usize = 64;
/// Files of other programs that one search queues.
const FOUND_MAX: usize = 500;
/// How long one attempt has its files to itself; reading the largest takes less.
const CLAIM: Duration = Duration::from_secs(1_000);
/// Wait after the first failed attempt; it doubles with each.
const BACKOFF_MIN: Duration = Duration::from_secs(30);
/// Longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_hours(6);
/// How often files of other programs are searched for, once all have been seen.
const SEARCH_EVERY: Duration = Duration::from_mins(10);
/// How often the queue is looked at without a wake: rows become due by time, too.
pub const PERIOD: Duration = Duration::from_secs(10);

/// The job.
#[derive(Clone)]
pub struct Digest {
    tracker: Tracker,
    /// When the search last came to its end; lost with the process, and then made anew from where it is on record.
    searched: Option<Timestamp>,
}

/// A file to be digested.
struct Work {
    claim: DigestClaim,
    file: FileRow,
    on: Vec<DevId>,
    /// The MD5 on record.
    md5: Option<Vec<u8>>,
}

/// What came of a claim.
enum End {
    /// It is known now.
    Known(Digested),
    /// It is no file any more.
    Gone(Fid),
    /// No copy can be read, or they differ.
    Later(DigestClaim),
}

/// Why a copy was not digested.
struct Unread {
    fault: Fault,
    reason: String,
}

/// The bytes of one copy, digested.
struct Copy {
    md5: Vec<u8>,
    crc64: Vec<u8>,
    /// When the file was written, as far as its node tells.
    modified: Option<Timestamp>,
}

impl Digest {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Digest {
        Digest {
            tracker: tracker.at_work(),
            searched: None,
        }
    }

    /// Looks for files of other programs, when it is time.
    async fn search(&mut self) -> Result<Next, Error> {
        let now = self.tracker.now();
        let seen = |searched: Timestamp| searched.until(now) < SEARCH_EVERY;
        if self.searched.is_some_and(seen) {
            return Ok(Next::Idle);
        }
        let search = self
            .tracker
            .db()
            .write(|tx| Box::pin(async move { digests::digests_searched(tx, FOUND_MAX).await }));
        if search.await? == Searched::All {
            self.searched = Some(now);
        }
        Ok(Next::Again)
    }

    /// What is to be known of claimed files before they are read.
    async fn works(&self, claims: Vec<DigestClaim>) -> Result<Vec<Result<Work, End>>, Error> {
        let fids: Vec<Fid> = claims.iter().map(|claim| claim.fid).collect();
        let mut tx = self.tracker.db().reader().await?;
        let mut files = files::files_by_fid(&mut tx, &fids).await?;
        let mut replicas = replicas::replicas_of(&mut tx, &fids).await?;
        let mut md5s = digests::md5s_known(&mut tx, &fids).await?;
        let works = claims.into_iter().map(|claim| {
            let file = files.remove(&claim.fid).ok_or(End::Gone(claim.fid))?;
            Ok(Work {
                claim,
                file,
                on: replicas.remove(&claim.fid).unwrap_or_default(),
                md5: md5s.remove(&claim.fid),
            })
        });
        Ok(works.collect())
    }

    async fn end_of(&self, work: Result<Work, End>) -> End {
        match work {
            Ok(work) => match self.digested(&work).await {
                Some(digested) => End::Known(digested),
                None => End::Later(work.claim),
            },
            Err(end) => end,
        }
    }

    /// Digests a file. `None` if no copy can be read now, or if copies differ.
    async fn digested(&self, work: &Work) -> Option<Digested> {
        let view = self.tracker.view();
        let readable = |device: &DevId| {
            view.device(*device)
                .is_some_and(crate::view::DeviceView::readable)
        };
        let readable: Vec<DevId> = work.on.iter().copied().filter(readable).collect();
        for device in &readable {
            let fid = work.file.fid;
            let copy = self.read(work, *device).await;
            let copy = match copy {
                Ok(copy) => copy,
                Err(Unread { fault, reason }) => {
                    tracing::warn!(
                        fid = fid.get(),
                        devid = device.get(),
                        reason,
                        "a copy was not digested"
                    );
                    self.report(fid, *device, fault).await;
                    continue;
                }
            };
            if work.md5.as_ref().is_some_and(|md5| *md5 != copy.md5) {
                self.report(fid, *device, Fault::Rotten).await;
                continue;
            }
            if work.md5.is_none() && !self.others_agree(work, (*device, &readable), &copy).await {
                return None;
            }
            let keeps = self.class_keeps_md5(&work.file);
            return Some(Digested {
                fid,
                modified: copy.modified.unwrap_or_else(|| self.tracker.now()),
                md5: copy.md5,
                crc64: copy.crc64,
                class_keeps_md5: keeps && work.md5.is_none(),
            });
        }
        None
    }

    async fn report(&self, fid: Fid, device: DevId, fault: Fault) {
        self.tracker.report_bad_copy(BadCopy { fid, device, fault }).await;
    }

    /// Reads one copy.
    async fn read(&self, work: &Work, device: DevId) -> Result<Copy, Unread> {
        let at = DevFid {
            device,
            fid: work.file.fid,
        };
        let read = self.tracker.read_whole(at, &[HashType::Md5, HashType::Crc64Nvme]);
        let read = read.await.map_err(|error| Unread {
            fault: if matches!(error, NodeError::NotFound) {
                Fault::Missing
            } else {
                Fault::Unreachable
            },
            reason: error.to_string(),
        })?;
        if read.size != work.file.size {
            return Err(Unread {
                fault: Fault::Short,
                reason: format!("it has {} bytes instead of {}", read.size, work.file.size),
            });
        }
        Ok(Copy {
            md5: bytes_of(&read.digests, HashType::Md5),
            crc64: bytes_of(&read.digests, HashType::Crc64Nvme),
            modified: read.modified,
        })
    }

    /// Whether no other copy is known to differ. One whose node cannot tell does not count against it.
    async fn others_agree(&self, work: &Work, (read, readable): (DevId, &[DevId]), copy: &Copy) -> bool {
        for device in readable.iter().copied().filter(|device| *device != read) {
            let fid = work.file.fid;
            match self
                .tracker
                .digest_of(DevFid { device, fid }, HashType::Md5)
                .await
            {
                Ok(digest) if digest.bytes != copy.md5 => {
                    tracing::error!(
                        fid = fid.get(),
                        devid = device.get(),
                        "copies differ, and none is known to be right"
                    );
                    return false;
                }
                Ok(_) | Err(_) => {}
            }
        }
        true
    }

    fn class_keeps_md5(&self, file: &FileRow) -> bool {
        let view = self.tracker.view();
        let class = view
            .domain(file.domain)
            .and_then(|domain| domain.classes.get(&file.class));
        class.is_some_and(|class| class.hash == Some(HashType::Md5))
    }

    /// When an attempt that failed is made again.
    fn again(&self, claim: DigestClaim) -> (DigestClaim, Timestamp) {
        let doubled = BACKOFF_MIN.saturating_mul(1 << claim.failcount.min(16));
        let at = self.tracker.now().after(doubled.min(BACKOFF_MAX));
        let failed = DigestClaim {
            failcount: claim.failcount.saturating_add(1),
            ..claim
        };
        (failed, at)
    }

    /// Writes down what came of a batch.
    async fn record(&self, ends: Vec<End>) -> Result<(), Error> {
        let (mut known, mut done, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for end in ends {
            match end {
                End::Known(digested) => {
                    done.push(digested.fid);
                    known.push(digested);
                }
                End::Gone(fid) => done.push(fid),
                End::Later(claim) => later.push(self.again(claim)),
            }
        }
        let outcome = Arc::new((known, done, later));
        let write = self.tracker.db().write(move |tx| {
            let outcome = Arc::clone(&outcome);
            Box::pin(async move {
                let (known, done, later) = &*outcome;
                digests::digests_learned(tx, known).await?;
                digests::digests_done(tx, done).await?;
                for (claim, at) in later {
                    digests::digest_deferred(tx, *claim, *at).await?;
                }
                Ok(())
            })
        });
        write.await
    }
}

fn bytes_of(digests: &Digests, hash: HashType) -> Vec<u8> {
    let digest = digests.get(hash);
    digest
        .map(|digest| digest.bytes.clone())
        .expect("the hasher was made for it")
}

impl Job for Digest {
    const NAME: JobName = JobName::Digest;

    async fn step(&mut self) -> Result<Next, Error> {
        let now = self.tracker.now();
        if !digests::digest_due(&mut self.tracker.db().reader().await?, now).await? {
            return self.search().await;
        }
        let claim = self.tracker.db().write(move |tx| {
            Box::pin(async move { digests::digests_claimed(tx, (now, now.after(CLAIM)), BATCH).await })
        });
        let claims = claim.await?;
        let works = self.works(claims).await?;
        let sizes = works.iter().flatten();
        let sizes: BTreeMap<Fid, u64> = sizes.map(|work| (work.file.fid, work.file.size)).collect();
        let at_once = self.tracker.settings().replicate_at_once;
        let job = &*self;
        let ends: Vec<End> = stream::iter(works)
            .map(|work| job.end_of(work))
            .buffer_unordered(at_once)
            .collect()
            .await;
        let read = ends.iter().map(|end| match end {
            End::Known(digested) => sizes.get(&digested.fid).copied().unwrap_or(0),
            End::Gone(_) | End::Later(_) => 0,
        });
        let done = Done {
            bytes: read.sum(),
            ..Done::files(ends.len())
        };
        self.record(ends).await?;
        self.tracker.did(Self::NAME, done);
        Ok(Next::Again)
    }
}
