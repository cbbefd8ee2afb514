//! The storage node's HTTP, as mogstored speaks it, and our extensions.
//!
//! What is mogstored's: `PUT`, `GET` (ranges), `HEAD`, `DELETE` of `/devN/b/mmm/ttt/N.fid` and of other plain names,
//! `GET /devN/usage`, and the answers to `/` and `MKCOL` which tell trackers that the node is well and needs no folders
//! made. What is ours is declared in the `X-Mogul` header of every answer: `durable` (an answered PUT is on
//! stable storage), `join` (`POST …fid?join` makes a file of others), `list` (`GET /devN/?fids&first=N&limit=M`),
//! `sizes` (the same with `sizes` for `fids`: each fid with its bytes),
//! `digest` (`GET …fid?digest=md5`), `pull` (`POST …fid?pull&from=IP:PORT&dev=N&size=N` fetches a file from another node of
//! ours; [`crate::pull`] says from where), `mark` (`POST /devN/?mark` gives the device a [`crate::Mark`] if it has none, and
//! answers which it bears; `GET /devN/usage` tells it in `X-Mogul-Mark`; another request that has this header is for that disk and
//! no other), `delete` and `crc64` (`POST /devN/?delete` and `?crc64`: many files in one request, [`crate::bulk`]). Beside a
//! device's usage stands how long clients have kept it busy (`X-Mogul-Clients`); what background jobs ask for does not count,
//! because they say so (`X-Mogul-Work`).
//!
//! A request hands over to a blocking thread as rarely as can be: once for a small file, once per piece of a large
//! one; a thread is never held while a client is slow.

mod bulk;
mod extensions;
mod pull;
mod read;
mod route;
mod write;

use std::{io, sync::Arc};

use axum::{Router, body::Body, extract::State};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::{
    answer,
    device::{Device, Devices, Durability, clients::Asker},
    error::NodeError,
    fid::DevId,
    node::Removal,
    pull::Pulls,
};
use route::Route;

/// The node's router over these devices; it fetches nothing from other nodes.
pub fn router(devices: Arc<Devices>) -> Router {
    serving(devices, None)
}

/// As [`router`], of a node that also fetches files from others.
pub fn router_pulling(devices: Arc<Devices>, pulls: Pulls) -> Router {
    serving(devices, Some(pulls))
}

/// What the router serves.
struct Served {
    devices: Arc<Devices>,
    pulls: Option<Pulls>,
}

fn serving(devices: Arc<Devices>, pulls: Option<Pulls>) -> Router {
    let served = Arc::new(Served { devices, pulls });
    Router::new().fallback(serve).with_state(served)
}

async fn serve(State(served): State<Arc<Served>>, request: Request<Body>) -> Response<Body> {
    let outcome = dispatch(&served, request).await;
    let mut answer = outcome.unwrap_or_else(|error| answer::of_error(&error));
    answer
        .headers_mut()
        .insert(answer::CAPABILITIES, capabilities(&served));
    answer
}

