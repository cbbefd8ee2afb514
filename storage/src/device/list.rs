//! The fids on a device in ascending order, by walking its folders from the first one wanted.

use std::{collections::BTreeSet, fs, io, path::Path};

use super::Device;
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
    /// per call: nobody has written ten thousand million files to a device yet.
    pub(crate) fn list(&self, first: Fid, limit: usize) -> Result<Vec<Fid>, NodeError> {
        self.probe()?;
        let mut found = Vec::new();
        if first.get() <= ORDERED_MAX {
            let mut walk = Ordered {
                device: self,
                first,
                limit,
                found,
            };
            let start = format!("{:0ORDERED_DIGITS$}", first.get());
            walk.folder(&self.folder(), Some(&start), &FOLDER_DIGITS)
                .map_err(|error| self.fault(error))?;
            found = walk.found;
        }
        if found.len() < limit {
            let mut long = BTreeSet::new();
            let smallest = first.get().max(ORDERED_MAX + 1);
            let room = limit - found.len();
            self.long_fids(&self.folder(), &FOLDER_DIGITS, &mut |fid| {
                if fid.get() >= smallest {
                    long.insert(fid);
                }
                if long.len() > room {
                    long.pop_last();
                }
            })
            .map_err(|error| self.fault(error))?;
            found.extend(long);
        }
        Ok(found)
    }

    /// As [`Device::list`], with the bytes of each file; one that vanishes meanwhile is left out.
    pub(crate) fn sizes(&self, first: Fid, limit: usize) -> Result<Vec<(Fid, u64)>, NodeError> {
        let mut sizes = Vec::new();
        for fid in self.list(first, limit)? {
            let path = DevFid { device: self.id, fid }.path();
            match fs::metadata(self.root.join(path.trim_start_matches('/'))) {
                Ok(found) => sizes.push((fid, found.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.fault(error)),
            }
        }
        Ok(sizes)
    }

    /// Tells of every fid with more than ten digits, in no order.
    fn long_fids(&self, folder: &Path, levels: &[usize], tell: &mut dyn FnMut(Fid)) -> io::Result<()> {
        let Some((digits, below)) = levels.split_first() else {
            let long = |fid: &Fid| fid.get() > ORDERED_MAX;
            self.fids_in(folder)?.into_iter().filter(long).for_each(tell);
            return Ok(());
        };
        for name in folders_in(folder, *digits)? {
            self.long_fids(&folder.join(name), below, tell)?;
        }
        Ok(())
    }

    /// The fids whose files are in a folder, and belong there; in no order.
    fn fids_in(&self, folder: &Path) -> io::Result<Vec<Fid>> {
        let mut fids = Vec::new();
        for entry in entries(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".fid"));
            let Some(fid) = number.and_then(|number| Fid::new(number.parse().ok()?)) else {
                continue;
            };
            let path = DevFid { device: self.id, fid }.path();
            if self.root.join(path.trim_start_matches('/')) == folder.join(&name) {
                fids.push(fid);
            }
        }
        Ok(fids)
    }
}

/// A walk through the folders in the order of their numbers.
struct Ordered<'a> {
    device: &'a Device,
    first: Fid,
    limit: usize,
    found: Vec<Fid>,
}

impl Ordered<'_> {
    /// Walks one folder. `start` are the digits that the first fid wanted has from here on; `None` once past them.
    fn folder(&mut self, folder: &Path, start: Option<&str>, levels: &[usize]) -> io::Result<()> {
        let Some((&digits, below)) = levels.split_first() else {
            let mut fids = self.device.fids_in(folder)?;
            fids.retain(|fid| *fid >= self.first && fid.get() <= ORDERED_MAX);
            fids.sort_unstable();
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
