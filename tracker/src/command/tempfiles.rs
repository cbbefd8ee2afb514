//! Uploads of the tracker port: a fid is reserved with the devices it may go to, the client stores the bytes itself, and
//! closes the fid (mogilefs.md §4.1, §18.1).
//!
//! The reservation is a row of `tempfile`: any tracker on the database can close it, after a restart, too. One that is
//! never closed is given up by [`crate::jobs::expire`]. Closing is one transaction: the reservation goes, the file is the
//! current object of its key, what it replaces is queued for deletion. A close that fails leaves nothing behind.

use std::sync::Arc;

use mogul_storage::{DevFid, DevId, Digest, Fid, HashType, NodeError};

use super::files::{Copies, CreateOpen};
use crate::{
    Error, Tracker,
    error::chain,
    jobs::JobName,
    meta::{
        committer::{Committed, NewObject, Origin, Replaced, Replication},
        deletions,
        encoding::hash_number,
        objects::ObjectRow,
        queues::Leftover,
        replicas,
        tempfiles::{self, NewTempfile, Tempfile},
    },
    model::{Class, ClassId, DomainId, ETag, Key, WriteCondition},
};

/// Why an upload could not be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// The fid is not reserved: it was closed before, has expired, or never was.
    #[error("the fid is not reserved")]
    NotOpen,
    /// The device was not among those that were offered.
    #[error("device {device} was not offered")]
    NotOffered {
        /// The device.
        device: DevId,
        /// Those that were.
        offered: Vec<DevId>,
    },
    /// The device has no file of the fid.
    #[error("the file is not on the device")]
    Missing,
    /// The device does not say whether it has the file.
    #[error("the device cannot be asked")]
    Unreachable,
    /// The file has another size than the client says.
    #[error("the file has {actual} bytes instead of {expected}")]
    SizeDiffers {
        /// What the client says.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// The file has another digest than the client says.
    #[error("the file has another digest")]
    DigestDiffers {
        /// What the client says.
        expected: Digest,
        /// What is there.
        actual: Digest,
    },
    /// The fid is a file already.
    #[error("the fid is a file already")]
    IsFile,
}

/// Reserves a fid for a client that stores the bytes itself.
#[derive(Debug, Clone)]
pub struct OpenTempfile<'a> {
    /// The class, and by it the domain.
    pub class: &'a Class,
    /// The key, if the client names it already. Nothing comes of it before the close.
    pub key: Option<Key>,
    /// The fid that the client wants; usually none.
    pub fid: Option<Fid>,
    /// The size in bytes, if known.
    pub size: Option<u64>,
    /// How many devices to offer, best first.
    pub devices: usize,
}

/// A reserved fid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedTempfile {
    /// The fid.
    pub fid: Fid,
    /// Where its bytes may go, best first.
    pub devices: Vec<DevId>,
}

/// What of a digest that a client sent is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// It is kept as it came.
    Trust,
    /// The device computes it, and it must be the same.
    Compare,
}

/// Makes a reserved fid a file.
#[derive(Debug, Clone)]
pub struct CloseTempfile {
    /// The domain.
    pub domain: DomainId,
    /// The fid, and the device that has the bytes.
    pub at: DevFid,
    /// The key; without one the upload is thrown away.
    pub key: Option<Key>,
    /// The size in bytes, if it is to be checked.
    pub size: Option<u64>,
    /// The digest that the client knows.
    pub digest: Option<(Digest, Verify)>,
}

/// What was found of an upload that can be closed.
struct Found {
    class: Class,
    size: u64,
    /// Whether the client may have left bytes on another device: it tries those that were offered in their order.
    leftover: Leftover,
}

