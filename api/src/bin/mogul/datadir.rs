//! The data directories that `mogul server` is given: one device in each, the database and root's key in the first.
//!
//! A DIR keeps the number of the `devN` below it for life; a new one gets the next free number. One that is empty, but held
//! a device when the server last ran, is not new: its disk is not mounted. What is below `devN` is the business of
//! `mogul-storage`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use mogul_storage::DevId;

/// The database below the first DIR.
const DATABASE: &str = "mogul.db";

/// The file whose lock says that a server uses this DIR.
const LOCK: &str = "mogul.lock";

/// Why a data directory cannot be used. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// It cannot be made, read or written.
    #[error("cannot use the data directory {}: {cause}; give one that this user may write", dir.display())]
    Inaccessible {
        /// The directory.
        dir: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Another server uses it.
    #[error("the data directory {} is in use by another mogul server; stop that one or choose another DIR", .0.display())]
    InUse(PathBuf),
    /// The same directory is given twice.
    #[error("the data directory {} is given twice; each DIR is one device", .0.display())]
    Twice(PathBuf),
    /// Several devices lie in one directory.
    #[error("the data directory {} holds more than one device ({}); a DIR holds one: move the others into DIRs of their own", dir.display(), names(devices))]
    SeveralDevices {
        /// The directory.
        dir: PathBuf,
        /// The devices.
        devices: Vec<DevId>,
    },
    /// Two directories hold a device of the same number.
    #[error("both {} and {} hold dev{device}; a number belongs to one device: leave one of the two DIRs out", first.display(), second.display())]
    SameDevice {
        /// The number.
        device: DevId,
        /// The directory that comes first.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// The database is in a directory that is not the first.
    #[error("the database is in {}, not in {}: name {} first", found.display(), first.display(), found.display())]
    DatabaseElsewhere {
        /// Where it is.
        found: PathBuf,
        /// The directory that was named first.
        first: PathBuf,
    },
    /// There are files without the database that describes them: a new one would give their numbers away again.
    #[error("{} holds files but {} holds no {DATABASE}: bring the database back, or give empty DIRs", dir.display(), first.display())]
    DatabaseMissing {
        /// A directory with files.
        dir: PathBuf,
        /// The directory that should hold the database.
        first: PathBuf,
    },
}

fn names(devices: &[DevId]) -> String {
    let names: Vec<String> = devices.iter().map(|device| format!("dev{device}")).collect();
    names.join(", ")
}

/// The data directories of this process, locked while this value lives.
#[derive(Debug)]
pub(crate) struct DataDirs {
    dirs: Vec<DataDir>,
}

/// A directory and the device that belongs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The directory.
    pub(crate) dir: PathBuf,
    /// The device.
    pub(crate) device: DevId,
    /// Whether it is there.
    pub(crate) presence: Presence,
}

/// Whether a device is in its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It was there, or is to be made.
    Here,
    /// It was there when the server last ran.
    Away,
}

/// One data directory.
#[derive(Debug)]
struct DataDir {
    path: PathBuf,
    /// The device that lies in it, if one does.
    device: Option<DevId>,
    /// Held for its lock, which the operating system takes back however the process ends.
    _lock: File,
}

