//! `mogul_token`: bearer tokens of the admin face, with the hashes of their secrets.

use super::{Row, Sql, Tx, sql::sql};
use crate::{
    Error,
    model::{Timestamp, Token},
};

/// A row: what a token's text is checked against.
pub(crate) struct TokenRow {
    /// Its public half, hex.
    pub(crate) id: String,
    /// SHA-256 of its secret half, hex.
    pub(crate) hash: String,
    /// What is told of it.
    pub(crate) token: Token,
}

const PAGE: Sql =
    sql("select token_id, name, hash, created_at from mogul_token where name > ? order by name limit ?");

/// Tokens by name behind `after`.
pub(crate) async fn tokens_page(tx: &mut Tx, after: &str, limit: usize) -> Result<Vec<TokenRow>, Error> {
    let rows = tx.rows(&PAGE, vec![after.into(), limit.into()]).await?;
    rows.iter().map(token_of).collect()
}

const BY_ID: Sql = sql("select token_id, name, hash, created_at from mogul_token where token_id = ?");

/// The token of a public half.
pub(crate) async fn token_by_id(tx: &mut Tx, id: &str) -> Result<Option<TokenRow>, Error> {
    let rows = tx.rows(&BY_ID, vec![id.into()]).await?;
    rows.first().map(token_of).transpose()
}

const NAMED: Sql = sql("select token_id, name, hash, created_at from mogul_token where name = ? for update")
    .sqlite("select token_id, name, hash, created_at from mogul_token where name = ?");

/// The token of a name, which nobody else can change until the transaction ends.
pub(crate) async fn token_named_locked(tx: &mut Tx, name: &str) -> Result<Option<TokenRow>, Error> {
    let rows = tx.rows(&NAMED, vec![name.into()]).await?;
    rows.first().map(token_of).transpose()
}

const INSERT: Sql = sql("insert into mogul_token (token_id, name, hash, created_at) values (?, ?, ?, ?)");

/// Adds a token.
pub(crate) async fn token_added(tx: &mut Tx, row: &TokenRow) -> Result<(), Error> {
    let args = vec![
        row.id.as_str().into(),
        row.token.name.as_str().into(),
        row.hash.as_str().into(),
        row.token.created.millis().into(),
    ];
    tx.run(&INSERT, args).await?;
    Ok(())
}

const REMOVE: Sql = sql("delete from mogul_token where name = ?");

/// Removes a token. Answers whether there was one.
pub(crate) async fn token_removed(tx: &mut Tx, name: &str) -> Result<bool, Error> {
    Ok(tx.run(&REMOVE, vec![name.into()]).await? > 0)
}

fn token_of(row: &Row) -> Result<TokenRow, Error> {
    Ok(TokenRow {
        id: row.text(0)?,
        token: Token {
            name: row.text(1)?,
            created: Timestamp::from_millis(row.int(3)?),
        },
        hash: row.text(2)?,
    })
}

catalogue! { PAGE, BY_ID, NAMED, INSERT, REMOVE }
