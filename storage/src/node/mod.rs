//! The seam: how everybody reaches a storage node, in this process, over HTTP, or simulated. Here is what it does with files;
//! [`device`] asks about devices, [`call`] sends the requests.

mod call;
mod device;

use std::sync::{Arc, atomic::AtomicU16};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tower::{ServiceExt, util::BoxCloneSyncService};

use self::call::number;
pub(crate) use self::call::{Capability, request};
pub use self::device::{LIST_MAX, Trial, TrialFolder, Tried};
use crate::{
    answer,
    digest::{Digest, HashType},
    error::NodeError,
    fid::{DevFid, Fid},
    mark::Mark,
    pull::Pull,
};

/// A body on its way to or from a node.
pub type Body = axum::body::Body;

/// Parts of one join, at most: those of an S3 multipart upload.
pub const JOIN_MAX: usize = 10_000;

/// Bytes of a digest's answer, at most.
const LINE_MAX: usize = 1024;

/// Any error of a service below a [`Node`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How the last line of the answer to a pull begins that has succeeded: the size in bytes follows.
pub(crate) const STORED_LINE: &str = "stored ";

/// How it begins where it has failed: the name of the error follows.
pub(crate) const FAILED_LINE: &str = "failed ";

/// Bytes of the answer to a pull, at most: it grows by two every few seconds.
const PULL_ANSWER_MAX: usize = 1 << 20;

/// Access to one storage host.
#[derive(Clone, Debug)]
pub struct Node {
    service: BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError>,
    /// What its last answers said of it.
    nature: Arc<AtomicU16>,
}

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

impl ByteRange {
    /// The `Range` header that asks for it; none asks for the whole file.
    fn header(self) -> Option<HeaderValue> {
        let range = match self {
            ByteRange::Whole => return None,
            ByteRange::From(first) => format!("bytes={first}-"),
            ByteRange::Span { first, last } => format!("bytes={first}-{last}"),
        };
        Some(HeaderValue::from_str(&range).expect("digits are a header value"))
    }
}

