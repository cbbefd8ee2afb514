//! From a device to the [`mogul_storage::Node`] that serves it.
//!
//! Devices of this process are fixed when it starts. All others are reached where the row of their host says, by nodes that the
//! assembly's [`Connector`] makes: this crate opens no sockets. [`Nodes::follow`] keeps them as the view has them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use mogul_storage::{DevId, Node, latency::Latencies};

use crate::{
    model::{Host, HostId},
    view::{ClusterView, ViewCell},
};

/// Where the storage node of a host listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// An IP address or a name (`host.hostip`).
    pub ip: String,
    /// The port for everything that is not a plain read (`host.http_port`).
    pub port: u16,
    /// The port for reads of files and usage (`host.http_get_port`, else `http_port`).
    pub get_port: u16,
}

impl NodeAddress {
    fn of(host: &Host) -> NodeAddress {
        NodeAddress {
            ip: host.ip.clone(),
            port: host.port,
            get_port: host.get_port.unwrap_or(host.port),
        }
    }
}

/// Makes the node of a host of another process. It connects when it is used, not before.
pub type Connector = Arc<dyn Fn(&NodeAddress) -> Node + Send + Sync>;

/// How the devices of this cluster are reached: cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Nodes {
    inner: Arc<Inner>,
    work: Work,
}

/// For whom nodes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Somebody waits.
    Clients,
    /// A background job.
    Jobs,
}

struct Inner {
    local: BTreeMap<DevId, Node>,
    connect: Option<Connector>,
    /// The nodes of other hosts with the address that each was made for. Held only while maps are compared.
    hosts: Mutex<BTreeMap<HostId, (NodeAddress, Node)>>,
    devices: ArcSwap<BTreeMap<DevId, Node>>,
    latencies: Option<Latencies>,
}

impl Nodes {
    /// These devices, by these nodes, and no others. How soon they answer is not looked at: it would be of no use to who gives
    /// the time himself.
    #[must_use]
    pub fn new(local: BTreeMap<DevId, Node>) -> Nodes {
        Nodes::build(local, None, None)
    }

    /// These devices by these nodes, and all others that the cluster has by what `connect` makes of their hosts. How soon they
    /// answer is measured, and readers do not wait for slow ones.
    #[must_use]
    pub fn connecting(local: BTreeMap<DevId, Node>, connect: Connector) -> Nodes {
        Nodes::build(local, Some(connect), Some(Latencies::default()))
    }

    fn build(
        local: BTreeMap<DevId, Node>,
        connect: Option<Connector>,
        latencies: Option<Latencies>,
    ) -> Nodes {
        let inner = Inner {
            devices: ArcSwap::from_pointee(local.clone()),
            local,
            connect,
            hosts: Mutex::default(),
            latencies,
        };
        Nodes {
            inner: Arc::new(inner),
            work: Work::Clients,
        }
    }

    /// The same, for a background job: its work is not taken for a client's, to which jobs yield.
    #[must_use]
    pub fn for_jobs(&self) -> Nodes {
        Nodes {
            inner: Arc::clone(&self.inner),
            work: Work::Jobs,
        }
    }

    /// How soon the devices answer of late, if that is measured. Jobs wait, and ask nobody twice.
    #[must_use]
    pub fn latencies(&self) -> Option<&Latencies> {
        match self.work {
            Work::Clients => self.inner.latencies.as_ref(),
            Work::Jobs => None,
        }
    }

    /// The node of a device.
    #[must_use]
    pub fn get(&self, device: DevId) -> Option<Node> {
        let node = self.inner.devices.load().get(&device).cloned()?;
        Some(match self.work {
            Work::Clients => node,
            Work::Jobs => node.for_jobs(),
        })
    }

    /// Whether a device can be reached at all.
    #[must_use]
    pub fn has(&self, device: DevId) -> bool {
        self.inner.devices.load().contains_key(&device)
    }

    /// Whether a device is served by this process.
    #[must_use]
    pub fn is_local(&self, device: DevId) -> bool {
        self.inner.local.contains_key(&device)
    }

    /// Follows the view as it is now: devices that are new get their node, hosts with another address another one, and the node
    /// of a device that has a mark is asked for that disk alone.
    pub(crate) fn follow(&self, view: &ViewCell) {
        let mut hosts = self.inner.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // Loaded under the lock: of two that follow, the later one sees the newer view.
        let view = view.load();
        if let Some(connect) = &self.inner.connect {
            let before = std::mem::take(&mut *hosts);
            *hosts = reached(&view, before, connect);
        }
        let mut devices = self.inner.local.clone();
        for device in view.devices().map(|device| &device.device) {
            let node = match hosts.get(&device.host) {
                _ if self.is_local(device.id) => devices.get(&device.id),
                found => found.map(|(_, node)| node),
            };
            if let Some(node) = node {
                let node = device
                    .mark
                    .as_ref()
                    .map_or_else(|| node.clone(), |mark| node.bearing(mark));
                devices.insert(device.id, node);
            }
        }
        self.inner.devices.store(Arc::new(devices));
    }
}

/// The nodes of all hosts: those that are where they were keep theirs, and its connections.
fn reached(
    view: &ClusterView,
    mut before: BTreeMap<HostId, (NodeAddress, Node)>,
    connect: &Connector,
) -> BTreeMap<HostId, (NodeAddress, Node)> {
    let reach = |host: &Host| {
        let address = NodeAddress::of(host);
        let node = match before.remove(&host.id) {
            Some((known, node)) if known == address => node,
            Some(_) | None => connect(&address),
        };
        (host.id, (address, node))
    };
    view.hosts().map(reach).collect()
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.inner.devices.load().iter()).finish()
    }
}

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes::new(BTreeMap::new())
    }
}
