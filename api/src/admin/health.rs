//! `/health/live` and `/health/ready`, for supervisors and load balancers. They tell no secret and need no key.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use mogul_tracker::{Tracker, error::chain};
use serde::Serialize;
use utoipa::ToSchema;

/// Whether the process can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `live` or `ready`; `unavailable` if something is missing.
    status: &'static str,
    /// What is missing; left out if nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

/// Tells that the process answers.
#[utoipa::path(get, path = "/health/live", operation_id = "live", tag = "health", security(()),
    responses((status = 200, description = "It does.", body = Health)))]
pub(super) async fn live() -> Response {
    answer(Vec::new(), "live")
}

/// Tells whether objects can be stored: the database answers and a device takes files.
#[utoipa::path(get, path = "/health/ready", operation_id = "ready", tag = "health", security(()),
    responses((status = 200, description = "They can.", body = Health),
        (status = 503, description = "They cannot, and why.", body = Health)))]
pub(super) async fn ready(State(tracker): State<Tracker>) -> Response {
    let mut reasons = Vec::new();
    let readiness = tracker.readiness().await;
    if let Err(error) = readiness.database {
        tracing::warn!(error = chain(&error), "database did not answer the health check");
        reasons.push("the database does not answer");
    }
    if readiness.writable_devices == 0 {
        reasons.push("no device is writable");
    }
    answer(reasons, "ready")
}

fn answer(reasons: Vec<&'static str>, well: &'static str) -> Response {
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, well)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    (code, Json(Health { status, reasons })).into_response()
}
