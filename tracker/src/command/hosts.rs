//! Hosts: made, changed, removed and listed.

use std::sync::Arc;

use mogul_storage::DevId;

use super::Change;
use crate::{
    Error, Tracker,
    meta::{Tx, devices, hosts},
    model::{Host, HostId, HostStatus},
};

/// Longest name in characters (`host.hostname`).
const NAME_CHARS_MAX: usize = 40;
/// Longest address in characters (`host.hostip`, `host.altip`).
const ADDRESS_CHARS_MAX: usize = 15;
/// Longest network in characters (`host.altmask`).
const NETWORK_CHARS_MAX: usize = 18;

/// Makes a host.
#[derive(Debug, Clone)]
pub struct CreateHost {
    /// Its name, unique: 1 to 40 characters.
    pub name: String,
    /// Its address, unique: 1 to 15 characters, IPv4 or a short name.
    pub ip: String,
    /// The port of its storage node.
    pub port: u16,
    /// Its state.
    pub status: HostStatus,
    /// The port for reads, if another.
    pub get_port: Option<u16>,
    /// Its address for clients of another network, unique.
    pub alt_ip: Option<String>,
    /// That network.
    pub alt_mask: Option<String>,
}

/// Changes a host.
#[derive(Debug, Clone, Default)]
pub struct UpdateHost {
    /// Its name.
    pub name: String,
    /// Its state, if that changes.
    pub status: Option<HostStatus>,
    /// Its address, if that changes.
    pub ip: Option<String>,
    /// The port of its storage node, if that changes.
    pub port: Option<u16>,
    /// The port for reads.
    pub get_port: Change<u16>,
    /// Its address for clients of another network.
    pub alt_ip: Change<String>,
    /// That network.
    pub alt_mask: Change<String>,
}

impl Tracker {
    /// Makes a host, and answers its number: the one after the largest.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::HostExists`], [`Error::AddressTaken`], [`Error::Exhausted`], [`Error::Database`].
    pub async fn create_host(&self, request: CreateHost) -> Result<HostId, Error> {
        let made = Host {
            id: HostId(0),
            name: request.name,
            status: request.status,
            ip: request.ip,
            port: request.port,
            get_port: request.get_port,
            alt_ip: request.alt_ip,
            alt_mask: request.alt_mask,
        };
        checked(&made)?;
        let made = Arc::new(made);
        let create = self.db().write(move |tx| {
            let made = Arc::clone(&made);
            Box::pin(async move {
                let all = hosts::hosts(tx).await?;
                if all.iter().any(|host| host.name.eq_ignore_ascii_case(&made.name)) {
                    return Err(Error::HostExists);
                }
                added(tx, &all, &made).await
            })
        });
        let id = create.await?;
        self.refresh_devices().await?;
        Ok(id)
    }

    /// Changes a host, and answers its number. Its devices are looked at anew, where they are now.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UnknownHost`], [`Error::AddressTaken`], [`Error::Database`].
    pub async fn update_host(&self, request: UpdateHost) -> Result<HostId, Error> {
        let request = Arc::new(request);
        let update = self.db().write(move |tx| {
            let request = Arc::clone(&request);
            Box::pin(async move {
                let all = hosts::hosts(tx).await?;
                let known = all.iter().find(|host| host.name == request.name);
                let host = changed(known.ok_or(Error::UnknownHost)?, &request);
                checked(&host)?;
                address_free(&all, &host)?;
                hosts::host_changed(tx, &host).await?;
                Ok(host.id)
            })
        });
        let id = update.await?;
        self.refresh_devices().await?;
        let view = self.view();
        let its = view.devices().filter(|device| device.device.host == id);
        let its: Vec<DevId> = its.map(|device| device.device.id).collect();
        self.observe(&its).await?;
        Ok(id)
    }

    /// Removes a host that has no devices, dead ones included.
    ///
    /// # Errors
    /// [`Error::UnknownHost`], [`Error::HostNotEmpty`], [`Error::Database`].
    pub async fn delete_host(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        let delete = self.db().write(move |tx| {
            let name = name.clone();
            Box::pin(async move {
                let all = hosts::hosts(tx).await?;
                let host = all.iter().find(|host| host.name == name);
                let id = host.ok_or(Error::UnknownHost)?.id;
                if devices::devices(tx).await?.iter().any(|device| device.host == id) {
                    return Err(Error::HostNotEmpty);
                }
                hosts::host_removed(tx, id).await
            })
        });
        delete.await?;
        self.refresh_devices().await
    }

    /// All hosts, by number, as the database has them now.
    pub async fn hosts(&self) -> Vec<Host> {
        self.refresh_where_possible().await;
        self.view().hosts().cloned().collect()
    }
}

/// Adds a host under the number after the largest.
pub(super) async fn added(tx: &mut Tx, all: &[Host], made: &Host) -> Result<HostId, Error> {
    address_free(all, made)?;
    let largest = all.iter().map(|host| host.id.0).max().unwrap_or(0);
    let id = HostId(largest.checked_add(1).ok_or(Error::Exhausted("host"))?);
    let host = Host { id, ..made.clone() };
    hosts::host_added(tx, &host).await?;
    Ok(id)
}

/// Sees that no other host has one of the addresses.
pub(super) fn address_free(all: &[Host], host: &Host) -> Result<(), Error> {
    let same = |other: &&Host| {
        let alternative = host.alt_ip.is_some() && other.alt_ip == host.alt_ip;
        other.id != host.id && (other.ip == host.ip || alternative)
    };
    all.iter().find(same).map_or(Ok(()), |_| Err(Error::AddressTaken))
}

/// A host as a request wants it.
fn changed(host: &Host, request: &UpdateHost) -> Host {
    Host {
        id: host.id,
        name: host.name.clone(),
        status: request.status.unwrap_or(host.status),
        ip: request.ip.as_ref().unwrap_or(&host.ip).clone(),
        port: request.port.unwrap_or(host.port),
        get_port: request.get_port.applied(host.get_port),
        alt_ip: request.alt_ip.clone().applied(host.alt_ip.clone()),
        alt_mask: request.alt_mask.clone().applied(host.alt_mask.clone()),
    }
}

/// Sees that the columns can hold a host, and that its addresses can stand in a URL.
fn checked(host: &Host) -> Result<(), Error> {
    let name = &host.name;
    if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return invalid("host", format!("it must have 1 to {NAME_CHARS_MAX} characters"));
    }
    for (field, address) in [("ip", Some(&host.ip)), ("altip", host.alt_ip.as_ref())] {
        if let Some(address) = address
            && !is_address(address)
        {
            let reason =
                format!("it must be an IPv4 address or a name of up to {ADDRESS_CHARS_MAX} characters");
            return invalid(field, reason);
        }
    }
    if let Some(network) = &host.alt_mask
        && !(1..=NETWORK_CHARS_MAX).contains(&network.chars().count())
    {
        return invalid(
            "altmask",
            format!("it must have 1 to {NETWORK_CHARS_MAX} characters"),
        );
    }
    if host.port == 0 || host.get_port == Some(0) {
        return invalid("port", "it must be 1 to 65535".to_owned());
    }
    Ok(())
}

fn is_address(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    (1..=ADDRESS_CHARS_MAX).contains(&text.len()) && text.bytes().all(letter)
}

fn invalid(field: &'static str, reason: String) -> Result<(), Error> {
    Err(Error::Invalid { field, reason })
}
