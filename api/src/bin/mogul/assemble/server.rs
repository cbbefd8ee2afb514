//! `mogul server`: everything in one process, from top to bottom: configuration, ports, data directories, database, devices,
//! tracker, jobs, faces, and the way back.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use mogul_api::admin;
use mogul_storage::{DevId, Device, Devices, Mark, local};
use mogul_tracker::{
    Tracker,
    command::devices::{LocalDevice, LocalHost, OnRecord, on_record},
    meta::{Db, DbConfig},
    rng::SystemEntropy,
};
use tracing::{error, warn};

use super::{
    Begun, Life, begin,
    faces::TrackerPorts,
    jobs,
    node::{NodePorts, StorageNode},
    process::Process,
    utilization,
};
use crate::{
    config::{Config, Flags},
    credentials::{Origin, RootKey},
    datadir::{DataDirs, Place, Presence},
    listen::Listener,
    originals::Given,
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
    process: Process,
    ports: Ports,
    /// Held for its locks.
    dirs: DataDirs,
    devices: Arc<Devices>,
    /// Where root's key is from.
    origin: Origin,
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
    let devices = Arc::new(open_devices(&places, &known, &config)?);
    let tracker = open_tracker(db, &devices, &places, &config).await?;
    let local: Vec<LocalDevice> = places.iter().map(local_device).collect();
    tracker
        .register_local(local_host(ports.node.http()), &local)
        .await
        .context("cannot register the devices")?;
    let process = Process {
        config,
        tls,
        tracker,
        root: Some(root),
        signals,
        watchers,
    };
    Ok(Server {
        process,
        ports,
        dirs,
        devices,
        origin,
    })
}

impl Server {
    /// Serves until a signal, then lets running requests finish.
    ///
    /// # Errors
    /// If what the tracker keeps could not be laid down; the next start collects it.
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let life = Life::default();
        let driver = Arc::new(jobs::start(&self.process.tracker));
        let faces = self.process.faces(&driver, &life);
        let (s3, mogile) = (faces.s3(), faces.mogile());
        self.greet();
        self.warn_of_few_devices();
        self.watch_disks(&life);
        let Server {
            mut process,
            ports,
            dirs,
            devices,
            ..
        } = self;
        ports.tracker.serve(&mogile, &process.config, &life);
        let docroot = dirs.paths().join(",");
        ports
            .node
            .serve(StorageNode { devices, docroot }, &process.config, &life);
        let admin = admin::router(s3.clone(), process.config.admin_metrics.0);
        ports.admin.serve(process.serving("admin", &life), admin);
        ports.s3.serve(process.serving("s3", &life), s3);
        let finish = process.run(&life).await;
        let ended = process.end(&driver, finish).await;
        drop(dirs);
        ended
    }

    /// Learns how busy the disks are, here and on other hosts that the database may name.
    fn watch_disks(&self, life: &Life) {
        let (tracker, port) = (
            &self.process.tracker,
            self.process.config.tracker_sidechannel_port,
        );
        let own = self.devices.numbers().into_iter().collect();
        utilization::look(tracker, &self.devices, life);
        utilization::listen(tracker, own, port, life);
    }

    /// More copies than devices is a plan for tomorrow or a mistake: objects are taken with fewer either way.
    fn warn_of_few_devices(&self) {
        let devices = self.process.tracker.view().devices().count();
        if let Some(copies) = self.process.config.copies
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
        let (Origin::Made, Some(root)) = (self.origin, &self.process.root) else {
            return;
        };
        let scheme = super::scheme(self.process.tls.as_ref());
        let endpoint = format!("{scheme}://{}", super::reachable(self.ports.s3.address()));
        let kept = RootKey::file(self.dirs.first());
        println!(
            "{}",
            root.welcome(&kept, &endpoint, &self.process.config.s3_region)
        );
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
fn open_devices(places: &[Place], known: &OnRecord, config: &Config) -> anyhow::Result<Devices> {
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
            && is_foreign(mark, known)
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

/// Whether a disk is another cluster's. A database that knows devices and has no name was restored from before there were
/// marks: the monitor sees whose the disks are.
fn is_foreign(mark: &Mark, known: &OnRecord) -> bool {
    match &known.cluster {
        Some(name) => mark.cluster() != name,
        None => known.devices.is_empty(),
    }
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
