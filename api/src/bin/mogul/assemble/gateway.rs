//! `mogul s3`: a gateway, any number of which share a database with the trackers: the S3 port, an admin port that tells of
//! this process, and of the jobs those that keep its view fresh and end its own fids. Its nodes are where the rows of `host`
//! say. It keeps nothing that is not in the database.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use mogul_api::{admin, mogile::Watchers};
use mogul_tracker::Tracker;
use tracing::info;

use super::{Begun, COPIES, Life, begin, faces::Faces, jobs};
use crate::{
    config::{Config, Flags},
    credentials::RootKey,
    listen::{Listener, Serving},
    originals::Given,
    shutdown::{Finish, Signals},
    tls::Tls,
};

/// Serves S3 over a database that trackers keep: a gateway.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// The configuration file, TOML; see docs/cluster.md.
    #[arg(long, short, value_name = "FILE", env = "MOGUL_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// A gateway of which everything is there but nothing is served yet.
pub(crate) struct Gateway {
    config: Config,
    s3: Listener,
    admin: Listener,
    tls: Option<Tls>,
    tracker: Tracker,
    /// Root's key, if it is not in the database.
    root: Option<RootKey>,
    signals: Signals,
    watchers: Watchers,
}

/// Puts a gateway together.
///
/// # Errors
/// Each is one line that says what to do; nothing is served then.
pub(crate) async fn start(args: GatewayArgs) -> anyhow::Result<Gateway> {
    let Begun {
        config,
        signals,
        watchers,
    } = begin(&Given::default(), args.config.as_deref(), &args.flags)?;
    let tls = Tls::of(&config)?;
    let s3 = Listener::bind(config.s3_listen, "s3.listen", "s3").await?;
    let admin = Listener::bind(config.s3_admin_listen, "s3.admin_listen", "admin").await?;
    let root = RootKey::given(&config)?;
    let db = super::open_database(&config).await?;
    let tracker = super::open_tracker(db, BTreeMap::new(), &config, COPIES).await?;
    if root.is_none()
        && !tracker
            .root_has_key()
            .await
            .context("cannot look for root's key")?
    {
        bail!(
            "root has no key: start mogul tracker, which makes one and prints it, or set root.access_key and root.secret_key \
             (or their files) for every gateway and tracker"
        );
    }
    Ok(Gateway {
        config,
        s3,
        admin,
        tls,
        tracker,
        root,
        signals,
        watchers,
    })
}

impl Gateway {
    /// Serves until a signal, then lets running requests finish.
    ///
    /// # Errors
    /// If what the gateway keeps could not be laid down; the trackers collect it.
    pub(crate) async fn serve(mut self) -> anyhow::Result<()> {
        let life = Life::default();
        let driver = Arc::new(jobs::start_of_gateway(&self.tracker));
        let faces = Faces {
            config: self.config.clone(),
            tracker: self.tracker.clone(),
            root: self.root,
            metrics: mogul_api::metrics::Metrics::default(),
            watchers: self.watchers,
            driver: Arc::clone(&driver),
            scheme: super::scheme(self.tls.as_ref()),
            asked: life.asked.clone(),
            tasks: life.tasks.clone(),
        };
        let s3 = faces.s3();
        let serving = |face| Serving {
            tls: self.tls.clone(),
            ..life.serving(face, &self.config)
        };
        let admin = admin::router(s3.clone(), self.config.admin_metrics.0);
        self.admin.serve(serving("admin"), admin);
        self.s3.serve(serving("s3"), s3);
        info!(
            version = env!("CARGO_PKG_VERSION"),
            devices = self.tracker.view().devices().count(),
            "ready"
        );

        let finish = life.end(&mut self.signals, &self.config, self.tls.as_ref()).await;
        driver.stop(jobs::PATIENCE).await;
        let closed = self.tracker.close().await;
        info!(complete = finish == Finish::Complete, "stopped");
        closed.context("cannot lay down the gateway's work")
    }
}
