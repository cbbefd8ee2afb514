//! The file in the root of a device that holds its [`Mark`].
//!
//! It is written once, when the cluster first uses the device, and synced before anybody is told of it. From then on unfinished
//! files lie in a folder below `tmp` that has the disk's name, so that no file can be begun on another disk that was mounted in
//! its place, and no call has to look twice.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Device, UNFINISHED, syncs::sync_folder};
use crate::{error::NodeError, mark::Mark};

/// The file's name.
pub(super) const MARKER: &str = "mogul-device";

/// What stands above the mark, for whoever looks.
const HEADING: &str =
    "# Which device of which cluster this disk is; without it the disk is refused (docs/cluster.md).";

/// The mark that lies in a device's folder.
///
/// # Errors
/// The operating system's, and [`io::ErrorKind::InvalidData`] of a file that holds no mark.
pub(super) fn read(folder: &Path) -> io::Result<Option<Mark>> {
    let path = folder.join(MARKER);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let line = text.lines().find(|line| !line.starts_with('#')).unwrap_or("");
            let mark = line.parse::<Mark>().map_err(|error| {
                let reason = format!(
                    "{}: {error}; remove the file if the disk is to be used here",
                    path.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, reason)
            });
            mark.map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Device {
    /// The mark it bore when it was opened, or was given since.
    #[must_use]
    pub fn mark(&self) -> Option<&Mark> {
        self.mark.get()
    }

    /// Its mark as a text.
    pub(crate) fn mark_text(&self) -> Option<&str> {
        self.mark().map(Mark::as_str)
    }

    /// Whether its disk says that it is another device.
    pub(crate) fn is_misplaced(&self) -> bool {
        self.mark().is_some_and(|mark| mark.device() != self.id)
    }

    /// Whether another marked disk lies in its folder than when it was opened.
    pub(super) fn is_exchanged(&self) -> bool {
        // A mark that is gone, or cannot be read, is no other disk: calls fail on what it was.
        let is_another = || matches!(read(&self.folder()), Ok(Some(found)) if self.mark() != Some(&found));
        // It may be getting its mark at this moment: the file is there first.
        is_another() && {
            let _marking = super::locked(&self.marking);
            is_another()
        }
    }

    /// Gives the device a mark, if it has none, and answers which it bears. The file is on stable storage then.
    ///
    /// # Errors
    /// [`NodeError::NoDevice`] if the mark is another device's, and any other [`NodeError`].
    pub(crate) fn give_mark(&self, mark: &Mark) -> Result<Mark, NodeError> {
        if mark.device() != self.id {
            return Err(NodeError::NoDevice);
        }
        // One at a time: a mark is never replaced.
        let _marking = super::locked(&self.marking);
        if let Some(mark) = self.mark() {
            return Ok(mark.clone());
        }
        self.probe()?;
        let written = || -> io::Result<Mark> {
            let folder = self.folder();
            if let Some(found) = read(&folder)? {
                return Ok(found);
            }
            let draft = self.unfinished().join(MARKER);
            let mut file = File::create(&draft)?;
            writeln!(file, "{HEADING}\n{mark}")?;
            file.sync_all()?;
            make_unfinished(&folder, mark)?;
            fs::rename(&draft, folder.join(MARKER))?;
            sync_folder(&folder)?;
            Ok(mark.clone())
        };
        let mark = written().map_err(|error| self.fault(error))?;
        Ok(self.mark.get_or_init(|| mark).clone())
    }
}

/// Where the unfinished files of a device lie.
pub(super) fn unfinished(folder: &Path, mark: Option<&Mark>) -> PathBuf {
    let tmp = folder.join(UNFINISHED);
    match mark {
        Some(mark) => tmp.join(mark.disk()),
        None => tmp,
    }
}

fn make_unfinished(folder: &Path, mark: &Mark) -> io::Result<()> {
    let unfinished = unfinished(folder, Some(mark));
    fs::create_dir_all(&unfinished)?;
    for made in [unfinished.as_path(), &folder.join(UNFINISHED)] {
        sync_folder(made)?;
    }
    Ok(())
}
