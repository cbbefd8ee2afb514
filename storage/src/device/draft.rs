//! A file on its way to a device: nobody sees it before it is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Write},
    num::NonZeroU64,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use rustix::{
    fs::{Advice, FallocateFlags},
    io::Errno,
};

use super::{Device, Durability, Place};
use crate::error::NodeError;

/// Bodies from this size on get their room reserved before the first byte: they lie in one piece, and a full device is
/// known at once. Below, the extra call costs more than it saves.
const RESERVE_MIN: u64 = 1 << 20;

/// Bytes after which a file that is still being written is synced, beside the writing: else the disk would rest while the body
/// comes, and the last sync have all to do. Less would cost a journal commit too often.
const SYNC_AHEAD: u64 = 32 << 20;

/// Bytes after which the disk is set to work on what was written, without waiting for it: a file of tens of megabytes would
/// else be written to the disk when all of it has come, while its client waits.
const WRITE_BACK: u64 = 4 << 20;

/// Slices handed to the operating system in one write.
const SLICES_MAX: usize = 64;

/// A file under its temporary name; dropped before [`Draft::finish`], it is removed.
#[derive(Debug)]
pub(crate) struct Draft {
    device: Arc<Device>,
    place: Place,
    file: File,
    /// The temporary name; `None` once the file has its own.
    temporary: Option<PathBuf>,
    written: u64,
    /// Bytes that were written when the file was last synced ahead.
    synced: u64,
    /// Bytes that the disk was set to work on.
    written_back: u64,
}

impl Draft {
    /// Starts a file for a place; with a known size, room is reserved.
    pub(crate) fn begin(device: Arc<Device>, place: Place, size: Option<u64>) -> Result<Draft, NodeError> {
        device.long_fids.comes(&place);
        let number = device.drafts.fetch_add(1, Ordering::Relaxed);
        let temporary = device.unfinished().join(number.to_string());
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temporary);
        let file = opened.map_err(|error| device.fault(error))?;
        let draft = Draft {
            device,
            place,
            file,
            temporary: Some(temporary),
            written: 0,
            synced: 0,
            written_back: 0,
        };
        draft.reserve(size.unwrap_or(0))?;
        Ok(draft)
    }

    fn reserve(&self, size: u64) -> Result<(), NodeError> {
        if size < RESERVE_MIN {
            return Ok(());
        }
        // Asked first: some file systems hand out all they have before they find that it is not enough.
        if size
            > self
                .device
                .available()
                .map_err(|error| self.device.fault(error))?
        {
            return Err(NodeError::Full);
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, size) {
            // A file system without reservation stores files as well.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(self.device.fault(error.into())),
        }
    }

    /// Appends pieces of the body.
    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> Result<(), NodeError> {
        for group in pieces.chunks(SLICES_MAX) {
            let mut slices: Vec<IoSlice<'_>> = group.iter().map(|piece| IoSlice::new(piece)).collect();
            let written = write_all(&self.file, &mut slices);
            self.written += written.map_err(|error| self.device.fault(error))?;
        }
        self.write_back();
        Ok(())
    }

    /// Sets the disk to work on what was written lately. Linux does that when it is told that the pages are not needed, and keeps
    /// them all the same, because none of them is clean yet (`mm/fadvise.c`); the call made for it, `sync_file_range`, has no
    /// safe form. That it fails shows in the sync.
    fn write_back(&mut self) {
        let length = NonZeroU64::new(self.written - self.written_back);
        if self.device.durability == Durability::Sync
            && length.is_some_and(|length| length.get() >= WRITE_BACK)
        {
            let _ = rustix::fs::fadvise(&self.file, self.written_back, length, Advice::DontNeed);
            self.written_back = self.written;
        }
    }

    /// The file, whenever so much was written to it that it is worth a sync before the end. The sync's error must not be
    /// lost: the operating system tells of it once.
    pub(crate) fn sync_ahead(&mut self) -> Result<Option<File>, NodeError> {
        if self.device.durability == Durability::Cache || self.written - self.synced < SYNC_AHEAD {
            return Ok(None);
        }
        self.synced = self.written;
        let file = self.file.try_clone().map_err(|error| self.device.fault(error))?;
        Ok(Some(file))
    }

    /// The device it is on its way to.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The file, at its end.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Counts bytes that were written to [`Draft::file`], and answers how many.
    pub(super) fn count(&mut self, bytes: u64) -> u64 {
        self.written += bytes;
        bytes
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Gives the file its name and answers its size: after it and its entry are on stable storage, if the device promises so.
    pub(crate) fn finish(mut self) -> Result<u64, NodeError> {
        match self.publish() {
            Ok(()) => Ok(self.written),
            Err(error) => Err(self.device.fault(error)),
        }
    }

    fn publish(&mut self) -> io::Result<()> {
        let path = self.device.path(&self.place);
        let folder = path.parent().expect("a place lies in a folder of its device");
        if self.device.durability == Durability::Sync {
            self.file.sync_data()?;
        }
        self.device.ensure_folder(folder)?;
        self.rename(&path).or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            self.device.forget_folder(folder);
            self.device.ensure_folder(folder)?;
            self.rename(&path)
        })?;
        self.temporary = None;
        match self.device.durability {
            Durability::Sync => self.device.syncs.sync(folder),
            Durability::Cache => Ok(()),
        }
    }

    fn rename(&self, path: &Path) -> io::Result<()> {
        match &self.temporary {
            Some(temporary) => fs::rename(temporary, path),
            None => Ok(()),
        }
    }
}

impl Drop for Draft {
    /// Removes the temporary file; after [`Draft::finish`] there is none. What cannot be removed is swept at the next start.
    fn drop(&mut self) {
        let Some(temporary) = &self.temporary else {
            return;
        };
        if let Err(error) = fs::remove_file(temporary) {
            tracing::warn!(path = %temporary.display(), %error, "an unfinished file was not removed");
        }
    }
}

/// Writes all slices and answers how many bytes they were.
fn write_all(mut file: &File, mut slices: &mut [IoSlice<'_>]) -> io::Result<u64> {
    let mut total = 0;
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                total += u64::try_from(count).expect("usize fits in u64 where Linux runs");
                IoSlice::advance_slices(&mut slices, count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}
