//! A body on its way in: unframed, bounded, and checked at its end against all that was said of it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::body::BodyDataStream;
use bytes::{Bytes, BytesMut};
use futures_util::{
    Stream, StreamExt, TryStreamExt,
    future::{Either, select},
    stream::{self, BoxStream},
};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use mogul_storage::{Digest, HashType, Hasher};
use mogul_tracker::clock::Clock;

use super::{
    chunked::{Decoder, Framing, incomplete},
    expectations::Expectations,
    sigv4::ChunkSigner,
};
use crate::s3::{
    Request, RequestHead, S3,
    error::{Code, S3Error},
};

/// A body of which nothing comes for so long is given up.
const STALL_MAX: Duration = Duration::from_mins(1);

/// How a body is framed, and what is signed of it.
#[derive(Debug)]
pub enum Payload {
    /// As it is; with its SHA-256 if that is signed.
    Plain {
        /// The signed SHA-256.
        sha256: Option<[u8; 32]>,
    },
    /// `aws-chunked`.
    Chunked(Framing),
}

/// A body to be read to its end.
pub struct IncomingBody {
    /// Its size in bytes without the framing, if that was said.
    pub length: Option<u64>,
    /// What must hold at its end.
    pub expectations: Expectations,
    stream: BoxStream<'static, Result<Bytes, S3Error>>,
}

impl Payload {
    /// Reads the signed `x-amz-content-sha256` of a request.
    pub(super) fn signed(text: &str, signer: ChunkSigner) -> Result<Payload, S3Error> {
        match text {
            "UNSIGNED-PAYLOAD" => Ok(Payload::Plain { sha256: None }),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Payload::Chunked(Framing::Signed(signer))),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Ok(Payload::Chunked(Framing::SignedTrailer(signer)))
            }
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Payload::Chunked(Framing::UnsignedTrailer)),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => Err(S3Error::new(
                Code::NotImplemented,
                "Payloads signed by SigV4A are not implemented.",
            )),
            _ => {
                let mut sha256 = [0; 32];
                hex::decode_to_slice(text, &mut sha256).map_err(|_| invalid_sha256(text))?;
                Ok(Payload::Plain { sha256: Some(sha256) })
            }
        }
    }

    /// Reads the `x-amz-content-sha256` of an anonymous request.
    pub(super) fn unsigned(text: Option<&str>) -> Result<Payload, S3Error> {
        match text {
            None | Some("UNSIGNED-PAYLOAD") => Ok(Payload::Plain { sha256: None }),
            Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER") => Ok(Payload::Chunked(Framing::UnsignedTrailer)),
            Some(_) => Err(S3Error::new(
                Code::InvalidRequest,
                "Anonymous requests cannot sign their payload; x-amz-content-sha256 must be UNSIGNED-PAYLOAD.",
            )),
        }
    }
}

fn invalid_sha256(text: &str) -> S3Error {
    S3Error::new(
        Code::InvalidArgument,
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.",
    )
    .with("ArgumentName", "x-amz-content-sha256")
    .with("ArgumentValue", text.to_owned())
}

/// Reads a small body whole, such as a document, and checks it.
///
/// # Errors
/// [`Code::MaxMessageLengthExceeded`] above `bytes_max` bytes; [`Code::InvalidRequest`] for `aws-chunked` framing, which only objects
/// and parts may have; those of [`IncomingBody::read`].
pub async fn read_document(request: Request, bytes_max: usize) -> Result<Bytes, S3Error> {
    let too_long = || {
        S3Error::new(Code::MaxMessageLengthExceeded, "Your request was too big.")
            .with("MaxMessageLengthBytes", bytes_max.to_string())
    };
    match request.payload {
        Payload::Plain { .. } => {}
        Payload::Chunked(_) => {
            return Err(S3Error::new(
                Code::InvalidRequest,
                "The x-amz-content-sha256 of this operation cannot be a STREAMING one.",
            ));
        }
    }
    let mut expectations = Expectations::of(&request.head, &request.payload)?;
    expectations.length = content_length(&request.head)?;
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    if expectations.length.is_some_and(|length| length > limit) {
        return Err(too_long());
    }
    let mut hasher = Hasher::new(&expectations.hashes());
    let mut document = BytesMut::new();
    let mut body = request.body.into_data_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| broken(&error))?;
        if document.len() + piece.len() > bytes_max {
            return Err(too_long());
        }
        hasher.update(&piece);
        document.extend_from_slice(&piece);
    }
    let size = u64::try_from(document.len()).unwrap_or(u64::MAX);
    expectations.check(size, &hasher.finish())?;
    Ok(document.freeze())
}

impl IncomingBody {
    /// Reads what the head says of an object's or a part's body, and makes its stream of data. Nothing is read yet.
    ///
    /// # Errors
    /// [`Code::MissingContentLength`], [`Code::EntityTooLarge`] above the limit of the server, [`Code::InvalidDigest`], [`Code::InvalidRequest`],
    /// [`Code::InvalidArgument`].
    pub fn read(s3: &S3, request: Request) -> Result<IncomingBody, S3Error> {
        Self::bounded(request, s3.config.put_bytes_max, Arc::clone(&s3.clock))
    }

