//! Many files in one call: a hand-over to a blocking thread for all of them instead of one for each.

use std::{fs::File, io, num::NonZeroU64, os::unix::fs::FileExt};

use rustix::{
    fs::{Advice, fadvise},
    io::Errno,
};

use super::{Device, Place};
use crate::{
    bulk::{Extent, Seen},
    digest::{HashType, Hasher},
    error::NodeError,
    fid::{DevFid, Fid},
};

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

impl Device {
    /// Deletes files; answers those that could not be deleted.
    pub(crate) fn remove_many(&self, fids: &[Fid]) -> Result<Vec<Fid>, NodeError> {
        let mut left = Vec::new();
        for fid in fids {
            match self.remove(&self.place(*fid)) {
                Ok(_) => {}
                Err(NodeError::NoDevice) => return Err(NodeError::NoDevice),
                Err(error) => {
                    tracing::warn!(fid = fid.get(), devid = self.id.get(), %error, "file was not deleted");
                    left.push(*fid);
                }
            }
        }
        Ok(left)
    }

    /// Digests a part of a file.
    pub(crate) fn crc(&self, extent: Extent) -> Result<Seen, NodeError> {
        let opened = match self.read(&self.place(extent.fid)) {
            Ok(opened) => opened,
            Err(NodeError::NotFound) => return Ok(Seen::Missing),
            Err(NodeError::Device(error)) => return self.unreadable(extent, error),
            Err(error) => return Err(error),
        };
        let length = extent.length.min(opened.size.saturating_sub(extent.first));
        // What clients read stays in memory; what only this reads shall not drive that out.
        let cold = length > 0 && opened.cached(extent.first, 1).is_none();
        let crc64 = crc_of(&opened.file, extent.first, length);
        if cold {
            // It is advice: nothing is lost if it is not taken.
            let _ = fadvise(
                &opened.file,
                extent.first,
                NonZeroU64::new(length),
                Advice::DontNeed,
            );
        }
        match crc64 {
            Ok(crc64) => Ok(Seen::File {
                size: opened.size,
                crc64,
            }),
            Err(error) => self.unreadable(extent, error),
        }
    }

    /// What an error says of a file: that its disk has lost it, or that there is none, or nothing (too many files are open,
    /// say).
    fn unreadable(&self, extent: Extent, error: io::Error) -> Result<Seen, NodeError> {
        let lost = [Errno::IO, Errno::BADMSG, Errno::UCLEAN];
        let is_lost = Errno::from_io_error(&error).is_some_and(|errno| lost.contains(&errno));
        if !is_lost && error.kind() != io::ErrorKind::IsADirectory {
            return Err(NodeError::Device(error));
        }
        tracing::warn!(fid = extent.fid.get(), devid = self.id.get(), %error, "file cannot be read");
        Ok(Seen::Unreadable)
    }

    fn place(&self, fid: Fid) -> Place {
        Place::of(DevFid { device: self.id, fid })
    }
}

/// CRC64/NVME of some bytes of a file.
fn crc_of(file: &File, first: u64, length: u64) -> io::Result<[u8; 8]> {
    let mut hasher = Hasher::new(&[HashType::Crc64Nvme]);
    let mut buffer = vec![0; BUFFER.min(usize::try_from(length).unwrap_or(BUFFER))];
    let (mut at, end) = (first, first.saturating_add(length));
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(BUFFER).min(buffer.len());
        file.read_exact_at(&mut buffer[..wanted], at)?;
        hasher.update(&buffer[..wanted]);
        at = at.saturating_add(u64::try_from(wanted).expect("usize fits in u64 where Linux runs"));
    }
    let digests = hasher.finish();
    let digest = digests
        .get(HashType::Crc64Nvme)
        .map(|digest| digest.bytes.clone());
    let crc64 = digest.and_then(|bytes| bytes.try_into().ok());
    Ok(crc64.expect("the hasher was made for this digest, which has eight bytes"))
}
