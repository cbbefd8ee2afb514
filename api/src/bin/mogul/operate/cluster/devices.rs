//! `mogul admin device …`.

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{
    Shown, done,
    drains::{self, DrainOptions},
    given,
    nouns::{self, Device, Host, gib},
    text_of,
};
use crate::client::tracker::TrackerConnection;

/// What is done to devices.
#[derive(Debug, Subcommand)]
pub(in crate::operate) enum DeviceCommand {
    /// Lists the devices of each host.
    List {
        /// Dead ones too.
        #[arg(long)]
        all: bool,
    },
    /// Shows each host's space on devices that are not dead.
    Summary,
    /// Prints the lowest number above all devices.
    Next,
    /// Adds a device; its folder must be there on the host.
    Add {
        /// The host's name.
        host: String,
        /// Its number, as 4 or dev4.
        device: String,
        /// alive, down, dead, readonly or drain.
        #[arg(long)]
        status: Option<String>,
    },
    /// Sets a device's state.
    Mark {
        /// The host's name.
        host: String,
        /// Its number, as 4 or dev4.
        device: String,
        /// alive, down, dead, readonly or drain.
        state: String,
    },
    /// Moves everything off a device: its state becomes drain, and copies are made elsewhere first. Ends when it is empty.
    Drain {
        /// The host's name.
        host: String,
        /// Its number, as 4 or dev4.
        device: String,
        #[command(flatten)]
        options: DrainOptions,
    },
    /// Shows the devices that are being drained, or have been and are empty.
    Drains,
    /// Changes what is given of a device.
    Modify {
        /// The host's name.
        host: String,
        /// Its number, as 4 or dev4.
        device: String,
        /// alive, down, dead, readonly or drain.
        #[arg(long)]
        status: Option<String>,
        /// How much of the new files it takes, beside the others' weights.
        #[arg(long)]
        weight: Option<String>,
    },
}

pub(super) async fn run(tracker: &mut TrackerConnection, command: DeviceCommand) -> anyhow::Result<Shown> {
    match command {
        DeviceCommand::List { all } => {
            let (hosts, devices) = (nouns::hosts(tracker).await?, nouns::devices(tracker).await?);
            let shown: Vec<Device> = devices
                .into_iter()
                .filter(|device| all || device.status != "dead")
                .collect();
            Shown::of(list(&hosts, &shown), &shown)
        }
        DeviceCommand::Summary => {
            let (hosts, devices) = (nouns::hosts(tracker).await?, nouns::devices(tracker).await?);
            Ok(summary(&hosts, &devices))
        }
        DeviceCommand::Next => {
            let devices = nouns::devices(tracker).await?;
            let next = devices.last().map_or(1, |device| device.devid + 1);
            Shown::of(format!("{next}\n"), &json!({ "next": next }))
        }
        DeviceCommand::Add { host, device, status } => {
            let pairs = given(&[
                ("hostname", Some(&host)),
                ("devid", Some(number(&device))),
                ("state", status.as_deref()),
            ]);
            let added = done(tracker, "create_device", &pairs).await;
            added.context("Error adding device")
        }
        DeviceCommand::Mark { host, device, state } => {
            set(tracker, "set_state", &host, &device, ("state", &state)).await
        }
        DeviceCommand::Drain {
            host,
            device,
            options,
        } => drains::drain(tracker, &host, Some(number(&device)), &options).await,
        DeviceCommand::Drains => drains::status(tracker).await,
        DeviceCommand::Modify {
            host,
            device,
            status,
            weight,
        } => {
            if let Some(state) = status {
                set(tracker, "set_state", &host, &device, ("state", &state)).await?;
            }
            if let Some(weight) = weight {
                set(tracker, "set_weight", &host, &device, ("weight", &weight)).await?;
            }
            Ok(Shown::nothing())
        }
    }
}

async fn set(
    tracker: &mut TrackerConnection,
    command: &str,
    host: &str,
    device: &str,
    value: (&str, &str),
) -> anyhow::Result<Shown> {
    let pairs = [("host", host), ("device", number(device)), value];
    let set = done(tracker, command, &pairs).await;
    set.context("Error updating device")
}

