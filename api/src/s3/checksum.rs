//! Checksums of bodies as S3's headers, trailers and documents say them (s3.md, 4.3).

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use mogul_storage::{Digest, HashType};
use mogul_tracker::model::{Checksum, ChecksumType};

use super::{
    RequestHead,
    error::{Code, S3Error},
};

/// The algorithm, the name in documents (`ChecksumAlgorithm`), the name of its element, and the name of its header.
const ALGORITHMS: [(HashType, &str, &str, &str); 10] = [
    (HashType::Crc32, "CRC32", "ChecksumCRC32", "x-amz-checksum-crc32"),
    (
        HashType::Crc32c,
        "CRC32C",
        "ChecksumCRC32C",
        "x-amz-checksum-crc32c",
    ),
    (
        HashType::Crc64Nvme,
        "CRC64NVME",
        "ChecksumCRC64NVME",
        "x-amz-checksum-crc64nvme",
    ),
    (HashType::Sha1, "SHA1", "ChecksumSHA1", "x-amz-checksum-sha1"),
    (
        HashType::Sha256,
        "SHA256",
        "ChecksumSHA256",
        "x-amz-checksum-sha256",
    ),
    (
        HashType::Sha512,
        "SHA512",
        "ChecksumSHA512",
        "x-amz-checksum-sha512",
    ),
    (HashType::Md5, "MD5", "ChecksumMD5", "x-amz-checksum-md5"),
    (
        HashType::XxHash64,
        "XXHASH64",
        "ChecksumXXHASH64",
        "x-amz-checksum-xxhash64",
    ),
    (
        HashType::XxHash3,
        "XXHASH3",
        "ChecksumXXHASH3",
        "x-amz-checksum-xxhash3",
    ),
    (
        HashType::XxHash128,
        "XXHASH128",
        "ChecksumXXHASH128",
        "x-amz-checksum-xxhash128",
    ),
];

/// `x-amz-checksum-` headers that are not values.
const NOT_VALUES: [&str; 3] = [
    "x-amz-checksum-algorithm",
    "x-amz-checksum-mode",
    "x-amz-checksum-type",
];

/// What a client says of the checksum of the body that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announced {
    /// Nothing.
    Nothing,
    /// The value, in a header.
    Value(Digest),
    /// That the value comes in the trailer.
    Trailer(HashType),
}

fn row(hash: HashType) -> &'static (HashType, &'static str, &'static str, &'static str) {
    ALGORITHMS
        .iter()
        .find(|row| row.0 == hash)
        .expect("the table has every algorithm; a test counts them")
}

/// The name of an algorithm in documents: `CRC32`.
#[must_use]
pub fn name(hash: HashType) -> &'static str {
    row(hash).1
}

/// The name of its element in documents: `ChecksumCRC32`.
#[must_use]
pub fn element(hash: HashType) -> &'static str {
    row(hash).2
}

/// The algorithm whose element has this name.
#[must_use]
pub fn of_element(element: &str) -> Option<HashType> {
    ALGORITHMS.iter().find(|row| row.2 == element).map(|row| row.0)
}

/// The name of its header and trailer: `x-amz-checksum-crc32`.
#[must_use]
pub fn header_name(hash: HashType) -> HeaderName {
    HeaderName::from_static(row(hash).3)
}

/// Reads the name of an algorithm; case is ignored.
#[must_use]
pub fn parse_name(text: &str) -> Option<HashType> {
    ALGORITHMS
        .iter()
        .find(|row| row.1.eq_ignore_ascii_case(text.trim()))
        .map(|row| row.0)
}

/// The algorithm of a header or trailer name; case is ignored.
#[must_use]
pub fn parse_header_name(text: &str) -> Option<HashType> {
    ALGORITHMS
        .iter()
        .find(|row| row.3.eq_ignore_ascii_case(text))
        .map(|row| row.0)
}

/// Reads `FULL_OBJECT` or `COMPOSITE`; case is ignored.
#[must_use]
pub fn parse_type(text: &str) -> Option<ChecksumType> {
    [ChecksumType::FullObject, ChecksumType::Composite]
        .into_iter()
        .find(|kind| type_name(*kind).eq_ignore_ascii_case(text.trim()))
}

/// `FULL_OBJECT` or `COMPOSITE`.
#[must_use]
pub fn type_name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

/// Reads a value: Base64 of as many bytes as the algorithm has.
///
/// # Errors
/// [`Code::InvalidRequest`].
pub fn parse_value(hash: HashType, text: &str) -> Result<Digest, S3Error> {
    match BASE64_STANDARD.decode(text.trim()) {
        Ok(bytes) if bytes.len() == hash.size() => Ok(Digest { hash, bytes }),
        Ok(_) | Err(_) => Err(S3Error::new(
            Code::InvalidRequest,
            format!("Value for {} header is invalid.", row(hash).3),
        )),
    }
}

/// The value of a digest as text.
#[must_use]
pub fn digest_text(digest: &Digest) -> String {
    BASE64_STANDARD.encode(&digest.bytes)
}

/// The value of an object's checksum as text; a composite one ends in `-` and the number of parts.
#[must_use]
pub fn text(checksum: &Checksum, parts: Option<u32>) -> String {
    let digest = digest_text(&checksum.digest);
    match (checksum.kind, parts) {
        (ChecksumType::Composite, Some(parts)) => format!("{digest}-{parts}"),
        (ChecksumType::Composite | ChecksumType::FullObject, _) => digest,
    }
}

