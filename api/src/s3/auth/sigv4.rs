//! The signature itself: canonical request, string to sign, comparison (AWS, "Signature Version 4 for Amazon S3").
//!
//! The canonical request is made of the raw path and query: decoded and encoded again, so that one spelling remains, and
//! never normalised. S3 does not encode twice as AWS's other services do.

use std::borrow::Cow;

use hmac::Mac;
use mogul_tracker::model::SecretKey;
use percent_encoding::percent_decode;
use sha2::{Digest, Sha256};

use super::{
    credential::{Claim, Place},
    keys::{SigningKeys, mac},
};
use crate::s3::{
    RequestHead,
    error::{Code, S3Error},
};

/// Signs the chunks and the trailer of a body, each with the signature of the one before.
#[derive(Clone)]
pub struct ChunkSigner {
    key: [u8; 32],
    timestamp: String,
    scope: String,
    previous: String,
}

/// Checks a claim. What comes back verifies the rest of a body that is signed in chunks.
pub(super) fn verify(
    claim: &Claim,
    head: &RequestHead,
    secret: &SecretKey,
    keys: &SigningKeys,
) -> Result<ChunkSigner, S3Error> {
    let key = keys.get(&claim.credential, secret);
    let request = canonical_request(claim, head, Spelling::default());
    let text = string_to_sign(claim, &request);
    if !matches(&key, &text, &claim.signature) && !matches_otherwise(&key, claim, head) {
        return Err(mismatch(claim, &text, &request));
    }
    Ok(ChunkSigner {
        key,
        timestamp: claim.timestamp.clone(),
        scope: claim.credential.scope(),
        previous: claim.signature.to_ascii_lowercase(),
    })
}

/// Compares in constant time.
fn matches(key: &[u8; 32], text: &str, signature: &str) -> bool {
    let mut given = [0; 32];
    hex::decode_to_slice(signature, &mut given).is_ok()
        && mac(key, text.as_bytes()).verify_slice(&given).is_ok()
}

/// How a request may have been spelled when it was signed, where that is not sure. Nothing hangs on the difference: all
/// spellings ask for the same.
#[derive(Debug, Clone, Copy, Default)]
struct Spelling {
    path: PathSpelling,
    /// What `Accept-Encoding` was: proxies rewrite it, and some clients sign it (rclone, the Go SDK).
    accept_encoding: Option<&'static str>,
}

/// How the path was signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum PathSpelling {
    /// Everything encoded that AWS encodes; a `%2F` stays one.
    #[default]
    Encoded,
    /// So too, but for a `%2F`, which is the slash that it stands for.
    SlashesDecoded,
    /// As it was sent: not every signer encodes what the sender left bare.
    AsSent,
}

const ACCEPT_ENCODING: &str = "accept-encoding";

/// Tries the other spellings.
fn matches_otherwise(key: &[u8; 32], claim: &Claim, head: &RequestHead) -> bool {
    let encodings: &[_] = if claim.signed_headers.iter().any(|name| name == ACCEPT_ENCODING) {
        &[None, Some("identity"), Some("gzip")]
    } else {
        &[None]
    };
    [
        PathSpelling::Encoded,
        PathSpelling::SlashesDecoded,
        PathSpelling::AsSent,
    ]
    .into_iter()
    .any(|path| {
        encodings.iter().any(|&accept_encoding| {
            let spelling = Spelling {
                path,
                accept_encoding,
            };
            let request = canonical_request(claim, head, spelling);
            matches(key, &string_to_sign(claim, &request), &claim.signature)
        })
    })
}

fn string_to_sign(claim: &Claim, canonical_request: &[u8]) -> String {
    format!(
        "AWS4-HMAC-SHA256\n{}\n{}\n{}",
        claim.timestamp,
        claim.credential.scope(),
        hex::encode(Sha256::digest(canonical_request))
    )
}

