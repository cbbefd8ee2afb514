//! Watching the scrub and hastening it; [`crate::jobs::scrub`] does the reading.

use std::{sync::Arc, time::Duration};

use mogul_storage::DevId;

use crate::{
    Error, Tracker,
    command::settings::scrub_period,
    jobs::JobName,
    meta::scrub::{self as meta},
    model::ScrubState,
};

/// How the scrub of the cluster is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubStatus {
    /// In what time every copy is read once; `None` if that is switched off.
    pub period: Option<Duration>,
    /// Each device that has been taken up, by number.
    pub devices: Vec<ScrubState>,
}

impl Tracker {
    /// How the scrub is doing.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn scrub_status(&self) -> Result<ScrubStatus, Error> {
        Ok(ScrubStatus {
            period: scrub_period(&self.view()),
            devices: meta::scrubs(&mut self.db().reader().await?).await?,
        })
    }

    /// Begins a pass over devices anew and has it done at once, not spread over the period; over all of them if none is
    /// named. Also where the scrub is switched off.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], [`Error::Database`].
    pub async fn scrub_now(&self, devices: &[DevId]) -> Result<(), Error> {
        self.refresh_shared().await?;
        let view = self.view();
        if devices.iter().any(|device| view.device(*device).is_none()) {
            return Err(Error::UnknownDevice);
        }
        let all = || view.devices().map(|device| device.device.id).collect();
        let devices: Vec<DevId> = if devices.is_empty() {
            all()
        } else {
            devices.to_vec()
        };
        let (devices, now) = (Arc::new(devices), self.now());
        let begin = self.db().write(move |tx| {
            let devices = Arc::clone(&devices);
            Box::pin(async move { meta::scrubs_begun(tx, &devices, now).await })
        });
        begin.await?;
        self.wake(JobName::Scrub);
        Ok(())
    }
}
