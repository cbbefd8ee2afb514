//! Many files of a device in one request, where its node can: deletions, and the CRCs of what is there.
//!
//! A request for each of a thousand small files costs more than the files. What is asked for at once is bounded, so that the
//! node answers well within the time that it may take: [`BULK_MAX`] files, [`CRC_BYTES_MAX`] bytes to be read.

use std::fmt::Write as _;

use http::{Method, StatusCode};

use crate::{
    answer,
    digest::{Digest, HashType, combine},
    error::NodeError,
    fid::{DevId, Fid},
    node::{Body, Capability, Node, lines, request},
};

/// Files of one request, at most.
pub const BULK_MAX: usize = 1_000;

/// Bytes that are digested for one request, at most: a slow disk reads them in a second.
pub const CRC_BYTES_MAX: u64 = 64 << 20;

/// Bytes of an answer, at most: as many lines, each with a number of twenty digits, a blank, sixteen hex digits and a line end.
const ANSWER_MAX: usize = BULK_MAX * 40;

/// Bytes of a request, at most: as many lines of three numbers.
pub(crate) const REQUEST_MAX: usize = BULK_MAX * 63;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The file.
    pub fid: Fid,
    /// The first byte.
    pub first: u64,
    /// How many bytes; what is beyond the end of the file is left out.
    pub length: u64,
}

/// What is there of an [`Extent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A file.
    File {
        /// Bytes of the whole file.
        size: u64,
        /// CRC64/NVME of the extent, big-endian.
        crc64: [u8; 8],
    },
    /// No file.
    Missing,
    /// A file that the device cannot read.
    Unreadable,
}

impl Node {
    /// Deletes files, 1 to [`BULK_MAX`]; that one is not there is no error. Answers those that could not be deleted.
    ///
    /// # Errors
    /// [`NodeError::Unsupported`] by a node that must be asked for each, [`NodeError::NoDevice`], any other [`NodeError`]; some
    /// may be deleted then.
    pub async fn delete_many(&self, device: DevId, fids: &[Fid]) -> Result<Vec<Fid>, NodeError> {
        self.require(Capability::DeleteMany).await?;
        let path = format!("/dev{device}/?delete");
        let text = self
            .text(request(Method::POST, &path, Body::from(lines(fids))), ANSWER_MAX)
            .await?;
        let left: Option<Vec<Fid>> = text.lines().map(|line| Fid::new(line.parse().ok()?)).collect();
        left.ok_or_else(|| answer::unexpected(StatusCode::OK, text))
    }

    /// Digests parts of files where they lie, in order: 1 to [`BULK_MAX`] of them, [`CRC_BYTES_MAX`] bytes in all.
    ///
    /// # Errors
    /// [`NodeError::Unsupported`] by a node that must be asked for each, [`NodeError::NoDevice`], any other [`NodeError`].
    pub async fn crcs(&self, device: DevId, extents: &[Extent]) -> Result<Vec<Seen>, NodeError> {
        self.require(Capability::Crcs).await?;
        let mut lines = String::new();
        for Extent { fid, first, length } in extents {
            writeln!(lines, "{fid} {first} {length}").expect("memory takes what is written");
        }
        let path = format!("/dev{device}/?crc64");
        let text = self
            .text(request(Method::POST, &path, Body::from(lines)), ANSWER_MAX)
            .await?;
        let seen: Option<Vec<Seen>> = text.lines().map(Seen::parse).collect();
        seen.filter(|seen| seen.len() == extents.len())
            .ok_or_else(|| answer::unexpected(StatusCode::OK, text))
    }
}

impl Extent {
    /// Reads a line of a request.
    pub(crate) fn parse(line: &str) -> Option<Extent> {
        let mut numbers = line.split(' ').map(|number| number.parse::<u64>().ok());
        let extent = Extent {
            fid: Fid::new(numbers.next()??)?,
            first: numbers.next()??,
            length: numbers.next()??,
        };
        numbers.next().is_none().then_some(extent)
    }
}

impl Seen {
    /// A line of an answer.
    pub(crate) fn line(&self) -> String {
        match self {
            Seen::File { size, crc64 } => format!("{size} {}\n", hex::encode(crc64)),
            Seen::Missing => "missing\n".to_owned(),
            Seen::Unreadable => "unreadable\n".to_owned(),
        }
    }

    fn parse(line: &str) -> Option<Seen> {
        match line {
            "missing" => return Some(Seen::Missing),
            "unreadable" => return Some(Seen::Unreadable),
            _ => {}
        }
        let (size, crc64) = line.split_once(' ')?;
        Some(Seen::File {
            size: size.parse().ok()?,
            crc64: hex::decode(crc64).ok()?.try_into().ok()?,
        })
    }
}

/// The CRC64/NVME of two neighbours, of which the second has so many bytes.
///
/// # Panics
/// Never: two CRCs of one kind combine.
#[must_use]
pub fn joined(first: [u8; 8], second: [u8; 8], second_length: u64) -> [u8; 8] {
    let digest = |crc64: [u8; 8]| Digest {
        hash: HashType::Crc64Nvme,
        bytes: crc64.to_vec(),
    };
    let both = combine(&digest(first), &digest(second), second_length);
    let both = both.and_then(|both| both.bytes.try_into().ok());
    both.expect("CRCs of one kind combine to one of eight bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let file = Seen::File {
            size: 5,
            crc64: [1, 2, 3, 4, 5, 6, 7, 0xff],
        };
        for seen in [file, Seen::Missing, Seen::Unreadable] {
            assert_eq!(Seen::parse(seen.line().trim_end()), Some(seen));
        }
        let extent = Extent {
            fid: Fid::new(7).unwrap(),
            first: 0,
            length: 9,
        };
        assert_eq!(Extent::parse("7 0 9"), Some(extent));
        for wrong in ["", "7", "7 0", "0 0 9", "7 0 9 1", "7 0 x", "7  0 9"] {
            assert_eq!(Extent::parse(wrong), None, "{wrong:?}");
        }
    }
}
