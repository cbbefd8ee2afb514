//! Framed bodies: made by the independent signer, decoded in every split, and with everything that can be wrong.

use aws_sigv4::sign::v4::{SigningParams, sign_chunk, sign_trailer};
use bytes::Bytes;
use mogul_storage::{Digest, HashType};

use super::{
    super::chunked::{Decoder, Framing},
    *,
};

const CRC32_OF_HELLO: &str = "NhCmhg==";

/// Decodes a framed body given in pieces.
pub(super) fn decode(
    payload: Payload,
    announced: Option<HashType>,
    pieces: &[&[u8]],
) -> Result<(Vec<u8>, Option<Digest>), S3Error> {
    let framing = match payload {
        Payload::Chunked(framing) => framing,
        Payload::Plain { .. } => panic!("the payload is not framed"),
    };
    let mut decoder = Decoder::new(framing, announced);
    let mut data = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(found) = decoder.next(&mut input)? {
            data.extend_from_slice(&found);
        }
    }
    Ok((data, decoder.finish()?))
}

fn unsigned(body: &[u8], announced: Option<HashType>) -> Result<(Vec<u8>, Option<Digest>), S3Error> {
    decode(Payload::Chunked(Framing::UnsignedTrailer), announced, &[body])
}

/// A request whose body is signed in chunks by the independent signer; the body's frame is built here.
struct SignedBody {
    request: Signed,
    signature: String,
    framed: Vec<u8>,
}

impl SignedBody {
    fn new(payload: &str) -> SignedBody {
        let body = SignableBody::Precomputed(payload.to_owned());
        let request = signed("PUT", "/b/k", &[], body, Into::Headers);
        SignedBody {
            signature: request.signature.clone(),
            request,
            framed: Vec::new(),
        }
    }

