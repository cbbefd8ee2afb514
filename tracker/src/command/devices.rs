//! Hosts and devices.

use std::sync::Arc;

use mogul_storage::DevId;

use crate::{
    Error, Tracker,
    jobs::monitor::Monitor,
    meta::{Db, Tx, devices, hosts},
    model::{Device, Host, HostId},
};

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

impl Tracker {
    /// Puts this process's own host and devices on record, in state alive, and looks at them. What is on record already
    /// stays as it is, but that the host's address follows.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a device belongs to another host, or the address does; [`Error::Database`].
    pub async fn register_local(&self, host: LocalHost, local: &[DevId]) -> Result<(), Error> {
        let wanted = Arc::new((host, local.to_vec()));
        let register = self.db().write(move |tx| {
            let wanted = Arc::clone(&wanted);
            Box::pin(async move {
                let host = host_registered(tx, &wanted.0).await?;
                devices_registered(tx, host, &wanted.1).await
            })
        });
        register.await?;
        self.refresh_devices().await?;
        Monitor::new(self).observe().await
    }
}

/// Finds the host by name, or adds it.
async fn host_registered(tx: &mut Tx, wanted: &LocalHost) -> Result<HostId, Error> {
    let all = hosts::hosts(tx).await?;
    let same_address = |host: &&Host| host.ip == wanted.ip && host.name != wanted.name;
    if let Some(other) = all.iter().find(same_address) {
        return Err(Error::Invalid {
            field: "host address",
            reason: format!("{} belongs to the host {}", other.ip, other.name),
        });
    }
    if let Some(host) = all.iter().find(|host| host.name == wanted.name) {
        if (host.ip.as_str(), host.port) != (wanted.ip.as_str(), wanted.port) {
            hosts::host_readdressed(tx, host.id, &wanted.ip, wanted.port).await?;
        }
        return Ok(host.id);
    }
    let largest = all.iter().map(|host| host.id.0).max().unwrap_or(0);
    let id = HostId(largest.checked_add(1).ok_or(Error::Exhausted("host"))?);
    hosts::host_added(tx, id, &wanted.name, &wanted.ip, wanted.port).await?;
    Ok(id)
}

async fn devices_registered(tx: &mut Tx, host: HostId, local: &[DevId]) -> Result<(), Error> {
    let all = devices::devices(tx).await?;
    for device in local {
        match all.iter().find(|known| known.id == *device) {
            Some(known) if known.host == host => {}
            Some(known) => {
                return Err(Error::Invalid {
                    field: "device",
                    reason: format!("dev{device} belongs to the host with number {}", known.host.0),
                });
            }
            None => devices::device_added(tx, *device, host).await?,
        }
    }
    Ok(())
}

/// The devices that a migrated database knows, by number. A process asks before it opens its own, so that a new directory does
/// not take the number of a device that is away.
///
/// # Errors
/// [`Error::Database`].
pub async fn devices_on_record(db: &Db) -> Result<Vec<Device>, Error> {
    let mut tx = db.reader().await?;
    devices::devices(&mut tx).await
}
