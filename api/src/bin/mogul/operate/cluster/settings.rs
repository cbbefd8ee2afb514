//! `mogul admin settings …`.

use std::collections::BTreeMap;

use clap::Subcommand;

use super::{Shown, done, text_of};
use crate::client::tracker::TrackerConnection;

/// What is done with the cluster's settings.
#[derive(Debug, Subcommand)]
pub(in crate::operate) enum SettingsCommand {
    /// Lists what is set.
    List,
    /// Sets one.
    Set {
        /// Its name.
        key: String,
        /// Its value.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

pub(super) async fn run(tracker: &mut TrackerConnection, command: SettingsCommand) -> anyhow::Result<Shown> {
    match command {
        SettingsCommand::List => {
            let pairs = tracker.request("server_settings", &[]).await?;
            let settings: BTreeMap<&str, &str> = (1..=pairs.number("key_count"))
                .map(|index| {
                    let key = pairs.get(&format!("key_{index}"));
                    (key, pairs.get(&format!("value_{index}")))
                })
                .collect();
            let lines = text_of(settings.iter().map(|(key, value)| format!("{key:>25} = {value}")));
            Shown::of(lines, &settings)
        }
        SettingsCommand::Set { key, value } => {
            let pairs = [("key", key.as_str()), ("value", value.as_str())];
            Ok(done(tracker, "set_server_setting", &pairs).await?)
        }
    }
}
