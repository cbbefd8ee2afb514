//! Reading the bytes of an object: as the body of an answer, or to be stored again.

use axum::body::Body;
use bytes::BytesMut;
use futures_util::TryStreamExt;
use mogul_storage::HashType;
use mogul_tracker::model::ObjectVersion;

use super::{S3, auth::payload::IncomingBody, error::S3Error};

/// Reads of at most so many bytes are answered whole: head and body leave in one write, and an error still has a status.
const WHOLE_BYTES_MAX: u64 = 256 << 10;

/// `length` bytes of an object from `first` on as the body of an answer. A read that fails under way breaks the
/// connection: it never ends as if it was complete.
///
/// # Errors
/// `NoSuchKey` if the object was deleted meanwhile; `ServiceUnavailable` if no copy can be read.
pub(super) async fn body(s3: &S3, object: &ObjectVersion, first: u64, length: u64) -> Result<Body, S3Error> {
    let bytes = s3.tracker.read(object, first, length).await?;
    if length > WHOLE_BYTES_MAX {
        return Ok(Body::from_stream(bytes));
    }
    let mut bytes = std::pin::pin!(bytes);
    let Some(start) = bytes.try_next().await? else {
        return Ok(Body::empty());
    };
    let mut next = bytes.try_next().await?;
    if next.is_none() {
        return Ok(Body::from(start));
    }
    let mut whole = BytesMut::from(start);
    while let Some(piece) = next {
        whole.extend_from_slice(&piece);
        next = bytes.try_next().await?;
    }
    Ok(Body::from(whole.freeze()))
}

/// `length` bytes of an object from `first` on as a body to be stored again, with a checksum of this algorithm.
///
/// # Errors
/// Those of [`body`].
pub(super) async fn copied(
    s3: &S3,
    object: &ObjectVersion,
    (first, length): (u64, u64),
    hash: HashType,
) -> Result<IncomingBody, S3Error> {
    let bytes = s3.tracker.read(object, first, length).await?;
    Ok(IncomingBody::internal(length, hash, bytes.map_err(S3Error::from)))
}
