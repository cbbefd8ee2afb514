//! The assembly of each role that runs as a server: what it opens, in which order, and the way back.
//!
//! Everything that an operator can have asked wrongly is found before the first port is served: `start` fails, and nothing
//! that a client could have seen was there. [`server`] is all roles in one process, [`store`] a storage node.

mod jobs;
mod node;
pub(crate) mod server;
pub(crate) mod store;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::Context;
use mogul_api::mogile::Watchers;
use mogul_storage::{
    Node,
    remote::{RemoteOptions, remote_apart},
};
use mogul_tracker::nodes::NodeAddress;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

use crate::{
    config::{Config, Flags},
    logging,
    shutdown::{Finish, Signals},
    tls::Tls,
};

/// Threads that wait for disks. A durable write holds one while the device syncs, and the more of them wait together the
/// more the device's journal merges (reference/technology.md, "Durable small files").
pub(crate) const BLOCKING_THREADS_MAX: usize = 128;

/// The life of a role that serves.
#[derive(Debug, Default)]
struct Life {
    /// Ends what is served; running requests finish.
    stop: CancellationToken,
    /// Cancelled by a face that is told to end the process.
    asked: CancellationToken,
    /// Owns all that is served.
    tasks: TaskTracker,
}

impl Life {
    /// Waits until the process shall stop, then until running requests have finished.
    async fn end(&self, signals: &mut Signals, config: &Config, tls: Option<&Tls>) -> Finish {
        signals.stop_requested(&self.asked, tls).await;
        info!(
            grace_s = config.shutdown_grace.as_secs(),
            "stopping: running requests finish"
        );
        self.stop.cancel();
        self.tasks.close();
        signals.finish(&self.tasks, config.shutdown_grace).await
    }
}

/// What every role begins with.
struct Begun {
    config: Config,
    signals: Signals,
    /// Those who watch the log.
    watchers: Watchers,
}

/// Reads the configuration, starts the log, catches the signals.
fn begin(file: Option<&Path>, flags: &Flags) -> anyhow::Result<Begun> {
    let environment = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let config = Config::load(file, environment, flags)?;
    let watchers = Watchers::default();
    logging::start(&config.log, &watchers).map_err(anyhow::Error::msg)?;
    raise_file_limit();
    let signals = Signals::catch().context("cannot catch signals")?;
    Ok(Begun {
        config,
        signals,
        watchers,
    })
}

/// Reaches the storage node of a host that another process serves.
fn connect(address: &NodeAddress) -> Node {
    remote_apart(
        &address.ip,
        address.port,
        address.get_port,
        &RemoteOptions::default(),
    )
}

/// An address that this machine can connect to: one that stands for all addresses is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
    } else {
        address
    }
}

/// Shells allow 1,024 open files; the hard limit is what the machine means.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}
