//! Joins the parts of an object into one file: where a device holds all parts, there, without moving a byte over the
//! network; else by reading them from wherever they are.
//!
//! An object is readable before, while and after it is joined: the bytes come first, then one transaction puts the file
//! on record and gives the parts up. A step that dies in between leaves its row in `mogul_join`; the next attempt makes
//! the file anew in the same place. If the object has been deleted by then, its row in `mogul_join` is still there, and
//! the fid is queued for deletion on every device, because nobody knows on which a file of it was left.
//!
//! What is larger than `join_bytes_max` stays in its parts, and in the queue: it is looked at again when a process starts,
//! which may have a higher limit, and when it is deleted. A client of the tracker port can read nothing but files: an object
//! that one asks for is joined whatever its size.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use mogul_storage::{
    DevFid, DevId, Fid, HashType, NodeError,
    download::{BadCopy, Download, DownloadError, download},
    upload::{Target, Upload, UploadError, upload},
};

use super::{Job, JobName, Next};
use crate::{
    Error, Tracker,
    command::files::{Copies, CreateOpen},
    error::chain,
    meta::{
        Tx,
        committer::Replication,
        deletions,
        files::{self, FileRow},
        queues, replicas,
        segments::{self, JoinClaim, Piece, Urgency},
    },
    model::{Class, Timestamp},
    refresh::policy_of,
};

/// How long one attempt has an object to itself. Joining the largest object takes less; a tracker that died is not waited
/// for longer.
const CLAIM: Duration = Duration::from_secs(1_000);
/// Wait after the first failed attempt; it doubles with each.
const BACKOFF_MIN: Duration = Duration::from_secs(10);
/// Longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_hours(1);

/// The job: see the module.
#[derive(Clone)]
pub struct Join(Tracker);

/// An object to be joined, as the database has it.
struct Joinable {
    file: FileRow,
    class: Class,
    pieces: Vec<Piece>,
    /// CRC64/NVME of all bytes.
    crc64: Option<[u8; 8]>,
}

/// Why an object was not put together from parts on several devices.
#[derive(Debug, thiserror::Error)]
enum GatherError {
    /// A part cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DownloadError),
    /// The bytes are not those that were uploaded.
    #[error("the parts are not what was uploaded")]
    Rotten,
}

impl Join {
    /// The job of a tracker.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Join {
        Join(tracker.at_work())
    }
}

impl Job for Join {
    const NAME: JobName = JobName::Join;

    async fn step(&mut self) -> Result<Next, Error> {
        let now = self.0.now();
        if !segments::join_due(&mut self.0.db().reader().await?, now).await? {
            return Ok(Next::Idle);
        }
        let write = self.0.db().write(move |tx| {
            Box::pin(async move { segments::join_claimed(tx, now, now.after(CLAIM)).await })
        });
        let Some(claim) = write.await? else {
            return Ok(Next::Idle);
        };
        // Boxed: what reads and writes bodies is large, and the driver would carry it while it waits.
        if let Err(error) = Box::pin(self.join(claim)).await {
            tracing::warn!(fid = %claim.fid, failcount = claim.failcount + 1, error = chain(&error), "an object was not joined");
            self.put_off(claim).await?;
        }
        Ok(Next::Again)
    }
}

impl Join {
    /// Joins one object, or finds that there is nothing to join.
    async fn join(&self, claim: JoinClaim) -> Result<(), Error> {
        let mut tx = self.0.db().reader().await?;
        let found = joinable(&mut tx, &self.0, claim.fid).await?;
        drop(tx);
        let Some(object) = found else {
            return self.deleted(claim.fid).await;
        };
        let parts: Option<Vec<Fid>> = object.pieces.iter().map(|piece| piece.fid).collect();
        let Some(parts) = parts.filter(|parts| !parts.is_empty()) else {
            return self.done(claim.fid).await;
        };
        let large = object.file.size > self.0.settings().join_bytes_max;
        if large && claim.urgency == Urgency::Background {
            return self.shelve(claim).await;
        }
        let mut devices = self.join_in_place(&object, &parts).await;
        if devices.is_empty() {
            devices = self.gather(&object).await?;
        }
        self.record(&object, devices).await
    }

