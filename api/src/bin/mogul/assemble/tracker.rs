//! `mogul tracker`: the tracker port, the admin port and the jobs, over a database that others may share. Its nodes are where
//! the rows of `host` say.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use http::uri::Scheme;
use mogul_api::{admin, mogile::Watchers};
use mogul_tracker::{Tracker, meta::Db, rng::SystemEntropy};
use tracing::info;

use super::{
    Begun, Life, begin,
    faces::{Faces, TrackerPorts},
    jobs, utilization,
};
use crate::{
    config::{Config, Flags},
    credentials::{self, RootKey},
    listen::{Listener, Serving},
    originals::{
        Given,
        dsn::{self, Login},
        mogilefsd,
    },
    shutdown::{Finish, Signals},
    tls::Tls,
};

/// Copies that the class `default` keeps if nobody says otherwise, as in the original.
const COPIES: u8 = 2;

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
    given: Given,
    config: Config,
    ports: TrackerPorts,
    admin: Listener,
    tls: Option<Tls>,
    tracker: Tracker,
    root: RootKey,
    signals: Signals,
    watchers: Watchers,
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
    let root = RootKey::given_or_unknown(&config, &SystemEntropy)?;
    let db = open_database(&config).await?;
    let tracker = super::open_tracker(db, BTreeMap::new(), &config, COPIES).await?;
    Ok(TrackerRole {
        given: args.given,
        config,
        ports,
        admin,
        tls,
        tracker,
        root,
        signals,
        watchers,
    })
}

impl TrackerRole {
    /// Serves until a signal or a `!shutdown`, then lets running requests finish.
    ///
    /// # Errors
    /// If what the tracker keeps could not be laid down; the next start collects it.
    pub(crate) async fn serve(mut self) -> anyhow::Result<()> {
        let life = Life::default();
        let driver = Arc::new(jobs::start(&self.tracker));
        let faces = Faces {
            config: self.config.clone(),
            tracker: self.tracker.clone(),
            root: self.root,
            metrics: mogul_api::metrics::Metrics::default(),
            watchers: self.watchers,
            driver: Arc::clone(&driver),
            scheme: Scheme::HTTP,
            asked: life.asked.clone(),
            tasks: life.tasks.clone(),
        };
        let port = self.config.tracker_sidechannel_port;
        utilization::listen(&self.tracker, BTreeSet::new(), port, &life);
        self.ports.serve(&faces.mogile(), &self.config, &life);
        let serving = Serving {
            tls: self.tls.clone(),
            ..life.serving("admin", &self.config)
        };
        self.admin
            .serve(serving, admin::router(faces.s3(), self.config.admin_metrics.0));
        info!(
            version = env!("CARGO_PKG_VERSION"),
            devices = self.tracker.view().devices().count(),
            "ready"
        );
        let settled = self.given.settle()?;

        let finish = life.end(&mut self.signals, &self.config, self.tls.as_ref()).await;
        driver.stop(jobs::PATIENCE).await;
        let closed = self.tracker.close().await;
        drop(settled);
        info!(complete = finish == Finish::Complete, "stopped");
        closed.context("cannot lay down the tracker's work")
    }
}

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
