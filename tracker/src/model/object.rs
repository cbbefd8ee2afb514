//! Objects: what S3 adds to a file.

use std::collections::BTreeMap;

use mogul_storage::{DevId, Digest, Fid};

use super::{ClassId, DomainId, Key, PartNumber, Timestamp};
use crate::Error;

/// An entity tag, without quotes: 32 hex digits of the MD5, or `…-N` for an object of N parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag(pub String);

impl ETag {
    /// The entity tag of a file whose MD5 is not known (a `MogileFS` client stored it): stable, because a fid's bytes never
    /// change, and with a `-`, so that no client takes it for an MD5.
    #[must_use]
    pub fn stand_in(fid: Fid) -> ETag {
        ETag(format!("{:032x}-0", fid.get()))
    }
}

/// The id of one version of an object; `null` in a bucket that was never versioned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionId(pub String);

/// What a checksum of a multipart object covers (S3 `ChecksumType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumType {
    /// All bytes of the object.
    FullObject,
    /// The digests of the parts; the value's text ends in `-N`.
    Composite,
}

/// The checksum a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Algorithm and value.
    pub digest: Digest,
    /// What it covers.
    pub kind: ChecksumType,
}

/// The tags of an object or a bucket, in the order in which they were put. How many there may be is S3's business.
pub type Tags = Vec<(String, String)>;

/// What a client stored beside the bytes; given back as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Standard headers by lower-case name: `content-type`, `cache-control`, `content-disposition`,
    /// `content-encoding`, `content-language`, `expires`, `x-amz-website-redirect-location`.
    pub headers: BTreeMap<String, String>,
    /// User metadata by lower-case name without `x-amz-meta-`.
    pub user: BTreeMap<String, String>,
}

/// A stored object, or a file of a MogileFS client seen as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// Its domain.
    pub domain: DomainId,
    /// Its key.
    pub key: Key,
    /// The fid that is its bytes.
    pub fid: Fid,
    /// Size in bytes.
    pub size: u64,
    /// Its class.
    pub class: ClassId,
    /// Its entity tag.
    pub etag: ETag,
    /// When it was stored.
    pub modified: Timestamp,
    /// What the client stored beside the bytes.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// The checksum to show, if any is known.
    pub checksum: Option<Checksum>,
    /// CRC64/NVME of all bytes, big-endian, which whole reads are checked with; a client's file has none yet.
    pub crc64: Option<[u8; 8]>,
    /// How many parts it was uploaded in; `None` for a plain PUT.
    pub parts: Option<u32>,
    /// Devices on record; none while the object still lies in segments.
    pub replicas: Vec<DevId>,
    /// Who stored it (`None`: a MogileFS client).
    pub owner: Option<super::UserId>,
}

/// One part of an upload, or of the object that was made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, 1 to 10,000.
    pub number: PartNumber,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag: the MD5 of its bytes.
    pub etag: ETag,
    /// Its checksum, if the upload declared one or the client sent one.
    pub checksum: Option<Digest>,
    /// When it was stored.
    pub modified: Timestamp,
}

/// An `If-Match` or `If-None-Match` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ETagMatch {
    /// `*`: whatever exists.
    Any,
    /// One of these.
    OneOf(Vec<ETag>),
}

/// The condition of a write, decided inside its transaction (s3.md, "Conditional writes").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteCondition {
    /// The current object must match; without one: [`crate::Error::UnknownKey`].
    pub if_match: Option<ETagMatch>,
    /// The current object must not match.
    pub if_none_match: Option<ETagMatch>,
}

impl ETagMatch {
    /// Whether an existing object's entity tag matches.
    #[must_use]
    pub fn matches(&self, current: &ETag) -> bool {
        match self {
            ETagMatch::Any => true,
            ETagMatch::OneOf(tags) => tags.contains(current),
        }
    }
}

impl WriteCondition {
    /// Decides against the current object, `None` if there is none.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] if `If-Match` is given and there is no object, [`Error::PreconditionFailed`] with the name of
    /// the header that does not hold.
    pub fn decide(&self, current: Option<&ETag>) -> Result<(), Error> {
        if let Some(wanted) = &self.if_match {
            let found = current.ok_or(Error::UnknownKey)?;
            if !wanted.matches(found) {
                return Err(Error::PreconditionFailed("If-Match"));
            }
        }
        match (&self.if_none_match, current) {
            (Some(unwanted), Some(found)) if unwanted.matches(found) => {
                Err(Error::PreconditionFailed("If-None-Match"))
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_decided_as_the_table_of_conditional_writes_says() {
        let mine = ETag("aa".to_owned());
        let other = ETag("bb".to_owned());
        let match_of = |tag: &ETag| Some(ETagMatch::OneOf(vec![tag.clone()]));
        let check =
            |if_match: Option<ETagMatch>, if_none_match: Option<ETagMatch>, current: Option<&ETag>| {
                let condition = WriteCondition {
                    if_match,
                    if_none_match,
                };
                match condition.decide(current) {
                    Ok(()) => "written",
                    Err(Error::UnknownKey) => "absent",
                    Err(Error::PreconditionFailed(header)) => header,
                    Err(error) => panic!("{error}"),
                }
            };

        assert_eq!(check(None, None, None), "written");
        assert_eq!(check(None, None, Some(&mine)), "written");
        assert_eq!(check(None, Some(ETagMatch::Any), None), "written");
        assert_eq!(check(None, Some(ETagMatch::Any), Some(&mine)), "If-None-Match");
        assert_eq!(check(None, match_of(&mine), Some(&mine)), "If-None-Match");
        assert_eq!(check(None, match_of(&other), Some(&mine)), "written");
        assert_eq!(check(match_of(&mine), None, Some(&mine)), "written");
        assert_eq!(check(match_of(&other), None, Some(&mine)), "If-Match");
        assert_eq!(check(match_of(&mine), None, None), "absent");
        assert_eq!(check(Some(ETagMatch::Any), None, Some(&mine)), "written");
        assert_eq!(check(Some(ETagMatch::Any), None, None), "absent");
    }
}