/// The number of `4` or `dev4`.
fn number(device: &str) -> &str {
    device.strip_prefix("dev").unwrap_or(device)
}

fn list(hosts: &[Host], devices: &[Device]) -> String {
    let mut lines = Vec::new();
    for host in hosts {
        lines.push(format!("{} [{}]: {}", host.hostname, host.hostid, host.status));
        lines.push("                    used(G)    free(G)   total(G)  weight(%)".to_owned());
        let theirs = devices.iter().filter(|device| device.hostid == host.hostid);
        for device in theirs {
            let absent = if device.absent_since.is_empty() {
                ""
            } else {
                "  absent"
            };
            lines.push(format!(
                "{:>7}: {:>7} {:>10.3} {:>10.3} {:>10.3} {:>10}{absent}",
                format!("dev{}", device.devid),
                device.status,
                gib(device.mb_used),
                gib(device.mb_free),
                gib(device.mb_total),
                device.weight
            ));
            if !device.refused.is_empty() {
                lines.push(format!("         refused: {}", device.refused));
            }
        }
        lines.push(String::new());
    }
    text_of(lines)
}

fn summary(hosts: &[Host], devices: &[Device]) -> Shown {
    let mut lines = vec!["Hostname        HostID  Status   used(G)  free(G) total(G)    %Used".to_owned()];
    let mut documents = Vec::new();
    for host in hosts {
        let living = |device: &&Device| device.hostid == host.hostid && device.status != "dead";
        let sum = |of: fn(&Device) -> u64| devices.iter().filter(living).map(of).sum::<u64>();
        let (used, free, total) = (
            sum(|device| device.mb_used),
            sum(|device| device.mb_free),
            sum(|device| device.mb_total),
        );
        let percent = if total == 0 {
            0.0
        } else {
            100.0 * gib(used) / gib(total)
        };
        lines.push(format!(
            "{:<15} [{:>4}]: {:>6}  {:>8.3} {:>8.3} {:>8.3} {percent:>8.2}",
            host.hostname,
            host.hostid,
            host.status,
            gib(used),
            gib(free),
            gib(total),
        ));
        documents.push(json!({
            "hostname": host.hostname, "hostid": host.hostid, "status": host.status,
            "mb_used": used, "mb_free": free, "mb_total": total,
        }));
    }
    Shown {
        text: text_of(lines),
        json: documents.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device {
            devid: 1,
            hostid: 1,
            status: "alive".to_owned(),
            weight: "100".to_owned(),
            mb_total: 93_052,
            mb_used: 17_155,
            mb_free: 75_897,
            observed_state: "writeable".to_owned(),
            utilization: String::new(),
            absent_since: String::new(),
            refused: String::new(),
        }
    }

    fn host() -> Host {
        Host {
            hostid: 1,
            hostname: "172.16.27.1".to_owned(),
            status: "alive".to_owned(),
            hostip: "172.16.27.1".to_owned(),
            http_port: 7500,
            http_get_port: String::new(),
            altip: String::new(),
            altmask: String::new(),
        }
    }

    #[test]
    fn a_list_of_devices_looks_like_mogadms() {
        let text = list(&[host()], &[device()]);

        assert_eq!(
            text,
            "172.16.27.1 [1]: alive\n\
             \u{20}                   used(G)    free(G)   total(G)  weight(%)\n\
             \u{20}  dev1:   alive     16.753     74.118     90.871        100\n\n"
        );
        let absent = Device {
            absent_since: "1700000000".to_owned(),
            ..device()
        };
        let text = list(&[host()], &[absent]);
        assert!(text.contains("100  absent\n"), "{text}");
    }

    #[test]
    fn a_summary_looks_like_mogadms() {
        let text = summary(&[host()], &[device()]).text;

        let line = text.lines().nth(1).unwrap();
        assert_eq!(
            line,
            "172.16.27.1     [   1]:  alive    16.753   74.118   90.871    18.44"
        );
    }
}
