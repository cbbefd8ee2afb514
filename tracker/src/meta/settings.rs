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

catalogue! { VALUE_OF, SET, UNSET, ALL }
