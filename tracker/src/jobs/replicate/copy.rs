//! One copy of one file: read from whichever copies are good, checked on the way.
//!
//! Where both nodes are ours and neither is in this process, the target fetches the file itself ([`mogul_storage::pull`]);
//! else the bytes pass through here.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::StreamExt;
use mogul_storage::{
    DevFid, DevId, Fid, HashType, NodeError,
    download::{BadCopy, Download, DownloadError, Fault, Source, download},
    pull::Pull,
    upload::{Target, Upload, UploadError, upload},
};

use super::{Replicate, Work, batch::recorded, lanes};
use crate::{
    Error,
    error::chain,
    inspect::{Known, digest_known},
    jobs::JobName,
    meta::files::{self, FileRow},
    view::ClusterView,
};

/// A file that is to be copied.
pub(super) struct Load<'a> {
    pub(super) file: FileRow,
    /// What its bytes must be, where that is known.
    pub(super) digest: Option<&'a Known>,
    /// Devices that have a copy.
    pub(super) on: &'a [DevId],
}

/// Whether bytes have come to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// They are there, synced, and not on record yet.
    There,
    /// The target did not take them.
    TargetFailed,
    /// No copy can be read now.
    NoSource,
}

/// What came of a copy that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// It is on record.
    Recorded,
    /// The target did not take it.
    TargetFailed,
    /// No copy can be read now.
    NoSource,
    /// The file was deleted meanwhile; the copy is queued for deletion.
    FileGone,
}

impl Load<'_> {
    /// What is checked of the bytes on their way.
    fn crc64(&self) -> Option<[u8; 8]> {
        match self.digest {
            Some((HashType::Crc64Nvme, bytes)) => bytes.as_slice().try_into().ok(),
            Some(_) | None => None,
        }
    }
}

impl Work {
    pub(super) fn load(&self) -> Load<'_> {
        Load {
            file: self.file,
            digest: self.digest.as_ref(),
            on: &self.on,
        }
    }
}

impl Replicate {
    /// Copies a file to a device.
    ///
    /// The whole is checked against its CRC, where one is known, before the target is told that it is whole; where only another
    /// digest is known, a copy is read before it is copied. Copies that turn out bad are reported.
    pub(super) async fn carry(&self, load: &Load<'_>, view: &ClusterView, target: DevId) -> Carried {
        let Some(node) = self.0.nodes().get(target) else {
            return Carried::TargetFailed;
        };
        let sources = self.sources(view, load.on);
        let sources = self.as_known(load, sources).await;
        if sources.is_empty() {
            return Carried::NoSource;
        }
        let from = sources.first().map_or(target, |source| source.device);
        let size = load.file.size;
        let _pass = self.0.lanes().enter(&self.0, [from, target], size).await;
        let target = Target { device: target, node };
        let carried = self.carried(load, view, sources, target).await;
        if carried == Carried::There {
            self.0.lanes().count(size);
        }
        carried
    }

