//! SigV4 in the `Authorization` header (s3.md, 3.1).

use http::header::AUTHORIZATION;

use super::{
    credential::{Claim, Credential, FIELD_BYTES_MAX, Place, refuse_token, signed_headers},
    old_signature,
};
use crate::s3::{
    RequestHead, date,
    error::{Code, S3Error},
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Reads the claim of an `Authorization` header.
pub(super) fn claim(head: &RequestHead) -> Result<Claim, S3Error> {
    let place = Place::Header;
    let fields = fields(head)?;
    let field = |name: &str| {
        fields
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| *value)
            .filter(|value| value.len() <= FIELD_BYTES_MAX)
            .ok_or_else(|| {
                place.malformed(format!(
                    "The authorization header is malformed; the authorization header requires three components: Credential, \
                     SignedHeaders, and Signature; {name} is missing."
                ))
            })
    };
    let credential = Credential::parse(field("Credential")?, place)?;
    let signature = field("Signature")?.to_owned();
    let listed = field("SignedHeaders")?;
    if head.headers.contains_key("x-amz-security-token") {
        return Err(refuse_token());
    }
    let (timestamp, time) = time(head)?;
    Ok(Claim {
        place,
        credential,
        signed_headers: signed_headers(listed, head)?,
        signature,
        timestamp,
        time,
        payload: payload(head)?,
    })
}

/// The `name=value` fields behind the algorithm; any order, commas with or without spaces.
fn fields(head: &RequestHead) -> Result<Vec<(&str, &str)>, S3Error> {
    let mut values = head.headers.get_all(AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    let text = value
        .and_then(|value| value.to_str().ok())
        .filter(|_| more.is_none());
    let text = text.ok_or_else(unsupported)?.trim();
    let (algorithm, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match algorithm {
        ALGORITHM => Ok(rest
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
            .collect()),
        "AWS" => Err(old_signature()),
        "AWS4-ECDSA-P256-SHA256" => Err(S3Error::new(
            Code::InvalidRequest,
            "The authorization mechanism you have provided (SigV4A) is not supported. Please use AWS4-HMAC-SHA256.",
        )),
        _ => Err(unsupported()),
    }
}

fn unsupported() -> S3Error {
    S3Error::new(Code::InvalidArgument, "Unsupported Authorization Type")
        .with("ArgumentName", "Authorization")
}

/// When the request was signed: `x-amz-date`, else `Date`.
fn time(head: &RequestHead) -> Result<(String, mogul_tracker::model::Timestamp), S3Error> {
    let denied = || {
        S3Error::new(
            Code::AccessDenied,
            "AWS authentication requires a valid Date or x-amz-date header",
        )
    };
    let time = match head.header("x-amz-date") {
        Some(text) => date::parse_basic(text).or_else(|| date::parse_http(text)),
        None => head
            .header("date")
            .and_then(|text| date::parse_http(text).or_else(|| date::parse_basic(text))),
    };
    let time = time.ok_or_else(denied)?;
    Ok((date::basic(time), time))
}

fn payload(head: &RequestHead) -> Result<String, S3Error> {
    head.header("x-amz-content-sha256")
        .map(str::to_owned)
        .ok_or_else(|| {
            S3Error::new(
                Code::InvalidRequest,
                "Missing required header for this request: x-amz-content-sha256",
            )
        })
}