    fn bounded(request: Request, bytes_max: u64, clock: Arc<dyn Clock>) -> Result<IncomingBody, S3Error> {
        let Request {
            head, payload, body, ..
        } = request;
        let mut expectations = Expectations::of(&head, &payload)?;
        let length = length(&head, &payload)?;
        expectations.length = length;
        if let Some(length) = length
            && length > bytes_max
        {
            return Err(too_large(length, bytes_max));
        }
        let decoder = match payload {
            Payload::Plain { .. } => None,
            Payload::Chunked(framing) => Some(Decoder::new(framing, expectations.announced_trailer())),
        };
        let reader = Reader {
            body: body.into_data_stream(),
            clock,
            decoder,
            framed: Bytes::new(),
            size: 0,
            length,
            bytes_max,
            trailer: Arc::clone(&expectations.trailer),
        };
        let stream = stream::try_unfold(reader, |mut reader| async move {
            Ok(reader.next().await?.map(|data| (data, reader)))
        });
        Ok(IncomingBody {
            length,
            expectations,
            stream: stream.boxed(),
        })
    }

    /// A body that comes from this server itself; `hash` is the checksum to be kept of it.
    pub fn internal<S>(length: u64, hash: HashType, stream: S) -> IncomingBody
    where
        S: Stream<Item = Result<Bytes, S3Error>> + Send + 'static,
    {
        IncomingBody {
            length: Some(length),
            expectations: Expectations::internal(length, hash),
            stream: stream.boxed(),
        }
    }

    /// The data.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, S3Error>> {
        self.stream
    }
}

struct Reader {
    body: BodyDataStream,
    clock: Arc<dyn Clock>,
    decoder: Option<Decoder>,
    /// What came and was not yet decoded.
    framed: Bytes,
    size: u64,
    length: Option<u64>,
    bytes_max: u64,
    trailer: Arc<OnceLock<Digest>>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            let data = match &mut self.decoder {
                None => std::mem::take(&mut self.framed),
                Some(decoder) => decoder.next(&mut self.framed)?.unwrap_or_default(),
            };
            if !data.is_empty() {
                self.count(data.len())?;
                return Ok(Some(data));
            }
            match self.receive().await? {
                Some(framed) => self.framed = framed,
                None => break,
            }
        }
        if let Some(decoder) = &mut self.decoder
            && let Some(value) = decoder.finish()?
        {
            // Set once: after the end nobody asks again.
            self.trailer.get_or_init(|| value);
        }
        Ok(None)
    }

    /// The next bytes from the wire; a client that stalls must not hold a reserved fid for ever.
    async fn receive(&mut self) -> Result<Option<Bytes>, S3Error> {
        let patience = self.clock.sleep(STALL_MAX);
        match select(self.body.try_next(), patience).await {
            Either::Left((received, _)) => received.map_err(|error| broken(&error)),
            Either::Right(((), _)) => Err(S3Error::new(
                Code::RequestTimeout,
                "Your socket connection to the server was not read from or written to within the timeout period.",
            )),
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), S3Error> {
        self.size = self.size.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        match self.length {
            Some(length) if self.size > length => Err(incomplete()),
            None if self.size > self.bytes_max => Err(too_large(self.size, self.bytes_max)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The size without framing: `Content-Length`, or `x-amz-decoded-content-length` for a framed body.
fn length(head: &RequestHead, payload: &Payload) -> Result<Option<u64>, S3Error> {
    let missing = || {
        S3Error::new(
            Code::MissingContentLength,
            "You must provide the Content-Length HTTP header.",
        )
    };
    match payload {
        Payload::Plain { .. } => match content_length(head)? {
            Some(length) => Ok(Some(length)),
            // AWS refuses a plain body in HTTP chunks; we take it.
            None if head.headers.contains_key(TRANSFER_ENCODING) => Ok(None),
            None => Err(missing()),
        },
        Payload::Chunked(framing) => {
            let decoded = head.header("x-amz-decoded-content-length");
            match (decoded, framing) {
                (Some(text), _) => number("x-amz-decoded-content-length", text).map(Some),
                // botocore leaves it out when it cannot know the size.
                (None, Framing::SignedTrailer(_) | Framing::UnsignedTrailer) => Ok(None),
                (None, Framing::Signed(_)) => Err(missing()),
            }
        }
    }
}

fn content_length(head: &RequestHead) -> Result<Option<u64>, S3Error> {
    head.header(CONTENT_LENGTH.as_str())
        .map(|text| number("Content-Length", text))
        .transpose()
}

fn number(name: &'static str, text: &str) -> Result<u64, S3Error> {
    text.trim().parse().map_err(|_| {
        S3Error::new(
            Code::InvalidArgument,
            format!("The {name} header must be a number."),
        )
        .with("ArgumentName", name)
        .with("ArgumentValue", text.to_owned())
    })
}

fn too_large(size: u64, size_max: u64) -> S3Error {
    S3Error::new(
        Code::EntityTooLarge,
        "Your proposed upload exceeds the maximum allowed size",
    )
    .with("ProposedSize", size.to_string())
    .with("MaxSizeAllowed", size_max.to_string())
}

/// The client hung up, or its HTTP was broken.
fn broken(error: &axum::Error) -> S3Error {
    tracing::debug!(%error, "the body ended early");
    incomplete()
}

#[cfg(test)]
#[path = "tests/payload.rs"]
mod tests;
