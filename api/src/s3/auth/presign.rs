//! SigV4 in the query of a presigned URL (s3.md, 3.2).

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::credential::{Claim, Credential, FIELD_BYTES_MAX, Place, refuse_token, signed_headers};
use crate::s3::{
    RequestHead, date,
    error::{Code, S3Error},
};

/// Longest validity of a URL: seven days.
const EXPIRES_SECS_MAX: u64 = 604_800;

/// Reads the claim of a query. Names are case-sensitive.
pub(super) fn claim(head: &RequestHead) -> Result<Claim, S3Error> {
    let parameter = |name: &str| {
        head.query
            .get(name)
            .filter(|value| !value.is_empty() && value.len() <= FIELD_BYTES_MAX)
            .ok_or_else(|| {
                error(
                    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, \
                     X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
                )
            })
    };
    let algorithm = parameter("X-Amz-Algorithm")?;
    let (credential, timestamp) = (parameter("X-Amz-Credential")?, parameter("X-Amz-Date")?);
    let (expires, listed) = (parameter("X-Amz-Expires")?, parameter("X-Amz-SignedHeaders")?);
    let signature = parameter("X-Amz-Signature")?;
    if algorithm != "AWS4-HMAC-SHA256" {
        return Err(error("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"."));
    }
    let place = Place::Query {
        expires: expiry(expires)?,
    };
    if head.query.has("X-Amz-Security-Token") || head.headers.contains_key("x-amz-security-token") {
        return Err(refuse_token());
    }
    let time = date::parse_basic(timestamp)
        .ok_or_else(|| error("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"."))?;
    let payload = head
        .query
        .get("X-Amz-Content-Sha256")
        .or_else(|| head.header("x-amz-content-sha256"))
        .unwrap_or("UNSIGNED-PAYLOAD");
    Ok(Claim {
        place,
        credential: Credential::parse(credential, place)?,
        signed_headers: signed_headers(listed, head)?,
        signature: signature.to_owned(),
        timestamp: timestamp.to_owned(),
        time,
        payload: payload.to_owned(),
    })
}

fn expiry(text: &str) -> Result<Duration, S3Error> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error("X-Amz-Expires should be a number."));
    }
    if digits.len() != text.len() {
        return Err(error("X-Amz-Expires must be non-negative."));
    }
    match text.parse::<u64>() {
        Ok(seconds) if seconds <= EXPIRES_SECS_MAX => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err(error(
            "X-Amz-Expires must be less than a week (in seconds) that is 604800.",
        )),
    }
}

fn error(message: &'static str) -> S3Error {
    S3Error::new(Code::AuthorizationQueryParametersError, message)
}

/// Takes the signed `x-amz-` parameters of a presigned query for the headers they stand for: SDKs put checksums and
/// metadata there, since the uploader sends no header (JS v3). A header that was sent wins. What routing looked at, or
/// what belongs to the signature, is not taken.
pub(super) fn adopt_parameters(head: &mut RequestHead, claim: &Claim) -> Result<(), S3Error> {
    match claim.place {
        Place::Header => return Ok(()),
        Place::Query { .. } => {}
    }
    let mut adopted = Vec::new();
    for (name, value) in head.query.iter() {
        let lower = name.to_ascii_lowercase();
        if !is_adopted(&lower) || head.headers.contains_key(&lower) {
            continue;
        }
        let invalid = || {
            S3Error::new(
                Code::InvalidArgument,
                "A query parameter cannot be used as a header.",
            )
            .with("ArgumentName", name.to_owned())
        };
        let header = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?;
        adopted.push((header, value));
    }
    for (name, value) in adopted {
        head.headers.append(name, value);
    }
    Ok(())
}

fn is_adopted(name: &str) -> bool {
    const OF_THE_SIGNATURE: [&str; 8] = [
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-content-sha256",
    ];
    name.starts_with("x-amz-") && !name.starts_with("x-amz-copy-source") && !OF_THE_SIGNATURE.contains(&name)
}
