//! `tempfile`: fids reserved by the tracker port, until they are closed.

use std::collections::{BTreeMap, BTreeSet};

use mogul_storage::{DevId, Fid};

use super::{
    Row, Sql, Tx,
    files::{self, values},
    ids::{LIST_MAX, fid_of, number_of},
    sql::sql,
};
use crate::{
    Error,
    model::{ClassId, DomainId, Timestamp},
};

/// A reserved fid.
#[derive(Debug, Clone)]
pub(crate) struct NewTempfile {
    /// The fid.
    pub(crate) fid: Fid,
    /// The domain.
    pub(crate) domain: DomainId,
    /// The class.
    pub(crate) class: ClassId,
    /// The key that was named when it was reserved; empty if none was.
    pub(crate) key: String,
    /// The devices that were offered.
    pub(crate) devices: Vec<DevId>,
    /// When it was reserved.
    pub(crate) created: Timestamp,
}

const ADD: Sql = sql("insert into tempfile (fid, createtime, classid, dmid, dkey, devids) values (…)");

/// Puts reserved fids on record.
pub(crate) async fn added(tx: &mut Tx, tempfiles: &[NewTempfile]) -> Result<(), Error> {
    for tempfiles in tempfiles.chunks(LIST_MAX) {
        let rows = tempfiles.iter().flat_map(|tempfile| {
            [
                tempfile.fid.into(),
                tempfile.created.secs().into(),
                tempfile.class.into(),
                tempfile.domain.into(),
                tempfile.key.as_str().into(),
                listed(&tempfile.devices).into(),
            ]
        });
        tx.run_list(&ADD, tempfiles.len(), rows.collect()).await?;
    }
    Ok(())
}

/// Device numbers as `devids` has them.
fn listed(devices: &[DevId]) -> String {
    let numbers: Vec<String> = devices.iter().map(ToString::to_string).collect();
    numbers.join(",")
}

const IN_USE: Sql = sql(
    "select fid from file where fid = ? union all select fid from tempfile where fid = ? \
     union all select fid from file_on where fid = ? union all select fid from file_to_delete2 where fid = ? \
     union all select first_fid from mogul_fid_block where first_fid <= ? and last_fid >= ?",
);

/// Whether a fid that a client wants is, or was, or may yet be somebody's.
pub(crate) async fn fid_in_use(tx: &mut Tx, fid: Fid) -> Result<bool, Error> {
    Ok(!tx.rows(&IN_USE, vec![fid.into(); 6]).await?.is_empty())
}

/// A reservation that is to be closed.
#[derive(Debug, Clone)]
pub(crate) struct Tempfile {
    /// The class it was reserved for.
    pub(crate) class: ClassId,
    /// The devices that were offered.
    pub(crate) devices: Vec<DevId>,
    /// Whether the fid is a file already, which only somebody else's SQL can bring about.
    pub(crate) is_file: bool,
}

const OF: Sql = sql(
    "select t.fid, t.classid, t.devids, (select count(*) from file f where f.fid = t.fid) \
     from tempfile t where t.fid in (…) order by t.fid",
);

/// The reservations of fids.
pub(crate) async fn tempfiles_of(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeMap<Fid, Tempfile>, Error> {
    let mut found = BTreeMap::new();
    for fids in fids.chunks(LIST_MAX) {
        for row in tx.rows_list(&OF, fids.len(), values(fids)).await? {
            let tempfile = Tempfile {
                class: ClassId(number_of(&row, 1)?),
                devices: devices_of(&row, 2)?,
                is_file: row.int(3)? > 0,
            };
            found.insert(fid_of(&row, 0)?, tempfile);
        }
    }
    Ok(found)
}

const HELD: Sql = sql("select fid from tempfile where fid in (…) order by fid for update")
    .sqlite("select fid from tempfile where fid in (…) order by fid");

/// Which of these fids are reserved; nobody else can close or expire them until the transaction ends.
pub(crate) async fn tempfiles_held(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeSet<Fid>, Error> {
    fids_of(tx, &HELD, fids).await
}

const PRESENT: Sql = sql("select fid from tempfile where fid in (…) order by fid");

/// Which of these fids somebody answers for: files, and what the tracker port has reserved.
pub(crate) async fn accounted_for(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeSet<Fid>, Error> {
    let mut known = fids_of(tx, &PRESENT, fids).await?;
    // In this order: a reservation that is closed between the two looks is a file by the second.
    known.append(&mut files::files_present(tx, fids).await?);
    Ok(known)
}

async fn fids_of(tx: &mut Tx, sql: &Sql, fids: &[Fid]) -> Result<BTreeSet<Fid>, Error> {
    let mut found = BTreeSet::new();
    for fids in fids.chunks(LIST_MAX) {
        for row in tx.rows_list(sql, fids.len(), values(fids)).await? {
            found.insert(fid_of(&row, 0)?);
        }
    }
    Ok(found)
}

const OLD: Sql = sql(
    "select fid, devids from tempfile where createtime < ? order by fid limit ? \
     for update skip locked",
)
.sqlite("select fid, devids from tempfile where createtime < ? order by fid limit ?");

/// At most `limit` fids reserved before `before`, with the devices that were offered. None that is being closed is among
/// them, and none can be closed until the transaction ends.
pub(crate) async fn tempfiles_before(
    tx: &mut Tx,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<(Fid, Vec<DevId>)>, Error> {
    let rows = tx.rows(&OLD, vec![before.secs().into(), limit.into()]).await?;
    rows.iter()
        .map(|row| Ok((fid_of(row, 0)?, devices_of(row, 1)?)))
        .collect()
}

/// The devices of a column `devids`; what is no number there is no device.
fn devices_of(row: &Row, column: usize) -> Result<Vec<DevId>, Error> {
    let text = row.opt_text(column)?.unwrap_or_default();
    let devices = text
        .split(',')
        .filter_map(|id| DevId::new(id.trim().parse().ok()?));
    Ok(devices.collect())
}

const FORGET: Sql = sql("delete from tempfile where fid in (…)");

/// Forgets reserved fids.
pub(crate) async fn forget(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        tx.run_list(&FORGET, fids.len(), values(fids)).await?;
    }
    Ok(())
}

catalogue! { ADD, IN_USE, OF, HELD, PRESENT, OLD, FORGET }
