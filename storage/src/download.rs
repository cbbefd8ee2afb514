//! Reading a file from the best of its copies, and from the next where one fails.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::BodyExt;

use crate::{
    digest::{HashType, Hasher},
    error::NodeError,
    fid::{DevFid, DevId, Fid},
    node::{Body, ByteRange, Node},
    pieces::{Pieces, long},
};

/// Whole files up to this many bytes are held in memory and checked before the first byte leaves; most rot is then never
/// seen by a client.
const VERIFIED_FIRST_MAX: u64 = 1 << 20;

/// How long a node may take to answer, and between two pieces. A healthy node answers in milliseconds, a disk that
/// must spin up in seconds.
const HANG: Duration = Duration::from_secs(5);

/// A device that should have the file.
#[derive(Debug, Clone)]
pub struct Source {
    /// The device.
    pub device: DevId,
    /// The node that serves it.
    pub node: Node,
}

/// What to read.
#[derive(Debug, Clone)]
pub struct Download {
    /// The fid.
    pub fid: Fid,
    /// Its copies, best first.
    pub sources: Vec<Source>,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// First byte to read.
    pub first: u64,
    /// How many bytes to read.
    pub length: u64,
    /// CRC64/NVME of the whole file, big-endian: checked when all of it is read.
    pub crc64: Option<[u8; 8]>,
}

/// A copy that is not what the tables say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCopy {
    /// The file.
    pub fid: Fid,
    /// The device.
    pub device: DevId,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The file is not there.
    Missing,
    /// It has another size, or ended early.
    Short,
    /// Its digest differs.
    Rotten,
    /// The node could not be reached, failed, or hung.
    Unreachable,
}

/// No copy could be read on.
#[derive(Debug, thiserror::Error)]
#[error("no copy of fid {fid} can be read from byte {at}")]
pub struct DownloadError {
    /// The file.
    pub fid: Fid,
    /// The byte at which reading stopped.
    pub at: u64,
}

/// Streams the bytes asked for; a copy that fails, ends early or hangs is replaced by the next at the offset reached.
///
/// A read of the whole file whose CRC differs never ends as a success: a small file is checked before its first byte
/// leaves, and read again from another copy; a large one ends with an error in place of its last bytes. `bad` is told
/// of every copy that failed.
///
/// # Errors
/// [`DownloadError`] if no copy yields a first byte.
///
/// # Cancel safety
/// Dropping the future or the stream ends the reading; nothing else is at stake.
pub async fn download<F>(
    request: Download,
    bad: F,
) -> Result<impl Stream<Item = Result<Bytes, DownloadError>> + Send + 'static, DownloadError>
where
    F: Fn(BadCopy) + Send + Sync + 'static,
{
    let mut reading = Reading {
        at: request.first,
        end: request.first.saturating_add(request.length).min(request.size),
        sources: request.sources.clone().into_iter(),
        current: None,
        used: Vec::new(),
        crc: request.whole_crc(),
        held: None,
        ended: Ended::No,
        request,
        bad,
    };
    let first = if reading.crc.is_some() && reading.request.size <= VERIFIED_FIRST_MAX {
        reading.small().await
    } else {
        reading.next().await
    };
    let first = first.transpose()?;
    Ok(
        stream::iter(first.map(Ok)).chain(stream::unfold(reading, async |mut reading| {
            let next = reading.next().await?;
            Some((next, reading))
        })),
    )
}

impl Download {
    /// The CRC to check, if the whole file is read and has one.
    fn whole_crc(&self) -> Option<Crc> {
        let whole = self.first == 0 && self.length >= self.size;
        self.crc64.filter(|_| whole).map(|expected| Crc {
            expected,
            hasher: Hasher::new(&[HashType::Crc64Nvme]),
        })
    }
}

/// A download on its way.
struct Reading<F> {
    request: Download,
    sources: std::vec::IntoIter<Source>,
    bad: F,
    /// The next byte to read.
    at: u64,
    /// The byte after the last.
    end: u64,
    current: Option<(Source, Body)>,
    /// Copies that some of the bytes came from.
    used: Vec<Source>,
    crc: Option<Crc>,
    /// With a CRC to check: the latest piece, which leaves when another follows or the CRC was right.
    held: Option<Bytes>,
    ended: Ended,
}

/// The CRC that the whole file must have.
struct Crc {
    expected: [u8; 8],
    hasher: Hasher,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    Yes,
}

impl Crc {
    fn agrees(self) -> bool {
        let digests = self.hasher.finish();
        let found = digests.get(HashType::Crc64Nvme);
        found.is_some_and(|digest| digest.bytes == self.expected)
    }
}

impl<F: Fn(BadCopy) + Send + Sync> Reading<F> {
    /// Reads a small file from the first copy whose CRC is right.
    async fn small(&mut self) -> Option<Result<Bytes, DownloadError>> {
        self.ended = Ended::Yes;
        self.crc = None;
        if self.end == 0 {
            return None;
        }
        while self.open().await {
            let mut pieces = Pieces::default();
            while let Some(piece) = self.piece().await {
                pieces.push(piece);
            }
            let Some((source, _)) = self.current.take() else {
                self.at = 0;
                continue;
            };
            let bytes = pieces.take_one();
            let crc = self.request.whole_crc().map(|mut crc| {
                crc.hasher.update(&bytes);
                crc
            });
            if crc.is_none_or(Crc::agrees) {
                return Some(Ok(bytes));
            }
            self.tell(source.device, Fault::Rotten);
            self.at = 0;
        }
        Some(Err(self.error()))
    }

