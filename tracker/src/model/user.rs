//! Users and their keys.

use std::fmt;

use super::Timestamp;

/// The canonical id of a user: 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub String);

impl UserId {
    /// Root of every installation; its keys are not in the database.
    #[must_use]
    pub fn root() -> UserId {
        UserId("0".repeat(63) + "1")
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its unique name: 1 to 64 of `A-Z a-z 0-9 + = , . @ _ -`.
    pub name: String,
    /// The name shown in listings.
    pub display_name: String,
    /// Its address, if given.
    pub email: Option<String>,
    /// When it was added.
    pub created: Timestamp,
}

impl User {
    /// Root, who is always there.
    #[must_use]
    pub fn root() -> User {
        User {
            id: UserId::root(),
            name: "root".to_owned(),
            display_name: "root".to_owned(),
            email: None,
            created: Timestamp::default(),
        }
    }
}

/// An access key id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKey(pub String);

/// A secret key. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub String);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// A key and whom it speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The id that requests name.
    pub access_key: AccessKey,
    /// The secret that signs them.
    pub secret_key: SecretKey,
    /// The user.
    pub user: User,
    /// When the key was made.
    pub created: Timestamp,
}