/// Adds the header of a checksum, and the header that says what it covers.
///
/// # Panics
/// Never: Base64 is visible ASCII.
pub fn add_headers(headers: &mut HeaderMap, checksum: &Checksum, parts: Option<u32>) {
    let value = HeaderValue::try_from(text(checksum, parts)).expect("Base64 is visible ASCII");
    headers.insert(header_name(checksum.digest.hash), value);
    let kind = HeaderValue::from_static(type_name(checksum.kind));
    headers.insert("x-amz-checksum-type", kind);
}

/// Reads what a request says of the checksum of its body: one value in a header, or one announced trailer, or nothing.
///
/// # Errors
/// [`Code::InvalidRequest`] for more than one, for unknown algorithms, values of the wrong form, and an
/// `x-amz-sdk-checksum-algorithm` without its checksum.
pub fn announced(head: &RequestHead) -> Result<Announced, S3Error> {
    let mut found = Vec::new();
    for (header, value) in &head.headers {
        let name = header.as_str();
        if !name.starts_with("x-amz-checksum-") || NOT_VALUES.contains(&name) {
            continue;
        }
        let hash = parse_header_name(name).ok_or_else(|| unsupported(name))?;
        found.push(Announced::Value(parse_value(
            hash,
            value.to_str().unwrap_or_default(),
        )?));
    }
    for value in head.headers.get_all("x-amz-trailer") {
        for name in value.to_str().unwrap_or_default().split(',') {
            let name = name.trim();
            let hash = parse_header_name(name).ok_or_else(|| unsupported(name))?;
            found.push(Announced::Trailer(hash));
        }
    }
    if found.len() > 1 {
        return Err(S3Error::new(
            Code::InvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    let found = found.pop().unwrap_or(Announced::Nothing);
    check_sdk_algorithm(head, &found)?;
    Ok(found)
}

fn check_sdk_algorithm(head: &RequestHead, found: &Announced) -> Result<(), S3Error> {
    let Some(text) = head.header("x-amz-sdk-checksum-algorithm") else {
        return Ok(());
    };
    let hash = parse_name(text);
    let sent = match found {
        Announced::Nothing => None,
        Announced::Value(digest) => Some(digest.hash),
        Announced::Trailer(hash) => Some(*hash),
    };
    match (hash, sent) {
        (Some(said), Some(sent)) if said == sent => Ok(()),
        (Some(_), None) => Err(S3Error::new(
            Code::InvalidRequest,
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were \
             found.",
        )),
        (Some(_) | None, _) => Err(S3Error::new(
            Code::InvalidRequest,
            "Value for x-amz-sdk-checksum-algorithm header is invalid.",
        )),
    }
}

fn unsupported(name: &str) -> S3Error {
    S3Error::new(
        Code::InvalidRequest,
        format!("The checksum header or trailer '{name}' is not supported."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Result<Announced, Code> {
        let mut head = RequestHead::bare();
        for (name, value) in headers {
            head.headers.append(*name, value.parse().unwrap());
        }
        announced(&head).map_err(|error| error.code)
    }

    #[test]
    fn the_table_has_every_algorithm_under_its_names() {
        for hash in HashType::ALL {
            assert_eq!(parse_name(&name(hash).to_ascii_lowercase()), Some(hash));
            assert_eq!(parse_header_name(header_name(hash).as_str()), Some(hash));
            assert_eq!(of_element(element(hash)), Some(hash));
        }
        assert_eq!(HashType::ALL.len(), ALGORITHMS.len());
    }

    #[test]
    fn one_checksum_is_announced_and_said_in_one_way() {
        let value = Ok(Announced::Value(Digest {
            hash: HashType::Crc32,
            bytes: vec![0; 4],
        }));
        let trailer = Ok(Announced::Trailer(HashType::Sha256));
        let refused = || Err(Code::InvalidRequest);
        let (crc32, crc32c) = (
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-checksum-crc32c", "AAAAAA=="),
        );
        let sdk = |name| ("x-amz-sdk-checksum-algorithm", name);
        for (headers, expected) in [
            (&[][..], Ok(Announced::Nothing)),
            (&[("x-amz-checksum-mode", "ENABLED")], Ok(Announced::Nothing)),
            (&[crc32], value.clone()),
            (&[crc32, sdk("crc32")], value),
            (
                &[("x-amz-trailer", "X-Amz-Checksum-Sha256"), sdk("SHA256")],
                trailer,
            ),
            (&[crc32, crc32c], refused()),
            (&[crc32, crc32], refused()),
            (&[crc32, ("x-amz-trailer", "x-amz-checksum-crc32")], refused()),
            (
                &[("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1")],
                refused(),
            ),
            (&[("x-amz-trailer", "x-amz-meta-a")], refused()),
            (&[("x-amz-checksum-crc16", "AAAA")], refused()),
            (&[("x-amz-checksum-crc32", "")], refused()),
            (&[("x-amz-checksum-crc32", "not base64")], refused()),
            (&[("x-amz-checksum-crc32", "AAAAAAAAAAA=")], refused()),
            (&[sdk("CRC32")], refused()),
            (&[crc32, sdk("SHA1")], refused()),
            (&[crc32, sdk("CRC16")], refused()),
        ] {
            assert_eq!(of(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_composite_value_counts_its_parts() {
        let checksum = |kind| Checksum {
            digest: Digest {
                hash: HashType::Crc32,
                bytes: vec![0; 4],
            },
            kind,
        };

        assert_eq!(text(&checksum(ChecksumType::Composite), Some(3)), "AAAAAA==-3");
        assert_eq!(text(&checksum(ChecksumType::FullObject), Some(3)), "AAAAAA==");
        assert_eq!(text(&checksum(ChecksumType::FullObject), None), "AAAAAA==");
    }
}
