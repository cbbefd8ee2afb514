//! `/admin/v1/rebalance`: moving copies from device to device by a policy.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_storage::DevId;
use mogul_tracker::{Tracker, balance, command::rebalance::RebalanceTest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{error::Problem, extract::Body};

/// How far a rebalance has come. Times are in Unix seconds, 0 for never.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RebalanceState)]
pub(super) struct StateView {
    /// Devices whose copies have been queued.
    completed: Vec<u32>,
    /// The device whose copies are being queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    current: Option<u32>,
    /// Devices that are still to come.
    sources: Vec<u32>,
    /// The last fid of the current device that was queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    last_fid: Option<u64>,
    /// Files that were queued to be moved.
    #[schema(minimum = 0)]
    fids_queued: u64,
    /// Their bytes.
    #[schema(minimum = 0)]
    bytes_queued: u64,
    /// When the run began.
    time_started: i64,
    /// When its last copy was queued.
    time_finished: i64,
    /// When it was stopped.
    time_stopped: i64,
    /// When copies were queued last.
    time_latest_run: i64,
}

impl From<balance::State> for StateView {
    fn from(state: balance::State) -> StateView {
        StateView {
            completed: numbers(state.completed),
            current: state.current.map(DevId::get),
            sources: numbers(state.sources),
            last_fid: state.last.map(mogul_storage::Fid::get),
            fids_queued: state.fids_queued,
            bytes_queued: state.bytes_queued,
            time_started: state.started,
            time_finished: state.finished,
            time_stopped: state.stopped,
            time_latest_run: state.latest_run,
        }
    }
}

fn numbers(devices: Vec<DevId>) -> Vec<u32> {
    devices.into_iter().map(DevId::get).collect()
}

/// What is moved, in `MogileFS`'s language.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RebalancePolicy)]
pub(super) struct PolicyBody {
    /// `key=value` separated by blanks, such as `from_hosts=3 to_hosts=4 fid_age=old`; or `auto`, with `within=5` or without: evens
    /// devices out until their percents used differ by no more than that. Empty removes the policy.
    policy: String,
}

/// Which devices the policy names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RebalanceDevices)]
pub(super) struct DevicesView {
    /// Devices that would give copies away.
    sources: Vec<u32>,
    /// Devices that would take them.
    targets: Vec<u32>,
}

impl From<RebalanceTest> for DevicesView {
    fn from(test: RebalanceTest) -> DevicesView {
        DevicesView {
            sources: numbers(test.sources),
            targets: numbers(test.targets),
        }
    }
}

/// Sets the policy of the next rebalance, and forgets the state of the last.
#[utoipa::path(put, path = "/admin/v1/rebalance/policy", operation_id = "set_rebalance_policy", tag = "rebalance",
    request_body = PolicyBody, responses((status = 204, description = "It is set.")))]
pub(super) async fn set_policy(
    State(tracker): State<Tracker>,
    Body(body): Body<PolicyBody>,
) -> Result<StatusCode, Problem> {
    tracker.rebalance_set_policy(&body.policy).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells which devices the policy names; nothing is moved.
#[utoipa::path(get, path = "/admin/v1/rebalance/devices", operation_id = "test_rebalance", tag = "rebalance",
    responses((status = 200, description = "The devices.", body = DevicesView),
        (status = 409, description = "There is no policy.", content_type = "application/problem+json", body = super::error::Document)))]
pub(super) async fn test(State(tracker): State<Tracker>) -> Result<Json<DevicesView>, Problem> {
    Ok(Json(tracker.rebalance_test().await?.into()))
}

/// Tells how far the rebalance that runs, or ran last, has come.
#[utoipa::path(get, path = "/admin/v1/rebalance/state", operation_id = "find_rebalance_state", tag = "rebalance",
    responses((status = 200, description = "How far it has come.", body = StateView),
        (status = 404, description = "None has been begun.", content_type = "application/problem+json", body = super::error::Document)))]
pub(super) async fn find(State(tracker): State<Tracker>) -> Result<Json<StateView>, Problem> {
    Ok(Json(tracker.rebalance_status().await?.into()))
}

/// Forgets the state of the last rebalance: the next one begins anew.
#[utoipa::path(delete, path = "/admin/v1/rebalance/state", operation_id = "reset_rebalance", tag = "rebalance",
    responses((status = 204, description = "It is forgotten.")))]
pub(super) async fn reset(State(tracker): State<Tracker>) -> Result<StatusCode, Problem> {
    tracker.rebalance_reset().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins a rebalance, or goes on with one that was stopped.
#[utoipa::path(put, path = "/admin/v1/rebalance/run", operation_id = "start_rebalance", tag = "rebalance",
    responses((status = 200, description = "How far it has come.", body = StateView)))]
pub(super) async fn start(State(tracker): State<Tracker>) -> Result<Json<StateView>, Problem> {
    Ok(Json(tracker.rebalance_start().await?.into()))
}

/// Asks the rebalance that runs to stop. What is queued is still moved.
#[utoipa::path(delete, path = "/admin/v1/rebalance/run", operation_id = "stop_rebalance", tag = "rebalance",
    responses((status = 204, description = "It stops.")))]
pub(super) async fn stop(State(tracker): State<Tracker>) -> Result<StatusCode, Problem> {
    tracker.rebalance_stop().await?;
    Ok(StatusCode::NO_CONTENT)
}
