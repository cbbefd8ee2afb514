//! The one pass a body makes: into the digests and onto all chosen devices at once.

use bytes::Bytes;
use futures_util::Stream;

use crate::{
    digest::{Digests, HashType},
    error::NodeError,
    fid::{DevId, Fid},
    node::Node,
};

/// A device to write to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The device.
    pub device: DevId,
    /// The node that serves it.
    pub node: Node,
}

/// What to write, and where.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The fid.
    pub fid: Fid,
    /// The devices, at least one.
    pub targets: Vec<Target>,
    /// The size in bytes, if known.
    pub size: Option<u64>,
    /// The digests to compute.
    pub hashes: Vec<HashType>,
}

/// What was written.
#[derive(Debug)]
pub struct Uploaded {
    /// Size in bytes.
    pub size: u64,
    /// The digests.
    pub digests: Digests,
    /// Devices that have the file on stable storage.
    pub stored: Vec<DevId>,
    /// Devices that failed, and why.
    pub failed: Vec<(DevId, NodeError)>,
}

/// Why nothing was written.
#[derive(Debug)]
pub enum UploadError<E> {
    /// The body failed, or the check refused it; every node has thrown its part away.
    Body(E),
    /// No device took it.
    NoTarget(Vec<(DevId, NodeError)>),
}

/// Streams a body to all targets at once while its digests are computed; memory does not grow with the body.
///
/// `check` sees size and digests after the last byte, before any node is told that the body is whole: if it refuses, or
/// the body fails, no node keeps anything. A target that fails is left behind and the others go on.
///
/// # Errors
/// [`UploadError`].
///
/// # Cancel safety
/// Dropping the future before the check leaves nothing; later, a device may have the file: whoever reserved the fid
/// must give it up.
pub async fn upload<S, E, C>(request: Upload, body: S, check: C) -> Result<Uploaded, UploadError<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Send,
    C: FnOnce(u64, &Digests) -> Result<(), E> + Send,
{
    let _ = (request, body, check);
    todo!()
}
