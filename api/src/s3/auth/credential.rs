//! What a signed request says of its signature, wherever it says it.

use std::time::Duration;

use mogul_tracker::model::{AccessKey, Timestamp};

use super::super::{
    Regions, RequestHead, S3Config, date,
    error::{Code, S3Error},
};

/// How far the clocks of client and server may differ.
const SKEW_MAX: Duration = Duration::from_mins(15);

/// Longest credential, signature or list of signed headers that is looked at, in bytes.
pub(super) const FIELD_BYTES_MAX: usize = 4096;

/// Where the signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the `Authorization` header.
    Header,
    /// In the query of a presigned URL.
    Query {
        /// How long it is valid.
        expires: Duration,
    },
}

/// `AK/yyyymmdd/region/service/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Credential {
    pub(super) access_key: AccessKey,
    pub(super) day: String,
    pub(super) region: String,
    pub(super) service: String,
}

/// A signature and all it claims to be made of.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) place: Place,
    pub(super) credential: Credential,
    /// Names of the signed headers as listed, lower case.
    pub(super) signed_headers: Vec<String>,
    /// The signature, 64 hex digits if it is one.
    pub(super) signature: String,
    /// The time of signing in its basic form, as it is signed.
    pub(super) timestamp: String,
    pub(super) time: Timestamp,
    /// The payload hash as it is signed: a digest or one of the keywords.
    pub(super) payload: String,
}

impl Place {
    /// The refusal of something malformed at this place.
    pub(super) fn malformed(self, message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
        let code = match self {
            Place::Header => Code::AuthorizationHeaderMalformed,
            Place::Query { .. } => Code::AuthorizationQueryParametersError,
        };
        S3Error::new(code, message)
    }
}

impl Credential {
    /// Reads a credential; the access key may have slashes.
    pub(super) fn parse(text: &str, place: Place) -> Result<Credential, S3Error> {
        const FORM: &str =
            "The credential is malformed; it must be \"<AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
        let malformed = || place.malformed(FORM);
        let mut parts = text.rsplitn(5, '/');
        let mut next = || parts.next().ok_or_else(malformed);
        let (end, service, region, day, access_key) = (next()?, next()?, next()?, next()?, next()?);
        if end != "aws4_request" {
            return Err(place.malformed("The credential must end in \"aws4_request\"."));
        }
        if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) || text.len() > FIELD_BYTES_MAX {
            return Err(malformed());
        }
        Ok(Credential {
            access_key: AccessKey(access_key.to_owned()),
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }

    /// What strings to sign call the scope.
    pub(super) fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }
}

impl Claim {
    /// Checks day, service and region of the scope.
    pub(super) fn check_scope(&self, config: &S3Config) -> Result<(), S3Error> {
        let credential = &self.credential;
        if !self.timestamp.starts_with(&credential.day) {
            return Err(self.place.malformed(format!(
                "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{}\".",
                credential.day,
                self.timestamp.get(..8).unwrap_or_default()
            )));
        }
        if credential.service != "s3" {
            return Err(self.place.malformed(format!(
                "incorrect service \"{}\". This endpoint belongs to \"s3\".",
                credential.service
            )));
        }
        let lenient = match config.regions {
            Regions::Configured => false,
            Regions::Lenient => ["us-east-1", "auto"].contains(&credential.region.as_str()),
        };
        if credential.region == config.region || lenient {
            return Ok(());
        }
        Err(self
            .place
            .malformed(format!(
                "The authorization header is malformed; the region '{}' is wrong; expecting '{}'",
                credential.region, config.region
            ))
            .with("Region", config.region.clone()))
    }

    /// Checks that the claim is of this time: neither too far from it nor, for a URL, expired.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), S3Error> {
        match self.place {
            Place::Header => {
                if self.time.until(now) <= SKEW_MAX && now.until(self.time) <= SKEW_MAX {
                    return Ok(());
                }
                Err(S3Error::new(
                    Code::RequestTimeTooSkewed,
                    "The difference between the request time and the current time is too large.",
                )
                .with("RequestTime", self.timestamp.clone())
                .with("ServerTime", date::iso(now))
                .with("MaxAllowedSkewMilliseconds", SKEW_MAX.as_millis().to_string()))
            }
            Place::Query { expires } => {
                if now.until(self.time) > SKEW_MAX {
                    return Err(S3Error::new(Code::AccessDenied, "Request is not yet valid"));
                }
                let end = self.time.after(expires);
                if now < end {
                    return Ok(());
                }
                Err(S3Error::new(Code::AccessDenied, "Request has expired")
                    .with("X-Amz-Expires", expires.as_secs().to_string())
                    .with("ExpiresDate", date::iso(end))
                    .with("ServerTime", date::iso(now)))
            }
        }
    }
}

/// The names of a `SignedHeaders` list. `host` must be among them, or a signature could be replayed elsewhere, and so
/// must be every `x-amz-` header that was sent, or it could be added on the way.
pub(super) fn signed_headers(list: &str, head: &RequestHead) -> Result<Vec<String>, S3Error> {
    let signed: Vec<String> = list.split(';').map(str::to_ascii_lowercase).collect();
    let is_signed = |name: &str| signed.iter().any(|found| found == name);
    let mut missing: Vec<&str> = head
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-") && !is_signed(name))
        .collect();
    if !is_signed("host") {
        missing.push("host");
    }
    if missing.is_empty() {
        return Ok(signed);
    }
    missing.sort_unstable();
    Err(S3Error::new(
        Code::AccessDenied,
        "There were headers present in the request which were not signed",
    )
    .with("HeadersNotSigned", missing.join(", ")))
}

/// Nothing can be verified of temporary keys: none are given out.
pub(super) fn refuse_token() -> S3Error {
    S3Error::new(
        Code::InvalidToken,
        "The provided token is malformed or otherwise invalid.",
    )
}
