//! Devices: made, listed, changed; and those of this process put on record.

use std::{collections::BTreeMap, sync::Arc};

use mogul_storage::DevId;

use super::{
    drain::drain_ended,
    hosts::{added, address_free},
};
use crate::{
    Error, Tracker,
    jobs::JobName,
    meta::{Db, Tx, devices, hosts, marks},
    model::{Device, DeviceStatus, Host, HostId, HostStatus},
    view::DeviceView,
};

/// Largest weight (`device.weight` is a signed MEDIUMINT).
const WEIGHT_MAX: u32 = 8_388_607;

/// A host that this process serves itself.
#[derive(Debug, Clone)]
pub struct LocalHost {
    /// Its name, unique: at most 40 bytes (`host.hostname`).
    pub name: String,
    /// Its address, unique: at most 15 bytes (`host.hostip`).
    pub ip: String,
    /// The port of its storage node.
    pub port: u16,
}

/// A device that this process serves itself.
#[derive(Debug, Clone)]
pub struct LocalDevice {
    /// Its number.
    pub id: DevId,
    /// The directory that holds it, to be found there again; `None` if that is of no interest.
    pub place: Option<String>,
}

impl From<DevId> for LocalDevice {
    fn from(id: DevId) -> LocalDevice {
        LocalDevice { id, place: None }
    }
}

/// A host, by what a request has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRef {
    /// By name.
    Name(String),
    /// By number.
    Id(HostId),
}

/// Makes a device.
#[derive(Debug, Clone)]
pub struct CreateDevice {
    /// Its number, which no device ever had.
    pub device: DevId,
    /// The host it is in.
    pub host: HostRef,
    /// Its state.
    pub status: DeviceStatus,
}

/// A device to be changed.
#[derive(Debug, Clone)]
pub struct DeviceRef {
    /// Its number.
    pub device: DevId,
    /// The name of the host that it must be in, if the request names one.
    pub host: Option<String>,
}

/// What is to be changed of a device; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeviceChanges {
    /// Its state. A dead one is reaped: its replicas are forgotten and made anew elsewhere.
    pub status: Option<DeviceStatus>,
    /// Its weight for reads, 0 to 8,388,607; 0 counts as 100 (mogilefs.md §9.2).
    pub weight: Option<u32>,
}

impl DeviceChanges {
    /// Another state.
    #[must_use]
    pub fn status(status: DeviceStatus) -> DeviceChanges {
        DeviceChanges {
            status: Some(status),
            weight: None,
        }
    }

    /// Another weight.
    #[must_use]
    pub fn weight(weight: u32) -> DeviceChanges {
        DeviceChanges {
            status: None,
            weight: Some(weight),
        }
    }
}

impl Tracker {
    /// Makes a device, and looks at it.
    ///
    /// # Errors
    /// [`Error::UnknownHost`], [`Error::DeviceExists`], [`Error::Invalid`], [`Error::Database`].
    pub async fn create_device(&self, request: CreateDevice) -> Result<(), Error> {
        let id = request.device;
        let request = Arc::new(request);
        let create = self.db().write(move |tx| {
            let request = Arc::clone(&request);
            Box::pin(async move {
                let all = hosts::hosts(tx).await?;
                let named = |host: &&Host| match &request.host {
                    HostRef::Name(name) => host.name == *name,
                    HostRef::Id(id) => host.id == *id,
                };
                let host = all.iter().find(named).ok_or(Error::UnknownHost)?.id;
                let known = devices::devices(tx).await?;
                if known.iter().any(|device| device.id == request.device) {
                    return Err(Error::DeviceExists);
                }
                devices::device_added(tx, request.device, host, request.status).await
            })
        });
        create.await?;
        self.refresh_devices().await?;
        self.observe(&[id]).await
    }

    /// Gives a device another state, another weight, or both.
    ///
    /// A dead one is reaped: its replicas are forgotten and made anew elsewhere. In state `drain` it takes no new files and keeps those
    /// that it has; where it was being drained, any other state ends that.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UnknownDevice`], [`Error::HostMismatch`], [`Error::DeadDevice`], [`Error::Database`]; nothing
    /// has changed then.
    pub async fn change_device(&self, at: DeviceRef, changes: DeviceChanges) -> Result<(), Error> {
        let id = at.device;
        let weight = changes.weight.map(weight_checked).transpose()?;
        let at = Arc::new(at);
        let change = self.db().write(move |tx| {
            let at = Arc::clone(&at);
            Box::pin(async move {
                let known = found(tx, &at).await?;
                if let Some(status) = changes.status {
                    if (known.status, status) == (DeviceStatus::Dead, DeviceStatus::Alive) {
                        return Err(Error::DeadDevice);
                    }
                    if status != DeviceStatus::Drain {
                        drain_ended(tx, at.device).await?;
                    }
                    devices::device_status_set(tx, at.device, status).await?;
                }
                if let Some(weight) = weight {
                    devices::device_weight_set(tx, at.device, weight).await?;
                }
                Ok(())
            })
        });
        change.await?;
        self.refresh_all().await?;
        if changes.status.is_none() {
            return Ok(());
        }
        self.wake(JobName::Reaper);
        self.observe(&[id]).await
    }

