//! `/admin/v1/jobs`: how the background jobs of this process are doing.

use axum::{Json, extract::State};
use mogul_tracker::{
    Tracker,
    jobs::{JobName, JobStatus},
    model::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

/// A job, all its workers in this process together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobView {
    /// Its name.
    name: &'static str,
    /// Copies of it that run in this process.
    #[schema(minimum = 0)]
    workers: usize,
    /// Steps that ended well since the process started.
    #[schema(minimum = 0)]
    steps: u64,
    /// Steps that failed since the process started.
    #[schema(minimum = 0)]
    failures: u64,
    /// When the last step ended, in Unix milliseconds; left out before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_step_ms: Option<i64>,
    /// Why the last step that failed did; left out if none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_failure: Option<String>,
}

impl From<(JobName, JobStatus)> for JobView {
    fn from((name, status): (JobName, JobStatus)) -> JobView {
        JobView {
            name: name.as_str(),
            workers: status.workers,
            steps: status.steps,
            failures: status.failures,
            last_step_ms: status.last_step.map(Timestamp::millis),
            last_failure: status.last_failure,
        }
    }
}

/// The jobs that this process runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jobs)]
pub(super) struct JobsView {
    /// The jobs.
    jobs: Vec<JobView>,
}

/// Lists the background jobs of this process and how they are doing.
#[utoipa::path(get, path = "/admin/v1/jobs", operation_id = "list_jobs", tag = "jobs",
    responses((status = 200, description = "The jobs.", body = JobsView)))]
pub(super) async fn list(State(tracker): State<Tracker>) -> Json<JobsView> {
    let jobs = tracker.jobs().status().into_iter().map(JobView::from);
    Json(JobsView { jobs: jobs.collect() })
}
