//! `mogul_user` and `mogul_key`: who may ask. Root has no row.

use super::{Row, Sql, Tx, sql::sql};
use crate::{
    Error,
    model::{AccessKey, Credential, SecretKey, Timestamp, User, UserId},
};

const PAGE: Sql = sql(
    "select user_id, name, display_name, email, created_at from mogul_user \
     where name > ? order by name limit ?",
);

/// Users by name behind `after`.
pub(crate) async fn users_page(tx: &mut Tx, after: &str, limit: usize) -> Result<Vec<User>, Error> {
    let rows = tx.rows(&PAGE, vec![after.into(), limit.into()]).await?;
    rows.iter().map(|row| user_of(row, 0)).collect()
}

const BY_ID: Sql =
    sql("select user_id, name, display_name, email, created_at from mogul_user where user_id = ?");

/// The user of an id.
pub(crate) async fn user_by_id(tx: &mut Tx, id: &UserId) -> Result<Option<User>, Error> {
    let rows = tx.rows(&BY_ID, vec![id.0.as_str().into()]).await?;
    rows.first().map(|row| user_of(row, 0)).transpose()
}

const NAMED: Sql =
    sql("select user_id, name, display_name, email, created_at from mogul_user where name = ?");

/// The user of a name.
pub(crate) async fn user_named(tx: &mut Tx, name: &str) -> Result<Option<User>, Error> {
    let rows = tx.rows(&NAMED, vec![name.into()]).await?;
    rows.first().map(|row| user_of(row, 0)).transpose()
}

const BY_NAME: Sql = sql(
    "select user_id, name, display_name, email, created_at from mogul_user \
     where name = ? for update",
)
.sqlite("select user_id, name, display_name, email, created_at from mogul_user where name = ?");

/// The user of a name, whom nobody else can change until the transaction ends.
pub(crate) async fn user_named_locked(tx: &mut Tx, name: &str) -> Result<Option<User>, Error> {
    let rows = tx.rows(&BY_NAME, vec![name.into()]).await?;
    rows.first().map(|row| user_of(row, 0)).transpose()
}

const LOCK: Sql = sql("select user_id from mogul_user where user_id = ? for update")
    .sqlite("select user_id from mogul_user where user_id = ?");

/// Whether there is a user of that id; it stays until the transaction ends.
pub(crate) async fn user_locked(tx: &mut Tx, id: &UserId) -> Result<bool, Error> {
    Ok(!tx.rows(&LOCK, vec![id.0.as_str().into()]).await?.is_empty())
}

const INSERT: Sql = sql(
    "insert into mogul_user (user_id, name, display_name, email, created_at) \
     values (?, ?, ?, ?, ?)",
);

/// Adds a user.
pub(crate) async fn user_added(tx: &mut Tx, user: &User) -> Result<(), Error> {
    let args = vec![
        user.id.0.as_str().into(),
        user.name.as_str().into(),
        user.display_name.as_str().into(),
        user.email.as_deref().into(),
        user.created.millis().into(),
    ];
    tx.run(&INSERT, args).await?;
    Ok(())
}

const REMOVE: Sql = sql("delete from mogul_user where user_id = ?");
const REMOVE_KEYS: Sql = sql("delete from mogul_key where user_id = ?");

/// Removes a user and the keys of it.
pub(crate) async fn user_removed(tx: &mut Tx, id: &UserId) -> Result<(), Error> {
    for statement in [&REMOVE_KEYS, &REMOVE] {
        tx.run(statement, vec![id.0.as_str().into()]).await?;
    }
    Ok(())
}

const KEY: Sql = sql(
    "select k.access_key, k.secret_key, k.created_at, k.user_id, u.name, u.display_name, u.email, \
     u.created_at from mogul_key k left join mogul_user u on u.user_id = k.user_id where k.access_key = ?",
);

/// The credential of an access key. Root's has no row of `mogul_user` behind it.
pub(crate) async fn credential(tx: &mut Tx, key: &AccessKey) -> Result<Option<Credential>, Error> {
    let rows = tx.rows(&KEY, vec![key.0.as_str().into()]).await?;
    rows.first().map(credential_of).transpose()
}

const KEYS: Sql = sql(
    "select k.access_key, k.secret_key, k.created_at, k.user_id, u.name, u.display_name, u.email, \
     u.created_at from mogul_key k left join mogul_user u on u.user_id = k.user_id \
     where k.access_key > ? order by k.access_key limit ?",
);
const KEYS_OF: Sql = sql(
    "select k.access_key, k.secret_key, k.created_at, k.user_id, u.name, u.display_name, u.email, \
     u.created_at from mogul_key k left join mogul_user u on u.user_id = k.user_id \
     where k.user_id = ? and k.access_key > ? order by k.access_key limit ?",
);

/// Keys of one user, or of all, by their ids behind `after`.
pub(crate) async fn credentials_page(
    tx: &mut Tx,
    user: Option<&UserId>,
    after: &str,
    limit: usize,
) -> Result<Vec<Credential>, Error> {
    let mut args = vec![after.into(), limit.into()];
    let rows = match user {
        Some(user) => {
            args.insert(0, user.0.as_str().into());
            tx.rows(&KEYS_OF, args).await?
        }
        None => tx.rows(&KEYS, args).await?,
    };
    rows.iter().map(credential_of).collect()
}

const INSERT_KEY: Sql =
    sql("insert into mogul_key (access_key, user_id, secret_key, created_at) values (?, ?, ?, ?)");

/// Adds a key.
pub(crate) async fn key_added(tx: &mut Tx, credential: &Credential) -> Result<(), Error> {
    let args = vec![
        credential.access_key.0.as_str().into(),
        credential.user.id.0.as_str().into(),
        credential.secret_key.0.as_str().into(),
        credential.created.millis().into(),
    ];
    tx.run(&INSERT_KEY, args).await?;
    Ok(())
}

const REMOVE_KEY: Sql = sql("delete from mogul_key where access_key = ?");

/// Removes a key. Answers whether there was one.
pub(crate) async fn key_removed(tx: &mut Tx, key: &AccessKey) -> Result<bool, Error> {
    Ok(tx.run(&REMOVE_KEY, vec![key.0.as_str().into()]).await? > 0)
}

fn user_of(row: &Row, first: usize) -> Result<User, Error> {
    Ok(User {
        id: UserId(row.text(first)?),
        name: row.text(first + 1)?,
        display_name: row.text(first + 2)?,
        email: row.opt_text(first + 3)?,
        created: Timestamp::from_millis(row.int(first + 4)?),
    })
}

fn credential_of(row: &Row) -> Result<Credential, Error> {
    let id = UserId(row.text(3)?);
    let user = if id == UserId::root() {
        User::root()
    } else {
        user_of(row, 3)?
    };
    Ok(Credential {
        access_key: AccessKey(row.text(0)?),
        secret_key: SecretKey(row.text(1)?),
        created: Timestamp::from_millis(row.int(2)?),
        user,
    })
}

catalogue! {
    PAGE, BY_ID, NAMED, BY_NAME, LOCK, INSERT, REMOVE, REMOVE_KEYS, KEY, KEYS, KEYS_OF, INSERT_KEY,
    REMOVE_KEY,
}
