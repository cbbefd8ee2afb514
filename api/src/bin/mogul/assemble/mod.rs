//! The assembly of each role that runs as a server: what it opens, in which order, and the way back.
//!
//! Everything that an operator can have asked wrongly is found before the first port is served: `start` fails, and nothing
//! that a client could have seen was there. [`server`] is all roles in one process, [`store`] a storage node, [`tracker`] all
//! that has the database but S3, which is [`gateway`].

mod faces;
pub(crate) mod gateway;
mod jobs;
mod node;
mod process;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod tracker;
mod utilization;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::Context;
use http::uri::Scheme;
use mogul_api::mogile::Watchers;
use mogul_storage::{
    DevId, Node,
    networks::Networks,
    remote::{RemoteOptions, remote_apart},
};
use mogul_tracker::{
    Parts, Settings, Tracker,
    clock::SystemClock,
    meta::Db,
    nodes::{NodeAddress, Nodes},
    rng::SystemEntropy,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    config::{Config, Flags},
    credentials,
    listen::{HeaderNames, Limits, Listener, Serving},
    logging,
    originals::{
        Given,
        dsn::{self, Login},
    },
    shutdown::{Finish, Signals},
    tls::Tls,
};

/// Threads that wait for disks. A durable write holds one while the device syncs, and the more of them wait together the
/// more the device's journal merges (reference/technology.md, "Durable small files").
pub(crate) const BLOCKING_THREADS_MAX: usize = 128;

/// Copies that the class `default` of a cluster keeps if nobody says otherwise, as in the original.
const COPIES: u8 = 2;

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
    /// How a port without TLS, open to all, is served.
    fn serving(&self, face: &'static str, config: &Config) -> Serving {
        Serving {
            face,
            tls: None,
            networks: Networks::default(),
            names: HeaderNames::Lower,
            limits: Limits::of(config),
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
        }
    }

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
fn begin(given: &Given, file: Option<&Path>, flags: &Flags) -> anyhow::Result<Begun> {
    let environment = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let config = Config::load(given, file, environment, flags)?;
    let watchers = Watchers::default();
    logging::start(&config.log, &watchers, given.syslog()).map_err(anyhow::Error::msg)?;
    raise_file_limit();
    let signals = Signals::catch().context("cannot catch signals")?;
    Ok(Begun {
        config,
        signals,
        watchers,
    })
}

/// Says that a port without authentication is open to all.
fn warn_if_open(port: &Listener, key: &'static str, config: &Config) {
    if config.trusted_networks.is_open() && !port.address().ip().is_loopback() {
        let address = port.address();
        warn!(%address, key, "whoever reaches this port may change and delete files; set trusted.networks");
    }
}

/// Opens the database that several processes share, and brings it up to date.
async fn open_database(config: &Config) -> anyhow::Result<Db> {
    let text = config.db_url.as_ref().map(|url| url.0.as_str());
    let text = text.context("no database is named: set db.url (--db), or name a configuration file (-c)")?;
    let password = credentials::one_of(
        "db.password",
        config.db_password.as_ref().map(|password| password.0.clone()),
        config.db_password_file.as_deref(),
    )?;
    let login = Login {
        user: config.db_user.as_deref(),
        password: password.as_deref(),
    };
    let opened = async {
        let named = dsn::database(text, login).map_err(anyhow::Error::msg)?;
        let db = Db::open(named).await?;
        db.migrate().await?;
        anyhow::Ok(db)
    };
    opened.await.context("db.url")
}

/// What the ports for S3 and administration speak.
fn scheme(tls: Option<&Tls>) -> Scheme {
    match tls {
        Some(_) => Scheme::HTTPS,
        None => Scheme::HTTP,
    }
}

/// Takes up the work on a migrated database. `nodes` are the devices of this process, `copies` what the class `default` keeps
/// if nobody says otherwise.
async fn open_tracker(
    db: Db,
    nodes: BTreeMap<DevId, Node>,
    config: &Config,
    copies: u8,
) -> anyhow::Result<Tracker> {
    let parts = Parts {
        db,
        nodes: Nodes::connecting(nodes, Arc::new(connect)),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        settings: Settings {
            default_mindevcount: config.copies.unwrap_or(copies),
            min_free_bytes: config.storage_min_free.0,
            join_bytes_max: config.join_max.0,
            replicate_at_once: config.replicate_at_once.max(1),
            hostname: hostname(),
        },
    };
    Tracker::open(parts)
        .await
        .context("cannot begin on this database")
}

/// The name of this machine, as fsck and rebalance have it on record.
fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
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
