//! From a device to the [`mogul_storage::Node`] that serves it.

use std::collections::BTreeMap;

use mogul_storage::{DevId, Node};

/// How the devices of this cluster are reached.
#[derive(Debug, Clone, Default)]
pub struct Nodes(BTreeMap<DevId, Node>);

impl Nodes {
    /// These devices, by these nodes.
    #[must_use]
    pub fn new(nodes: BTreeMap<DevId, Node>) -> Nodes {
        Nodes(nodes)
    }

    /// The node of a device.
    #[must_use]
    pub fn get(&self, device: DevId) -> Option<&Node> {
        self.0.get(&device)
    }
}
