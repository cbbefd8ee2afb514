//! `device`: where files lie.

use mogul_storage::DevId;

use super::{
    Row, Sql, Tx,
    ids::{device_of, number_of, opt_number_of},
    sql::sql,
};
use crate::{
    Error,
    model::{Device, DeviceStatus, HostId},
};

const ALL: Sql = sql(
    "select devid, hostid, status, weight, mb_total, mb_used, mb_asof \
     from device order by devid limit 65536",
);

/// All devices.
pub(crate) async fn devices(tx: &mut Tx) -> Result<Vec<Device>, Error> {
    tx.rows(&ALL, vec![]).await?.iter().map(device_row).collect()
}

const INSERT: Sql = sql("insert into device (devid, hostid, status, weight) values (?, ?, 'alive', 100)");

/// Adds a device in state alive.
pub(crate) async fn device_added(tx: &mut Tx, id: DevId, host: HostId) -> Result<(), Error> {
    tx.run(&INSERT, vec![id.into(), host.0.into()]).await?;
    Ok(())
}

const RECORD: Sql = sql("update device set mb_total = ?, mb_used = ?, mb_asof = ? where devid = ?");

/// How full a device is, as its row has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill {
    /// The device.
    pub(crate) device: DevId,
    /// Size in MiB.
    pub(crate) mb_total: u64,
    /// Used MiB.
    pub(crate) mb_used: u64,
    /// When this was seen, unix seconds of this process.
    pub(crate) asof: i64,
}

/// Records how full devices are.
pub(crate) async fn devices_filled(tx: &mut Tx, fills: &[Fill]) -> Result<(), Error> {
    for fill in fills {
        let args = vec![
            fill.mb_total.into(),
            fill.mb_used.into(),
            fill.asof.into(),
            fill.device.into(),
        ];
        tx.run(&RECORD, args).await?;
    }
    Ok(())
}

fn device_row(row: &Row) -> Result<Device, Error> {
    Ok(Device {
        id: device_of(row, 0)?,
        host: HostId(number_of(row, 1)?),
        // MogileFS treats a status that it does not know as down.
        status: match row.opt_text(2)?.as_deref() {
            Some("alive") => DeviceStatus::Alive,
            Some("dead") => DeviceStatus::Dead,
            Some("readonly") => DeviceStatus::ReadOnly,
            Some("drain") => DeviceStatus::Drain,
            _ => DeviceStatus::Down,
        },
        weight: opt_number_of(row, 3)?.unwrap_or(100),
        mb_total: opt_number_of(row, 4)?,
        mb_used: opt_number_of(row, 5)?,
        mb_asof: row.opt_int(6)?,
    })
}

catalogue! { ALL, INSERT, RECORD }
