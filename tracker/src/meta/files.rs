//! `file`: what is stored, and its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mogul_storage::Fid;

use super::{
    Sql, Tx, Value, deletions,
    ids::{LIST_MAX, fid_of, number_of},
    segments,
    sql::sql,
};
use crate::{
    Error,
    model::{ClassId, DomainId, Key, Timestamp},
};

/// How long the bytes of what was an object stay after its end: whoever looked it up just before (a gateway, or a
/// client that was told its paths) opens its file within this time. A node that has opened a file gives it out to its
/// end, whether or not it is deleted meanwhile.
pub(crate) const READERS_GRACE: Duration = Duration::from_secs(5);

/// How long the bytes of a part stay after its object has been joined, and at least after it has ended: whoever reads
/// the object in segments opens the next one only when the last is read.
pub(crate) const SEGMENT_READERS_GRACE: Duration = Duration::from_mins(1);

/// How fast the slowest readers of an object in segments are that get to its end when it ends meanwhile, in bytes a
/// second.
const SEGMENT_READERS_RATE: u64 = 4 << 20;

/// How long the parts of an object that has ended stay at most, however large it was.
const SEGMENT_READERS_GRACE_MAX: Duration = Duration::from_hours(1);

/// A row of `file`, without its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileRow {
    /// The fid.
    pub(crate) fid: Fid,
    /// Its domain.
    pub(crate) domain: DomainId,
    /// Its class.
    pub(crate) class: ClassId,
    /// Its size in bytes.
    pub(crate) size: u64,
}

const BY_FID: Sql = sql("select fid, dmid, classid, length from file where fid in (…) order by fid");

