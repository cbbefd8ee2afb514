//! Who sends a request, what its body must be, and whether it may.
//!
//! One authenticator, before routing, for every door: [`authenticate`] tells the kinds of credentials apart as one
//! enum, matched exhaustively, so that no door can forget one (`MinIO`'s CVE-2026-40344 was a kind that one handler's
//! switch did not know). What is signed of the body is carried on as a [`Payload`], by which the body is decoded.
//!
//! `header` and `presign` read the two places of SigV4 into one claim, `sigv4` checks it; `presign_v2` is the older
//! form of presigned URLs. Operators' tools may bear a token on the admin port ([`Door`]). [`chunked`] decodes `aws-chunked` bodies, [`payload`] checks what a body was said to be, [`authorize`] says who may do what.

pub mod authorize;
pub mod chunked;
mod credential;
pub mod expectations;
mod header;
mod keys;
pub mod payload;
mod presign;
mod presign_v2;
mod sigv4;

use http::header::AUTHORIZATION;
use mogul_tracker::{
    Error,
    model::{AccessKey, BearerToken, SecretKey, User},
};

use super::{
    Identity, RequestHead, S3, S3Config,
    error::{Code, S3Error},
};
use credential::Claim;
pub use keys::SigningKeys;
use payload::Payload;

/// A request whose sender is known.
#[derive(Debug)]
pub struct Authenticated {
    /// Who sent it.
    pub identity: Identity,
    /// How its body is framed, and what is signed of it.
    pub payload: Payload,
}

/// The port that a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// S3: requests are signed, or anonymous.
    S3,
    /// Admin: they may bear a token instead.
    Admin,
}

/// Where a request carries its credentials.
enum Kind {
    Anonymous,
    Header,
    Query,
    QueryV2,
}

/// What a signed request claims of its signature.
#[derive(Debug)]
enum Signature {
    V4(Claim),
    V2(presign_v2::Claim),
}

impl Signature {
    fn access_key(&self) -> &AccessKey {
        match self {
            Signature::V4(claim) => &claim.credential.access_key,
            Signature::V2(claim) => &claim.access_key,
        }
    }
}

/// Finds out who sent a request. Reads no body, so that a refusal comes before `100 Continue`.
///
/// A presigned request may carry in its query what others carry in `x-amz-` headers: those are added to the head.
///
/// # Errors
/// Those of s3.md, "Authentication"; [`Code::ServiceUnavailable`] if the key cannot be looked up.
pub async fn authenticate(s3: &S3, door: Door, head: &mut RequestHead) -> Result<Authenticated, S3Error> {
    if let (Door::Admin, Some(token)) = (door, bearer_token(head)) {
        // A second credential beside it is refused, whatever it is.
        kind(head)?;
        return borne(s3, &token).await;
    }
    let Some(signature) = signature(head, &s3.config)? else {
        return anonymous(head);
    };
    let credential = credential_of(s3, signature.access_key()).await?;
    let payload = admit(&signature, head, &credential.secret_key, s3.signing_keys())?;
    Ok(Authenticated {
        identity: Identity::User(credential.user),
        payload,
    })
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer_token(head: &RequestHead) -> Option<BearerToken> {
    let (scheme, token) = head.header(AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| BearerToken(token.trim().to_owned()))
}

/// Who bears a token is root; nothing of the body is signed.
async fn borne(s3: &S3, token: &BearerToken) -> Result<Authenticated, S3Error> {
    let token = match s3.tracker.token(token).await {
        Ok(token) => token,
        Err(Error::UnknownToken) => {
            let message = "The provided token is malformed or otherwise invalid.";
            return Err(S3Error::new(Code::InvalidToken, message));
        }
        Err(other) => return Err(other.into()),
    };
    tracing::debug!(token = token.name, "a token was borne");
    Ok(Authenticated {
        identity: Identity::User(User::root()),
        payload: Payload::Plain { sha256: None },
    })
}

/// What a request claims of its signature, checked as far as that goes without the secret; `None` if it is not signed.
fn signature(head: &RequestHead, config: &S3Config) -> Result<Option<Signature>, S3Error> {
    let claim = match kind(head)? {
        Kind::Anonymous => return Ok(None),
        Kind::QueryV2 => return presign_v2::claim(head, config).map(|claim| Some(Signature::V2(claim))),
        Kind::Header => header::claim(head)?,
        Kind::Query => presign::claim(head)?,
    };
    claim.check_scope(config)?;
    claim.check_time(head.received)?;
    Ok(Some(Signature::V4(claim)))
}

/// Checks a signature.
fn admit(
    signature: &Signature,
    head: &mut RequestHead,
    secret: &SecretKey,
    keys: &SigningKeys,
) -> Result<Payload, S3Error> {
    match signature {
        Signature::V2(claim) => presign_v2::admit(claim, head, secret),
        Signature::V4(claim) => {
            let signer = sigv4::verify(claim, head, secret, keys)?;
            let payload = Payload::signed(&claim.payload, signer)?;
            presign::adopt_parameters(head, claim)?;
            Ok(payload)
        }
    }
}

fn kind(head: &RequestHead) -> Result<Kind, S3Error> {
    let query = head.query.has("X-Amz-Algorithm")
        || head.query.has("X-Amz-Signature")
        || head.query.has("X-Amz-Credential");
    let old_query = head.query.has("AWSAccessKeyId") || head.query.has("Signature");
    match (head.headers.contains_key(AUTHORIZATION), query, old_query) {
        (false, false, false) => Ok(Kind::Anonymous),
        (true, false, false) => Ok(Kind::Header),
        (false, true, false) => Ok(Kind::Query),
        (false, false, true) => Ok(Kind::QueryV2),
        (true, true, _) | (true, _, true) | (_, true, true) => Err(S3Error::new(
            Code::InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or \
             the Authorization header should be specified",
        )
        .with("ArgumentName", "Authorization")),
    }
}

fn old_signature() -> S3Error {
    S3Error::new(
        Code::InvalidRequest,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

fn anonymous(head: &RequestHead) -> Result<Authenticated, S3Error> {
    if head.query.iter().any(|(name, _)| name.starts_with("response-")) {
        return Err(S3Error::new(
            Code::InvalidRequest,
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    Ok(Authenticated {
        identity: Identity::Anonymous,
        payload: Payload::unsigned(head.header("x-amz-content-sha256"))?,
    })
}

/// The credential of a key: root's of the configuration, all others from the tracker.
async fn credential_of(s3: &S3, key: &AccessKey) -> Result<mogul_tracker::model::Credential, S3Error> {
    if let Some(root) = &s3.config.root
        && *key == root.access_key
    {
        return Ok(root.clone());
    }
    match s3.tracker.credential(key).await {
        Ok(credential) => Ok(credential),
        Err(Error::UnknownAccessKey) => {
            Err(S3Error::from(Error::UnknownAccessKey).with("AWSAccessKeyId", key.0.clone()))
        }
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests;
