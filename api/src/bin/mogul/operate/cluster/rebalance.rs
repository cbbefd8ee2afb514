//! `mogul admin rebalance …`.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::json;

use super::{Shown, done, text_of};
use crate::client::tracker::TrackerConnection;

/// What is done with rebalance.
#[derive(Debug, Subcommand)]
pub(in crate::operate) enum RebalanceCommand {
    /// Starts moving files by the policy.
    Start,
    /// Starts evening out the devices by percent used, without a policy of yours: from the fullest to the emptiest, until all
    /// are near each other. Status, stop and start are those of any rebalance. An original tracker has no such policy.
    Auto {
        /// Percent by which the fullest and the emptiest may differ in the end, 1 to 50; 5 if it is left out.
        #[arg(long)]
        within: Option<u8>,
    },
    /// Stops.
    Stop,
    /// Shows how far it is.
    Status,
    /// Forgets where it was.
    Reset,
    /// Sets the policy.
    Policy {
        /// Such as `from_devices=1 to_devices=3 limit_type=device limit_by=count limit=2`.
        #[arg(long)]
        options: String,
    },
    /// Shows the policy.
    Settings,
    /// Shows which devices the policy would take from and give to.
    Test,
}

/// The setting that holds the policy.
const POLICY: &str = "rebal_policy";

pub(super) async fn run(tracker: &mut TrackerConnection, command: RebalanceCommand) -> anyhow::Result<Shown> {
    match command {
        RebalanceCommand::Start => Ok(done(tracker, "rebalance_start", &[]).await?),
        RebalanceCommand::Auto { within } => {
            let margin = within.map(|within| format!(" within={within}"));
            let policy = ["auto", &margin.unwrap_or_default()].concat();
            done(tracker, "rebalance_set_policy", &[("policy", &policy)]).await?;
            Ok(done(tracker, "rebalance_start", &[]).await?)
        }
        RebalanceCommand::Stop => Ok(done(tracker, "rebalance_stop", &[]).await?),
        RebalanceCommand::Reset => Ok(done(tracker, "rebalance_reset", &[]).await?),
        RebalanceCommand::Policy { options } => {
            Ok(done(tracker, "rebalance_set_policy", &[("policy", &options)]).await?)
        }
        RebalanceCommand::Status => status(tracker).await,
        RebalanceCommand::Settings => {
            let policy = policy(tracker).await?;
            Shown::of(format!("{POLICY:>25} = {policy}\n"), &json!({ POLICY: policy }))
        }
        RebalanceCommand::Test => {
            let pairs = tracker.request("rebalance_test", &[]).await?;
            let policy = policy(tracker).await?;
            let (from, to) = (list(pairs.get("sdevs")), list(pairs.get("ddevs")));
            let lines = |devices: &[&str]| text_of(devices.iter().map(|device| format!(" - {device}")));
            let text = format!(
                "Tested rebalance policy...\nPolicy: {policy}\n\nSource devices:\n{}Destination devices:\n{}",
                lines(&from),
                lines(&to)
            );
            Shown::of(
                text,
                &json!({ "policy": policy, "sources": from, "destinations": to }),
            )
        }
    }
}

async fn policy(tracker: &mut TrackerConnection) -> anyhow::Result<String> {
    let pairs = tracker.request("server_setting", &[("key", POLICY)]).await?;
    Ok(pairs.get("value").to_owned())
}

fn list(devices: &str) -> Vec<&str> {
    devices.split(',').filter(|device| !device.is_empty()).collect()
}

async fn status(tracker: &mut TrackerConnection) -> anyhow::Result<Shown> {
    let pairs = tracker.request("rebalance_status", &[]).await?;
    let host = tracker
        .request("server_setting", &[("key", "rebal_host")])
        .await?;
    let running = match host.get("value") {
        "" => "Rebalance is stopped".to_owned(),
        host => format!("Rebalance is running on {host}"),
    };
    let state: BTreeMap<&str, &str> = pairs
        .get("state")
        .split_ascii_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let line = |(name, value): (&&str, &&str)| format!("{name:>25} = {value}").trim_end().to_owned();
    let lines = text_of(state.iter().map(line));
    Shown::of(format!("{running}\nRebalance status:\n{lines}"), &state)
}
