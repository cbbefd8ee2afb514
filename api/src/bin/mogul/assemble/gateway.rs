//! `mogul s3`: a gateway, any number of which share a database with the trackers: the S3 port, an admin port that tells of
//! this process, and of the jobs those that keep its view fresh and end its own fids. Its nodes are where the rows of `host`
//! say. It keeps nothing that is not in the database.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use mogul_api::admin;

use super::{Begun, COPIES, Life, begin, jobs, process::Process};
use crate::{config::Flags, credentials::RootKey, listen::Listener, originals::Given, tls::Tls};

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
    process: Process,
    s3: Listener,
    admin: Listener,
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
    let process = Process {
        config,
        tls,
        tracker,
        root,
        signals,
        watchers,
    };
    Ok(Gateway { process, s3, admin })
}

impl Gateway {
    /// Serves until a signal, then lets running requests finish.
    ///
    /// # Errors
    /// If what the gateway keeps could not be laid down; the trackers collect it.
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let Gateway {
            mut process,
            s3: s3_port,
            admin: admin_port,
        } = self;
        let life = Life::default();
        let driver = Arc::new(jobs::start_of_gateway(&process.tracker));
        let s3 = process.faces(&driver, &life).s3();
        let admin = admin::router(s3.clone(), process.config.admin_metrics.0);
        admin_port.serve(process.serving("admin", &life), admin);
        s3_port.serve(process.serving("s3", &life), s3);
        let finish = process.run(&life).await;
        process.end(&driver, finish).await
    }
}
