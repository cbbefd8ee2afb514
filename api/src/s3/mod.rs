//! The S3 face: parses, authenticates, authorises, calls one command, renders.
//!
//! A request's way: `service` gives it an id, [`route`] says what it asks for, [`auth`] who sent it and whether it may,
//! the one match in `dispatch` finds its handler in `ops`, and `service` puts on the answer what every answer has.
//! Nothing of the body is read before the sender is known; so a refusal comes before `100 Continue`.

mod accel;
mod attributes;
pub mod auth;
mod body;
pub mod checksum;
mod class;
mod conditions;
pub mod date;
mod dispatch;
pub mod error;
mod keep_alive;
mod media_type;
mod ops;
mod range;
mod read;
pub mod request;
pub mod route;
mod service;
mod store;
pub mod xml;

use std::sync::Arc;

use mogul_tracker::{
    Tracker,
    clock::Clock,
    model::Credential,
    rng::{self, Entropy},
};
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use auth::SigningKeys;

pub use accel::Accel;
pub use request::{Identity, ObjectName, Request, RequestHead, RequestId};

/// What every handler answers with: headers and body as they leave.
pub type Response = http::Response<axum::body::Body>;

/// The S3 face of one process; cheap to clone. It is a [`tower::Service`] of requests whose path nobody has touched.
#[derive(Clone)]
pub struct S3(Arc<Inner>);

/// What an [`S3`] is made of.
pub struct Parts {
    /// Settings.
    pub config: S3Config,
    /// The domain.
    pub tracker: Tracker,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// Chance: request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Owns what goes on when a client hangs up: bodies being stored, bad copies being reported, refused bodies being
    /// read to their end. The process waits for it when it stops.
    pub tasks: TaskTracker,
}

struct Inner {
    parts: Parts,
    /// `x-amz-id-2`: names this process to whoever reads a report.
    host_id: String,
    signing_keys: SigningKeys,
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
    /// Root's key if the configuration has one: it is not in the database, and stands beside those of root that are.
    pub root: Option<Credential>,
    /// How clients reach this server; in the `Location` of a completed upload.
    pub scheme: http::uri::Scheme,
    /// Largest body of one `PutObject` or `UploadPart` in bytes.
    pub put_bytes_max: u64,
    /// Whether the web server in front fetches the bytes of a GET itself.
    pub accel: Accel,
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
        let host_id = hex::encode(rng::fill::<16>(parts.entropy.as_ref()));
        S3(Arc::new(Inner {
            parts,
            host_id,
            signing_keys: SigningKeys::default(),
        }))
    }

    /// The signing keys derived lately.
    pub(crate) fn signing_keys(&self) -> &SigningKeys {
        &self.0.signing_keys
    }

    /// `x-amz-id-2`.
    pub(crate) fn host_id(&self) -> &str {
        &self.0.host_id
    }
}

impl std::ops::Deref for S3 {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}
