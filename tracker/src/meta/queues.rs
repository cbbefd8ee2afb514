//! `file_to_replicate` and `file_to_delete2`, and the old queues that end in the latter.
//!
//! A row is claimed by pushing its `nexttry` ahead (`CLAIM`): of several trackers one gets it, and what a dead one held
//! comes back. Times are unix seconds, as MogileFS keeps them, of this process's clock.
//!
//! `file_to_replicate.flags`, which the original does not use, is 1 from the claim on until the work is recorded. A row
//! that is found so when it is claimed was left by a process that died, or told of a bad copy: there may be a file on
//! a device that is not on record, and whoever claims the row looks for it.

use std::time::Duration;

use mogul_storage::Fid;

use super::{
    Sql, Tx,
    files::values,
    ids::{LIST_MAX, fid_of, number_of},
    sql::sql,
};
use crate::{Error, model::Timestamp};

/// How far a claim pushes a row ahead: as long as the original's.
const CLAIM: Duration = Duration::from_secs(1000);

/// Largest `failcount`: MySQL's TINYINT UNSIGNED refuses more.
pub(crate) const FAILCOUNT_MAX: u8 = 255;

/// A row that this process has to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The file.
    pub(crate) fid: Fid,
    /// How often it failed before.
    pub(crate) failcount: u8,
    /// Until when it is claimed: the row's `nexttry`, by which its end knows that nobody queued the file anew.
    pub(crate) until: i64,
    /// What the work before left.
    pub(crate) leftover: Leftover,
}

/// Whether there may be a file that is not on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// No.
    None,
    /// A copy was being made, or is bad: devices must be asked.
    Possible,
}

const REPLICATE: Sql = sql("insert into file_to_replicate (fid, nexttry, failcount, flags) values (…) \
     on conflict (fid) do update set nexttry = excluded.nexttry, failcount = 0, \
     flags = case when excluded.flags > file_to_replicate.flags then excluded.flags else file_to_replicate.flags end")
.mysql(
    "insert into file_to_replicate (fid, nexttry, failcount, flags) values (…) \
     on duplicate key update nexttry = values(nexttry), failcount = 0, flags = greatest(flags, values(flags))",
);

/// Queues files whose copies are not as their class wants them, to be looked at as soon as possible.
///
/// A row that is there is made due again, unlike the original's, which a worker that has read the old state might just
/// be about to delete.
pub(crate) async fn replicate(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    replicate_with(tx, fids, Leftover::None).await
}

/// Queues a file of which a device may hold a copy that is not on record.
pub(crate) async fn replicate_suspect(tx: &mut Tx, fid: Fid) -> Result<(), Error> {
    replicate_with(tx, &[fid], Leftover::Possible).await
}

async fn replicate_with(tx: &mut Tx, fids: &[Fid], leftover: Leftover) -> Result<(), Error> {
    let flags: i64 = match leftover {
        Leftover::None => 0,
        Leftover::Possible => 1,
    };
    for fids in fids.chunks(LIST_MAX) {
        let rows = fids
            .iter()
            .flat_map(|fid| [(*fid).into(), 0_i64.into(), 0_i64.into(), flags.into()]);
        tx.run_list(&REPLICATE, fids.len(), rows.collect()).await?;
    }
    Ok(())
}

const DUE_REPLICATE: Sql = sql(
    "select fid, failcount, flags from file_to_replicate where nexttry <= ? \
     order by nexttry limit ? for update skip locked",
)
.sqlite("select fid, failcount, flags from file_to_replicate where nexttry <= ? order by nexttry limit ?");
const CLAIM_REPLICATE: Sql = sql("update file_to_replicate set nexttry = ?, flags = 1 where fid in (…)");

/// Claims at most `limit` due rows of `file_to_replicate`.
pub(crate) async fn claim_replicate(tx: &mut Tx, now: Timestamp, limit: usize) -> Result<Vec<Claim>, Error> {
    claim(tx, [&DUE_REPLICATE, &CLAIM_REPLICATE], now, limit).await
}

const DUE_DELETE: Sql = sql(
    "select fid, failcount, 0 from file_to_delete2 where nexttry <= ? \
     order by nexttry limit ? for update skip locked",
)
.sqlite("select fid, failcount, 0 from file_to_delete2 where nexttry <= ? order by nexttry limit ?");
const CLAIM_DELETE: Sql = sql("update file_to_delete2 set nexttry = ? where fid in (…)");

/// Claims at most `limit` due rows of `file_to_delete2`.
pub(crate) async fn claim_delete(tx: &mut Tx, now: Timestamp, limit: usize) -> Result<Vec<Claim>, Error> {
    claim(tx, [&DUE_DELETE, &CLAIM_DELETE], now, limit).await
}

