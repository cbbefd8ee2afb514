//! Presigned URLs of signature version 2 (AWS, "Signing and authenticating REST requests", query string alternative).
//!
//! AWS gives it to no new region, and the reference would have it off; but boto3 and `aws s3 presign` still make such
//! URLs for `us-east-1`, which is everybody's region here. Only URLs: the header form is refused. Its HMAC-SHA1 holds; its
//! weakness is what it does not sign, so that a request is refused whose query says more than the signature covers.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, header};
use mogul_tracker::model::{AccessKey, SecretKey, Timestamp};
use sha1::Sha1;

use super::{credential::refuse_token, payload::Payload, sigv4::signature_mismatch};
use crate::s3::{
    RequestHead, S3Config, date,
    error::{Code, S3Error},
    route::bucket_of_host,
};

const KEY: &str = "AWSAccessKeyId";
const SIGNATURE: &str = "Signature";
const EXPIRES: &str = "Expires";

/// The parameters that are signed.
const SIGNED: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// The parameters that may come unsigned: they choose no operation, only the page of a listing.
const HARMLESS: [&str; 13] = [
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-uploads",
    "prefix",
    "start-after",
    "upload-id-marker",
    "x-id",
];

/// What such a URL says of its signature.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) access_key: AccessKey,
    signature: Vec<u8>,
    /// What may have been signed.
    texts: Vec<String>,
    adopted: Vec<(HeaderName, HeaderValue)>,
}

/// Reads the claim of a query, and checks its time and that it covers the query.
pub(super) fn claim(head: &RequestHead, config: &S3Config) -> Result<Claim, S3Error> {
    let parameter = |name: &str| {
        head.query.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            denied("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
        })
    };
    let (access_key, signature, expires) = (parameter(KEY)?, parameter(SIGNATURE)?, parameter(EXPIRES)?);
    check_time(expires, head.received)?;
    let adopted = adopted(head)?;
    Ok(Claim {
        access_key: AccessKey(access_key.to_owned()),
        signature: base64::Engine::decode(&base64::prelude::BASE64_STANDARD, signature).unwrap_or_default(),
        texts: paths(head, config)
            .iter()
            .map(|path| string_to_sign(head, expires, &adopted, path))
            .collect(),
        adopted,
    })
}

/// Compares in constant time; then the parameters that stand for headers become such.
pub(super) fn admit(claim: &Claim, head: &mut RequestHead, secret: &SecretKey) -> Result<Payload, S3Error> {
    let mac = Hmac::<Sha1>::new_from_slice(secret.0.as_bytes()).expect("HMAC takes a key of any length");
    let matches = |text: &String| {
        let mut mac = mac.clone();
        mac.update(text.as_bytes());
        mac.verify_slice(&claim.signature).is_ok()
    };
    if !claim.texts.iter().any(matches) {
        return Err(signature_mismatch()
            .with("AWSAccessKeyId", claim.access_key.0.clone())
            .with("StringToSign", claim.texts.join("\n")));
    }
    for (name, value) in &claim.adopted {
        head.headers.append(name, value.clone());
    }
    Payload::unsigned(head.header("x-amz-content-sha256"))
}

fn check_time(expires: &str, now: Timestamp) -> Result<(), S3Error> {
    let end = expires
        .parse()
        .map(Timestamp::from_secs)
        .map_err(|_| denied("Invalid date (should be seconds since epoch)"))?;
    if now < end {
        return Ok(());
    }
    Err(denied("Request has expired")
        .with("Expires", date::iso(end))
        .with("ServerTime", date::iso(now)))
}

/// The parameters that stand for headers which were not sent.
fn adopted(head: &RequestHead) -> Result<Vec<(HeaderName, HeaderValue)>, S3Error> {
    let mut adopted = Vec::new();
    for (name, value) in head.query.iter() {
        let lower = name.to_ascii_lowercase();
        let stands_for_header =
            lower.starts_with("x-amz-") || lower == "content-type" || lower == "content-md5";
        match name {
            KEY | SIGNATURE | EXPIRES => {}
            _ if SIGNED.contains(&name) || HARMLESS.contains(&name) => {}
            // What routing would have looked at cannot come by this way.
            _ if !stands_for_header || lower.starts_with("x-amz-copy-source") => return Err(uncovered(name)),
            _ if lower == "x-amz-security-token" => return Err(refuse_token()),
            _ if head.headers.contains_key(&lower) => {}
            _ => {
                let header = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| uncovered(name))?;
                let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| uncovered(name))?;
                adopted.push((header, value));
            }
        }
    }
    Ok(adopted)
}

fn string_to_sign(
    head: &RequestHead,
    expires: &str,
    adopted: &[(HeaderName, HeaderValue)],
    path: &str,
) -> String {
    let mut headers = head.headers.clone();
    for (name, value) in adopted {
        headers.append(name, value.clone());
    }
    let joined = |name: &HeaderName| {
        let values = headers.get_all(name).iter();
        let texts: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes().trim_ascii()))
            .collect();
        texts.join(",")
    };
    let mut text = format!(
        "{}\n{}\n{}\n{expires}\n",
        head.method,
        joined(&HeaderName::from_static("content-md5")),
        joined(&header::CONTENT_TYPE)
    );
    let mut names: Vec<&HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz-"))
        .collect();
    names.sort_unstable_by_key(|name| name.as_str());
    for name in names {
        text.push_str(name.as_str());
        text.push(':');
        text.push_str(&joined(name));
        text.push('\n');
    }
    text.push_str(path);
    push_parameters(&mut text, head);
    text
}

/// The path as it would be in path style; that of a bucket is signed with a slash at its end, or as it was sent.
fn paths(head: &RequestHead, config: &S3Config) -> Vec<String> {
    let host = head.header(header::HOST.as_str());
    let path = match host.and_then(|host| bucket_of_host(host, &config.domains)) {
        Some(bucket) => format!("/{bucket}{}", head.path()),
        None => head.path().to_owned(),
    };
    if path.bytes().filter(|byte| *byte == b'/').count() == 1 {
        vec![format!("{path}/"), path]
    } else {
        vec![path]
    }
}

/// The signed parameters by name, decoded.
fn push_parameters(text: &mut String, head: &RequestHead) {
    let mut signed: Vec<(&str, &str)> = head
        .query
        .iter()
        .filter(|(name, _)| SIGNED.contains(name))
        .collect();
    signed.sort_by_key(|(name, _)| *name);
    for (index, (name, value)) in signed.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        if !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
}

fn denied(message: &'static str) -> S3Error {
    S3Error::new(Code::AccessDenied, message)
}

fn uncovered(name: &str) -> S3Error {
    S3Error::new(
        Code::AccessDenied,
        format!("The parameter {name} is not covered by a signature of version 2."),
    )
}
