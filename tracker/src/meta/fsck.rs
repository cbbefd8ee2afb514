//! What fsck reads and writes: ranges of files, `fsck_log`, and the settings in which a run is kept (mogilefs.md §15).

use std::collections::BTreeMap;

use mogul_storage::{DevId, Fid, HashType};

use super::{
    Sql, Tx,
    encoding::hash_of,
    files::FileRow,
    ids::{LIST_MAX, device_of, fid_of, number_of},
    settings,
    sql::sql,
};
use crate::{
    Error,
    model::{ClassId, DomainId, Finding, Logged, Timestamp},
};

/// A contiguous range of fids that one worker checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The fid before the first.
    pub(crate) after: u64,
    /// The last.
    pub(crate) last: u64,
    /// `nexttry` of the rows that stand for it in `file_to_queue`.
    pub(crate) until: i64,
}

// `0 + ?`: PostgreSQL takes a bare argument in a list of columns for text.
const QUEUE: Sql = sql(
    "insert into file_to_queue (fid, type, nexttry, failcount, flags) \
     select fid, 1, 0 + ?, 0, 0 from file where fid > ? and fid <= ? order by fid limit 1000000 \
     on conflict do nothing",
)
.mysql(
    "insert ignore into file_to_queue (fid, type, nexttry, failcount, flags) \
     select fid, 1, 0 + ?, 0, 0 from file where fid > ? and fid <= ? order by fid limit 1000000",
);
const END_OF: Sql = sql(
    "select max(fid) from (select fid from file where fid > ? and fid <= ? \
     order by fid limit ?) as batch",
);

/// The last of the next `limit` files after a fid, none beyond `end`.
pub(crate) async fn range_end(tx: &mut Tx, after: u64, end: u64, limit: u64) -> Result<Option<u64>, Error> {
    let rows = tx
        .rows(&END_OF, vec![after.into(), end.into(), limit.into()])
        .await?;
    match rows.first().map_or(Ok(None), |row| row.opt_int(0))? {
        Some(last) => Ok(u64::try_from(last).ok()),
        None => Ok(None),
    }
}

/// Queues the files of a range, claimed. Should the process die, they are due when the claim runs out.
pub(crate) async fn range_queued(tx: &mut Tx, range: Range) -> Result<(), Error> {
    let args = vec![range.until.into(), range.after.into(), range.last.into()];
    tx.run(&QUEUE, args).await?;
    Ok(())
}

const RANGE_DONE: Sql =
    sql("delete from file_to_queue where type = 1 and nexttry = ? and fid > ? and fid <= ?");

/// Takes the files of a range out of the queue, but those that were put off meanwhile.
pub(crate) async fn range_done(tx: &mut Tx, range: Range) -> Result<(), Error> {
    let args = vec![range.until.into(), range.after.into(), range.last.into()];
    tx.run(&RANGE_DONE, args).await?;
    Ok(())
}

/// A file as fsck sees it on record.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// Its row.
    pub(crate) file: FileRow,
    /// `file.devcount`.
    pub(crate) devcount: usize,
    /// Where copies are on record.
    pub(crate) on: Vec<DevId>,
}

const FILES: Sql = sql("select fid, dmid, classid, length, devcount from file \
     where fid > ? and fid <= ? order by fid limit 1000000");
const FILES_OF: Sql =
    sql("select fid, dmid, classid, length, devcount from file where fid in (…) order by fid");
const ON: Sql =
    sql("select fid, devid from file_on where fid > ? and fid <= ? order by fid, devid limit 10000000");

/// The files of a range, by fid, and all copies on record there, those without a file too.
pub(crate) async fn range_recorded(
    tx: &mut Tx,
    range: Range,
) -> Result<(Vec<Recorded>, BTreeMap<Fid, Vec<DevId>>), Error> {
    let args = || vec![range.after.into(), range.last.into()];
    let mut on: BTreeMap<Fid, Vec<DevId>> = BTreeMap::new();
    for row in tx.rows(&ON, args()).await? {
        on.entry(fid_of(&row, 0)?).or_default().push(device_of(&row, 1)?);
    }
    let mut files = Vec::new();
    for row in tx.rows(&FILES, args()).await? {
        files.push(recorded(&row, &on)?);
    }
    Ok((files, on))
}