fn canonical_request(claim: &Claim, head: &RequestHead, spelling: Spelling) -> Vec<u8> {
    let mut text = Vec::with_capacity(1024);
    text.extend_from_slice(head.method.as_str().as_bytes());
    text.push(b'\n');
    canonical_path(&mut text, head.path(), spelling.path);
    text.push(b'\n');
    canonical_query(&mut text, head.raw_query(), claim.place);
    text.push(b'\n');
    for name in &claim.signed_headers {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        match spelling.accept_encoding {
            Some(value) if name == ACCEPT_ENCODING => text.extend_from_slice(value.as_bytes()),
            Some(_) | None => canonical_value(&mut text, head, name),
        }
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(claim.signed_headers.join(";").as_bytes());
    text.push(b'\n');
    text.extend_from_slice(claim.payload.as_bytes());
    text
}

fn canonical_path(to: &mut Vec<u8>, raw: &str, spelling: PathSpelling) {
    if spelling == PathSpelling::AsSent {
        to.extend_from_slice(raw.as_bytes());
        return;
    }
    for (index, segment) in raw.split('/').enumerate() {
        if index > 0 {
            to.push(b'/');
        }
        for byte in percent_decode(segment.as_bytes()) {
            if byte == b'/' && spelling == PathSpelling::SlashesDecoded {
                to.push(byte);
            } else {
                encode(to, byte);
            }
        }
    }
}

/// The pairs decoded, encoded, sorted; without the signature itself.
fn canonical_query(text: &mut Vec<u8>, raw: &str, place: Place) {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = raw
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode_query(name), encode_query(value))
        })
        .filter(|(name, _)| match place {
            Place::Header => true,
            Place::Query { .. } => name != b"X-Amz-Signature",
        })
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
    }
}

fn encode_query(text: &str) -> Vec<u8> {
    let spaced: Cow<'_, str> = if text.contains('+') {
        Cow::Owned(text.replace('+', " "))
    } else {
        Cow::Borrowed(text)
    };
    let mut encoded = Vec::with_capacity(text.len());
    for byte in percent_decode(spaced.as_bytes()) {
        encode(&mut encoded, byte);
    }
    encoded
}

/// Everything but `A-Z a-z 0-9 - . _ ~` becomes upper-case `%XX`.
fn encode(to: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(byte),
        _ => to.extend_from_slice(&[
            b'%',
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]),
    }
}

/// All values of a header, trimmed, runs of spaces as one, joined by commas in the order received.
fn canonical_value(to: &mut Vec<u8>, head: &RequestHead, name: &str) {
    for (index, value) in head.headers.get_all(name).iter().enumerate() {
        if index > 0 {
            to.push(b',');
        }
        let mut spaced = false;
        for &byte in value.as_bytes().trim_ascii() {
            if byte != b' ' || !spaced {
                to.push(byte);
            }
            spaced = byte == b' ';
        }
    }
}

fn mismatch(claim: &Claim, text: &str, request: &[u8]) -> S3Error {
    signature_mismatch()
        .with("AWSAccessKeyId", claim.credential.access_key.0.clone())
        .with("StringToSign", text.to_owned())
        .with("SignatureProvided", claim.signature.clone())
        .with("StringToSignBytes", spaced_hex(text.as_bytes()))
        .with("CanonicalRequest", String::from_utf8_lossy(request))
        .with("CanonicalRequestBytes", spaced_hex(request))
}

/// The refusal of a wrong signature.
pub(super) fn signature_mismatch() -> S3Error {
    S3Error::new(
        Code::SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    )
}

fn spaced_hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

impl ChunkSigner {
    /// Checks the signature of the next chunk, given the SHA-256 of its data.
    ///
    /// # Errors
    /// [`Code::SignatureDoesNotMatch`].
    pub(super) fn check_chunk(&mut self, signature: &str, sha256: &[u8]) -> Result<(), S3Error> {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{}",
            self.timestamp,
            self.scope,
            self.previous,
            hex::encode(Sha256::digest(b"")),
            hex::encode(sha256)
        );
        self.check(&text, signature)
    }

    /// Checks the signature of the trailer, given its lines, each ended by one LF.
    ///
    /// # Errors
    /// [`Code::SignatureDoesNotMatch`].
    pub(super) fn check_trailer(&mut self, signature: &str, lines: &str) -> Result<(), S3Error> {
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}",
            self.timestamp,
            self.scope,
            self.previous,
            hex::encode(Sha256::digest(lines.as_bytes()))
        );
        self.check(&text, signature)
    }

    fn check(&mut self, text: &str, signature: &str) -> Result<(), S3Error> {
        if !matches(&self.key, text, signature) {
            return Err(signature_mismatch()
                .with("StringToSign", text.to_owned())
                .with("SignatureProvided", signature.to_owned()));
        }
        self.previous = signature.to_ascii_lowercase();
        Ok(())
    }
}

impl std::fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkSigner(…)")
    }
}
