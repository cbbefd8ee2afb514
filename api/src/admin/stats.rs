//! `/admin/v1/stats`: the cluster in a few numbers, as this process sees it.

use axum::{Json, extract::State};
use mogul_tracker::{Tracker, view::DeviceView};
use serde::Serialize;
use utoipa::ToSchema;

use super::{error::Problem, queues::QueuesView};

/// How busy the connections to the database are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DatabaseLoad)]
pub(super) struct DatabaseView {
    /// Open connections, without the one that writes on SQLite.
    #[schema(minimum = 0)]
    connections: u64,
    /// Those of them that nobody uses.
    #[schema(minimum = 0)]
    idle: u64,
    /// Commands that wait for SQLite's writing connection; 0 on the other engines.
    #[schema(minimum = 0)]
    waiting: u64,
}

/// The cluster in a few numbers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
pub(super) struct StatsView {
    /// The version of this program.
    version: &'static str,
    /// Domains.
    #[schema(minimum = 0)]
    domains: usize,
    /// Hosts.
    #[schema(minimum = 0)]
    hosts: usize,
    /// Devices.
    #[schema(minimum = 0)]
    devices: usize,
    /// Devices that take new files now.
    #[schema(minimum = 0)]
    writable_devices: usize,
    /// Bytes that can still be written on those, as far as they are known.
    #[schema(minimum = 0)]
    free_bytes: u64,
    /// What waits for the jobs.
    queues: QueuesView,
    /// The connections of this process to the database.
    database: DatabaseView,
}

/// Tells the cluster in a few numbers.
#[utoipa::path(get, path = "/admin/v1/stats", operation_id = "find_stats", tag = "stats",
    responses((status = 200, description = "The numbers.", body = StatsView)))]
pub(super) async fn find(State(tracker): State<Tracker>) -> Result<Json<StatsView>, Problem> {
    let (backlog, load, view) = (tracker.backlog().await?, tracker.database_load(), tracker.view());
    let writable: Vec<&DeviceView> = view.devices().filter(|device| device.takes_files()).collect();
    let free_bytes = writable.iter().filter_map(|device| device.free_bytes);
    Ok(Json(StatsView {
        version: env!("CARGO_PKG_VERSION"),
        domains: view.domains().count(),
        hosts: view.hosts().count(),
        devices: view.devices().count(),
        writable_devices: writable.len(),
        free_bytes: free_bytes.fold(0, u64::saturating_add),
        queues: backlog.into(),
        database: DatabaseView {
            connections: load.connections,
            idle: load.idle,
            waiting: load.waiting,
        },
    }))
}
