//! Domains: `MogileFS`'s namespaces, S3's buckets.

/// `dmid`: the number of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(pub u16);

/// The name of a domain: 1 to 255 characters; what `mogadm domain add` takes, a superset of S3's bucket names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// Longest name in characters (`domain.namespace` is a VARCHAR(255)).
    pub const CHARS_MAX: usize = 255;

    /// Checks a name. `None` if it is empty, too long, or has a control character.
    #[must_use]
    pub fn parse(name: &str) -> Option<DomainName> {
        let fits = !name.is_empty() && name.chars().count() <= Self::CHARS_MAX;
        (fits && !name.chars().any(char::is_control)).then(|| DomainName(name.to_owned()))
    }

    /// The name that a row has, whatever it is: one that we would not give is kept as it is, but for control characters. `None`
    /// if it is empty: nobody can name such a domain.
    #[must_use]
    pub fn stored(name: &str) -> Option<DomainName> {
        (!name.is_empty()).then(|| DomainName(name.replace(char::is_control, "?")))
    }

    /// Whether S3 would let a client create a bucket of this name (AWS, bucket naming rules).
    #[must_use]
    pub fn is_bucket_name(&self) -> bool {
        let name = self.0.as_str();
        let bytes = name.as_bytes();
        let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        (3..=63).contains(&bytes.len())
            && bytes.iter().all(|b| edge(b) || *b == b'-' || *b == b'.')
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && !["..", ".-", "-."].iter().any(|pair| name.contains(pair))
            && !["xn--", "sthree-", "amzn-s3-demo-"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            && !["-s3alias", "--ol-s3", "--x-s3", ".mrap", "--table-s3"]
                .iter()
                .any(|end| name.ends_with(end))
            && name.parse::<std::net::Ipv4Addr>().is_err()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for DomainName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A row of `domain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its number.
    pub id: DomainId,
    /// Its name.
    pub name: DomainName,
}
