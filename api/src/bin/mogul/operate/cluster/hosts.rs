//! `mogul admin host …`.

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{
    Shown, done,
    drains::{self, DrainOptions},
    given,
    nouns::{self, Host},
    text_of,
};
use crate::client::tracker::TrackerConnection;

/// What is done to hosts.
#[derive(Debug, Subcommand)]
pub(in crate::operate) enum HostCommand {
    /// Lists the hosts.
    List,
    /// Adds a host; it is down until it is marked alive, unless --status says otherwise.
    Add {
        /// Its name.
        name: String,
        #[command(flatten)]
        options: HostOptions,
    },
    /// Changes what is given of a host.
    Modify {
        /// Its name.
        name: String,
        #[command(flatten)]
        options: HostOptions,
    },
    /// Sets a host's status.
    Mark {
        /// Its name.
        name: String,
        /// alive, down, dead or readonly.
        status: String,
    },
    /// Moves everything off all devices of a host that are not dead, as `device drain` does it for one.
    Drain {
        /// Its name.
        name: String,
        #[command(flatten)]
        options: DrainOptions,
    },
    /// Deletes a host that has no devices.
    Delete {
        /// Its name.
        name: String,
    },
}

/// The columns of a host.
#[derive(Debug, Args)]
pub(in crate::operate) struct HostOptions {
    /// Its address.
    #[arg(long)]
    ip: Option<String>,
    /// The port of its HTTP; 7500 for a new host.
    #[arg(long)]
    port: Option<String>,
    /// The port that files are read from, if it is another.
    #[arg(long)]
    getport: Option<String>,
    /// Its address in another network.
    #[arg(long)]
    altip: Option<String>,
    /// The clients that are given that address, such as 10.2.0.0/16.
    #[arg(long)]
    altmask: Option<String>,
    /// alive, down, dead or readonly.
    #[arg(long)]
    status: Option<String>,
}

/// The port of a storage node, as mogadm presumes it.
const PORT_DEFAULT: &str = "7500";

impl HostOptions {
    fn pairs<'a>(&'a self, name: &'a str, port: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
        given(&[
            ("host", Some(name)),
            ("ip", self.ip.as_deref()),
            ("port", self.port.as_deref().or(port)),
            ("getport", self.getport.as_deref()),
            ("altip", self.altip.as_deref()),
            ("altmask", self.altmask.as_deref()),
            ("status", self.status.as_deref()),
        ])
    }
}

pub(super) async fn run(tracker: &mut TrackerConnection, command: HostCommand) -> anyhow::Result<Shown> {
    match command {
        HostCommand::List => {
            let hosts = nouns::hosts(tracker).await?;
            Shown::of(list(&hosts), &hosts)
        }
        HostCommand::Add { name, options } => {
            let pairs = options.pairs(&name, Some(PORT_DEFAULT));
            let added = done(tracker, "create_host", &pairs).await;
            added.context("Error creating host")
        }
        HostCommand::Modify { name, options } => {
            let modified = done(tracker, "update_host", &options.pairs(&name, None)).await;
            modified.context("Error updating host")
        }
        HostCommand::Mark { name, status } => {
            let pairs = [("host", name.as_str()), ("status", status.as_str())];
            let marked = done(tracker, "update_host", &pairs).await;
            marked.context("Error updating host")
        }
        HostCommand::Drain { name, options } => drains::drain(tracker, &name, None, &options).await,
        HostCommand::Delete { name } => {
            let deleted = done(tracker, "delete_host", &[("host", &name)]).await;
            deleted.context("Failure deleting host")
        }
    }
}

fn list(hosts: &[Host]) -> String {
    let mut lines = Vec::new();
    for host in hosts {
        let address = format!("{}:{}", host.hostip, host.http_port);
        let columns = [
            ("IP:", address.as_str()),
            ("GetPort:", &host.http_get_port),
            ("AltIP:", &host.altip),
            ("AltMask:", &host.altmask),
        ];
        lines.push(format!("{} [{}]: {}", host.hostname, host.hostid, host.status));
        let given = columns.iter().filter(|(_, value)| !value.is_empty());
        lines.extend(given.map(|(name, value)| format!("  {name:9} {value}")));
        lines.push(String::new());
    }
    text_of(lines)
}
