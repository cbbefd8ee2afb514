//! What a handler gets: the head of the request as it came, who sent it, and the body.

use axum::body::Body;
use http::{HeaderMap, Method, Uri};
use mogul_tracker::model::{Bucket, Key, Timestamp, User, UserId};

use super::{auth::payload::Payload, route::Query};

/// The id of one request: 16 upper-case hex digits, on every answer and in every error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The id made of 64 random bits.
    #[must_use]
    pub fn new(random: u64) -> RequestId {
        RequestId(format!("{random:016X}"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The head of a request, exactly as it came: signatures are made of it.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The request target. Its path and query are raw: nothing was decoded or normalised.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The parameters of the query, decoded.
    pub query: Query,
    /// The id of this request.
    pub id: RequestId,
    /// When it came.
    pub received: Timestamp,
}

impl RequestHead {
    /// The raw path, at least `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The raw query without its `?`; empty if there is none.
    #[must_use]
    pub fn raw_query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// A header's value, if there is one and it is text; the first if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[cfg(test)]
impl RequestHead {
    /// A head without anything, to be filled by a test.
    pub(crate) fn bare() -> RequestHead {
        RequestHead {
            method: Method::GET,
            uri: Uri::from_static("/"),
            headers: HeaderMap::new(),
            query: Query::default(),
            id: RequestId::new(0),
            received: Timestamp::default(),
        }
    }
}

/// Who sent a request, proven by its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody: no credentials.
    Anonymous,
    /// This user.
    User(User),
}

impl Identity {
    /// The user's id, if it is one.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        match self {
            Identity::Anonymous => None,
            Identity::User(user) => Some(&user.id),
        }
    }
}

/// A request that was authenticated; its body has not been read.
#[derive(Debug)]
pub struct Request {
    /// The head.
    pub head: RequestHead,
    /// Who sent it.
    pub identity: Identity,
    /// How the body is framed, and what is signed of it.
    pub payload: Payload,
    /// The body as it comes from the wire; read by [`super::auth::payload`] alone.
    pub body: Body,
}

/// An object that a request names: a bucket that exists and that the caller may use, and a key.
#[derive(Debug, Clone)]
pub struct ObjectName {
    /// The bucket.
    pub bucket: Bucket,
    /// The key.
    pub key: Key,
}
