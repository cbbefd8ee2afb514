//! The fids on a device in ascending order, by walking its folders from the first one wanted.

use std::{
    collections::BTreeSet,
    fs::{self, DirEntry},
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{Device, Place};
use crate::{
    error::NodeError,
    fid::{DevFid, Fid},
};

/// Digits of the numbers whose folders are in their own order. Longer numbers lie in the folder of their first seven
/// digits, between shorter ones (MogileFS `DevFID.pm`).
const ORDERED_DIGITS: usize = 10;

/// The largest fid with that many digits.
const ORDERED_MAX: u64 = 9_999_999_999;

/// Folders above the files: `b`, `mmm`, `ttt`, and their digits.
const FOLDER_DIGITS: [usize; 3] = [1, 3, 3];

impl Device {
    /// Fids from `first` on, at most `limit`, in ascending order.
    ///
    /// Costs the reading of a folder per thousand fids. Fids of more than ten digits cost a walk through all folders
    /// per call that comes to the end of the others: nobody has written ten thousand million files to a device yet. Where
    /// there are none, that is found out once.
    pub(crate) fn list(&self, first: Fid, limit: usize) -> Result<Vec<Fid>, NodeError> {
        self.probe()?;
        let found = self.ordered(first, limit)?;
        let mut found: Vec<Fid> = found.into_iter().map(|(fid, _)| fid).collect();
        found.extend(self.long(first, limit - found.len())?);
        Ok(found)
    }

    /// As [`Device::list`], with the bytes of each file; one that vanishes meanwhile is left out.
    pub(crate) fn sizes(&self, first: Fid, limit: usize) -> Result<Vec<(Fid, u64)>, NodeError> {
        self.probe()?;
        let found = self.ordered(first, limit)?;
        let long = self.long(first, limit - found.len())?;
        let mut sizes = Vec::with_capacity(found.len() + long.len());
        let mut add = |fid, about: io::Result<fs::Metadata>| match about {
            Ok(about) => {
                sizes.push((fid, about.len()));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.fault(error)),
        };
        for (fid, entry) in found {
            // By the open folder: cheaper than by the path.
            add(fid, entry.metadata())?;
        }
        for fid in long {
            let place = Place::of(DevFid { device: self.id, fid });
            add(fid, fs::metadata(self.path(&place)))?;
        }
        Ok(sizes)
    }

    /// Files whose folders are in the order of their fids.
    fn ordered(&self, first: Fid, limit: usize) -> Result<Vec<(Fid, DirEntry)>, NodeError> {
        let mut walk = Ordered {
            device: self,
            first,
            limit,
            found: Vec::new(),
        };
        if first.get() <= ORDERED_MAX {
            let start = format!("{:0ORDERED_DIGITS$}", first.get());
            walk.folder(&self.folder(), Some(&start), &FOLDER_DIGITS)
                .map_err(|error| self.fault(error))?;
        }
        Ok(walk.found)
    }

    /// Files whose folders are not.
    fn long(&self, first: Fid, room: usize) -> Result<BTreeSet<Fid>, NodeError> {
        let mut long = BTreeSet::new();
        if room > 0 && self.long_fids.state() != Known::None {
            let smallest = first.get().max(ORDERED_MAX + 1);
            let mut any = false;
            self.walk_long(&self.folder(), &FOLDER_DIGITS, &mut |fid| {
                any = true;
                if fid.get() >= smallest {
                    long.insert(fid);
                }
                if long.len() > room {
                    long.pop_last();
                }
            })
            .map_err(|error| self.fault(error))?;
            if !any {
                self.long_fids.found_none();
            }
        }
        Ok(long)
    }

    /// Tells of every fid with more than ten digits, in no order.
    fn walk_long(&self, folder: &Path, levels: &[usize], tell: &mut dyn FnMut(Fid)) -> io::Result<()> {
        let Some((digits, below)) = levels.split_first() else {
            let fids = self.fids_in(folder)?.into_iter().map(|(fid, _)| fid);
            fids.filter(|fid| fid.get() > ORDERED_MAX).for_each(tell);
            return Ok(());
        };
        for name in folders_in(folder, *digits)? {
            self.walk_long(&folder.join(name), below, tell)?;
        }
        Ok(())
    }

    /// The fids whose files are in a folder, and belong there; in no order.
    fn fids_in(&self, folder: &Path) -> io::Result<Vec<(Fid, DirEntry)>> {
        let mut fids = Vec::new();
        for entry in entries(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".fid"));
            let Some(fid) = number.and_then(|number| Fid::new(number.parse().ok()?)) else {
                continue;
            };
            // Both are made of the root and the same names: to compare them name by name would take longer than the rest.
            let place = self.path(&Place::of(DevFid { device: self.id, fid }));
            if place.as_os_str() == entry.path().as_os_str() {
                fids.push((fid, entry));
            }
        }
        Ok(fids)
    }
}

/// Whether a device has fids with more than ten digits, as far as this process knows: they come through it alone.
#[derive(Debug, Default)]
pub(super) struct LongFids(Mutex<Known>);

/// What is known of such fids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Known {
    /// Nobody has looked.
    #[default]
    Nothing,
    /// There are none.
    None,
    /// One has been written.
    Some,
}

impl LongFids {
    /// A file is going to be written.
    pub(super) fn comes(&self, place: &Place) {
        if place.name().len() > ORDERED_DIGITS + ".fid".len() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Known::Some;
        }
    }

    fn state(&self) -> Known {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A walk has found none; one that was begun meanwhile counts.
    fn found_none(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == Known::Nothing {
            *known = Known::None;
        }
    }
}

/// A walk through the folders in the order of their numbers.
struct Ordered<'a> {
    device: &'a Device,
    first: Fid,
    limit: usize,
    found: Vec<(Fid, DirEntry)>,
}

impl Ordered<'_> {
    /// Walks one folder. `start` are the digits that the first fid wanted has from here on; `None` once past them.
    fn folder(&mut self, folder: &Path, start: Option<&str>, levels: &[usize]) -> io::Result<()> {
        let Some((&digits, below)) = levels.split_first() else {
            let mut fids = self.device.fids_in(folder)?;
            fids.retain(|(fid, _)| *fid >= self.first && fid.get() <= ORDERED_MAX);
            fids.sort_unstable_by_key(|(fid, _)| *fid);
            fids.truncate(self.limit - self.found.len());
            self.found.append(&mut fids);
            return Ok(());
        };
        let start = start.map(|start| start.split_at(digits));
        for name in folders_in(folder, digits)? {
            let inner = match start {
                Some((wanted, _)) if name.as_str() < wanted => continue,
                Some((wanted, rest)) if name == wanted => Some(rest),
                Some(_) | None => None,
            };
            self.folder(&folder.join(name), inner, below)?;
            if self.found.len() >= self.limit {
                break;
            }
        }
        Ok(())
    }
}

/// The folders in a folder whose names are that many digits, in order.
fn folders_in(folder: &Path, digits: usize) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in entries(folder)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What is in a folder; one that vanished meanwhile, or is a file, holds nothing.
fn entries(folder: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<fs::DirEntry>>>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Box::new(entries)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Box::new(std::iter::empty()))
        }
        Err(error) => Err(error),
    }
}
