//! One device root: where files lie and how they are read. All blocking file work of the project is in this room.
//!
//! A file is written under a temporary name in `devN/tmp` and renamed when it is whole (`draft.rs`); what a crash leaves
//! behind is in that one folder and swept at start. The folder has a second use: it is made when the device is opened and
//! never again, so that a device which is unmounted later is noticed (its mount point has no `tmp`) and nothing is ever
//! written below a bare mount point, a thing the original mogstored does. Once the device has a mark (`marker.rs`), the folder is
//! `tmp/DISK`, which no other disk has either. For the same reason no folder is kept open between calls: that would keep an
//! operator from unmounting.
//!
//! The functions block. [`crate::server`] calls them on threads made for that.

mod bulk;
pub(crate) mod clients;
pub(crate) mod draft;
mod folders;
mod list;
mod marker;
mod set;
mod syncs;
mod whole;

pub use set::Devices;

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicU64},
    time::SystemTime,
};

use bytes::Bytes;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::{Errno, ReadWriteFlags},
};

use crate::{
    error::NodeError,
    fid::{DevFid, DevId},
    mark::Mark,
    node::Removal,
    usage,
};

/// The folder of unfinished files below a device.
const UNFINISHED: &str = "tmp";

/// The file below a device that tells how full it is.
const USAGE: &str = "usage";

/// Longest name of a file in bytes: that of any file on Linux.
const NAME_MAX: usize = 255;

/// Most names in a path below a device; those of fids have four.
const FOLDERS_MAX: usize = 16;

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
    root: PathBuf,
    durability: Durability,
    /// Set once, when it is opened or when the cluster first uses it.
    mark: OnceLock<Mark>,
    /// Held by whoever gives it its mark.
    marking: Mutex<()>,
    drafts: AtomicU64,
    syncs: syncs::Syncs,
    clients: clients::Clients,
    long_fids: list::LongFids,
    /// Folders known to exist and to be on stable storage; see [`folders`].
    folders: Mutex<HashSet<PathBuf>>,
}

/// A file that a device may hold: a fid, or another name. Its path comes from integers or checked names, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(String);

/// An open file.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The file.
    pub(crate) file: File,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When it was written.
    pub(crate) modified: SystemTime,
}

impl Place {
    /// Where a fid lies.
    pub(crate) fn of(at: DevFid) -> Place {
        Place(at.path())
    }

    /// Where a file of another name lies, if it is one that mogstored would take and that is not ours to keep: trackers
    /// write into `test-write`, operators what they like.
    pub(crate) fn named(device: DevId, path: &str) -> Option<Place> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let plain = |name: &str| {
            !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && name.bytes().all(allowed)
        };
        let ours = [UNFINISHED, marker::MARKER].contains(&path.split('/').next().unwrap_or(""));
        let good = !ours && path.split('/').count() <= FOLDERS_MAX && path.split('/').all(plain);
        good.then(|| Place(format!("/dev{device}/{path}")))
    }

    /// The name of the file, without its folders.
    fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// What follows the last dot of the name.
    pub(crate) fn suffix(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(_, suffix)| suffix)
    }
}

impl Device {
    /// Opens the device `devN` below `root`, makes its directory if it is missing, and sweeps what a crash left unfinished.
    ///
    /// # Errors
    /// The operating system's, if the directory cannot be made or written, or its marker not be read.
    pub fn open(root: &Path, id: DevId, durability: Durability) -> io::Result<Device> {
        let mark = marker::read(&root.join(format!("dev{id}")))?;
        let device = Device {
            id,
            root: root.to_path_buf(),
            durability,
            mark: mark.map_or_else(OnceLock::new, OnceLock::from),
            marking: Mutex::default(),
            drafts: AtomicU64::new(0),
            syncs: syncs::Syncs::default(),
            clients: clients::Clients::default(),
            long_fids: list::LongFids::default(),
            folders: Mutex::default(),
        };
        let unfinished = device.unfinished();
        if device.is_misplaced() {
            let (path, mark) = (device.folder(), device.mark_text());
            tracing::error!(devid = id.get(), path = %path.display(), mark,
                "the disk is another device, and refused; mount it where it belongs");
            return Ok(device);
        }
        fs::create_dir_all(&unfinished)?;
        device.sweep(&unfinished)?;
        for folder in [unfinished.as_path(), &device.folder(), root] {
            syncs::sync_folder(folder)?;
        }
        device.write_usage()?;
        Ok(device)
    }

