//! PUT: a body becomes a file.

use std::{fs::File, sync::Arc};

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::task::{JoinHandle, spawn_blocking};

use super::blocking;
use crate::{
    answer::{self, STORED},
    device::{Device, Place, clients::Asker, draft::Draft},
    digest::{HashType, Hasher},
    error::NodeError,
    pieces::{Pieces, long},
};

/// Bodies of a known size up to this many bytes are held in memory and written in one go, by one blocking thread.
const WHOLE_MAX: u64 = 256 << 10;

/// Larger bodies are written in pieces of at least this many bytes; two are in memory per request. Below 256 KiB the
/// hand-over to the writing thread shows, above 1 MiB nothing is won.
const PIECE: usize = 512 << 10;

/// Stores a request's body.
///
/// # Cancel safety
/// Dropped before the body's end, nothing is kept. Dropped later, the file may appear.
pub(super) async fn write(
    device: Arc<Device>,
    place: Place,
    request: Request<Body>,
) -> Result<Response<Body>, NodeError> {
    let (head, body) = request.into_parts();
    // The original stores the part for the whole; RFC 9110, 14.5, wants it refused.
    if head.headers.contains_key(header::CONTENT_RANGE) {
        return super::refuse(
            StatusCode::BAD_REQUEST,
            "a part cannot be stored: Content-Range is not understood",
        );
    }
    let size = announced(&head.headers, &body);
    let md5 = content_md5(&head.headers)?;
    let writing = Writing {
        hasher: md5.as_ref().map(|_| Hasher::new(&[HashType::Md5])),
        draft: None,
    };
    let request = Put {
        asker: Asker::of(&head.headers),
        device,
        place,
        size,
        md5,
    };
    // Perlbal's one way to say that it has compared the digest.
    let status = match &request.md5 {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    let stored = request.take(writing, body).await?;
    Ok(stored_answer(status, stored))
}

/// Stores a body of this size for a job; success means what it means for a PUT.
pub(super) async fn store(
    device: Arc<Device>,
    place: Place,
    size: u64,
    body: Body,
) -> Result<u64, NodeError> {
    let request = Put {
        asker: Asker::Job,
        device,
        place,
        size: Some(size),
        md5: None,
    };
    let writing = Writing {
        hasher: None,
        draft: None,
    };
    request.take(writing, body).await
}

/// The answer to a file that was stored.
pub(super) fn stored_answer(status: StatusCode, stored: u64) -> Response<Body> {
    let mut answer = answer::page(status, "");
    answer.headers_mut().insert(STORED, HeaderValue::from(stored));
    answer
}

/// What was asked.
struct Put {
    asker: Asker,
    device: Arc<Device>,
    place: Place,
    size: Option<u64>,
    md5: Option<Vec<u8>>,
}

/// What a blocking thread holds while it writes, and gives back.
struct Writing {
    hasher: Option<Hasher>,
    draft: Option<Draft>,
}

async fn small(request: Put, writing: Writing, size: u64, mut body: Body) -> Result<u64, NodeError> {
    let mut pieces = Pieces::default();
    let mut length = 0;
    while let Some(piece) = next(&mut body).await? {
        length += long(&piece);
        if length > size {
            return Err(wrong_length(size));
        }
        pieces.push(piece);
    }
    let pieces = pieces.take();
    blocking(move || {
        request
            .write(writing, &pieces)
            .and_then(|writing| request.finish(writing))
    })
    .await
}

async fn large(request: Put, writing: Writing, body: Body) -> Result<u64, NodeError> {
    let request = Arc::new(request);
    // The end of the body is met twice: with the last pieces, and where there are none.
    let mut body = Body::new(body.fuse());
    // A device that is full or gone says so before the body comes.
    let mut writing = wait(start(&request, writing, Vec::new())).await?;
    let mut pieces = gather(&mut body).await?;
    let mut syncing: Option<JoinHandle<Result<(), NodeError>>> = None;
    while !pieces.is_empty() {
        let work = start(&request, writing, pieces);
        let following = gather(&mut body).await;
        writing = wait(work).await?;
        pieces = following?;
        if syncing.as_ref().is_none_or(JoinHandle::is_finished)
            && let Some(file) = writing.sync_ahead()?
            && let Some(before) = syncing.replace(spawn_blocking(move || synced(&file)))
        {
            wait(before).await?;
        }
    }
    if let Some(syncing) = syncing {
        wait(syncing).await?;
    }
    blocking(move || request.finish(writing)).await
}

fn synced(file: &File) -> Result<(), NodeError> {
    file.sync_data().map_err(NodeError::Device)
}

/// The next pieces of a body, worth a write; none at its end.
async fn gather(body: &mut Body) -> Result<Vec<Bytes>, NodeError> {
    let mut pieces = Pieces::default();
    while pieces.length() < PIECE {
        let Some(piece) = next(body).await? else {
            break;
        };
        pieces.push(piece);
    }
    Ok(pieces.take())
}

/// Writes pieces beside the reading of the next ones.
fn start(request: &Arc<Put>, writing: Writing, pieces: Vec<Bytes>) -> JoinHandle<Result<Writing, NodeError>> {
    let request = Arc::clone(request);
    spawn_blocking(move || request.write(writing, &pieces))
}

async fn wait<T>(work: JoinHandle<Result<T, NodeError>>) -> Result<T, NodeError> {
    match work.await {
        Ok(outcome) => outcome,
        Err(lost) => Err(NodeError::Device(std::io::Error::other(lost))),
    }
}

impl Writing {
    /// The file, when it is time to sync it beside the writing.
    fn sync_ahead(&mut self) -> Result<Option<File>, NodeError> {
        match &mut self.draft {
            Some(draft) => draft.sync_ahead(),
            None => Ok(None),
        }
    }
}

impl Put {
    /// Takes all of a body.
    async fn take(self, writing: Writing, body: Body) -> Result<u64, NodeError> {
        match self.size {
            Some(size) if size <= WHOLE_MAX => small(self, writing, size, body).await,
            Some(_) | None => large(self, writing, body).await,
        }
    }

    /// Appends pieces; the first call starts the file.
    fn write(&self, writing: Writing, pieces: &[Bytes]) -> Result<Writing, NodeError> {
        let _busy = self.device.busy(self.asker);
        let Writing { mut hasher, draft } = writing;
        let mut draft = match draft {
            Some(draft) => draft,
            None => Draft::begin(Arc::clone(&self.device), self.place.clone(), self.size)?,
        };
        if let Some(hasher) = &mut hasher {
            for piece in pieces {
                hasher.update(piece);
            }
        }
        draft.write(pieces)?;
        if let Some(size) = self.size.filter(|size| draft.written() > *size) {
            return Err(wrong_length(size));
        }
        Ok(Writing {
            hasher,
            draft: Some(draft),
        })
    }

    /// Checks length and digest, and gives the file its name.
    fn finish(&self, writing: Writing) -> Result<u64, NodeError> {
        let _busy = self.device.busy(self.asker);
        let draft = writing.draft.expect("write starts the file, and precedes finish");
        if let Some(size) = self.size.filter(|size| draft.written() != *size) {
            return Err(wrong_length(size));
        }
        let md5 = writing.hasher.map(Hasher::finish);
        let found = md5.as_ref().and_then(|digests| digests.get(HashType::Md5));
        if let (Some(found), Some(expected)) = (found, &self.md5)
            && found.bytes != *expected
        {
            let text = |bytes| STANDARD_NO_PAD.encode(bytes);
            let (expected, actual) = (text(expected), text(&found.bytes));
            let line = format!("Content-MD5 mismatch, expected: {expected} actual: {actual}");
            return super::refuse(StatusCode::BAD_REQUEST, &line);
        }
        draft.finish()
    }
}

fn wrong_length(size: u64) -> NodeError {
    NodeError::Body(format!("it is not {size} bytes long"))
}

/// The next piece of a body that has bytes in it.
async fn next(body: &mut Body) -> Result<Option<Bytes>, NodeError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NodeError::Body(error.to_string()))?;
        if let Ok(piece) = frame.into_data()
            && !piece.is_empty()
        {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

/// The length that a request announces, if it does.
fn announced(headers: &HeaderMap, body: &Body) -> Option<u64> {
    let header = headers.get(header::CONTENT_LENGTH);
    let length = header.and_then(|length| length.to_str().ok()?.parse().ok());
    length.or_else(|| body.size_hint().exact())
}

/// The digest that a request announces. mogstored takes it with and without padding.
fn content_md5(headers: &HeaderMap) -> Result<Option<Vec<u8>>, NodeError> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("").trim_end_matches('=');
    match STANDARD_NO_PAD.decode(text) {
        Ok(bytes) if bytes.len() == HashType::Md5.size() => Ok(Some(bytes)),
        Ok(_) | Err(_) => super::refuse(
            StatusCode::BAD_REQUEST,
            &format!("Content-MD5 mismatch, expected: {text}, which is no digest"),
        ),
    }
}
