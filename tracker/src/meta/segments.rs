//! `mogul_segment`: the parts an object was uploaded in; and `mogul_join`, the queue of objects whose parts shall become
//! one file.

use std::collections::BTreeSet;

use mogul_storage::{DevId, Digest, Fid};

use super::{
    Row, Sql, Tx,
    encoding::{crc64_of, hash_number, hash_of},
    files::values,
    ids::{LIST_MAX, fid_of, number_of},
    objects::devices_of,
    queues::END_OF_TIME,
    sql::sql,
};
use crate::{
    Error,
    model::{ETag, Part, PartNumber, Timestamp},
};

/// Segments of one object, as many as parts of an upload.
pub(crate) const SEGMENTS_MAX: usize = 10_000;
/// Rows that one statement writes: eleven arguments each, below the limits of all engines.
const ROWS_PER_STATEMENT: usize = 1_000;

/// A part of an object: where it begins, and the file that holds it until it is joined.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// Position in the object, from 1.
    pub(crate) ordinal: u32,
    /// Its file; `None` once it is joined into the object's own.
    pub(crate) part_fid: Option<Fid>,
    /// First byte in the object.
    pub(crate) start: u64,
    /// CRC64/NVME of its bytes.
    pub(crate) crc64: Option<[u8; 8]>,
    /// What clients see of it.
    pub(crate) part: Part,
}

/// Where a segment's bytes are.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Its file; `None` once it is joined.
    pub(crate) fid: Option<Fid>,
    /// First byte in the object.
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// CRC64/NVME of its bytes.
    pub(crate) crc64: Option<[u8; 8]>,
    /// Devices on record.
    pub(crate) devices: Vec<DevId>,
}

const INSERT: Sql = sql(
    "insert into mogul_segment (fid, ordinal, part_number, part_fid, start, size, etag, \
     checksum_type, checksum, crc64, modified_at) values (…)",
);

/// Adds the segments of an object.
pub(crate) async fn segments_added(tx: &mut Tx, object: Fid, segments: &[Segment]) -> Result<(), Error> {
    for segments in segments.chunks(ROWS_PER_STATEMENT) {
        let mut args = Vec::with_capacity(segments.len() * 11);
        for segment in segments {
            let checksum = segment.part.checksum.as_ref();
            args.push(object.into());
            args.push(i64::from(segment.ordinal).into());
            args.push(i64::from(segment.part.number.get()).into());
            args.push(segment.part_fid.into());
            args.push(segment.start.into());
            args.push(segment.part.size.into());
            args.push(segment.part.etag.0.as_str().into());
            args.push(checksum.map(|sum| hash_number(sum.hash)).into());
            args.push(checksum.map(|sum| sum.bytes.clone()).into());
            args.push(segment.crc64.map(|crc| crc.to_vec()).into());
            args.push(segment.part.modified.millis().into());
        }
        tx.run_list(&INSERT, segments.len(), args).await?;
    }
    Ok(())
}

const PIECES: Sql = sql("select s.part_fid, s.start, s.size, s.crc64, \
     (select group_concat(r.devid) from file_on r where r.fid = s.part_fid) \
     from mogul_segment s where s.fid = ? and s.start < ? and s.start + s.size > ? order by s.ordinal limit ?")
.postgres(
    "select s.part_fid, s.start, s.size, s.crc64, \
     (select string_agg(r.devid::text, ',') from file_on r where r.fid = s.part_fid) \
     from mogul_segment s where s.fid = ? and s.start < ? and s.start + s.size > ? order by s.ordinal limit ?",
);

/// Where the bytes from `first` up to, without it, `end` of a segmented object are, in order.
pub(crate) async fn pieces_of(tx: &mut Tx, object: Fid, first: u64, end: u64) -> Result<Vec<Piece>, Error> {
    let limit = u64::try_from(SEGMENTS_MAX).expect("a small constant");
    let args = vec![object.into(), end.into(), first.into(), limit.into()];
    let rows = tx.rows(&PIECES, args).await?;
    rows.iter()
        .map(|row| {
            let fid = row.opt_int(0)?.map(|_| fid_of(row, 0)).transpose()?;
            Ok(Piece {
                fid,
                start: number_of(row, 1)?,
                size: number_of(row, 2)?,
                crc64: crc64_of(row.opt_bytes(3)?)?,
                devices: devices_of(row.opt_text(4)?.as_deref())?,
            })
        })
        .collect()
}

const PARTS: Sql = sql(
    "select ordinal, part_fid, start, crc64, part_number, size, etag, checksum_type, checksum, \
     modified_at from mogul_segment where fid = ? and part_number > ? order by ordinal limit ?",
);

