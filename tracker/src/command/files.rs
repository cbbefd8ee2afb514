//! Files: reserving a fid and the devices for it, and giving it up again.

use std::collections::BTreeSet;

use mogul_storage::{DevFid, DevId, Fid, upload::Target};

use crate::{
    Error, Tracker,
    fids::Lease,
    jobs::JobName,
    meta::{deletions, replicas},
    model::Class,
    placement::{self, Wish},
    refresh::policy_of,
};

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
    /// The duty to end the fid: whoever records it keeps this until the transaction is over.
    pub(crate) lease: Lease,
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

impl Opened {
    /// Notes that the fid is a file now, or given up for good. To be called after the commit; see [`crate::fids`].
    pub(crate) fn finish(&self) {
        self.lease.end();
    }
}

impl Tracker {
    /// Reserves a fid and chooses devices for it.
    ///
    /// # Errors
    /// [`Error::NoDevices`] if no device can take a file of that size; [`Error::Database`].
    ///
    /// # Cancel safety
    /// A fid whose [`Opened`] is dropped without a command that ends it is given up by the sweep job.
    pub async fn create_open(&self, request: CreateOpen<'_>) -> Result<Opened, Error> {
        let targets = self.targets(&request)?;
        let devices = targets.iter().map(|target| target.device).collect();
        let lease = self.0.fids.lease(self.db(), self.clock(), devices).await?;
        Ok(Opened {
            fid: lease.fid(),
            class: request.class.clone(),
            targets,
            lease,
        })
    }

    /// Reserves a fid that nothing is written to yet: of an object that lies in segments.
    pub(crate) async fn reserve_fid(&self) -> Result<Lease, Error> {
        self.0.fids.lease(self.db(), self.clock(), Vec::new()).await
    }

    /// Gives a fid up: whatever `devices` hold of it is deleted, at once or by the delete job.
    ///
    /// # Errors
    /// [`Error::Database`]; the fid is then collected by the sweep.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the fid to the sweep job.
    pub async fn abandon(&self, opened: &Opened, devices: &[DevId]) -> Result<(), Error> {
        let fid = opened.fid;
        let mut left = Vec::new();
        // A device whose answer was lost may have the file, too.
        let chosen = opened.targets.iter().map(|target| target.device);
        let asked: BTreeSet<DevId> = chosen.chain(devices.iter().copied()).collect();
        for device in &asked {
            let at = DevFid { device: *device, fid };
            if self.delete_now(at).await.is_err() {
                left.push((fid, *device));
            }
        }
        if !left.is_empty() {
            let now = self.now();
            // The transaction owns the lease: whether or not somebody waits, the fid ends when it is queued.
            let lease = opened.lease.clone();
            self.db()
                .write(move |tx| {
                    let (left, _owned) = (left.clone(), lease.clone());
                    Box::pin(async move {
                        replicas::add(tx, &left).await?;
                        deletions::delete(tx, &[fid], now).await
                    })
                })
                .await?;
            self.wake(JobName::Delete);
        }
        opened.finish();
        Ok(())
    }

    /// The devices for a new file.
    pub(crate) fn targets(&self, request: &CreateOpen<'_>) -> Result<Vec<Target>, Error> {
        let policy = policy_of(request.class);
        let wish = Wish {
            copies: match request.copies {
                Copies::OfClass => usize::from(policy.copies(request.class.mindevcount)),
                Copies::Exactly(copies) => copies,
            },
            size: request.size.unwrap_or(0),
            min_free_bytes: self.settings().min_free_bytes,
            policy: &policy,
            mindevcount: request.class.mindevcount,
            prefer: request.prefer,
        };
        let mut candidates = self.view().candidates();
        candidates.retain(|candidate| self.nodes().has(candidate.id));
        let devices = placement::choose(&candidates, &wish, || self.entropy().next_u64());
        let target = |device: DevId| {
            let node = self.nodes().get(device)?;
            Some(Target { device, node })
        };
        let targets: Vec<Target> = devices.into_iter().filter_map(target).collect();
        if targets.is_empty() {
            return Err(Error::NoDevices);
        }
        Ok(targets)
    }
}
