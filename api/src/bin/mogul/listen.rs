//! The accept loop of every port: limits, the trusted networks, TLS, and an orderly end.
//!
//! One loop serves S3, admin, storage and the tracker port alike. Request targets reach the service as they came: nothing here normalises a
//! path. A connection costs one task and hyper's buffers, an idle one holds neither a thread nor a large buffer.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use mogul_storage::networks::Networks;
use mogul_tracker::clock::{Clock, SystemClock};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};
use tracing::{debug, info, warn};

use crate::{config::Config, tls::Tls};

/// Largest request head in bytes: user metadata may have 2 KiB, a presigned URL with a session token several.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Most header lines of one request.
const HEADERS_MAX: usize = 256;

/// Largest read buffer of a connection in bytes; it grows to this only while a body streams.
const BUFFER_BYTES_MAX: usize = 512 << 10;

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long sent bytes may stay unacknowledged, or a client refuse to read on, before the operating system gives the
/// connection up.
const UNREAD_MAX: Duration = Duration::from_mins(5);

/// How long to wait when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {reason}; choose another address with --{flag} IP:PORT")]
pub(crate) struct ListenError {
    address: SocketAddr,
    key: &'static str,
    flag: &'static str,
    reason: String,
}

/// An open port that nobody serves yet.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// What a port bears.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections open at a time.
    connections_max: usize,
    /// How long a connection may wait for a complete head, idle time included.
    idle: Duration,
    /// How long a body may pause.
    body: Duration,
}

/// How the names of headers are written in answers. HTTP does not care; scripts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderNames {
    /// In lower case.
    Lower,
    /// `Content-Length`, as mogstored writes them: clients in Perl look for that.
    Titled,
}

/// How a port is served.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    /// What is served, for the log.
    pub(crate) face: &'static str,
    /// TLS, if the port speaks https.
    pub(crate) tls: Option<Tls>,
    /// Who may connect; others are hung up on.
    pub(crate) networks: Networks,
    /// How the names of headers are written.
    pub(crate) names: HeaderNames,
    /// What the port bears.
    pub(crate) limits: Limits,
    /// Ends the accept loop; running requests finish, idle connections close.
    pub(crate) stop: CancellationToken,
    /// Owns the loop and its connections.
    pub(crate) tasks: TaskTracker,
}

impl Limits {
    /// The limits that the configuration sets.
    pub(crate) fn of(config: &Config) -> Limits {
        Limits {
            connections_max: config.http_connections_max,
            idle: config.http_idle_timeout,
            body: config.http_body_timeout,
        }
    }

    /// Those of the tracker port, where clients stay connected for ever.
    pub(crate) fn of_tracker(config: &Config) -> Limits {
        Limits {
            connections_max: config.tracker_connections_max,
            ..Limits::of(config)
        }
    }
}

impl Listener {
    /// Opens a port. `key` and `flag` name its setting in the error.
    ///
    /// # Errors
    /// [`ListenError`], if it is taken or not of this machine.
    pub(crate) async fn bind(
        address: SocketAddr,
        key: &'static str,
        flag: &'static str,
    ) -> Result<Listener, ListenError> {
        let bound = async {
            let socket = TcpListener::bind(address).await?;
            let address = socket.local_addr()?;
            Ok(Listener { socket, address })
        };
        bound.await.map_err(|error: io::Error| ListenError {
            address,
            key,
            flag,
            reason: reason_of(&error),
        })
    }

    /// Where it listens; the port is known even if 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the port until [`Serving::stop`]; returns at once, the work is done by [`Serving::tasks`].
    pub(crate) fn serve<S>(self, serving: Serving, service: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let scheme = if serving.tls.is_some() { "https" } else { "http" };
        let http = serving.clone();
        self.serve_streams(serving, scheme, move |stream, _| {
            let (serving, service) = (http.clone(), service.clone());
            async move { connection(stream, &serving, service).await }
        });
    }

