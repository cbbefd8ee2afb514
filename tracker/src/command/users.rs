//! Users and their keys.

use super::buckets::Page;
use crate::{
    Error, Tracker,
    model::{AccessKey, Credential, SecretKey, User, UserId},
};

/// Adds a user.
#[derive(Debug, Clone)]
pub struct AddUser {
    /// Its name, unique.
    pub name: String,
    /// The name shown in listings; the name if `None`.
    pub display_name: Option<String>,
    /// Its address.
    pub email: Option<String>,
    /// Its first key; made if `None`.
    pub key: Option<(AccessKey, SecretKey)>,
}

impl Tracker {
    /// Adds a user with one key, and answers the key.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Invalid`], [`Error::Database`].
    pub async fn add_user(&self, request: AddUser) -> Result<Credential, Error> {
        let _ = request;
        todo!()
    }

    /// Users by name, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_users(&self, after: Option<&str>, limit: usize) -> Result<Page<User>, Error> {
        let _ = (after, limit);
        todo!()
    }

    /// Finds a user by id; root is always there.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::Database`].
    pub async fn user(&self, id: &UserId) -> Result<User, Error> {
        let _ = id;
        todo!()
    }

    /// Removes a user that owns no bucket, and its keys.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::UserOwnsBuckets`], [`Error::Database`].
    pub async fn remove_user(&self, name: &str) -> Result<(), Error> {
        let _ = name;
        todo!()
    }

    /// Adds a key to a user; made if `None`.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::Exists`], [`Error::Invalid`], [`Error::Database`].
    pub async fn add_key(
        &self,
        user: &str,
        key: Option<(AccessKey, SecretKey)>,
    ) -> Result<Credential, Error> {
        let _ = (user, key);
        todo!()
    }

    /// The keys of a user (of all if `None`), without their secrets.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::Database`].
    pub async fn list_keys(&self, user: Option<&str>) -> Result<Vec<(AccessKey, User)>, Error> {
        let _ = user;
        todo!()
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`Error::UnknownAccessKey`], [`Error::Database`].
    pub async fn remove_key(&self, key: &AccessKey) -> Result<(), Error> {
        let _ = key;
        todo!()
    }

    /// The credential behind an access key; cached for at most [`CREDENTIAL_FRESH`](Self::credential) where other processes
    /// share the database.
    ///
    /// # Errors
    /// [`Error::UnknownAccessKey`], [`Error::Database`].
    pub async fn credential(&self, key: &AccessKey) -> Result<Credential, Error> {
        let _ = key;
        todo!()
    }
}
