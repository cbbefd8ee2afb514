//! The `aws-chunked` framing of bodies: a decoder that holds one line at most (s3.md, 4.2).
//!
//! Signed: `hex(length);chunk-signature=…CRLF data CRLF`, ended by a chunk of length 0. With a trailer, lines
//! `name:value` follow, and for the signed form `x-amz-trailer-signature:…`. Data leaves the decoder before the
//! signature of its chunk is known to be right, so nothing may be kept of a body that did not end well: whoever stores
//! it asks at the end, by [`Decoder::finish`].

use bytes::{Buf, Bytes};
use mogul_storage::{Digest, HashType};
use sha2::{Digest as _, Sha256};

use super::sigv4::ChunkSigner;
use crate::s3::{
    checksum,
    error::{Code, S3Error},
};

/// Longest line before a chunk, in bytes.
const CHUNK_LINE_BYTES_MAX: usize = 1024;

/// Longest trailer section in bytes.
const TRAILER_BYTES_MAX: usize = 8192;

/// Smallest signed chunk but the last, in bytes (AWS).
const SIGNED_CHUNK_BYTES_MIN: u64 = 8192;

/// Which of the framings a body has.
#[derive(Debug)]
pub enum Framing {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    Signed(ChunkSigner),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    SignedTrailer(ChunkSigner),
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedTrailer,
}

/// Takes a framed body apart.
#[derive(Debug)]
pub struct Decoder {
    signer: Option<ChunkSigner>,
    trailer: Trailer,
    state: State,
    line: Vec<u8>,
    chunk: Chunk,
}

/// The chunk at hand.
#[derive(Debug, Default)]
struct Chunk {
    number: u64,
    length: u64,
    signature: String,
    sha256: Sha256,
}

#[derive(Debug)]
struct Trailer {
    /// Whether the framing has one.
    expected: bool,
    /// The checksum that is announced for it.
    announced: Option<HashType>,
    value: Option<Digest>,
    /// The lines as they are signed.
    lines: String,
    bytes: usize,
    signed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the line before a chunk.
    ChunkLine,
    /// In the data of a chunk; so many bytes are missing.
    Data(u64),
    /// In the line end after the data.
    DataEnd,
    /// In the lines after the last chunk.
    Trailer,
    /// Behind everything.
    Done,
}

impl Decoder {
    /// A decoder of this framing; `announced` is the checksum that shall come in the trailer.
    #[must_use]
    pub fn new(framing: Framing, announced: Option<HashType>) -> Decoder {
        let (signer, expected) = match framing {
            Framing::Signed(signer) => (Some(signer), false),
            Framing::SignedTrailer(signer) => (Some(signer), true),
            Framing::UnsignedTrailer => (None, true),
        };
        Decoder {
            signer,
            trailer: Trailer {
                expected,
                announced,
                value: None,
                lines: String::new(),
                bytes: 0,
                signed: false,
            },
            state: State::ChunkLine,
            line: Vec::new(),
            chunk: Chunk::default(),
        }
    }

