//! `mogul_object`: what S3 adds to a file; and files as objects, with and without such a row.

use std::collections::BTreeMap;

use mogul_storage::{DevId, Fid};

use super::{
    Row, Sql, Tx,
    encoding::{attributes_of, checksum_of, crc64_of, hash_number, kind_number, tags_of},
    ids::{fid_of, number_of, opt_number_of},
    sql::sql,
};
use crate::{
    Error,
    model::{Checksum, ClassId, DomainId, ETag, Key, ObjectVersion, Timestamp, UserId, WriteCondition},
};

/// Keys that one statement asks for; above that there are several.
pub(crate) const KEYS_PER_STATEMENT: usize = 500;

/// The current object of a key, as far as conditions and overwrites want to know it.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    /// Its fid.
    pub(crate) fid: Fid,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Its entity tag.
    pub(crate) etag: ETag,
    /// When it was stored.
    pub(crate) modified: Timestamp,
    /// Its class.
    pub(crate) class: ClassId,
    /// Its copies on record.
    pub(crate) devcount: usize,
}

const CURRENT: Sql = sql(
    "select f.dkey, f.fid, f.length, f.classid, f.devcount, o.etag, o.modified_at \
     from file f left join mogul_object o on o.fid = f.fid \
     where f.dmid = ? and f.dkey in (…) order by f.dkey for update of f",
)
.sqlite(
    "select f.dkey, f.fid, f.length, f.classid, f.devcount, o.etag, o.modified_at \
     from file f left join mogul_object o on o.fid = f.fid \
     where f.dmid = ? and f.dkey in (…) order by f.dkey",
)
.mysql(
    "select f.dkey, f.fid, f.length, f.classid, f.devcount, o.etag, o.modified_at \
     from file f left join mogul_object o on o.fid = f.fid \
     where f.dmid = ? and f.dkey in (…) order by f.dkey for update",
);

/// The current objects of keys of one domain, locked in the order of the keys until the transaction ends.
pub(crate) async fn objects_current(
    tx: &mut Tx,
    domain: DomainId,
    keys: &[&Key],
) -> Result<BTreeMap<Key, Current>, Error> {
    let mut ordered = keys.to_vec();
    ordered.sort_unstable();
    ordered.dedup();
    let mut found = BTreeMap::new();
    for keys in ordered.chunks(KEYS_PER_STATEMENT) {
        let mut args = vec![domain.into()];
        args.extend(keys.iter().map(|key| key.as_str().into()));
        for row in tx.rows_list(&CURRENT, keys.len(), args).await? {
            let fid = fid_of(&row, 1)?;
            let current = Current {
                fid,
                size: number_of(&row, 2)?,
                class: ClassId(number_of(&row, 3)?),
                devcount: number_of(&row, 4)?,
                etag: row.opt_text(5)?.map_or_else(|| ETag::stand_in(fid), ETag),
                modified: Timestamp::from_millis(row.opt_int(6)?.unwrap_or(0)),
            };
            found.insert(Key::stored(row.text(0)?), current);
        }
    }
    Ok(found)
}

/// Like [`objects_current`], for writes with conditions.
///
/// PostgreSQL's locking read, when it has waited for an overwrite, finds neither the old row, which is gone, nor the
/// new one, which is not in its snapshot. Without a condition on what is there, the duplicate key says so later; with
/// one, the key is looked for again: a second statement sees what was committed before it.
pub(crate) async fn objects_for_conditions(
    tx: &mut Tx,
    domain: DomainId,
    wanted: &[(&Key, &WriteCondition)],
) -> Result<BTreeMap<Key, Current>, Error> {
    let keys: Vec<&Key> = wanted.iter().map(|(key, _)| *key).collect();
    let mut found = objects_current(tx, domain, &keys).await?;
    let missed: Vec<&Key> = wanted
        .iter()
        .filter(|(key, condition)| condition.if_match.is_some() && !found.contains_key(*key))
        .map(|(key, _)| *key)
        .collect();
    if !missed.is_empty() {
        found.extend(objects_current(tx, domain, &missed).await?);
    }
    Ok(found)
}

const OBJECTS: Sql = sql(
    "select f.dkey, f.fid, f.length, f.classid, o.etag, o.modified_at, o.owner, o.attributes, o.tags, \
     o.checksum_type, o.checksum_kind, o.checksum, o.crc64, o.parts, \
     (select group_concat(r.devid) from file_on r where r.fid = f.fid) \
     from file f left join mogul_object o on o.fid = f.fid where f.dmid = ? and f.dkey in (…)",
)
.postgres(
    "select f.dkey, f.fid, f.length, f.classid, o.etag, o.modified_at, o.owner, o.attributes, o.tags, \
     o.checksum_type, o.checksum_kind, o.checksum, o.crc64, o.parts, \
     (select string_agg(r.devid::text, ',') from file_on r where r.fid = f.fid) \
     from file f left join mogul_object o on o.fid = f.fid where f.dmid = ? and f.dkey in (…)",
);

/// The current objects of these keys with all that is kept of them and the devices on record, in one statement.
pub(crate) async fn objects_by_key(
    tx: &mut Tx,
    domain: DomainId,
    keys: &[&Key],
) -> Result<BTreeMap<Key, ObjectVersion>, Error> {
    let mut args = vec![domain.into()];
    args.extend(keys.iter().map(|key| key.as_str().into()));
    let rows = tx.rows_list(&OBJECTS, keys.len(), args).await?;
    let objects = rows.iter().map(|row| {
        let object = object_of(row, domain)?;
        Ok((object.key.clone(), object))
    });
    objects.collect()
}

