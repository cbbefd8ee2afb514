//! `mogul_cluster`, `mogul_mark`, `mogul_place`: which disk is which device, and where `mogul server` found it.

use std::collections::BTreeMap;

use mogul_storage::{DevId, Mark};

use super::{Sql, Tx, ids::device_of, sql::sql};
use crate::{Error, model::Timestamp};

const CLUSTER: Sql = sql("select cluster_id from mogul_cluster order by cluster_id limit 1");

/// The name of this cluster, if it has one: 32 hex digits.
pub(crate) async fn cluster(tx: &mut Tx) -> Result<Option<String>, Error> {
    let rows = tx.rows(&CLUSTER, vec![]).await?;
    Ok(rows.first().map(|row| row.text(0)).transpose()?)
}

const NAME: Sql = sql("insert into mogul_cluster (cluster_id) values (?)");

/// Names this cluster. Whoever does holds the run, and has seen that it has no name.
pub(crate) async fn cluster_named(tx: &mut Tx, name: &str) -> Result<(), Error> {
    tx.run(&NAME, vec![name.into()]).await?;
    Ok(())
}

const RECORD: Sql =
    sql("insert into mogul_mark (devid, mark, marked_at) values (?, ?, ?) on conflict do nothing")
        .mysql("insert ignore into mogul_mark (devid, mark, marked_at) values (?, ?, ?)");

/// Puts the mark of a device on record, unless one is.
pub(crate) async fn mark_recorded(tx: &mut Tx, mark: &Mark, now: Timestamp) -> Result<(), Error> {
    let args = vec![mark.device().into(), mark.as_str().into(), now.millis().into()];
    tx.run(&RECORD, args).await?;
    Ok(())
}

const FORGET: Sql = sql("delete from mogul_mark where devid = ?");
const FORGET_PLACE: Sql = sql("delete from mogul_place where devid = ?");

/// Forgets which disk a device is, and where.
pub(crate) async fn mark_forgotten(tx: &mut Tx, device: DevId) -> Result<(), Error> {
    for statement in [&FORGET, &FORGET_PLACE] {
        tx.run(statement, vec![device.into()]).await?;
    }
    Ok(())
}

const PLACE: Sql = sql("insert into mogul_place (devid, place) values (?, ?) \
     on conflict (devid) do update set place = excluded.place")
.mysql("replace into mogul_place (devid, place) values (?, ?)");

/// Records where a device lies.
pub(crate) async fn place_recorded(tx: &mut Tx, device: DevId, place: &str) -> Result<(), Error> {
    tx.run(&PLACE, vec![device.into(), place.into()]).await?;
    Ok(())
}

const PLACES: Sql = sql("select devid, place from mogul_place order by devid limit 65536");

/// Where devices lay last.
pub(crate) async fn places(tx: &mut Tx) -> Result<BTreeMap<DevId, String>, Error> {
    let rows = tx.rows(&PLACES, vec![]).await?;
    rows.iter()
        .map(|row| Ok((device_of(row, 0)?, row.text(1)?)))
        .collect()
}

catalogue! { CLUSTER, NAME, RECORD, FORGET, FORGET_PLACE, PLACE, PLACES }
