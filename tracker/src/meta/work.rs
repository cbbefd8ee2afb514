//! `file_to_queue`: files that fsck or rebalance has still to look at.
//!
//! A row is claimed as those of the other queues are ([`super::queues`]): by pushing its `nexttry` ahead.

use std::time::Duration;

use mogul_storage::{DevId, Fid};

use super::{
    Sql, Tx,
    files::values,
    ids::{LIST_MAX, device_of, fid_of, number_of},
    queues::CLAIM,
    sql::sql,
};
use crate::{Error, model::Timestamp};

/// Whose work a row is: `file_to_queue.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 1: fsck checks the file.
    Fsck,
    /// 2: rebalance moves a copy of it.
    Rebalance,
}

impl Kind {
    pub(super) fn number(self) -> i64 {
        match self {
            Kind::Fsck => 1,
            Kind::Rebalance => 2,
        }
    }
}

/// A claimed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    /// The file.
    pub(crate) fid: Fid,
    /// The device that a copy shall leave.
    pub(crate) device: Option<DevId>,
    /// The devices it may go to, as text.
    pub(crate) arg: Option<String>,
    /// How often it failed before.
    pub(crate) failcount: u8,
}

const ANY: Sql =
    sql("select fid from file_to_queue where type = ? and nexttry <= ? order by nexttry limit 1");

/// Whether a row is due: a look that costs the database's writer nothing.
pub(crate) async fn due(tx: &mut Tx, kind: Kind, now: Timestamp) -> Result<bool, Error> {
    let args = vec![kind.number().into(), now.secs().into()];
    Ok(!tx.rows(&ANY, args).await?.is_empty())
}

const DUE: Sql = sql(
    "select fid, devid, arg, failcount from file_to_queue where type = ? and nexttry <= ? \
     order by nexttry limit ? for update skip locked",
)
.sqlite(
    "select fid, devid, arg, failcount from file_to_queue where type = ? and nexttry <= ? \
     order by nexttry limit ?",
);
const TAKE: Sql = sql("update file_to_queue set nexttry = ? where type = ? and fid in (…)");

/// How long a move is claimed: who does not get the file itself, because another still works on it, puts the move off.
const CLAIM_TO_MOVE: Duration = Duration::from_mins(2);

/// Claims at most `limit` due rows, 1 to [`LIST_MAX`]. Who dies with a claim leaves it to run out: for files that fsck checks,
/// which may be large and are read, that takes as long as in the original.
pub(crate) async fn claimed(
    tx: &mut Tx,
    kind: Kind,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Work>, Error> {
    let args = vec![
        kind.number().into(),
        now.secs().into(),
        limit.min(LIST_MAX).into(),
    ];
    let mut works = Vec::new();
    for row in tx.rows(&DUE, args).await? {
        let device = row.opt_int(1)?.filter(|device| *device > 0);
        works.push(Work {
            fid: fid_of(&row, 0)?,
            device: device.map(|_| device_of(&row, 1)).transpose()?,
            arg: row.opt_text(2)?,
            failcount: number_of(&row, 3)?,
        });
    }
    let claim = match kind {
        Kind::Fsck => CLAIM,
        Kind::Rebalance => CLAIM_TO_MOVE,
    };
    let mut args = vec![now.after(claim).secs().into(), kind.number().into()];
    args.extend(works.iter().map(|work| work.fid.into()));
    tx.run_list(&TAKE, works.len(), args).await?;
    Ok(works)
}

const DONE: Sql = sql("delete from file_to_queue where type = ? and fid in (…)");

/// Takes files out of the queue.
pub(crate) async fn done(tx: &mut Tx, kind: Kind, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let mut args = vec![kind.number().into()];
        args.extend(values(fids));
        tx.run_list(&DONE, fids.len(), args).await?;
    }
    Ok(())
}

const LATER: Sql = sql("update file_to_queue set nexttry = ?, failcount = ? where type = ? and fid in (…)");

/// Puts files off.
pub(crate) async fn put_off(
    tx: &mut Tx,
    kind: Kind,
    fids: &[Fid],
    nexttry: Timestamp,
    failcount: u8,
) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let mut args = vec![nexttry.secs().into(), failcount.into(), kind.number().into()];
        args.extend(values(fids));
        tx.run_list(&LATER, fids.len(), args).await?;
    }
    Ok(())
}

