//! Reading a file from the best of its copies, and from the next where one fails.

use bytes::Bytes;
use futures_util::Stream;

use crate::{
    fid::{DevId, Fid},
    node::Node,
};

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
pub async fn download<F>(
    request: Download,
    bad: F,
) -> Result<impl Stream<Item = Result<Bytes, DownloadError>> + Send + 'static, DownloadError>
where
    F: Fn(BadCopy) + Send + Sync + 'static,
{
    let _ = (request, bad);
    if true {
        todo!()
    }
    Ok(futures_util::stream::empty())
}
