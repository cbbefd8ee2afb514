//! `domain` and `mogul_bucket`: names of files' spaces, and what S3 knows of them.

use std::collections::BTreeSet;

use super::{
    Engine, Row, Sql, Tx,
    ids::{number_of, understood},
    settings,
    sql::sql,
};
use crate::{
    Error,
    model::{Bucket, Domain, DomainId, DomainName, Timestamp, UserId},
};

/// The setting that holds the largest `dmid` ever given out by mogul: a request that still runs for a removed bucket
/// must not reach the next one under the same number.
const LAST_DOMAIN: &str = "mogul_last_dmid";

const ALL: Sql = sql("select d.dmid, d.namespace, b.owner, b.created_at \
     from domain d left join mogul_bucket b on b.dmid = d.dmid order by d.dmid limit 65536");

/// All domains: there are at most as many as `dmid` has numbers.
pub(crate) async fn domains(tx: &mut Tx) -> Result<Vec<Bucket>, Error> {
    Ok(understood(&tx.rows(&ALL, vec![]).await?, bucket_of))
}

const NAMED: Sql = sql("select d.dmid, d.namespace, b.owner, b.created_at \
     from domain d left join mogul_bucket b on b.dmid = d.dmid where d.namespace = ?");

/// The domain of a name.
pub(crate) async fn domain_named(tx: &mut Tx, name: &str) -> Result<Option<Bucket>, Error> {
    named(tx, &NAMED, name).await
}

const NAMED_LOCKED: Sql = sql("select d.dmid, d.namespace, b.owner, b.created_at \
     from domain d left join mogul_bucket b on b.dmid = d.dmid where d.namespace = ? for update of d")
.sqlite(
    "select d.dmid, d.namespace, b.owner, b.created_at \
     from domain d left join mogul_bucket b on b.dmid = d.dmid where d.namespace = ?",
)
.mysql(
    "select d.dmid, d.namespace, b.owner, b.created_at \
     from domain d left join mogul_bucket b on b.dmid = d.dmid where d.namespace = ? for update",
);

/// The domain of a name, which nobody else can change or write to until the transaction ends.
pub(crate) async fn domain_named_locked(tx: &mut Tx, name: &str) -> Result<Option<Bucket>, Error> {
    named(tx, &NAMED_LOCKED, name).await
}

async fn named(tx: &mut Tx, sql: &Sql, name: &str) -> Result<Option<Bucket>, Error> {
    // PostgreSQL refuses a text with NUL, even to look for it.
    if name.contains('\0') {
        return Ok(None);
    }
    let rows = tx.rows(sql, vec![name.into()]).await?;
    let buckets = rows.iter().map(bucket_of).collect::<Result<Vec<_>, _>>()?;
    // An adopted MySQL database compares names without case; ours are bytes.
    Ok(buckets
        .into_iter()
        .find(|bucket| bucket.domain.name.as_str() == name))
}

/// Whether a name cannot be given to a new domain: on an adopted MySQL database, names that differ in case only are one.
pub(crate) async fn domain_name_taken(tx: &mut Tx, name: &str) -> Result<bool, Error> {
    Ok(!tx.rows(&NAMED, vec![name.into()]).await?.is_empty())
}

const LARGEST: Sql = sql("select max(dmid) from domain");
const TAKEN: Sql = sql("select dmid from domain where dmid = ?");
const INSERT: Sql = sql("insert into domain (dmid, namespace) values (?, ?)");

/// Adds a domain under a number that none had before, as long as there are such.
///
/// # Errors
/// [`Error::Exhausted`] when all numbers are in use.
pub(crate) async fn domain_added(tx: &mut Tx, name: &DomainName) -> Result<DomainId, Error> {
    let rows = tx.rows(&LARGEST, vec![]).await?;
    let largest = rows.first().map(|row| row.opt_int(0)).transpose()?.flatten();
    let last = settings::value_of(tx, LAST_DOMAIN)
        .await?
        .and_then(|text| text.parse().ok());
    let fresh = largest.max(last).unwrap_or(0) + 1;
    let number = if fresh <= number_max(tx.engine()) {
        fresh
    } else {
        gap(tx).await?
    };
    let id = u16::try_from(number).map_err(|_| Error::Exhausted("domain"))?;
    let last = fresh.min(number_max(tx.engine()));
    settings::set(tx, LAST_DOMAIN, &last.to_string()).await?;
    tx.run(&INSERT, vec![number.into(), name.as_str().into()]).await?;
    Ok(DomainId(id))
}