/// The segments of an object whose part number is above `after`, at most `limit`.
pub(crate) async fn segments_of(
    tx: &mut Tx,
    object: Fid,
    after: u16,
    limit: usize,
) -> Result<Vec<Segment>, Error> {
    let limit = i64::try_from(limit.min(SEGMENTS_MAX + 1)).expect("a small number");
    let args = vec![object.into(), i64::from(after).into(), limit.into()];
    let rows = tx.rows(&PARTS, args).await?;
    rows.iter().map(segment_of).collect()
}

const NTH: Sql = sql(
    "select ordinal, part_fid, start, crc64, part_number, size, etag, checksum_type, checksum, \
     modified_at from mogul_segment where fid = ? and ordinal = ?",
);

/// The segment of an object at a position, from 1.
pub(crate) async fn segment_at(tx: &mut Tx, object: Fid, ordinal: u32) -> Result<Option<Segment>, Error> {
    let rows = tx
        .rows(&NTH, vec![object.into(), i64::from(ordinal).into()])
        .await?;
    rows.first().map(segment_of).transpose()
}

/// Reads a row of [`PARTS`] or [`NTH`].
fn segment_of(row: &Row) -> Result<Segment, Error> {
    Ok(Segment {
        ordinal: number_of(row, 0)?,
        part_fid: row.opt_int(1)?.map(|_| fid_of(row, 1)).transpose()?,
        start: number_of(row, 2)?,
        crc64: crc64_of(row.opt_bytes(3)?)?,
        part: Part {
            number: part_number_of(row, 4)?,
            size: number_of(row, 5)?,
            etag: ETag(row.text(6)?),
            checksum: digest_of(row, 7)?,
            modified: Timestamp::from_millis(row.int(9)?),
        },
    })
}

/// The part number of a column.
pub(crate) fn part_number_of(row: &Row, column: usize) -> Result<PartNumber, Error> {
    PartNumber::new(number_of(row, column)?)
        .ok_or_else(|| Error::Internal("a stored part number is out of range".to_owned()))
}

/// The digest of two columns: the number of the algorithm, and the bytes in the next.
pub(crate) fn digest_of(row: &Row, column: usize) -> Result<Option<Digest>, Error> {
    let (Some(number), Some(bytes)) = (row.opt_int(column)?, row.opt_bytes(column + 1)?) else {
        return Ok(None);
    };
    let hash = hash_of(number)?;
    Ok(Some(Digest { hash, bytes }))
}

const PART_FIDS: Sql = sql(
    "select part_fid from mogul_segment where fid = ? and part_fid is not null order by ordinal limit 10000",
);

/// The files that hold the bytes of an object which is not joined yet, in order; none otherwise.
pub(crate) async fn part_fids_of(tx: &mut Tx, object: Fid) -> Result<Vec<Fid>, Error> {
    let rows = tx.rows(&PART_FIDS, vec![object.into()]).await?;
    rows.iter().map(|row| fid_of(row, 0)).collect()
}

const UNJOINED: Sql =
    sql("select distinct fid from mogul_segment where fid in (…) and part_fid is not null order by fid");

/// Those of these files that still lie in the parts they were uploaded in.
pub(crate) async fn unjoined(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeSet<Fid>, Error> {
    let mut found = BTreeSet::new();
    for fids in fids.chunks(LIST_MAX) {
        for row in tx.rows_list(&UNJOINED, fids.len(), values(fids)).await? {
            found.insert(fid_of(&row, 0)?);
        }
    }
    Ok(found)
}

const JOINED: Sql = sql("update mogul_segment set part_fid = null where fid = ?");

/// Forgets where the segments of an object were: its own file has them now.
pub(crate) async fn segments_joined(tx: &mut Tx, object: Fid) -> Result<(), Error> {
    tx.run(&JOINED, vec![object.into()]).await?;
    Ok(())
}

const QUEUE: Sql = sql("insert into mogul_join (fid, nexttry, failcount) values (?, ?, 0)");

/// Queues an object to be joined.
pub(crate) async fn join_queued(tx: &mut Tx, object: Fid, now: Timestamp) -> Result<(), Error> {
    tx.run(&QUEUE, vec![object.into(), now.secs().into()]).await?;
    Ok(())
}

/// `nexttry` of an object that somebody waits for: it comes first, and is joined whatever its size.
const WANTED: i64 = -1;

const WANT: Sql = sql(
    "insert into mogul_join (fid, nexttry, failcount) values (?, ?, 0) \
     on conflict (fid) do update set nexttry = case when mogul_join.nexttry <= ? or mogul_join.nexttry = ? \
     then excluded.nexttry else mogul_join.nexttry end",
)
.mysql(
    "insert into mogul_join (fid, nexttry, failcount) values (?, ?, 0) on duplicate key update \
     nexttry = case when nexttry <= ? or nexttry = ? then values(nexttry) else nexttry end",
);

/// Asks for an object to be joined at once, even if it is shelved; one that is claimed is being joined already.
pub(crate) async fn join_wanted(tx: &mut Tx, object: Fid, now: Timestamp) -> Result<(), Error> {
    let args = vec![
        object.into(),
        WANTED.into(),
        now.secs().into(),
        END_OF_TIME.into(),
    ];
    tx.run(&WANT, args).await?;
    Ok(())
}

const ANY_JOIN: Sql = sql("select fid from mogul_join where nexttry <= ? order by nexttry limit 1");

/// Whether an object is due to be joined: a look that costs the database's writer nothing.
pub(crate) async fn join_due(tx: &mut Tx, now: Timestamp) -> Result<bool, Error> {
    Ok(!tx.rows(&ANY_JOIN, vec![now.secs().into()]).await?.is_empty())
}

/// An object to be joined.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JoinClaim {
    /// The object.
    pub(crate) fid: Fid,
    /// Failed attempts so far.
    pub(crate) failcount: u32,
    /// Whether its size matters.
    pub(crate) urgency: Urgency,
}

