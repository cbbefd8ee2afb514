//! The two ports of a storage node: HTTP and the side channel.

use std::{net::SocketAddr, sync::Arc};

use mogul_storage::{
    Devices,
    pull::Pulls,
    server,
    sidechannel::{self, SideChannel},
};

use super::Life;
use crate::{
    config::Config,
    listen::{HeaderNames, ListenError, Listener, Serving},
};

/// The open ports of a storage node.
pub(super) struct NodePorts {
    http: Listener,
    sidechannel: Listener,
}

/// What a storage node serves.
pub(super) struct StorageNode {
    /// Its devices.
    pub(super) devices: Arc<Devices>,
    /// The folder that they are in, or several with commas.
    pub(super) docroot: String,
}

impl StorageNode {
    /// A node of these devices.
    pub(super) fn new(devices: Devices, docroot: String) -> StorageNode {
        StorageNode {
            devices: Arc::new(devices),
            docroot,
        }
    }
}

impl NodePorts {
    /// Opens the ports that the configuration names.
    ///
    /// # Errors
    /// [`ListenError`].
    pub(super) async fn bind(config: &Config) -> Result<NodePorts, ListenError> {
        Ok(NodePorts {
            http: Listener::bind(config.storage_listen, "storage.listen", "storage").await?,
            sidechannel: Listener::bind(config.sidechannel_listen, "sidechannel.listen", "sidechannel")
                .await?,
        })
    }

    /// Where the node serves HTTP.
    pub(super) fn http(&self) -> SocketAddr {
        self.http.address()
    }

    /// Serves both ports and keeps the usage files fresh; returns at once. A client of the side channel that asks for the end
    /// of the process cancels `asked`.
    pub(super) fn serve(self, node: StorageNode, config: &Config, life: &Life) {
        let serving = |face| Serving {
            networks: config.trusted_networks.clone(),
            names: HeaderNames::Titled,
            ..life.serving(face, config)
        };
        super::warn_if_open(&self.http, "storage.listen", config);
        super::warn_if_open(&self.sidechannel, "sidechannel.listen", config);
        let sidechannel = SideChannel::new(sidechannel::Parts {
            devices: Arc::clone(&node.devices),
            http: self.http.address(),
            docroot: node.docroot,
            watching: config.sidechannel_watch.0,
            shutdown: life.asked.clone(),
        });
        let pulls = Pulls::from_networks(config.trusted_networks.clone());
        self.http.serve(
            serving("storage"),
            server::router_pulling(Arc::clone(&node.devices), pulls),
        );
        let end = life.stop.clone();
        self.sidechannel
            .serve_streams(serving("sidechannel"), "sidechannel", move |stream, _| {
                let (sidechannel, end) = (sidechannel.clone(), end.clone());
                async move { sidechannel.converse(stream, &end).await }
            });
        let end = life.stop.clone();
        life.tasks.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = node.devices.tend() => {}
            }
        });
    }
}
