//! `/admin/v1/openapi.json`: the document of this face, made of the routes and types that serve it.
//!
//! What an operation answers when all goes well stands above its handler. What it may refuse with follows from what it
//! is ([`refusals`]) and is added here, so that no handler can forget it.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::error::Document;

/// The document, as it is served.
#[derive(Clone)]
pub(super) struct Specification(Value);

/// Answers the document.
pub(super) fn serve(specification: &Specification) -> Response {
    Json(&specification.0).into_response()
}

impl Specification {
    /// Completes what was gathered from the routes.
    pub(super) fn of(gathered: &utoipa::openapi::OpenApi) -> Specification {
        let mut document = serde_json::to_value(gathered).expect("an OpenAPI document is JSON");
        document["info"] = json!({
            "title": "mogul admin",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that the tracker port can do to a cluster and its files, and users, keys and tokens. \
                Requests are signed with root's key (AWS Signature Version 4) or bear a token.",
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        });
        document["security"] = json!([{"bearer": []}, {"sigv4": []}]);
        let components = &mut document["components"];
        components["securitySchemes"] = json!({
            "bearer": {"type": "http", "scheme": "bearer", "description": "A token made by `mogul admin token add`."},
            "sigv4": {"type": "apiKey", "in": "header", "name": "Authorization",
                "description": "AWS Signature Version 4 with root's key, for the service `s3`."},
        });
        components["schemas"][Document::name().as_ref()] = json!(Document::schema());
        components["responses"]["Problem"] = json!({
            "description": "Why the request was refused.",
            "content": {"application/problem+json": {"schema":
                {"$ref": format!("#/components/schemas/{}", Document::name())}}},
        });
        for (path, item) in members(&mut document["paths"]) {
            for (method, operation) in members(item) {
                add_refusals(path, method, operation);
            }
        }
        Specification(document)
    }
}

fn add_refusals(path: &str, method: &str, operation: &mut Value) {
    let with_body = operation.get("requestBody").is_some();
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for status in refusals(path, method, with_body) {
        responses
            .entry(status)
            .or_insert_with(|| json!({"$ref": "#/components/responses/Problem"}));
    }
}

/// The statuses that an operation may refuse with, besides what its handler says.
fn refusals(path: &str, method: &str, with_body: bool) -> Vec<&'static str> {
    if !path.starts_with("/admin/") {
        return Vec::new();
    }
    let mut statuses = vec!["400", "401", "403", "500", "503"];
    if path.contains('{') {
        statuses.push("404");
    }
    if method != "get" {
        statuses.extend(["404", "409", "412", "502", "507"]);
    }
    if with_body {
        statuses.extend(["413", "415", "422"]);
    }
    statuses
}

/// The members of an object; none if it is none.
fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().map(Map::iter_mut).into_iter().flatten()
}