impl DataDirs {
    /// Makes the directories where they are missing, locks them, and looks what they hold.
    ///
    /// # Errors
    /// Any [`DataDirError`]; no device is made then.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<DataDirs, DataDirError> {
        let dirs = DataDirs::lock_all(paths)?;
        dirs.check_numbers()?;
        dirs.check_database()?;
        Ok(dirs)
    }

    fn lock_all(paths: &[PathBuf]) -> Result<DataDirs, DataDirError> {
        let mut seen = BTreeSet::new();
        let mut dirs = Vec::new();
        for path in paths {
            let inaccessible = |cause| DataDirError::Inaccessible {
                dir: path.clone(),
                cause,
            };
            std::fs::create_dir_all(path).map_err(inaccessible)?;
            let path = path.canonicalize().map_err(inaccessible)?;
            if !seen.insert(path.clone()) {
                return Err(DataDirError::Twice(path));
            }
            dirs.push(DataDir::open(path)?);
        }
        Ok(DataDirs { dirs })
    }

    /// As [`DataDirs::open`], for a node without a database.
    ///
    /// # Errors
    /// Any [`DataDirError`] but those of the database.
    pub(crate) fn open_devices(paths: &[PathBuf]) -> Result<DataDirs, DataDirError> {
        let dirs = DataDirs::lock_all(paths)?;
        dirs.check_numbers()?;
        Ok(dirs)
    }

    /// The directories' paths.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.dirs
            .iter()
            .map(|dir| dir.path.display().to_string())
            .collect()
    }

    /// Each directory with the device that lies in it.
    pub(crate) fn found(&self) -> impl Iterator<Item = (PathBuf, Option<DevId>)> {
        self.dirs.iter().map(|dir| (dir.path.clone(), dir.device))
    }

    /// The first directory.
    pub(crate) fn first(&self) -> &Path {
        &self.dirs[0].path
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.first().join(DATABASE)
    }

    /// Each directory with its device. One that holds none has the device that it held when the server last ran (`places`); else
    /// it gets the smallest number that is neither on another nor among `taken`: a device that is on record but not here now
    /// must not be taken for a new, empty one.
    pub(crate) fn devices(
        &self,
        taken: impl Iterator<Item = DevId>,
        places: &BTreeMap<DevId, String>,
    ) -> Vec<Place> {
        let here: BTreeSet<DevId> = self.dirs.iter().filter_map(|dir| dir.device).collect();
        let held = |dir: &Path| {
            let mut away = places.iter().filter(|(device, _)| !here.contains(*device));
            away.find(|(_, place)| Path::new(place) == dir)
                .map(|(device, _)| *device)
        };
        let mut used: BTreeSet<DevId> = taken
            .chain(here.iter().copied())
            .chain(places.keys().copied())
            .collect();
        let mut place = |dir: &DataDir| {
            let (device, presence) = match (dir.device, held(&dir.path)) {
                (Some(device), _) => (device, Presence::Here),
                (None, Some(device)) => (device, Presence::Away),
                (None, None) => (next_free(&used), Presence::Here),
            };
            used.insert(device);
            Place {
                dir: dir.path.clone(),
                device,
                presence,
            }
        };
        self.dirs.iter().map(&mut place).collect()
    }

    fn check_numbers(&self) -> Result<(), DataDirError> {
        for (index, second) in self.dirs.iter().enumerate() {
            let Some(device) = second.device else { continue };
            if let Some(first) = self.dirs[..index].iter().find(|dir| dir.device == Some(device)) {
                return Err(DataDirError::SameDevice {
                    device,
                    first: first.path.clone(),
                    second: second.path.clone(),
                });
            }
        }
        Ok(())
    }

    fn check_database(&self) -> Result<(), DataDirError> {
        if self.database().exists() {
            return Ok(());
        }
        let first = self.first().to_owned();
        if let Some(dir) = self.dirs.iter().find(|dir| dir.path.join(DATABASE).exists()) {
            let found = dir.path.clone();
            return Err(DataDirError::DatabaseElsewhere { found, first });
        }
        match self.dirs.iter().find(|dir| dir.holds_files()) {
            Some(dir) => Err(DataDirError::DatabaseMissing {
                dir: dir.path.clone(),
                first,
            }),
            None => Ok(()),
        }
    }
}

impl DataDir {
    fn open(path: PathBuf) -> Result<DataDir, DataDirError> {
        let inaccessible = |cause| DataDirError::Inaccessible {
            dir: path.clone(),
            cause,
        };
        let lock = lock(&path)?;
        let mut devices = devices_in(&path).map_err(inaccessible)?;
        if devices.len() > 1 {
            return Err(DataDirError::SeveralDevices { dir: path, devices });
        }
        Ok(DataDir {
            path,
            device: devices.pop(),
            _lock: lock,
        })
    }

    /// Whether any fid may lie here: fids are below `devN/0` … `devN/9`.
    fn holds_files(&self) -> bool {
        self.device.is_some_and(|device| {
            let root = self.path.join(format!("dev{device}"));
            (0..10).any(|digit| root.join(digit.to_string()).exists())
        })
    }
}

/// Locks a directory for this process.
fn lock(path: &Path) -> Result<File, DataDirError> {
    let inaccessible = |cause| DataDirError::Inaccessible {
        dir: path.to_owned(),
        cause,
    };
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(path.join(LOCK))
        .map_err(inaccessible)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(path.to_owned())),
        Err(TryLockError::Error(cause)) => return Err(inaccessible(cause)),
    }
    // For the operator who looks; nobody reads it.
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(inaccessible)?;
    Ok(file)
}

/// The devices below a directory, by number.
fn devices_in(path: &Path) -> io::Result<Vec<DevId>> {
    let mut devices = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(device) = name.to_str().and_then(DevId::of_folder)
            && entry.path().is_dir()
        {
            devices.push(device);
        }
    }
    devices.sort_unstable();
    Ok(devices)
}

