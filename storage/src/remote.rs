//! A node in another process, reached over HTTP.

use std::time::Duration;

use crate::node::Node;

/// Limits of the connections to one node.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a node may take until its answer begins, and between two pieces of a body.
    pub answer_timeout: Duration,
    /// Requests on their way to one node at a time; more wait.
    pub requests_max: usize,
}

/// The node at a host and port, over pooled connections.
#[must_use]
pub fn remote(host: &str, port: u16, options: &RemoteOptions) -> Node {
    let _ = (host, port, options);
    todo!()
}
