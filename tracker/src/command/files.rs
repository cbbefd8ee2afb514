//! Files: reserving a fid and the devices for it, and giving it up again.

use mogul_storage::{DevId, Fid, upload::Target};

use crate::{Error, Tracker, model::Class};

/// How many copies the caller will write before it reports success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// As many as the class wants (S3).
    OfClass,
    /// Exactly this many targets (the tracker port: one that will be used, more to choose from).
    Exactly(usize),
}

/// Reserves a fid.
#[derive(Debug, Clone)]
pub struct CreateOpen<'a> {
    /// The class, and by it the domain.
    pub class: &'a Class,
    /// The size in bytes, if known: devices without room for it are left out.
    pub size: Option<u64>,
    /// How many devices are wanted.
    pub copies: Copies,
    /// Devices to use if they can be (an upload keeps its parts together).
    pub prefer: &'a [DevId],
}

/// A reserved fid and where its bytes shall go. Ends by a command that closes it, or by [`Tracker::abandon`].
#[derive(Debug, Clone)]
pub struct Opened {
    /// The fid.
    pub fid: Fid,
    /// The class.
    pub class: Class,
    /// The devices, best first.
    pub targets: Vec<Target>,
}

/// What came of writing the bytes of an [`Opened`] fid.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Size in bytes.
    pub size: u64,
    /// Devices that have the file on stable storage.
    pub devices: Vec<DevId>,
    /// CRC64/NVME of the bytes, big-endian.
    pub crc64: [u8; 8],
    /// MD5 of the bytes.
    pub md5: [u8; 16],
}

impl Tracker {
    /// Reserves a fid and chooses devices for it.
    ///
    /// # Errors
    /// [`Error::NoDevices`] if no device can take a file of that size; [`Error::Database`].
    pub async fn create_open(&self, request: CreateOpen<'_>) -> Result<Opened, Error> {
        let _ = request;
        todo!()
    }

    /// Gives a fid up: whatever `devices` hold of it is deleted, at once or by the delete job.
    ///
    /// # Errors
    /// [`Error::Database`]; the fid is then collected by the sweep.
    pub async fn abandon(&self, opened: &Opened, devices: &[DevId]) -> Result<(), Error> {
        let _ = (opened, devices);
        todo!()
    }
}
