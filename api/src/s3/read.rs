//! Reading the bytes of an object: from whichever copy is good, and of all its segments in order.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::{
    Stream, StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use mogul_storage::{
    HashType,
    download::{BadCopy, Download, DownloadError, download},
};
use mogul_tracker::model::ObjectVersion;

use super::{
    S3,
    auth::payload::IncomingBody,
    error::{Code, S3Error},
};

/// Reads of at most so many bytes are answered whole: head and body leave in one write, and an error still has a status.
const WHOLE_BYTES_MAX: u64 = 256 << 10;

/// The bytes of an object from `first` on as the body of an answer. A read that fails under way breaks the connection:
/// it never ends as if it was complete.
///
/// # Errors
/// [`Code::NoSuchKey`] if the object was deleted meanwhile; [`Code::ServiceUnavailable`] if no copy can be read.
pub async fn body(s3: &S3, object: &ObjectVersion, first: u64, length: u64) -> Result<Body, S3Error> {
    let mut bytes = open(s3, object, first, length).await?;
    if length > WHOLE_BYTES_MAX {
        return Ok(Body::from_stream(bytes));
    }
    let Some(start) = bytes.try_next().await.map_err(unreadable)? else {
        return Ok(Body::empty());
    };
    if u64::try_from(start.len()) == Ok(length) {
        return Ok(Body::from(start));
    }
    let mut whole = BytesMut::from(start);
    while let Some(piece) = bytes.try_next().await.map_err(unreadable)? {
        whole.extend_from_slice(&piece);
    }
    Ok(Body::from(whole.freeze()))
}

/// The bytes of an object from `first` on as a body to be stored again, with a checksum of this algorithm.
///
/// # Errors
/// Those of [`body`].
pub async fn copied(
    s3: &S3,
    object: &ObjectVersion,
    (first, length): (u64, u64),
    hash: HashType,
) -> Result<IncomingBody, S3Error> {
    let bytes = open(s3, object, first, length).await?;
    Ok(IncomingBody::internal(length, hash, bytes.map_err(unreadable)))
}

/// Begins to read; the first bytes of the first file are there, or there is an error.
async fn open(
    s3: &S3,
    object: &ObjectVersion,
    first: u64,
    length: u64,
) -> Result<BoxStream<'static, Result<Bytes, DownloadError>>, S3Error> {
    let mut downloads = s3.tracker.readable(object, first, length).await?.into_iter();
    let Some(next) = downloads.next() else {
        return Ok(stream::empty().boxed());
    };
    let opened = file(s3.clone(), next).await.map_err(unreadable)?;
    if downloads.len() == 0 {
        return Ok(opened.boxed());
    }
    let s3 = s3.clone();
    let others = stream::iter(downloads)
        .then(move |next| file(s3.clone(), next))
        .try_flatten();
    Ok(stream::once(future::ok(opened))
        .try_flatten()
        .chain(others)
        .boxed())
}

/// Reads one file; copies that turn out bad are reported.
async fn file(
    s3: S3,
    request: Download,
) -> Result<impl Stream<Item = Result<Bytes, DownloadError>> + Send + 'static, DownloadError> {
    let report = move |bad: BadCopy| {
        tracing::warn!(fid = %bad.fid, devid = %bad.device, fault = ?bad.fault, "copy could not be read");
        let tracker = s3.tracker.clone();
        s3.tasks.spawn(async move { tracker.report_bad_copy(bad).await });
    };
    download(request, report).await
}

fn unreadable(error: DownloadError) -> S3Error {
    tracing::error!(fid = %error.fid, at = error.at, "object could not be read");
    S3Error::new(
        Code::ServiceUnavailable,
        "No copy of the object can be read at this moment.",
    )
}
