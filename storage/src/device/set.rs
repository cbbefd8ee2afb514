//! The devices that one node serves.
//!
//! Those of `mogul server` are given. Those of a node in the manner of mogstored are the folders `devN` below its docroot,
//! and an operator may make one more while the node runs. A disk that is mounted while the node runs is taken into use, and one
//! that is mounted in the place of another is seen for what it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use super::{Device, Durability};
use crate::{error::NodeError, fid::DevId};

/// How often the usage files are written, as mogstored does (MogileFS reference §24.1).
const USAGE_EVERY: Duration = Duration::from_secs(10);

/// The devices that one node serves.
#[derive(Debug)]
pub struct Devices {
    open: RwLock<Vec<Arc<Device>>>,
    /// Folders whose folders `devN` are devices.
    roots: Vec<PathBuf>,
    durability: Durability,
}

impl Devices {
    /// The set of these devices; it stays as it is.
    #[must_use]
    pub fn new(devices: Vec<Device>) -> Devices {
        let sync = devices.iter().all(|device| device.durability == Durability::Sync);
        Devices {
            open: RwLock::new(devices.into_iter().map(Arc::new).collect()),
            roots: Vec::new(),
            durability: if sync { Durability::Sync } else { Durability::Cache },
        }
    }

    /// As well as these the folders `devN` that appear below `roots`: disks that are not mounted yet.
    #[must_use]
    pub fn watching(mut self, roots: Vec<PathBuf>) -> Devices {
        self.roots = roots;
        self
    }

    /// The folders `devN` below a docroot, those included that are made later. One that cannot be used is left out and
    /// told of in the log.
    ///
    /// # Errors
    /// The operating system's, if the docroot cannot be read.
    pub fn below(docroot: &Path, durability: Durability) -> io::Result<Devices> {
        let devices = Devices {
            open: RwLock::default(),
            roots: vec![docroot.canonicalize()?],
            durability,
        };
        for id in folders_of_devices(docroot)? {
            devices.take_up(id);
        }
        Ok(devices)
    }

    /// What all of them promise of a stored file.
    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// The numbers of all of them, ascending.
    #[must_use]
    pub fn numbers(&self) -> Vec<DevId> {
        let mut numbers: Vec<DevId> = self.all().iter().map(|device| device.id).collect();
        numbers.sort_unstable();
        numbers
    }

    /// One of them, if it is in use. Never blocks.
    pub(crate) fn get(&self, id: DevId) -> Result<Arc<Device>, NodeError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let found = open.iter().find(|device| device.id == id);
        found.cloned().ok_or(NodeError::NoDevice)
    }

    /// Whether a device that is not in use may have appeared: then [`Devices::take_up`] looks for it.
    pub(crate) fn grows(&self) -> bool {
        !self.roots.is_empty()
    }

    /// Takes a device into use if its folder is there, anew if another marked disk lies in it than before.
    pub(crate) fn take_up(&self, id: DevId) {
        if let Ok(device) = self.get(id)
            && !device.is_exchanged()
        {
            return;
        }
        // Two devices of one folder would sweep each other's unfinished files: the lock is held while one is opened.
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let before = open.iter().position(|device| device.id == id);
        let root = match before.map(|index| &open[index]) {
            Some(device) if !device.is_exchanged() => return,
            Some(device) => device.root.clone(),
            None => match self.root_of(id) {
                Some(root) => root.clone(),
                None => return,
            },
        };
        let opened = match Device::open(&root, id, self.durability) {
            Ok(opened) => Arc::new(opened),
            Err(error) => {
                tracing::warn!(devid = id.get(), %error, "device cannot be used; it must be writable by this user");
                return;
            }
        };
        tracing::info!(devid = id.get(), path = %root.display(), "device taken into use");
        match before {
            Some(index) => open[index] = opened,
            None => open.push(opened),
        }
    }

    /// The root that has a folder of a device.
    fn root_of(&self, id: DevId) -> Option<&PathBuf> {
        let folder = format!("dev{id}");
        self.roots.iter().find(|root| root.join(&folder).is_dir())
    }

    /// All of them at this moment.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Device>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the usage files fresh and takes new folders into use. Never returns.
    ///
    /// # Cancel safety
    /// Dropped at any time, what is being written is finished.
    #[expect(
        clippy::disallowed_methods,
        reason = "the figures of a disk follow the wall clock; no simulated clock drives it"
    )]
    pub async fn tend(self: Arc<Self>) {
        loop {
            tokio::time::sleep(USAGE_EVERY).await;
            let devices = Arc::clone(&self);
            if let Err(lost) = tokio::task::spawn_blocking(move || devices.look()).await {
                tracing::warn!(error = %lost, "the usage files were not written");
            }
        }
    }

    fn look(&self) {
        for root in &self.roots {
            match folders_of_devices(root) {
                Ok(found) => found.into_iter().for_each(|id| self.take_up(id)),
                Err(error) => tracing::warn!(path = %root.display(), %error, "the docroot cannot be read"),
            }
        }
        for device in self.all() {
            self.take_up(device.id);
        }
        for device in self.all().into_iter().filter(|device| !device.is_misplaced()) {
            if let Err(error) = device.write_usage() {
                tracing::warn!(devid = device.id.get(), %error, "the usage file was not written");
            }
        }
    }
}

/// The numbers of the folders `devN` in a folder.
fn folders_of_devices(docroot: &Path) -> io::Result<Vec<DevId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(docroot)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(id) = name.to_str().and_then(DevId::of_folder)
            && entry.path().is_dir()
        {
            found.push(id);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Mark;

    #[test]
    fn folders_below_a_docroot_are_devices_also_those_made_later() {
        let root = tempfile::tempdir().unwrap();
        for name in ["dev2", "dev10", "dev01", "device3", "dev"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("dev4"), "no folder").unwrap();
        let devices = Devices::below(root.path(), Durability::Cache).unwrap();
        let number = |id| DevId::new(id).unwrap();
        assert_eq!(devices.numbers(), [number(2), number(10)]);

        fs::create_dir(root.path().join("dev3")).unwrap();
        devices.look();

        assert_eq!(devices.numbers(), [number(2), number(3), number(10)]);
        assert!(root.path().join("dev3/usage").is_file());
    }

    #[test]
    fn a_device_that_is_just_given_its_mark_is_not_opened_anew() {
        for disk in 0..20 {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("dev1")).unwrap();
            let devices = Devices::below(root.path(), Durability::Cache).unwrap();
            let id = DevId::new(1).unwrap();
            let device = devices.get(id).unwrap();

            std::thread::scope(|scope| {
                scope.spawn(|| device.give_mark(&Mark::new([7; 16], id, [disk; 16])).unwrap());
                scope.spawn(|| {
                    while device.mark().is_none() {
                        devices.take_up(id);
                    }
                });
            });

            // Opened anew it would sweep the uploads that are under way.
            assert!(Arc::ptr_eq(&device, &devices.get(id).unwrap()));
        }
    }

    #[test]
    fn the_usage_file_of_a_device_that_was_unmounted_is_not_written() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dev1")).unwrap();
        let devices = Devices::below(root.path(), Durability::Cache).unwrap();
        fs::remove_dir_all(root.path().join("dev1")).unwrap();
        fs::create_dir(root.path().join("dev1")).unwrap();

        devices.look();

        assert_eq!(fs::read_dir(root.path().join("dev1")).unwrap().count(), 0);
    }
}