    /// The next piece to hand out.
    async fn next(&mut self) -> Option<Result<Bytes, DownloadError>> {
        while self.ended == Ended::No {
            let Some(piece) = self.read().await else {
                self.ended = Ended::Yes;
                break;
            };
            let Some(crc) = &mut self.crc else {
                return Some(Ok(piece));
            };
            crc.hasher.update(&piece);
            if let Some(ready) = self.held.replace(piece) {
                return Some(Ok(ready));
            }
        }
        self.last().await
    }

    /// What there is to hand out after the last piece was read: the one held back, or an error in its place.
    async fn last(&mut self) -> Option<Result<Bytes, DownloadError>> {
        let held = self.held.take();
        let crc = self.crc.take();
        if self.at < self.end {
            // Said once: the end that was not reached is forgotten.
            self.end = self.at;
            return Some(Err(self.error()));
        }
        if crc.is_none_or(Crc::agrees) {
            return held.map(Ok);
        }
        self.at -= held.as_ref().map_or(0, long);
        self.end = self.at;
        self.tell_rotten().await;
        Some(Err(self.error()))
    }

    /// The next piece from any copy; `None` at the end, or when no copy is left.
    async fn read(&mut self) -> Option<Bytes> {
        while self.at < self.end {
            if self.current.is_none() && !self.open().await {
                return None;
            }
            if let Some(piece) = self.piece().await {
                return Some(piece);
            }
        }
        None
    }

    /// The next piece from the copy that is open. `None` at the end of what is wanted; or when the copy failed, which is
    /// then told of and closed.
    async fn piece(&mut self) -> Option<Bytes> {
        while self.at < self.end {
            let (_, body) = self.current.as_mut()?;
            let fault = match in_time(body.frame()).await {
                Some(Some(Ok(frame))) => match frame.into_data() {
                    Ok(mut piece) if !piece.is_empty() => {
                        let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
                        piece.truncate(wanted);
                        self.at += long(&piece);
                        return Some(piece);
                    }
                    Ok(_) | Err(_) => continue,
                },
                Some(Some(Err(_))) | None => Fault::Unreachable,
                Some(None) => Fault::Short,
            };
            if let Some((source, _)) = self.current.take() {
                self.tell(source.device, fault);
            }
        }
        None
    }

    /// Opens the next copy at the offset reached; false when none is left.
    async fn open(&mut self) -> bool {
        while let Some(source) = self.sources.next() {
            let at = DevFid {
                device: source.device,
                fid: self.request.fid,
            };
            let range = if self.at == 0 && self.end == self.request.size {
                ByteRange::Whole
            } else {
                ByteRange::Span {
                    first: self.at,
                    last: self.end - 1,
                }
            };
            let fault = match in_time(source.node.get(at, range)).await {
                Some(Ok(got)) if got.size == self.request.size => {
                    self.used.push(source.clone());
                    self.current = Some((source, got.body));
                    return true;
                }
                Some(Ok(_)) => Fault::Short,
                Some(Err(error)) => fault_of(&error),
                None => Fault::Unreachable,
            };
            self.tell(source.device, fault);
        }
        false
    }

    /// Tells which copies are rotten: the only one that was read, or those whose node finds another CRC too.
    async fn tell_rotten(&mut self) {
        if let [source] = self.used.as_slice() {
            self.tell(source.device, Fault::Rotten);
            return;
        }
        for source in &self.used {
            let at = DevFid {
                device: source.device,
                fid: self.request.fid,
            };
            let found = source.node.digest(at, HashType::Crc64Nvme).await;
            let right = found.is_ok_and(|digest| Some(digest.bytes.as_slice()) == self.expected());
            if !right {
                self.tell(source.device, Fault::Rotten);
            }
        }
    }

    fn expected(&self) -> Option<&[u8]> {
        self.request.crc64.as_ref().map(<[u8; 8]>::as_slice)
    }

    fn tell(&self, device: DevId, fault: Fault) {
        (self.bad)(BadCopy {
            fid: self.request.fid,
            device,
            fault,
        });
    }

    fn error(&self) -> DownloadError {
        DownloadError {
            fid: self.request.fid,
            at: self.at,
        }
    }
}

/// What an error of a node says of its copy.
fn fault_of(error: &NodeError) -> Fault {
    match error {
        NodeError::NotFound => Fault::Missing,
        NodeError::OutOfRange { .. } => Fault::Short,
        NodeError::NoDevice
        | NodeError::Full
        | NodeError::Body(_)
        | NodeError::Unsupported(_)
        | NodeError::Digest(_)
        | NodeError::Source(_)
        | NodeError::Answer { .. }
        | NodeError::Device(_)
        | NodeError::Unreachable(_) => Fault::Unreachable,
    }
}

/// Waits for a node, but not for ever.
#[expect(
    clippy::disallowed_methods,
    reason = "a reader waits for a socket, not for a step of the domain: no simulated clock drives it"
)]
async fn in_time<T>(step: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(HANG, step).await.ok()
}