    /// Lets devices that hold all parts join them, as many as the class wants copies. Answers which did.
    async fn join_in_place(&self, object: &Joinable, parts: &[Fid]) -> Vec<DevId> {
        let view = self.0.view();
        let room = object.file.size.saturating_add(self.0.settings().min_free_bytes);
        let free = |device: &DevId| {
            let candidate = view.device(*device).filter(|view| view.takes_files());
            candidate
                .and_then(|view| view.free_bytes)
                .is_some_and(|free| free > room)
        };
        let wanted = policy_of(&object.class).copies(object.class.mindevcount);
        let mut joined = Vec::new();
        for device in holding_all(&object.pieces).into_iter().filter(free) {
            if joined.len() >= usize::from(wanted) {
                break;
            }
            match self.join_on(object, parts, device).await {
                Ok(()) => joined.push(device),
                Err(error) => {
                    tracing::warn!(fid = %object.file.fid, devid = %device, error = chain(&error), "a device did not join parts");
                }
            }
        }
        joined
    }

    /// Lets one device join the parts, and checks what came of it.
    async fn join_on(&self, object: &Joinable, parts: &[Fid], device: DevId) -> Result<(), NodeError> {
        let node = self.0.nodes().get(device).ok_or(NodeError::NoDevice)?;
        let at = DevFid {
            device,
            fid: object.file.fid,
        };
        let size = node.join(at, parts).await?;
        let right = match object.crc64 {
            Some(crc64) => node.digest(at, HashType::Crc64Nvme).await?.bytes == crc64,
            None => true,
        };
        if right && size == object.file.size {
            return Ok(());
        }
        // The parts lie there with the wrong bytes: what was made of them must not stay.
        node.delete(at).await?;
        Err(NodeError::Digest(HashType::Crc64Nvme))
    }

    /// Reads the parts from wherever they are and stores them as one file.
    async fn gather(&self, object: &Joinable) -> Result<Vec<DevId>, Error> {
        let targets = self.targets(object)?;
        let request = Upload {
            fid: object.file.fid,
            targets,
            size: Some(object.file.size),
            hashes: vec![HashType::Crc64Nvme],
            lag_max: None,
        };
        let bad = Arc::new(Mutex::new(Vec::new()));
        let body = self.read(object, &bad)?;
        let expected = object.crc64;
        let stored = upload(request, body, |_, digests| {
            let found = digests
                .get(HashType::Crc64Nvme)
                .map(|digest| digest.bytes.as_slice());
            let right = expected.is_none_or(|expected| found == Some(expected.as_slice()));
            right.then_some(()).ok_or(GatherError::Rotten)
        });
        let stored = stored.await;
        let bad = std::mem::take(&mut *bad.lock().unwrap_or_else(PoisonError::into_inner));
        for copy in bad {
            self.0.report_bad_copy(copy).await;
        }
        match stored {
            Ok(stored) => Ok(stored.stored),
            Err(UploadError::Body(GatherError::Unreadable(_) | GatherError::Rotten)) => {
                Err(Error::NoReadableCopy)
            }
            Err(UploadError::NoTarget(_)) => Err(Error::NoDevices),
        }
    }

    /// Where an object is gathered: devices that hold the most parts first.
    fn targets(&self, object: &Joinable) -> Result<Vec<Target>, Error> {
        let mut prefer: Vec<(usize, DevId)> = Vec::new();
        for device in object.pieces.iter().flat_map(|piece| &piece.devices) {
            match prefer.iter_mut().find(|(_, known)| known == device) {
                Some((count, _)) => *count += 1,
                None => prefer.push((1, *device)),
            }
        }
        prefer.sort_unstable_by(|a, b| b.cmp(a));
        let prefer: Vec<DevId> = prefer.into_iter().map(|(_, device)| device).collect();
        self.0.targets(&CreateOpen {
            class: &object.class,
            size: Some(object.file.size),
            copies: Copies::OfClass,
            prefer: &prefer,
        })
    }

    /// The bytes of all parts, one after the other; copies that fail go to `bad`.
    fn read(
        &self,
        object: &Joinable,
        bad: &Arc<Mutex<Vec<BadCopy>>>,
    ) -> Result<impl Stream<Item = Result<Bytes, GatherError>> + Send + use<>, Error> {
        let view = self.0.view();
        let whole = |piece| self.0.download(&view, piece, 0, object.file.size);
        let downloads = object
            .pieces
            .iter()
            .map(whole)
            .collect::<Result<Vec<Download>, _>>()?;
        let bad = Arc::clone(bad);
        let bodies = futures_util::stream::iter(downloads).then(move |request| {
            let bad = Arc::clone(&bad);
            download(request, move |copy| {
                bad.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
            })
        });
        Ok(bodies.try_flatten().map_err(GatherError::Unreadable))
    }

