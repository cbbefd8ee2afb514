//! From the wire to the wire: what every request gets and every answer has.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    task::{Context, Poll},
};

use axum::body::Body;
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderName, HeaderValue, Method, Uri, header};
use http_body::Body as _;
use mogul_tracker::model::Timestamp;

use crate::metrics::{Answered, Face, hundred};

use super::{
    RequestHead, RequestId, Response, S3, body, date, dispatch,
    error::{Code, ErrorContext, S3Error},
    route::{self, Operation, Query},
};

/// The region of the bucket: SDKs look for it on refusals too.
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

impl tower::Service<http::Request<Body>> for S3 {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let s3 = self.clone();
        Box::pin(async move { Ok(s3.answer(request).await) })
    }
}

/// What is told of a request when it is answered.
struct Asked {
    method: Method,
    uri: Uri,
    id: RequestId,
    received: Timestamp,
    /// Size of its body in bytes, as it was announced.
    bytes: u64,
}

/// The name of what a request asks for that asks for nothing that there is.
const NO_OPERATION: &str = "none";

impl S3 {
    async fn answer(&self, request: http::Request<Body>) -> Response {
        let received = self.clock.now();
        let id = RequestId::new(self.entropy.next_u64());
        let (parts, body) = request.into_parts();
        let bytes = body.size_hint().exact().unwrap_or(0);
        let (body, awaited) = body::guard(body, &parts.headers, self);
        let asked = Asked {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            id,
            received,
            bytes,
        };
        let (mut of_bucket, mut name) = (false, NO_OPERATION);
        let work = async {
            let query = Query::parse(parts.uri.query().unwrap_or_default())?;
            let domains = &self.config.domains;
            let operation = route::route(&parts.method, &parts.uri, &query, &parts.headers, domains)?;
            name = operation.name();
            of_bucket = matches!(
                operation,
                Operation::Bucket { .. } | Operation::CreateBucket { .. }
            );
            let head = RequestHead {
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                query,
                id: asked.id.clone(),
                received,
            };
            dispatch::dispatch(self, operation, head, body).await
        };
        // A panic is a bug of one request; the process and all others go on.
        let result = AssertUnwindSafe(work).catch_unwind().await;
        let mut response = match result {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => self.refuse(&asked, &error),
            Err(_) => self.refuse(&asked, &panicked()),
        };
        if awaited.still() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        if of_bucket {
            stamp(&mut response, BUCKET_REGION, &self.config.region);
        }
        self.finish(&asked, name, response)
    }

    fn refuse(&self, asked: &Asked, error: &S3Error) -> Response {
        let request_id = asked.id.as_str();
        let code = error.code.as_str();
        if error.status().is_server_error() && error.code != Code::NotImplemented {
            tracing::error!(request_id, code, cause = error.cause, "request failed");
        } else {
            tracing::debug!(request_id, code, message = %error.message, "request refused");
        }
        error.render(&ErrorContext {
            method: &asked.method,
            resource: asked.uri.path(),
            request_id,
            host_id: self.host_id(),
        })
    }

    /// Puts on an answer what every answer has, counts it and logs it.
    fn finish(&self, asked: &Asked, operation: &'static str, mut response: Response) -> Response {
        let now = self.clock.now();
        stamp(&mut response, REQUEST_ID, asked.id.as_str());
        stamp(&mut response, HOST_ID, self.host_id());
        stamp(&mut response, header::DATE, &date::http(now));
        stamp(&mut response, header::SERVER, "mogul");
        let (took, sent) = (asked.received.until(now), response.body().size_hint().exact());
        self.metrics.answered(Answered {
            face: Face::S3,
            operation: operation.into(),
            outcome: hundred(response.status()),
            took,
            received: asked.bytes,
            sent: sent.unwrap_or(0),
        });
        tracing::debug!(
            request_id = asked.id.as_str(),
            operation,
            method = asked.method.as_str(),
            path = asked.uri.path(),
            status = response.status().as_u16(),
            bytes = sent,
            elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "request answered"
        );
        response
    }
}

fn stamp(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn panicked() -> S3Error {
    let mut error = S3Error::new(
        Code::InternalError,
        "We encountered an internal error. Please try again.",
    );
    error.cause = Some("the handler panicked".to_owned());
    error
}
