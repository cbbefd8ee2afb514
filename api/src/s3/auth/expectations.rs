//! What was said of a body, and whether it holds.

use std::sync::{Arc, OnceLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use mogul_storage::{Digest, Digests, HashType};

use super::{
    chunked::{Framing, incomplete},
    payload::Payload,
};
use crate::s3::{
    RequestHead,
    checksum::{self, Announced},
    error::{Code, S3Error},
};

/// What was said of a body.
#[derive(Debug, Clone)]
pub struct Expectations {
    pub(super) length: Option<u64>,
    sha256: Option<[u8; 32]>,
    md5: Option<[u8; 16]>,
    checksum: Announced,
    pub(super) trailer: Arc<OnceLock<Digest>>,
    /// The algorithm whose value is kept if the client sends none.
    default_hash: HashType,
}

impl Expectations {
    /// Reads them from the head of a request; the length is set by who knows the framing.
    pub(super) fn of(head: &RequestHead, payload: &Payload) -> Result<Expectations, S3Error> {
        let sha256 = match payload {
            Payload::Plain { sha256 } => *sha256,
            Payload::Chunked(_) => None,
        };
        let checksum = checksum::announced(head)?;
        let no_trailer = match payload {
            Payload::Plain { .. } | Payload::Chunked(Framing::Signed(_)) => true,
            Payload::Chunked(Framing::SignedTrailer(_) | Framing::UnsignedTrailer) => false,
        };
        if no_trailer && matches!(checksum, Announced::Trailer(_)) {
            return Err(S3Error::new(
                Code::InvalidRequest,
                "x-amz-trailer is given, but the x-amz-content-sha256 is not one of a payload with a trailer.",
            ));
        }
        Ok(Expectations {
            length: None,
            sha256,
            md5: content_md5(head)?,
            checksum,
            trailer: Arc::default(),
            default_hash: HashType::Crc64Nvme,
        })
    }

    /// Of a body that comes from this server itself, of which this checksum shall be kept.
    pub(super) fn internal(length: u64, hash: HashType) -> Expectations {
        Expectations {
            length: Some(length),
            sha256: None,
            md5: None,
            checksum: Announced::Nothing,
            trailer: Arc::default(),
            default_hash: hash,
        }
    }

    /// The digests to compute: what is to be checked, and what is always kept.
    #[must_use]
    pub fn hashes(&self) -> Vec<HashType> {
        let mut hashes = vec![HashType::Md5, HashType::Crc64Nvme];
        let sha256 = self.sha256.map(|_| HashType::Sha256);
        for hash in [Some(self.hash()), sha256].into_iter().flatten() {
            if !hashes.contains(&hash) {
                hashes.push(hash);
            }
        }
        hashes
    }

    /// The algorithm of the checksum that is kept.
    #[must_use]
    pub fn hash(&self) -> HashType {
        self.sent_hash().unwrap_or(self.default_hash)
    }

    /// The algorithm of the checksum that the client sends, if it sends one.
    #[must_use]
    pub fn sent_hash(&self) -> Option<HashType> {
        match &self.checksum {
            Announced::Nothing => None,
            Announced::Value(digest) => Some(digest.hash),
            Announced::Trailer(hash) => Some(*hash),
        }
    }

    /// Asks for this checksum if the client sends none: an upload may have declared one.
    pub fn default_hash(&mut self, hash: HashType) {
        self.default_hash = hash;
    }

    /// The algorithm of the checksum that shall come in the trailer.
    pub(super) fn announced_trailer(&self) -> Option<HashType> {
        match &self.checksum {
            Announced::Trailer(hash) => Some(*hash),
            Announced::Nothing | Announced::Value(_) => None,
        }
    }

    /// Compares what came with what was said.
    ///
    /// # Errors
    /// [`Code::IncompleteBody`], [`Code::XAmzContentSha256Mismatch`], [`Code::BadDigest`].
    pub fn check(&self, size: u64, digests: &Digests) -> Result<(), S3Error> {
        if self.length.is_some_and(|length| length != size) {
            return Err(S3Error::new(
                Code::IncompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header.",
            ));
        }
        let of = |hash| {
            digests
                .get(hash)
                .map(|digest| digest.bytes.as_slice())
                .unwrap_or_default()
        };
        if let Some(sha256) = &self.sha256
            && of(HashType::Sha256) != sha256
        {
            return Err(S3Error::new(
                Code::XAmzContentSha256Mismatch,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
            .with("ClientComputedContentSHA256", hex::encode(sha256))
            .with("S3ComputedContentSHA256", hex::encode(of(HashType::Sha256))));
        }
        if let Some(md5) = &self.md5
            && of(HashType::Md5) != md5
        {
            return Err(S3Error::new(
                Code::BadDigest,
                "The Content-MD5 you specified did not match what we received.",
            )
            .with("ExpectedDigest", BASE64_STANDARD.encode(md5))
            .with("CalculatedDigest", BASE64_STANDARD.encode(of(HashType::Md5))));
        }
        let sent = match &self.checksum {
            Announced::Nothing => return Ok(()),
            Announced::Value(digest) => digest,
            Announced::Trailer(_) => self.trailer.get().ok_or_else(incomplete)?,
        };
        if of(sent.hash) == sent.bytes {
            return Ok(());
        }
        Err(S3Error::new(
            Code::BadDigest,
            format!(
                "The {} you specified did not match the calculated checksum.",
                checksum::name(sent.hash)
            ),
        ))
    }
}

fn content_md5(head: &RequestHead) -> Result<Option<[u8; 16]>, S3Error> {
    let Some(text) = head.headers.get("content-md5") else {
        return Ok(None);
    };
    let text = text.to_str().unwrap_or_default();
    let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
    let md5 = <[u8; 16]>::try_from(bytes).map_err(|_| {
        S3Error::new(Code::InvalidDigest, "The Content-MD5 you specified is not valid.")
            .with("Content-MD5", text.to_owned())
    })?;
    Ok(Some(md5))
}
