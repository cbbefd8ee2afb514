//! The seam: how everybody reaches a storage node, in this process, over HTTP, or simulated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tower::{ServiceExt, util::BoxCloneSyncService};

use crate::{
    answer,
    digest::{Digest, HashType},
    error::NodeError,
    fid::{DevFid, DevId, Fid},
    mark::{Mark, Marking},
    pull::Pull,
    usage::Usage,
};

/// A body on its way to or from a node.
pub type Body = axum::body::Body;

/// Parts of one join, at most: those of an S3 multipart upload.
pub const JOIN_MAX: usize = 10_000;

/// Fids in one answer to a list, at most.
pub const LIST_MAX: usize = 10_000;

/// Bytes of a list's answer, at most: as many lines, each with two numbers of twenty digits, a blank and a line end.
const LIST_BODY_MAX: usize = LIST_MAX * 42;

/// Bytes of a digest's answer, at most.
const LINE_MAX: usize = 1024;

/// The MD5 of `!`, in base64.
const MD5_OF_ANOTHER: &str = "kDPg4wXyR8DDyA0MeEjIsw==";

/// Bytes of a usage file, at most.
const USAGE_MAX: usize = 4096;

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

/// [`Node::nature`] before any answer.
const UNKNOWN: u16 = 0;
/// That of a node that declares nothing.
const FOREIGN: u16 = 1;
/// That of one of ours; a bit for each [`Capability`] is added.
const OURS: u16 = 2;

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

/// A file that is written to see whether a device takes files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its name: letters, digits and `-`.
    pub name: String,
    /// What is in it, at most 1,024 bytes.
    pub text: String,
    /// Its folder.
    pub folder: TrialFolder,
}

/// Whether the folder of a [`Trial`] has to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialFolder {
    /// By `MKCOL`, where the node wants that.
    Make,
    /// It is there, or the node makes it.
    IsThere,
}

