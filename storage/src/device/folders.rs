//! The folders of fids: made when first needed, and never lost.
//!
//! A file is only as durable as the entries of all folders above it. A folder that was found may have been made a moment
//! ago by another writer, or by a process that was killed before it synced; so each folder's ancestors are synced once
//! in the life of the process before the first file in it is answered for.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{Device, Durability, syncs::sync_folder};

/// Folders remembered per device; then all are forgotten, which costs one round of syncs for each that is used again.
const REMEMBERED_MAX: usize = 65_536;

impl Device {
    /// Makes sure that a folder below the device and its ancestors exist and are on stable storage.
    ///
    /// The directory of the device itself is never made.
    pub(super) fn ensure_folder(&self, folder: &Path) -> io::Result<()> {
        if lock(&self.folders).contains(folder) {
            return Ok(());
        }
        let top = self.folder();
        let mut missing: Vec<&Path> = folder.ancestors().take_while(|at| *at != top).collect();
        missing.reverse();
        for at in missing {
            make(at)?;
            if let (Durability::Sync, Some(parent)) = (self.durability, at.parent()) {
                sync_folder(parent)?;
            }
        }
        let mut known = lock(&self.folders);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(folder.to_path_buf());
        Ok(())
    }

    /// Forgets a folder that turned out to be gone.
    pub(super) fn forget_folder(&self, folder: &Path) {
        lock(&self.folders).remove(folder);
    }
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// A thread that panicked cannot leave a set of paths half changed.
fn lock(known: &Mutex<HashSet<PathBuf>>) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
