//! `mogul admin check`: whether every tracker answers, every host serves, every device can be written to.

use serde::Serialize;
use serde_json::json;

use super::{
    Shown,
    nouns::{self, Device, Host, gib},
    text_of,
};
use crate::client::{Endpoint, tracker::TrackerConnection};

/// Largest usage file in bytes that is read; they have some hundred.
const USAGE_BYTES_MAX: usize = 64 << 10;

/// KiB in a MiB, the unit of usage files in ours.
const KIB: u64 = 1024;

/// A part of the cluster and what is wrong with it, if anything.
#[derive(Debug, Serialize)]
struct Finding {
    name: String,
    problem: Option<String>,
}

/// A device that its host told of.
#[derive(Debug, Serialize)]
struct Usage {
    hostid: u64,
    devid: u64,
    mb_total: u64,
    mb_used: u64,
    observed_state: String,
    utilization: String,
}

/// What a tracker tells of the cluster.
#[derive(Default)]
struct Cluster {
    hosts: Vec<Host>,
    devices: Vec<Device>,
}

pub(super) async fn run(trackers: &[String]) -> anyhow::Result<Shown> {
    let mut cluster = Cluster::default();
    let mut of_trackers = Vec::new();
    for tracker in trackers {
        let asked = ask(tracker).await;
        of_trackers.push(Finding {
            name: tracker.clone(),
            problem: asked.as_ref().err().map(|error| format!("{error:#}")),
        });
        cluster = asked.unwrap_or(cluster);
    }
    let (mut of_hosts, mut usages) = (Vec::new(), Vec::new());
    for host in cluster.hosts.iter().filter(|host| host.status != "dead") {
        let problem = visit(host, &cluster.devices, &mut usages).await.err();
        of_hosts.push(Finding {
            name: format!("[{:>2}] {}", host.hostid, host.hostname),
            problem: problem.map(|error| format!("{error:#}")),
        });
    }
    let text = format!(
        "Checking trackers...\n{}\nChecking hosts...\n{}\nChecking devices...\n{}",
        findings(&of_trackers),
        findings(&of_hosts),
        table(&usages)
    );
    Shown::of(
        text,
        &json!({ "trackers": of_trackers, "hosts": of_hosts, "devices": usages }),
    )
}

async fn ask(tracker: &str) -> anyhow::Result<Cluster> {
    let mut connection = TrackerConnection::open(tracker).await?;
    Ok(Cluster {
        hosts: nouns::hosts(&mut connection).await?,
        devices: nouns::devices(&mut connection).await?,
    })
}

/// Asks a host whether it serves, and for the usage of its devices.
async fn visit(host: &Host, devices: &[Device], usages: &mut Vec<Usage>) -> anyhow::Result<()> {
    let node = Endpoint::parse(&format!("http://{}:{}", host.hostip, host.http_port), None)?;
    let mut connection = node.connect().await?;
    let (status, _) = connection.fetch(&node, "/", USAGE_BYTES_MAX).await?;
    anyhow::ensure!(status.is_success(), "it answered {status}");
    let living = |device: &&Device| device.hostid == host.hostid && device.status != "dead";
    let mut problems = Vec::new();
    for device in devices.iter().filter(living) {
        let path = format!("/dev{}/usage", device.devid);
        let (status, usage) = connection.fetch(&node, &path, USAGE_BYTES_MAX).await?;
        if !status.is_success() {
            problems.push(format!("{path}: it answered {status}"));
            continue;
        }
        let usage = String::from_utf8_lossy(&usage);
        usages.push(Usage {
            hostid: host.hostid,
            devid: device.devid,
            mb_total: field(&usage, "total") / KIB,
            mb_used: field(&usage, "used") / KIB,
            observed_state: device.observed_state.clone(),
            utilization: device.utilization.clone(),
        });
    }
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

/// A number in lines `name: number`; 0 if it is missing.
fn field(usage: &str, name: &str) -> u64 {
    usage
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| *found == name)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

fn findings(findings: &[Finding]) -> String {
    text_of(findings.iter().map(|finding| match &finding.problem {
        None => format!("  {} ... OK", finding.name),
        Some(problem) => format!("  {} ... REQUEST FAILURE: {problem}", finding.name),
    }))
}

fn table(usages: &[Usage]) -> String {
    let rule = "  ---- ------------ ---------- ---------- ---------- ------";
    let line = |usage: &Usage| {
        let device = format!("dev{}", usage.devid);
        let space = space(usage.mb_total, usage.mb_used);
        format!(
            "  [{:>2}] {device:<12} {space} {:>10} {:>5}",
            usage.hostid, usage.observed_state, usage.utilization
        )
    };
    let total = usages.iter().map(|usage| usage.mb_total).sum();
    let used = usages.iter().map(|usage| usage.mb_used).sum();
    let mut lines = vec![
        "  host device         size(G)    used(G)    free(G)   use%   ob state   I/O%".to_owned(),
        format!("{rule} ---------- -----"),
    ];
    lines.extend(usages.iter().map(line));
    lines.push(rule.to_owned());
    lines.push(format!("{:>19} {}", "total:", space(total, used)));
    text_of(lines)
}

fn space(total: u64, used: u64) -> String {
    let percent = if total == 0 {
        0.0
    } else {
        100.0 * gib(used) / gib(total)
    };
    format!(
        "{:>9.3} {:>10.3} {:>10.3} {percent:>6.2}%",
        gib(total),
        gib(used),
        gib(total.saturating_sub(used))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devices_table_looks_like_mogadms() {
        let usage = "available: 77712556\ntotal: 95285888\nuse: 19%\nused: 17573332\n";
        let usages = [Usage {
            hostid: 1,
            devid: 1,
            mb_total: field(usage, "total") / KIB,
            mb_used: field(usage, "used") / KIB,
            observed_state: "writeable".to_owned(),
            utilization: "0.0".to_owned(),
        }];

        let text = table(&usages);

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "  [ 1] dev1            90.871     16.759     74.112  18.44%  writeable   0.0"
        );
        assert_eq!(
            lines[4],
            "             total:    90.871     16.759     74.112  18.44%"
        );
    }
}