async fn claim(
    tx: &mut Tx,
    [due, take]: [&Sql; 2],
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Claim>, Error> {
    let until = now.after(CLAIM).secs();
    let mut claims = Vec::new();
    let limit = limit.min(LIST_MAX);
    for row in tx.rows(due, vec![now.secs().into(), limit.into()]).await? {
        let flags = row.int(2)?;
        claims.push(Claim {
            fid: fid_of(&row, 0)?,
            failcount: number_of(&row, 1)?,
            until,
            leftover: if flags == 0 {
                Leftover::None
            } else {
                Leftover::Possible
            },
        });
    }
    if !claims.is_empty() {
        let mut args = vec![until.into()];
        args.extend(claims.iter().map(|claim| claim.fid.into()));
        tx.run_list(take, claims.len(), args).await?;
    }
    Ok(claims)
}

const REPLICATE_DONE: Sql = sql("delete from file_to_replicate where fid = ? and nexttry = ?");

/// Ends the work on a file, unless it has been queued anew since it was claimed.
pub(crate) async fn replicate_done(tx: &mut Tx, claim: &Claim) -> Result<(), Error> {
    tx.run(&REPLICATE_DONE, vec![claim.fid.into(), claim.until.into()])
        .await?;
    Ok(())
}

const REPLICATE_LATER: Sql = sql(
    "update file_to_replicate set nexttry = ?, failcount = ?, flags = 0 \
     where fid = ? and nexttry = ?",
);

/// Puts a file off, unless it has been queued anew since it was claimed.
pub(crate) async fn replicate_later(
    tx: &mut Tx,
    claim: &Claim,
    nexttry: Timestamp,
    failcount: u8,
) -> Result<(), Error> {
    let args = vec![
        nexttry.secs().into(),
        failcount.into(),
        claim.fid.into(),
        claim.until.into(),
    ];
    tx.run(&REPLICATE_LATER, args).await?;
    Ok(())
}

const UNCLAIM: Sql = sql("update file_to_replicate set nexttry = 0 where flags = 1");

/// Makes due what was claimed: at the start of the only process on a database, whoever claimed it is dead.
pub(crate) async fn unclaim_replicate(tx: &mut Tx) -> Result<(), Error> {
    tx.run(&UNCLAIM, vec![]).await?;
    Ok(())
}

const DELETE: Sql =
    sql("insert into file_to_delete2 (fid, nexttry, failcount) values (…) on conflict do nothing")
        .mysql("insert ignore into file_to_delete2 (fid, nexttry, failcount) values (…)");

/// Queues the bytes of fids for deletion, not before `at`; a row that is there stays.
pub(crate) async fn delete(tx: &mut Tx, fids: &[Fid], at: Timestamp) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let rows = fids
            .iter()
            .flat_map(|fid| [(*fid).into(), at.secs().into(), 0_i64.into()]);
        tx.run_list(&DELETE, fids.len(), rows.collect()).await?;
    }
    Ok(())
}

const DELETE_DONE: Sql = sql("delete from file_to_delete2 where fid in (…)");

/// Ends the work on fids whose copies are all gone.
pub(crate) async fn delete_done(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        tx.run_list(&DELETE_DONE, fids.len(), values(fids)).await?;
    }
    Ok(())
}

const DELETE_LATER: Sql = sql("update file_to_delete2 set nexttry = ?, failcount = ? where fid = ?");

/// Puts a fid off.
pub(crate) async fn delete_later(
    tx: &mut Tx,
    fid: Fid,
    nexttry: Timestamp,
    failcount: u8,
) -> Result<(), Error> {
    let args = vec![nexttry.secs().into(), failcount.into(), fid.into()];
    tx.run(&DELETE_LATER, args).await?;
    Ok(())
}

const OLD: Sql = sql("select fid from file_to_delete order by fid limit ?");
const OLD_DONE: Sql = sql("delete from file_to_delete where fid in (…)");
const OLD_LATER: Sql =
    sql("select fid from file_to_delete_later where delafter <= ? order by delafter limit ?");
const OLD_LATER_DONE: Sql = sql("delete from file_to_delete_later where fid in (…)");

/// Moves at most `limit` rows of each old queue, where they are due, to `file_to_delete2`. Answers how many.
pub(crate) async fn old_queues_moved(tx: &mut Tx, now: Timestamp, limit: usize) -> Result<usize, Error> {
    let limit = limit.min(LIST_MAX);
    let mut moved = 0;
    for (due, done, args) in [
        (&OLD, &OLD_DONE, vec![limit.into()]),
        (&OLD_LATER, &OLD_LATER_DONE, vec![now.secs().into(), limit.into()]),
    ] {
        let rows = tx.rows(due, args).await?;
        let fids = rows
            .iter()
            .map(|row| fid_of(row, 0))
            .collect::<Result<Vec<_>, _>>()?;
        if fids.is_empty() {
            continue;
        }
        delete(tx, &fids, now).await?;
        tx.run_list(done, fids.len(), values(&fids)).await?;
        moved += fids.len();
    }
    Ok(moved)
}