/// Reads a row of [`OBJECTS`].
fn object_of(row: &Row, domain: DomainId) -> Result<ObjectVersion, Error> {
    let fid = fid_of(row, 1)?;
    Ok(ObjectVersion {
        domain,
        key: Key::stored(row.text(0)?),
        fid,
        size: number_of(row, 2)?,
        class: ClassId(number_of(row, 3)?),
        etag: row.opt_text(4)?.map_or_else(|| ETag::stand_in(fid), ETag),
        modified: Timestamp::from_millis(row.opt_int(5)?.unwrap_or(0)),
        owner: row.opt_text(6)?.map(UserId),
        attributes: attributes_of(row.opt_text(7)?.as_deref())?,
        tags: tags_of(row.opt_text(8)?.as_deref())?,
        checksum: checksum_of(row.opt_int(9)?, row.opt_int(10)?, row.opt_bytes(11)?)?,
        crc64: crc64_of(row.opt_bytes(12)?)?,
        parts: opt_number_of(row, 13)?,
        replicas: devices_of(row.opt_text(14)?.as_deref())?,
    })
}

/// A new row of `mogul_object`.
#[derive(Debug, Clone)]
pub(crate) struct ObjectRow {
    /// The file.
    pub(crate) fid: Fid,
    /// Its entity tag.
    pub(crate) etag: ETag,
    /// When it was stored.
    pub(crate) modified: Timestamp,
    /// Who stored it; nobody that is known, if a `MogileFS` client did.
    pub(crate) owner: Option<UserId>,
    /// Its attributes as JSON.
    pub(crate) attributes: Option<String>,
    /// Its tags as JSON.
    pub(crate) tags: Option<String>,
    /// The checksum to show.
    pub(crate) checksum: Option<Checksum>,
    /// CRC64/NVME of all bytes, where it is known.
    pub(crate) crc64: Option<[u8; 8]>,
    /// How many parts it was uploaded in.
    pub(crate) parts: Option<u32>,
}

const INSERT: Sql = sql("insert into mogul_object \
     (fid, etag, modified_at, owner, attributes, tags, checksum_type, checksum_kind, checksum, crc64, parts) values (…)");

/// Adds what is kept of new objects, in one statement.
pub(crate) async fn objects_added(tx: &mut Tx, objects: &[ObjectRow]) -> Result<(), Error> {
    if objects.is_empty() {
        return Ok(());
    }
    let mut args = Vec::with_capacity(objects.len() * 11);
    for object in objects {
        let checksum = object.checksum.as_ref();
        args.push(object.fid.into());
        args.push(object.etag.0.as_str().into());
        args.push(object.modified.millis().into());
        args.push(object.owner.as_ref().map(|owner| owner.0.clone()).into());
        args.push(object.attributes.clone().into());
        args.push(object.tags.clone().into());
        args.push(checksum.map(|sum| hash_number(sum.digest.hash)).into());
        args.push(checksum.map(|sum| kind_number(sum.kind)).into());
        args.push(checksum.map(|sum| sum.digest.bytes.clone()).into());
        args.push(object.crc64.map(|crc64| crc64.to_vec()).into());
        args.push(object.parts.map(i64::from).into());
    }
    tx.run_list(&INSERT, objects.len(), args).await?;
    Ok(())
}

const TOUCH: Sql = sql(
    "insert into mogul_object (fid, etag, modified_at) values (?, ?, ?) \
     on conflict (fid) do update set modified_at = excluded.modified_at",
)
.mysql(
    "insert into mogul_object (fid, etag, modified_at) values (?, ?, ?) \
     on duplicate key update modified_at = values(modified_at)",
);

/// Sets when an object was last stored; a file of a `MogileFS` client gets its row by this.
pub(crate) async fn object_touched(tx: &mut Tx, current: &Current, modified: Timestamp) -> Result<(), Error> {
    let args = vec![
        current.fid.into(),
        current.etag.0.as_str().into(),
        modified.millis().into(),
    ];
    tx.run(&TOUCH, args).await?;
    Ok(())
}

const SET_ATTRIBUTES: Sql = sql("update mogul_object set attributes = ? where fid = ?");

/// Replaces the attributes (JSON) of an object that has a row.
pub(crate) async fn object_attributes_set(tx: &mut Tx, fid: Fid, text: Option<String>) -> Result<(), Error> {
    tx.run(&SET_ATTRIBUTES, vec![text.into(), fid.into()]).await?;
    Ok(())
}

const SET_TAGS: Sql = sql("update mogul_object set tags = ? where fid = ?");

/// Replaces the tags (JSON) of an object that has a row.
pub(crate) async fn object_tags_set(tx: &mut Tx, fid: Fid, text: Option<String>) -> Result<(), Error> {
    tx.run(&SET_TAGS, vec![text.into(), fid.into()]).await?;
    Ok(())
}

/// Device numbers separated by commas, as an aggregate or a column of ours has them.
pub(crate) fn devices_of(text: Option<&str>) -> Result<Vec<DevId>, Error> {
    let numbers = text.unwrap_or("").split(',').filter(|number| !number.is_empty());
    numbers
        .map(|number| number.parse().ok().and_then(DevId::new))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Error::Internal("a stored devid is out of range".to_owned()))
}

catalogue! { CURRENT, OBJECTS, INSERT, TOUCH, SET_ATTRIBUTES, SET_TAGS }
