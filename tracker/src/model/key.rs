//! Keys: the names of files in a domain.

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The empty text names nothing.
    #[error("the key is empty")]
    Empty,
    /// Longer than [`Key::BYTES_MAX`].
    #[error("the key has {0} bytes; {max} are allowed", max = Key::BYTES_MAX)]
    TooLong(usize),
    /// NUL cannot be stored by every engine (PostgreSQL's text has none).
    #[error("the key has a NUL byte")]
    Nul,
    /// The range in which we keep what is not a current object.
    #[error("the key begins with the reserved prefix")]
    Reserved,
}

/// `dkey`: the name of a file in its domain; 1 to 1,024 bytes of UTF-8, compared and sorted by bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Longest key in bytes (S3's limit).
    pub const BYTES_MAX: usize = 1024;

    /// Every key that is not a current object begins with this: noncurrent versions, parts of uploads.
    ///
    /// It is the largest character of Unicode, so that in byte order the range lies behind all clients' keys: a
    /// listing ends before it, and costs nothing to leave it out.
    pub const RESERVED_PREFIX: &'static str = "\u{10FFFF}";

    /// Checks a client's key.
    ///
    /// # Errors
    /// Any [`KeyError`].
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        match text {
            "" => Err(KeyError::Empty),
            _ if text.len() > Self::BYTES_MAX => Err(KeyError::TooLong(text.len())),
            _ if text.contains('\0') => Err(KeyError::Nul),
            _ if text.starts_with(Self::RESERVED_PREFIX) => Err(KeyError::Reserved),
            _ => Ok(Key(text.to_owned())),
        }
    }

    /// The reserved key of a fid that is not a current object. One fid, one key: nothing can collide.
    #[must_use]
    pub fn reserved(fid: mogul_storage::Fid) -> Key {
        Key(format!("{}mogul/{:020}", Self::RESERVED_PREFIX, fid.get()))
    }

    /// A key that was read back from the database, which may hold what we would not take today.
    pub(crate) fn stored(text: String) -> Key {
        Key(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
