//! Files as the tracker port asks for them: where a key's copies are, what a file is, what the queues hold of a fid.
//! What S3 keeps of an object is not here ([`super::objects`]).

use mogul_storage::{DevId, Digest, Fid};

use super::{
    Row, Sql, Tx, Value,
    encoding::hash_of,
    ids::{LIST_MAX, fid_of, number_of, opt_number_of},
    objects::devices_of,
    sql::sql,
};
use crate::{
    Error,
    model::{ClassId, DomainId, Key},
};

/// A row of `file` with the devices on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// The fid.
    pub fid: Fid,
    /// Its domain.
    pub domain: DomainId,
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its class.
    pub class: ClassId,
    /// `devcount`: how many copies it is thought to have.
    pub devcount: u64,
    /// Devices on record; none while an object of several parts still lies in them.
    pub devices: Vec<DevId>,
}

const BY_KEY: Sql = sql("select f.fid, f.dmid, f.dkey, f.length, f.classid, f.devcount, \
     (select group_concat(r.devid) from file_on r where r.fid = f.fid) \
     from file f where f.dmid = ? and f.dkey = ?")
.postgres(
    "select f.fid, f.dmid, f.dkey, f.length, f.classid, f.devcount, \
     (select string_agg(r.devid::text, ',') from file_on r where r.fid = f.fid) \
     from file f where f.dmid = ? and f.dkey = ?",
);

/// The file of a key, in one statement.
pub(crate) async fn file_by_key(
    tx: &mut Tx,
    domain: DomainId,
    key: &Key,
) -> Result<Option<FoundFile>, Error> {
    let rows = tx.rows(&BY_KEY, vec![domain.into(), key.into()]).await?;
    rows.first().map(found_of).transpose()
}

const BY_KEYS: Sql = sql("select f.fid, f.dmid, f.dkey, f.length, f.classid, f.devcount, \
     (select group_concat(r.devid) from file_on r where r.fid = f.fid) \
     from file f where f.dmid = ? and f.dkey in (…)")
.postgres(
    "select f.fid, f.dmid, f.dkey, f.length, f.classid, f.devcount, \
     (select string_agg(r.devid::text, ',') from file_on r where r.fid = f.fid) \
     from file f where f.dmid = ? and f.dkey in (…)",
);

/// The files of keys of one domain, in one statement.
pub(crate) async fn files_by_key(
    tx: &mut Tx,
    domain: DomainId,
    keys: &[&Key],
) -> Result<Vec<FoundFile>, Error> {
    let mut args = vec![domain.into()];
    args.extend(keys.iter().map(|key| key.as_str().into()));
    let rows = tx.rows_list(&BY_KEYS, keys.len(), args).await?;
    rows.iter().map(found_of).collect()
}

const BY_FID: Sql = sql("select f.fid, f.dmid, f.dkey, f.length, f.classid, f.devcount, \
     (select group_concat(r.devid) from file_on r where r.fid = f.fid) from file f where f.fid = ?")
.postgres(
    "select f.fid, f.dmid, f.dkey, f.length, f.classid, f.devcount, \
     (select string_agg(r.devid::text, ',') from file_on r where r.fid = f.fid) from file f where f.fid = ?",
);

/// The file of a fid.
pub(crate) async fn file_by_fid(tx: &mut Tx, fid: Fid) -> Result<Option<FoundFile>, Error> {
    let rows = tx.rows(&BY_FID, vec![fid.into()]).await?;
    rows.first().map(found_of).transpose()
}

const FROM: Sql = sql(
    "select fid, dmid, dkey, length, classid, devcount, null from file \
     where fid > ? and dkey < ? order by fid limit ?",
)
.postgres(
    "select fid, dmid, dkey, length, classid, devcount, cast(null as text) from file \
     where fid > ? and dkey < ? order by fid limit ?",
);

/// At most `limit` files whose fid is above `after`, by fid, without their devices; current objects alone.
pub(crate) async fn files_after(tx: &mut Tx, after: u64, limit: usize) -> Result<Vec<FoundFile>, Error> {
    let args = vec![
        after.into(),
        Key::RESERVED_PREFIX.into(),
        limit.min(LIST_MAX).into(),
    ];
    tx.rows(&FROM, args).await?.iter().map(found_of).collect()
}