/// What came of a [`Trial`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// What was written was read.
    ReadBack,
    /// Something else was read: somebody wrote there meanwhile, or the device is broken.
    Differs,
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

    /// How full a device is.
    ///
    /// # Errors
    /// [`NodeError::NoDevice`], and any other [`NodeError`].
    pub async fn usage(&self, device: DevId) -> Result<Usage, NodeError> {
        self.look(device).await.map(|(usage, _)| usage)
    }

    /// How full a device is, and which mark it bears.
    ///
    /// # Errors
    /// As [`Node::usage`].
    pub async fn look(&self, device: DevId) -> Result<(Usage, Marking), NodeError> {
        let request = request(Method::GET, &format!("/dev{device}/usage"), Body::empty());
        let answer = match self.call(request).await {
            // An original node knows a device by nothing but its usage file.
            Err(NodeError::NotFound) => return Err(NodeError::NoDevice),
            answer => answer?,
        };
        let clients = number(answer.headers(), &answer::CLIENTS).map(Duration::from_micros);
        let marking = marking(answer.headers())?;
        let text = text_of(answer, USAGE_MAX).await?;
        match Usage::parse(&text) {
            Some(usage) => Ok((Usage { clients, ..usage }, marking)),
            None => Err(answer::unexpected(StatusCode::OK, text)),
        }
    }

    /// Gives a device a mark if it has none, and answers which it bears; it is on stable storage then.
    ///
    /// # Errors
    /// [`NodeError::Unsupported`] by a foreign node, and any other [`NodeError`].
    pub async fn mark(&self, mark: &Mark) -> Result<Mark, NodeError> {
        self.require(Capability::Mark).await?;
        let path = format!("/dev{}/?mark", mark.device());
        let body = Body::from(mark.as_str().to_owned());
        let text = self.text(request(Method::POST, &path, body), LINE_MAX).await?;
        text.parse().map_err(|_| answer::unexpected(StatusCode::OK, text))
    }

    /// Writes a small file beside the fids of a device, and reads it back (MogileFS's test write).
    ///
    /// # Errors
    /// Any [`NodeError`].
    pub async fn try_writing(&self, device: DevId, trial: &Trial) -> Result<Tried, NodeError> {
        let folder = format!("/dev{device}/test-write/");
        if trial.folder == TrialFolder::Make {
            // Its answer says nothing: nodes that make their folders themselves refuse it.
            drop(self.call(request(mkcol(), &folder, Body::empty())).await);
        }
        let path = [&folder, trial.name.as_str()].concat();
        let mut put = request(Method::PUT, &path, Body::from(trial.text.clone()));
        put.headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(trial.text.len()));
        self.call(put).await?;
        let found = self
            .text(request(Method::GET, &path, Body::empty()), LINE_MAX)
            .await?;
        Ok(if found == trial.text {
            Tried::ReadBack
        } else {
            Tried::Differs
        })
    }

    /// Whether the node refuses a file that comes with another file's `Content-MD5`.
    ///
    /// # Errors
    /// Any [`NodeError`] that is no answer of the node.
    pub async fn rejects_bad_md5(&self, device: DevId) -> Result<bool, NodeError> {
        let path = format!("/dev{device}/test-write/test-md5");
        let mut put = request(Method::PUT, &path, Body::from("."));
        let headers = put.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(1));
        headers.insert("content-md5", HeaderValue::from_static(MD5_OF_ANOTHER));
        match self.call(put).await {
            Ok(_) => Ok(false),
            Err(NodeError::Unreachable(error)) => Err(NodeError::Unreachable(error)),
            Err(_) => Ok(true),
        }
    }

    /// Fids on a device in ascending order, from `first` on, at most `limit`, which is 1 to [`LIST_MAX`].
    ///
    /// # Errors
    /// [`NodeError::NoDevice`], [`NodeError::Unsupported`] by a foreign node, and any other [`NodeError`].
    pub async fn list(&self, device: DevId, first: Fid, limit: usize) -> Result<Vec<Fid>, NodeError> {
        self.require(Capability::List).await?;
        let path = format!("/dev{device}/?fids&first={first}&limit={limit}");
        let text = self
            .text(request(Method::GET, &path, Body::empty()), LIST_BODY_MAX)
            .await?;
        let fids: Option<Vec<Fid>> = text.lines().map(|line| Fid::new(line.parse().ok()?)).collect();
        fids.ok_or_else(|| answer::unexpected(StatusCode::OK, "it lists what is no fid".to_owned()))
    }

    /// As [`Node::list`], with the size in bytes of each file.
    ///
    /// # Errors
    /// As [`Node::list`].
    pub async fn sizes(&self, device: DevId, first: Fid, limit: usize) -> Result<Vec<(Fid, u64)>, NodeError> {
        self.require(Capability::Sizes).await?;
        let path = format!("/dev{device}/?sizes&first={first}&limit={limit}");
        let text = self
            .text(request(Method::GET, &path, Body::empty()), LIST_BODY_MAX)
            .await?;
        let file = |line: &str| {
            let (fid, size) = line.split_once(' ')?;
            Some((Fid::new(fid.parse().ok()?)?, size.parse().ok()?))
        };
        let files: Option<Vec<(Fid, u64)>> = text.lines().map(file).collect();
        files.ok_or_else(|| answer::unexpected(StatusCode::OK, "it lists what is no file".to_owned()))
    }

    /// Sends a request; an answer other than 2xx is an error.
    pub(crate) async fn call(&self, request: http::Request<Body>) -> Result<http::Response<Body>, NodeError> {
        let method = request.method().clone();
        let answer = match self.service.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(error) => return Err(fault(error)),
        };
        self.learn(&method, answer.headers());
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(answer::error_of(&method, answer).await)
        }
    }

    /// Sends a request for a text.
    pub(crate) async fn text(&self, request: http::Request<Body>, limit: usize) -> Result<String, NodeError> {
        text_of(self.call(request).await?, limit).await
    }

    /// Remembers what an answer says of the node: each of ours declares what it can do.
    fn learn(&self, method: &Method, headers: &HeaderMap) {
        match headers.get(answer::CAPABILITIES) {
            Some(declared) => {
                let declared = declared.to_str().unwrap_or("");
                let can =
                    |capability: &Capability| declared.split(", ").any(|name| name == capability.name());
                let bits = Capability::ALL.into_iter().filter(can).map(Capability::bit);
                self.nature
                    .store(bits.fold(OURS, |all, bit| all | bit), Ordering::Relaxed);
            }
            // A plain web server may stand in for a node where files are read.
            None if *method == Method::GET => {}
            None => self.nature.store(FOREIGN, Ordering::Relaxed),
        }
    }

    /// Whether the node is one of ours; asked only if no answer has told yet.
    pub(crate) async fn is_ours(&self) -> bool {
        if self.nature.load(Ordering::Relaxed) == UNKNOWN {
            drop(self.call(request(Method::OPTIONS, "/", Body::empty())).await);
        }
        self.nature.load(Ordering::Relaxed) & OURS != 0
    }

    /// Asks whether the node has an extension of ours, before one is used: what an original node would make of
    /// such a request is not to be tried out on its files.
    pub(crate) async fn require(&self, capability: Capability) -> Result<(), NodeError> {
        let unsupported = NodeError::Unsupported(capability.name());
        if self.nature.load(Ordering::Relaxed) == UNKNOWN {
            match self.call(request(Method::OPTIONS, "/", Body::empty())).await {
                Ok(_) => {}
                Err(NodeError::Answer { .. }) => return Err(unsupported),
                Err(error) => return Err(error),
            }
        }
        if self.nature.load(Ordering::Relaxed) & capability.bit() == 0 {
            return Err(unsupported);
        }
        Ok(())
    }
}

