//! Simulated hosts: the real storage node, behind a network and disks that fail when chance says so.
//!
//! The bytes are handled by the code that handles them in production, on a folder of this machine; what is
//! simulated is everything that can go wrong around it. A call is one event: it waits for its latency in simulated
//! time, then the real node does all of it at once, then the answer travels back.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use mogul_storage::{
    Devices, Node,
    node::{Body, BoxError},
};
use mogul_tracker::clock::Clock as _;
use tower::{ServiceExt as _, util::BoxCloneSyncService};

use super::executor::SimClock;

/// Longest way to a node and back, each.
const LATENCY_MS_MAX: u64 = 40;

/// Bytes of a simulated body, at most.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What is wrong with a host at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Nothing.
    #[default]
    Well,
    /// Its disk takes no more bytes.
    Full,
    /// Its disk fails every call.
    Failing,
    /// No message reaches it.
    Unreachable,
    /// One message in eight is lost: half of these before the node acts, half after.
    Lossy,
}

/// The real node's router.
type RealNode = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A host: a real node, and what is wrong with it.
#[derive(Clone)]
pub struct SimHost {
    real: RealNode,
    clock: SimClock,
    health: Arc<Mutex<Health>>,
    runtime: tokio::runtime::Handle,
}

impl SimHost {
    /// A healthy host that serves these devices; their blocking work runs on `runtime`.
    #[must_use]
    pub fn new(devices: Arc<Devices>, clock: SimClock, runtime: tokio::runtime::Handle) -> SimHost {
        let real = RealNode::new(mogul_storage::server::router(devices));
        SimHost {
            real,
            clock,
            health: Arc::default(),
            runtime,
        }
    }

    /// The host as everybody reaches it.
    #[must_use]
    pub fn node(&self) -> Node {
        Node::new(self.clone())
    }

    /// Makes it ill, or well again.
    pub fn set_health(&self, health: Health) {
        *self.lock() = health;
    }

    /// What is wrong with it.
    #[must_use]
    pub fn health(&self) -> Health {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn travel(&self) {
        self.clock
            .sleep(Duration::from_millis(1 + self.clock.below(LATENCY_MS_MAX)))
            .await;
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        self.travel().await;
        let health = self.health();
        let lost = health == Health::Lossy && self.clock.below(8) == 0;
        let before = self.clock.below(2) == 0;
        if health == Health::Unreachable || (lost && before) {
            return Err("the network lost the request".into());
        }
        let refusal = match health {
            Health::Failing => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Health::Full if takes_room(&request) => Some(StatusCode::INSUFFICIENT_STORAGE),
            Health::Well | Health::Full | Health::Unreachable | Health::Lossy => None,
        };
        let answer = match refusal {
            Some(status) => refused(status),
            None => self.act(request)?,
        };
        self.travel().await;
        if lost {
            Err("the network lost the answer".into())
        } else {
            Ok(answer)
        }
    }

    /// Lets the real node do the whole call, bodies included, as one event.
    fn act(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        self.runtime.block_on(async {
            let (head, body) = request.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await?.to_bytes();
            let request = Request::from_parts(head, Body::from(body));
            let (mut head, body) = self.real.clone().oneshot(request).await?.into_parts();
            // It is measured in real time, which no two runs have alike: this host does not tell, as a foreign one does not.
            head.headers.remove("x-mogul-clients");
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await?.to_bytes();
            Ok(Response::from_parts(head, Body::from(body)))
        })
    }
}

/// Whether what is asked for needs room on the disk: files that are stored or joined.
fn takes_room(request: &Request<Body>) -> bool {
    let joins = *request.method() == Method::POST && request.uri().query() == Some("join");
    *request.method() == Method::PUT || joins
}

fn refused(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

impl tower::Service<Request<Body>> for SimHost {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.clone().answer(request).boxed()
    }
}
