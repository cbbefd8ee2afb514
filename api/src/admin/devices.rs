//! `/admin/v1/devices`: the disks, their states and their space.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_storage::DevId;
use mogul_tracker::{
    Error, Tracker,
    command::devices::{CreateDevice, DeviceChanges, DeviceRef, HostRef},
    model::{DeviceStatus, Timestamp},
    view::{ClusterView, DeviceView, Observed},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Created, PageQuery, next, place},
    error::Problem,
    extract::{Body, Named, Parameters},
};

/// Where the devices are.
const DEVICES: &str = "/admin/v1/devices";

/// The state of a device, as operators set it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DeviceState {
    /// In use.
    Alive,
    /// Away for now.
    Down,
    /// Gone for good: its copies are forgotten and made anew elsewhere.
    Dead,
    /// Read, not written.
    ReadOnly,
    /// Read, not written, and to be emptied.
    Drain,
}

impl From<DeviceState> for DeviceStatus {
    fn from(state: DeviceState) -> DeviceStatus {
        match state {
            DeviceState::Alive => DeviceStatus::Alive,
            DeviceState::Down => DeviceStatus::Down,
            DeviceState::Dead => DeviceStatus::Dead,
            DeviceState::ReadOnly => DeviceStatus::ReadOnly,
            DeviceState::Drain => DeviceStatus::Drain,
        }
    }
}

impl From<DeviceStatus> for DeviceState {
    fn from(status: DeviceStatus) -> DeviceState {
        match status {
            DeviceStatus::Alive => DeviceState::Alive,
            DeviceStatus::Down => DeviceState::Down,
            DeviceStatus::Dead => DeviceState::Dead,
            DeviceStatus::ReadOnly => DeviceState::ReadOnly,
            DeviceStatus::Drain => DeviceState::Drain,
        }
    }
}

/// What the monitor saw of a device last.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ObservedState {
    /// Nobody has looked yet, or nobody looks at a device in its state.
    Unknown,
    /// It does not answer, or not in time.
    Unreachable,
    /// It answers, and takes no files.
    Readable,
    /// It answers, and takes files.
    Writeable,
}

impl From<Observed> for ObservedState {
    fn from(observed: Observed) -> ObservedState {
        match observed {
            Observed::Unknown => ObservedState::Unknown,
            Observed::Unreachable => ObservedState::Unreachable,
            Observed::Readable => ObservedState::Readable,
            Observed::Writable => ObservedState::Writeable,
        }
    }
}

impl ObservedState {
    /// The word of MogileFS for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            ObservedState::Unknown => "unknown",
            ObservedState::Unreachable => "unreachable",
            ObservedState::Readable => "readable",
            ObservedState::Writeable => "writeable",
        }
    }
}

/// A device: a disk of a host.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(super) struct DeviceDocument {
    /// Its number, for life.
    #[schema(minimum = 1)]
    devid: u32,
    /// The name of its host; empty if the host's row is missing.
    host: String,
    /// The state it was set to.
    status: DeviceState,
    /// What the monitor saw of it last.
    observed: ObservedState,
    /// Why the disk that lies in its place is not used; it is unreachable then (docs/cluster.md).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refused: Option<String>,
    /// Its weight for reads; 0 counts as 100.
    weight: i32,
    /// Its size in MiB, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    mb_total: Option<u64>,
    /// Its used space in MiB, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    mb_used: Option<u64>,
    /// When size and used space were read, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mb_asof: Option<i64>,
    /// Bytes that can still be written, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    free_bytes: Option<u64>,
    /// When it was last seen, in Unix seconds, if it has stayed away for so long that its files are copied elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    absent_since: Option<i64>,
    /// The share of the last second in which its disk was busy, in percent, when its node tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 100)]
    utilization: Option<f64>,
}

impl DeviceDocument {
    fn of(tracker: &Tracker, view: &ClusterView, device: &DeviceView) -> DeviceDocument {
        let row = &device.device;
        DeviceDocument {
            devid: row.id.get(),
            host: view
                .host(row.host)
                .map_or_else(String::new, |host| host.name.clone()),
            status: row.status.into(),
            observed: device.observed.into(),
            refused: device.refused.map(|refusal| refusal.to_string()),
            weight: row.weight,
            mb_total: row.mb_total,
            mb_used: row.mb_used,
            mb_asof: row.mb_asof,
            free_bytes: device.free_bytes,
            absent_since: device.absent.map(Timestamp::secs),
            utilization: tracker
                .utilization(row.id)
                .map(|utilization| f64::from(utilization.hundredths()) / 100.0),
        }
    }
}