/// What an answer tells of a device's mark.
fn marking(headers: &HeaderMap) -> Result<Marking, NodeError> {
    let Some(told) = headers.get(answer::MARK) else {
        return Ok(Marking::Untold);
    };
    if *told == answer::UNMARKED {
        return Ok(Marking::Unmarked);
    }
    let text = String::from_utf8_lossy(told.as_bytes()).into_owned();
    match text.parse() {
        Ok(mark) => Ok(Marking::Bears(mark)),
        Err(_) => Err(answer::unexpected(StatusCode::OK, text)),
    }
}

/// `MKCOL`, which `WebDAV` makes folders by.
fn mkcol() -> Method {
    Method::from_bytes(b"MKCOL").expect("letters are a method")
}

/// An extension that a node may declare.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Capability {
    Join,
    List,
    Sizes,
    Digest,
    Pull,
    Mark,
    DeleteMany,
    Crcs,
}

impl Capability {
    const ALL: [Capability; 8] = [
        Capability::Join,
        Capability::List,
        Capability::Sizes,
        Capability::Digest,
        Capability::Pull,
        Capability::Mark,
        Capability::DeleteMany,
        Capability::Crcs,
    ];

    fn bit(self) -> u16 {
        match self {
            Capability::Join => 4,
            Capability::List => 8,
            Capability::Sizes => 16,
            Capability::Digest => 32,
            Capability::Pull => 64,
            Capability::Mark => 128,
            Capability::DeleteMany => 256,
            Capability::Crcs => 512,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Capability::Join => "join",
            Capability::List => "list",
            Capability::Sizes => "sizes",
            Capability::Digest => "digest",
            Capability::Pull => "pull",
            Capability::Mark => "mark",
            Capability::DeleteMany => "delete",
            Capability::Crcs => "crc64",
        }
    }
}

/// A request to a node; the path is one that this crate has written.
pub(crate) fn request(method: Method, path: &str, body: Body) -> http::Request<Body> {
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("paths of fids and devices are URIs");
    request
}

/// The text that an answer is, at most `limit` bytes.
async fn text_of(answer: http::Response<Body>, limit: usize) -> Result<String, NodeError> {
    match Limited::new(answer.into_body(), limit).collect().await {
        Ok(body) => Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned()),
        Err(error) => Err(fault(error)),
    }
}

/// What the error of a service means: it may say so itself, else the node was not reached.
fn fault(error: BoxError) -> NodeError {
    match error.downcast::<NodeError>() {
        Ok(error) => *error,
        Err(error) => NodeError::Unreachable(error),
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

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
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
