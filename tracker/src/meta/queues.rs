//! `file_to_replicate`, and the claims of it and of [`super::deletions`].
//!
//! A row is claimed by pushing its `nexttry` ahead (`CLAIM`): of several trackers one gets it, and what a dead one held
//! comes back. Times are unix seconds, as MogileFS keeps them, of this process's clock.
//!
//! `file_to_replicate.flags`, which the original does not use, says what a row is in the middle of:
//!
//! | flags | meaning |
//! | --- | --- |
//! | 0 | waits |
//! | 1 | claimed |
//! | 2 | claimed, and queued anew meanwhile: it becomes 0 when the work ends |
//! | 3 | waits; a device may hold a file of the fid that is not on record (*suspect*) |
//! | 4 | claimed, and queued anew as suspect meanwhile: it becomes 3 |
//!
//! So a file is worked on by one worker at a time, and nothing that happens meanwhile is forgotten. A row that is not 0
//! when it is claimed is suspect: either somebody said so, or a process that died was making a copy.
//!
//! Who works on a claimed file also holds its lock ([`super::lock`]), which original trackers heed and which ends with the
//! process: a row that stays claimed while nobody holds its lock is made due (`replicate_freed`), long before its claim
//! runs out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mogul_storage::Fid;

use super::{
    Sql, Tx,
    files::values,
    ids::{LIST_MAX, fid_of, number_of},
    sql::sql,
};
use crate::{Error, model::Timestamp};

/// The `nexttry` of what is not to be tried until somebody says so: the end of the original's time.
pub(crate) const END_OF_TIME: i64 = 2_147_483_647;

/// How far a claim pushes a row ahead: as long as the original's.
pub(crate) const CLAIM: Duration = Duration::from_secs(1000);

/// A row that this process has to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The file.
    pub(crate) fid: Fid,
    /// How often it failed before.
    pub(crate) failcount: u8,
    /// Until when it is claimed: the row's `nexttry`, by which its end knows that it is still this claim's.
    pub(crate) until: i64,
    /// The row's `nexttry` before.
    pub(crate) was: i64,
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

const REPLICATE: Sql = sql("insert into file_to_replicate as q (fid, nexttry, failcount, flags) values (…) \
     on conflict (fid) do update set \
     nexttry = case when q.flags in (1, 2, 4) or q.nexttry < excluded.nexttry then q.nexttry \
     else excluded.nexttry end, \
     failcount = case when q.flags in (1, 2, 4) then q.failcount else 0 end, \
     flags = case when q.flags in (1, 2, 4) then case when excluded.flags = 3 or q.flags = 4 then 4 else 2 end \
     when q.flags = 3 then 3 else excluded.flags end")
// MySQL assigns from left to right: the flags come last.
.mysql(
    "insert into file_to_replicate (fid, nexttry, failcount, flags) values (…) \
     on duplicate key update \
     nexttry = case when flags in (1, 2, 4) or nexttry < values(nexttry) then nexttry else values(nexttry) end, \
     failcount = case when flags in (1, 2, 4) then failcount else 0 end, \
     flags = case when flags in (1, 2, 4) then case when values(flags) = 3 or flags = 4 then 4 else 2 end \
     when flags = 3 then 3 else values(flags) end",
);

/// Queues files whose copies are not as their class wants them, to be looked at as soon as possible. One that is being
/// worked on is looked at again afterwards.
pub(crate) async fn replicate(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    replicate_with(tx, fids, Leftover::None, URGENT).await
}

/// Queues files that have waited already, behind those that nobody has tried yet: for the reaper and fsck.
pub(crate) async fn replicate_again(tx: &mut Tx, fids: &[Fid], now: Timestamp) -> Result<(), Error> {
    replicate_with(tx, fids, Leftover::None, now.secs()).await
}

/// Queues files of which a device may hold a copy that is not on record: because writing it failed, or it is bad.
pub(crate) async fn replicate_suspect(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    replicate_with(tx, fids, Leftover::Possible, URGENT).await
}

