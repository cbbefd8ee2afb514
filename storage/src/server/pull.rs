//! `POST …fid?pull`: a file is fetched from another node.
//!
//! The answer begins at once and says every [`TICK`] that the work goes on, so that its length in time says nothing of the
//! node's health; its last line says how it ended.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    future::{Either, select},
    stream,
};
use http::{Response, StatusCode};

use super::{refuse, text, write};
use crate::{
    answer,
    device::{Device, Place},
    download::{Download, DownloadError, Fault, Source, download},
    error::NodeError,
    fid::DevFid,
    node::{FAILED_LINE, Node, STORED_LINE},
    pieces::long,
    pull::{Pull, Pulls},
};

/// How often an answer that is not finished says so.
const TICK: Duration = Duration::from_secs(5);

/// Begins to fetch a file.
///
/// # Cancel safety
/// Dropped, or its answer dropped, before the end, nothing is kept.
pub(super) fn pull(
    device: Arc<Device>,
    pulls: &Pulls,
    at: DevFid,
    pull: Pull,
) -> Result<Response<Body>, NodeError> {
    let Some(source) = pulls.source(pull.from) else {
        return refuse(StatusCode::FORBIDDEN, "files are not fetched from there");
    };
    let work = Box::pin(fetched(device, source, at, pull));
    let lines = stream::unfold(Some(work), async |work| {
        let work = work?;
        Some(match select(work, tick()).await {
            Either::Left((Ok(size), _)) => (format!("{STORED_LINE}{size}\n"), None),
            Either::Left((Err(error), _)) => (format!("{FAILED_LINE}{}\n", answer::name_of(&error)), None),
            Either::Right(((), work)) => (".\n".to_owned(), Some(work)),
        })
    });
    Ok(text(Body::from_stream(
        lines.map(Ok::<_, std::convert::Infallible>),
    )))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this tells a peer that a socket is waited for: no simulated clock drives it"
)]
fn tick() -> std::pin::Pin<Box<tokio::time::Sleep>> {
    Box::pin(tokio::time::sleep(TICK))
}

/// Fetches a file and answers its size.
async fn fetched(device: Arc<Device>, source: Node, at: DevFid, pull: Pull) -> Result<u64, NodeError> {
    if !source.is_ours().await {
        return Err(NodeError::Source(Fault::Unreachable));
    }
    let fault: Arc<Mutex<Option<Fault>>> = Arc::default();
    let seen = {
        let fault = Arc::clone(&fault);
        move || {
            let fault = fault.lock().unwrap_or_else(PoisonError::into_inner);
            NodeError::Source(fault.unwrap_or(Fault::Unreachable))
        }
    };
    let request = Download {
        fid: at.fid,
        sources: vec![Source {
            device: pull.device,
            node: source.for_jobs(),
        }],
        size: pull.size,
        first: 0,
        length: pull.size,
        crc64: pull.crc64,
        latencies: None,
    };
    let body = download(request, move |bad| {
        *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(bad.fault);
    });
    let body = body.await.map_err(|_| seen())?;
    let body = Body::from_stream(paced(body.boxed(), pull));
    match write::store(device, Place::of(at), pull.size, body).await {
        Err(NodeError::Body(_)) => Err(seen()),
        stored => stored,
    }
}

/// A body that comes no faster than it may.
fn paced(
    body: impl Stream<Item = Result<Bytes, DownloadError>> + Send + Unpin + 'static,
    pull: Pull,
) -> impl Stream<Item = Result<Bytes, DownloadError>> + Send + 'static {
    body.then(move |piece| async move {
        if let (Ok(piece), Some(rate)) = (&piece, pull.bytes_per_second) {
            rest(Duration::from_nanos(
                long(piece).saturating_mul(1_000_000_000) / rate,
            ))
            .await;
        }
        piece
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this slows a socket down: no simulated clock drives it"
)]
async fn rest(pause: Duration) {
    tokio::time::sleep(pause).await;
}
