//! `mogul admin host|device|domain|class|fsck|rebalance|settings|stats|check`: what `mogadm` does, over the tracker port.
//!
//! Words, options and what is printed are mogadm's in substance, so that an operator's habits and scripts go on. It talks to
//! our trackers and to original ones, and decides nothing. [`nouns`] reads what trackers tell of hosts, devices and domains;
//! the other modules have a noun's commands each.

mod check;
mod classes;
mod devices;
mod drains;
mod fsck;
mod hosts;
mod nouns;
mod rebalance;
mod settings;
mod stats;

use std::path::Path;

use clap::Subcommand;
use serde_json::Value;

use crate::{
    client::tracker::{TrackerConnection, TrackerError},
    form::Form,
};

/// The tracker that is asked if nothing names another, as with mogadm.
const TRACKER_DEFAULT: &str = "127.0.0.1:7001";

/// The files in which `MogileFS`'s tools look for `trackers = HOST:PORT,…`; the first below the home directory.
const CONF_FILES: [&str; 2] = [".mogilefs.conf", "/etc/mogilefs/mogilefs.conf"];

/// What is done to a cluster through its trackers.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Hosts: the storage nodes.
    #[command(subcommand)]
    Host(hosts::HostCommand),
    /// Devices: the disks of the hosts.
    #[command(subcommand)]
    Device(devices::DeviceCommand),
    /// Domains: the name spaces of keys; each is a bucket of S3.
    #[command(subcommand)]
    Domain(classes::DomainCommand),
    /// Classes: how many copies, where, with which digest.
    #[command(subcommand)]
    Class(classes::ClassCommand),
    /// Checks all files: copies, sizes, policies, digests.
    #[command(subcommand)]
    Fsck(fsck::FsckCommand),
    /// Moves files between devices by a policy.
    #[command(subcommand)]
    Rebalance(rebalance::RebalanceCommand),
    /// Settings of the whole cluster.
    #[command(subcommand)]
    Settings(settings::SettingsCommand),
    /// Shows what each tracker is doing: its counters, queues and workers.
    Stats,
    /// Checks trackers, hosts and devices.
    Check,
}

/// What a command shows: a text for people, JSON for programs.
#[derive(Debug)]
struct Shown {
    text: String,
    json: Value,
}

impl Shown {
    /// A success that has nothing to show.
    fn nothing() -> Shown {
        Shown {
            text: String::new(),
            json: Value::Object(serde_json::Map::new()),
        }
    }

    fn of(text: String, document: &impl serde::Serialize) -> anyhow::Result<Shown> {
        Ok(Shown {
            text,
            json: serde_json::to_value(document)?,
        })
    }
}

/// Runs one command and prints its result. `trackers` is what the operator named.
///
/// # Errors
/// If no tracker can be reached, or the tracker refuses.
pub(super) async fn run(command: ClusterCommand, trackers: Option<&str>, form: Form) -> anyhow::Result<()> {
    let trackers = addresses(trackers);
    let shown = match command {
        ClusterCommand::Check => check::run(&trackers).await?,
        ClusterCommand::Stats => stats::run(&trackers).await?,
        ClusterCommand::Host(command) => hosts::run(&mut first_of(&trackers).await?, command).await?,
        ClusterCommand::Device(command) => devices::run(&mut first_of(&trackers).await?, command).await?,
        ClusterCommand::Domain(command) => {
            classes::of_domain(&mut first_of(&trackers).await?, command).await?
        }
        ClusterCommand::Class(command) => classes::of_class(&mut first_of(&trackers).await?, command).await?,
        ClusterCommand::Fsck(command) => fsck::run(&mut first_of(&trackers).await?, command).await?,
        ClusterCommand::Rebalance(command) => {
            rebalance::run(&mut first_of(&trackers).await?, command).await?
        }
        ClusterCommand::Settings(command) => settings::run(&mut first_of(&trackers).await?, command).await?,
    };
    match form {
        Form::Text => print!("{}", shown.text),
        Form::Json => println!("{}", serde_json::to_string_pretty(&shown.json)?),
    }
    Ok(())
}

/// A text of these lines.
fn text_of(lines: impl IntoIterator<Item = String>) -> String {
    lines
        .into_iter()
        .flat_map(|line| [line, "\n".to_owned()])
        .collect()
}

/// Sends a command whose success has nothing to show.
async fn done(
    tracker: &mut TrackerConnection,
    command: &str,
    pairs: &[(&str, &str)],
) -> Result<Shown, TrackerError> {
    tracker.request(command, pairs).await.map(|_| Shown::nothing())
}

async fn first_of(trackers: &[String]) -> Result<TrackerConnection, TrackerError> {
    TrackerConnection::first_of(trackers).await
}

/// The trackers that were named, else those of `MogileFS`'s own files, else this machine's.
fn addresses(named: Option<&str>) -> Vec<String> {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let from_files = || {
        CONF_FILES
            .iter()
            .find_map(|file| trackers_line(&std::fs::read_to_string(Path::new(&home).join(file)).ok()?))
    };
    let list = named.map(str::to_owned).or_else(from_files);
    list.unwrap_or_else(|| TRACKER_DEFAULT.to_owned())
        .split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The value of `trackers` in a file of lines `name = value`.
fn trackers_line(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "trackers").then(|| value.trim().to_owned())
    })
}

/// The options that were given, as pairs of a request.
fn given<'a>(options: &[(&'a str, Option<&'a str>)]) -> Vec<(&'a str, &'a str)> {
    options
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers_are_split_at_commas() {
        assert_eq!(addresses(Some("a:1, b:2,")), ["a:1", "b:2"]);
    }

    #[test]
    fn the_tools_file_names_the_trackers() {
        let text = "# where\nlib = /x\ntrackers = 10.0.0.1:7001,10.0.0.2:7001\n";

        assert_eq!(trackers_line(text).unwrap(), "10.0.0.1:7001,10.0.0.2:7001");
        assert_eq!(trackers_line("domain = d\n"), None);
    }
}
