//! The assembly of a server, from top to bottom: configuration, ports, data directories, database, devices, tracker, jobs,
//! faces, and the way back.
//!
//! Everything that an operator can have asked wrongly is found before the first port is served: [`start`] fails, and nothing
//! that a client could have seen was there.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use http::uri::Scheme;
use mogul_api::{
    admin,
    metrics::Metrics,
    s3::{Parts as S3Parts, Regions, S3, S3Config},
};
use mogul_storage::{
    DevId, Device, Devices, Node, local,
    remote::{RemoteOptions, remote_apart},
    server,
};
use mogul_tracker::{
    Parts, Settings, Tracker,
    clock::SystemClock,
    command::devices::{LocalHost, devices_on_record},
    jobs::{
        Driver,
        delete::{self, Delete},
        expire::{self, Expire},
        join::Join,
        monitor::{self, Monitor},
        replicate::{self, Replicate},
        sweep::{self, Sweep},
    },
    meta::{Db, DbConfig},
    model::{Credential, Timestamp, User},
    nodes::{NodeAddress, Nodes},
    rng::SystemEntropy,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

use crate::{
    config::{Config, Flags},
    credentials::{Origin, RootKey},
    datadir::DataDirs,
    listen::{Limits, Listener, Serving},
    logging,
    shutdown::{Finish, Signals},
    tls::Tls,
};

/// Runs everything in one process: S3, admin, storage node, jobs, on `SQLite` and local directories.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Data directories, each of them one device; the database is in the first.
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The configuration file, TOML; see docs/configuration.md.
    #[arg(long, value_name = "FILE", env = "MOGUL_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Threads that wait for disks. A durable write holds one while the device syncs, and the more of them wait together the
/// more the device's journal merges (reference/technology.md, "Durable small files").
pub(crate) const BLOCKING_THREADS_MAX: usize = 128;

/// The name of this machine's row in `host`.
const HOST_NAME: &str = "localhost";

/// Files that are copied at a time: past this, the copies compete with clients for the same disks.
const REPLICATE_WORKERS: usize = 4;

/// Batches of fids that are deleted at a time.
const DELETE_WORKERS: usize = 2;

/// How often the join job looks for work that no wake told of.
const JOIN_PERIOD: Duration = Duration::from_secs(5);

/// How long background work may take to finish its step when the process stops.
const JOBS_PATIENCE: Duration = Duration::from_secs(5);

/// A server of which everything is there but nothing is served yet.
pub(crate) struct Server {
    config: Config,
    ports: Ports,
    tls: Option<Tls>,
    /// Held for its locks.
    dirs: DataDirs,
    devices: Arc<Devices>,
    tracker: Tracker,
    root: RootKey,
    origin: Origin,
    signals: Signals,
}

/// The open ports.
struct Ports {
    s3: Listener,
    admin: Listener,
    storage: Listener,
}

/// Puts a server together.
///
/// # Errors
/// Each is one line that says what to do; nothing is served then.
pub(crate) async fn start(args: ServerArgs) -> anyhow::Result<Server> {
    let environment = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let config = Config::load(args.config.as_deref(), environment, &args.flags)?;
    logging::start(&config.log).map_err(anyhow::Error::msg)?;
    raise_file_limit();
    let signals = Signals::catch().context("cannot catch signals")?;
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(Tls::load(cert, key)?),
        (None, _) | (_, None) => None,
    };
    let ports = Ports {
        s3: Listener::bind(config.s3_listen, "s3.listen", "s3").await?,
        admin: Listener::bind(config.admin_listen, "admin.listen", "admin").await?,
        storage: Listener::bind(config.storage_listen, "storage.listen", "storage").await?,
    };
    let dirs = DataDirs::open(&args.dirs)?;
    let (root, origin) = RootKey::obtain(&config, dirs.first(), &SystemEntropy)?;
    let db = open_database(&dirs).await?;
    let places = dirs.devices(devices_on_record(&db).await?.into_iter().map(|device| device.id));
    let devices = Arc::new(open_devices(&places, &config)?);
    let tracker = open_tracker(db, &devices, &places, &config).await?;
    let numbers: Vec<DevId> = places.iter().map(|(_, device)| *device).collect();
    tracker
        .register_local(local_host(ports.storage.address()), &numbers)
        .await
        .context("cannot register the devices")?;
    Ok(Server {
        config,
        ports,
        tls,
        dirs,
        devices,
        tracker,
        root,
        origin,
        signals,
    })
}