    /// A copy that is what table `checksum` says, where nothing better is known of the file; else all.
    async fn as_known(&self, load: &Load<'_>, sources: Vec<Source>) -> Vec<Source> {
        let Some((hash, expected)) = load.digest.filter(|_| load.crc64().is_none()) else {
            return sources;
        };
        for source in sources {
            let (fid, device) = (load.file.fid, source.device);
            let read = self.read(DevFid { device, fid }, (*hash, load.file.size)).await;
            let fault = match read {
                Ok(bytes) if bytes == *expected => return vec![source],
                Ok(_) => Fault::Rotten,
                Err(NodeError::NotFound) => Fault::Missing,
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(
                        fid = fid.get(),
                        devid = device.get(),
                        error,
                        "a copy was not read"
                    );
                    continue;
                }
            };
            self.0.report_bad_copy(BadCopy { fid, device, fault }).await;
        }
        Vec::new()
    }

    async fn carried(
        &self,
        load: &Load<'_>,
        view: &ClusterView,
        mut sources: Vec<Source>,
        target: Target,
    ) -> Carried {
        if let Some(carried) = self.pulled(load, view, &mut sources, &target).await {
            return carried;
        }
        let bad: Arc<Mutex<Vec<BadCopy>>> = Arc::default();
        let carried = stream(load, sources, target, &bad).await;
        let bad = std::mem::take(&mut *bad.lock().unwrap_or_else(PoisonError::into_inner));
        for copy in bad {
            self.0.report_bad_copy(copy).await;
        }
        carried
    }

    /// Lets the target fetch the file, where it and a source can do that; sources that turn out bad are reported and taken
    /// out. `None` if the bytes have to pass through here.
    async fn pulled(
        &self,
        load: &Load<'_>,
        view: &ClusterView,
        sources: &mut Vec<Source>,
        target: &Target,
    ) -> Option<Carried> {
        if self.0.nodes().is_local(target.device) {
            return None;
        }
        let (fid, size) = (load.file.fid, load.file.size);
        let at = DevFid {
            device: target.device,
            fid,
        };
        while let Some(source) = sources.first() {
            let device = source.device;
            let pull = Pull {
                from: self.address(view, device)?,
                device,
                size,
                crc64: load.crc64(),
                bytes_per_second: lanes::bandwidth(view),
            };
            match target.node.pull(at, &pull).await {
                Ok(stored) if stored == size => return Some(Carried::There),
                Ok(stored) => {
                    tracing::warn!(
                        fid = fid.get(),
                        devid = at.device.get(),
                        bytes = stored,
                        "a copy has another size"
                    );
                    return Some(Carried::TargetFailed);
                }
                // The two may not see each other, or may not want to.
                Err(
                    NodeError::Unsupported(_)
                    | NodeError::Source(Fault::Unreachable)
                    | NodeError::Answer { status: 403, .. },
                ) => return None,
                Err(NodeError::Source(fault)) => {
                    self.0.report_bad_copy(BadCopy { fid, device, fault }).await;
                    sources.remove(0);
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(fid = fid.get(), devid = at.device.get(), error, "copy failed");
                    return Some(Carried::TargetFailed);
                }
            }
        }
        Some(Carried::NoSource)
    }

    /// Where another node finds the node of a device; `None` if that is in this process, or has a name and no address.
    fn address(&self, view: &ClusterView, device: DevId) -> Option<SocketAddr> {
        if self.0.nodes().is_local(device) {
            return None;
        }
        let host = view.host(view.device(device)?.device.host)?;
        Some(SocketAddr::new(host.ip.parse().ok()?, host.port))
    }

    /// Copies a file from one device to another, whatever its policy wants.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Database`].
    pub(crate) async fn copy_one(&self, fid: Fid, from: DevId, to: DevId) -> Result<Copied, Error> {
        let mut tx = self.0.db().reader().await?;
        let file = files::files_by_fid(&mut tx, &[fid]).await?.remove(&fid);
        let digest = digest_known(&mut tx, fid).await?;
        drop(tx);
        let load = Load {
            file: file.ok_or(Error::UnknownKey)?,
            digest: digest.as_ref(),
            on: &[from],
        };
        match self.carry(&load, &self.0.view(), to).await {
            Carried::There => self.record_one(fid, to).await,
            Carried::TargetFailed => Ok(Copied::TargetFailed),
            Carried::NoSource => Ok(Copied::NoSource),
        }
    }

    /// The copies that can be read now.
    fn sources(&self, view: &ClusterView, on: &[DevId]) -> Vec<Source> {
        let readable = on.iter().filter_map(|device| {
            view.device(*device).filter(|view| view.readable())?;
            let node = self.0.nodes().get(*device)?;
            Some(Source {
                device: *device,
                node,
            })
        });
        readable.collect()
    }

    /// Puts on record what was made of a file. Answers whether it still is one.
    pub(super) async fn record(&self, work: &mut Work) -> Result<Copied, Error> {
        let made = std::mem::take(&mut work.made);
        let mut copied = Copied::Recorded;
        for device in made {
            copied = self.record_one(work.file.fid, device).await?;
        }
        Ok(copied)
    }

    async fn record_one(&self, fid: Fid, device: DevId) -> Result<Copied, Error> {
        let now = self.0.now();
        let record = self
            .0
            .db()
            .write(move |tx| Box::pin(async move { recorded(tx, &[(fid, device)], now).await }));
        if record.await? == 0 {
            return Ok(Copied::Recorded);
        }
        self.0.wake(JobName::Delete);
        Ok(Copied::FileGone)
    }
}

/// Reads a file from the first source that has it, and writes it to a device on the way.
async fn stream(
    load: &Load<'_>,
    sources: Vec<Source>,
    target: Target,
    bad: &Arc<Mutex<Vec<BadCopy>>>,
) -> Carried {
    let fid = load.file.fid;
    let bad = Arc::clone(bad);
    let request = Download {
        fid,
        sources,
        size: load.file.size,
        first: 0,
        length: load.file.size,
        crc64: load.crc64(),
        latencies: None,
    };
    let body = download(request, move |copy| {
        bad.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
    });
    let copied = match body.await {
        Err(error) => Err(UploadError::Body(error)),
        Ok(body) => {
            let request = Upload {
                fid,
                targets: vec![target],
                size: Some(load.file.size),
                hashes: Vec::new(),
                lag_max: None,
            };
            // The download has checked the CRC; what it could not check, nobody can.
            upload(request, body.boxed(), |_, _| Ok::<(), DownloadError>(())).await
        }
    };
    match copied {
        Ok(_) => Carried::There,
        Err(UploadError::Body(error)) => {
            tracing::warn!(fid = fid.get(), %error, "no copy can be read");
            Carried::NoSource
        }
        Err(UploadError::NoTarget(failed)) => {
            for (device, error) in failed {
                tracing::warn!(
                    fid = fid.get(),
                    devid = device.get(),
                    error = chain(&error),
                    "copy failed"
                );
            }
            Carried::TargetFailed
        }
    }
}
