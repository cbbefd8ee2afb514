//! [`NodeError`]s as HTTP answers, and answers as [`NodeError`]s.
//!
//! Our nodes name the error in a header of their own; what an original mogstored says is read from its status (MogileFS
//! reference §23).

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};

use crate::{digest::HashType, download::Fault, error::NodeError};

/// Names what went wrong, in the answers of our nodes.
const ERROR: HeaderName = HeaderName::from_static("x-mogul-error");

/// Names what our nodes can do beyond mogstored, in each of their answers.
pub(crate) const CAPABILITIES: HeaderName = HeaderName::from_static("x-mogul");

/// Bytes a PUT or a join has stored, in the answers of our nodes.
pub(crate) const STORED: HeaderName = HeaderName::from_static("x-mogul-stored");

/// Says of a request that nobody waits for it: it is a background job's.
pub(crate) const WORK: HeaderName = HeaderName::from_static("x-mogul-work");

/// How long clients have kept a device busy since the node started, in microseconds: with the usage that our nodes tell.
pub(crate) const CLIENTS: HeaderName = HeaderName::from_static("x-mogul-clients");

/// In an answer to a look at a device: the mark that it bears, or [`UNMARKED`]. In a request: the mark of the device that is
/// meant; another one refuses.
pub(crate) const MARK: HeaderName = HeaderName::from_static("x-mogul-mark");

/// Stands for the mark of a device that has none.
pub(crate) const UNMARKED: HeaderValue = HeaderValue::from_static("none");

/// How the first line of a page begins.
const HEADING: &str = "<h1>";

/// Most bytes of an error's body that are read.
const TEXT_MAX: usize = 1024;

/// What an error is called between our nodes, and the status that says so to others.
fn called(error: &NodeError) -> (StatusCode, &'static str) {
    match error {
        NodeError::NotFound => (StatusCode::NOT_FOUND, "not-found"),
        NodeError::NoDevice => (StatusCode::NOT_FOUND, "no-device"),
        NodeError::Full => (StatusCode::INSUFFICIENT_STORAGE, "full"),
        NodeError::OutOfRange { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "out-of-range"),
        NodeError::Body(_) => (StatusCode::BAD_REQUEST, "body"),
        NodeError::Unsupported(_) => (StatusCode::NOT_IMPLEMENTED, "unsupported"),
        NodeError::Digest(hash) => (StatusCode::BAD_REQUEST, hash.name()),
        NodeError::Answer { status, .. } => (
            StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            "answer",
        ),
        NodeError::Source(fault) => (StatusCode::BAD_GATEWAY, fault_name(*fault)),
        NodeError::Device(_) | NodeError::Unreachable(_) => (StatusCode::INTERNAL_SERVER_ERROR, "device"),
    }
}

/// What an error is called between our nodes.
pub(crate) fn name_of(error: &NodeError) -> &'static str {
    called(error).1
}

fn fault_name(fault: Fault) -> &'static str {
    match fault {
        Fault::Missing => "source-missing",
        Fault::Short => "source-short",
        Fault::Rotten => "source-rotten",
        Fault::Unreachable => "source-unreachable",
    }
}

/// The answer to a request that failed.
pub(crate) fn of_error(error: &NodeError) -> Response<Body> {
    let (status, name) = called(error);
    let mut answer = match error {
        NodeError::OutOfRange { .. } => Response::new(Body::empty()),
        NodeError::NotFound
        | NodeError::NoDevice
        | NodeError::Full
        | NodeError::Body(_)
        | NodeError::Unsupported(_)
        | NodeError::Digest(_)
        | NodeError::Source(_)
        | NodeError::Answer { .. }
        | NodeError::Device(_)
        | NodeError::Unreachable(_) => page(status, &text_of(error)),
    };
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(ERROR, HeaderValue::from_static(name));
    if let NodeError::OutOfRange { size } = error {
        let range = HeaderValue::from_str(&format!("bytes */{size}"));
        headers.insert(header::CONTENT_RANGE, range.expect("digits are a header value"));
    }
    answer
}