async fn dispatch(served: &Served, request: Request<Body>) -> Result<Response<Body>, NodeError> {
    let devices = &served.devices;
    let asker = Asker::of(request.headers());
    let meant = Meant {
        devices,
        mark: request.headers().get(answer::MARK).cloned(),
    };
    match Route::of(request.method(), request.uri())? {
        Route::Root => Ok(listing()),
        Route::Options => Ok(options()),
        Route::Folder(device) => {
            let device = meant.device(device).await?;
            blocking(move || device.probe()).await?;
            Ok(listing())
        }
        Route::Usage(device) => extensions::usage(Arc::clone(devices), device).await,
        Route::Mark(device) => extensions::mark(meant.device(device).await?, request.into_body()).await,
        Route::List { device, first, limit } => {
            extensions::list(meant.device(device).await?, first, limit).await
        }
        Route::Sizes { device, first, limit } => {
            extensions::sizes(meant.device(device).await?, first, limit).await
        }
        Route::Read(device, place) => {
            read::read(
                meant.device(device).await?,
                place,
                request.method(),
                request.headers(),
            )
            .await
        }
        Route::Digest(device, place, hash) => {
            let device = meant.device(device).await?;
            let _busy = device.busy(asker);
            extensions::digest(device, place, hash).await
        }
        Route::Write(device, place) => write::write(meant.device(device).await?, place, request).await,
        Route::Join(at) => extensions::join(meant.device(at.device).await?, at, request.into_body()).await,
        Route::RemoveMany(device) => bulk::delete(meant.device(device).await?, request.into_body()).await,
        Route::Crcs(device) => bulk::crcs(meant.device(device).await?, request.into_body()).await,
        Route::Pull(at, order) => match &served.pulls {
            Some(pulls) => pull::pull(meant.device(at.device).await?, pulls, at, order),
            None => Err(NodeError::Unsupported("pull")),
        },
        Route::Remove(device, place) => {
            let device = meant.device(device).await?;
            let _busy = device.busy(asker);
            match blocking(move || device.remove(&place)).await {
                Ok(Removal::Removed) => Ok(empty(StatusCode::NO_CONTENT)),
                Ok(Removal::WasAbsent) => Err(NodeError::NotFound),
                Err(NodeError::Device(error)) if error.kind() == io::ErrorKind::IsADirectory => {
                    refuse(StatusCode::BAD_REQUEST, "Is a directory")
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// The disk that a request means.
struct Meant<'d> {
    devices: &'d Arc<Devices>,
    /// The mark that it must bear, if the request says so.
    mark: Option<HeaderValue>,
}

impl Meant<'_> {
    /// The device, if this node serves it and its disk is the one that is meant. One that says that it is another device is
    /// never.
    async fn device(&self, id: DevId) -> Result<Arc<Device>, NodeError> {
        let device = match self.devices.get(id) {
            Err(NodeError::NoDevice) if self.devices.grows() => {
                let devices = Arc::clone(self.devices);
                blocking(move || {
                    devices.take_up(id);
                    devices.get(id)
                })
                .await
            }
            found => found,
        }?;
        let other = match (&self.mark, device.mark_text()) {
            (None, _) => device.is_misplaced(),
            (Some(meant), Some(borne)) => meant.as_bytes() != borne.as_bytes(),
            (Some(_), None) => true,
        };
        if other {
            Err(NodeError::NoDevice)
        } else {
            Ok(device)
        }
    }
}

/// What this node promises beyond mogstored.
fn capabilities(served: &Served) -> HeaderValue {
    HeaderValue::from_static(match (served.devices.durability(), &served.pulls) {
        (Durability::Sync, Some(_)) => "durable, join, list, sizes, digest, mark, delete, crc64, pull",
        (Durability::Sync, None) => "durable, join, list, sizes, digest, mark, delete, crc64",
        (Durability::Cache, Some(_)) => "join, list, sizes, digest, mark, delete, crc64, pull",
        (Durability::Cache, None) => "join, list, sizes, digest, mark, delete, crc64",
    })
}

/// What mogstored says of a folder; `mogadm check` takes any 2xx for a sign of life.
fn listing() -> Response<Body> {
    answer::page(StatusCode::OK, "Directory listing disabled")
}

fn options() -> Response<Body> {
    let mut answer = empty(StatusCode::OK);
    let allow = HeaderValue::from_static("GET, HEAD, PUT, DELETE, POST, OPTIONS");
    answer.headers_mut().insert(header::ALLOW, allow);
    answer
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

fn text(line: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(line.into());
    let plain = HeaderValue::from_static("text/plain");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}

/// What a request asks that no mogstored would do either: said with a status and a line.
fn refuse<T>(status: StatusCode, line: &str) -> Result<T, NodeError> {
    Err(answer::unexpected(status, line.to_owned()))
}

/// Whether a method reads.
fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Runs file work on a thread that may block.
///
/// # Cancel safety
/// Dropped while the work runs, the work is finished all the same; what it returns is dropped.
async fn blocking<T, F>(work: F) -> Result<T, NodeError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, NodeError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(lost) => Err(NodeError::Device(std::io::Error::other(lost))),
    }
}