const ADD: Sql = sql(
    "insert into file_to_queue (fid, devid, arg, type, nexttry, failcount, flags) values (…) \
     on conflict do nothing",
)
.mysql("insert ignore into file_to_queue (fid, devid, arg, type, nexttry, failcount, flags) values (…)");

/// How often a move that fails is tried again.
pub(crate) const TRIES: usize = 4;
/// The failures of a move that is not tried again.
pub(crate) const TRIES_MAX: u8 = 4;

/// A copy that rebalance shall move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    /// The file.
    pub(crate) fid: Fid,
    /// Where the copy is.
    pub(crate) from: DevId,
    /// Where it may go: numbers of devices, separated by commas.
    pub(crate) to: String,
    /// How often it counts as failed, up to [`TRIES_MAX`].
    pub(crate) failcount: u8,
}

/// Queues moves; a file that is queued already stays as it is.
pub(crate) async fn moves_added(tx: &mut Tx, moves: &[Move], now: Timestamp) -> Result<(), Error> {
    for moves in moves.chunks(LIST_MAX) {
        let rows = moves.iter().flat_map(|order| {
            [
                order.fid.into(),
                order.from.into(),
                order.to.as_str().into(),
                Kind::Rebalance.number().into(),
                now.secs().into(),
                order.failcount.into(),
                0_i64.into(),
            ]
        });
        tx.run_list(&ADD, moves.len(), rows.collect()).await?;
    }
    Ok(())
}

/// Queues files that are to be looked at; one that is queued already stays as it is.
pub(crate) async fn files_added(
    tx: &mut Tx,
    kind: Kind,
    fids: &[Fid],
    nexttry: Timestamp,
) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let rows = fids.iter().flat_map(|fid| {
            [
                (*fid).into(),
                super::Value::Int(None),
                super::Value::Text(None),
                kind.number().into(),
                nexttry.secs().into(),
                0_i64.into(),
                0_i64.into(),
            ]
        });
        tx.run_list(&ADD, fids.len(), rows.collect()).await?;
    }
    Ok(())
}

const COUNT: Sql = sql(
    "select count(*) from (select fid from file_to_queue where type = ? order by fid limit ?) as counted",
);

/// How many rows of a kind there are, counted to `most`.
pub(crate) async fn length(tx: &mut Tx, kind: Kind, most: u64) -> Result<u64, Error> {
    match tx
        .rows(&COUNT, vec![kind.number().into(), most.into()])
        .await?
        .first()
    {
        Some(row) => number_of(row, 0),
        None => Ok(0),
    }
}

const COUNT_OF: Sql = sql(
    "select count(*) from (select fid from file_to_queue where type = ? and devid = ? \
     order by fid limit ?) as counted",
);

/// How many rows of a kind a device has, counted to `most`.
pub(crate) async fn length_of(tx: &mut Tx, kind: Kind, device: DevId, most: u64) -> Result<u64, Error> {
    let args = vec![kind.number().into(), device.into(), most.into()];
    match tx.rows(&COUNT_OF, args).await?.first() {
        Some(row) => number_of(row, 0),
        None => Ok(0),
    }
}

const FAILED: Sql = sql("select count(*) from file_to_queue where type = ? and devid = ? and failcount > 0");

/// How many rows of a kind a device has that failed before.
pub(crate) async fn failed(tx: &mut Tx, kind: Kind, device: DevId) -> Result<u64, Error> {
    let args = vec![kind.number().into(), device.into()];
    match tx.rows(&FAILED, args).await?.first() {
        Some(row) => number_of(row, 0),
        None => Ok(0),
    }
}

const DROP_MOVES: Sql = sql("delete from file_to_queue where type = ? and devid = ?");

/// Takes all moves off a device out of the queue.
pub(crate) async fn moves_dropped(tx: &mut Tx, device: DevId) -> Result<(), Error> {
    let args = vec![Kind::Rebalance.number().into(), device.into()];
    tx.run(&DROP_MOVES, args).await?;
    Ok(())
}

catalogue! { ANY, DUE, TAKE, DONE, LATER, ADD, COUNT, COUNT_OF, FAILED, DROP_MOVES }