    /// Serves a port whose connections speak something else than HTTP: `converse` has one from its beginning to its end,
    /// which comes soon after [`Serving::stop`]. `scheme` names what is spoken, for the log.
    pub(crate) fn serve_streams<C, F>(self, serving: Serving, scheme: &'static str, converse: C)
    where
        C: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        info!(face = serving.face, address = %self.address, scheme, "listening");
        let tasks = serving.tasks.clone();
        tasks.spawn(accept(self.socket, serving, converse));
    }
}

fn reason_of(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::AddrInUse, "the port is taken by another program"),
        (
            io::ErrorKind::AddrNotAvailable,
            "the address is not of this machine",
        ),
        (
            io::ErrorKind::PermissionDenied,
            "ports below 1024 need a privilege",
        ),
    ];
    match known.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, reason)) => (*reason).to_owned(),
        None => error.to_string(),
    }
}

async fn accept<C, F>(socket: TcpListener, serving: Serving, converse: C)
where
    C: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(serving.limits.connections_max));
    while let Some((stream, client, slot)) = next(&socket, &slots, &serving).await {
        if !serving.networks.admits(client.ip()) {
            debug!(face = serving.face, %client, "hung up on a client outside the trusted networks");
            continue;
        }
        if let Err(error) = tune(&stream) {
            debug!(face = serving.face, %error, "could not tune a connection");
            continue;
        }
        let conversation = converse(stream, client);
        serving.tasks.spawn(async move {
            conversation.await;
            drop(slot);
        });
    }
}

/// What every connection needs: small answers go out at once, and a client that is gone is noticed.
fn tune(stream: &TcpStream) -> io::Result<()> {
    let unread_max = u32::try_from(UNREAD_MAX.as_millis()).expect("five minutes fit");
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    Ok(rustix::net::sockopt::set_tcp_user_timeout(stream, unread_max)?)
}

/// The next connection and its slot; `None` when the port shall stop.
async fn next(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
    serving: &Serving,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let arrival = async {
        // The slot comes first: what has none stays in the operating system's queue.
        let slot = slots.clone().acquire_owned().await.ok()?;
        loop {
            match socket.accept().await {
                Ok((stream, client)) => return Some((stream, client, slot)),
                Err(error) => {
                    warn!(face = serving.face, %error, "could not accept a connection");
                    SystemClock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = serving.stop.cancelled() => None,
        arrival = arrival => arrival,
    }
}

async fn connection<S>(stream: TcpStream, serving: &Serving, service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let Some(tls) = &serving.tls else {
        return requests(stream, serving, service).await;
    };
    let handshake = tls.acceptor().accept(stream);
    tokio::select! {
        () = serving.stop.cancelled() => {}
        () = SystemClock.sleep(HANDSHAKE_MAX) => debug!(face = serving.face, "TLS handshake took too long"),
        secured = handshake => match secured {
            Ok(stream) => requests(stream, serving, service).await,
            Err(error) => debug!(face = serving.face, %error, "TLS handshake failed"),
        },
    }
}

async fn requests<S>(stream: impl AsyncRead + AsyncWrite + Unpin, serving: &Serving, service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let pause_max = serving.limits.body;
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let request = request.map(|inner| Body::new(TimedBody::new(inner, pause_max)));
        service.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(serving.limits.idle)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .title_case_headers(serving.names == HeaderNames::Titled)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = serving.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(face = serving.face, %error, "connection ended");
    }
}

/// A request body that fails when its client pauses for too long, so that no client holds a reserved fid for ever.
struct TimedBody {
    inner: Incoming,
    pause_max: Duration,
    /// Runs while the client keeps us waiting.
    pause: Option<futures_util::future::BoxFuture<'static, ()>>,
}

impl TimedBody {
    fn new(inner: Incoming, pause_max: Duration) -> TimedBody {
        TimedBody {
            inner,
            pause_max,
            pause: None,
        }
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        let pause_max = self.pause_max;
        let pause = self.pause.get_or_insert_with(|| SystemClock.sleep(pause_max));
        pause.as_mut().poll(context).map(|()| {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the client stopped sending its body");
            Some(Err(axum::Error::new(error)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
