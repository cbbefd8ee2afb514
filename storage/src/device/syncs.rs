//! Syncs of folders, shared: writers who wait at the same time are answered by one.
//!
//! A round is a set of folders. Who needs a folder synced adds it to the round that has not begun, so that the sync starts
//! after the rename it is for. The first who finds nobody at work leads: it closes the round, syncs its folders and
//! wakes all who wait for that round. Sixty-four writers of small files in one folder thus cost a few syncs and
//! no thread of their own.

use std::{
    collections::BTreeSet,
    fs::File,
    io, mem,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
};

use rustix::io::Errno;

/// The shared syncs of one device.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    state: Mutex<State>,
    round_ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: Round,
    led: Leader,
}

#[derive(Debug, Default)]
struct Round {
    folders: BTreeSet<PathBuf>,
    outcome: Arc<OnceLock<Result<(), Errno>>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Leader {
    #[default]
    Nobody,
    AtWork,
}

impl Syncs {
    /// Returns after a sync of the folder that began after the call.
    pub(super) fn sync(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.next.folders.contains(folder) {
            state.next.folders.insert(folder.to_path_buf());
        }
        let outcome = Arc::clone(&state.next.outcome);
        loop {
            if let Some(outcome) = outcome.get() {
                return outcome.map_err(io::Error::from);
            }
            if state.led == Leader::AtWork {
                let woken = self.round_ended.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.led = Leader::AtWork;
            let round = mem::take(&mut state.next);
            drop(state);
            let result = round.folders.iter().try_for_each(|folder| sync_folder(folder));
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let result = result.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
            round.outcome.get_or_init(|| result);
            state.led = Leader::Nobody;
            self.round_ended.notify_all();
        }
    }
}

/// Puts the entries of a folder on stable storage.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