/// The files among these fids.
pub(crate) async fn files_by_fid(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeMap<Fid, FileRow>, Error> {
    let mut files = BTreeMap::new();
    for fids in fids.chunks(LIST_MAX) {
        for row in tx.rows_list(&BY_FID, fids.len(), values(fids)).await? {
            let file = FileRow {
                fid: fid_of(&row, 0)?,
                domain: DomainId(number_of(&row, 1)?),
                class: ClassId(number_of(&row, 2)?),
                size: row.opt_int(3)?.and_then(|size| size.try_into().ok()).unwrap_or(0),
            };
            files.insert(file.fid, file);
        }
    }
    Ok(files)
}

/// Which of these fids are files.
pub(crate) async fn files_present(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeSet<Fid>, Error> {
    Ok(files_by_fid(tx, fids).await?.into_keys().collect())
}

const LOCK: Sql =
    sql("select fid from file where fid = ? for update").sqlite("select fid from file where fid = ?");

/// Whether a fid is a file; it stays what it is until the transaction ends.
pub(crate) async fn file_locked(tx: &mut Tx, fid: Fid) -> Result<bool, Error> {
    Ok(!tx.rows(&LOCK, vec![fid.into()]).await?.is_empty())
}

const LOCK_ALL: Sql = sql("select fid from file where fid in (…) order by fid for update")
    .sqlite("select fid from file where fid in (…) order by fid");

/// Which of these fids are files; they stay what they are until the transaction ends.
pub(crate) async fn files_locked(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeSet<Fid>, Error> {
    let mut there = BTreeSet::new();
    for fids in fids.chunks(LIST_MAX) {
        for row in tx.rows_list(&LOCK_ALL, fids.len(), values(fids)).await? {
            there.insert(fid_of(&row, 0)?);
        }
    }
    Ok(there)
}

const COUNT: Sql =
    sql("update file set devcount = (select count(*) from file_on where fid = ?) where fid = ?");

/// Counts the replicas of a file anew.
pub(crate) async fn devcount_updated(tx: &mut Tx, fid: Fid) -> Result<(), Error> {
    tx.run(&COUNT, vec![fid.into(), fid.into()]).await?;
    Ok(())
}

const COUNT_ALL: Sql = sql(
    "update file set devcount = (select count(*) from file_on where file_on.fid = file.fid) where fid in (…)",
);

/// Counts the replicas of files anew.
pub(crate) async fn devcounts_updated(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        tx.run_list(&COUNT_ALL, fids.len(), values(fids)).await?;
    }
    Ok(())
}

const DIGESTS: Sql = sql(
    "select fid, crc64 from mogul_object where fid in (…) and crc64 is not null \
     order by fid",
);
const PART_DIGESTS: Sql = sql("select part_fid, crc64 from mogul_segment where part_fid in (…) \
     and crc64 is not null order by part_fid");

/// CRC64/NVME of these files, where it is known: big-endian, what whole reads are checked with.
pub(crate) async fn digests_known(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeMap<Fid, [u8; 8]>, Error> {
    let mut known = BTreeMap::new();
    for fids in fids.chunks(LIST_MAX) {
        for statement in [&DIGESTS, &PART_DIGESTS] {
            for row in tx.rows_list(statement, fids.len(), values(fids)).await? {
                if let Some(crc64) = super::encoding::crc64_of(row.opt_bytes(1)?)? {
                    known.insert(fid_of(&row, 0)?, crc64);
                }
            }
        }
    }
    Ok(known)
}

const SEGMENTED: Sql = sql(
    "select fid from mogul_segment where fid = ? and part_fid is not null \
     order by ordinal limit 1",
);

/// Whether a file still lies in the parts it was uploaded in.
pub(crate) async fn file_segmented(tx: &mut Tx, fid: Fid) -> Result<bool, Error> {
    Ok(!tx.rows(&SEGMENTED, vec![fid.into()]).await?.is_empty())
}

const PARTS: Sql = sql(
    "select fid, part_fid, size from mogul_segment where fid in (…) and part_fid is not null \
     order by fid, part_fid",
);
const FORGET_FILES: Sql = sql("delete from file where fid in (…)");
const FORGET_OBJECTS: Sql = sql("delete from mogul_object where fid in (…)");
const FORGET_CHECKSUMS: Sql = sql("delete from checksum where fid in (…)");
const FORGET_SEGMENTS: Sql = sql("delete from mogul_segment where fid in (…)");

/// Ends files that were objects, or parts of them: they are no longer in any table but `file_on`, and their bytes are
/// queued for deletion after [`READERS_GRACE`]. The files of an object's segments go with it, when whoever reads them
/// has had the time to come to its end. A row in `mogul_join` stays and is due: whoever claims it looks for what an
/// attempt to join left behind.
pub(crate) async fn release(tx: &mut Tx, fids: &[Fid], now: Timestamp) -> Result<(), Error> {
    let delete_at = now.after(READERS_GRACE);
    let mut parts: BTreeMap<Fid, (Vec<Fid>, u64)> = BTreeMap::new();
    for fids in fids.chunks(LIST_MAX) {
        let rows = tx.rows_list(&PARTS, fids.len(), values(fids)).await?;
        if !rows.is_empty() {
            segments::joins_unshelved(tx, fids, now).await?;
        }
        for row in rows {
            let (files, bytes) = parts.entry(fid_of(&row, 0)?).or_default();
            files.push(fid_of(&row, 1)?);
            *bytes = bytes.saturating_add(number_of(&row, 2)?);
        }
        tx.run_list(&FORGET_SEGMENTS, fids.len(), values(fids)).await?;
        forget(tx, fids, delete_at).await?;
    }
    for (files, bytes) in parts.into_values() {
        parts_given_up(tx, &files, now.after(segment_readers_grace(bytes))).await?;
    }
    Ok(())
}

/// How long the parts of an object of so many bytes stay after its end.
fn segment_readers_grace(bytes: u64) -> Duration {
    let reading = Duration::from_secs(bytes / SEGMENT_READERS_RATE);
    reading.clamp(SEGMENT_READERS_GRACE, SEGMENT_READERS_GRACE_MAX)
}

/// Ends files that were parts of an object: their bytes are queued for deletion after [`SEGMENT_READERS_GRACE`].
pub(crate) async fn release_parts(tx: &mut Tx, parts: &[Fid], now: Timestamp) -> Result<(), Error> {
    parts_given_up(tx, parts, now.after(SEGMENT_READERS_GRACE)).await
}

async fn parts_given_up(tx: &mut Tx, parts: &[Fid], delete_at: Timestamp) -> Result<(), Error> {
    for parts in parts.chunks(LIST_MAX) {
        forget(tx, parts, delete_at).await?;
    }
    Ok(())
}

/// Forgets at most [`LIST_MAX`] files and queues their bytes.
async fn forget(tx: &mut Tx, fids: &[Fid], delete_at: Timestamp) -> Result<(), Error> {
    for statement in [&FORGET_FILES, &FORGET_OBJECTS, &FORGET_CHECKSUMS] {
        tx.run_list(statement, fids.len(), values(fids)).await?;
    }
    deletions::delete(tx, fids, delete_at).await
}

/// Fids as arguments.
pub(crate) fn values(fids: &[Fid]) -> Vec<Value> {
    fids.iter().map(|fid| (*fid).into()).collect()
}

/// A new row of `file`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewFile<'a> {
    /// The fid.
    pub(crate) fid: Fid,
    /// Its domain.
    pub(crate) domain: DomainId,
    /// Its key.
    pub(crate) key: &'a Key,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its class.
    pub(crate) class: ClassId,
    /// Its replicas on record.
    pub(crate) devcount: usize,
}

const ADD: Sql = sql("insert into file (fid, dmid, dkey, length, classid, devcount) values (…)");

/// Adds files. A key that has been taken meanwhile makes the transaction run again.
pub(crate) async fn added(tx: &mut Tx, files: &[NewFile<'_>]) -> Result<(), Error> {
    for files in files.chunks(LIST_MAX) {
        let rows = files.iter().flat_map(|file| {
            [
                file.fid.into(),
                file.domain.into(),
                file.key.into(),
                file.size.into(),
                file.class.into(),
                file.devcount.into(),
            ]
        });
        tx.run_list(&ADD, files.len(), rows.collect()).await?;
    }
    Ok(())
}

const RECLASS: Sql = sql("update file set classid = ? where fid in (…)");

/// Gives files another class.
pub(crate) async fn reclassed(tx: &mut Tx, fids: &[Fid], class: ClassId) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        let mut args = vec![class.into()];
        args.extend(values(fids));
        tx.run_list(&RECLASS, fids.len(), args).await?;
    }
    Ok(())
}

const RENAME: Sql = sql("update file set dkey = ? where fid = ?");

/// Gives a file another key.
pub(crate) async fn renamed(tx: &mut Tx, fid: Fid, key: &Key) -> Result<(), Error> {
    tx.run(&RENAME, vec![key.into(), fid.into()]).await?;
    Ok(())
}

catalogue! {
    BY_FID, LOCK, LOCK_ALL, COUNT, COUNT_ALL, DIGESTS, PART_DIGESTS, SEGMENTED, PARTS, FORGET_FILES, FORGET_OBJECTS,
    FORGET_CHECKSUMS, FORGET_SEGMENTS, ADD, RECLASS, RENAME,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_large_object_stay_for_as_long_as_a_slow_reader_takes() {
        for (bytes, expected) in [
            (0, Duration::from_mins(1)),
            (5 << 30, Duration::from_secs(5 << 8)),
            (5 << 40, Duration::from_hours(1)),
        ] {
            assert_eq!(segment_readers_grace(bytes), expected, "{bytes}");
        }
    }
}
