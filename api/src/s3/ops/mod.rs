//! The handlers, one file per group of operations: each parses, calls one command, renders.

pub(super) mod buckets;
pub(super) mod delete_object;

pub(super) mod copy_object;
pub(super) mod get_object;
pub(super) mod list_objects;
pub(super) mod list_versions;
pub(super) mod multipart;
mod names;
pub(super) mod object_attributes;
pub(super) mod put_object;
pub(super) mod tagging;
mod token;
pub(super) mod unsupported;

use axum::body::Body;
use http::StatusCode;

use super::Response;

/// 204: done, and nothing to say.
fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
