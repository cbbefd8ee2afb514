//! The seam: how everybody reaches a storage node, in this process, over HTTP, or simulated.

use axum::body::Body;
use tower::util::BoxCloneSyncService;

use crate::{
    digest::{Digest, HashType},
    error::NodeError,
    fid::{DevFid, DevId, Fid},
    usage::Usage,
};

/// Any error of a service below a [`Node`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Access to one storage host.
#[derive(Clone, Debug)]
pub struct Node(BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError>);

/// Which bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// All.
    Whole,
    /// From this byte to the end.
    From(u64),
    /// From `first` to `last`, both included.
    Span {
        /// First byte.
        first: u64,
        /// Last byte, included.
        last: u64,
    },
}

/// A file, or a range of it, on its way.
#[derive(Debug)]
pub struct Got {
    /// Size of the whole file in bytes.
    pub size: u64,
    /// The bytes asked for.
    pub body: Body,
}

/// What a deletion found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The file is gone.
    Removed,
    /// It was not there.
    WasAbsent,
}

impl Node {
    /// Makes a node of a service that speaks its HTTP.
    pub fn new<S>(service: S) -> Node
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<Body>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        use tower::ServiceExt;
        Node(BoxCloneSyncService::new(service.map_err(Into::into)))
    }

    /// Stores a file. Success means that our node has synced it and its directory entry.
    ///
    /// # Errors
    /// [`NodeError::Body`] if the body fails or has another length; any other [`NodeError`]. Nothing is kept then.
    pub async fn put(&self, at: DevFid, size: Option<u64>, body: Body) -> Result<u64, NodeError> {
        let _ = (at, size, body, &self.0);
        todo!()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], [`NodeError::OutOfRange`], and any other [`NodeError`].
    pub async fn get(&self, at: DevFid, range: ByteRange) -> Result<Got, NodeError> {
        let _ = (at, range);
        todo!()
    }

    /// The size of a file in bytes.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], and any other [`NodeError`].
    pub async fn size(&self, at: DevFid) -> Result<u64, NodeError> {
        let _ = at;
        todo!()
    }

    /// Deletes a file; that it is not there is no error.
    ///
    /// # Errors
    /// Any [`NodeError`] but [`NodeError::NotFound`].
    pub async fn delete(&self, at: DevFid) -> Result<Removal, NodeError> {
        let _ = at;
        todo!()
    }

    /// Computes a digest where the file lies.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], [`NodeError::Unsupported`], and any other [`NodeError`].
    pub async fn digest(&self, at: DevFid, hash: HashType) -> Result<Digest, NodeError> {
        let _ = (at, hash);
        todo!()
    }

    /// Makes a file of others on the same device, in order; durable like [`Node::put`]. Answers its size in bytes.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] if a part is missing, [`NodeError::Unsupported`] by a foreign node, and any other [`NodeError`].
    pub async fn join(&self, at: DevFid, parts: &[Fid]) -> Result<u64, NodeError> {
        let _ = (at, parts);
        todo!()
    }

    /// How full a device is.
    ///
    /// # Errors
    /// [`NodeError::NoDevice`], and any other [`NodeError`].
    pub async fn usage(&self, device: DevId) -> Result<Usage, NodeError> {
        let _ = device;
        todo!()
    }

    /// Fids on a device in ascending order, from `first` on, at most `limit`.
    ///
    /// # Errors
    /// [`NodeError::NoDevice`], [`NodeError::Unsupported`] by a foreign node, and any other [`NodeError`].
    pub async fn list(&self, device: DevId, first: Fid, limit: usize) -> Result<Vec<Fid>, NodeError> {
        let _ = (device, first, limit);
        todo!()
    }
}
