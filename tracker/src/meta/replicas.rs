//! `file_on`: where copies are on record. A row is written only after its device has the bytes on stable storage, or to
//! make the delete job look there.

use std::collections::BTreeMap;

use mogul_storage::{DevId, Fid};

use super::{
    Sql, Tx,
    files::values,
    ids::{LIST_MAX, device_of, fid_of},
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

catalogue! { ADD, OF, FORGET, FORGET_ALL }
