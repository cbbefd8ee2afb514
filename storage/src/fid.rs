//! The names of stored files: a [`Fid`], a [`DevId`], and where on a device a fid lies ([`DevFid`]).
//!
//! Paths come from integers alone. A client's key never becomes a path, so no key can reach outside a device.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of one immutable stored file; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fid(u64);

impl Fid {
    /// Largest fid: what fits the signed 64-bit columns of every engine.
    pub const MAX: Fid = Fid(i64::MAX.unsigned_abs());

    /// Makes a fid of a number from 1 to [`Fid::MAX`].
    #[must_use]
    pub fn new(number: u64) -> Option<Fid> {
        (number != 0 && number <= Self::MAX.0).then_some(Fid(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of one device: a directory `devN` below a node's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DevId(u32);

impl DevId {
    /// Largest device number: MogileFS keeps it in an unsigned MEDIUMINT.
    pub const MAX: DevId = DevId(16_777_215);

    /// Makes a device id of a number from 1 to [`DevId::MAX`].
    #[must_use]
    pub fn new(number: u32) -> Option<DevId> {
        (number != 0 && number <= Self::MAX.0).then_some(DevId(number))
    }

    /// The number of the device whose folder has this name: `dev7`.
    #[must_use]
    pub fn of_folder(name: &str) -> Option<DevId> {
        let number = name
            .strip_prefix("dev")
            .filter(|number| !number.starts_with(['0', '+']))?;
        DevId::new(number.parse().ok()?)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for DevId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fid on a device: it has a path, and may or may not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevFid {
    /// The device.
    pub device: DevId,
    /// The file.
    pub fid: Fid,
}

impl DevFid {
    /// The path below the node's root and in the node's URLs: `/dev1/0/000/000/0000000005.fid`.
    ///
    /// At least ten digits, the first seven of which name the folders (MogileFS `DevFID.pm`).
    #[must_use]
    pub fn path(self) -> String {
        let digits = format!("{:010}", self.fid.get());
        let (b, mmm, ttt) = folders(&digits);
        format!("/dev{}/{b}/{mmm}/{ttt}/{digits}.fid", self.device)
    }

    /// Reads a path that [`DevFid::path`] could have written; nothing else is accepted.
    #[must_use]
    pub fn parse(path: &str) -> Option<DevFid> {
        let name = path.rsplit_once('/')?.1;
        let fid = Fid::new(name.strip_suffix(".fid")?.parse().ok()?)?;
        let device = path.strip_prefix("/dev")?.split_once('/')?.0;
        let found = DevFid {
            device: DevId::new(device.parse().ok()?)?,
            fid,
        };
        (found.path() == path).then_some(found)
    }
}

/// The folders of a zero-padded number: the first ten digits decide, however long it is (MogileFS `DevFID.pm`).
fn folders(digits: &str) -> (&str, &str, &str) {
    (&digits[..1], &digits[1..4], &digits[4..7])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_original_and_read_back() {
        for (fid, path) in [
            (5, "/dev2/0/000/000/0000000005.fid"),
            (1_234_567_890, "/dev2/1/234/567/1234567890.fid"),
            (123_456_789_012, "/dev2/1/234/567/123456789012.fid"),
        ] {
            let dev_fid = DevFid {
                device: DevId::new(2).unwrap(),
                fid: Fid::new(fid).unwrap(),
            };

            assert_eq!(dev_fid.path(), path);
            assert_eq!(DevFid::parse(path), Some(dev_fid));
        }
    }

    #[test]
    fn only_dev_and_a_number_name_a_folder_of_a_device() {
        assert_eq!(DevId::of_folder("dev10"), DevId::new(10));
        for name in [
            "dev",
            "dev0",
            "dev01",
            "dev+1",
            "dev1x",
            "device1",
            "1",
            "dev16777216",
        ] {
            assert_eq!(DevId::of_folder(name), None, "{name}");
        }
    }

    #[test]
    fn no_other_path_is_a_dev_fid() {
        for path in [
            "",
            "/dev0/0/000/000/0000000005.fid",
            "/dev1/0/000/000/5.fid",
            "/dev01/0/000/000/0000000005.fid",
            "/dev1/0/000/001/0000000005.fid",
            "/dev1/../dev1/0/000/000/0000000005.fid",
            "/dev1/0/000/000/+000000005.fid",
            "/dev1/0/000/000/0000000000.fid",
        ] {
            assert_eq!(DevFid::parse(path), None, "{path}");
        }
    }
}