/// An answer with a page as mogstored writes it: the status as a heading, then a line of text.
pub(crate) fn page(status: StatusCode, text: &str) -> Response<Body> {
    let heading = match (status, status.canonical_reason()) {
        // Perlbal's own spelling, and its one status without a reason.
        (StatusCode::BAD_REQUEST, _) => "400 - Bad request".to_owned(),
        (StatusCode::CREATED, _) | (_, None) => status.as_u16().to_string(),
        (_, Some(reason)) => format!("{} - {reason}", status.as_u16()),
    };
    let mut answer = Response::new(Body::from(format!("{HEADING}{heading}</h1>\n{text}")));
    *answer.status_mut() = status;
    let html = HeaderValue::from_static("text/html");
    answer.headers_mut().insert(header::CONTENT_TYPE, html);
    answer
}

/// The line below the heading of an error's page, and all that [`error_of`] keeps of it.
fn text_of(error: &NodeError) -> String {
    match error {
        NodeError::Body(text) | NodeError::Answer { text, .. } => text.clone(),
        NodeError::Device(source) => source.to_string(),
        NodeError::NotFound => String::new(),
        NodeError::NoDevice => "Base directory does not exist".to_owned(),
        NodeError::Full
        | NodeError::OutOfRange { .. }
        | NodeError::Unsupported(_)
        | NodeError::Digest(_)
        | NodeError::Source(_)
        | NodeError::Unreachable(_) => error.to_string(),
    }
}

/// The error that an answer with a status other than 2xx stands for.
pub(crate) async fn error_of(method: &Method, answer: Response<Body>) -> NodeError {
    let (head, body) = answer.into_parts();
    let text = match Limited::new(body, TEXT_MAX).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes())
            .lines()
            .find(|line| !line.starts_with(HEADING))
            .unwrap_or("")
            .to_owned(),
        Err(error) => format!("no text: {error}"),
    };
    let name = head.headers.get(ERROR).and_then(|name| name.to_str().ok());
    match name {
        Some("out-of-range") => out_of_range(&head.headers, head.status, text),
        Some(name) => match error_called(name, &text) {
            Some(error) => error,
            None => foreign(method, head.status, &head.headers, text),
        },
        None => foreign(method, head.status, &head.headers, text),
    }
}

/// The error that our nodes call so.
pub(crate) fn error_called(name: &str, text: &str) -> Option<NodeError> {
    Some(match name {
        "not-found" => NodeError::NotFound,
        "no-device" => NodeError::NoDevice,
        "full" => NodeError::Full,
        "body" => NodeError::Body(text.to_owned()),
        "unsupported" => NodeError::Unsupported("this request"),
        "device" => NodeError::Device(std::io::Error::other(text.to_owned())),
        "source-missing" => NodeError::Source(Fault::Missing),
        "source-short" => NodeError::Source(Fault::Short),
        "source-rotten" => NodeError::Source(Fault::Rotten),
        "source-unreachable" => NodeError::Source(Fault::Unreachable),
        other => NodeError::Digest(HashType::parse(other)?),
    })
}

/// What a status means that no name of ours explains.
fn foreign(method: &Method, status: StatusCode, headers: &HeaderMap, text: String) -> NodeError {
    match status {
        // "Base directory does not exist"
        StatusCode::NOT_FOUND if *method == Method::PUT => NodeError::NoDevice,
        StatusCode::NOT_FOUND => NodeError::NotFound,
        StatusCode::INSUFFICIENT_STORAGE => NodeError::Full,
        StatusCode::RANGE_NOT_SATISFIABLE => out_of_range(headers, status, text),
        StatusCode::BAD_REQUEST if text.starts_with("Content-MD5 mismatch") => {
            NodeError::Digest(HashType::Md5)
        }
        _ => unexpected(status, text),
    }
}

fn out_of_range(headers: &HeaderMap, status: StatusCode, text: String) -> NodeError {
    match total_size(headers) {
        Some(size) => NodeError::OutOfRange { size },
        None => unexpected(status, text),
    }
}

/// An answer that the protocol does not allow where it came.
pub(crate) fn unexpected(status: StatusCode, text: String) -> NodeError {
    NodeError::Answer {
        status: status.as_u16(),
        text,
    }
}

/// The size of the whole file that a `Content-Range` names.
pub(crate) fn total_size(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}
