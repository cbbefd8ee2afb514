//! Reading a file from the best of its copies, and from the next where one fails or is slow.

mod copies;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::{
    digest::{HashType, Hasher},
    fid::{DevFid, DevId, Fid},
    latency::Latencies,
    node::Node,
    pieces::{Pieces, long},
};
use copies::Copies;

/// Whole files up to this many bytes are held in memory and checked before the first byte leaves; most rot is then never
/// seen by a client.
const VERIFIED_FIRST_MAX: u64 = 1 << 20;

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
    /// How soon the devices answer of late: where it is known, a copy that takes long is overtaken by the next. Without it each is
    /// waited for until it fails.
    pub latencies: Option<Latencies>,
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
/// of every copy that failed; one that was merely slower than another is not bad.
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
        crc: request.whole_crc(),
        held: None,
        ended: Ended::No,
        copies: Copies::new(request, bad),
    };
    let first = if reading.crc.is_some() && reading.copies.request.size <= VERIFIED_FIRST_MAX {
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
    copies: Copies<F>,
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
        let copies = &mut self.copies;
        if copies.end == 0 {
            return None;
        }
        while copies.open().await {
            let mut pieces = Pieces::default();
            while let Some(piece) = copies.piece().await {
                pieces.push(piece);
            }
            let Some(source) = copies.close() else {
                copies.at = 0;
                continue;
            };
            let bytes = pieces.take_one();
            let crc = copies.request.whole_crc().map(|mut crc| {
                crc.hasher.update(&bytes);
                crc
            });
            if crc.is_none_or(Crc::agrees) {
                return Some(Ok(bytes));
            }
            copies.tell(source.device, Fault::Rotten);
            copies.at = 0;
        }
        Some(Err(copies.error()))
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
        if self.copies.at < self.copies.end {
            // Said once: the end that was not reached is forgotten.
            self.copies.end = self.copies.at;
            return Some(Err(self.copies.error()));
        }
        if crc.is_none_or(Crc::agrees) {
            return held.map(Ok);
        }
        self.copies.at -= held.as_ref().map_or(0, long);
        self.copies.end = self.copies.at;
        self.tell_rotten().await;
        Some(Err(self.copies.error()))
    }

    /// The next piece from any copy; `None` at the end, or when no copy is left.
    async fn read(&mut self) -> Option<Bytes> {
        while self.copies.at < self.copies.end {
            if !self.copies.is_open() && !self.copies.open().await {
                return None;
            }
            if let Some(piece) = self.copies.piece().await {
                return Some(piece);
            }
        }
        None
    }

    /// Tells which copies are rotten: the only one that was read, or those whose node finds another CRC too.
    async fn tell_rotten(&mut self) {
        let request = &self.copies.request;
        let (fid, expected) = (request.fid, request.crc64);
        if let [source] = self.copies.used() {
            self.copies.tell(source.device, Fault::Rotten);
            return;
        }
        for source in self.copies.used() {
            let device = source.device;
            let found = source
                .node
                .digest(DevFid { device, fid }, HashType::Crc64Nvme)
                .await;
            let right = found.is_ok_and(|digest| expected.is_some_and(|crc| digest.bytes == crc));
            if !right {
                self.copies.tell(device, Fault::Rotten);
            }
        }
    }
}
