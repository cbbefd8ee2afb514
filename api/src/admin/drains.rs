//! `/admin/v1/drains`: moving everything off a device or a host.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_storage::DevId;
use mogul_tracker::{
    Error, Tracker,
    command::{
        devices::DeviceRef,
        drain::{DrainReport, DrainTarget},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{error::Problem, extract::Named};

/// How the drain of a device is doing. Times are in Unix seconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Drain)]
pub(super) struct DrainView {
    /// The device's number.
    #[schema(minimum = 1)]
    devid: u32,
    /// The name of its host.
    host: String,
    /// When it was begun.
    time_started: i64,
    /// When nothing was left; left out before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    time_ended: Option<i64>,
    /// Copies that were moved.
    #[schema(minimum = 0)]
    files_moved: u64,
    /// Their bytes.
    #[schema(minimum = 0)]
    bytes_moved: u64,
    /// Copies that are left.
    #[schema(minimum = 0)]
    files_left: u64,
    /// Those of them whose move has failed; it is tried again.
    #[schema(minimum = 0)]
    files_stuck: u64,
    /// Why the last copy that could not be moved was not; left out if all could.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refusal: Option<String>,
    /// How many seconds the rest takes if it goes on as it did so far; left out as long as nothing was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    seconds_left: Option<u64>,
}

impl From<DrainReport> for DrainView {
    fn from(report: DrainReport) -> DrainView {
        let DrainReport {
            device,
            host,
            drain,
            stuck,
            left,
        } = report;
        DrainView {
            devid: device.get(),
            host,
            time_started: drain.started,
            time_ended: (drain.ended > 0).then_some(drain.ended),
            files_moved: drain.moved,
            bytes_moved: drain.bytes,
            files_left: drain.left(),
            files_stuck: stuck,
            refusal: drain.refusal,
            seconds_left: left.map(|left| left.as_secs()),
        }
    }
}

/// Drains by the number of their device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Drains)]
pub(super) struct DrainsView {
    /// The drains.
    drains: Vec<DrainView>,
}

/// Lists the devices that are being drained, or have been and are empty.
#[utoipa::path(get, path = "/admin/v1/drains", operation_id = "list_drains", tag = "drains",
    responses((status = 200, description = "The drains.", body = DrainsView)))]
pub(super) async fn list(State(tracker): State<Tracker>) -> Result<Json<DrainsView>, Problem> {
    let drains = tracker.drains().await?.into_iter().map(DrainView::from);
    Ok(Json(DrainsView {
        drains: drains.collect(),
    }))
}

/// Begins to move everything off a device; its state becomes `drain`.
#[utoipa::path(put, path = "/admin/v1/devices/{devid}/drain", operation_id = "drain_device", tag = "drains",
    params(("devid" = u32, Path, description = "The device's number.", minimum = 1)),
    responses((status = 204, description = "It has begun.")))]
pub(super) async fn begin_of_device(
    State(tracker): State<Tracker>,
    Named(number): Named<u32>,
) -> Result<StatusCode, Problem> {
    tracker.drain(device(number)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the drain of a device, which is alive again. What was moved stays where it is now.
#[utoipa::path(delete, path = "/admin/v1/devices/{devid}/drain", operation_id = "cancel_device_drain", tag = "drains",
    params(("devid" = u32, Path, description = "The device's number.", minimum = 1)),
    responses((status = 204, description = "It has ended.")))]
pub(super) async fn cancel_of_device(
    State(tracker): State<Tracker>,
    Named(number): Named<u32>,
) -> Result<StatusCode, Problem> {
    tracker.drain_cancel(device(number)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins to move everything off all devices of a host.
#[utoipa::path(put, path = "/admin/v1/hosts/{name}/drain", operation_id = "drain_host", tag = "drains",
    params(("name" = String, Path, description = "The host's name.")),
    responses((status = 204, description = "It has begun.")))]
pub(super) async fn begin_of_host(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    tracker.drain(DrainTarget::Host(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the drains of all devices of a host, which are alive again.
#[utoipa::path(delete, path = "/admin/v1/hosts/{name}/drain", operation_id = "cancel_host_drain", tag = "drains",
    params(("name" = String, Path, description = "The host's name.")),
    responses((status = 204, description = "They have ended.")))]
pub(super) async fn cancel_of_host(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    tracker.drain_cancel(DrainTarget::Host(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn device(number: u32) -> Result<DrainTarget, Error> {
    let device = DevId::new(number).ok_or(Error::UnknownDevice)?;
    Ok(DrainTarget::Device(DeviceRef { device, host: None }))
}
