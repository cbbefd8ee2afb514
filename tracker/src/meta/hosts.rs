//! `host`: the machines with devices.

use super::{
    Row, Sql, Tx,
    ids::{number_of, opt_number_of},
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
    tx.rows(&ALL, vec![]).await?.iter().map(host_of).collect()
}

const INSERT: Sql = sql("insert into host (hostid, status, http_port, hostname, hostip) \
     values (?, 'alive', ?, ?, ?)");

/// Adds a host in state alive.
pub(crate) async fn host_added(
    tx: &mut Tx,
    id: HostId,
    name: &str,
    ip: &str,
    port: u16,
) -> Result<(), Error> {
    let args = vec![id.0.into(), port.into(), name.into(), ip.into()];
    tx.run(&INSERT, args).await?;
    Ok(())
}

const READDRESS: Sql = sql("update host set hostip = ?, http_port = ? where hostid = ?");

/// Gives a host another address.
pub(crate) async fn host_readdressed(tx: &mut Tx, id: HostId, ip: &str, port: u16) -> Result<(), Error> {
    tx.run(&READDRESS, vec![ip.into(), port.into(), id.0.into()])
        .await?;
    Ok(())
}

fn host_of(row: &Row) -> Result<Host, Error> {
    Ok(Host {
        id: HostId(number_of(row, 0)?),
        name: row.opt_text(1)?.unwrap_or_default(),
        // MogileFS treats a status that it does not know as down.
        status: match row.opt_text(2)?.as_deref() {
            Some("alive") => HostStatus::Alive,
            Some("dead") => HostStatus::Dead,
            Some("readonly") => HostStatus::ReadOnly,
            _ => HostStatus::Down,
        },
        ip: row.opt_text(3)?.unwrap_or_default(),
        port: opt_number_of(row, 4)?.unwrap_or(DEFAULT_PORT),
        get_port: opt_number_of(row, 5)?,
        alt_ip: row.opt_text(6)?,
        alt_mask: row.opt_text(7)?,
    })
}

/// The default of the column `http_port`.
const DEFAULT_PORT: u16 = 7500;

catalogue! { ALL, INSERT, READDRESS }
