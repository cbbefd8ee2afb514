//! The admin face: JSON over HTTP for operators and their tools, on a port of its own.
//!
//! `/health/…` is open to all who reach the port ([`health`]). Everything else is signed like an S3 request and open to
//! root alone: the one authenticator of the process ([`crate::s3::auth`]) stands before the routes here as it does there.
//! Errors are `application/problem+json` ([`mod@error`]).

pub mod error;
mod health;
mod keys;
mod users;

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderName, HeaderValue};
use mogul_tracker::{Tracker, model::UserId};
use tracing::{error, info};

use crate::s3::{
    Identity, RequestHead, RequestId, S3,
    auth::{authenticate, authorize::access_denied, payload::read_document},
    error::S3Error,
    route::Query,
};
use error::Problem;

/// Largest request body in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The header that names a request in answers and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The admin face over the same tracker, keys and clock as the S3 face.
pub fn router(s3: S3) -> Router {
    let signed = Router::new()
        .route("/admin/v1/users", get(users::list).post(users::add))
        .route("/admin/v1/users/{name}", get(users::find).delete(users::remove))
        .route("/admin/v1/users/{name}/keys", get(keys::list_of).post(keys::add))
        .route("/admin/v1/keys", get(keys::list))
        .route(
            "/admin/v1/keys/{access_key}",
            get(keys::find).delete(keys::remove),
        )
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(s3.clone(), admit));
    let tracker: Tracker = s3.tracker.clone();
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .merge(signed)
        .layer(from_fn_with_state(s3, identify))
        .with_state(tracker)
}

async fn nothing_here() -> Problem {
    Problem::not_found()
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed()
}

/// Gives the request its id, and writes its line in the log.
async fn identify(State(s3): State<S3>, mut request: Request, next: Next) -> Response {
    let id = RequestId::new(s3.entropy.next_u64());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = s3.clock.now();
    request.extensions_mut().insert(id.clone());
    let mut answer = next.run(request).await;
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        if let Some(cause) = problem.cause() {
            error!(request_id = id.as_str(), cause, "admin request failed");
        }
        answer = problem.render(&id);
    }
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    if !path.starts_with("/health/") {
        let elapsed_ms = began.until(s3.clock.now()).as_millis();
        info!(request_id = id.as_str(), %method, path, status = answer.status().as_u16(), elapsed_ms, "admin request");
    }
    answer
}

/// Lets root in and nobody else, and reads the body, whose digest is signed.
async fn admit(
    State(s3): State<S3>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    match admitted(&s3, id, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn admitted(s3: &S3, id: RequestId, request: Request) -> Result<Request, S3Error> {
    let (parts, body) = request.into_parts();
    let mut head = RequestHead {
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        headers: parts.headers.clone(),
        query: Query::parse(parts.uri.query().unwrap_or_default())?,
        id,
        received: s3.clock.now(),
    };
    let authenticated = authenticate(s3, &mut head).await?;
    match &authenticated.identity {
        Identity::User(user) if user.id == UserId::root() => {}
        Identity::User(_) | Identity::Anonymous => return Err(access_denied()),
    }
    let request = crate::s3::Request {
        head,
        identity: authenticated.identity,
        payload: authenticated.payload,
        body,
    };
    let document = read_document(request, BODY_BYTES_MAX).await?;
    Ok(Request::from_parts(parts, Body::from(document)))
}