    /// Takes framed bytes from the front of `input` and answers the next data in them; `None` when `input` is used up.
    ///
    /// # Errors
    /// Those of s3.md 4.2; the body is then of no use.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, S3Error> {
        while !input.is_empty() {
            match self.state {
                State::Data(missing) => return self.data(input, missing).map(Some),
                State::ChunkLine => {
                    if let Some(line) = self.take_line(input, CHUNK_LINE_BYTES_MAX)? {
                        self.chunk_line(&line)?;
                    }
                }
                State::DataEnd => self.data_end(input)?,
                State::Trailer => {
                    if let Some(line) = self.take_line(input, TRAILER_BYTES_MAX)? {
                        self.trailer_line(&line)?;
                    }
                }
                State::Done => blank(input)?,
            }
        }
        Ok(None)
    }

    /// Says whether the body is whole, and gives the checksum of its trailer.
    ///
    /// # Errors
    /// [`Code::IncompleteBody`] if the body ended early; [`Code::MalformedTrailerError`] if the trailer lacks what was
    /// announced; [`Code::SignatureDoesNotMatch`].
    pub fn finish(&mut self) -> Result<Option<Digest>, S3Error> {
        // The last line end may be missing: not every client sends it.
        if self.state == State::Trailer && !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.trailer_line(&line)?;
        }
        match self.state {
            State::Trailer | State::Done => {}
            State::ChunkLine | State::Data(_) | State::DataEnd => return Err(incomplete()),
        }
        let trailer = &mut self.trailer;
        if trailer.announced.is_some() && trailer.value.is_none() {
            return Err(malformed_trailer());
        }
        // A trailer whose signature was left out would be one that anybody on the way can write.
        if trailer.expected && self.signer.is_some() && !trailer.signed && !trailer.lines.is_empty() {
            return Err(malformed_trailer());
        }
        Ok(trailer.value.take())
    }

    fn data(&mut self, input: &mut Bytes, missing: u64) -> Result<Bytes, S3Error> {
        let length = usize::try_from(missing).map_or(input.len(), |missing| missing.min(input.len()));
        let data = input.split_to(length);
        let left = missing - u64::try_from(length).expect("at most `missing`, which is a u64");
        if self.signer.is_some() {
            self.chunk.sha256.update(&data);
        }
        self.state = State::Data(left);
        if left == 0 {
            self.check_chunk()?;
            self.state = State::DataEnd;
        }
        Ok(data)
    }

    fn data_end(&mut self, input: &mut Bytes) -> Result<(), S3Error> {
        match input.get_u8() {
            b'\r' if self.line.is_empty() => self.line.push(b'\r'),
            b'\n' => {
                self.line.clear();
                self.state = State::ChunkLine;
            }
            _ => return Err(incomplete()),
        }
        Ok(())
    }

    /// Collects a line without its end; `None` while the end is missing.
    fn take_line(&mut self, input: &mut Bytes, bytes_max: usize) -> Result<Option<Vec<u8>>, S3Error> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let piece = input.split_to(end.unwrap_or(input.len()));
        if self.line.len() + piece.len() > bytes_max {
            return Err(incomplete());
        }
        self.line.extend_from_slice(&piece);
        if end.is_none() {
            return Ok(None);
        }
        input.advance(1);
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn chunk_line(&mut self, line: &[u8]) -> Result<(), S3Error> {
        let text = std::str::from_utf8(line).map_err(|_| incomplete())?;
        let mut fields = text.split(';').map(str::trim);
        let digits = fields.next().unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(incomplete());
        }
        let length = u64::from_str_radix(digits, 16).map_err(|_| incomplete())?;
        let before = std::mem::take(&mut self.chunk);
        if self.signer.is_some() && length > 0 && before.number > 0 && before.length < SIGNED_CHUNK_BYTES_MIN
        {
            return Err(S3Error::new(
                Code::InvalidChunkSizeError,
                "Only the last chunk is allowed to have a size less than 8192 bytes",
            )
            .with("Chunk", before.number.to_string())
            .with("BadChunkSize", before.length.to_string()));
        }
        self.chunk.number = before.number.saturating_add(1);
        self.chunk.length = length;
        if self.signer.is_some() {
            let signature = fields.find_map(|field| field.strip_prefix("chunk-signature="));
            signature
                .ok_or_else(incomplete)?
                .clone_into(&mut self.chunk.signature);
        }
        if length > 0 {
            self.state = State::Data(length);
            return Ok(());
        }
        self.check_chunk()?;
        self.state = if self.trailer.expected {
            State::Trailer
        } else {
            State::Done
        };
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), S3Error> {
        let Some(signer) = &mut self.signer else {
            return Ok(());
        };
        let sha256 = std::mem::take(&mut self.chunk.sha256).finalize();
        signer.check_chunk(&self.chunk.signature, &sha256)
    }

    fn trailer_line(&mut self, line: &[u8]) -> Result<(), S3Error> {
        self.trailer.bytes += line.len() + 1;
        if self.trailer.bytes > TRAILER_BYTES_MAX {
            return Err(malformed_trailer());
        }
        if line.trim_ascii().is_empty() {
            self.trailer_blank();
            return Ok(());
        }
        let text = std::str::from_utf8(line).map_err(|_| malformed_trailer())?;
        let (name, value) = text.split_once(':').ok_or_else(malformed_trailer)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "x-amz-trailer-signature" {
            return self.trailer_signature(value);
        }
        // What follows the signature is not signed.
        if self.trailer.signed || self.trailer.value.is_some() {
            return Err(malformed_trailer());
        }
        let hash = checksum::parse_header_name(&name).filter(|hash| self.trailer.announced == Some(*hash));
        let hash = hash.ok_or_else(malformed_trailer)?;
        self.trailer.value = Some(checksum::parse_value(hash, value)?);
        self.trailer.lines = format!("{name}:{value}\n");
        Ok(())
    }

    /// A blank line ends the trailer; some clients also send one before it.
    fn trailer_blank(&mut self) {
        let all_here = self.trailer.announced.is_none() || self.trailer.value.is_some();
        if all_here && (self.signer.is_none() || self.trailer.signed || self.trailer.announced.is_none()) {
            self.state = State::Done;
        }
    }

    fn trailer_signature(&mut self, signature: &str) -> Result<(), S3Error> {
        let Some(signer) = &mut self.signer else {
            return Err(malformed_trailer());
        };
        if self.trailer.signed {
            return Err(malformed_trailer());
        }
        signer.check_trailer(signature, &self.trailer.lines)?;
        self.trailer.signed = true;
        Ok(())
    }
}

/// Behind the end only line ends may follow.
fn blank(input: &mut Bytes) -> Result<(), S3Error> {
    if input.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
        return Err(incomplete());
    }
    input.clear();
    Ok(())
}

/// The refusal of a body that is shorter, longer or otherwise than its frame says.
#[must_use]
pub(super) fn incomplete() -> S3Error {
    S3Error::new(
        Code::IncompleteBody,
        "The request body terminated unexpectedly, or is not framed as its headers say.",
    )
}

fn malformed_trailer() -> S3Error {
    S3Error::new(
        Code::MalformedTrailerError,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    )
}
