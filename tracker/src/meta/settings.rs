//! `server_settings`: what trackers share.

use std::collections::BTreeMap;

use super::{
    error::DbError,
    sql::{Sql, sql},
    tx::Tx,
};

const VALUE_OF: Sql = sql("select value from server_settings where field = ?");

/// The value of a setting, if it has one.
///
/// # Errors
/// [`DbError::Statement`].
pub async fn value_of(tx: &mut Tx, field: &str) -> Result<Option<String>, DbError> {
    let rows = tx.rows(&VALUE_OF, vec![field.into()]).await?;
    rows.first().map_or(Ok(None), |row| row.opt_text(0))
}

const SET: Sql = sql("insert into server_settings (field, value) values (?, ?) \
     on conflict (field) do update set value = excluded.value")
.mysql("replace into server_settings (field, value) values (?, ?)");

/// Sets a setting.
///
/// # Errors
/// [`DbError::Statement`].
pub async fn set(tx: &mut Tx, field: &str, value: &str) -> Result<(), DbError> {
    tx.run(&SET, vec![field.into(), value.into()]).await.map(drop)
}

const UNSET: Sql = sql("delete from server_settings where field = ?");

/// Removes a setting; it need not be there.
///
/// # Errors
/// [`DbError::Statement`].
pub async fn unset(tx: &mut Tx, field: &str) -> Result<(), DbError> {
    tx.run(&UNSET, vec![field.into()]).await.map(drop)
}

const ALL: Sql = sql("select field, value from server_settings order by field limit 65536");

/// All settings that have a value.
///
/// # Errors
/// [`DbError::Statement`].
pub async fn settings(tx: &mut Tx) -> Result<BTreeMap<String, String>, DbError> {
    let rows = tx.rows(&ALL, vec![]).await?;
    rows.iter()
        .map(|row| Ok((row.text(0)?, row.opt_text(1)?.unwrap_or_default())))
        .collect()
}

/// The number that a setting holds, 0 if it has none.
///
/// # Errors
/// [`DbError::Statement`].
pub async fn number_of(tx: &mut Tx, field: &str) -> Result<u64, DbError> {
    let value = value_of(tx, field).await?;
    Ok(value.and_then(|value| value.trim().parse().ok()).unwrap_or(0))
}

// A row that every database has, and that nobody else holds.
const HELD: Sql = sql("select field from server_settings where field = 'schema_version' for update")
    .sqlite("select field from server_settings where field = 'schema_version'");

/// Holds the state of background runs (fsck, rebalance), and the right to make root's first key, until the transaction
/// ends: several trackers take turns.
///
/// # Errors
/// [`DbError::Statement`].
pub async fn run_held(tx: &mut Tx) -> Result<(), DbError> {
    tx.rows(&HELD, vec![]).await.map(drop)
}

catalogue! { VALUE_OF, SET, UNSET, ALL, HELD }