/// The files among these fids.
pub(crate) async fn files_recorded(tx: &mut Tx, fids: &[Fid]) -> Result<Vec<Recorded>, Error> {
    let on = super::replicas::replicas_of(tx, fids).await?;
    let mut files = Vec::new();
    for fids in fids.chunks(LIST_MAX) {
        let args = super::files::values(fids);
        for row in tx.rows_list(&FILES_OF, fids.len(), args).await? {
            files.push(recorded(&row, &on)?);
        }
    }
    Ok(files)
}

fn recorded(row: &super::Row, on: &BTreeMap<Fid, Vec<DevId>>) -> Result<Recorded, Error> {
    let fid = fid_of(row, 0)?;
    Ok(Recorded {
        file: FileRow {
            fid,
            domain: DomainId(number_of(row, 1)?),
            class: ClassId(number_of(row, 2)?),
            size: row.opt_int(3)?.and_then(|size| size.try_into().ok()).unwrap_or(0),
        },
        devcount: number_of(row, 4)?,
        on: on.get(&fid).cloned().unwrap_or_default(),
    })
}

const CHECKSUMS: Sql = sql("select fid, hashtype, checksum from checksum where fid in (…) order by fid");

/// The digests on record of these files. An algorithm that is not ours is `None`.
pub(crate) async fn checksums_of(
    tx: &mut Tx,
    fids: &[Fid],
) -> Result<BTreeMap<Fid, (Option<HashType>, Vec<u8>)>, Error> {
    let mut found = BTreeMap::new();
    for fids in fids.chunks(LIST_MAX) {
        let args = super::files::values(fids);
        for row in tx.rows_list(&CHECKSUMS, fids.len(), args).await? {
            found.insert(fid_of(&row, 0)?, (hash_of(row.int(1)?).ok(), row.bytes(2)?));
        }
    }
    Ok(found)
}

const LOG: Sql = sql("insert into fsck_log (utime, fid, evcode, devid) values (…)");

/// Writes findings down and counts them.
///
/// Whoever writes holds the run's row until its transaction is over, so that numbers of the log are committed in their
/// order and none is counted twice or left out.
pub(crate) async fn logged(tx: &mut Tx, findings: &[Finding], now: Timestamp) -> Result<(), Error> {
    if findings.is_empty() {
        return Ok(());
    }
    settings::run_held(tx).await?;
    for findings in findings.chunks(LIST_MAX) {
        let rows = findings.iter().flat_map(|finding| {
            [
                now.secs().into(),
                finding.fid.into(),
                finding.code.as_str().into(),
                finding.device.into(),
            ]
        });
        tx.run_list(&LOG, findings.len(), rows.collect()).await?;
    }
    summed(tx).await
}

const SUMS: Sql = sql(
    "select evcode, count(*) from fsck_log where logid > ? and logid <= ? \
     group by evcode order by evcode limit 1000",
);

/// The setting that says up to which number the log is counted.
const COUNTED: &str = "fsck_logid_processed";
/// What the names of the counters begin with.
const COUNTER: &str = "fsck_sum_evcount_";

/// Adds what is in the log and not counted yet to the counters.
pub(crate) async fn summed(tx: &mut Tx) -> Result<(), Error> {
    settings::run_held(tx).await?;
    let counted = settings::number_of(tx, COUNTED).await?;
    let last = last_logged(tx).await?;
    if last <= counted {
        return Ok(());
    }
    for row in tx.rows(&SUMS, vec![counted.into(), last.into()]).await? {
        let (code, count): (String, u64) = (row.text(0)?, number_of(&row, 1)?);
        let name = format!("{COUNTER}{}", code.trim_end());
        let sum = settings::number_of(tx, &name).await?.saturating_add(count);
        settings::set(tx, &name, &sum.to_string()).await?;
    }
    settings::set(tx, COUNTED, &last.to_string()).await?;
    Ok(())
}

const LAST: Sql = sql("select max(logid) from fsck_log");

/// The number of the last line of the log, 0 if it is empty.
pub(crate) async fn last_logged(tx: &mut Tx) -> Result<u64, Error> {
    let rows = tx.rows(&LAST, vec![]).await?;
    let last = rows.first().map_or(Ok(None), |row| row.opt_int(0))?;
    Ok(last.and_then(|last| last.try_into().ok()).unwrap_or(0))
}

const PAGE: Sql =
    sql("select logid, utime, fid, evcode, devid from fsck_log where logid > ? order by logid limit ?");

