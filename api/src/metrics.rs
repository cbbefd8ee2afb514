//! What the faces count, for `/metrics`: requests, how long they took, bytes.
//!
//! Labels have few values: a face, an operation out of its closed list, the hundred of a status; never a bucket, a key
//! or a user. What is a state rather than a count (queues, devices, jobs) is not kept here but asked for at each scrape
//! ([`crate::admin`]).

use std::{borrow::Cow, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Upper bounds of the latency buckets in seconds: from a cache hit to a large body on a slow disk.
const BUCKETS_S: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// What the faces of one process count; cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    requests: Family<Ended, Counter>,
    seconds: Family<Asked, Histogram>,
    received: Family<OfFace, Counter>,
    sent: Family<OfFace, Counter>,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS_S)),
            received: Family::default(),
            sent: Family::default(),
        }
    }
}

/// A face of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// The S3 port.
    S3,
    /// The tracker port.
    Tracker,
    /// The admin port.
    Admin,
}

/// One request that was answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The face that answered.
    pub face: Face,
    /// What was asked for: a name out of a closed list.
    pub operation: Cow<'static, str>,
    /// How it ended: `2xx` and so on, `ok` or `error` on the tracker port.
    pub outcome: &'static str,
    /// From the request's first line to the answer's.
    pub took: Duration,
    /// Size of the request's body in bytes, as it was announced.
    pub received: u64,
    /// Size of the answer's body in bytes, as it was announced.
    pub sent: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    face: &'static str,
    operation: Cow<'static, str>,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    face: &'static str,
    operation: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFace {
    face: &'static str,
}

impl Face {
    fn as_str(self) -> &'static str {
        match self {
            Face::S3 => "s3",
            Face::Tracker => "tracker",
            Face::Admin => "admin",
        }
    }
}

impl Metrics {
    /// Counts a request.
    pub fn answered(&self, answered: Answered) {
        let face = answered.face.as_str();
        let Counts {
            requests,
            seconds,
            received,
            sent,
        } = &*self.0;
        let asked = Asked {
            face,
            operation: answered.operation.clone(),
        };
        seconds.get_or_create(&asked).observe(answered.took.as_secs_f64());
        let ended = Ended {
            face,
            operation: answered.operation,
            outcome: answered.outcome,
        };
        requests.get_or_create(&ended).inc();
        let of_face = OfFace { face };
        received.get_or_create(&of_face).inc_by(answered.received);
        sent.get_or_create(&of_face).inc_by(answered.sent);
    }

    /// Puts the counts into a registry that is about to be written out.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let counts = &self.0;
        registry.register(
            "mogul_requests",
            "Requests answered, by face, operation and outcome",
            counts.requests.clone(),
        );
        registry.register(
            "mogul_request_seconds",
            "Time from a request's first line to the first line of its answer",
            counts.seconds.clone(),
        );
        registry.register(
            "mogul_received_bytes",
            "Bytes of request bodies, as they were announced",
            counts.received.clone(),
        );
        registry.register(
            "mogul_sent_bytes",
            "Bytes of answers' bodies, as they were announced",
            counts.sent.clone(),
        );
    }
}

/// The hundred of an HTTP status, as monitoring counts it.
#[must_use]
pub fn hundred(status: http::StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
