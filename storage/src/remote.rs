//! A node in another process, reached over HTTP.
//!
//! All limits of the way there are here: how many requests, how long each may take. What a node can do beyond mogstored is
//! asked by [`Node`] itself, so that foreign nodes are served by the same code.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    future::{Either, select},
    stream,
};
use http::{Method, Request, Response, Uri, header, uri::Authority};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::sync::Semaphore;

use crate::{
    error::NodeError,
    node::{Body, BoxError, Node},
    pieces::long,
};

/// How long an unused connection is kept. The original node closes its own after thirty seconds; a request on a
/// connection that is just being closed is lost.
const IDLE: Duration = Duration::from_secs(20);

/// Unused connections kept per node.
const IDLE_MAX: usize = 64;

/// Requests with bodies up to this many bytes are held until the answer begins, and repeated if their connection is lost.
const REPEATED_MAX: u64 = 256 << 10;

/// Limits of the connections to one node.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a node may take until its answer begins, to take a piece of a body, and between two pieces of one. A node
    /// that hangs is noticed after once to twice this time. An answer to a PUT waits for a disk to sync the file.
    pub answer_timeout: Duration,
    /// Requests on their way to one node at a time; more wait. Counted until the answer begins. A PUT whose body is
    /// still on its way from a client does not count: slow clients must not keep others from the node.
    pub requests_max: usize,
}

impl Default for RemoteOptions {
    /// Two seconds to connect, thirty for an answer, 256 requests.
    fn default() -> RemoteOptions {
        RemoteOptions {
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(30),
            requests_max: 256,
        }
    }
}

/// The node at a host and port, over pooled connections.
#[must_use]
pub fn remote(host: &str, port: u16, options: &RemoteOptions) -> Node {
    remote_apart(host, port, port, options)
}

/// The node at a host, of which a server on another port (`host.http_get_port`: often a plain web server) gives out the files
/// and usage files. What a plain server cannot answer goes to the node itself.
#[must_use]
pub fn remote_apart(host: &str, port: u16, get_port: u16, options: &RemoteOptions) -> Node {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(options.connect_timeout));
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_MAX)
        .build(connector);
    let remote = Arc::new(Remote {
        client,
        address: address(host, port),
        reads: address(host, get_port),
        answer_timeout: options.answer_timeout,
        permits: Semaphore::new(options.requests_max),
    });
    Node::new(tower::service_fn(move |request| {
        let remote = Arc::clone(&remote);
        async move { remote.send(request).await }
    }))
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

struct Remote {
    client: Client<HttpConnector, Outgoing>,
    address: String,
    /// Where plain reads go.
    reads: String,
    answer_timeout: Duration,
    permits: Semaphore,
}

impl Remote {
    /// Sends a request to the node; once more if it is at hand and its connection turns out to have been closed.
    ///
    /// The node may have closed a pooled connection while the request was on its way. All requests to a node may be
    /// repeated: a fid's bytes never change.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed in the middle of the request: the node sees a body that is not whole.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (mut head, body) = request.into_parts();
        let plain_read = head.method == Method::GET && head.uri.query().is_none();
        let address = if plain_read { &self.reads } else { &self.address };
        let authority: Authority = address.parse()?;
        let mut uri = head.uri.into_parts();
        uri.scheme = Some(http::uri::Scheme::HTTP);
        uri.authority = Some(authority);
        head.uri = Uri::from_parts(uri)?;
        if body.size_hint().exact().is_none_or(|size| size > REPEATED_MAX) {
            return self
                .attempt(Request::from_parts(head, body))
                .await
                .map_err(Lost::into_error);
        }
        let bytes = body.collect().await?.to_bytes();
        let _permit = self.permits.acquire().await?;
        let request = || Request::from_parts(head.clone(), Body::from(bytes.clone()));
        match self.attempt(request()).await {
            Err(Lost::Connection(_)) => self.attempt(request()).await.map_err(Lost::into_error),
            outcome => outcome.map_err(Lost::into_error),
        }
    }

    async fn attempt(&self, request: Request<Body>) -> Result<Response<Body>, Lost> {
        let progress = Arc::new(Progress::default());
        let length = request.headers().get(header::CONTENT_LENGTH);
        let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let request = request.map(|body| Outgoing {
            body,
            left,
            progress: Arc::clone(&progress),
        });
        let sent = self.client.request(request);
        let hung = std::pin::pin!(progress.hung(self.answer_timeout));
        match select(sent, hung).await {
            Either::Left((Ok(answer), _)) => Ok(answer.map(|body| timed(body, self.answer_timeout))),
            Either::Left((Err(error), _)) => Err(match progress.failure.get() {
                Some(failure) => Lost::For(NodeError::Body(failure.clone()).into()),
                None if error.is_connect() => Lost::For(error.into()),
                None => Lost::Connection(error.into()),
            }),
            Either::Right(((), _)) => Err(Lost::For("the node did not answer in time".into())),
        }
    }
}

