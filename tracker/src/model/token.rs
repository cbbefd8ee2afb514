//! Bearer tokens of operators' tools.

use std::fmt;

use super::Timestamp;

/// A token as it is listed: without its secret, which is nowhere on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its unique name: 1 to 64 of `A-Z a-z 0-9 + = , . @ _ -`.
    pub name: String,
    /// When it was added.
    pub created: Timestamp,
}

/// The whole text of a token, as `Authorization: Bearer` carries it. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(pub String);

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}
