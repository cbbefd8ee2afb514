//! What a node is asked about its devices: how full they are, which disks, whether they take files, what they hold.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    Body, LINE_MAX, Node,
    call::{Capability, number, request, text_of},
};
use crate::{
    answer,
    error::NodeError,
    fid::{DevId, Fid},
    mark::{Mark, Marking},
    usage::Usage,
};

/// Fids in one answer to a list, at most.
pub const LIST_MAX: usize = 10_000;

/// Bytes of a list's answer, at most: as many lines, each with two numbers of twenty digits, a blank and a line end.
const LIST_BODY_MAX: usize = LIST_MAX * 42;

/// The MD5 of `!`, in base64.
const MD5_OF_ANOTHER: &str = "kDPg4wXyR8DDyA0MeEjIsw==";

/// Bytes of a usage file, at most.
const USAGE_MAX: usize = 4096;

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

impl Node {
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
