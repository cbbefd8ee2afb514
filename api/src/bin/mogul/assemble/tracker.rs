//! `mogul tracker`: the tracker port, the admin port and the jobs, over a database that others may share. Its nodes are where
//! the rows of `host` say.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use mogul_api::admin;
use mogul_tracker::Tracker;

use super::{
    Begun, COPIES, Life, begin, faces::TrackerPorts, jobs, open_database, process::Process, utilization,
};
use crate::{
    config::{Config, Flags},
    credentials::RootKey,
    listen::Listener,
    originals::{Given, mogilefsd},
    tls::Tls,
};

/// Serves the tracker port over a database: clients and tools of `MogileFS`, jobs, the admin port.
#[derive(Debug, Args)]
pub(crate) struct TrackerArgs {
    /// The configuration file: TOML if it is named so, else an original mogilefsd.conf.
    #[arg(long, short, value_name = "FILE", env = "MOGUL_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// What an original's file or command line says.
    #[arg(skip)]
    given: Given,
}

/// A tracker of which everything is there but nothing is served yet.
pub(crate) struct TrackerRole {
    process: Process,
    given: Given,
    ports: TrackerPorts,
    admin: Listener,
}

impl TrackerArgs {
    /// The arguments of a `mogilefsd`.
    pub(crate) fn of(given: Given) -> TrackerArgs {
        TrackerArgs {
            config: None,
            flags: Flags::default(),
            given,
        }
    }

    /// Reads an original's file, if one is named.
    ///
    /// # Errors
    /// It cannot be read, or is malformed.
    pub(crate) fn understood(self) -> anyhow::Result<TrackerArgs> {
        match self.config {
            Some(path) if Given::is_original(&path) => Ok(TrackerArgs {
                given: mogilefsd::of_file(&path)?,
                config: None,
                ..self
            }),
            Some(_) | None => Ok(self),
        }
    }

    /// What the original's file or command line says.
    pub(crate) fn given(&self) -> &Given {
        &self.given
    }
}

/// Puts a tracker together.
///
/// # Errors
/// Each is one line that says what to do; nothing is served then.
pub(crate) async fn start(args: TrackerArgs) -> anyhow::Result<TrackerRole> {
    let Begun {
        config,
        signals,
        watchers,
    } = begin(&args.given, args.config.as_deref(), &args.flags)?;
    let tls = Tls::of(&config)?;
    let ports = TrackerPorts::bind(&config).await?;
    let admin = Listener::bind(config.admin_listen, "admin.listen", "admin").await?;
    let root = RootKey::given(&config)?;
    let db = open_database(&config).await?;
    let tracker = super::open_tracker(db, BTreeMap::new(), &config, COPIES).await?;
    // An original has no such key, and whoever starts one keeps no secret that it prints: bearers of tokens have the admin port.
    if root.is_none() && args.given == Given::default() {
        make_root_key(&tracker, &config, tls.as_ref()).await?;
    }
    let process = Process {
        config,
        tls,
        tracker,
        root,
        signals,
        watchers,
    };
    Ok(TrackerRole {
        process,
        given: args.given,
        ports,
        admin,
    })
}

impl TrackerRole {
    /// Serves until a signal or a `!shutdown`, then lets running requests finish.
    ///
    /// # Errors
    /// If what the tracker keeps could not be laid down; the next start collects it.
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let TrackerRole {
            mut process,
            given,
            ports,
            admin,
        } = self;
        let life = Life::default();
        let driver = Arc::new(jobs::start(&process.tracker));
        let faces = process.faces(&driver, &life);
        let port = process.config.tracker_sidechannel_port;
        utilization::listen(&process.tracker, BTreeSet::new(), port, &life);
        ports.serve(&faces.mogile(), &process.config, &life);
        let router = admin::router(faces.s3(), process.config.admin_metrics.0);
        admin.serve(process.serving("admin", &life), router);
        let settled = given.settle()?;
        let finish = process.run(&life).await;
        let ended = process.end(&driver, finish).await;
        drop(settled);
        ended
    }
}

/// Makes root's key if this cluster has none, and prints it: the operator starts gateways with the same database next.
async fn make_root_key(tracker: &Tracker, config: &Config, tls: Option<&Tls>) -> anyhow::Result<()> {
    let made = tracker.root_key_made().await.context("cannot make root's key")?;
    if let Some(made) = made {
        let key = RootKey {
            access_key: made.access_key,
            secret_key: made.secret_key,
        };
        let endpoint = format!("{}://{}", super::scheme(tls), super::reachable(config.s3_listen));
        println!("{}", key.welcome("the database", &endpoint, &config.s3_region));
    }
    Ok(())
}
