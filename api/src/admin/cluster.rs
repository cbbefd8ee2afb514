//! What an operator has done at once instead of soon: a look at all devices, the replication of what waits.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_tracker::Tracker;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;

/// What was made due.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hastened)]
pub(super) struct HastenedView {
    /// So many files wait no longer.
    #[schema(minimum = 0)]
    count: u64,
}

/// Reads everything anew and looks at all devices; answers when that is done.
#[utoipa::path(post, path = "/admin/v1/monitor/rounds", operation_id = "look_now", tag = "jobs",
    responses((status = 204, description = "All devices have been looked at.")))]
pub(super) async fn look_now(State(tracker): State<Tracker>) -> Result<StatusCode, Problem> {
    tracker.look_now().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes due all that waits to be replicated, what was given up included.
#[utoipa::path(post, path = "/admin/v1/queues/replicate/now", operation_id = "replicate_now", tag = "queues",
    responses((status = 200, description = "How many files that are.", body = HastenedView)))]
pub(super) async fn replicate_now(State(tracker): State<Tracker>) -> Result<Json<HastenedView>, Problem> {
    let count = tracker.replicate_now().await?;
    Ok(Json(HastenedView { count }))
}
