//! Blocks of fids handed to one process in one go (`mogul_fid_block`).
//!
//! MogileFS takes a fid by inserting a row into `tempfile`: a synced transaction for each upload. A block moves that same
//! generator a long way on at once, so that nobody else's upload can meet its numbers, and its row says which fids may lie
//! on devices without anybody knowing: when the process dies they are swept.
//! This is for databases without original trackers: one of them could take a number between our two looks at the generator.

use mogul_storage::Fid;

use super::{
    error::DbError,
    row::Value,
    sql::{Engine, Sql, sql},
    tx::Tx,
};
use crate::{Error, model::Timestamp};

/// A block that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FidBlock {
    /// Its first fid.
    pub first: Fid,
    /// Its last fid.
    pub last: Fid,
    /// The process that has it.
    pub owner: String,
    /// Its last sign of life.
    pub renewed: Timestamp,
}

// A row that is always there: reservations of several processes wait for each other.
const TAKE_TURNS: Sql =
    sql("select field from server_settings where field = 'mogul_schema_version' for update")
        .sqlite("select field from server_settings where field = 'mogul_schema_version'");

// What fids are known from, so that a generator that was set back (a restored table, MySQL before 8.0) does no harm.
const HIGHEST: Sql = sql("select max(fid) from ( \
         select max(fid) as fid from file union all select max(fid) from tempfile \
         union all select max(fid) from file_on union all select max(fid) from file_to_delete2 \
         union all select max(last_fid) from mogul_fid_block) as known");

const ADD_BLOCK: Sql =
    sql("insert into mogul_fid_block (first_fid, last_fid, owner, renewed_at) values (?, ?, ?, ?)");

/// Reserves `count` fids in a row and answers with the first. None of them was ever handed out before, nor will be again.
///
/// # Errors
/// [`Error::Exhausted`] if the numbers have come to their end, [`Error::Database`].
pub async fn reserve(tx: &mut Tx, owner: &str, count: u32, now: Timestamp) -> Result<Fid, Error> {
    tx.rows(&TAKE_TURNS, Vec::new()).await?;
    let generated = next_generated(tx).await?;
    let rows = tx.rows(&HIGHEST, Vec::new()).await?;
    let highest = rows.first().map_or(Ok(None), |row| row.opt_int(0))?.unwrap_or(0);
    let exhausted = || Error::Exhausted("fid");
    let first = generated.max(highest.checked_add(1).ok_or_else(exhausted)?);
    let last = first.checked_add(i64::from(count) - 1).ok_or_else(exhausted)?;
    advance(tx, last).await?;
    tx.run(
        &ADD_BLOCK,
        vec![first.into(), last.into(), owner.into(), now.millis().into()],
    )
    .await?;
    Ok(fid(first)?)
}

const NEXT_GENERATED: Sql = sql("select nextval(pg_get_serial_sequence('tempfile', 'fid'))")
    .sqlite("select coalesce(max(seq), 0) + 1 from sqlite_sequence where name = 'tempfile'")
    .mysql("select last_insert_id()");

// MySQL tells its generator's state only to who uses it (information_schema's copy may be a day old).
const USE_GENERATOR: Sql = sql("insert into tempfile (createtime, classid, dmid) values (0, 0, 0)");

/// The fid that the engine's generator would give next, or just gave.
async fn next_generated(tx: &mut Tx) -> Result<i64, DbError> {
    match tx.engine() {
        Engine::Sqlite | Engine::Postgres => {
            let rows = tx.rows(&NEXT_GENERATED, Vec::new()).await?;
            rows.first().map_or(Ok(1), |row| row.int(0))
        }
        Engine::MySql => {
            tx.run(&USE_GENERATOR, Vec::new()).await?;
            let rows = tx.rows(&NEXT_GENERATED, Vec::new()).await?;
            let generated = rows.first().map_or(Ok(1), |row| row.int(0))?;
            tx.run(&REMOVE_TEMPFILE, vec![generated.into()]).await?;
            Ok(generated)
        }
    }
}

const SET_GENERATOR: Sql = sql("select setval(pg_get_serial_sequence('tempfile', 'fid'), ?)")
    .sqlite("insert into tempfile (fid, createtime, classid, dmid) values (?, 0, 0, 0)")
    .mysql("insert into tempfile (fid, createtime, classid, dmid) values (?, 0, 0, 0)");

const REMOVE_TEMPFILE: Sql = sql("delete from tempfile where fid = ?");

/// Moves the engine's generator on, so that it gives nothing up to `last` any more.
async fn advance(tx: &mut Tx, last: i64) -> Result<(), DbError> {
    let args = || vec![Value::from(last)];
    match tx.engine() {
        Engine::Postgres => tx.rows(&SET_GENERATOR, args()).await.map(drop),
        // A row with an explicit number moves these generators on, and they stay there when it goes.
        Engine::Sqlite | Engine::MySql => {
            tx.run(&SET_GENERATOR, args()).await?;
            tx.run(&REMOVE_TEMPFILE, args()).await.map(drop)
        }
    }
}

// Far more than there are: a process has a handful, and a dead one's are swept at the next start.
const BLOCKS: Sql = sql(
    "select first_fid, last_fid, owner, renewed_at from mogul_fid_block \
     order by first_fid limit 10000",
);

/// The blocks that are handed out, lowest first; at most 10,000.
///
/// # Errors
/// [`DbError::Statement`], [`DbError::Column`].
pub async fn blocks(tx: &mut Tx) -> Result<Vec<FidBlock>, DbError> {
    let rows = tx.rows(&BLOCKS, Vec::new()).await?;
    rows.iter()
        .map(|row| {
            Ok(FidBlock {
                first: fid(row.int(0)?)?,
                last: fid(row.int(1)?)?,
                owner: row.text(2)?,
                renewed: Timestamp::from_millis(row.int(3)?),
            })
        })
        .collect()
}

const REMOVE_BLOCK: Sql = sql("delete from mogul_fid_block where first_fid = ?");

/// Forgets a block, all of whose fids are accounted for.
///
/// # Errors
/// [`DbError::Statement`].
pub async fn release(tx: &mut Tx, first: Fid) -> Result<(), DbError> {
    tx.run(&REMOVE_BLOCK, vec![first.into()]).await.map(drop)
}

const RENEW_BLOCKS: Sql = sql("update mogul_fid_block set renewed_at = ? where owner = ?");

/// Says that the process `owner` is alive; answers how many blocks it has.
///
/// # Errors
/// [`DbError::Statement`].
pub async fn renew(tx: &mut Tx, owner: &str, now: Timestamp) -> Result<u64, DbError> {
    tx.run(&RENEW_BLOCKS, vec![now.millis().into(), owner.into()])
        .await
}

/// A stored fid.
fn fid(number: i64) -> Result<Fid, DbError> {
    u64::try_from(number)
        .ok()
        .and_then(Fid::new)
        .ok_or(DbError::BadFid(number))
}

catalogue! {
    TAKE_TURNS, HIGHEST, ADD_BLOCK, NEXT_GENERATED, USE_GENERATOR, SET_GENERATOR, REMOVE_TEMPFILE, BLOCKS,
    REMOVE_BLOCK, RENEW_BLOCKS,
}