/// `nexttry` of a file that nobody has tried yet.
const URGENT: i64 = 0;

async fn replicate_with(tx: &mut Tx, fids: &[Fid], leftover: Leftover, nexttry: i64) -> Result<(), Error> {
    let flags = waiting(leftover);
    for fids in fids.chunks(LIST_MAX) {
        let rows = fids
            .iter()
            .flat_map(|fid| [(*fid).into(), nexttry.into(), 0_i64.into(), flags.into()]);
        tx.run_list(&REPLICATE, fids.len(), rows.collect()).await?;
    }
    Ok(())
}

/// The flags of a row that waits.
fn waiting(leftover: Leftover) -> i64 {
    match leftover {
        Leftover::None => 0,
        Leftover::Possible => 3,
    }
}

const ANY_REPLICATE: Sql =
    sql("select nexttry from file_to_replicate where nexttry <= ? order by nexttry limit 1");

/// How pressing a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Nobody has tried it yet: somebody was promised its copies, or one of them is bad.
    Urgent,
    /// It has waited before.
    Ordinary,
}

/// Whether a row of `file_to_replicate` is due, and how pressing the first is: a look that costs the database's writer nothing.
pub(crate) async fn replicate_due(tx: &mut Tx, now: Timestamp) -> Result<Option<Urgency>, Error> {
    let rows = tx.rows(&ANY_REPLICATE, vec![now.secs().into()]).await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(match first.int(0)? {
        URGENT => Urgency::Urgent,
        _ => Urgency::Ordinary,
    }))
}

const WAITING: Sql = sql("select fid from file_to_replicate where fid in (…) order by fid");