impl Tracker {
    /// Reserves a fid and offers devices for it.
    ///
    /// # Errors
    /// [`Error::NoDevices`] if no device can take a file of that size, [`Error::FidInUse`], [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropped, the fid may be reserved; it is given up in time.
    pub async fn open_tempfile(&self, request: OpenTempfile<'_>) -> Result<OpenedTempfile, Error> {
        let wish = CreateOpen {
            class: request.class,
            size: request.size,
            copies: Copies::Exactly(request.devices),
            prefer: &[],
        };
        let targets = self.targets(&wish)?;
        let devices: Vec<DevId> = targets.iter().map(|target| target.device).collect();
        let lease = match request.fid {
            Some(_) => None,
            None => Some(
                self.0
                    .fids
                    .lease(self.db(), self.clock(), devices.clone())
                    .await?,
            ),
        };
        let fid = match (&lease, request.fid) {
            (Some(lease), _) => lease.fid(),
            (None, Some(fid)) => fid,
            (None, None) => return Err(Error::Internal("neither a fid nor a lease".to_owned())),
        };
        let tempfile = NewTempfile {
            fid,
            domain: request.class.domain,
            class: request.class.id,
            key: request.key.map(|key| key.as_str().to_owned()).unwrap_or_default(),
            devices: devices.clone(),
            created: self.now(),
        };
        match lease {
            Some(lease) => self.reserver().reserve(tempfile, lease).await?,
            None => self.reserve_chosen(tempfile).await?,
        }
        Ok(OpenedTempfile { fid, devices })
    }

    /// Puts a fid on record that is the client's choice; it must be free.
    async fn reserve_chosen(&self, tempfile: NewTempfile) -> Result<(), Error> {
        let write = self.db().write(move |tx| {
            let tempfile = tempfile.clone();
            Box::pin(async move {
                if tempfiles::fid_in_use(tx, tempfile.fid).await? {
                    return Err(Error::FidInUse);
                }
                tempfiles::added(tx, &[tempfile]).await
            })
        });
        write.await
    }