    /// Removes what a crash left unfinished, also under an earlier mark or none.
    fn sweep(&self, unfinished: &Path) -> io::Result<()> {
        for folder in [self.folder().join(UNFINISHED).as_path(), unfinished] {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if !path.is_dir() {
                    fs::remove_file(path)?;
                } else if path != unfinished {
                    fs::remove_dir_all(path)?;
                }
            }
        }
        Ok(())
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> DevId {
        self.id
    }

    /// Opens a file for reading. A folder is [`NodeError::Device`] with [`io::ErrorKind::IsADirectory`].
    pub(crate) fn read(&self, place: &Place) -> Result<Opened, NodeError> {
        let opened = File::open(self.path(place)).and_then(Opened::new);
        opened.map_err(|error| self.fault(error))
    }

    /// Opens a file if that takes no disk: its path and what is known of it are in memory. Never blocks. `None` says nothing
    /// of the file.
    pub(crate) fn read_cached(&self, place: &Place) -> Option<Opened> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let path = self.path(place);
        let file = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
        Opened::new(File::from(file)).ok()
    }

    /// Deletes a file. Fids are the same on all disks: one that was mounted in the place of the device's own keeps its copy.
    pub(crate) fn remove(&self, place: &Place) -> Result<Removal, NodeError> {
        self.probe()?;
        match fs::remove_file(self.path(place)).map_err(|error| self.fault(error)) {
            Ok(()) => Ok(Removal::Removed),
            Err(NodeError::NotFound) => Ok(Removal::WasAbsent),
            Err(error) => Err(error),
        }
    }

    /// Refuses if the device's directory is not there.
    pub(crate) fn probe(&self) -> Result<(), NodeError> {
        match fs::metadata(self.unfinished()) {
            Ok(_) => Ok(()),
            Err(_) => Err(NodeError::NoDevice),
        }
    }

    /// The size of a file or folder in bytes.
    pub(crate) fn size(&self, place: &Place) -> Result<u64, NodeError> {
        let about = fs::metadata(self.path(place));
        Ok(about.map_err(|error| self.fault(error))?.len())
    }

    /// The block device that it lies on, as the kernel's statistics name it.
    pub(crate) fn disk(&self) -> io::Result<String> {
        usage::disk_of(&self.folder())
    }

    /// Writes the usage file anew, for those who read it from the disk. A reader sees the old one or the new one.
    fn write_usage(&self) -> io::Result<()> {
        let fresh = self.unfinished().join(USAGE);
        fs::write(&fresh, usage::read(&self.folder())?)?;
        fs::rename(fresh, self.folder().join(USAGE))
    }

    /// Its usage file, as fresh as the call.
    pub(crate) fn usage(&self) -> Result<String, NodeError> {
        self.probe()?;
        usage::read(&self.folder()).map_err(|error| self.fault(error))
    }

    /// Bytes that can still be written.
    fn available(&self) -> io::Result<u64> {
        let about = rustix::fs::statvfs(self.folder())?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    /// What an error of the operating system says of a device or one of its files.
    fn fault(&self, error: io::Error) -> NodeError {
        let missing = error.kind() == io::ErrorKind::NotFound;
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            _ if missing => self.probe().err().unwrap_or(NodeError::NotFound),
            Some(Errno::NOSPC | Errno::DQUOT) => NodeError::Full,
            _ => NodeError::Device(error),
        }
    }

    fn path(&self, place: &Place) -> PathBuf {
        self.root.join(place.0.trim_start_matches('/'))
    }

    fn folder(&self) -> PathBuf {
        self.root.join(format!("dev{}", self.id))
    }

    fn unfinished(&self) -> PathBuf {
        marker::unfinished(&self.folder(), self.mark())
    }
}

/// A thread that panicked leaves nothing half changed below these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Opened {
    fn new(file: File) -> io::Result<Opened> {
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Opened {
            size: about.len(),
            modified: about.modified()?,
            file,
        })
    }

    /// Reads `length` bytes from `offset` on if all of them are in memory. Never blocks.
    pub(crate) fn cached(&self, offset: u64, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok()?;
        let mut bytes = vec![0; length];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let read = rustix::io::preadv2(&self.file, &mut slices, offset, ReadWriteFlags::NOWAIT);
        (read == Ok(length)).then(|| Bytes::from(bytes))
    }

    /// Reads `length` bytes from `offset` on.
    pub(crate) fn exactly(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(Bytes::from(bytes))
    }
}
