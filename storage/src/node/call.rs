//! Requests to a node, and what its answers say of it.

use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderName, Method};
use http_body_util::{BodyExt, Limited};
use tower::ServiceExt;

use super::{Body, BoxError, Node};
use crate::{answer, error::NodeError};

/// [`Node::nature`] before any answer.
const UNKNOWN: u16 = 0;
/// That of a node that declares nothing.
const FOREIGN: u16 = 1;
/// That of one of ours; a bit for each [`Capability`] is added.
const OURS: u16 = 2;

impl Node {
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
pub(super) async fn text_of(answer: http::Response<Body>, limit: usize) -> Result<String, NodeError> {
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

/// The number that a header holds.
pub(super) fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