/// A file, or a range of it, on its way.
#[derive(Debug)]
pub struct Got {
    /// Size of the whole file in bytes.
    pub size: u64,
    /// When the file was written, in unix seconds, if the node tells.
    pub modified: Option<i64>,
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
        Node {
            service: BoxCloneSyncService::new(service.map_err(Into::into)),
            nature: Arc::default(),
        }
    }

    /// The same node, told with each request that nobody waits for the answer: it does not take it for a client's.
    #[must_use]
    pub fn for_jobs(&self) -> Node {
        self.saying(answer::WORK, HeaderValue::from_static("job"))
    }

    /// The same node, for a device that must bear this mark: every request says so, and one of our nodes refuses it with
    /// [`NodeError::NoDevice`] where another disk lies in the device's place.
    #[must_use]
    pub fn bearing(&self, mark: &Mark) -> Node {
        self.saying(answer::MARK, mark.header())
    }

    /// The same node, with a header in each request.
    fn saying(&self, name: HeaderName, value: HeaderValue) -> Node {
        let service = self
            .service
            .clone()
            .map_request(move |mut request: http::Request<Body>| {
                request.headers_mut().insert(name.clone(), value.clone());
                request
            });
        Node {
            service: BoxCloneSyncService::new(service),
            nature: Arc::clone(&self.nature),
        }
    }

    /// Stores a file. Success means that our node has synced it and its directory entry.
    ///
    /// # Errors
    /// [`NodeError::Body`] if the body fails or has another length; any other [`NodeError`]. Nothing is kept then.
    ///
    /// # Cancel safety
    /// Dropped before the body's end, nothing is kept; dropped later, the file may appear.
    pub async fn put(&self, at: DevFid, size: Option<u64>, body: Body) -> Result<u64, NodeError> {
        let mut request = request(Method::PUT, &at.path(), body);
        if let Some(size) = size {
            let length = HeaderValue::from(size);
            request.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        let answer = self.call(request).await?;
        match (stored(answer.headers()), size) {
            (Some(size), _) | (None, Some(size)) => Ok(size),
            (None, None) => self.size(at).await,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], [`NodeError::OutOfRange`], and any other [`NodeError`].
    pub async fn get(&self, at: DevFid, range: ByteRange) -> Result<Got, NodeError> {
        let mut request = request(Method::GET, &at.path(), Body::empty());
        let range = range.header();
        let part = range.is_some();
        if let Some(range) = range {
            request.headers_mut().insert(header::RANGE, range);
        }
        let answer = self.call(request).await?;
        let size = match (part, answer.status()) {
            (false, StatusCode::OK) => length(answer.headers()),
            (true, StatusCode::PARTIAL_CONTENT) => answer::total_size(answer.headers()),
            _ => None,
        };
        match size {
            Some(size) => Ok(Got {
                size,
                modified: modified(answer.headers()),
                body: answer.into_body(),
            }),
            None => Err(answer::unexpected(answer.status(), "it lacks a size".to_owned())),
        }
    }

    /// The size of a file in bytes.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], and any other [`NodeError`].
    pub async fn size(&self, at: DevFid) -> Result<u64, NodeError> {
        let request = request(Method::HEAD, &at.path(), Body::empty());
        let answer = self.call(request).await?;
        // lighttpd, which may stand in for mogstored, leaves the length out where it is zero.
        Ok(length(answer.headers()).unwrap_or(0))
    }

    /// Deletes a file; that it is not there is no error.
    ///
    /// # Errors
    /// Any [`NodeError`] but [`NodeError::NotFound`].
    pub async fn delete(&self, at: DevFid) -> Result<Removal, NodeError> {
        match self
            .call(request(Method::DELETE, &at.path(), Body::empty()))
            .await
        {
            Ok(_) => Ok(Removal::Removed),
            Err(NodeError::NotFound) => Ok(Removal::WasAbsent),
            Err(error) => Err(error),
        }
    }

    /// Computes a digest where the file lies.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], [`NodeError::Unsupported`], and any other [`NodeError`].
    pub async fn digest(&self, at: DevFid, hash: HashType) -> Result<Digest, NodeError> {
        self.require(Capability::Digest).await?;
        let path = format!("{}?digest={}", at.path(), hash.name());
        let text = self
            .text(request(Method::GET, &path, Body::empty()), LINE_MAX)
            .await?;
        match hex::decode(text.trim_end()) {
            Ok(bytes) if bytes.len() == hash.size() => Ok(Digest { hash, bytes }),
            Ok(_) | Err(_) => Err(answer::unexpected(StatusCode::OK, text)),
        }
    }

    /// Makes a file of others on the same device, in order; durable like [`Node::put`]. Answers its size in bytes.
    /// 1 to [`JOIN_MAX`] parts.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] if a part is missing, [`NodeError::Unsupported`] by a foreign node, and any other [`NodeError`].
    pub async fn join(&self, at: DevFid, parts: &[Fid]) -> Result<u64, NodeError> {
        self.require(Capability::Join).await?;
        let lines = lines(parts);
        let path = format!("{}?join", at.path());
        let answer = self.call(request(Method::POST, &path, Body::from(lines))).await?;
        match stored(answer.headers()) {
            Some(size) => Ok(size),
            None => Err(answer::unexpected(answer.status(), "it lacks a size".to_owned())),
        }
    }

    /// Lets the node fetch a file from another node; durable like [`Node::put`]. Answers its size in bytes.
    ///
    /// # Errors
    /// [`NodeError::Source`] if the other copy is at fault, [`NodeError::Unsupported`] by a node that does not fetch,
    /// [`NodeError::Answer`] with status 403 by one that does not fetch from there, and any other [`NodeError`].
    ///
    /// # Cancel safety
    /// Dropped before the end, nothing is kept; dropped later, the file may appear.
    pub async fn pull(&self, at: DevFid, pull: &Pull) -> Result<u64, NodeError> {
        self.require(Capability::Pull).await?;
        let path = format!("{}?{}", at.path(), pull.query());
        let text = self
            .text(request(Method::POST, &path, Body::empty()), PULL_ANSWER_MAX)
            .await?;
        let last = text.lines().last().unwrap_or_default();
        let stored = last.strip_prefix(STORED_LINE).and_then(|size| size.parse().ok());
        let failed = last.strip_prefix(FAILED_LINE);
        match (stored, failed.and_then(|name| answer::error_called(name, ""))) {
            (Some(size), _) => Ok(size),
            (None, Some(error)) => Err(error),
            (None, None) => Err(answer::unexpected(StatusCode::OK, last.to_owned())),
        }
    }
}

/// Fids as they travel: one a line.
pub(crate) fn lines(fids: &[Fid]) -> String {
    let mut lines = String::new();
    for fid in fids {
        lines.push_str(&fid.to_string());
        lines.push('\n');
    }
    lines
}

fn length(headers: &HeaderMap) -> Option<u64> {
    number(headers, &header::CONTENT_LENGTH)
}

/// `Last-Modified` in unix seconds.
fn modified(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(header::LAST_MODIFIED)?.to_str().ok()?;
    let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(at.unix_timestamp())
}

fn stored(headers: &HeaderMap) -> Option<u64> {
    number(headers, &answer::STORED)
}