/// Those of these fids that wait for the replicate job, or that it works on.
pub(crate) async fn replicate_waiting(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeSet<Fid>, Error> {
    let mut found = BTreeSet::new();
    for fids in fids.chunks(LIST_MAX) {
        for row in tx.rows_list(&WAITING, fids.len(), values(fids)).await? {
            found.insert(fid_of(&row, 0)?);
        }
    }
    Ok(found)
}

const DUE_REPLICATE: Sql = sql(
    "select fid, failcount, flags, nexttry from file_to_replicate where nexttry <= ? \
     order by nexttry limit ? for update skip locked",
)
.sqlite(
    "select fid, failcount, flags, nexttry from file_to_replicate where nexttry <= ? \
     order by nexttry limit ?",
);
const CLAIM_REPLICATE: Sql = sql("update file_to_replicate set nexttry = ?, flags = 1 where fid in (…)");

/// Claims at most `limit` due rows of `file_to_replicate`.
pub(crate) async fn claim_replicate(tx: &mut Tx, now: Timestamp, limit: usize) -> Result<Vec<Claim>, Error> {
    claim(tx, [&DUE_REPLICATE, &CLAIM_REPLICATE], (now, CLAIM), limit).await
}

pub(super) async fn claim(
    tx: &mut Tx,
    [due, take]: [&Sql; 2],
    (now, length): (Timestamp, Duration),
    limit: usize,
) -> Result<Vec<Claim>, Error> {
    let until = now.after(length).secs();
    let mut claims = Vec::new();
    let limit = limit.min(LIST_MAX);
    for row in tx.rows(due, vec![now.secs().into(), limit.into()]).await? {
        let flags = row.int(2)?;
        claims.push(Claim {
            fid: fid_of(&row, 0)?,
            failcount: number_of(&row, 1)?,
            until,
            was: row.int(3)?,
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

const CLAIM_NEW: Sql =
    sql("insert into file_to_replicate (fid, nexttry, failcount, flags) values (?, ?, 0, 1) on conflict do nothing")
        .mysql("insert ignore into file_to_replicate (fid, nexttry, failcount, flags) values (?, ?, 0, 1)");
const FOUND: Sql =
    sql("select fid, failcount, flags, nexttry from file_to_replicate where fid = ? for update")
        .sqlite("select fid, failcount, flags, nexttry from file_to_replicate where fid = ?");

/// A file that one worker has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sole {
    /// To be ended like every claim.
    pub(crate) claim: Claim,
    /// Whether the file waited for the replicate job.
    pub(crate) waited: bool,
}

/// Takes a file for one worker alone, queued or not: while its row is claimed, nobody else makes or drops copies of it.
/// `None` if somebody has it.
pub(crate) async fn claim_file(tx: &mut Tx, fid: Fid, now: Timestamp) -> Result<Option<Sole>, Error> {
    let until = now.after(CLAIM).secs();
    if tx.run(&CLAIM_NEW, vec![fid.into(), until.into()]).await? == 1 {
        let claim = Claim {
            fid,
            failcount: 0,
            until,
            was: now.secs(),
            leftover: Leftover::None,
        };
        return Ok(Some(Sole { claim, waited: false }));
    }
    let rows = tx.rows(&FOUND, vec![fid.into()]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (flags, nexttry) = (row.int(2)?, row.int(3)?);
    if matches!(flags, 1 | 2 | 4) && nexttry > now.secs() {
        return Ok(None);
    }
    tx.run_list(&CLAIM_REPLICATE, 1, vec![until.into(), fid.into()])
        .await?;
    let claim = Claim {
        fid,
        failcount: number_of(row, 1)?,
        until,
        was: nexttry,
        leftover: if flags == 0 {
            Leftover::None
        } else {
            Leftover::Possible
        },
    };
    Ok(Some(Sole { claim, waited: true }))
}

const ORDINARY: Sql = sql("select count(*) from (select fid from file_to_replicate \
     where nexttry > 0 and nexttry < 2147483647 order by fid limit ?) as counted");

/// How many files wait for copies that are neither new nor given up, counted to `most`.
pub(crate) async fn replicate_ordinary(tx: &mut Tx, most: u64) -> Result<u64, Error> {
    match tx.rows(&ORDINARY, vec![most.into()]).await?.first() {
        Some(row) => number_of(row, 0),
        None => Ok(0),
    }
}

const EXTEND: Sql = sql("update file_to_replicate set nexttry = ? where fid = ? and nexttry = ?");

/// Keeps a claim for longer than usual: the file is large.
pub(crate) async fn replicate_extended(tx: &mut Tx, claim: &Claim, until: i64) -> Result<Claim, Error> {
    tx.run(&EXTEND, vec![until.into(), claim.fid.into(), claim.until.into()])
        .await?;
    Ok(Claim { until, ..*claim })
}

const DONE: Sql = sql("delete from file_to_replicate where nexttry = ? and flags = 1 and fid in (…)");
const ALL_AGAIN: Sql = sql(
    "update file_to_replicate set nexttry = 0, flags = case when flags = 4 then 3 else 0 end \
     where nexttry = ? and flags in (2, 4) and fid in (…)",
);
const LATER: Sql = sql(
    "update file_to_replicate set nexttry = ?, failcount = ?, flags = ? \
     where fid = ? and nexttry = ? and flags = 1",
);
// What the work has left is not forgotten because somebody queued the file meanwhile.
const AGAIN: Sql = sql(
    "update file_to_replicate set nexttry = 0, flags = case when flags = 4 then 3 else ? end \
     where fid = ? and nexttry = ? and flags in (2, 4)",
);

/// Ends the work on files; one that was queued anew since it was claimed waits again.
pub(crate) async fn replicate_done(tx: &mut Tx, claims: &[Claim]) -> Result<(), Error> {
    let mut by_time: BTreeMap<i64, Vec<Fid>> = BTreeMap::new();
    for claim in claims {
        by_time.entry(claim.until).or_default().push(claim.fid);
    }
    for (until, fids) in &by_time {
        for fids in fids.chunks(LIST_MAX) {
            let args = || [vec![(*until).into()], values(fids)].concat();
            let done = tx.run_list(&DONE, fids.len(), args()).await?;
            if usize::try_from(done).is_ok_and(|done| done < fids.len()) {
                tx.run_list(&ALL_AGAIN, fids.len(), args()).await?;
            }
        }
    }
    Ok(())
}

/// Puts a file off; if it was queued anew since it was claimed, it waits no longer than that.
pub(crate) async fn replicate_later(
    tx: &mut Tx,
    claim: &Claim,
    nexttry: i64,
    failcount: u8,
) -> Result<(), Error> {
    let args = vec![
        nexttry.into(),
        failcount.into(),
        waiting(claim.leftover).into(),
        claim.fid.into(),
        claim.until.into(),
    ];
    if tx.run(&LATER, args).await? == 0 {
        again(tx, claim).await?;
    }
    Ok(())
}

const CLAIMED: Sql = sql(
    "select fid, nexttry from file_to_replicate where nexttry > ? and nexttry < 2147483647 \
     and flags in (1, 2, 4) order by nexttry limit ?",
);

/// Files that are being worked on, or whose worker has died, at most `limit`: each with the time of its claim.
pub(crate) async fn replicate_claimed(
    tx: &mut Tx,
    now: Timestamp,
    limit: usize,
) -> Result<BTreeMap<Fid, i64>, Error> {
    let rows = tx.rows(&CLAIMED, vec![now.secs().into(), limit.into()]).await?;
    rows.iter()
        .map(|row| Ok((fid_of(row, 0)?, row.int(1)?)))
        .collect()
}

const FREE: Sql = sql(
    "update file_to_replicate set nexttry = 0, flags = 3 where nexttry = ? and flags in (1, 2, 4) and fid in (…)",
);

/// Makes due what was claimed at these times by workers that have died; answers how many files they are.
pub(crate) async fn replicate_freed(tx: &mut Tx, claims: &BTreeMap<Fid, i64>) -> Result<u64, Error> {
    let mut by_time: BTreeMap<i64, Vec<Fid>> = BTreeMap::new();
    for (fid, until) in claims {
        by_time.entry(*until).or_default().push(*fid);
    }
    let mut freed = 0;
    for (until, fids) in &by_time {
        for fids in fids.chunks(LIST_MAX) {
            let args = [vec![(*until).into()], values(fids)].concat();
            freed += tx.run_list(&FREE, fids.len(), args).await?;
        }
    }
    Ok(freed)
}

/// Lets a file wait again that was queued anew while it was worked on.
async fn again(tx: &mut Tx, claim: &Claim) -> Result<(), Error> {
    let args = vec![
        waiting(claim.leftover).into(),
        claim.fid.into(),
        claim.until.into(),
    ];
    tx.run(&AGAIN, args).await?;
    Ok(())
}

const HASTEN: Sql =
    sql("update file_to_replicate set nexttry = ? where nexttry > ? and flags not in (1, 2, 4)");

/// Makes due at once whatever waits, given up files included; answers how many. What is being worked on stays claimed.
pub(crate) async fn replicate_hastened(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
    Ok(tx
        .run(&HASTEN, vec![now.secs().into(), now.secs().into()])
        .await?)
}

const UNCLAIM: Sql = sql("update file_to_replicate set nexttry = 0, flags = 3 where flags in (1, 2, 4)");

/// Makes due what was claimed: at the start of the only process on a database, whoever claimed it is dead.
pub(crate) async fn unclaim(tx: &mut Tx) -> Result<(), Error> {
    tx.run(&UNCLAIM, vec![]).await?;
    Ok(())
}

catalogue! {
    REPLICATE, ANY_REPLICATE, WAITING, DUE_REPLICATE, CLAIM_REPLICATE, CLAIM_NEW, FOUND, ORDINARY, EXTEND,
    DONE, ALL_AGAIN, LATER, AGAIN, CLAIMED, FREE, HASTEN, UNCLAIM,
}
