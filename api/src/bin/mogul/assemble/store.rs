//! `mogul store`: a storage node and its side channel, without a database.
//!
//! Its devices are DIRs with one device each, as of `mogul server`, or the folders `devN` below a docroot, as of mogstored.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use mogul_storage::{Device, Devices};
use tracing::{error, info};

use super::{
    Begun, Life,
    node::{NodePorts, StorageNode},
};
use crate::{
    config::{Config, Flags},
    datadir::DataDirs,
    originals::{Given, mogstored},
    shutdown::{Finish, Signals},
};

/// Serves the files of devices to trackers: a storage node, without a database.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Directories that hold one device `devN` each; instead of --docroot.
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The configuration file: TOML if it is named so, else an original mogstored.conf.
    #[arg(long, short, value_name = "FILE", env = "MOGUL_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// What an original's file or command line says.
    #[arg(skip)]
    given: Given,
}

/// A storage node of which everything is there but nothing is served yet.
pub(crate) struct Store {
    given: Given,
    config: Config,
    ports: NodePorts,
    node: StorageNode,
    /// Held for its locks.
    dirs: Option<DataDirs>,
    signals: Signals,
}

impl StoreArgs {
    /// The arguments of a `mogstored`.
    pub(crate) fn of(given: Given) -> StoreArgs {
        StoreArgs {
            dirs: Vec::new(),
            config: None,
            flags: Flags::default(),
            given,
        }
    }

    /// Reads an original's file, if one is named.
    ///
    /// # Errors
    /// It cannot be read, is malformed, or has an unknown key.
    pub(crate) fn understood(self) -> anyhow::Result<StoreArgs> {
        match self.config {
            Some(path) if Given::is_original(&path) => Ok(StoreArgs {
                given: mogstored::of_file(&path)?,
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

/// Puts a storage node together.
///
/// # Errors
/// Each is one line that says what to do; nothing is served then.
pub(crate) async fn start(args: StoreArgs) -> anyhow::Result<Store> {
    let Begun { config, signals, .. } = super::begin(&args.given, args.config.as_deref(), &args.flags)?;
    let ports = NodePorts::bind(&config).await?;
    let (node, dirs) = match (&config.storage_docroot, args.dirs.as_slice()) {
        (Some(docroot), []) => {
            let devices = Devices::below(docroot, config.storage_durability.0)
                .with_context(|| format!("cannot use the docroot {}", docroot.display()))?;
            (StorageNode::new(devices, docroot.display().to_string()), None)
        }
        (None, []) => bail!("nothing to serve: give DIRs with one device each, or --docroot DIR"),
        (Some(_), _) => bail!("give DIRs or --docroot (storage.docroot), not both"),
        (None, dirs) => {
            let dirs = DataDirs::open_devices(dirs)?;
            let devices = open(&dirs, &config)?;
            (StorageNode::new(devices, dirs.paths().join(",")), Some(dirs))
        }
    };
    Ok(Store {
        given: args.given,
        config,
        ports,
        node,
        dirs,
        signals,
    })
}

impl Store {
    /// Serves until a signal or a `shutdown` on the side channel, then lets running requests finish.
    ///
    /// # Errors
    /// The last steps of a daemon failed: its pid file cannot be written.
    pub(crate) async fn serve(mut self) -> anyhow::Result<()> {
        let life = Life::default();
        let devices = self.node.devices.numbers().len();
        self.ports.serve(self.node, &self.config, &life);
        info!(version = env!("CARGO_PKG_VERSION"), devices, "ready");
        let settled = self.given.settle()?;

        let finish = life.end(&mut self.signals, &self.config, None).await;
        drop((self.dirs, settled));
        info!(complete = finish == Finish::Complete, "stopped");
        Ok(())
    }
}

/// Opens the devices of DIRs. A new DIR has no number here: the database of the trackers gives those. One that holds no device
/// while others do is a disk that is not mounted yet, or not any more, and watched.
fn open(dirs: &DataDirs, config: &Config) -> anyhow::Result<Devices> {
    let (mut devices, mut away) = (Vec::new(), Vec::new());
    for (root, id) in dirs.found() {
        let Some(id) = id else {
            away.push(root);
            continue;
        };
        let opened = Device::open(&root, id, config.storage_durability.0).with_context(|| {
            format!(
                "cannot use device {}/dev{id}; give a DIR that this user may write",
                root.display()
            )
        });
        devices.push(opened?);
    }
    for root in &away {
        if devices.is_empty() {
            bail!(
                "{} holds no device: mount its disk, or make its folder devN, N as in `device add` on the tracker",
                root.display()
            );
        }
        error!(dir = %root.display(), "no device here: mount its disk; it is taken into use when it is there");
    }
    Ok(Devices::new(devices).watching(away))
}
