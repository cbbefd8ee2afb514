//! One copy of one file: read from whichever copies are good, checked on the way, put on record.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use mogul_storage::{
    DevId, Fid,
    download::{BadCopy, Download, DownloadError, Source, download},
    upload::{Target, Upload, UploadError, upload},
};

use super::{Replicate, Work};
use crate::{
    Error,
    error::chain,
    jobs::JobName,
    meta::{files, queues, replicas},
    view::ClusterView,
};

/// What came of a copy.
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

impl Replicate {
    /// Copies a file to a device.
    ///
    /// The whole is checked against its CRC, where one is known, before the target is told that it is whole. Copies that
    /// turn out bad are reported.
    pub(super) async fn copy(
        &self,
        work: &Work,
        view: &ClusterView,
        on: &[DevId],
        target: DevId,
    ) -> Result<Copied, Error> {
        let Some(node) = self.0.nodes().get(target) else {
            return Ok(Copied::TargetFailed);
        };
        let sources = self.sources(view, on);
        if sources.is_empty() {
            return Ok(Copied::NoSource);
        }
        let bad: Arc<Mutex<Vec<BadCopy>>> = Arc::default();
        let body = {
            let bad = Arc::clone(&bad);
            let request = Download {
                fid: work.file.fid,
                sources,
                size: work.file.size,
                first: 0,
                length: work.file.size,
                crc64: work.crc64,
            };
            download(request, move |copy| {
                bad.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
            })
            .await
        };
        let copied = match body {
            Err(error) => Err(UploadError::Body(error)),
            Ok(body) => {
                let request = Upload {
                    fid: work.file.fid,
                    targets: vec![Target { device: target, node }],
                    size: Some(work.file.size),
                    hashes: Vec::new(),
                };
                // The download has checked the CRC; what it could not check, nobody can.
                upload(request, body.boxed(), |_, _| Ok::<(), DownloadError>(())).await
            }
        };
        let bad = std::mem::take(&mut *bad.lock().unwrap_or_else(PoisonError::into_inner));
        for copy in bad {
            self.0.report_bad_copy(copy).await;
        }
        match copied {
            Ok(_) => self.record(work, target).await,
            Err(UploadError::Body(error)) => {
                tracing::warn!(fid = work.file.fid.get(), %error, "no copy can be read");
                Ok(Copied::NoSource)
            }
            Err(UploadError::NoTarget(failed)) => {
                for (device, error) in failed {
                    tracing::warn!(
                        fid = work.file.fid.get(),
                        devid = device.get(),
                        error = chain(&error),
                        "copy failed"
                    );
                }
                Ok(Copied::TargetFailed)
            }
        }
    }

    /// Copies a file from one device to another, whatever its policy wants.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Database`].
    pub(crate) async fn copy_one(&self, fid: Fid, from: DevId, to: DevId) -> Result<Copied, Error> {
        let mut tx = self.0.db().reader().await?;
        let file = files::files_by_fid(&mut tx, &[fid]).await?.remove(&fid);
        let crc64 = files::digests_known(&mut tx, &[fid]).await?.remove(&fid);
        drop(tx);
        let work = Work {
            file: file.ok_or(Error::UnknownKey)?,
            crc64,
        };
        self.copy(&work, &self.0.view(), &[from], to).await
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

    async fn record(&self, work: &Work, target: DevId) -> Result<Copied, Error> {
        let (fid, now) = (work.file.fid, self.0.now());
        let record = self.0.db().write(move |tx| {
            Box::pin(async move {
                let there = files::file_locked(tx, fid).await?;
                replicas::add(tx, &[(fid, target)]).await?;
                if there {
                    files::devcount_updated(tx, fid).await?;
                    return Ok(Copied::Recorded);
                }
                queues::delete(tx, &[fid], now).await?;
                Ok(Copied::FileGone)
            })
        });
        let copied = record.await?;
        if copied == Copied::FileGone {
            self.0.wake(JobName::Delete);
        }
        Ok(copied)
    }
}
