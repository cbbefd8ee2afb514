//! The storage node's HTTP, as mogstored speaks it, and our extensions.

use std::sync::Arc;

use axum::Router;

use crate::device::Devices;

/// The node's router over these devices.
pub fn router(devices: Arc<Devices>) -> Router {
    let _ = devices;
    todo!()
}
