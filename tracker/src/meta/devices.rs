//! `device`: where files lie.

use mogul_storage::DevId;

use super::{
    Engine, Row, Sql, Tx,
    ids::{device_of, number_of, opt_number_of, understood},
    sql::sql,
};
use crate::{
    Error,
    model::{Device, DeviceStatus, HostId},
};

const ALL: Sql = sql(
    "select d.devid, d.hostid, d.status, d.weight, d.mb_total, d.mb_used, d.mb_asof, m.mark \
     from device d left join mogul_mark m on m.devid = d.devid order by d.devid limit 65536",
);

/// All devices.
pub(crate) async fn devices(tx: &mut Tx) -> Result<Vec<Device>, Error> {
    Ok(understood(&tx.rows(&ALL, vec![]).await?, device_row))
}

const INSERT: Sql = sql("insert into device (devid, hostid, status, weight) values (?, ?, ?, 100)");

/// Adds a device.
///
/// # Errors
/// [`Error::Invalid`] if the column cannot hold its number.
pub(crate) async fn device_added(
    tx: &mut Tx,
    id: DevId,
    host: HostId,
    status: DeviceStatus,
) -> Result<(), Error> {
    let max = number_max(tx.engine());
    if id.get() > max {
        return Err(Error::Invalid {
            field: "devid",
            reason: format!("this database holds numbers up to {max}"),
        });
    }
    let args = vec![id.into(), host.0.into(), status.as_str().into()];
    tx.run(&INSERT, args).await?;
    Ok(())
}

/// Largest number that `device.devid` holds: a MEDIUMINT, and on PostgreSQL a SMALLINT.
fn number_max(engine: Engine) -> u32 {
    match engine {
        Engine::Postgres => i16::MAX.unsigned_abs().into(),
        Engine::Sqlite | Engine::MySql => DevId::MAX.get(),
    }
}

const SET_STATUS: Sql = sql("update device set status = ? where devid = ?");

/// Gives a device a state.
pub(crate) async fn device_status_set(tx: &mut Tx, id: DevId, status: DeviceStatus) -> Result<(), Error> {
    tx.run(&SET_STATUS, vec![status.as_str().into(), id.into()])
        .await?;
    Ok(())
}

const SET_WEIGHT: Sql = sql("update device set weight = ? where devid = ?");

/// Gives a device a weight.
pub(crate) async fn device_weight_set(tx: &mut Tx, id: DevId, weight: i32) -> Result<(), Error> {
    tx.run(&SET_WEIGHT, vec![i64::from(weight).into(), id.into()])
        .await?;
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

const SHIFT: Sql = sql("update device set status = ? where devid = ? and status = ?");

/// Gives a device that is in state `from` the state `to`: what somebody else has decided meanwhile stays.
pub(crate) async fn device_shifted(
    tx: &mut Tx,
    device: DevId,
    from: DeviceStatus,
    to: DeviceStatus,
) -> Result<(), Error> {
    let args = vec![to.as_str().into(), device.into(), from.as_str().into()];
    tx.run(&SHIFT, args).await?;
    Ok(())
}

fn device_row(row: &Row) -> Result<Device, Error> {
    Ok(Device {
        id: device_of(row, 0)?,
        host: HostId(number_of(row, 1)?),
        // MogileFS treats a status that it does not know as down.
        status: row
            .opt_text(2)?
            .and_then(|name| DeviceStatus::parse(&name))
            .unwrap_or(DeviceStatus::Down),
        weight: opt_number_of(row, 3)?.unwrap_or(100),
        mb_total: opt_number_of(row, 4)?,
        mb_used: opt_number_of(row, 5)?,
        mb_asof: row.opt_int(6)?,
        mark: match row.opt_text(7)? {
            Some(text) => Some(
                text.parse()
                    .map_err(|_| Error::Internal(format!("'{text}' is no mark of a device")))?,
            ),
            None => None,
        },
    })
}

catalogue! { ALL, INSERT, SET_STATUS, SET_WEIGHT, RECORD, SHIFT }
