//! Hosts and devices as the tables have them; what the monitor saw of them is in [`crate::view`].

use std::fmt;

use mogul_storage::{DevId, Mark};

/// `hostid`: the number of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

/// `host.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostStatus {
    /// In use.
    Alive,
    /// Away for now.
    Down,
    /// Gone for good.
    Dead,
    /// Read, not written.
    ReadOnly,
}

impl HostStatus {
    /// All states.
    pub const ALL: [HostStatus; 4] = [
        HostStatus::Alive,
        HostStatus::Down,
        HostStatus::Dead,
        HostStatus::ReadOnly,
    ];

    /// The state as `host.status` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HostStatus::Alive => "alive",
            HostStatus::Down => "down",
            HostStatus::Dead => "dead",
            HostStatus::ReadOnly => "readonly",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<HostStatus> {
        HostStatus::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// A row of `host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its number.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: HostStatus,
    /// Its address, IPv4 text or a name.
    pub ip: String,
    /// The port of its storage node.
    pub port: u16,
    /// The port for reads, if another.
    pub get_port: Option<u16>,
    /// A second address, for clients of another network.
    pub alt_ip: Option<String>,
    /// The network whose clients use `alt_ip`.
    pub alt_mask: Option<String>,
}

/// `device.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    /// In use.
    Alive,
    /// Away for now.
    Down,
    /// Gone for good: its replicas are forgotten and made anew elsewhere.
    Dead,
    /// Read, not written.
    ReadOnly,
    /// Read, not written, and to be emptied.
    Drain,
}

impl DeviceStatus {
    /// All states.
    pub const ALL: [DeviceStatus; 5] = [
        DeviceStatus::Alive,
        DeviceStatus::Down,
        DeviceStatus::Dead,
        DeviceStatus::ReadOnly,
        DeviceStatus::Drain,
    ];

    /// The state as `device.status` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceStatus::Alive => "alive",
            DeviceStatus::Down => "down",
            DeviceStatus::Dead => "dead",
            DeviceStatus::ReadOnly => "readonly",
            DeviceStatus::Drain => "drain",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<DeviceStatus> {
        DeviceStatus::ALL
            .into_iter()
            .find(|status| status.as_str() == name)
    }
}

/// A row of `device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub id: DevId,
    /// The host it is in.
    pub host: HostId,
    /// Its state.
    pub status: DeviceStatus,
    /// Its weight for reads, 100 if never set.
    pub weight: i32,
    /// Size in MiB, when known.
    pub mb_total: Option<u64>,
    /// Used MiB, when known.
    pub mb_used: Option<u64>,
    /// When the two were read, unix seconds.
    pub mb_asof: Option<i64>,
    /// Which disk it is, once it has been marked.
    pub mark: Option<Mark>,
}

/// Why the disk that lies in the place of a device is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The node does not have the device's directory, or another disk was mounted over it.
    NotThere,
    /// It has no mark, but the device has one.
    Unmarked,
    /// It has no mark and no files, but the device has files on record.
    Empty,
    /// It is a device of another cluster.
    OtherCluster,
    /// It is another device of this cluster.
    OtherDevice(DevId),
    /// It was this device before another disk was.
    EarlierDisk,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotThere => f.write_str("the node does not have it: is the disk mounted?"),
            Refusal::Unmarked => f.write_str("the disk has no mark: it is not mounted, or is a new one"),
            Refusal::Empty => f.write_str("the disk is empty, but the device has files on record"),
            Refusal::OtherCluster => f.write_str("the disk belongs to another cluster"),
            Refusal::OtherDevice(other) => write!(f, "the disk is dev{other}"),
            Refusal::EarlierDisk => f.write_str("the disk was replaced by another one under this number"),
        }
    }
}
