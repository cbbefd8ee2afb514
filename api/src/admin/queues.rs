//! `/admin/v1/queues`: what the jobs still have before them.

use axum::{Json, extract::State};
use mogul_tracker::{Tracker, command::backlog::Backlog};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;

/// Fids that wait for a job, whether they are due or put off.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "each is what its fids are waiting for: to be replicated, deleted, joined"
)]
#[schema(as = Queues)]
pub(super) struct QueuesView {
    /// Fids whose copies are missing, or too many.
    #[schema(minimum = 0)]
    to_replicate: u64,
    /// Fids whose copies are to be deleted.
    #[schema(minimum = 0)]
    to_delete: u64,
    /// Objects whose segments are to be joined into one file.
    #[schema(minimum = 0)]
    to_join: u64,
}

impl From<Backlog> for QueuesView {
    fn from(backlog: Backlog) -> QueuesView {
        QueuesView {
            to_replicate: backlog.to_replicate,
            to_delete: backlog.to_delete,
            to_join: backlog.to_join,
        }
    }
}

/// Counts what waits in the queues.
#[utoipa::path(get, path = "/admin/v1/queues", operation_id = "find_queues", tag = "queues",
    responses((status = 200, description = "The lengths of the queues.", body = QueuesView)))]
pub(super) async fn find(State(tracker): State<Tracker>) -> Result<Json<QueuesView>, Problem> {
    Ok(Json(tracker.backlog().await?.into()))
}