    /// Makes a reserved fid the current object of its key, or throws it away.
    ///
    /// # Errors
    /// [`Error::Close`]; [`Error::UnknownDomain`]; [`Error::Database`]; [`Error::Busy`] (the process is stopping). After the
    /// first two, [`CloseError::NotOpen`] apart, the upload has been given up.
    ///
    /// # Cancel safety
    /// Dropped before the file is looked at, nothing has happened; dropped later, the file may be recorded.
    pub async fn close_tempfile(&self, request: CloseTempfile) -> Result<(), Error> {
        let found = self.0.tempfiles.find(request.at.fid).await?;
        let tempfile = found.ok_or(CloseError::NotOpen)?;
        let checked = if request.key.is_some() || !tempfile.devices.contains(&request.at.device) {
            self.checked(&request, &tempfile).await.map(Some)
        } else {
            Ok(None)
        };
        match (checked, request.key.clone()) {
            (Ok(Some(found)), Some(key)) => self.record(request, key, found).await,
            (Ok(_), _) => self.give_up(&request, tempfile).await,
            (Err(error @ Error::Close(_)), _) => {
                self.give_up(&request, tempfile).await?;
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Looks at what the client has stored, in the order in which the original does.
    async fn checked(&self, request: &CloseTempfile, tempfile: &Tempfile) -> Result<Found, Error> {
        let at = request.at;
        if !tempfile.devices.contains(&at.device) {
            let offered = tempfile.devices.clone();
            let device = at.device;
            return Err(CloseError::NotOffered { device, offered }.into());
        }
        let size = self.size_of(at).await.map_err(|error| absent(at, &error))?;
        if let Some(expected) = request.size.filter(|expected| *expected != size) {
            let actual = size;
            return Err(CloseError::SizeDiffers { expected, actual }.into());
        }
        if let Some((expected, Verify::Compare)) = &request.digest {
            let actual = self.digest_of(at, expected.hash).await;
            let actual = actual.map_err(|error| absent(at, &error))?;
            if actual != *expected {
                let expected = expected.clone();
                return Err(CloseError::DigestDiffers { expected, actual }.into());
            }
        }
        if tempfile.is_file {
            return Err(CloseError::IsFile.into());
        }
        let class = self.class_or_default(request.domain, tempfile.class).await?;
        let leftover = if tempfile.devices.first() == Some(&at.device) {
            Leftover::None
        } else {
            Leftover::Possible
        };
        Ok(Found {
            class,
            size,
            leftover,
        })
    }

    /// A class; `default` if the domain has none of that number, as in the original.
    async fn class_or_default(&self, domain: DomainId, id: ClassId) -> Result<Class, Error> {
        match self.class(domain, id).await {
            Err(Error::UnknownClass) => self.class(domain, ClassId::DEFAULT).await,
            found => found,
        }
    }

    /// Records a file.
    async fn record(&self, request: CloseTempfile, key: Key, found: Found) -> Result<(), Error> {
        let (at, class) = (request.at, found.class);
        let replication = self.replication(&class, &[at.device]);
        let digest = request.digest;
        let kept = digest
            .as_ref()
            .filter(|(digest, _)| class.hash == Some(digest.hash));
        let object = NewObject {
            domain: request.domain,
            key,
            class: class.id,
            size: found.size,
            devices: vec![at.device],
            replication,
            digest: kept.map(|(digest, _)| (hash_number(digest.hash), digest.bytes.clone())),
            row: ObjectRow {
                fid: at.fid,
                etag: etag_of(at.fid, digest.as_ref()),
                modified: self.now(),
                owner: None,
                attributes: None,
                tags: None,
                checksum: None,
                crc64: None,
                parts: None,
            },
            condition: WriteCondition::default(),
            origin: Origin::Tempfile(found.leftover),
        };
        let (wakes, leftover) = (self.wakes().clone(), found.leftover);
        let settle = move |outcome: &Result<Committed, Error>| {
            let Ok(committed) = outcome else {
                wakes.wake(JobName::Delete);
                return;
            };
            if committed.replaced == Replaced::Some {
                wakes.wake(JobName::Delete);
            }
            if replication == Replication::Queued || leftover == Leftover::Possible {
                wakes.wake(JobName::Replicate);
            }
            wakes.wake(JobName::Digest);
        };
        self.committer().write(object, settle).await.map(drop)
    }

    /// Gives an upload up: whatever the offered devices hold of it is deleted.
    async fn give_up(&self, request: &CloseTempfile, tempfile: Tempfile) -> Result<(), Error> {
        let (fid, now) = (request.at.fid, self.now());
        let mut devices = tempfile.devices;
        if !devices.contains(&request.at.device) {
            devices.push(request.at.device);
        }
        let copies = Arc::new(
            devices
                .into_iter()
                .map(|device| (fid, device))
                .collect::<Vec<_>>(),
        );
        let write = self.db().write(move |tx| {
            let copies = Arc::clone(&copies);
            Box::pin(async move {
                if tempfiles::tempfiles_held(tx, &[fid]).await?.is_empty() {
                    return Err(CloseError::NotOpen.into());
                }
                tempfiles::forget(tx, &[fid]).await?;
                if tempfiles::accounted_for(tx, &[fid]).await?.is_empty() {
                    replicas::add(tx, &copies).await?;
                    deletions::delete(tx, &[fid], now).await?;
                }
                Ok(())
            })
        });
        write.await?;
        self.wake(JobName::Delete);
        Ok(())
    }
}

/// What it means that a file cannot be looked at.
fn absent(at: DevFid, error: &NodeError) -> Error {
    tracing::warn!(
        fid = at.fid.get(),
        devid = at.device.get(),
        error = chain(&error),
        "an upload could not be verified"
    );
    match error {
        NodeError::NotFound => CloseError::Missing.into(),
        NodeError::NoDevice
        | NodeError::Full
        | NodeError::OutOfRange { .. }
        | NodeError::Body(_)
        | NodeError::Unsupported(_)
        | NodeError::Digest(_)
        | NodeError::Source(_)
        | NodeError::Answer { .. }
        | NodeError::Device(_)
        | NodeError::Unreachable(_) => CloseError::Unreachable.into(),
    }
}

/// The entity tag of a closed file: its MD5, where the device has confirmed it.
fn etag_of(fid: Fid, digest: Option<&(Digest, Verify)>) -> ETag {
    match digest {
        Some((digest, Verify::Compare)) if digest.hash == HashType::Md5 => ETag(digest.hex()),
        Some(_) | None => ETag::stand_in(fid),
    }
}