/// At most `limit` lines of the log after a number.
pub(crate) async fn log_after(tx: &mut Tx, after: u64, limit: usize) -> Result<Vec<Logged>, Error> {
    let rows = tx.rows(&PAGE, vec![after.into(), limit.into()]).await?;
    let lines = rows.iter().map(|row| {
        Ok(Logged {
            number: number_of(row, 0)?,
            at: Timestamp::from_secs(row.int(1)?),
            fid: super::ids::opt_number_of(row, 2)?,
            code: row.opt_text(3)?,
            device: super::ids::opt_number_of(row, 4)?,
        })
    });
    lines.collect()
}

const CLEAR: Sql = sql("delete from fsck_log");

/// Empties the log. What was in it stays counted.
pub(crate) async fn log_cleared(tx: &mut Tx) -> Result<(), Error> {
    summed(tx).await?;
    tx.run(&CLEAR, vec![]).await?;
    // MySQL may number anew, and what is numbered anew is counted.
    settings::set(tx, COUNTED, "0").await?;
    Ok(())
}

const OLD: Sql = sql("select logid from fsck_log where utime < ? order by utime limit ?");

/// Whether the log has lines from before a time: a look that costs the database's writer nothing.
pub(crate) async fn any_logged_before(tx: &mut Tx, before: Timestamp) -> Result<bool, Error> {
    let args = vec![before.secs().into(), 1_i64.into()];
    Ok(!tx.rows(&OLD, args).await?.is_empty())
}

const TRIM: Sql = sql("delete from fsck_log where logid in (…)");

/// Takes at most `limit` lines from before a time out of the log, 1 to [`LIST_MAX`]. They stay counted. Answers how many.
pub(crate) async fn log_trimmed(tx: &mut Tx, before: Timestamp, limit: usize) -> Result<usize, Error> {
    summed(tx).await?;
    let args = vec![before.secs().into(), limit.min(LIST_MAX).into()];
    let lines = tx.rows(&OLD, args).await?;
    let numbers = lines.iter().map(|line| Ok(line.int(0)?.into()));
    let numbers = numbers.collect::<Result<Vec<_>, Error>>()?;
    if !numbers.is_empty() {
        tx.run_list(&TRIM, numbers.len(), numbers).await?;
    }
    Ok(lines.len())
}

const LAST_FILE: Sql = sql("select max(fid) from file");

/// The largest fid of a file, 0 if there is none.
pub(crate) async fn last_file(tx: &mut Tx) -> Result<u64, Error> {
    let rows = tx.rows(&LAST_FILE, vec![]).await?;
    let last = rows.first().map_or(Ok(None), |row| row.opt_int(0))?;
    Ok(last.and_then(|last| last.try_into().ok()).unwrap_or(0))
}

/// Forgets the counters; what is in the log now counts for an older run.
pub(crate) async fn counters_reset(tx: &mut Tx) -> Result<(), Error> {
    let last = last_logged(tx).await?.to_string();
    for name in settings::settings(tx).await?.into_keys() {
        if name.starts_with(COUNTER) {
            settings::unset(tx, &name).await?;
        }
    }
    settings::set(tx, COUNTED, &last).await?;
    settings::set(tx, "fsck_start_maxlogid", &last).await?;
    Ok(())
}

/// The counters: code and count.
pub(crate) async fn counters(tx: &mut Tx) -> Result<Vec<(String, u64)>, Error> {
    let found = settings::settings(tx).await?;
    let counters = found.into_iter().filter_map(|(name, value)| {
        let code = name.strip_prefix(COUNTER)?.to_owned();
        Some((code, value.parse().ok()?))
    });
    Ok(counters.collect())
}

const RESERVED: Sql = sql("select fid from tempfile where fid in (…) order by fid");
const BEING_DELETED: Sql = sql("select fid from file_to_delete2 where fid in (…) order by fid");

/// Those of these fids that somebody reserved, or that are being deleted.
pub(crate) async fn unsettled(tx: &mut Tx, fids: &[Fid]) -> Result<Vec<Fid>, Error> {
    let mut found = Vec::new();
    for fids in fids.chunks(LIST_MAX) {
        for statement in [&RESERVED, &BEING_DELETED] {
            let args = super::files::values(fids);
            for row in tx.rows_list(statement, fids.len(), args).await? {
                found.push(fid_of(&row, 0)?);
            }
        }
    }
    Ok(found)
}

catalogue! {
    QUEUE, END_OF, RANGE_DONE, FILES, FILES_OF, ON, CHECKSUMS, RESERVED, BEING_DELETED, LOG, SUMS, LAST, PAGE, CLEAR,
    OLD, TRIM, LAST_FILE,
}
