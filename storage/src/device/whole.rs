//! Work on whole files where they lie: digests and joins.

use std::{
    fs::File,
    io::{self, Read},
    sync::Arc,
};

use rustix::io::Errno;

use super::{Device, Place, draft::Draft};
use crate::{
    digest::{Digest, HashType, Hasher},
    error::NodeError,
    fid::{DevFid, Fid},
};

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

impl Device {
    /// Computes a file's digest.
    pub(crate) fn digest(&self, place: &Place, hash: HashType) -> Result<Digest, NodeError> {
        let mut file = self.read(place)?.file;
        let mut hasher = Hasher::new(&[hash]);
        each_piece(&mut file, |piece| hasher.update(piece)).map_err(NodeError::Device)?;
        let digests = hasher.finish();
        let digest = digests.get(hash).expect("the hasher was made for this digest");
        Ok(digest.clone())
    }

    /// Makes a file of others, in order, and answers its size; durable like any stored file.
    ///
    /// The kernel copies (`copy_file_range`): file systems with shared extents copy nothing at all.
    pub(crate) fn join(self: &Arc<Device>, fid: Fid, parts: &[Fid]) -> Result<u64, NodeError> {
        let place = |fid| Place::of(DevFid { device: self.id, fid });
        let mut draft = Draft::begin(Arc::clone(self), place(fid), None)?;
        for part in parts {
            let opened = self.read(&place(*part))?;
            draft.append(&opened.file, opened.size)?;
        }
        draft.finish()
    }
}

impl Draft {
    /// Appends a whole file of `size` bytes.
    fn append(&mut self, source: &File, size: u64) -> Result<(), NodeError> {
        let mut left = size;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(source, None, self.file(), None, count) {
                Ok(0) => return Err(NodeError::Body("a part became shorter".to_owned())),
                Ok(copied) => {
                    let copied = u64::try_from(copied).expect("usize fits in u64 where Linux runs");
                    left = left.saturating_sub(self.count(copied));
                }
                Err(Errno::INTR) => {}
                // Not every file system copies; the offsets of both files are where the kernel left them.
                Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    return self.copy(source);
                }
                Err(error) => return Err(self.device().fault(error.into())),
            }
        }
        Ok(())
    }

    /// Appends the rest of a file by reading and writing it.
    fn copy(&mut self, mut source: &File) -> Result<(), NodeError> {
        let copied = io::copy(&mut source, &mut self.file());
        let copied = copied.map_err(|error| self.device().fault(error))?;
        self.count(copied);
        Ok(())
    }
}

/// Reads a file to its end.
fn each_piece(file: &mut File, mut tell: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => tell(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
