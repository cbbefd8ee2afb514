//! The mark of a device: which device of which cluster a disk is.
//!
//! It lies in a file in the root of the device, and the cluster has it on record. A directory without it is a mount point
//! without its file system, or a new disk; one with another is another disk. A mark is also the bearer's word: a request that
//! carries one is meant for that disk and no other (`X-Mogul-Mark`). How the file is kept is in `device/marker.rs`; who is
//! marked, and what becomes of a device that bears another mark, is decided by the trackers.

use std::{fmt, str::FromStr};

use http::HeaderValue;

use crate::fid::DevId;

/// Hex digits that name a cluster, or a disk.
const DIGITS: usize = 32;

/// Which device of which cluster a disk is; as text `CLUSTER.DEVID.DISK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    device: DevId,
    /// All of it.
    text: String,
}

/// What a node tells of the mark of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marking {
    /// Nothing: it is no node of ours.
    Untold,
    /// It has none.
    Unmarked,
    /// It bears this one.
    Bears(Mark),
}

/// A text that is no mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no mark of a device")]
pub struct NoMark;

impl Mark {
    /// The mark of a disk that becomes a device of a cluster. Both names are random numbers of 16 bytes.
    #[must_use]
    pub fn new(cluster: [u8; 16], device: DevId, disk: [u8; 16]) -> Mark {
        Mark {
            device,
            text: format!("{}.{device}.{}", hex::encode(cluster), hex::encode(disk)),
        }
    }

    /// All of it: `CLUSTER.DEVID.DISK`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// All of it, to stand in a header.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.text).expect("a mark is letters, digits and dots")
    }

    /// The cluster, as 32 hex digits.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.text[..DIGITS]
    }

    /// The number of the device.
    #[must_use]
    pub fn device(&self) -> DevId {
        self.device
    }

    /// The disk, as 32 hex digits: another one under the same number has others.
    pub(crate) fn disk(&self) -> &str {
        &self.text[self.text.len() - DIGITS..]
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(text: &str) -> Result<Mark, NoMark> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(NoMark);
        let (cluster, device, disk) = (next()?, next()?, next()?);
        let named = |name: &str| {
            name.len() == DIGITS && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let written = device;
        let device = written.parse().ok().and_then(DevId::new).ok_or(NoMark)?;
        if !named(cluster) || !named(disk) || device.to_string() != written {
            return Err(NoMark);
        }
        Ok(Mark {
            device,
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_nothing_else_does() {
        let mark = Mark::new([1; 16], DevId::new(7).unwrap(), [255; 16]);

        assert_eq!(mark.to_string().parse(), Ok(mark.clone()));
        for wrong in [
            "",
            "a.7.b",
            &mark.to_string()[1..],
            &format!("{mark}\n"),
            &mark.to_string().to_uppercase(),
        ] {
            assert_eq!(wrong.parse::<Mark>(), Err(NoMark), "{wrong}");
        }
    }
}