/// Reads a row of [`BY_KEY`] and its kin.
fn found_of(row: &Row) -> Result<FoundFile, Error> {
    Ok(FoundFile {
        fid: fid_of(row, 0)?,
        domain: DomainId(number_of(row, 1)?),
        key: row.opt_text(2)?.unwrap_or_default(),
        size: opt_number_of(row, 3)?.unwrap_or(0),
        class: ClassId(number_of(row, 4)?),
        devcount: opt_number_of(row, 5)?.unwrap_or(0),
        devices: devices_of(row.opt_text(6)?.as_deref())?,
    })
}

const CHECKSUM: Sql = sql("select hashtype, checksum from checksum where fid = ?");

/// The digest that `checksum` has of a file.
pub(crate) async fn checksum_of(tx: &mut Tx, fid: Fid) -> Result<Option<Digest>, Error> {
    let rows = tx.rows(&CHECKSUM, vec![fid.into()]).await?;
    let digest = |row: &Row| {
        Ok(Digest {
            hash: hash_of(row.int(0)?)?,
            bytes: row.bytes(1)?,
        })
    };
    rows.first().map(digest).transpose()
}

/// One row of a table: its columns by name, `None` for null.
pub type Columns = Vec<(&'static str, Option<String>)>;

const TEMPFILE: Sql = sql("select classid, dmid, dkey, devids from tempfile where fid = ?");
const REPLICATION: Sql =
    sql("select fid, nexttry, fromdevid, failcount, flags from file_to_replicate where fid = ?");
const DELETION: Sql = sql("select fid, nexttry, failcount from file_to_delete2 where fid = ?");
const QUEUED: Sql = sql(
    "select fid, devid, type, nexttry, failcount, flags, arg from file_to_queue \
     where fid = ? and type = ?",
);

/// `file_to_queue.type` of the files that fsck looks at.
const FSCK: i64 = 1;
/// `file_to_queue.type` of the files that a rebalance moves.
const REBALANCE: i64 = 2;

/// What the queues hold of a fid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queues {
    /// Its row in `tempfile`.
    pub tempfile: Option<Columns>,
    /// Its row in `file_to_replicate`.
    pub replication: Option<Columns>,
    /// Its row in `file_to_delete2`.
    pub deletion: Option<Columns>,
    /// Its row in `file_to_queue` of a rebalance.
    pub rebalance: Option<Columns>,
    /// Its row in `file_to_queue` of fsck.
    pub fsck: Option<Columns>,
}

/// What the queues hold of a fid, as their tables have it.
pub(crate) async fn queues_of(tx: &mut Tx, fid: Fid) -> Result<Queues, Error> {
    let queued = ["fid", "devid", "type", "nexttry", "failcount", "flags", "arg"];
    let one = || vec![Value::from(fid)];
    let of_type = |kind: i64| vec![fid.into(), kind.into()];
    let replication = ["fid", "nexttry", "fromdevid", "failcount", "flags"];
    Ok(Queues {
        tempfile: columns(tx, &TEMPFILE, one(), &["classid", "dmid", "dkey", "devids"]).await?,
        replication: columns(tx, &REPLICATION, one(), &replication).await?,
        deletion: columns(tx, &DELETION, one(), &["fid", "nexttry", "failcount"]).await?,
        rebalance: columns(tx, &QUEUED, of_type(REBALANCE), &queued).await?,
        fsck: columns(tx, &QUEUED, of_type(FSCK), &queued).await?,
    })
}

/// The only row of a statement, its columns under these names.
async fn columns(
    tx: &mut Tx,
    sql: &Sql,
    args: Vec<Value>,
    names: &[&'static str],
) -> Result<Option<Columns>, Error> {
    let rows = tx.rows(sql, args).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut columns = Columns::new();
    for (index, name) in names.iter().enumerate() {
        let value = match *name {
            "dkey" | "devids" | "arg" => row.opt_text(index)?,
            _ => row.opt_int(index)?.map(|number| number.to_string()),
        };
        columns.push((name, value));
    }
    Ok(Some(columns))
}

catalogue! { BY_KEY, BY_KEYS, BY_FID, FROM, CHECKSUM, TEMPFILE, REPLICATION, DELETION, QUEUED }
