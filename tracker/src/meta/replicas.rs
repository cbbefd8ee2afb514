//! `file_on`: where copies are on record. A row is written only after its device has the bytes on stable storage, or to
//! make the delete job look there.

use std::collections::BTreeMap;

use mogul_storage::{DevId, Fid};

use super::{
    Sql, Tx,
    files::values,
    ids::{LIST_MAX, device_of, fid_of, number_of},
    sql::sql,
};
use crate::Error;

const ADD: Sql = sql("insert into file_on (fid, devid) values (…) on conflict do nothing")
    .mysql("insert ignore into file_on (fid, devid) values (…)");

/// Puts copies on record; one that is there stays.
pub(crate) async fn add(tx: &mut Tx, replicas: &[(Fid, DevId)]) -> Result<(), Error> {
    for replicas in replicas.chunks(LIST_MAX) {
        let args = replicas
            .iter()
            .flat_map(|(fid, device)| [(*fid).into(), (*device).into()]);
        tx.run_list(&ADD, replicas.len(), args.collect()).await?;
    }
    Ok(())
}

const OF: Sql = sql("select fid, devid from file_on where fid in (…) order by fid, devid");

/// The devices on record of each of these fids; a fid without any is left out.
pub(crate) async fn replicas_of(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeMap<Fid, Vec<DevId>>, Error> {
    let mut replicas: BTreeMap<Fid, Vec<DevId>> = BTreeMap::new();
    for fids in fids.chunks(LIST_MAX) {
        for row in tx.rows_list(&OF, fids.len(), values(fids)).await? {
            replicas
                .entry(fid_of(&row, 0)?)
                .or_default()
                .push(device_of(&row, 1)?);
        }
    }
    Ok(replicas)
}

const FORGET: Sql = sql("delete from file_on where fid = ? and devid = ?");

/// Forgets one copy. Answers whether it was on record.
pub(crate) async fn forget(tx: &mut Tx, fid: Fid, device: DevId) -> Result<bool, Error> {
    Ok(tx.run(&FORGET, vec![fid.into(), device.into()]).await? > 0)
}

const FORGET_ALL: Sql = sql("delete from file_on where fid in (…)");

/// Forgets all copies of these fids.
pub(crate) async fn forget_all(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        tx.run_list(&FORGET_ALL, fids.len(), values(fids)).await?;
    }
    Ok(())
}

// In the order of the index of `devid`: by fid all of the device's would be sorted each time.
const ON_DEVICE: Sql = sql("select fid from file_on where devid = ? order by devid limit ?");

/// Some fids with a copy on record on a device, at most `limit`.
pub(crate) async fn replicas_on(tx: &mut Tx, device: DevId, limit: usize) -> Result<Vec<Fid>, Error> {
    let rows = tx.rows(&ON_DEVICE, vec![device.into(), limit.into()]).await?;
    rows.iter().map(|row| fid_of(row, 0)).collect()
}

const COUNTED: Sql =
    sql("select count(*) from (select devid from file_on where devid = ? order by devid limit ?) as counted");

/// Up to so many copies of a device are sorted for each page of them.
const FEW: u64 = 10_000;

/// How the copies on a device are had in the order of their fids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// By the index of `devid`, which does not have the fids in order, but on MySQL: all of the device's are sorted.
    Device,
    /// In the order of the key, past those of other devices, which `devid + 0` enforces: a page costs its share of the table.
    /// With many copies to go through, sorting all of them for each page costs their square.
    Key,
}

impl Walk {
    async fn on(tx: &mut Tx, device: DevId) -> Result<Walk, Error> {
        let args = vec![device.into(), FEW.into()];
        let count = match tx.rows(&COUNTED, args).await?.first() {
            Some(row) => number_of(row, 0)?,
            None => 0,
        };
        Ok(if count < FEW { Walk::Device } else { Walk::Key })
    }
}

const BEYOND: Sql = sql("select fid from file_on where devid = ? and fid > ? order by fid limit ?");
const BEYOND_BY_KEY: Sql =
    sql("select fid from file_on where devid + 0 = ? and fid > ? order by fid limit ?")
        .mysql("select fid from file_on where devid = ? and fid > ? order by fid limit ?");

