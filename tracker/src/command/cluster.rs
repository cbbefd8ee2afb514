//! Looking at the cluster now instead of soon, and single steps that the jobs would make by themselves.

use mogul_storage::{DevId, Fid};

use crate::{
    Error, Tracker,
    jobs::{JobName, monitor::Monitor, replicate::Replicate},
    meta::queues,
};

pub use crate::jobs::replicate::Copied;

/// Copies a file from one device to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyFile {
    /// The file.
    pub fid: Fid,
    /// The device with the copy to read.
    pub from: DevId,
    /// The device for the new one.
    pub to: DevId,
}

impl Tracker {
    /// Reads everything anew and looks at all devices; answers when that is done. A device that hangs takes its time to be
    /// given up, the others are published meanwhile.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn look_now(&self) -> Result<(), Error> {
        self.refresh_all().await?;
        Monitor::new(self).observe().await
    }

    /// Looks at these devices.
    pub(crate) async fn observe(&self, devices: &[DevId]) -> Result<(), Error> {
        Monitor::new(self).observe_some(devices).await
    }

    /// Makes everything due that waits to be replicated, what was given up included. Answers how many files.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn replicate_now(&self) -> Result<u64, Error> {
        let now = self.now();
        let hasten = self
            .db()
            .write(move |tx| Box::pin(async move { queues::replicate_hastened(tx, now).await }));
        let count = hasten.await?;
        self.wake(JobName::Replicate);
        Ok(count)
    }

    /// Copies a file from one device to another, whatever its class wants.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] if there is no such file, [`Error::UnknownDevice`], [`Error::Database`].
    pub async fn copy_file(&self, request: CopyFile) -> Result<Copied, Error> {
        let view = self.view();
        for device in [request.from, request.to] {
            view.device(device).ok_or(Error::UnknownDevice)?;
        }
        Replicate::new(self)
            .copy_one(request.fid, request.from, request.to)
            .await
    }
}
