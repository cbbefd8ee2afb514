//! Signature Version 4 for requests that we make ourselves, in the header, with the payload's digest.
//!
//! It knows only what our tools send: a path that is already encoded, few headers. The key of the day is kept, so that a
//! signature costs two short HMACs and two short digests. The tests compare it with `aws-sigv4`.

use hmac::{Hmac, KeyInit, Mac};
use mogul_tracker::model::{AccessKey, SecretKey, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

const DATE: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// What AWS's `UriEncode` leaves as it is, besides letters and digits.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes a name, or a value of the query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The query as it is sent and signed: encoded and sorted.
pub(crate) fn canonical_query(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

/// What a signature covers.
#[derive(Debug)]
pub(crate) struct ToSign<'a> {
    /// The method.
    pub(crate) method: &'a str,
    /// The path as it is sent.
    pub(crate) path: &'a str,
    /// The query as it is sent: of [`canonical_query`].
    pub(crate) query: &'a str,
    /// The `Host` header.
    pub(crate) host: &'a str,
    /// `x-amz-…` headers besides the two that every signature has; names in lower case.
    pub(crate) headers: &'a [(&'static str, &'a str)],
    /// Hex SHA-256 of the body.
    pub(crate) payload_sha256: &'a str,
}

/// A signature, as two headers; the third is `x-amz-content-sha256`.
#[derive(Debug)]
pub(crate) struct Signature {
    /// `Authorization`.
    pub(crate) authorization: String,
    /// `x-amz-date`.
    pub(crate) date: String,
}

/// Signs with one key for one region.
#[derive(Clone)]
pub(crate) struct Signer {
    access_key: AccessKey,
    secret_key: SecretKey,
    region: String,
    /// The key of a day, and the day.
    daily: (String, Hmac<Sha256>),
}

impl Signer {
    /// A signer for S3's service name, which the admin port shares.
    pub(crate) fn new(access_key: AccessKey, secret_key: SecretKey, region: String) -> Signer {
        let daily = (String::new(), keyed(b""));
        Signer {
            access_key,
            secret_key,
            region,
            daily,
        }
    }

    /// Signs a request made now.
    pub(crate) fn sign(&mut self, now: Timestamp, request: &ToSign<'_>) -> Signature {
        let date = OffsetDateTime::from_unix_timestamp(now.secs())
            .ok()
            .and_then(|date| date.format(DATE).ok())
            .expect("the clock is within the years that have four digits");
        let scope = format!("{}/{}/s3/aws4_request", &date[..8], self.region);
        let (canonical, signed_headers) = canonical_request(request, &date);
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
        let mut mac = self.key_of(&date[..8]);
        mac.update(text.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={signature}",
            self.access_key.0
        );
        Signature { authorization, date }
    }

    fn key_of(&mut self, day: &str) -> Hmac<Sha256> {
        if self.daily.0 != day {
            let secret = format!("AWS4{}", self.secret_key.0);
            let mut key = secret.into_bytes();
            for step in [day, self.region.as_str(), "s3", "aws4_request"] {
                let mut mac = keyed(&key);
                mac.update(step.as_bytes());
                key = mac.finalize().into_bytes().to_vec();
            }
            self.daily = (day.to_owned(), keyed(&key));
        }
        self.daily.1.clone()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

/// The canonical request and the names of its headers.
fn canonical_request(request: &ToSign<'_>, date: &str) -> (String, String) {
    let mut headers = vec![
        ("host", request.host),
        ("x-amz-content-sha256", request.payload_sha256),
        ("x-amz-date", date),
    ];
    headers.extend_from_slice(request.headers);
    headers.sort_unstable();
    let lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let canonical = format!(
        "{}\n{}\n{}\n{}\n{names}\n{}",
        request.method,
        request.path,
        request.query,
        lines.concat(),
        request.payload_sha256
    );
    (canonical, names)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_credential_types::Credentials;
    use aws_sigv4::{
        http_request::{
            PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
            UriPathNormalizationMode, sign,
        },
        sign::v4,
    };

    use super::*;

    const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The `Authorization` that `aws-sigv4` makes.
    fn reference(at: i64, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
        let identity = Credentials::new("AKID", "SECRET", None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-3")
            .name("s3")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap()))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let body = SignableBody::Precomputed(SHA256.to_owned());
        let request = SignableRequest::new(
            method,
            format!("http://h:9000{target}"),
            headers.iter().copied(),
            body,
        )
        .unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let found = instructions.headers().find(|(name, _)| *name == "authorization");
        found.unwrap().1.to_owned()
    }

    /// Method, path, query, headers.
    type Case<'a> = (
        &'a str,
        &'a str,
        &'a [(&'a str, &'a str)],
        &'a [(&'static str, &'a str)],
    );

    #[test]
    fn signatures_are_those_of_aws_sigv4() {
        let mut signer = Signer::new(
            AccessKey("AKID".into()),
            SecretKey("SECRET".into()),
            "eu-west-3".into(),
        );
        let cases: &[Case<'_>] = &[
            ("GET", "/", &[], &[]),
            ("PUT", "/bucket/key", &[], &[]),
            ("GET", "/admin/v1/users/a%2Bb%40c", &[], &[]),
            (
                "GET",
                "/b",
                &[
                    ("list-type", "2"),
                    ("continuation-token", "a/b+c=="),
                    ("prefix", "ä ~*'"),
                ],
                &[],
            ),
            (
                "POST",
                "/b",
                &[("delete", "")],
                &[("x-amz-checksum-sha256", "abc="), ("x-amz-acl", "private")],
            ),
        ];
        // Two days, so that the key of the day is made anew.
        for at in [1_700_000_000, 1_700_100_000, 1_700_000_000] {
            for (method, path, query, headers) in cases {
                let query = canonical_query(query);
                let target = if query.is_empty() {
                    (*path).to_owned()
                } else {
                    format!("{path}?{query}")
                };

                let ours = signer.sign(
                    Timestamp::from_millis(at * 1000),
                    &ToSign {
                        method,
                        path,
                        query: &query,
                        host: "h:9000",
                        headers,
                        payload_sha256: SHA256,
                    },
                );

                assert_eq!(
                    ours.authorization,
                    reference(at, method, &target, headers),
                    "{method} {target}"
                );
            }
        }
    }
}
