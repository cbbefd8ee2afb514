//! `mogul_bucket`, `mogul_bucket_config`: what S3 adds to a domain; and what keeps a bucket from being removed.

use super::{
    Sql, Tx,
    domains::bucket_of,
    encoding::{tags_of, tags_text},
    sql::sql,
};
use crate::{
    Error,
    model::{Bucket, DomainId, Key, Tags, Timestamp, UserId},
};

const INSERT: Sql = sql(
    "insert into mogul_bucket (dmid, owner, created_at, versioning, object_lock) \
     values (?, ?, ?, 0, 0)",
);

/// Gives a new domain its owner.
pub(crate) async fn bucket_added(
    tx: &mut Tx,
    domain: DomainId,
    owner: &UserId,
    now: Timestamp,
) -> Result<(), Error> {
    let args = vec![domain.into(), owner.0.as_str().into(), now.millis().into()];
    tx.run(&INSERT, args).await?;
    Ok(())
}

/// The kind of the row in `mogul_bucket_config` that has a bucket's tags, written as an object's are.
const TAGGING: &str = "tagging";

const CONFIGURATION: Sql = sql("select body from mogul_bucket_config where dmid = ? and kind = ?");

/// The tags of a bucket; none if none were put.
pub(crate) async fn bucket_tags(tx: &mut Tx, domain: DomainId) -> Result<Tags, Error> {
    let rows = tx
        .rows(&CONFIGURATION, vec![domain.into(), TAGGING.into()])
        .await?;
    let body = rows.first().map(|row| row.text(0)).transpose()?;
    tags_of(body.as_deref())
}

const UNCONFIGURE: Sql = sql("delete from mogul_bucket_config where dmid = ? and kind = ?");
const CONFIGURE: Sql = sql("insert into mogul_bucket_config (dmid, kind, body) values (?, ?, ?)");

/// Replaces the tags of a bucket, which the transaction has locked or made.
pub(crate) async fn bucket_tagged(tx: &mut Tx, domain: DomainId, tags: &Tags) -> Result<(), Error> {
    tx.run(&UNCONFIGURE, vec![domain.into(), TAGGING.into()]).await?;
    if let Some(body) = tags_text(tags) {
        let args = vec![domain.into(), TAGGING.into(), body.into()];
        tx.run(&CONFIGURE, args).await?;
    }
    Ok(())
}

const OWNED: Sql = sql("select dmid from mogul_bucket where owner = ? order by dmid limit 1");

/// Whether a user owns a bucket.
pub(crate) async fn bucket_owned(tx: &mut Tx, owner: &UserId) -> Result<bool, Error> {
    Ok(!tx.rows(&OWNED, vec![owner.0.as_str().into()]).await?.is_empty())
}

const PAGE: Sql = sql("select d.dmid, d.namespace, b.owner, b.created_at \
     from domain d left join mogul_bucket b on b.dmid = d.dmid \
     where d.namespace > ? and d.namespace >= ? and d.namespace < ? order by d.namespace limit ?");
const PAGE_OWNED: Sql = sql("select d.dmid, d.namespace, b.owner, b.created_at \
     from domain d join mogul_bucket b on b.dmid = d.dmid \
     where b.owner = ? and d.namespace > ? and d.namespace >= ? and d.namespace < ? order by d.namespace limit ?");

/// Buckets by name behind `after`, of one owner or of all, whose names begin with `prefix`.
pub(crate) async fn buckets_page(
    tx: &mut Tx,
    owner: Option<&UserId>,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Bucket>, Error> {
    let end = [prefix, LARGEST_CHARACTER].concat();
    let mut args = vec![after.into(), prefix.into(), end.into(), limit.into()];
    let rows = match owner {
        Some(owner) => {
            args.insert(0, owner.0.as_str().into());
            tx.rows(&PAGE_OWNED, args).await?
        }
        None => tx.rows(&PAGE, args).await?,
    };
    rows.iter().map(bucket_of).collect()
}

/// Sorts behind whatever a bucket name can go on with.
const LARGEST_CHARACTER: &str = "\u{10FFFF}";

const HAS_FILE: Sql = sql("select fid from file where dmid = ? and dkey < ? order by dkey limit 1");
const HAS_VERSION: Sql = sql("select version_id from mogul_version where dmid = ? \
     order by dkey, version_order limit 1");

/// Whether a domain has an object, a version of one, or a delete marker.
pub(crate) async fn bucket_filled(tx: &mut Tx, domain: DomainId) -> Result<bool, Error> {
    let files = vec![domain.into(), Key::RESERVED_PREFIX.into()];
    let filled = !tx.rows(&HAS_FILE, files).await?.is_empty();
    Ok(filled || !tx.rows(&HAS_VERSION, vec![domain.into()]).await?.is_empty())
}

const QUEUE_FILES: Sql = sql("insert into file_to_delete2 (fid, nexttry, failcount) \
     select fid, ?, 0 from file where dmid = ? on conflict do nothing")
// SQLite would read `on conflict` as the condition of a join.
.sqlite(
    "insert into file_to_delete2 (fid, nexttry, failcount) \
     select fid, ?, 0 from file where dmid = ? and true on conflict do nothing",
)
.postgres(
    "insert into file_to_delete2 (fid, nexttry, failcount) \
     select fid, cast(? as integer), 0 from file where dmid = ? on conflict do nothing",
)
.mysql(
    "insert ignore into file_to_delete2 (fid, nexttry, failcount) \
     select fid, ?, 0 from file where dmid = ?",
);
const FORGET_PARTS: Sql = sql("delete from mogul_part where upload_id in \
     (select upload_id from mogul_upload where dmid = ?)");
const FORGET_UPLOADS: Sql = sql("delete from mogul_upload where dmid = ?");
const FORGET_OBJECTS: Sql =
    sql("delete from mogul_object where fid in (select fid from file where dmid = ?)");
const FORGET_CHECKSUMS: Sql = sql("delete from checksum where fid in (select fid from file where dmid = ?)");
const FORGET_FILES: Sql = sql("delete from file where dmid = ?");

/// Ends all uploads of a domain that has no objects, and queues what they stored for deletion.
pub(crate) async fn uploads_ended(tx: &mut Tx, domain: DomainId, now: Timestamp) -> Result<(), Error> {
    tx.run(&QUEUE_FILES, vec![now.secs().into(), domain.into()])
        .await?;
    for statement in [
        &FORGET_PARTS,
        &FORGET_UPLOADS,
        &FORGET_OBJECTS,
        &FORGET_CHECKSUMS,
        &FORGET_FILES,
    ] {
        tx.run(statement, vec![domain.into()]).await?;
    }
    Ok(())
}

catalogue! {
    INSERT, CONFIGURATION, UNCONFIGURE, CONFIGURE, OWNED, PAGE, PAGE_OWNED, HAS_FILE, HAS_VERSION, QUEUE_FILES, FORGET_PARTS,
    FORGET_UPLOADS, FORGET_OBJECTS, FORGET_CHECKSUMS, FORGET_FILES,
}
