//! `/admin/v1/fsck`: the check of all files: its state, its beginning and end, its log.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_tracker::{
    Tracker,
    command::{
        buckets::Page,
        fsck::{FsckReset, LOG_PAGE},
    },
    model::{FsckScope, FsckStatus, Logged},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::{
    answer::{PageQuery, next},
    error::Problem,
    extract::{Body, Parameters, stored_number},
};

/// How a check is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fsck)]
pub(super) struct FsckView {
    /// The host of the tracker that began the run; left out if none is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    host: Option<String>,
    /// All files up to this fid have been checked, or are being checked.
    #[schema(minimum = 0)]
    max_fid_checked: u64,
    /// The last fid of the run.
    #[schema(minimum = 0)]
    end_fid: u64,
    /// Whether no device is asked: the policy is checked alone.
    policy_only: bool,
    /// When the last run began, in Unix seconds; 0 if none did.
    #[schema(minimum = 0)]
    start_time: u64,
    /// When it ended, in Unix seconds; 0 if it did not.
    #[schema(minimum = 0)]
    stop_time: u64,
    /// This moment, in Unix seconds.
    current_time: i64,
    /// The number of the last line of the log.
    #[schema(minimum = 0)]
    max_logid: u64,
    /// How often each code was found since the last reset: `MISS`, `POVI`, `FOND` and so on.
    found: BTreeMap<String, u64>,
}

impl From<FsckStatus> for FsckView {
    fn from(status: FsckStatus) -> FsckView {
        FsckView {
            host: status.host,
            max_fid_checked: status.checked,
            end_fid: status.end,
            policy_only: status.scope == FsckScope::PolicyOnly,
            start_time: status.started,
            stop_time: status.stopped,
            current_time: status.now,
            max_logid: status.last_logged,
            found: status.counters.into_iter().collect(),
        }
    }
}

/// Where the next check begins, and what it looks at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FsckBeginning)]
pub(super) struct BeginningBody {
    /// Whether no device is asked; `false` if it is left out.
    policy_only: Option<bool>,
    /// The fid behind which it begins; 0 if it is left out.
    #[schema(minimum = 0)]
    #[serde(default, deserialize_with = "stored_number")]
    after: Option<u64>,
}

/// A line of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FsckLine)]
pub(super) struct LineView {
    /// Its number.
    #[schema(minimum = 0)]
    logid: u64,
    /// When it was written, in Unix seconds.
    utime: i64,
    /// The file it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    fid: Option<u64>,
    /// What was found: four letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    evcode: Option<String>,
    /// The device, where it is about one copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    devid: Option<u32>,
}

impl From<Logged> for LineView {
    fn from(line: Logged) -> LineView {
        LineView {
            logid: line.number,
            utime: line.at.secs(),
            fid: line.fid,
            evcode: line.code,
            devid: line.device,
        }
    }
}

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FsckLog)]
pub(super) struct LogPage {
    /// The lines.
    lines: Vec<LineView>,
    /// What to give as `after` for the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Tells how the check that runs, or ran last, is doing.
#[utoipa::path(get, path = "/admin/v1/fsck", operation_id = "find_fsck", tag = "fsck",
    responses((status = 200, description = "How it is doing.", body = FsckView)))]
pub(super) async fn find(State(tracker): State<Tracker>) -> Result<Json<FsckView>, Problem> {
    Ok(Json(tracker.fsck_status().await?.into()))
}

/// Begins a check where the last one was stopped; at the beginning if that one was complete, or there was none.
#[utoipa::path(put, path = "/admin/v1/fsck/run", operation_id = "start_fsck", tag = "fsck",
    responses((status = 204, description = "It runs.")))]
pub(super) async fn start(State(tracker): State<Tracker>) -> Result<StatusCode, Problem> {
    tracker.fsck_start().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the check that runs, if one does. Files that are queued are still checked.
#[utoipa::path(delete, path = "/admin/v1/fsck/run", operation_id = "stop_fsck", tag = "fsck",
    responses((status = 204, description = "None runs.")))]
pub(super) async fn stop(State(tracker): State<Tracker>) -> Result<StatusCode, Problem> {
    tracker.fsck_stop().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says where the next check begins, up to the last file of now, and forgets what the last one counted.
#[utoipa::path(put, path = "/admin/v1/fsck/beginning", operation_id = "reset_fsck", tag = "fsck", request_body = BeginningBody,
    responses((status = 204, description = "The next check begins there.")))]
pub(super) async fn reset(
    State(tracker): State<Tracker>,
    Body(body): Body<BeginningBody>,
) -> Result<StatusCode, Problem> {
    let scope = if body.policy_only.unwrap_or(false) {
        FsckScope::PolicyOnly
    } else {
        FsckScope::Files
    };
    let after = body.after.unwrap_or(0);
    tracker.fsck_reset(FsckReset { scope, after }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the log by number, at most 100 lines a page.
#[utoipa::path(get, path = "/admin/v1/fsck/log", operation_id = "list_fsck_log", tag = "fsck", params(PageQuery),
    responses((status = 200, description = "A page of the log.", body = LogPage)))]
pub(super) async fn log(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<LogPage>, Problem> {
    let limit = query.limit()?.min(LOG_PAGE);
    let mut entries = tracker.fsck_log(query.after_number()?.unwrap_or(0)).await?;
    // A full page may be the last: the one behind it is empty then.
    let more = entries.len() >= limit;
    entries.truncate(limit);
    let page = Page { entries, more };
    Ok(Json(LogPage {
        next: next(&page, |line| line.number),
        lines: page.entries.into_iter().map(LineView::from).collect(),
    }))
}

/// Empties the log. What was in it stays counted.
#[utoipa::path(delete, path = "/admin/v1/fsck/log", operation_id = "clear_fsck_log", tag = "fsck",
    responses((status = 204, description = "It is empty.")))]
pub(super) async fn clear_log(State(tracker): State<Tracker>) -> Result<StatusCode, Problem> {
    tracker.fsck_clear_log().await?;
    Ok(StatusCode::NO_CONTENT)
}
