//! `host`: the machines with devices.

use super::{
    Row, Sql, Tx,
    ids::{number_of, opt_number_of, understood},
    sql::sql,
};
use crate::{
    Error,
    model::{Host, HostId, HostStatus},
};

const ALL: Sql = sql(
    "select hostid, hostname, status, hostip, http_port, http_get_port, altip, altmask \
     from host order by hostid limit 65536",
);

/// All hosts.
pub(crate) async fn hosts(tx: &mut Tx) -> Result<Vec<Host>, Error> {
    Ok(understood(&tx.rows(&ALL, vec![]).await?, host_of))
}

const INSERT: Sql = sql(
    "insert into host (hostid, status, http_port, hostname, hostip, http_get_port, altip, altmask) \
     values (?, ?, ?, ?, ?, ?, ?, ?)",
);

/// Adds a host.
pub(crate) async fn host_added(tx: &mut Tx, host: &Host) -> Result<(), Error> {
    let args = vec![
        host.id.0.into(),
        host.status.as_str().into(),
        host.port.into(),
        host.name.as_str().into(),
        host.ip.as_str().into(),
        host.get_port.into(),
        host.alt_ip.as_deref().into(),
        host.alt_mask.as_deref().into(),
    ];
    tx.run(&INSERT, args).await?;
    Ok(())
}

const UPDATE: Sql = sql(
    "update host set status = ?, http_port = ?, hostip = ?, http_get_port = ?, altip = ?, \
     altmask = ? where hostid = ?",
);

/// Writes all of a host that can change: all but its number and its name.
pub(crate) async fn host_changed(tx: &mut Tx, host: &Host) -> Result<(), Error> {
    let args = vec![
        host.status.as_str().into(),
        host.port.into(),
        host.ip.as_str().into(),
        host.get_port.into(),
        host.alt_ip.as_deref().into(),
        host.alt_mask.as_deref().into(),
        host.id.0.into(),
    ];
    tx.run(&UPDATE, args).await?;
    Ok(())
}

const REMOVE: Sql = sql("delete from host where hostid = ?");

/// Removes a host. That it has no devices is the caller's business.
pub(crate) async fn host_removed(tx: &mut Tx, id: HostId) -> Result<(), Error> {
    tx.run(&REMOVE, vec![id.0.into()]).await?;
    Ok(())
}

fn host_of(row: &Row) -> Result<Host, Error> {
    Ok(Host {
        id: HostId(number_of(row, 0)?),
        name: row.opt_text(1)?.unwrap_or_default(),
        // MogileFS treats a status that it does not know as down.
        status: row
            .opt_text(2)?
            .and_then(|name| HostStatus::parse(&name))
            .unwrap_or(HostStatus::Down),
        ip: row.opt_text(3)?.unwrap_or_default(),
        port: opt_number_of(row, 4)?.unwrap_or(DEFAULT_PORT),
        get_port: opt_number_of(row, 5)?,
        alt_ip: row.opt_text(6)?,
        alt_mask: row.opt_text(7)?,
    })
}

/// The default of the column `http_port`.
const DEFAULT_PORT: u16 = 7500;

catalogue! { ALL, INSERT, UPDATE, REMOVE }
