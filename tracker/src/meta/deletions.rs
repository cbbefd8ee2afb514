//! `file_to_delete2`, and the old queues that end in it.
//!
//! A row is claimed as those of `file_to_replicate` are ([`super::queues`]): by pushing its `nexttry` ahead.

use std::time::Duration;

use mogul_storage::Fid;

use super::{
    Sql, Tx,
    files::values,
    ids::{LIST_MAX, fid_of},
    queues::{self, Claim},
    sql::sql,
};
use crate::{Error, model::Timestamp};

/// How far a claim pushes a row ahead. Nobody holds a lock of it: as long as a batch of them takes, with a node that hangs among those
/// asked. To delete twice is harmless.
const CLAIM_TO_DELETE: Duration = Duration::from_mins(3);

const ANY_DELETE: Sql = sql("select fid from file_to_delete2 where nexttry <= ? order by nexttry limit 1");

/// Whether a row of `file_to_delete2` is due.
pub(crate) async fn delete_due(tx: &mut Tx, now: Timestamp) -> Result<bool, Error> {
    Ok(!tx.rows(&ANY_DELETE, vec![now.secs().into()]).await?.is_empty())
}

const DUE_DELETE: Sql = sql(
    "select fid, failcount, 0, nexttry from file_to_delete2 where nexttry <= ? \
     order by nexttry limit ? for update skip locked",
)
.sqlite(
    "select fid, failcount, 0, nexttry from file_to_delete2 where nexttry <= ? \
     order by nexttry limit ?",
);
const CLAIM_DELETE: Sql = sql("update file_to_delete2 set nexttry = ? where fid in (…)");

/// Claims at most `limit` due rows of `file_to_delete2`.
pub(crate) async fn claim_delete(tx: &mut Tx, now: Timestamp, limit: usize) -> Result<Vec<Claim>, Error> {
    queues::claim(tx, [&DUE_DELETE, &CLAIM_DELETE], (now, CLAIM_TO_DELETE), limit).await
}

const UNCLAIM_DELETE: Sql = sql("update file_to_delete2 set nexttry = ? where nexttry > ?");

/// Makes due what was claimed: at the start of the only process on a database, whoever claimed it is dead.
///
/// A claimed deletion looks like one that waits (for its readers, or after a failure): those become due as well. Its
/// readers died with the process, and a failure may be over.
pub(crate) async fn unclaim(tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
    tx.run(&UNCLAIM_DELETE, vec![now.secs().into(), now.secs().into()])
        .await?;
    Ok(())
}

// A row that is there is touched, for its lock: who ends the work on the fid (`delete_held`) sees the copies for which
// it was queued again, or ends it before.
const DELETE: Sql = sql(
    "insert into file_to_delete2 (fid, nexttry, failcount) values (…) \
     on conflict (fid) do update set fid = excluded.fid",
)
.mysql(
    "insert into file_to_delete2 (fid, nexttry, failcount) values (…) \
     on duplicate key update fid = values(fid)",
);

/// Queues the bytes of fids for deletion, not before `at`; a row that is there stays as it is.
pub(crate) async fn delete(tx: &mut Tx, fids: &[Fid], at: Timestamp) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let rows = fids
            .iter()
            .flat_map(|fid| [(*fid).into(), at.secs().into(), 0_i64.into()]);
        tx.run_list(&DELETE, fids.len(), rows.collect()).await?;
    }
    Ok(())
}

const DELETE_HELD: Sql = sql("select fid from file_to_delete2 where fid in (…) order by fid for update")
    .sqlite("select fid from file_to_delete2 where fid in (…) order by fid");

/// Holds the rows of these fids: nobody queues one of them again before the transaction ends.
pub(crate) async fn delete_held(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        tx.rows_list(&DELETE_HELD, fids.len(), values(fids)).await?;
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

const DELETE_LATER: Sql = sql("update file_to_delete2 set nexttry = ?, failcount = ? where fid in (…)");

/// Puts fids off.
pub(crate) async fn delete_later(
    tx: &mut Tx,
    fids: &[Fid],
    nexttry: Timestamp,
    failcount: u8,
) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let mut args = vec![nexttry.secs().into(), failcount.into()];
        args.extend(values(fids));
        tx.run_list(&DELETE_LATER, fids.len(), args).await?;
    }
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

catalogue! {
    ANY_DELETE, DUE_DELETE, CLAIM_DELETE, UNCLAIM_DELETE, DELETE, DELETE_HELD, DELETE_DONE, DELETE_LATER, OLD, OLD_DONE, OLD_LATER,
    OLD_LATER_DONE,
}
