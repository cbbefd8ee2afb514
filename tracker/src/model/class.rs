//! Classes: how many copies a file has, where, and what an answer waits for.

use mogul_storage::HashType;

use super::DomainId;

/// `classid`: the number of a class in its domain; 0 is the class `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u8);

impl ClassId {
    /// The class every domain has, with or without a row.
    pub const DEFAULT: ClassId = ClassId(0);
}

/// The name of a class: 1 to 50 characters (`class.classname` is a VARCHAR(50)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassName(String);

impl ClassName {
    /// Longest name in characters.
    pub const CHARS_MAX: usize = 50;

    /// Checks a name. `None` if it is empty, too long, or has a control character.
    #[must_use]
    pub fn parse(name: &str) -> Option<ClassName> {
        let fits = !name.is_empty() && name.chars().count() <= Self::CHARS_MAX;
        (fits && !name.chars().any(char::is_control)).then(|| ClassName(name.to_owned()))
    }

    /// The name that a row has, whatever it is: one that we would not give is kept as it is, but for control characters, and a
    /// class without any is named by its number.
    #[must_use]
    pub fn stored(name: &str, class: ClassId) -> ClassName {
        if name.is_empty() {
            return ClassName(format!("class {}", class.0));
        }
        ClassName(name.replace(char::is_control, "?"))
    }

    /// The name `default`.
    #[must_use]
    pub fn default_class() -> ClassName {
        ClassName("default".to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ClassName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many durable copies an answer waits for (design: "What an answer promises").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ack {
    /// As many as the class's `mindevcount`.
    #[default]
    All,
    /// At most this many, and never more than `mindevcount`; 1 is MogileFS's way.
    Copies(u8),
}

/// What happens when fewer copies could be written than [`Ack`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Degraded {
    /// One durable copy is enough; the rest is queued and the answer says so.
    #[default]
    Accept,
    /// The write fails and leaves nothing.
    Refuse,
}

/// A class of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The domain it belongs to.
    pub domain: DomainId,
    /// Its number.
    pub id: ClassId,
    /// Its name.
    pub name: ClassName,
    /// Copies wanted, at least 1.
    pub mindevcount: u8,
    /// The replication policy as stored, `MultipleHosts()` if none is; see [`crate::policy`].
    pub policy: String,
    /// The digest kept in `checksum`, if any (MogileFS: MD5 or SHA-1).
    pub hash: Option<HashType>,
    /// What an answer waits for.
    pub ack: Ack,
    /// What happens when that cannot be had.
    pub degraded: Degraded,
}

impl Class {
    /// Durable copies that an answer waits for, if the class's policy wants so many: never more, never none.
    #[must_use]
    pub fn copies_acknowledged(&self, wanted: u8) -> usize {
        let copies = match self.ack {
            Ack::All => wanted,
            Ack::Copies(copies) => copies.min(wanted),
        };
        usize::from(copies.max(1))
    }
}
