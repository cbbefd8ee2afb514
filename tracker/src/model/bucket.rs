//! Buckets: domains with the properties that S3 adds.

use super::{Domain, Timestamp, UserId};

/// A domain as S3 sees it. A domain that `mogadm` made belongs to root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The domain.
    pub domain: Domain,
    /// Who made it and may use it.
    pub owner: UserId,
    /// When it was made; the epoch for a domain that a MogileFS tool made.
    pub created: Timestamp,
}
