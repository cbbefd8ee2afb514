//! Bearer tokens: how an operator's tool that cannot sign speaks as root.
//!
//! A token is `mgt_<id>_<secret>`. The id finds the row; of the secret, 256 random bits, only the SHA-256 is on record,
//! and it is compared in a time that does not depend on where two hashes differ. Guessing needs no slower hash: there is
//! nothing to guess but the 256 bits.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{buckets::Page, users::check_name};
use crate::{
    Error, Tracker,
    meta::tokens::{self, TokenRow},
    model::{BearerToken, Token},
    rng,
};

/// What a token begins with, so that scanners for leaked secrets can know it.
const PREFIX: &str = "mgt_";

/// Random bytes that find the row.
const ID_BYTES: usize = 8;

/// Random bytes that nobody guesses.
const SECRET_BYTES: usize = 32;

impl Tracker {
    /// Adds a token and answers its text, which is told this once.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Invalid`], [`Error::Database`].
    pub async fn add_token(&self, name: &str) -> Result<(Token, BearerToken), Error> {
        check_name("token name", name)?;
        let id = hex::encode(rng::fill::<ID_BYTES>(self.entropy()));
        let secret = hex::encode(rng::fill::<SECRET_BYTES>(self.entropy()));
        let token = Token {
            name: name.to_owned(),
            created: self.now(),
        };
        let text = BearerToken([PREFIX, &id, "_", &secret].concat());
        let row = Arc::new(TokenRow {
            id,
            hash: hash(&secret),
            token: token.clone(),
        });
        let added = self.db().write(move |tx| {
            let row = Arc::clone(&row);
            Box::pin(async move {
                if tokens::token_named_locked(tx, &row.token.name).await?.is_some() {
                    return Err(Error::Exists("token"));
                }
                tokens::token_added(tx, &row).await
            })
        });
        added.await?;
        Ok((token, text))
    }

    /// Tokens by name, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_tokens(&self, after: Option<&str>, limit: usize) -> Result<Page<Token>, Error> {
        let mut tx = self.db().reader().await?;
        let rows = tokens::tokens_page(&mut tx, after.unwrap_or(""), limit.saturating_add(1)).await?;
        let entries = rows.into_iter().map(|row| row.token).collect();
        Ok(Page::cut(entries, limit))
    }

    /// Removes a token: whoever bears it is refused from the next request on.
    ///
    /// # Errors
    /// [`Error::UnknownToken`], [`Error::Database`].
    pub async fn remove_token(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        let removed = self.db().write(move |tx| {
            let name = name.clone();
            Box::pin(async move { tokens::token_removed(tx, &name).await })
        });
        if removed.await? {
            Ok(())
        } else {
            Err(Error::UnknownToken)
        }
    }

    /// The token whose text this is.
    ///
    /// # Errors
    /// [`Error::UnknownToken`], [`Error::Database`].
    pub async fn token(&self, text: &BearerToken) -> Result<Token, Error> {
        let parts = text.0.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        let (id, secret) = parts
            .filter(|(id, secret)| is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES))
            .ok_or(Error::UnknownToken)?;
        let mut tx = self.db().reader().await?;
        let row = tokens::token_by_id(&mut tx, id).await?;
        let row = row.filter(|row| same(&row.hash, &hash(secret)));
        row.map(|row| row.token).ok_or(Error::UnknownToken)
    }
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Whether a text has so many bytes in lower-case hex.
fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == 2 * bytes && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Compares two hashes and looks at all of both, however early they differ.
fn same(one: &str, other: &str) -> bool {
    let differences = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}
