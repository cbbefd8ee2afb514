//! Watching the scrub and hastening it; [`crate::jobs::scrub`] does the reading.

use std::{sync::Arc, time::Duration};

use mogul_storage::DevId;

use crate::{
    Error, Tracker,
    command::settings::scrub_period,
    jobs::JobName,
    meta::scrub::{self as meta},
    model::{ScrubCounts, ScrubHaste, ScrubState},
    view::ClusterView,
};

/// Bytes of a MiB, in which `device` counts.
const MIB: u64 = 1 << 20;

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

/// Files that the passes which have begun, or for which an operator waits, have still to read: as many as there are in the
/// bytes that are left on the devices. A device of which nothing was read yet counts as it did the last time.
pub(crate) fn unread(view: &ClusterView, states: &[ScrubState]) -> u64 {
    let under_way = |state: &&ScrubState| state.begun.is_some() || state.haste == ScrubHaste::AtOnce;
    let unread = states.iter().filter(under_way).map(|state| {
        let used = view.device(state.device).and_then(|device| device.device.mb_used);
        let used = used.unwrap_or(0).saturating_mul(MIB);
        let last = state.last.map(|(_, counts)| counts);
        let files_in = |bytes: u64, counts: ScrubCounts| {
            let files = u128::from(bytes) * u128::from(counts.files);
            let files = files.checked_div(u128::from(counts.bytes))?;
            u64::try_from(files).ok()
        };
        let left = used.saturating_sub(state.counts.bytes);
        let estimate = files_in(left, state.counts).or_else(|| files_in(left, last?));
        estimate.unwrap_or_default()
    });
    unread.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Device, DeviceStatus, HostId, Timestamp},
        view::Tables,
    };

    #[test]
    fn what_is_unread_is_what_fits_into_the_bytes_that_are_left() {
        let device = |id| Device {
            id: DevId::new(id).unwrap(),
            host: HostId(1),
            status: DeviceStatus::Alive,
            weight: 100,
            mb_total: Some(1000),
            mb_used: Some(100),
            mb_asof: None,
            mark: None,
        };
        let counts = |files, bytes| ScrubCounts {
            files,
            bytes,
            ..ScrubCounts::default()
        };
        let state = |id, begun: Option<i64>, now, last: Option<ScrubCounts>| ScrubState {
            device: DevId::new(id).unwrap(),
            due: Timestamp::from_secs(0),
            haste: ScrubHaste::Spread,
            begun: begun.map(Timestamp::from_secs),
            position: 0,
            counts: now,
            last: last.map(|counts| (Timestamp::from_secs(0), counts)),
        };
        let tables = Tables {
            devices: (1..=4).map(device).collect(),
            ..Tables::default()
        };
        let view = ClusterView::default().with_tables(tables);
        let (none, half, whole) = (counts(0, 0), counts(50, 50 * MIB), counts(200, 50 * MIB));

        assert_eq!(unread(&view, &[state(1, Some(0), half, None)]), 50);
        assert_eq!(unread(&view, &[state(1, Some(0), none, Some(whole))]), 400);
        assert_eq!(unread(&view, &[state(1, None, none, Some(whole))]), 0);
        assert_eq!(unread(&view, &[state(9, Some(0), none, None)]), 0);
        let hasty = ScrubState {
            haste: ScrubHaste::AtOnce,
            ..state(2, None, none, Some(whole))
        };
        assert_eq!(unread(&view, &[state(1, Some(0), half, None), hasty]), 450);
    }
}
