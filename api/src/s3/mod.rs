//! The S3 face: parses, authenticates, authorises, calls one command, renders.
//!
//! [`route`] says what a request asks for, [`request`] is what a handler gets, `ops` has the handlers, one file per group.

pub mod auth;
pub mod checksum;
pub mod date;
pub mod error;
pub mod request;
pub mod route;
pub mod xml;

use std::sync::Arc;

use mogul_tracker::{Tracker, clock::Clock, model::Credential, rng::Entropy};
use tokio_util::task::TaskTracker;

pub use request::{Identity, Request, RequestHead, RequestId};

/// What every handler answers with: an answer to render, headers and body as they leave.
pub type Response = http::Response<axum::body::Body>;

/// The S3 face of one process; cheap to clone.
#[derive(Clone)]
pub struct S3(Arc<Inner>);

struct Inner {
    parts: Parts,
    signing_keys: auth::SigningKeys,
}

/// What an [`S3`] is made of.
pub struct Parts {
    /// Settings.
    pub config: S3Config,
    /// The domain.
    pub tracker: Tracker,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance: request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Owns what goes on when a client hangs up: bodies being stored, bad copies being reported. The process waits for
    /// it when it stops.
    pub tasks: TaskTracker,
}

/// Settings of the S3 face.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The one region of this server.
    pub region: String,
    /// Which other regions a signature may name.
    pub regions: Regions,
    /// Domains below which a host name is a bucket (`bucket.domain`), lower case, without port; none: path style only.
    pub domains: Vec<String>,
    /// Root's key; it is not in the database.
    pub root: Credential,
    /// Largest body of one `PutObject` or `UploadPart` in bytes.
    pub put_bytes_max: u64,
}

/// Which regions a signature may name besides the configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Regions {
    /// None: another region is answered with the right one, and SDKs sign again.
    Configured,
    /// Also `us-east-1` and `auto`, which many tools have built in.
    #[default]
    Lenient,
}

impl S3Config {
    /// AWS's limit of one PUT and of one part: 5 GiB.
    pub const PUT_BYTES_MAX_DEFAULT: u64 = 5 << 30;
}

impl S3 {
    /// The face made of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> S3 {
        S3(Arc::new(Inner {
            parts,
            signing_keys: auth::SigningKeys::default(),
        }))
    }

    /// The signing keys that were derived lately.
    #[must_use]
    pub fn signing_keys(&self) -> &auth::SigningKeys {
        &self.0.signing_keys
    }
}

impl std::ops::Deref for S3 {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}
