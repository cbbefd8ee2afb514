//! `mogul server`: everything in one process, from top to bottom: configuration, ports, data directories, database, devices,
//! tracker, jobs, faces, and the way back.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use mogul_api::{admin, mogile::Watchers};
use mogul_storage::{DevId, Device, Devices, local};
use mogul_tracker::{
    Tracker,
    command::devices::{LocalDevice, LocalHost, on_record},
    jobs::Driver,
    meta::{Db, DbConfig},
    rng::SystemEntropy,
};
use tracing::{error, info, warn};

use super::{
    Begun, Life, begin,
    faces::{Faces, TrackerPorts},
    jobs,
    node::{NodePorts, StorageNode},
    utilization,
};
use crate::{
    config::{Config, Flags},
    credentials::{Origin, RootKey},
    datadir::{DataDirs, Place, Presence},
    listen::{Listener, Serving},
    originals::Given,
    shutdown::{Finish, Signals},
    tls::Tls,
};

/// Runs everything in one process: S3, admin, tracker port, storage node, jobs, on `SQLite` and local directories.
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

/// The name of this machine's row in `host`.
const HOST_NAME: &str = "localhost";

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
    watchers: Watchers,
}

/// The open ports.
struct Ports {
    s3: Listener,
    admin: Listener,
    node: NodePorts,
    tracker: TrackerPorts,
}

/// Puts a server together.
///
/// # Errors
/// Each is one line that says what to do; nothing is served then.
pub(crate) async fn start(args: ServerArgs) -> anyhow::Result<Server> {
    let Begun {
        config,
        signals,
        watchers,
    } = begin(&Given::default(), args.config.as_deref(), &args.flags)?;
    if config.db_url.is_some() {
        bail!(
            "mogul server keeps its database in the first DIR: leave db.url out, or run mogul tracker, mogul s3 and mogul store"
        );
    }

    let tls = Tls::of(&config)?;
    let ports = Ports {
        s3: Listener::bind(config.s3_listen, "s3.listen", "s3").await?,
        admin: Listener::bind(config.admin_listen, "admin.listen", "admin").await?,
        node: NodePorts::bind(&config).await?,
        tracker: TrackerPorts::bind(&config).await?,
    };
    let dirs = DataDirs::open(&args.dirs)?;
    let (root, origin) = RootKey::obtain(&config, dirs.first(), &SystemEntropy)?;
    let db = open_database(&dirs).await?;
    let known = on_record(&db).await?;
    let places = dirs.devices(known.devices.iter().map(|device| device.id), &known.places);
    let devices = Arc::new(open_devices(&places, known.cluster.as_deref(), &config)?);
    let tracker = open_tracker(db, &devices, &places, &config).await?;
    let local: Vec<LocalDevice> = places.iter().map(local_device).collect();
    tracker
        .register_local(local_host(ports.node.http()), &local)
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
        watchers,
    })
}

