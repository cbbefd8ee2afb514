//! `/admin/v1/jobs`: how the background jobs are doing, and that one shall pause.

use axum::{Json, extract::State};
use mogul_tracker::{
    Error, Tracker,
    command::jobs::{JobReport, JobState, Pause},
    jobs::JobName,
    model::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::Problem,
    extract::{Body, Named},
};

/// What a job is doing.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
pub(super) enum StateView {
    /// There is work, and it does it.
    Running,
    /// There is no work.
    Idle,
    /// It was paused, in all trackers.
    Paused,
    /// Its last step failed; it is tried again.
    Failing,
}

impl From<JobState> for StateView {
    fn from(state: JobState) -> StateView {
        match state {
            JobState::Running => StateView::Running,
            JobState::Idle => StateView::Idle,
            JobState::Paused => StateView::Paused,
            JobState::Failing => StateView::Failing,
        }
    }
}

/// A job: what it does is told of this process, all its workers together; what is left is the whole cluster's.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobView {
    /// Its name.
    name: &'static str,
    /// What it is doing.
    state: StateView,
    /// Whether it may be paused.
    may_pause: bool,
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
    /// Files that it has worked on since the process started.
    #[schema(minimum = 0)]
    files: u64,
    /// Bytes that it has read, copied or moved since the process started.
    #[schema(minimum = 0)]
    bytes: u64,
    /// Files a second, over the last minute.
    #[schema(minimum = 0)]
    files_per_second: f64,
    /// Bytes a second, over the last minute.
    #[schema(minimum = 0)]
    bytes_per_second: f64,
    /// Files that are still before it in the whole cluster; left out where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    backlog: Option<u64>,
    /// How many seconds that takes at the present rate; left out while it does not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    seconds_left: Option<u64>,
}

impl From<JobReport> for JobView {
    fn from(report: JobReport) -> JobView {
        let JobReport {
            job,
            state,
            status,
            backlog,
            left,
        } = report;
        let rate = status.rate_thousandths;
        JobView {
            name: job.as_str(),
            state: state.into(),
            may_pause: job.may_pause(),
            workers: status.workers,
            steps: status.steps,
            failures: status.failures,
            last_step_ms: status.last_step.map(Timestamp::millis),
            last_failure: status.last_failure,
            files: status.done.files,
            bytes: status.done.bytes,
            files_per_second: thousandths(rate.files),
            bytes_per_second: thousandths(rate.bytes),
            backlog,
            seconds_left: left.map(|left| left.as_secs()),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a rate is read by people"
)]
fn thousandths(rate: u64) -> f64 {
    rate as f64 / 1000.0
}

/// The jobs that this process runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jobs)]
pub(super) struct JobsView {
    /// The jobs.
    jobs: Vec<JobView>,
}

/// What shall become of a job.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JobChanges)]
pub(super) struct ChangeBody {
    /// Whether it pauses, in all trackers of the database, until it is told to go on.
    paused: bool,
}

/// Lists the background jobs that this process runs and how they are doing.
#[utoipa::path(get, path = "/admin/v1/jobs", operation_id = "list_jobs", tag = "jobs",
    responses((status = 200, description = "The jobs.", body = JobsView)))]
pub(super) async fn list(State(tracker): State<Tracker>) -> Result<Json<JobsView>, Problem> {
    let jobs = tracker.job_reports().await?.into_iter().map(JobView::from);
    Ok(Json(JobsView { jobs: jobs.collect() }))
}

/// Pauses a job in all trackers, or lets it go on. A step that runs is finished. The jobs monitor and sweep cannot be paused.
#[utoipa::path(patch, path = "/admin/v1/jobs/{name}", operation_id = "change_job", tag = "jobs",
    params(("name" = String, Path, description = "The job's name.")), request_body = ChangeBody,
    responses((status = 204, description = "It is done.")))]
pub(super) async fn modify(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
    Body(body): Body<ChangeBody>,
) -> Result<http::StatusCode, Problem> {
    let job = JobName::parse(&name).ok_or(Error::UnknownJob)?;
    let pause = if body.paused { Pause::Begin } else { Pause::End };
    tracker.pause_job(job, pause).await?;
    Ok(http::StatusCode::NO_CONTENT)
}