impl Server {
    /// Serves until a signal, then lets running requests finish.
    ///
    /// # Errors
    /// If what the tracker keeps could not be laid down; the next start collects it.
    pub(crate) async fn serve(mut self) -> anyhow::Result<()> {
        let (stop, requests) = (CancellationToken::new(), TaskTracker::new());
        let driver = self.start_jobs();
        let s3 = self.s3(&requests);
        self.greet();
        let serving = |face, tls: Option<&Tls>| Serving {
            face,
            tls: tls.cloned(),
            limits: Limits::of(&self.config),
            stop: stop.clone(),
            tasks: requests.clone(),
        };
        let tls = self.tls.as_ref();
        let Ports {
            s3: s3_port,
            admin: admin_port,
            storage: storage_port,
        } = self.ports;
        storage_port.serve(
            serving("storage", None),
            server::router(Arc::clone(&self.devices)),
        );
        admin_port.serve(
            serving("admin", tls),
            admin::router(s3.clone(), self.config.admin_metrics.0),
        );
        s3_port.serve(serving("s3", tls), s3);
        info!(
            version = env!("CARGO_PKG_VERSION"),
            devices = self.tracker.view().devices().count(),
            "ready"
        );

        self.signals.stop_requested(tls).await;
        info!(
            grace_s = self.config.shutdown_grace.as_secs(),
            "stopping: running requests finish"
        );
        stop.cancel();
        requests.close();
        let finish = self.signals.finish(&requests, self.config.shutdown_grace).await;
        driver.stop(JOBS_PATIENCE).await;
        let closed = self
            .tracker
            .close()
            .await
            .context("cannot lay down the tracker's work");
        drop(self.dirs);
        info!(complete = finish == Finish::Complete, "stopped");
        closed
    }

    fn s3(&self, tasks: &TaskTracker) -> S3 {
        let root = Credential {
            access_key: self.root.access_key.clone(),
            secret_key: self.root.secret_key.clone(),
            user: User::root(),
            created: Timestamp::default(),
        };
        S3::new(S3Parts {
            config: S3Config {
                region: self.config.s3_region.clone(),
                regions: Regions::default(),
                domains: self
                    .config
                    .s3_domains
                    .iter()
                    .map(|domain| domain.to_lowercase())
                    .collect(),
                root,
                scheme: self.scheme(),
                put_bytes_max: S3Config::PUT_BYTES_MAX_DEFAULT,
            },
            tracker: self.tracker.clone(),
            clock: Arc::new(SystemClock),
            metrics: Metrics::default(),
            entropy: Arc::new(SystemEntropy),
            tasks: tasks.clone(),
        })
    }

    fn scheme(&self) -> Scheme {
        match self.tls {
            Some(_) => Scheme::HTTPS,
            None => Scheme::HTTP,
        }
    }

    fn start_jobs(&self) -> Driver {
        let tracker = &self.tracker;
        let driver = Driver::new(
            Arc::new(SystemClock),
            tracker.wakes().clone(),
            tracker.jobs().clone(),
        );
        driver.spawn(&Monitor::new(tracker), 1, monitor::PERIOD);
        driver.spawn(&Replicate::new(tracker), REPLICATE_WORKERS, replicate::PERIOD);
        driver.spawn(&Delete::new(tracker), DELETE_WORKERS, delete::PERIOD);
        driver.spawn(&Join::new(tracker), 1, JOIN_PERIOD);
        driver.spawn(&Sweep::new(tracker), 1, sweep::PERIOD);
        driver.spawn(&Expire::new(tracker), 1, expire::PERIOD);
        driver
    }

    /// What the operator does next, at the first start only: it has the secret.
    fn greet(&self) {
        let endpoint = format!("{}://{}", self.scheme(), reachable(self.ports.s3.address()));
        match self.origin {
            Origin::Made => println!(
                "{}",
                self.root
                    .welcome(&endpoint, &self.config.s3_region, self.dirs.first())
            ),
            Origin::Given | Origin::Kept => {}
        }
    }
}

async fn open_database(dirs: &DataDirs) -> anyhow::Result<Db> {
    let path = dirs.database();
    let opened = async {
        let db = Db::open(DbConfig::Sqlite { path: path.clone() }).await?;
        db.migrate().await?;
        anyhow::Ok(db)
    };
    opened.await.with_context(|| path.display().to_string())
}

fn open_devices(places: &[(PathBuf, DevId)], config: &Config) -> anyhow::Result<Devices> {
    let open = |(root, id): &(PathBuf, DevId)| {
        Device::open(root, *id, config.storage_durability.0).with_context(|| {
            format!(
                "cannot use device {}/dev{id}; give a DIR that this user may write",
                root.display()
            )
        })
    };
    Ok(Devices::new(
        places.iter().map(open).collect::<anyhow::Result<_>>()?,
    ))
}

async fn open_tracker(
    db: Db,
    devices: &Arc<Devices>,
    places: &[(PathBuf, DevId)],
    config: &Config,
) -> anyhow::Result<Tracker> {
    let node = local::local(Arc::clone(devices));
    let nodes: BTreeMap<DevId, _> = places.iter().map(|(_, device)| (*device, node.clone())).collect();
    let copies = if places.len() > 1 { 2 } else { 1 };
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
        },
    };
    Tracker::open(parts)
        .await
        .context("cannot begin on this database")
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

/// This machine, as other processes on the same database would reach its storage node.
fn local_host(address: SocketAddr) -> LocalHost {
    let address = reachable(address);
    LocalHost {
        name: HOST_NAME.to_owned(),
        ip: address.ip().to_string(),
        port: address.port(),
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