/// Why there is no answer.
enum Lost {
    /// The connection broke; a new one may do.
    Connection(BoxError),
    /// Trying again would not help.
    For(BoxError),
}

impl Lost {
    fn into_error(self) -> BoxError {
        match self {
            Lost::Connection(error) | Lost::For(error) => error,
        }
    }
}

/// How far a request's body has come.
#[derive(Debug, Default)]
struct Progress {
    /// Pieces that the connection has taken.
    taken: AtomicU64,
    /// Whether the connection would take more than there is: then the client is slow, not the node.
    hungry: AtomicBool,
    /// Why the body failed.
    failure: OnceLock<String>,
}

impl Progress {
    /// Returns once the node has neither taken a piece of the body nor answered for that long.
    #[expect(
        clippy::disallowed_methods,
        reason = "this waits for a socket, not for a step of the domain: no simulated clock drives it"
    )]
    async fn hung(&self, timeout: Duration) {
        loop {
            let before = self.taken.load(Ordering::Relaxed);
            tokio::time::sleep(timeout).await;
            let hungry = self.hungry.load(Ordering::Relaxed);
            if !hungry && before == self.taken.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// A request's body on its way: its length is checked, for HTTP would cut a body that is too long, and its steps counted.
struct Outgoing {
    body: Body,
    /// Bytes that are still to come, where the length is announced.
    left: Option<u64>,
    progress: Arc<Progress>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.progress.hungry.store(polled.is_pending(), Ordering::Relaxed);
        let frame = ready!(polled);
        self.progress.taken.fetch_add(1, Ordering::Relaxed);
        let failure = match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, long);
                let left = self.left.map(|left| left.checked_sub(length));
                self.left = left.flatten();
                (left == Some(None)).then(|| "it is longer than announced".to_owned())
            }
            Some(Err(error)) => Some(error.to_string()),
            None => self
                .left
                .filter(|left| *left > 0)
                .map(|_| "it is shorter than announced".to_owned()),
        };
        match failure {
            Some(failure) => {
                let failure = self.progress.failure.get_or_init(|| failure).clone();
                Poll::Ready(Some(Err(failure.into())))
            }
            None => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none_or(|left| left == 0) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body that fails if its next piece does not come in time.
fn timed(body: hyper::body::Incoming, timeout: Duration) -> Body {
    Body::from_stream(stream::try_unfold(body, move |mut body| async move {
        loop {
            let Some(frame) = in_time(timeout, body.frame()).await? else {
                return Ok::<_, BoxError>(None);
            };
            if let Ok(piece) = frame?.into_data() {
                return Ok(Some((piece, body)));
            }
        }
    }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this waits for a socket, not for a step of the domain: no simulated clock drives it"
)]
async fn in_time<T>(timeout: Duration, step: impl Future<Output = T>) -> Result<T, BoxError> {
    Ok(tokio::time::timeout(timeout, step).await?)
}
