//! Answers that take long: the client gets 200 and white space until the document is there, so that neither it nor a
//! proxy gives the connection up (AWS does so for `CopyObject` and `CompleteMultipartUpload`; SDKs look for an `<Error>`
//! in such an answer).

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, select},
    stream,
};
use http::{HeaderValue, header::CONTENT_TYPE};
use http_body_util::BodyExt;

use super::{
    RequestHead, Response, S3,
    error::{ErrorContext, S3Error},
};

/// Nothing is said for so long. An error that comes before has a status of its own.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What every document begins with: it may come once only, and nothing may come before it.
const DECLARATION: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

type Work = BoxFuture<'static, Result<Response, S3Error>>;

/// What is still to be said.
enum Rest {
    Begin(Work),
    Wait(Work),
    Nothing,
}

/// Answers by a document that `work` makes; if that takes long, the answer begins without it.
///
/// # Errors
/// Those of the work, if they come soon enough.
pub(super) async fn answer<F>(s3: &S3, head: &RequestHead, work: F) -> Result<Response, S3Error>
where
    F: Future<Output = Result<Response, S3Error>> + Send + 'static,
{
    let work = match select(work.boxed(), s3.clock.sleep(SILENCE_MAX)).await {
        Either::Left((done, _)) => return done,
        Either::Right(((), work)) => work,
    };
    let (s3, head) = (s3.clone(), head.clone());
    let pieces = stream::unfold((Rest::Begin(work), s3, head), |(rest, s3, head)| async move {
        let (piece, rest) = next(rest, &s3, &head).await?;
        Some((Ok::<_, std::convert::Infallible>(piece), (rest, s3, head)))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let xml = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(CONTENT_TYPE, xml);
    Ok(response)
}

async fn next(rest: Rest, s3: &S3, head: &RequestHead) -> Option<(Bytes, Rest)> {
    let work = match rest {
        Rest::Begin(work) => return Some((Bytes::from_static(DECLARATION), Rest::Wait(work))),
        Rest::Wait(work) => work,
        Rest::Nothing => return None,
    };
    match select(work, s3.clock.sleep(SILENCE_MAX)).await {
        Either::Right(((), work)) => Some((Bytes::from_static(b" "), Rest::Wait(work))),
        Either::Left((done, _)) => Some((document(done, s3, head).await, Rest::Nothing)),
    }
}

/// The document without its declaration.
async fn document(done: Result<Response, S3Error>, s3: &S3, head: &RequestHead) -> Bytes {
    let error = match done {
        Ok(response) => match response.into_body().collect().await {
            Ok(whole) => return undeclared(whole.to_bytes()),
            Err(error) => mogul_tracker::Error::Internal(error.to_string()).into(),
        },
        Err(error) => error,
    };
    tracing::warn!(
        request_id = head.id.as_str(),
        code = error.code.as_str(),
        "a long request failed"
    );
    let document = error.document(&ErrorContext {
        method: &head.method,
        resource: head.path(),
        request_id: head.id.as_str(),
        host_id: s3.host_id(),
    });
    undeclared(Bytes::from(document))
}

fn undeclared(document: Bytes) -> Bytes {
    match document.strip_prefix(DECLARATION) {
        Some(rest) => document.slice_ref(rest),
        None => document,
    }
}
