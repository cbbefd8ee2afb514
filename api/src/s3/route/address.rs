//! Bucket and key of a request, from its host and its raw path.

use std::borrow::Cow;

use super::{Code, S3Error};

/// What a path and a host name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// The server itself.
    Service,
    /// A bucket.
    Bucket(String),
    /// A bucket and a key, unchecked.
    Object(String, String),
}

/// Splits host and raw path: `bucket.domain` of a configured domain is virtual-host style, all else path style.
///
/// A host that is under no domain is no bucket: one server has many names and addresses.
pub(super) fn address(host: Option<&str>, path: &str, domains: &[String]) -> Result<Address, S3Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if let Some(bucket) = host.and_then(|host| bucket_of_host(host, domains)) {
        return Ok(match path {
            "" => Address::Bucket(bucket),
            key => Address::Object(bucket, decode(key)?),
        });
    }
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    match (bucket, key) {
        ("", "") if path.is_empty() => Ok(Address::Service),
        ("", _) => Err(S3Error::new(
            Code::InvalidBucketName,
            "The specified bucket is not valid.",
        )),
        (bucket, "") => Ok(Address::Bucket(decode(bucket)?)),
        (bucket, key) => Ok(Address::Object(decode(bucket)?, decode(key)?)),
    }
}

/// The bucket that a host names, by the longest domain that it belongs to; `None` if it is a domain itself.
pub(in crate::s3) fn bucket_of_host(host: &str, domains: &[String]) -> Option<String> {
    let host = without_port(host).to_ascii_lowercase();
    let domain = domains
        .iter()
        .filter(|domain| belongs(&host, domain))
        .max_by_key(|domain| domain.len())?;
    let bucket = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
    (!bucket.is_empty()).then(|| bucket.to_owned())
}

fn belongs(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The host without a port; an IPv6 address keeps its brackets, and no domain matches it.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Decodes percent-encoding once.
///
/// # Errors
/// [`Code::InvalidUri`] if a `%` is not followed by two hex digits, or the bytes are not UTF-8.
pub(super) fn decode(text: &str) -> Result<String, S3Error> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return Err(invalid_uri(text)),
        }
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| invalid_uri(text))
}

fn invalid_uri(text: &str) -> S3Error {
    S3Error::new(Code::InvalidUri, "Couldn't parse the specified URI.").with("URI", text)
}
