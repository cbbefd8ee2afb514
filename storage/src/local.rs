//! A node in this process: the router itself.

use std::sync::Arc;

use crate::{device::Devices, node::Node};

/// The node of these devices, called without a socket.
#[must_use]
pub fn local(devices: Arc<Devices>) -> Node {
    Node::new(tower::util::MapErr::new(
        crate::server::router(devices),
        |never: std::convert::Infallible| match never {},
    ))
}