/// Largest number that `domain.dmid` holds: a SMALLINT, unsigned but on PostgreSQL.
fn number_max(engine: Engine) -> i64 {
    match engine {
        Engine::Postgres => i64::from(i16::MAX),
        Engine::Sqlite | Engine::MySql => i64::from(u16::MAX),
    }
}

/// The smallest number that no domain has.
async fn gap(tx: &mut Tx) -> Result<i64, Error> {
    for number in 1..=number_max(tx.engine()) {
        if tx.rows(&TAKEN, vec![number.into()]).await?.is_empty() {
            return Ok(number);
        }
    }
    Err(Error::Exhausted("domain"))
}

const REMOVE: Sql = sql("delete from domain where dmid = ?");
const REMOVE_CLASSES: Sql = sql("delete from class where dmid = ?");
const REMOVE_CLASS_SETTINGS: Sql = sql("delete from mogul_class where dmid = ?");
const REMOVE_BUCKET: Sql = sql("delete from mogul_bucket where dmid = ?");
const REMOVE_CONFIG: Sql = sql("delete from mogul_bucket_config where dmid = ?");

/// Removes a domain with its classes and S3 properties. That it has no files is the caller's business.
pub(crate) async fn domain_removed(tx: &mut Tx, domain: DomainId) -> Result<(), Error> {
    for statement in [
        &REMOVE_CLASSES,
        &REMOVE_CLASS_SETTINGS,
        &REMOVE_CONFIG,
        &REMOVE_BUCKET,
        &REMOVE,
    ] {
        tx.run(statement, vec![domain.into()]).await?;
    }
    Ok(())
}

/// A domain with its S3 properties; one that a MogileFS tool made belongs to root.
pub(super) fn bucket_of(row: &Row) -> Result<Bucket, Error> {
    let name = row.opt_text(1)?.as_deref().and_then(DomainName::stored);
    Ok(Bucket {
        domain: Domain {
            id: DomainId(number_of(row, 0)?),
            name: name.ok_or_else(|| Error::Internal("a domain without a name".to_owned()))?,
        },
        owner: row.opt_text(2)?.map_or_else(UserId::root, UserId),
        created: Timestamp::from_millis(row.opt_int(3)?.unwrap_or(0)),
    })
}

const HELD: Sql = sql("select dmid from domain where dmid in (…) order by dmid for share")
    .sqlite("select dmid from domain where dmid in (…) order by dmid")
    .mysql("select dmid from domain where dmid in (…) order by dmid lock in share mode");

/// Which of these domains exist; they cannot be removed until the transaction ends.
pub(crate) async fn domains_held(
    tx: &mut Tx,
    domains: &BTreeSet<DomainId>,
) -> Result<BTreeSet<DomainId>, Error> {
    let args = domains.iter().map(|domain| (*domain).into()).collect();
    let rows = tx.rows_list(&HELD, domains.len(), args).await?;
    rows.iter().map(|row| Ok(DomainId(number_of(row, 0)?))).collect()
}

/// Keeps a domain from being removed until the transaction ends.
///
/// # Errors
/// [`Error::UnknownDomain`].
pub(crate) async fn domain_held(tx: &mut Tx, domain: DomainId) -> Result<(), Error> {
    let held = domains_held(tx, &BTreeSet::from([domain])).await?;
    held.contains(&domain).then_some(()).ok_or(Error::UnknownDomain)
}

catalogue! {
    ALL, NAMED, NAMED_LOCKED, LARGEST, TAKEN, INSERT, REMOVE, REMOVE_CLASSES, REMOVE_CLASS_SETTINGS,
    REMOVE_BUCKET, REMOVE_CONFIG, HELD,
}
