//! Who gets in: root, by a signature or a bearer token; told by the one authenticator of the process.

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use mogul_tracker::model::UserId;

use super::error::Problem;
use crate::s3::{
    Identity, RequestHead, RequestId, S3,
    auth::{Door, authenticate, authorize::access_denied, payload::read_document},
    route::Query,
};

/// Largest request body in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Lets root in and nobody else, and reads the body, whose digest may be signed.
pub(super) async fn admit(
    State(s3): State<S3>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    match admitted(&s3, id, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admitted(s3: &S3, id: RequestId, request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let mut head = RequestHead {
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        headers: parts.headers.clone(),
        query: Query::parse(parts.uri.query().unwrap_or_default())?,
        id,
        received: s3.clock.now(),
    };
    let authenticated = authenticate(s3, Door::Admin, &mut head).await?;
    match &authenticated.identity {
        Identity::User(user) if user.id == UserId::root() => {}
        Identity::User(_) => return Err(access_denied().into()),
        Identity::Anonymous => return Err(Problem::unauthenticated()),
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