    /// Puts the file on record and gives the parts up; or the file, if the object has gone meanwhile.
    async fn record(&self, object: &Joinable, devices: Vec<DevId>) -> Result<(), Error> {
        let now = self.0.now();
        let fid = object.file.fid;
        for device in &devices {
            // The parts go for good: whoever deleted a copy that was not on record yet must not have deleted this one.
            let size = self.0.size_of(DevFid { device: *device, fid }).await;
            if !size.is_ok_and(|size| size == object.file.size) {
                return Err(Error::Busy);
            }
        }
        let replication = self.0.replication(&object.class, &devices);
        let devices = Arc::new(devices);
        let write = self.0.db().write(move |tx| {
            let devices = Arc::clone(&devices);
            Box::pin(async move {
                given(tx, fid, &devices).await?;
                if !files::file_locked(tx, fid).await? {
                    return gone(tx, fid, now).await;
                }
                // Empty parts, which have no piece, are among these.
                let parts = segments::part_fids_of(tx, fid).await?;
                segments::segments_joined(tx, fid).await?;
                files::release_parts(tx, &parts, now).await?;
                files::devcount_updated(tx, fid).await?;
                if replication == Replication::Queued {
                    queues::replicate_suspect(tx, &[fid]).await?;
                }
                segments::join_done(tx, fid).await
            })
        });
        write.await?;
        self.0.wake(JobName::Delete);
        if replication == Replication::Queued {
            self.0.wake(JobName::Replicate);
        }
        Ok(())
    }

    /// The object has been deleted: whatever an attempt before left of it goes, too.
    async fn deleted(&self, fid: Fid) -> Result<(), Error> {
        let now = self.0.now();
        let devices: Vec<DevId> = self.0.view().devices().map(|view| view.device.id).collect();
        let devices = Arc::new(devices);
        let write = self.0.db().write(move |tx| {
            let devices = Arc::clone(&devices);
            Box::pin(async move {
                given(tx, fid, &devices).await?;
                gone(tx, fid, now).await
            })
        });
        write.await?;
        self.0.wake(JobName::Delete);
        Ok(())
    }

    /// There is nothing to join.
    async fn done(&self, fid: Fid) -> Result<(), Error> {
        let write = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { segments::join_done(tx, fid).await }));
        write.await
    }

    /// The object is larger than the operator wants joined today.
    async fn shelve(&self, claim: JoinClaim) -> Result<(), Error> {
        let write = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { segments::join_shelved(tx, claim).await }));
        write.await
    }

    /// Tries again later, each time later.
    async fn put_off(&self, claim: JoinClaim) -> Result<(), Error> {
        let doubled = BACKOFF_MIN.saturating_mul(1 << claim.failcount.min(16));
        let at = self.0.now().after(doubled.min(BACKOFF_MAX));
        let failed = JoinClaim {
            failcount: claim.failcount.saturating_add(1),
            ..claim
        };
        let write = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { segments::join_deferred(tx, failed, at).await }));
        write.await
    }
}

/// An object with where its parts are; `None` if it has been deleted.
async fn joinable(tx: &mut Tx, tracker: &Tracker, fid: Fid) -> Result<Option<Joinable>, Error> {
    let Some(file) = files::files_by_fid(tx, &[fid]).await?.remove(&fid) else {
        return Ok(None);
    };
    let class = tracker.class(file.domain, file.class).await?;
    let pieces = segments::pieces_of(tx, fid, 0, file.size).await?;
    let crc64 = files::digests_known(tx, &[fid]).await?.remove(&fid);
    Ok(Some(Joinable {
        file,
        class,
        pieces,
        crc64,
    }))
}

/// The devices that hold every part.
fn holding_all(pieces: &[Piece]) -> Vec<DevId> {
    let Some((first, rest)) = pieces.split_first() else {
        return Vec::new();
    };
    let everywhere = |device: &&DevId| rest.iter().all(|piece| piece.devices.contains(device));
    first.devices.iter().filter(everywhere).copied().collect()
}

/// Records copies of a fid.
async fn given(tx: &mut Tx, fid: Fid, devices: &[DevId]) -> Result<(), Error> {
    let copies: Vec<_> = devices.iter().map(|device| (fid, *device)).collect();
    replicas::add(tx, &copies).await
}

/// Queues a fid that is no object any more for deletion, and ends its join.
async fn gone(tx: &mut Tx, fid: Fid, now: Timestamp) -> Result<(), Error> {
    deletions::delete(tx, &[fid], now).await?;
    segments::join_done(tx, fid).await
}
