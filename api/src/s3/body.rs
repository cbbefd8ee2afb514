//! What becomes of a request's body when nobody reads it to its end.
//!
//! A client that is refused early still sends what it began. Closed at once, the connection would be reset, and the client
//! would see that instead of the answer; left alone, the rest would be read as the next request. So what is left is
//! read and thrown away beside the answer, up to a limit; past it the connection is closed. A client that waits for
//! `100 Continue` has sent nothing and is never asked to: its connection is closed after the answer.
//!
//! So is that of a client that waits to send an empty body, which the HTTP layer never asks for. A connection on which
//! the answer came instead of `100 Continue` is one that aws-cli (botocore before 1.44) cannot use again: it takes the
//! next answer's first line for a header and hangs.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderMap, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

use super::S3;

/// So many bytes of an unwanted body are read; more cost more than a new connection.
const DRAIN_BYTES_MAX: usize = 64 << 20;

/// So long an unwanted body is waited for.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// A request body that reads its rest when it is dropped.
struct Drained {
    inner: Option<Body>,
    awaited: Awaited,
    s3: S3,
}

/// Whether the client waits for `100 Continue`, which the HTTP layer sends when a body that is not empty is first read.
#[derive(Clone)]
pub(super) struct Awaited(Option<Arc<AtomicBool>>);

impl Awaited {
    fn of(headers: &HeaderMap) -> Awaited {
        let expects = headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        Awaited(expects.then(|| Arc::new(AtomicBool::new(true))))
    }

    /// Whether it still does.
    pub(super) fn still(&self) -> bool {
        self.0.as_ref().is_some_and(|flag| flag.load(Ordering::Acquire))
    }

    fn end(&self) {
        if let Some(flag) = &self.0 {
            flag.store(false, Ordering::Release);
        }
    }
}

/// The body as handlers get it, and whether its sender waits to be asked for it.
pub(super) fn guard(body: Body, headers: &HeaderMap, s3: &S3) -> (Body, Awaited) {
    let awaited = Awaited::of(headers);
    if body.is_end_stream() {
        return (body, awaited);
    }
    let drained = Drained {
        inner: Some(body),
        awaited: awaited.clone(),
        s3: s3.clone(),
    };
    (Body::new(drained), awaited)
}

impl http_body::Body for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.awaited.end();
        match &mut self.inner {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if self.awaited.still() {
            return;
        }
        let rest = self.inner.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (rest, tokio::runtime::Handle::try_current()) {
            let clock = Arc::clone(&self.s3.clock);
            self.s3.tasks.spawn_on(
                async move {
                    let deadline = clock.sleep(DRAIN_TIME_MAX);
                    match select(Box::pin(drain(body)), deadline).await {
                        Either::Left(_) | Either::Right(_) => {}
                    }
                },
                &runtime,
            );
        }
    }
}

/// Reads a body until it ends, fails, or reaches the limit.
async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
