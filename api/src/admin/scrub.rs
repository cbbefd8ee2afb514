//! `/admin/v1/scrub`: how far the copies of each device have been read and compared with their digests.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_storage::DevId;
use mogul_tracker::{
    Tracker,
    command::scrub::ScrubStatus,
    model::{ScrubCounts, ScrubHaste, ScrubState, Timestamp},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{error::Problem, extract::Body};

/// What a pass over a device has come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScrubCounts)]
pub(super) struct CountsView {
    /// Files that were read and are what their digest says.
    #[schema(minimum = 0)]
    files: u64,
    /// Their bytes.
    #[schema(minimum = 0)]
    bytes: u64,
    /// Files that are not what their digest says, or could not be read.
    #[schema(minimum = 0)]
    rotten: u64,
    /// Files on record that were not there, or had another size.
    #[schema(minimum = 0)]
    missing: u64,
    /// Files that were there and not on record.
    #[schema(minimum = 0)]
    strays: u64,
}

impl From<ScrubCounts> for CountsView {
    fn from(counts: ScrubCounts) -> CountsView {
        CountsView {
            files: counts.files,
            bytes: counts.bytes,
            rotten: counts.rotten,
            missing: counts.missing,
            strays: counts.strays,
        }
    }
}

/// A whole pass over a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScrubPass)]
pub(super) struct PassView {
    /// When it ended, in Unix milliseconds.
    ended_ms: i64,
    #[serde(flatten)]
    counts: CountsView,
}

/// How the scrub of a device is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceScrub)]
pub(super) struct DeviceView {
    /// The device.
    devid: u32,
    /// When its next files are due, in Unix seconds; in the past if they are.
    due: i64,
    /// Whether the pass is to be done at once, not spread over the period.
    at_once: bool,
    /// When the pass that is under way began, in Unix milliseconds; left out if none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    begun_ms: Option<i64>,
    /// The last fid that it has read.
    #[schema(minimum = 0)]
    position: u64,
    #[serde(flatten)]
    counts: CountsView,
    /// The last whole pass; left out if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last: Option<PassView>,
}

impl From<ScrubState> for DeviceView {
    fn from(state: ScrubState) -> DeviceView {
        DeviceView {
            devid: state.device.get(),
            due: state.due.secs(),
            at_once: state.haste == ScrubHaste::AtOnce,
            begun_ms: state.begun.map(Timestamp::millis),
            position: state.position,
            counts: state.counts.into(),
            last: state.last.map(|(ended, counts)| PassView {
                ended_ms: ended.millis(),
                counts: counts.into(),
            }),
        }
    }
}

/// How the scrub of the cluster is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scrub)]
pub(super) struct ScrubView {
    /// In how many seconds every copy is read once; 0 if that is switched off.
    #[schema(minimum = 0)]
    period_s: u64,
    /// The devices that have been taken up.
    devices: Vec<DeviceView>,
}

impl From<ScrubStatus> for ScrubView {
    fn from(status: ScrubStatus) -> ScrubView {
        ScrubView {
            period_s: status.period.map_or(0, |period| period.as_secs()),
            devices: status.devices.into_iter().map(DeviceView::from).collect(),
        }
    }
}

/// Devices that are to be read now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScrubRun)]
pub(super) struct RunBody {
    /// Their numbers; all devices if there is none.
    #[serde(default)]
    devices: Vec<u32>,
}

/// Tells how far the copies of each device have been read and compared with their digests.
#[utoipa::path(get, path = "/admin/v1/scrub", operation_id = "find_scrub", tag = "scrub",
    responses((status = 200, description = "How it is doing.", body = ScrubView)))]
pub(super) async fn find(State(tracker): State<Tracker>) -> Result<Json<ScrubView>, Problem> {
    Ok(Json(tracker.scrub_status().await?.into()))
}

/// Begins a pass over devices anew and has it done at once, not spread over the period.
#[utoipa::path(put, path = "/admin/v1/scrub/run", operation_id = "run_scrub", tag = "scrub", request_body = RunBody,
    responses((status = 204, description = "They are read from now on.")))]
pub(super) async fn run(
    State(tracker): State<Tracker>,
    Body(body): Body<RunBody>,
) -> Result<StatusCode, Problem> {
    let devices: Option<Vec<DevId>> = body.devices.into_iter().map(DevId::new).collect();
    let devices = devices.ok_or(mogul_tracker::Error::UnknownDevice)?;
    tracker.scrub_now(&devices).await?;
    Ok(StatusCode::NO_CONTENT)
}