/// The next fids with a copy on record on a device, at most `limit`, beyond one.
pub(crate) async fn replicas_beyond(
    tx: &mut Tx,
    device: DevId,
    beyond: u64,
    limit: usize,
) -> Result<Vec<Fid>, Error> {
    let statement = match Walk::on(tx, device).await? {
        Walk::Device => &BEYOND,
        Walk::Key => &BEYOND_BY_KEY,
    };
    let args = vec![device.into(), beyond.into(), limit.into()];
    tx.rows(statement, args)
        .await?
        .iter()
        .map(|row| fid_of(row, 0))
        .collect()
}

const COUNT_ON: Sql = sql("select count(*) from file_on where devid = ?");

/// How many copies are on record on a device: a count of all, which takes its time.
pub(crate) async fn count_on(tx: &mut Tx, device: DevId) -> Result<u64, Error> {
    match tx.rows(&COUNT_ON, vec![device.into()]).await?.first() {
        Some(row) => number_of(row, 0),
        None => Ok(0),
    }
}

const FORGET_ON: Sql = sql("delete from file_on where devid = ? and fid in (…)");

/// Forgets the copies of these fids on one device.
pub(crate) async fn forget_on(tx: &mut Tx, device: DevId, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let mut args = vec![device.into()];
        args.extend(values(fids));
        tx.run_list(&FORGET_ON, fids.len(), args).await?;
    }
    Ok(())
}

const OLDEST: Sql = sql(
    "select o.fid, f.length from file_on o join file f on f.fid = o.fid \
     where o.devid = ? and o.fid > ? order by o.fid limit ?",
);
const NEWEST: Sql = sql(
    "select o.fid, f.length from file_on o join file f on f.fid = o.fid \
     where o.devid = ? and o.fid < ? order by o.fid desc limit ?",
);

const OLDEST_BY_KEY: Sql = sql(
    "select o.fid, f.length from file_on o join file f on f.fid = o.fid \
     where o.devid + 0 = ? and o.fid > ? order by o.fid limit ?",
)
.mysql(
    "select o.fid, f.length from file_on o join file f on f.fid = o.fid \
     where o.devid = ? and o.fid > ? order by o.fid limit ?",
);
const NEWEST_BY_KEY: Sql = sql(
    "select o.fid, f.length from file_on o join file f on f.fid = o.fid \
     where o.devid + 0 = ? and o.fid < ? order by o.fid desc limit ?",
)
.mysql(
    "select o.fid, f.length from file_on o join file f on f.fid = o.fid \
     where o.devid = ? and o.fid < ? order by o.fid desc limit ?",
);

/// Which end of a device's files comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// Ascending fids.
    Oldest,
    /// Descending fids.
    Newest,
}

/// The next files on a device with their bytes, at most `limit`, beyond the last one; `None` begins.
pub(crate) async fn files_on(
    tx: &mut Tx,
    device: DevId,
    age: Age,
    beyond: Option<Fid>,
    limit: usize,
) -> Result<Vec<(Fid, u64)>, Error> {
    let (statement, start) = match (age, Walk::on(tx, device).await?) {
        (Age::Oldest, Walk::Device) => (&OLDEST, 0),
        (Age::Oldest, Walk::Key) => (&OLDEST_BY_KEY, 0),
        (Age::Newest, Walk::Device) => (&NEWEST, i64::MAX),
        (Age::Newest, Walk::Key) => (&NEWEST_BY_KEY, i64::MAX),
    };
    let start = beyond.map_or(super::Value::from(start), Into::into);
    let rows = tx
        .rows(statement, vec![device.into(), start, limit.into()])
        .await?;
    let files = rows.iter().map(|row| {
        let size = row.opt_int(1)?.and_then(|size| size.try_into().ok()).unwrap_or(0);
        Ok((fid_of(row, 0)?, size))
    });
    files.collect()
}

catalogue! {
    ADD, OF, FORGET, FORGET_ALL, ON_DEVICE, COUNTED, BEYOND, BEYOND_BY_KEY, COUNT_ON, FORGET_ON, OLDEST, NEWEST, OLDEST_BY_KEY, NEWEST_BY_KEY,
}
