//! Drains of devices: everything that is on them is moved to others. [`crate::jobs::drain`] queues the copies, and
//! [`crate::jobs::rebalance`] moves them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mogul_storage::DevId;

use super::devices::DeviceRef;
use crate::{
    Error, Tracker,
    balance::Drain,
    error::RunError,
    jobs::JobName,
    meta::{
        Tx, devices, hosts, replicas, settings,
        work::{self, Kind},
    },
    model::{Device, DeviceStatus, Timestamp},
};

/// What is drained.
#[derive(Debug, Clone)]
pub enum DrainTarget {
    /// One device.
    Device(DeviceRef),
    /// All devices of the host of that name that are not dead.
    Host(String),
}

/// How the drain of a device is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReport {
    /// The device.
    pub device: DevId,
    /// The name of its host.
    pub host: String,
    /// How far it has come.
    pub drain: Drain,
    /// Queued moves that have failed and are tried again.
    pub stuck: u64,
    /// How long the rest takes if it goes on as it did so far.
    pub left: Option<Duration>,
}

impl Tracker {
    /// Begins to move everything off a device, or off all of a host: its state becomes `drain`. One that is being drained goes on.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], [`Error::HostMismatch`], [`Error::UnknownHost`], [`Error::Invalid`] if a device is neither alive
    /// nor in drain; [`Error::Database`].
    pub async fn drain(&self, target: DrainTarget) -> Result<(), Error> {
        let work = Arc::new((target, self.now()));
        let begin = self.db().write(move |tx| {
            let work = Arc::clone(&work);
            Box::pin(async move { begun(tx, &work.0, work.1).await })
        });
        begin.await?;
        self.refresh_all().await?;
        self.wake(JobName::Drain);
        Ok(())
    }

    /// Ends drains: the devices become alive again. What was moved stays where it is now.
    ///
    /// # Errors
    /// As [`Tracker::drain`]; [`RunError::NotDraining`].
    pub async fn drain_cancel(&self, target: DrainTarget) -> Result<(), Error> {
        let target = Arc::new(target);
        let cancel = self.db().write(move |tx| {
            let target = Arc::clone(&target);
            Box::pin(async move { cancelled(tx, &target).await })
        });
        cancel.await?;
        self.refresh_all().await
    }

    /// The devices that are being drained, or have been and are empty, by number.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn drains(&self) -> Result<Vec<DrainReport>, Error> {
        self.refresh_shared().await?;
        let (view, now) = (self.view(), self.now());
        let mut tx = self.db().reader().await?;
        let mut reports = Vec::new();
        for (device, drain) in on_record(&mut tx).await? {
            let host = view.device(device).and_then(|found| view.host(found.device.host));
            reports.push(DrainReport {
                device,
                host: host.map(|host| host.name.clone()).unwrap_or_default(),
                stuck: work::failed(&mut tx, Kind::Rebalance, device).await?,
                left: time_left(&drain, now),
                drain,
            });
        }
        Ok(reports)
    }
}

/// The drains as the database has them.
pub(crate) async fn on_record(tx: &mut Tx) -> Result<BTreeMap<DevId, Drain>, Error> {
    let all = settings::settings(tx).await?;
    Ok(Drain::among(
        all.iter().map(|(key, value)| (key.as_str(), value.as_str())),
    ))
}

/// The devices of a target.
async fn devices_of(tx: &mut Tx, target: &DrainTarget) -> Result<Vec<Device>, Error> {
    match target {
        DrainTarget::Device(at) => Ok(vec![super::devices::found(tx, at).await?]),
        DrainTarget::Host(name) => {
            let hosts = hosts::hosts(tx).await?;
            let host = hosts.iter().find(|host| host.name == *name);
            let host = host.ok_or(Error::UnknownHost)?.id;
            let mut all = devices::devices(tx).await?;
            all.retain(|device| device.host == host && device.status != DeviceStatus::Dead);
            Ok(all)
        }
    }
}

async fn begun(tx: &mut Tx, target: &DrainTarget, now: Timestamp) -> Result<(), Error> {
    settings::run_held(tx).await?;
    for device in devices_of(tx, target).await? {
        match device.status {
            DeviceStatus::Alive | DeviceStatus::Drain => {}
            status @ (DeviceStatus::Down | DeviceStatus::ReadOnly | DeviceStatus::Dead) => {
                return Err(Error::Invalid {
                    field: "device",
                    reason: format!(
                        "dev{} is {}: only a device that is alive can be drained",
                        device.id,
                        status.as_str()
                    ),
                });
            }
        }
        let setting = Drain::setting_of(device.id);
        if settings::value_of(tx, &setting).await?.is_some() {
            continue;
        }
        devices::device_status_set(tx, device.id, DeviceStatus::Drain).await?;
        let files = replicas::count_on(tx, device.id).await?;
        settings::set(tx, &setting, &Drain::new(files, now).to_string()).await?;
    }
    Ok(())
}

async fn cancelled(tx: &mut Tx, target: &DrainTarget) -> Result<(), Error> {
    settings::run_held(tx).await?;
    let mut ended = false;
    for device in devices_of(tx, target).await? {
        if drain_ended(tx, device.id).await? {
            devices::device_shifted(tx, device.id, DeviceStatus::Drain, DeviceStatus::Alive).await?;
            ended = true;
        }
    }
    if ended {
        Ok(())
    } else {
        Err(RunError::NotDraining.into())
    }
}

/// Ends the drain of a device, if it has one: nothing more is moved off it. Answers whether it had one.
pub(crate) async fn drain_ended(tx: &mut Tx, device: DevId) -> Result<bool, Error> {
    let setting = Drain::setting_of(device);
    if settings::value_of(tx, &setting).await?.is_none() {
        return Ok(false);
    }
    settings::unset(tx, &setting).await?;
    work::moves_dropped(tx, device).await?;
    Ok(true)
}

fn time_left(drain: &Drain, now: Timestamp) -> Option<Duration> {
    let elapsed = Timestamp::from_secs(drain.started).until(now).as_secs();
    let seconds = drain.left().saturating_mul(elapsed).checked_div(drain.moved)?;
    Some(Duration::from_secs(seconds))
}
