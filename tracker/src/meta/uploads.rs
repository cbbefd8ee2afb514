//! `mogul_upload`: multipart uploads, open ones and, for a day, completed ones; and `mogul_part`: the parts of open ones.
//!
//! Whoever changes an upload or its parts locks its row first ([`upload_held`]), so that a part, an abort and a Complete of
//! one upload follow one another, and nothing is added to an upload that has ended.

use mogul_storage::Fid;

use super::{
    Row, Sql, Tx,
    encoding::{
        attributes_of, attributes_text, crc64_of, hash_number, hash_of, kind_number, kind_of, tags_of,
        tags_text,
    },
    files,
    ids::{fid_of, number_of},
    objects::devices_of,
    segments::{SEGMENTS_MAX, digest_of, part_number_of},
    sql::sql,
};
use crate::{
    Error,
    model::{ClassId, DomainId, ETag, Key, Part, PartNumber, Timestamp, Upload, UploadId, UserId},
};

/// An upload on record.
#[derive(Debug, Clone)]
pub(crate) struct StoredUpload {
    /// What was said when it began.
    pub(crate) upload: Upload,
    /// What became of it.
    pub(crate) state: UploadState,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UploadState {
    /// Parts can be added.
    Open,
    /// It is an object; this is the answer that was given, as JSON.
    Completed(String),
}

/// A part on record.
#[derive(Debug, Clone)]
pub(crate) struct StoredPart {
    /// Its file.
    pub(crate) fid: Fid,
    /// CRC64/NVME of its bytes.
    pub(crate) crc64: [u8; 8],
    /// What clients see of it.
    pub(crate) part: Part,
}

const INSERT: Sql = sql(
    "insert into mogul_upload (upload_id, dmid, dkey, classid, owner, initiated_at, attributes, tags, \
     checksum_type, checksum_kind, devids, state) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
);

/// Adds an open upload.
pub(crate) async fn upload_added(tx: &mut Tx, upload: &Upload) -> Result<(), Error> {
    let devices: Vec<String> = upload.devices.iter().map(ToString::to_string).collect();
    let args = vec![
        upload.id.0.as_str().into(),
        upload.domain.into(),
        upload.key.as_str().into(),
        upload.class.into(),
        upload.owner.0.as_str().into(),
        upload.initiated.millis().into(),
        attributes_text(&upload.attributes).into(),
        tags_text(&upload.tags).into(),
        upload.checksum.map(|(hash, _)| hash_number(hash)).into(),
        upload.checksum.map(|(_, kind)| kind_number(kind)).into(),
        devices.join(",").into(),
    ];
    tx.run(&INSERT, args).await?;
    Ok(())
}

const BY_ID: Sql = sql(
    "select upload_id, dmid, dkey, classid, owner, initiated_at, attributes, tags, checksum_type, \
     checksum_kind, devids, result from mogul_upload where upload_id = ?",
);

/// Finds an upload.
pub(crate) async fn upload_by_id(tx: &mut Tx, id: &UploadId) -> Result<Option<StoredUpload>, Error> {
    let rows = tx.rows(&BY_ID, vec![id.0.as_str().into()]).await?;
    rows.first().map(upload_of).transpose()
}

const HELD: Sql = sql(
    "select upload_id, dmid, dkey, classid, owner, initiated_at, attributes, tags, checksum_type, \
     checksum_kind, devids, result from mogul_upload where upload_id = ? for update",
)
.sqlite(
    "select upload_id, dmid, dkey, classid, owner, initiated_at, attributes, tags, checksum_type, \
     checksum_kind, devids, result from mogul_upload where upload_id = ?",
);

/// Finds an upload and keeps everybody else from changing it until the transaction ends.
pub(crate) async fn upload_held(tx: &mut Tx, id: &UploadId) -> Result<Option<StoredUpload>, Error> {
    let rows = tx.rows(&HELD, vec![id.0.as_str().into()]).await?;
    rows.first().map(upload_of).transpose()
}

/// Reads a row of [`BY_ID`].
fn upload_of(row: &Row) -> Result<StoredUpload, Error> {
    let checksum = match (row.opt_int(8)?, row.opt_int(9)?) {
        (Some(hash), Some(kind)) => Some((hash_of(hash)?, kind_of(kind)?)),
        (Some(_) | None, Some(_) | None) => None,
    };
    Ok(StoredUpload {
        upload: Upload {
            id: UploadId(row.text(0)?),
            domain: DomainId(number_of(row, 1)?),
            key: Key::stored(row.text(2)?),
            class: ClassId(number_of(row, 3)?),
            owner: UserId(row.text(4)?),
            initiated: Timestamp::from_millis(row.int(5)?),
            attributes: attributes_of(row.opt_text(6)?.as_deref())?,
            tags: tags_of(row.opt_text(7)?.as_deref())?,
            checksum,
            devices: devices_of(row.opt_text(10)?.as_deref())?,
        },
        state: row
            .opt_text(11)?
            .map_or(UploadState::Open, UploadState::Completed),
    })
}

const COMPLETED: Sql =
    sql("update mogul_upload set state = 1, completed_at = ?, result = ?, fid = ? where upload_id = ?");

/// Marks an upload as completed and keeps the answer.
pub(crate) async fn upload_completed(
    tx: &mut Tx,
    id: &UploadId,
    fid: Fid,
    answer: (Timestamp, String),
) -> Result<(), Error> {
    let (at, result) = answer;
    let args = vec![
        at.millis().into(),
        result.into(),
        fid.into(),
        id.0.as_str().into(),
    ];
    tx.run(&COMPLETED, args).await?;
    Ok(())
}

const DELETE: Sql = sql("delete from mogul_upload where upload_id = ?");

/// Ends an open upload that the caller holds: its parts are given up, its row goes.
pub(crate) async fn upload_aborted(tx: &mut Tx, id: &UploadId, now: Timestamp) -> Result<(), Error> {
    let fids: Vec<Fid> = parts_of(tx, id, 0, SEGMENTS_MAX)
        .await?
        .iter()
        .map(|part| part.fid)
        .collect();
    files::release(tx, &fids, now).await?;
    parts_removed(tx, id).await?;
    tx.run(&DELETE, vec![id.0.as_str().into()]).await?;
    Ok(())
}

const FORGETTABLE: Sql = sql("select upload_id from mogul_upload where completed_at < ? \
     order by completed_at limit ?");
const FORGET: Sql = sql("delete from mogul_upload where upload_id in (…)");

/// Forgets at most `limit` uploads that were completed before `before`. Answers how many there were.
pub(crate) async fn uploads_forgotten(tx: &mut Tx, before: Timestamp, limit: usize) -> Result<usize, Error> {
    let rows = tx
        .rows(&FORGETTABLE, vec![before.millis().into(), limit.into()])
        .await?;
    let ids = rows
        .iter()
        .map(|row| Ok(row.text(0)?.into()))
        .collect::<Result<Vec<_>, Error>>()?;
    let count = ids.len();
    tx.run_list(&FORGET, count, ids).await?;
    Ok(count)
}

const ABANDONED: Sql = sql(
    "select upload_id from mogul_upload where completed_at is null and state = 0 and initiated_at < ? \
     and not exists (select 1 from mogul_part where mogul_part.upload_id = mogul_upload.upload_id \
     and mogul_part.modified_at >= ?) order by upload_id limit ?",
);

/// Open uploads that began before `before` and have had no new part since, at most `limit`.
pub(crate) async fn uploads_abandoned(
    tx: &mut Tx,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<UploadId>, Error> {
    let before = before.millis();
    let rows = tx
        .rows(&ABANDONED, vec![before.into(), before.into(), limit.into()])
        .await?;
    rows.iter().map(|row| Ok(UploadId(row.text(0)?))).collect()
}

const NEWEST_PART: Sql = sql("select max(modified_at) from mogul_part where upload_id = ?");

/// When the newest part of an upload was stored.
pub(crate) async fn newest_part(tx: &mut Tx, id: &UploadId) -> Result<Option<Timestamp>, Error> {
    let rows = tx.rows(&NEWEST_PART, vec![id.0.as_str().into()]).await?;
    let newest = rows.first().map_or(Ok(None), |row| row.opt_int(0))?;
    Ok(newest.map(Timestamp::from_millis))
}

const PAGE: Sql = sql(
    "select upload_id, dmid, dkey, classid, owner, initiated_at, attributes, tags, checksum_type, \
     checksum_kind, devids, result from mogul_upload where dmid = ? and state = 0 and dkey >= ? and dkey < ? \
     and (dkey > ? or upload_id > ?) order by dkey, upload_id limit ?",
);

/// Where a page of uploads lies.
#[derive(Debug, Clone)]
pub(crate) struct UploadRange<'a> {
    /// The first key.
    pub(crate) first: &'a str,
    /// The key behind the last.
    pub(crate) end: &'a str,
    /// Of the first key, only uploads behind this id; empty for all.
    pub(crate) after: &'a str,
}

/// Open uploads by key, then by id, which begins with the time.
pub(crate) async fn uploads_between(
    tx: &mut Tx,
    domain: DomainId,
    range: UploadRange<'_>,
    limit: usize,
) -> Result<Vec<Upload>, Error> {
    let args = vec![
        domain.into(),
        range.first.into(),
        range.end.into(),
        range.first.into(),
        range.after.into(),
        limit.into(),
    ];
    let rows = tx.rows(&PAGE, args).await?;
    rows.iter().map(|row| Ok(upload_of(row)?.upload)).collect()
}

const PARTS: Sql = sql(
    "select fid, crc64, part_number, size, etag, checksum_type, checksum, modified_at \
     from mogul_part where upload_id = ? and part_number > ? order by part_number limit ?",
);

/// The parts of an upload behind a number, at most `limit`.
pub(crate) async fn parts_of(
    tx: &mut Tx,
    id: &UploadId,
    after: u16,
    limit: usize,
) -> Result<Vec<StoredPart>, Error> {
    let args = vec![id.0.as_str().into(), after.into(), limit.into()];
    let rows = tx.rows(&PARTS, args).await?;
    rows.iter().map(part_of).collect()
}

const PART: Sql = sql(
    "select fid, crc64, part_number, size, etag, checksum_type, checksum, modified_at \
     from mogul_part where upload_id = ? and part_number = ?",
);

/// One part of an upload.
pub(crate) async fn part_numbered(
    tx: &mut Tx,
    id: &UploadId,
    number: PartNumber,
) -> Result<Option<StoredPart>, Error> {
    let rows = tx
        .rows(&PART, vec![id.0.as_str().into(), number.get().into()])
        .await?;
    rows.first().map(part_of).transpose()
}

/// Reads a row of [`PARTS`].
fn part_of(row: &Row) -> Result<StoredPart, Error> {
    let crc64 = crc64_of(row.opt_bytes(1)?)?;
    Ok(StoredPart {
        fid: fid_of(row, 0)?,
        crc64: crc64.ok_or_else(|| Error::Internal("a part has no CRC64".to_owned()))?,
        part: Part {
            number: part_number_of(row, 2)?,
            size: number_of(row, 3)?,
            etag: ETag(row.text(4)?),
            checksum: digest_of(row, 5)?,
            modified: Timestamp::from_millis(row.int(7)?),
        },
    })
}

const COPIES: Sql =
    sql("select min(f.devcount) from mogul_part p join file f on f.fid = p.fid where p.upload_id = ?");

/// The copies on record of that part of an upload which has the fewest.
pub(crate) async fn copies_of(tx: &mut Tx, id: &UploadId) -> Result<usize, Error> {
    let rows = tx.rows(&COPIES, vec![id.0.as_str().into()]).await?;
    rows.first().map_or(Ok(0), |row| number_of(row, 0))
}

const REMOVE_PART: Sql = sql("delete from mogul_part where upload_id = ? and part_number = ?");
const ADD_PART: Sql = sql(
    "insert into mogul_part (upload_id, part_number, fid, size, etag, checksum_type, checksum, crc64, \
     modified_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
);

/// Puts a part in the place of one with its number.
pub(crate) async fn part_put(tx: &mut Tx, id: &UploadId, stored: &StoredPart) -> Result<(), Error> {
    let part = &stored.part;
    let place = vec![id.0.as_str().into(), part.number.get().into()];
    tx.run(&REMOVE_PART, place).await?;
    let checksum = part.checksum.as_ref();
    let args = vec![
        id.0.as_str().into(),
        part.number.get().into(),
        stored.fid.into(),
        part.size.into(),
        part.etag.0.as_str().into(),
        checksum.map(|sum| hash_number(sum.hash)).into(),
        checksum.map(|sum| sum.bytes.clone()).into(),
        stored.crc64.to_vec().into(),
        part.modified.millis().into(),
    ];
    tx.run(&ADD_PART, args).await?;
    Ok(())
}

const REMOVE_PARTS: Sql = sql("delete from mogul_part where upload_id = ?");

/// Forgets the parts of an upload; their files are the caller's concern.
pub(crate) async fn parts_removed(tx: &mut Tx, id: &UploadId) -> Result<(), Error> {
    tx.run(&REMOVE_PARTS, vec![id.0.as_str().into()]).await?;
    Ok(())
}

catalogue! {
    INSERT, BY_ID, HELD, COMPLETED, DELETE, FORGETTABLE, FORGET, ABANDONED, NEWEST_PART, PAGE, PARTS, PART, COPIES,
    REMOVE_PART,
    ADD_PART, REMOVE_PARTS,
}