fn next_free(used: &BTreeSet<DevId>) -> DevId {
    (1..=DevId::MAX.get())
        .filter_map(DevId::new)
        .find(|device| !used.contains(device))
        .expect("a command line cannot name 16 million directories")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(names: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let paths = names.iter().map(|name| folder.path().join(name)).collect();
        (folder, paths)
    }

    fn numbers(paths: &[PathBuf], taken: &[u32]) -> Vec<u32> {
        let dirs = DataDirs::open(paths).unwrap();
        let taken = taken.iter().filter_map(|number| DevId::new(*number));
        let places = dirs.devices(taken, &BTreeMap::new());
        places.iter().map(|place| place.device.get()).collect()
    }

    #[test]
    fn new_directories_get_numbers_in_order() {
        let (_folder, paths) = dirs(&["a", "b", "c"]);

        assert_eq!(numbers(&paths, &[]), [1, 2, 3]);
    }

    #[test]
    fn an_existing_device_keeps_its_number_and_a_new_one_takes_the_next_free() {
        let (_folder, paths) = dirs(&["a", "b", "c"]);
        std::fs::create_dir_all(paths[1].join("dev1")).unwrap();
        std::fs::create_dir_all(paths[1].join("device9")).unwrap();

        assert_eq!(numbers(&paths, &[]), [2, 1, 3]);
    }

    #[test]
    fn a_device_that_is_on_record_but_away_keeps_its_number() {
        let (_folder, paths) = dirs(&["a", "b"]);
        std::fs::create_dir_all(paths[0].join("dev1")).unwrap();

        assert_eq!(numbers(&paths, &[1, 2]), [1, 3]);
    }

    #[test]
    fn an_empty_directory_that_held_a_device_is_not_taken_for_a_new_one() {
        let (_folder, paths) = dirs(&["a", "b", "c"]);
        std::fs::create_dir_all(paths[0].join("dev1")).unwrap();
        let dirs = DataDirs::open(&paths).unwrap();
        let device = |number| DevId::new(number).unwrap();
        let place = |path: &PathBuf| path.canonicalize().unwrap().display().to_string();
        let held = BTreeMap::from([(device(1), place(&paths[1])), (device(2), place(&paths[1]))]);

        let found = dirs.devices(held.keys().copied(), &held);

        let seen: Vec<_> = found
            .iter()
            .map(|place| (place.device.get(), place.presence))
            .collect();
        assert_eq!(
            seen,
            [(1, Presence::Here), (2, Presence::Away), (3, Presence::Here)]
        );
    }

    #[test]
    fn two_servers_never_share_a_directory() {
        let (_folder, paths) = dirs(&["a", "b"]);
        let held = DataDirs::open(&paths).unwrap();

        let refused = DataDirs::open(&paths[1..]).unwrap_err();
        assert!(matches!(refused, DataDirError::InUse(_)), "{refused}");

        drop(held);
        DataDirs::open(&paths).unwrap();
    }

    #[test]
    fn a_directory_counts_once_and_holds_one_device() {
        let (_folder, paths) = dirs(&["a", "b", "a"]);
        assert!(matches!(DataDirs::open(&paths), Err(DataDirError::Twice(_))));

        std::fs::create_dir_all(paths[0].join("dev1")).unwrap();
        std::fs::create_dir_all(paths[1].join("dev1")).unwrap();
        assert!(matches!(
            DataDirs::open(&paths[..2]),
            Err(DataDirError::SameDevice { .. })
        ));

        std::fs::create_dir_all(paths[0].join("dev2")).unwrap();
        let refused = DataDirs::open(&paths[..1]).unwrap_err();
        assert!(refused.to_string().contains("dev1, dev2"), "{refused}");
    }

    #[test]
    fn files_without_their_database_are_not_taken_for_a_fresh_start() {
        let (_folder, paths) = dirs(&["a", "b"]);
        std::fs::create_dir_all(paths[1].join("dev1/0/000")).unwrap();
        assert!(matches!(
            DataDirs::open(&paths),
            Err(DataDirError::DatabaseMissing { .. })
        ));

        std::fs::write(paths[1].join(DATABASE), "").unwrap();
        assert!(matches!(
            DataDirs::open(&paths),
            Err(DataDirError::DatabaseElsewhere { .. })
        ));
        let swapped: Vec<_> = paths.iter().rev().cloned().collect();
        DataDirs::open(&swapped).unwrap();
    }

    #[test]
    fn a_directory_below_a_file_is_refused_by_name() {
        let (folder, _) = dirs(&[]);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();

        let refused = DataDirs::open(&[file.join("data")]).unwrap_err().to_string();
        assert!(
            refused.contains("file/data") && !refused.contains('\n'),
            "{refused}"
        );
    }
}