/// Who asked for an object to be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Nobody but its upload.
    Background,
    /// Somebody who waits for it.
    Wanted,
}

const DUE: Sql = sql(
    "select fid, failcount, nexttry from mogul_join where nexttry <= ? order by nexttry limit 1 \
     for update skip locked",
)
.sqlite("select fid, failcount, nexttry from mogul_join where nexttry <= ? order by nexttry limit 1");
const DEFER: Sql = sql("update mogul_join set nexttry = ?, failcount = ? where fid = ?");

/// Claims an object that is due, for as long as nobody else shall try it.
pub(crate) async fn join_claimed(
    tx: &mut Tx,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<JoinClaim>, Error> {
    let rows = tx.rows(&DUE, vec![now.secs().into()]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let claim = JoinClaim {
        fid: fid_of(row, 0)?,
        failcount: number_of(row, 1)?,
        urgency: if row.int(2)? == WANTED {
            Urgency::Wanted
        } else {
            Urgency::Background
        },
    };
    join_deferred(tx, claim, until).await?;
    Ok(Some(claim))
}

const UNCLAIM: Sql = sql("update mogul_join set nexttry = ? where nexttry > ?");

/// Makes every object due: at the start of the only process on a database, whoever claimed one is dead, and what was too
/// large to be joined may be no longer.
pub(crate) async fn joins_unclaimed(tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
    tx.run(&UNCLAIM, vec![now.secs().into(), now.secs().into()])
        .await?;
    Ok(())
}

const OFF_THE_SHELF: Sql = sql("update mogul_join set nexttry = ? where nexttry = ?");

/// Makes every object due that was shelved: at the start of a process, whose limit may be another.
pub(crate) async fn joins_taken_off_the_shelf(tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
    tx.run(&OFF_THE_SHELF, vec![now.secs().into(), END_OF_TIME.into()])
        .await?;
    Ok(())
}

/// Keeps an object in the queue without waiting for anything: only a start and [`joins_unshelved`] make it due again.
pub(crate) async fn join_shelved(tx: &mut Tx, claim: JoinClaim) -> Result<(), Error> {
    join_deferred(tx, claim, Timestamp::from_secs(END_OF_TIME)).await
}

const UNSHELVE: Sql = sql("update mogul_join set nexttry = ? where nexttry = ? and fid in (…)");

/// Makes those of at most [`LIST_MAX`] objects due that were shelved.
pub(crate) async fn joins_unshelved(tx: &mut Tx, objects: &[Fid], now: Timestamp) -> Result<(), Error> {
    let mut args = vec![now.secs().into(), END_OF_TIME.into()];
    args.extend(values(objects));
    tx.run_list(&UNSHELVE, objects.len(), args).await?;
    Ok(())
}

/// Puts an attempt off.
pub(crate) async fn join_deferred(tx: &mut Tx, claim: JoinClaim, until: Timestamp) -> Result<(), Error> {
    let args = vec![
        until.secs().into(),
        i64::from(claim.failcount).into(),
        claim.fid.into(),
    ];
    tx.run(&DEFER, args).await?;
    Ok(())
}

const DONE: Sql = sql("delete from mogul_join where fid = ?");

/// Takes an object off the queue.
pub(crate) async fn join_done(tx: &mut Tx, object: Fid) -> Result<(), Error> {
    tx.run(&DONE, vec![object.into()]).await?;
    Ok(())
}

catalogue! { INSERT, PIECES, PARTS, NTH, PART_FIDS, UNJOINED, JOINED, QUEUE, WANT, ANY_JOIN, DUE, DEFER, UNCLAIM, OFF_THE_SHELF, UNSHELVE, DONE }