impl Server {
    /// Serves until a signal, then lets running requests finish.
    ///
    /// # Errors
    /// If what the tracker keeps could not be laid down; the next start collects it.
    pub(crate) async fn serve(mut self) -> anyhow::Result<()> {
        let life = Life::default();
        let driver = Arc::new(jobs::start(&self.tracker));
        let faces = self.faces(&driver, &life);
        let (s3, mogile) = (faces.s3(), faces.mogile());
        self.greet();
        self.warn_of_few_devices();
        self.watch_disks(&life);
        let serving = |face, tls: Option<&Tls>| Serving {
            tls: tls.cloned(),
            ..life.serving(face, &self.config)
        };
        let tls = self.tls.as_ref();
        let Ports {
            s3: s3_port,
            admin: admin_port,
            node,
            tracker: tracker_ports,
        } = self.ports;
        tracker_ports.serve(&mogile, &self.config, &life);
        let docroot = self.dirs.paths().join(",");
        node.serve(
            StorageNode {
                devices: Arc::clone(&self.devices),
                docroot,
            },
            &self.config,
            &life,
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

        let finish = life.end(&mut self.signals, &self.config, tls).await;
        driver.stop(jobs::PATIENCE).await;
        let closed = self
            .tracker
            .close()
            .await
            .context("cannot lay down the tracker's work");
        drop(self.dirs);
        info!(complete = finish == Finish::Complete, "stopped");
        closed
    }

    /// Learns how busy the disks are, here and on other hosts that the database may name.
    fn watch_disks(&self, life: &Life) {
        let own = self.devices.numbers().into_iter().collect();
        utilization::look(&self.tracker, &self.devices, life);
        utilization::listen(&self.tracker, own, self.config.tracker_sidechannel_port, life);
    }

    fn faces(&self, driver: &Arc<Driver>, life: &Life) -> Faces {
        Faces {
            config: self.config.clone(),
            tracker: self.tracker.clone(),
            root: Some(self.root.clone()),
            metrics: mogul_api::metrics::Metrics::default(),
            watchers: self.watchers.clone(),
            driver: Arc::clone(driver),
            scheme: super::scheme(self.tls.as_ref()),
            asked: life.asked.clone(),
            tasks: life.tasks.clone(),
        }
    }

    /// More copies than devices is a plan for tomorrow or a mistake: objects are taken with fewer either way.
    fn warn_of_few_devices(&self) {
        let devices = self.tracker.view().devices().count();
        if let Some(copies) = self.config.copies
            && usize::from(copies) > devices
        {
            warn!(
                copies,
                devices,
                "more copies are wanted than there are devices: objects are kept with fewer until there are"
            );
        }
    }

    /// What the operator does next, at the first start only: it has the secret.
    fn greet(&self) {
        let endpoint = format!(
            "{}://{}",
            super::scheme(self.tls.as_ref()),
            super::reachable(self.ports.s3.address())
        );
        match self.origin {
            Origin::Made => println!(
                "{}",
                self.root.welcome(
                    &RootKey::file(self.dirs.first()),
                    &endpoint,
                    &self.config.s3_region
                )
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

/// Opens the devices that are there; the directories of the others are watched.
fn open_devices(places: &[Place], cluster: Option<&str>, config: &Config) -> anyhow::Result<Devices> {
    let (mut devices, mut away) = (Vec::new(), Vec::new());
    for Place {
        dir,
        device,
        presence,
    } in places
    {
        if *presence == Presence::Away {
            error!(devid = device.get(), dir = %dir.display(),
                "the directory held this device and is empty: mount its disk; it is taken into use when it is there");
            away.push(dir.clone());
            continue;
        }
        let opened = Device::open(dir, *device, config.storage_durability.0).with_context(|| {
            format!(
                "cannot use device {}/dev{device}; give a DIR that this user may write",
                dir.display()
            )
        })?;
        if let Some(mark) = opened.mark()
            && cluster != Some(mark.cluster())
        {
            let folder = dir.join(format!("dev{device}"));
            bail!(
                "{0} belongs to another cluster: leave it out, or if its files are not needed, empty it and remove {0}/mogul-device",
                folder.display()
            );
        }
        devices.push(opened);
    }
    Ok(Devices::new(devices).watching(away))
}

async fn open_tracker(
    db: Db,
    devices: &Arc<Devices>,
    places: &[Place],
    config: &Config,
) -> anyhow::Result<Tracker> {
    let node = local::local(Arc::clone(devices));
    let nodes: BTreeMap<DevId, _> = places.iter().map(|place| (place.device, node.clone())).collect();
    let copies = if places.len() > 1 { 2 } else { 1 };
    super::open_tracker(db, nodes, config, copies).await
}

/// A device as it goes on record: where it is now, or was last.
fn local_device(place: &Place) -> LocalDevice {
    LocalDevice {
        id: place.device,
        place: place.dir.to_str().map(str::to_owned),
    }
}

/// This machine, as other processes on the same database would reach its storage node.
fn local_host(address: SocketAddr) -> LocalHost {
    let address = super::reachable(address);
    LocalHost {
        name: HOST_NAME.to_owned(),
        ip: address.ip().to_string(),
        port: address.port(),
    }
}
