//! `mogul_digest`: files whose bytes nobody has digested yet, and what becomes known of them. A file that a `MogileFS`
//! client closed comes with no digest that we trust; the job [`crate::jobs::digest`] finds it here, reads it once, and
//! gives it an entity tag and the CRC by which reads are verified.

use std::collections::BTreeMap;

use mogul_storage::Fid;

use super::{
    Sql, Tx,
    encoding::hash_number,
    files::values,
    ids::{LIST_MAX, fid_of, number_of, opt_number_of},
    settings,
    sql::sql,
};
use crate::{
    Error,
    model::{Key, Timestamp},
};

/// The setting that says up to which fid files of other programs have been looked for.
const SEARCHED: &str = "mogul_digests_searched";

const QUEUE: Sql =
    sql("insert into mogul_digest (fid, nexttry, failcount) values (…) on conflict do nothing")
        .mysql("insert ignore into mogul_digest (fid, nexttry, failcount) values (…)");

/// Queues files to be digested as soon as possible.
pub(crate) async fn digests_queued(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let rows = fids
            .iter()
            .flat_map(|fid| [(*fid).into(), 0_i64.into(), 0_i64.into()]);
        tx.run_list(&QUEUE, fids.len(), rows.collect()).await?;
    }
    Ok(())
}

const COUNT: Sql = sql("select count(*) from mogul_digest");

/// How many files wait to be digested.
pub(crate) async fn undigested(tx: &mut Tx) -> Result<u64, Error> {
    match tx.rows(&COUNT, vec![]).await?.first() {
        Some(row) => number_of(row, 0),
        None => Ok(0),
    }
}

const ANY: Sql = sql("select fid from mogul_digest where nexttry <= ? order by nexttry limit 1");

/// Whether a file is due to be digested: a look that costs the database's writer nothing.
pub(crate) async fn digest_due(tx: &mut Tx, now: Timestamp) -> Result<bool, Error> {
    Ok(!tx.rows(&ANY, vec![now.secs().into()]).await?.is_empty())
}

/// A file to be digested.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DigestClaim {
    /// The file.
    pub(crate) fid: Fid,
    /// Failed attempts so far.
    pub(crate) failcount: u32,
}

const DUE: Sql = sql(
    "select fid, failcount from mogul_digest where nexttry <= ? order by nexttry, fid limit ? \
     for update skip locked",
)
.sqlite("select fid, failcount from mogul_digest where nexttry <= ? order by nexttry, fid limit ?");
const CLAIM: Sql = sql("update mogul_digest set nexttry = ? where fid in (…)");

/// Claims at most `limit` files that are due, until the time at which others may try them.
pub(crate) async fn digests_claimed(
    tx: &mut Tx,
    (now, until): (Timestamp, Timestamp),
    limit: usize,
) -> Result<Vec<DigestClaim>, Error> {
    let rows = tx
        .rows(&DUE, vec![now.secs().into(), limit.min(LIST_MAX).into()])
        .await?;
    let claims = rows.iter().map(|row| {
        Ok(DigestClaim {
            fid: fid_of(row, 0)?,
            failcount: number_of(row, 1)?,
        })
    });
    let claims = claims.collect::<Result<Vec<_>, Error>>()?;
    if !claims.is_empty() {
        let mut args = vec![until.secs().into()];
        args.extend(claims.iter().map(|claim| claim.fid.into()));
        tx.run_list(&CLAIM, claims.len(), args).await?;
    }
    Ok(claims)
}

const DEFER: Sql = sql("update mogul_digest set nexttry = ?, failcount = ? where fid = ?");

/// Puts an attempt off.
pub(crate) async fn digest_deferred(tx: &mut Tx, claim: DigestClaim, until: Timestamp) -> Result<(), Error> {
    let args = vec![
        until.secs().into(),
        i64::from(claim.failcount).into(),
        claim.fid.into(),
    ];
    tx.run(&DEFER, args).await?;
    Ok(())
}

const DONE: Sql = sql("delete from mogul_digest where fid in (…)");

/// Takes files off the queue.
pub(crate) async fn digests_done(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        tx.run_list(&DONE, fids.len(), values(fids)).await?;
    }
    Ok(())
}

/// What the bytes of a file turned out to be.
#[derive(Debug, Clone)]
pub(crate) struct Digested {
    /// The file.
    pub(crate) fid: Fid,
    /// MD5 of its bytes.
    pub(crate) md5: Vec<u8>,
    /// CRC64/NVME of its bytes, big-endian.
    pub(crate) crc64: Vec<u8>,
    /// When it was stored, for files of which we have no time.
    pub(crate) modified: Timestamp,
    /// Whether its class keeps the MD5 in `checksum`.
    pub(crate) class_keeps_md5: bool,
}

const LOCK: Sql = sql("select fid from file where fid in (…) order by fid for update")
    .sqlite("select fid from file where fid in (…) order by fid");
const LEARN: Sql = sql(
    "insert into mogul_object (fid, etag, modified_at, crc64) values (…) \
     on conflict (fid) do update set \
     etag = case when mogul_object.crc64 is null then excluded.etag else mogul_object.etag end, \
     crc64 = coalesce(mogul_object.crc64, excluded.crc64)",
)
// MySQL assigns from left to right: the CRC comes last.
.mysql(
    "insert into mogul_object (fid, etag, modified_at, crc64) values (…) on duplicate key update \
     etag = case when crc64 is null then values(etag) else etag end, crc64 = coalesce(crc64, values(crc64))",
);
const KEEP: Sql = sql("insert into checksum (fid, hashtype, checksum) values (…) on conflict do nothing")
    .mysql("insert ignore into checksum (fid, hashtype, checksum) values (…)");

