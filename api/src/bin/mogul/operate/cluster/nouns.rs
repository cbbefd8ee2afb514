//! Hosts, devices and domains as trackers tell of them.

use serde::Serialize;

use crate::client::tracker::{Pairs, TrackerConnection, TrackerError};

/// A storage node.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    pub(super) hostid: u64,
    pub(super) hostname: String,
    /// What the operator set: alive, down, dead, readonly.
    pub(super) status: String,
    pub(super) hostip: String,
    pub(super) http_port: u64,
    /// The port of reads; empty if it is the same.
    pub(super) http_get_port: String,
    pub(super) altip: String,
    pub(super) altmask: String,
}

/// A disk of a storage node.
#[derive(Debug, Serialize)]
pub(super) struct Device {
    pub(super) devid: u64,
    pub(super) hostid: u64,
    /// What the operator set: alive, drain, readonly, down, dead.
    pub(super) status: String,
    pub(super) weight: String,
    pub(super) mb_total: u64,
    pub(super) mb_used: u64,
    pub(super) mb_free: u64,
    /// What the monitor saw: writeable, readable, unreachable; empty if nothing yet.
    pub(super) observed_state: String,
    /// How busy it is, in percent; empty if unknown.
    pub(super) utilization: String,
    /// When it was last seen, in Unix seconds, if its files are copied elsewhere because it stays away; else empty.
    pub(super) absent_since: String,
    /// Why its disk is not used; empty if it is.
    pub(super) refused: String,
}

/// A domain and its classes.
#[derive(Debug, Serialize)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) classes: Vec<Class>,
}

/// A class.
#[derive(Debug, Serialize)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) mindevcount: u64,
    pub(super) replpolicy: String,
    pub(super) hashtype: String,
}

/// All hosts, by id.
pub(super) async fn hosts(tracker: &mut TrackerConnection) -> Result<Vec<Host>, TrackerError> {
    let pairs = tracker.request("get_hosts", &[]).await?;
    let mut hosts: Vec<Host> = (1..=pairs.number("hosts"))
        .map(|index| {
            let of = |name: &str| format!("host{index}_{name}");
            let text = |name: &str| pairs.get(&of(name)).to_owned();
            Host {
                hostid: pairs.number(&of("hostid")),
                hostname: text("hostname"),
                status: text("status"),
                hostip: text("hostip"),
                http_port: pairs.number(&of("http_port")),
                http_get_port: text("http_get_port"),
                altip: text("altip"),
                altmask: text("altmask"),
            }
        })
        .collect();
    hosts.sort_by_key(|host| host.hostid);
    Ok(hosts)
}

/// All devices, by id.
pub(super) async fn devices(tracker: &mut TrackerConnection) -> Result<Vec<Device>, TrackerError> {
    let pairs = tracker.request("get_devices", &[]).await?;
    let mut devices: Vec<Device> = (1..=pairs.number("devices"))
        .map(|index| {
            let of = |name: &str| format!("dev{index}_{name}");
            let text = |name: &str| pairs.get(&of(name)).to_owned();
            Device {
                devid: pairs.number(&of("devid")),
                hostid: pairs.number(&of("hostid")),
                status: text("status"),
                weight: text("weight"),
                mb_total: pairs.number(&of("mb_total")),
                mb_used: pairs.number(&of("mb_used")),
                mb_free: pairs.number(&of("mb_free")),
                observed_state: text("observed_state"),
                utilization: text("utilization"),
                absent_since: text("absent_since"),
                refused: text("refused"),
            }
        })
        .collect();
    devices.sort_by_key(|device| device.devid);
    Ok(devices)
}

/// All domains and their classes, by name.
pub(super) async fn domains(tracker: &mut TrackerConnection) -> Result<Vec<Domain>, TrackerError> {
    let pairs = tracker.request("get_domains", &[]).await?;
    let mut domains: Vec<Domain> = (1..=pairs.number("domains"))
        .map(|index| {
            let mut classes: Vec<Class> = (1..=pairs.number(&format!("domain{index}classes")))
                .map(|class| class_of(&pairs, &format!("domain{index}class{class}")))
                .collect();
            classes.sort_by(|one, other| one.name.cmp(&other.name));
            Domain {
                name: pairs.get(&format!("domain{index}")).to_owned(),
                classes,
            }
        })
        .collect();
    domains.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(domains)
}

fn class_of(pairs: &Pairs, prefix: &str) -> Class {
    let text = |name: &str| pairs.get(&format!("{prefix}{name}")).to_owned();
    Class {
        name: text("name"),
        mindevcount: pairs.number(&format!("{prefix}mindevcount")),
        replpolicy: text("replpolicy"),
        hashtype: text("hashtype"),
    }
}

/// Mebibytes as gibibytes, for people.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures for people; 2^53 MiB is far away"
)]
pub(super) fn gib(mb: u64) -> f64 {
    mb as f64 / 1024.0
}