/// A device to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeviceToAdd)]
pub(super) struct AddBody {
    /// Its number, which no device ever had.
    #[schema(minimum = 1, maximum = 16_777_215)]
    devid: u32,
    /// The name of its host.
    #[schema(min_length = 1)]
    host: String,
    /// Its state; `alive` if it is left out.
    status: Option<DeviceState>,
}

/// Changes of a device. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeviceChanges)]
pub(super) struct ChangeBody {
    /// Its state. A dead device cannot become alive at once, but down.
    status: Option<DeviceState>,
    /// Its weight for reads; 0 counts as 100.
    #[schema(minimum = 0, maximum = 8_388_607)]
    weight: Option<u32>,
}

/// A page of devices by number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Devices)]
pub(super) struct DevicesPage {
    /// The devices.
    devices: Vec<DeviceDocument>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Lists the devices by number.
#[utoipa::path(get, path = "/admin/v1/devices", operation_id = "list_devices", tag = "devices", params(PageQuery),
    responses((status = 200, description = "A page of devices.", body = DevicesPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<DevicesPage>, Problem> {
    let after = query.after_number::<u32>()?;
    let page = query.cut(tracker.devices().await, after.as_ref(), |device| {
        device.device.id.get()
    })?;
    let view = tracker.view();
    let document = |device: &DeviceView| DeviceDocument::of(&tracker, &view, device);
    Ok(Json(DevicesPage {
        next: next(&page, |device| device.device.id),
        devices: page.entries.iter().map(document).collect(),
    }))
}

/// Makes a device, and looks at it.
#[utoipa::path(post, path = "/admin/v1/devices", operation_id = "add_device", tag = "devices", request_body = AddBody,
    responses((status = 201, description = "The device.", body = DeviceDocument,
        headers(("location" = String, description = "Where the device is.")))))]
pub(super) async fn add(
    State(tracker): State<Tracker>,
    Body(body): Body<AddBody>,
) -> Result<Created<DeviceDocument>, Problem> {
    let device =
        DevId::new(body.devid).ok_or_else(|| Problem::invalid("devid", "it must be 1 to 16777215"))?;
    let request = CreateDevice {
        device,
        host: HostRef::Name(body.host),
        status: body.status.map_or(DeviceStatus::Alive, DeviceStatus::from),
    };
    tracker.create_device(request).await?;
    let made = found(&tracker, device).await?;
    Ok(Created(place(DEVICES, &device.to_string()), made))
}

/// Finds a device by number.
#[utoipa::path(get, path = "/admin/v1/devices/{devid}", operation_id = "find_device", tag = "devices",
    params(("devid" = u32, Path, description = "The device's number.", minimum = 1)),
    responses((status = 200, description = "The device.", body = DeviceDocument)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named(number): Named<u32>,
) -> Result<Json<DeviceDocument>, Problem> {
    let device = DevId::new(number).ok_or(Error::UnknownDevice)?;
    Ok(Json(found(&tracker, device).await?))
}

/// Gives a device another state, another weight, or both.
#[utoipa::path(patch, path = "/admin/v1/devices/{devid}", operation_id = "change_device", tag = "devices",
    params(("devid" = u32, Path, description = "The device's number.", minimum = 1)), request_body = ChangeBody,
    responses((status = 200, description = "The device as it is now.", body = DeviceDocument)))]
pub(super) async fn modify(
    State(tracker): State<Tracker>,
    Named(number): Named<u32>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<DeviceDocument>, Problem> {
    let device = DevId::new(number).ok_or(Error::UnknownDevice)?;
    let at = DeviceRef { device, host: None };
    let changes = DeviceChanges {
        status: body.status.map(DeviceStatus::from),
        weight: body.weight,
    };
    tracker.change_device(at, changes).await?;
    Ok(Json(found(&tracker, device).await?))
}

/// Forgets which disk a device is: the one that lies in its place now is taken for it. One that is marked as another device is
/// not, nor an empty one while the device has files on record.
#[utoipa::path(delete, path = "/admin/v1/devices/{devid}/mark", operation_id = "forget_mark", tag = "devices",
    params(("devid" = u32, Path, description = "The device's number.", minimum = 1)),
    responses((status = 204, description = "It is forgotten.")))]
pub(super) async fn forget_mark(
    State(tracker): State<Tracker>,
    Named(number): Named<u32>,
) -> Result<StatusCode, Problem> {
    let device = DevId::new(number).ok_or(Error::UnknownDevice)?;
    tracker.forget_mark(device).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn found(tracker: &Tracker, device: DevId) -> Result<DeviceDocument, Error> {
    let all = tracker.devices().await;
    let found = all.iter().find(|found| found.device.id == device);
    let found = found.ok_or(Error::UnknownDevice)?;
    Ok(DeviceDocument::of(tracker, &tracker.view(), found))
}