/// Writes down what is known now of those of these files that still are files. What was known before stays.
pub(crate) async fn digests_learned(tx: &mut Tx, digested: &[Digested]) -> Result<(), Error> {
    for digested in digested.chunks(LIST_MAX) {
        let fids: Vec<Fid> = digested.iter().map(|each| each.fid).collect();
        let mut files = Vec::new();
        for row in tx.rows_list(&LOCK, fids.len(), values(&fids)).await? {
            files.push(fid_of(&row, 0)?);
        }
        let still: Vec<_> = digested.iter().filter(|each| files.contains(&each.fid)).collect();
        let rows = still.iter().flat_map(|each| {
            [
                each.fid.into(),
                hex::encode(&each.md5).into(),
                each.modified.millis().into(),
                each.crc64.clone().into(),
            ]
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            tx.run_list(&LEARN, still.len(), rows).await?;
        }
        let kept: Vec<_> = still.iter().filter(|each| each.class_keeps_md5).collect();
        let rows = kept.iter().flat_map(|each| {
            let hash = hash_number(mogul_storage::HashType::Md5);
            [each.fid.into(), hash.into(), each.md5.clone().into()]
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            tx.run_list(&KEEP, kept.len(), rows).await?;
        }
    }
    Ok(())
}

const KNOWN_MD5: Sql =
    sql("select fid, checksum from checksum where hashtype = 1 and fid in (…) order by fid");

/// The MD5 that `checksum` has of these files.
pub(crate) async fn md5s_known(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeMap<Fid, Vec<u8>>, Error> {
    let mut known = BTreeMap::new();
    for fids in fids.chunks(LIST_MAX) {
        for row in tx.rows_list(&KNOWN_MD5, fids.len(), values(fids)).await? {
            known.insert(fid_of(&row, 0)?, row.bytes(1)?);
        }
    }
    Ok(known)
}

const NEXT_FILE: Sql = sql("select min(fid) from file where fid > ?");
const LAST_FILE: Sql = sql("select max(fid) from file");
const FIRST_TEMPFILE: Sql = sql("select min(fid) from tempfile");
const UNKNOWN: Sql = sql(
    "select f.fid from file f left join mogul_object o on o.fid = f.fid \
     where f.fid >= ? and f.fid <= ? and o.crc64 is null and f.dkey < ? order by f.fid limit ?",
);

const DIGESTIBLE: Sql = sql("select fid from file where dkey < ? and fid in (…) order by fid");

/// Those of these fids that are files of clients: their bytes are digested where nobody has done so.
pub(crate) async fn digestible(tx: &mut Tx, fids: &[Fid]) -> Result<Vec<Fid>, Error> {
    let mut found = Vec::new();
    for fids in fids.chunks(LIST_MAX) {
        let mut args = vec![Key::RESERVED_PREFIX.into()];
        args.extend(values(fids));
        for row in tx.rows_list(&DIGESTIBLE, fids.len(), args).await? {
            found.push(fid_of(&row, 0)?);
        }
    }
    Ok(found)
}

/// Fids that one look goes through.
const SPAN: u64 = 50_000;

/// What a look for files of other programs found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Searched {
    /// There is more to look through.
    Part,
    /// Nothing is left.
    All,
}

/// Goes through some fids for files that another program stored, at most `limit` of them, and queues them.
///
/// The search never passes a fid that is still reserved: it would miss the file that it becomes.
pub(crate) async fn digests_searched(tx: &mut Tx, limit: usize) -> Result<Searched, Error> {
    let searched = settings::value_of(tx, SEARCHED).await?;
    let searched: u64 = searched.and_then(|text| text.parse().ok()).unwrap_or(0);
    let Some(end) = number(tx, &LAST_FILE, vec![]).await? else {
        return Ok(Searched::All);
    };
    let reserved = number(tx, &FIRST_TEMPFILE, vec![]).await?;
    let end = reserved.map_or(end, |fid| end.min(fid.saturating_sub(1)));
    let next = number(tx, &NEXT_FILE, vec![searched.into()]).await?;
    let Some(next) = next.filter(|next| *next <= end) else {
        return Ok(Searched::All);
    };
    let last = end.min(next.saturating_add(SPAN));
    let args = vec![
        next.into(),
        last.into(),
        Key::RESERVED_PREFIX.into(),
        limit.into(),
    ];
    let mut found = Vec::new();
    for row in tx.rows(&UNKNOWN, args).await? {
        found.push(fid_of(&row, 0)?);
    }
    digests_queued(tx, &found).await?;
    let reached = match found.last() {
        Some(fid) if found.len() >= limit => fid.get(),
        Some(_) | None => last,
    };
    settings::set(tx, SEARCHED, &reached.to_string()).await?;
    Ok(if reached < end {
        Searched::Part
    } else {
        Searched::All
    })
}

/// The number that an aggregate gives, if there are rows.
async fn number(tx: &mut Tx, sql: &Sql, args: Vec<super::Value>) -> Result<Option<u64>, Error> {
    let rows = tx.rows(sql, args).await?;
    rows.first().map_or(Ok(None), |row| opt_number_of(row, 0))
}

catalogue! {
    COUNT, QUEUE, ANY, DUE, CLAIM, DEFER, DONE, LOCK, LEARN, KEEP, KNOWN_MD5, NEXT_FILE, LAST_FILE, FIRST_TEMPFILE,
    DIGESTIBLE, UNKNOWN,
}
