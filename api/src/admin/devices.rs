//! `/admin/v1/devices`: the disks, their states and their space.

use axum::{Json, extract::State};
use mogul_storage::DevId;
use mogul_tracker::{
    Tracker,
    model::DeviceStatus,
    view::{ClusterView, DeviceView, Observed},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::{PageQuery, next},
    error::Problem,
    extract::{Named, Parameters},
};

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
    #[schema(pattern = "^(alive|down|dead|readonly|drain)$")]
    status: &'static str,
    /// What the monitor saw of it last: `writeable`, `readable`, `unreachable`, or `unknown` before it looked.
    #[schema(pattern = "^(writeable|readable|unreachable|unknown)$")]
    observed: &'static str,
    /// Its weight for reads and new files.
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
}

impl DeviceDocument {
    fn of(view: &ClusterView, device: &DeviceView) -> DeviceDocument {
        let row = &device.device;
        DeviceDocument {
            devid: row.id.get(),
            host: view
                .host(row.host)
                .map_or_else(String::new, |host| host.name.clone()),
            status: status(row.status),
            observed: observed(device),
            weight: row.weight,
            mb_total: row.mb_total,
            mb_used: row.mb_used,
            mb_asof: row.mb_asof,
            free_bytes: device.free_bytes,
        }
    }
}

/// A device's state as operators write it.
pub(super) fn status(status: DeviceStatus) -> &'static str {
    match status {
        DeviceStatus::Alive => "alive",
        DeviceStatus::Down => "down",
        DeviceStatus::Dead => "dead",
        DeviceStatus::ReadOnly => "readonly",
        DeviceStatus::Drain => "drain",
    }
}

/// What the monitor saw of a device, in MogileFS's words.
pub(super) fn observed(device: &DeviceView) -> &'static str {
    match device.observed {
        Observed::Unknown => "unknown",
        Observed::Unreachable => "unreachable",
        Observed::Readable => "readable",
        Observed::Writable => "writeable",
    }
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
    let (view, after) = (tracker.view(), query.after_number::<u32>()?);
    let page = query.cut(view.devices(), after.as_ref(), |device| device.device.id.get())?;
    Ok(Json(DevicesPage {
        next: next(&page, |device| device.device.id.get()),
        devices: page
            .entries
            .into_iter()
            .map(|device| DeviceDocument::of(&view, device))
            .collect(),
    }))
}

/// Finds a device by number.
#[utoipa::path(get, path = "/admin/v1/devices/{devid}", operation_id = "find_device", tag = "devices",
    params(("devid" = u32, Path, description = "The device's number.", minimum = 1)),
    responses((status = 200, description = "The device.", body = DeviceDocument)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named(number): Named<u32>,
) -> Result<Json<DeviceDocument>, Problem> {
    let view = tracker.view();
    let device = DevId::new(number).and_then(|id| view.device(id));
    let device = device.ok_or_else(Problem::not_found)?;
    Ok(Json(DeviceDocument::of(&view, device)))
}
