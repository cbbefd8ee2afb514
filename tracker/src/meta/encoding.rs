//! How values of our own tables are written: digest algorithms and checksum types as small numbers, attributes and tags
//! as JSON. Fixed for ever, because they are in databases.

use mogul_storage::{Digest, HashType};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    model::{Attributes, Checksum, ChecksumType, Tags},
};

/// The number of an algorithm; 1 and 2 are `MogileFS`'s `hashtype`.
pub(crate) fn hash_number(hash: HashType) -> i64 {
    match hash {
        HashType::Md5 => 1,
        HashType::Sha1 => 2,
        HashType::Sha256 => 3,
        HashType::Sha512 => 4,
        HashType::Crc32 => 5,
        HashType::Crc32c => 6,
        HashType::Crc64Nvme => 7,
        HashType::XxHash64 => 8,
        HashType::XxHash3 => 9,
        HashType::XxHash128 => 10,
    }
}

/// The algorithm of a number.
///
/// # Errors
/// [`Error::Internal`] if no algorithm has it.
pub(crate) fn hash_of(number: i64) -> Result<HashType, Error> {
    HashType::ALL
        .into_iter()
        .find(|hash| hash_number(*hash) == number)
        .ok_or_else(|| Error::Internal(format!("no digest algorithm has the number {number}")))
}

/// The number of a checksum type.
pub(crate) fn kind_number(kind: ChecksumType) -> i64 {
    match kind {
        ChecksumType::FullObject => 0,
        ChecksumType::Composite => 1,
    }
}

/// The checksum type of a number.
///
/// # Errors
/// [`Error::Internal`] if there is none.
pub(crate) fn kind_of(number: i64) -> Result<ChecksumType, Error> {
    match number {
        0 => Ok(ChecksumType::FullObject),
        1 => Ok(ChecksumType::Composite),
        _ => Err(Error::Internal(format!(
            "no checksum type has the number {number}"
        ))),
    }
}

/// A checksum from its three columns, all or none of which are null.
///
/// # Errors
/// [`Error::Internal`] for numbers that nothing has.
pub(crate) fn checksum_of(
    hash: Option<i64>,
    kind: Option<i64>,
    bytes: Option<Vec<u8>>,
) -> Result<Option<Checksum>, Error> {
    let (Some(hash), Some(kind), Some(bytes)) = (hash, kind, bytes) else {
        return Ok(None);
    };
    let digest = Digest {
        hash: hash_of(hash)?,
        bytes,
    };
    Ok(Some(Checksum {
        digest,
        kind: kind_of(kind)?,
    }))
}

/// A CRC64 from its column.
///
/// # Errors
/// [`Error::Internal`] if it has not 8 bytes.
pub(crate) fn crc64_of(bytes: Option<Vec<u8>>) -> Result<Option<[u8; 8]>, Error> {
    bytes
        .map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()))
        .transpose()
        .map_err(|_| Error::Internal("a stored CRC64 has not 8 bytes".to_owned()))
}

/// `mogul_object.attributes`.
#[derive(Serialize, Deserialize)]
struct StoredAttributes {
    /// Standard headers.
    #[serde(rename = "h", default)]
    headers: std::collections::BTreeMap<String, String>,
    /// User metadata.
    #[serde(rename = "u", default)]
    user: std::collections::BTreeMap<String, String>,
}

/// Attributes as JSON; `None` if there are none.
pub(crate) fn attributes_text(attributes: &Attributes) -> Option<String> {
    let Attributes { headers, user } = attributes;
    (!headers.is_empty() || !user.is_empty())
        .then(|| serde_json::json!({ "h": headers, "u": user }).to_string())
}

/// Attributes from JSON.
///
/// # Errors
/// [`Error::Internal`] if the text is not what [`attributes_text`] writes.
pub(crate) fn attributes_of(text: Option<&str>) -> Result<Attributes, Error> {
    let Some(text) = text else {
        return Ok(Attributes::default());
    };
    let stored: StoredAttributes = serde_json::from_str(text)
        .map_err(|error| Error::Internal(format!("stored attributes cannot be read: {error}")))?;
    Ok(Attributes {
        headers: stored.headers,
        user: stored.user,
    })
}

/// Tags as JSON; `None` if there are none.
pub(crate) fn tags_text(tags: &Tags) -> Option<String> {
    (!tags.is_empty()).then(|| serde_json::json!(tags).to_string())
}

/// Tags from JSON.
///
/// # Errors
/// [`Error::Internal`] if the text is not what [`tags_text`] writes.
pub(crate) fn tags_of(text: Option<&str>) -> Result<Tags, Error> {
    let Some(text) = text else {
        return Ok(Tags::new());
    };
    serde_json::from_str(text)
        .map_err(|error| Error::Internal(format!("stored tags cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for hash in HashType::ALL {
            assert_eq!(hash_of(hash_number(hash)).unwrap(), hash);
        }
        for kind in [ChecksumType::FullObject, ChecksumType::Composite] {
            assert_eq!(kind_of(kind_number(kind)).unwrap(), kind);
        }
        let mut attributes = Attributes::default();
        assert_eq!(attributes_of(None).unwrap(), attributes);
        attributes.user.insert("a\"b".to_owned(), "ü\n".to_owned());
        let text = attributes_text(&attributes);
        assert_eq!(attributes_of(text.as_deref()).unwrap(), attributes);
        let tags = vec![("k".to_owned(), "v".to_owned()), ("a".to_owned(), String::new())];
        assert_eq!(tags_of(tags_text(&tags).as_deref()).unwrap(), tags);
    }
}