    fn with_parameters<T>(work: impl FnOnce(&SigningParams<'_, ()>) -> T) -> T {
        let identity = identity();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(time())
            .settings(())
            .build()
            .unwrap();
        work(&parameters)
    }

    fn chunk(mut self, data: &[u8]) -> SignedBody {
        let data = Bytes::copy_from_slice(data);
        self.signature = Self::with_parameters(|parameters| {
            let output = sign_chunk(&data, &self.signature, parameters).unwrap();
            output.signature().to_owned()
        });
        let line = format!("{:x};chunk-signature={}\r\n", data.len(), self.signature);
        self.framed.extend_from_slice(line.as_bytes());
        self.framed.extend_from_slice(&data);
        if !data.is_empty() {
            self.framed.extend_from_slice(b"\r\n");
        }
        self
    }

    fn trailer(mut self, name: &'static str, value: &'static str) -> SignedBody {
        let mut headers = aws_smithy_runtime_api::http::Headers::new();
        headers.insert(name, value);
        self.signature = Self::with_parameters(|parameters| {
            let output = sign_trailer(&headers, &self.signature, parameters).unwrap();
            output.signature().to_owned()
        });
        let lines = format!("{name}:{value}\r\nx-amz-trailer-signature:{}\r\n", self.signature);
        self.framed.extend_from_slice(lines.as_bytes());
        self
    }

    fn end(mut self) -> SignedBody {
        self.framed.extend_from_slice(b"\r\n");
        self
    }

    fn decode(
        &self,
        announced: Option<HashType>,
        pieces: &[&[u8]],
    ) -> Result<(Vec<u8>, Option<Digest>), S3Error> {
        decode(check(&mut self.request.head()).unwrap(), announced, pieces)
    }
}

fn signed_body() -> SignedBody {
    SignedBody::new("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        .chunk(&[b'a'; 8192])
        .chunk(b"hello")
        .chunk(b"")
        .end()
}

fn signed_body_with_trailer() -> SignedBody {
    SignedBody::new("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
        .chunk(b"hello")
        .chunk(b"")
        .trailer("x-amz-checksum-crc32", CRC32_OF_HELLO)
        .end()
}

#[test]
fn every_split_of_a_framed_body_gives_the_same_data() {
    let trailer = Some(HashType::Crc32);
    let plain = b"5\r\nhello\r\n3\r\n, w\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let (data, digest) = unsigned(plain, trailer).unwrap();
    assert_eq!((data.as_slice(), digest.is_some()), (&b"hello, w"[..], true));
    for split in 0..=plain.len() {
        let (left, right) = plain.split_at(split);
        let payload = Payload::Chunked(Framing::UnsignedTrailer);
        let found = decode(payload, trailer, &[left, right]).unwrap();
        assert_eq!(found, (data.clone(), digest.clone()), "{split}");
    }
    let bytes: Vec<&[u8]> = plain.chunks(1).collect();
    let found = decode(Payload::Chunked(Framing::UnsignedTrailer), trailer, &bytes).unwrap();
    assert_eq!(found, (data, digest));

    let body = signed_body_with_trailer();
    for split in 0..=body.framed.len() {
        let (left, right) = body.framed.split_at(split);
        let (data, digest) = body.decode(trailer, &[left, right]).unwrap();
        assert_eq!(
            (data.as_slice(), digest.is_some()),
            (&b"hello"[..], true),
            "{split}"
        );
    }
}

#[test]
fn signed_chunks_are_accepted_and_no_byte_of_them_can_be_changed() {
    let body = signed_body();
    let (data, _) = body.decode(None, &[&body.framed]).unwrap();
    assert_eq!(data.len(), 8197);

    for at in (0..body.framed.len()).filter(|at| *at < 120 || at % 997 == 0 || *at > 8270) {
        let mut framed = body.framed.clone();
        framed[at] ^= 0x10;
        let found = body.decode(None, &[&framed]);
        assert!(found.is_err() || framed[at] == b'\r', "{at}");
    }
}

#[test]
fn a_signed_trailer_is_verified() {
    let body = signed_body_with_trailer();
    assert!(body.decode(Some(HashType::Crc32), &[&body.framed]).is_ok());
    let text = String::from_utf8(body.framed.clone()).unwrap();

    let other = text.replace(CRC32_OF_HELLO, "AAAAAA==");
    let error = body
        .decode(Some(HashType::Crc32), &[other.as_bytes()])
        .unwrap_err();
    assert_eq!(error.code, Code::SignatureDoesNotMatch);

    let unsigned = text.split("x-amz-trailer-signature").next().unwrap();
    let error = body
        .decode(Some(HashType::Crc32), &[unsigned.as_bytes()])
        .unwrap_err();
    assert_eq!(error.code, Code::MalformedTrailerError);
}

#[test]
fn a_chunk_of_another_request_is_refused() {
    let body = signed_body();
    let mut other = body.request.head();
    other.headers.insert(
        "x-amz-content-sha256",
        HeaderValue::from_static("UNSIGNED-PAYLOAD"),
    );
    assert!(check(&mut other).is_err());

    // The chunks in another order: each signature covers the one before.
    let swapped = SignedBody::new("STREAMING-AWS4-HMAC-SHA256-PAYLOAD").chunk(b"hello");
    let mut framed = swapped.framed.clone();
    framed.extend_from_slice(&swapped.framed);
    let error = body.decode(None, &[&framed]).unwrap_err();
    assert!([Code::SignatureDoesNotMatch, Code::InvalidChunkSizeError].contains(&error.code));
}

#[test]
fn an_empty_object_is_just_the_last_chunk() {
    let body = SignedBody::new("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        .chunk(b"")
        .end();
    assert_eq!(body.decode(None, &[&body.framed]).unwrap().0, b"");

    assert_eq!(unsigned(b"0\r\n\r\n", None).unwrap().0, b"");
}

#[test]
fn small_signed_chunks_are_refused_unless_they_are_last() {
    let body = SignedBody::new("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        .chunk(b"hello")
        .chunk(b"hello")
        .chunk(b"")
        .end();

    let error = body.decode(None, &[&body.framed]).unwrap_err();

    assert_eq!(error.code, Code::InvalidChunkSizeError);
    assert_eq!(
        error.members,
        [("Chunk", "1".to_owned()), ("BadChunkSize", "5".to_owned())]
    );
}

#[test]
fn frames_are_read_as_kindly_as_clients_write_them() {
    let trailer = Some(HashType::Crc32);
    for body in [
        &b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"[..],
        b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n",
        b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==",
        b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32 : NhCmhg== \r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Amz-Checksum-Crc32:NhCmhg==\n\n",
        b"5\r\nhello\r\n0\r\n\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
        b"0005\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n\r\n",
        b"5;ext=1\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
    ] {
        let found = unsigned(body, trailer);

        let text = String::from_utf8_lossy(body).into_owned();
        let (data, digest) = found.unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(data, b"hello", "{text:?}");
        assert_eq!(digest.unwrap().bytes, [0x36, 0x10, 0xa6, 0x86]);
    }
}

#[test]
fn broken_frames_are_refused() {
    use Code::*;
    for (body, code) in [
        (&b""[..], IncompleteBody),
        (b"5", IncompleteBody),
        (b"5\r\nhell", IncompleteBody),
        (b"5\r\nhello", IncompleteBody),
        (b"5\r\nhello\r\n", IncompleteBody),
        (b"5\r\nhelloX\r\n0\r\n\r\n", IncompleteBody),
        (b"4\r\nhello\r\n0\r\n\r\n", IncompleteBody),
        (b"g\r\nhello\r\n0\r\n\r\n", IncompleteBody),
        (b"-5\r\nhello\r\n0\r\n\r\n", IncompleteBody),
        (b"\r\nhello\r\n0\r\n\r\n", IncompleteBody),
        (b"10000000000000000\r\nhello\r\n0\r\n\r\n", IncompleteBody),
        (b"0\r\n\r\n", MalformedTrailerError),
        (b"0\r\nx-amz-checksum-crc32\r\n\r\n", MalformedTrailerError),
        (b"0\r\nx-amz-checksum-sha1:AAAA\r\n\r\n", MalformedTrailerError),
        (b"0\r\nx-amz-meta-a:b\r\n\r\n", MalformedTrailerError),
        (b"0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n", InvalidRequest),
        (
            b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
            MalformedTrailerError,
        ),
        (b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\nmore", IncompleteBody),
        (b"0\r\nx-amz-trailer-signature:00\r\n\r\n", MalformedTrailerError),
    ] {
        let error = unsigned(body, Some(HashType::Crc32)).unwrap_err();

        assert_eq!(error.code, code, "{:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn endless_lines_are_not_kept() {
    let line = vec![b'0'; 100_000];
    assert_eq!(unsigned(&line, None).unwrap_err().code, Code::IncompleteBody);

    let mut trailer = b"0\r\n".to_vec();
    trailer.extend(std::iter::repeat_n(b'a', 100_000));
    assert!(unsigned(&trailer, None).is_err());

    let mut blank = b"0\r\n".to_vec();
    blank.extend(std::iter::repeat_n(b'\n', 100_000));
    assert!(unsigned(&blank, Some(HashType::Crc32)).is_err());
}