    /// Forgets which disk a device is: the one that lies in its place now is taken for it and marked, unless it is marked as
    /// another one, or is empty while the device has files on record.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], [`Error::Database`].
    pub async fn forget_mark(&self, device: DevId) -> Result<(), Error> {
        let forget = self.db().write(move |tx| {
            Box::pin(async move {
                let at = DeviceRef { device, host: None };
                found(tx, &at).await?;
                marks::mark_forgotten(tx, device).await
            })
        });
        forget.await?;
        self.refresh_devices().await?;
        self.observe(&[device]).await
    }

    /// All devices with what was last seen of them, by number, as the database has them now.
    pub async fn devices(&self) -> Vec<DeviceView> {
        self.refresh_where_possible().await;
        self.view().devices().cloned().collect()
    }

    /// Puts this process's own host and devices on record, in state alive, and looks at them. What is on record already
    /// stays as it is, but that the host's address follows.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a device belongs to another host, or the address does; [`Error::Database`].
    pub async fn register_local<D>(&self, host: LocalHost, local: &[D]) -> Result<(), Error>
    where
        D: Clone + Into<LocalDevice>,
    {
        let local: Vec<LocalDevice> = local.iter().cloned().map(Into::into).collect();
        let ids: Vec<DevId> = local.iter().map(|device| device.id).collect();
        let wanted = Arc::new((host, local));
        let register = self.db().write(move |tx| {
            let wanted = Arc::clone(&wanted);
            Box::pin(async move {
                let host = host_registered(tx, &wanted.0).await?;
                devices_registered(tx, host, &wanted.1).await?;
                places_recorded(tx, &wanted.1).await
            })
        });
        register.await?;
        self.refresh_devices().await?;
        self.observe(&ids).await
    }
}

/// A weight as the table has it.
fn weight_checked(weight: u32) -> Result<i32, Error> {
    let fits = i32::try_from(weight).ok().filter(|_| weight <= WEIGHT_MAX);
    fits.ok_or_else(|| Error::Invalid {
        field: "weight",
        reason: format!("it must be 0 to {WEIGHT_MAX}"),
    })
}

/// The device of a request.
pub(super) async fn found(tx: &mut Tx, at: &DeviceRef) -> Result<Device, Error> {
    let all = devices::devices(tx).await?;
    let device = all.into_iter().find(|device| device.id == at.device);
    let device = device.ok_or(Error::UnknownDevice)?;
    if let Some(name) = &at.host {
        let hosts = hosts::hosts(tx).await?;
        let own = hosts.iter().find(|host| host.id == device.host);
        if own.is_none_or(|own| own.name != *name) {
            return Err(Error::HostMismatch);
        }
    }
    Ok(device)
}

/// Finds the host by name, or adds it.
async fn host_registered(tx: &mut Tx, wanted: &LocalHost) -> Result<HostId, Error> {
    let all = hosts::hosts(tx).await?;
    let known = all.iter().find(|host| host.name == wanted.name);
    let made = Host {
        id: HostId(0),
        name: wanted.name.clone(),
        status: HostStatus::Alive,
        ip: wanted.ip.clone(),
        port: wanted.port,
        get_port: None,
        alt_ip: None,
        alt_mask: None,
    };
    let host = known.map_or(made, |known| Host {
        ip: wanted.ip.clone(),
        port: wanted.port,
        ..known.clone()
    });
    if address_free(&all, &host).is_err() {
        return Err(Error::Invalid {
            field: "host address",
            reason: format!("{} belongs to another host", host.ip),
        });
    }
    match known {
        Some(known) if *known == host => Ok(host.id),
        Some(_) => {
            hosts::host_changed(tx, &host).await?;
            Ok(host.id)
        }
        None => added(tx, &all, &host).await,
    }
}

async fn places_recorded(tx: &mut Tx, local: &[LocalDevice]) -> Result<(), Error> {
    for device in local {
        if let Some(place) = &device.place {
            marks::place_recorded(tx, device.id, place).await?;
        }
    }
    Ok(())
}

async fn devices_registered(tx: &mut Tx, host: HostId, local: &[LocalDevice]) -> Result<(), Error> {
    let all = devices::devices(tx).await?;
    for device in local.iter().map(|device| &device.id) {
        match all.iter().find(|known| known.id == *device) {
            Some(known) if known.host == host => {}
            Some(known) => {
                return Err(Error::Invalid {
                    field: "device",
                    reason: format!("dev{device} belongs to the host with number {}", known.host.0),
                });
            }
            None => devices::device_added(tx, *device, host, DeviceStatus::Alive).await?,
        }
    }
    Ok(())
}

/// What a migrated database knows of devices. A process asks before it opens its own, so that a new directory does not take the
/// number of a device that is away, and no disk of another cluster is taken for one of this.
#[derive(Debug)]
pub struct OnRecord {
    /// The devices, by number.
    pub devices: Vec<Device>,
    /// Directories in which `mogul server` found its devices last.
    pub places: BTreeMap<DevId, String>,
    /// The name of this cluster, once it has marked a device.
    pub cluster: Option<String>,
}

/// Reads it.
///
/// # Errors
/// [`Error::Database`].
pub async fn on_record(db: &Db) -> Result<OnRecord, Error> {
    let mut tx = db.reader().await?;
    Ok(OnRecord {
        devices: devices::devices(&mut tx).await?,
        places: marks::places(&mut tx).await?,
        cluster: marks::cluster(&mut tx).await?,
    })
}
