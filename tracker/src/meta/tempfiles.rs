//! `tempfile`: fids reserved by the tracker port, until they are closed.

use mogul_storage::{DevId, Fid};

use super::{
    Sql, Tx,
    files::values,
    ids::{LIST_MAX, fid_of},
    sql::sql,
};
use crate::{Error, model::Timestamp};

const OLD: Sql = sql("select fid, devids from tempfile where createtime < ? order by fid limit ?");

/// At most `limit` fids reserved before `before`, with the devices that were offered.
pub(crate) async fn tempfiles_before(
    tx: &mut Tx,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<(Fid, Vec<DevId>)>, Error> {
    let rows = tx.rows(&OLD, vec![before.secs().into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            let devids = row.opt_text(1)?.unwrap_or_default();
            let devices = devids
                .split(',')
                .filter_map(|id| DevId::new(id.trim().parse().ok()?));
            Ok((fid_of(row, 0)?, devices.collect()))
        })
        .collect()
}

const FORGET: Sql = sql("delete from tempfile where fid in (…)");

/// Forgets reserved fids.
pub(crate) async fn forget(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        tx.run_list(&FORGET, fids.len(), values(fids)).await?;
    }
    Ok(())
}

catalogue! { OLD, FORGET }
