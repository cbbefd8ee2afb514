//! Bodies: what is said of them is checked at their end, and how much of them is taken is bounded.

use axum::body::Body;
use futures_util::{StreamExt, stream};
use mogul_tracker::clock::SystemClock;

use super::*;
use crate::s3::{Identity, checksum, route::Query};

const SHA256_OF_HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const MD5_OF_HELLO: &str = "XUFAKrxLKna5cZ2REBfFkg==";
const LIMIT: u64 = 100;

fn request(payload: Payload, headers: &[(&'static str, &str)], body: Body) -> Request {
    let mut head = RequestHead::bare();
    head.query = Query::default();
    for (name, value) in headers {
        head.headers.append(*name, value.parse().unwrap());
    }
    Request {
        head,
        identity: Identity::Anonymous,
        payload,
        body,
    }
}

fn plain(sha256: Option<&str>) -> Payload {
    Payload::Plain {
        sha256: sha256.map(|text| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes).unwrap();
            bytes
        }),
    }
}

/// Reads a body as a store does: all of it, its digests, then the check.
async fn read(request: Request) -> Result<(Vec<u8>, Digest), S3Error> {
    let body = IncomingBody::bounded(request, LIMIT, Arc::new(SystemClock))?;
    let expectations = body.expectations.clone();
    let mut hasher = Hasher::new(&expectations.hashes());
    let mut data = Vec::new();
    let mut stream = body.into_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        hasher.update(&piece);
        data.extend_from_slice(&piece);
    }
    let digests = hasher.finish();
    expectations.check(u64::try_from(data.len()).unwrap(), &digests)?;
    Ok((data, digests.get(expectations.hash()).unwrap().clone()))
}

async fn code(payload: Payload, headers: &[(&'static str, &str)], body: &'static str) -> Option<Code> {
    let found = read(request(payload, headers, Body::from(body))).await;
    found.err().map(|error| error.code)
}

#[tokio::test]
async fn what_is_said_of_a_plain_body_must_hold() {
    let length = ("content-length", "5");
    let zeros = "0".repeat(64);
    for (sha256, headers, expected) in [
        (Some(SHA256_OF_HELLO), &[length][..], None),
        (
            Some(zeros.as_str()),
            &[length],
            Some(Code::XAmzContentSha256Mismatch),
        ),
        (None, &[length, ("content-md5", MD5_OF_HELLO)], None),
        (
            None,
            &[length, ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")],
            Some(Code::BadDigest),
        ),
        (
            None,
            &[length, ("content-md5", "AAAA")],
            Some(Code::InvalidDigest),
        ),
        (None, &[length, ("content-md5", "")], Some(Code::InvalidDigest)),
        (None, &[length, ("x-amz-checksum-crc32", "NhCmhg==")], None),
        (
            None,
            &[length, ("x-amz-checksum-crc32", "AAAAAA==")],
            Some(Code::BadDigest),
        ),
        (
            None,
            &[length, ("x-amz-checksum-crc32", "AAAA")],
            Some(Code::InvalidRequest),
        ),
        (None, &[("content-length", "6")], Some(Code::IncompleteBody)),
        (None, &[("content-length", "4")], Some(Code::IncompleteBody)),
        (None, &[("content-length", "101")], Some(Code::EntityTooLarge)),
        (None, &[("content-length", "-1")], Some(Code::InvalidArgument)),
        (None, &[], Some(Code::MissingContentLength)),
        (None, &[("transfer-encoding", "chunked")], None),
        (
            None,
            &[length, ("x-amz-trailer", "x-amz-checksum-crc32")],
            Some(Code::InvalidRequest),
        ),
    ] {
        assert_eq!(
            code(plain(sha256), headers, "hello").await,
            expected,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn every_algorithm_is_taken_in_a_header_and_given_back() {
    for (name, value) in [
        ("crc32", "NhCmhg=="),
        ("crc32c", "mnG7TA=="),
        ("sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        ("sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
        ("md5", MD5_OF_HELLO),
        (
            "sha512",
            "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==",
        ),
    ] {
        let header: &'static str = Box::leak(format!("x-amz-checksum-{name}").into_boxed_str());
        let headers = [("content-length", "5"), (header, value)];

        let (_, digest) = read(request(plain(None), &headers, Body::from("hello")))
            .await
            .unwrap();

        assert_eq!(checksum::digest_text(&digest), value, "{name}");
    }
}

#[tokio::test]
async fn without_a_checksum_of_the_client_crc64nvme_is_kept() {
    let (_, digest) = read(request(
        plain(None),
        &[("content-length", "5")],
        Body::from("hello"),
    ))
    .await
    .unwrap();

    assert_eq!(digest.hash, HashType::Crc64Nvme);
}

#[tokio::test]
async fn a_framed_body_has_its_decoded_length_and_its_trailer() {
    const FRAMED: &str = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    const OTHER: &str = "5\r\nhellO\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    let length = |text| ("x-amz-decoded-content-length", text);
    for (body, headers, expected) in [
        (FRAMED, &[trailer, length("5")][..], None),
        (FRAMED, &[trailer], None),
        (OTHER, &[trailer, length("5")], Some(Code::BadDigest)),
        (FRAMED, &[trailer, length("4")], Some(Code::IncompleteBody)),
        (FRAMED, &[trailer, length("6")], Some(Code::IncompleteBody)),
        (FRAMED, &[trailer, length("many")], Some(Code::InvalidArgument)),
        (FRAMED, &[trailer, length("101")], Some(Code::EntityTooLarge)),
        (FRAMED, &[length("5")], Some(Code::MalformedTrailerError)),
        (
            FRAMED,
            &[trailer, length("5"), ("x-amz-checksum-crc32", "NhCmhg==")],
            Some(Code::InvalidRequest),
        ),
    ] {
        let payload = Payload::Chunked(Framing::UnsignedTrailer);

        assert_eq!(code(payload, headers, body).await, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_all_the_same() {
    let endless = || {
        Body::from_stream(stream::repeat(Ok::<_, std::fmt::Error>(Bytes::from_static(
            &[0; 64],
        ))))
    };
    let headers = [("transfer-encoding", "chunked")];

    let error = read(request(plain(None), &headers, endless())).await.unwrap_err();

    assert_eq!(error.code, Code::EntityTooLarge);
    let error = read_document(request(plain(None), &headers, endless()), 100)
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::MaxMessageLengthExceeded);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_incomplete() {
    let pieces = [
        Ok(Bytes::from_static(b"hel")),
        Err(std::io::Error::other("hung up")),
    ];
    let body = Body::from_stream(stream::iter(pieces));

    let error = read(request(plain(None), &[("content-length", "5")], body))
        .await
        .unwrap_err();

    assert_eq!(error.code, Code::IncompleteBody);
}

#[tokio::test]
async fn a_document_is_checked_like_an_object_and_is_never_framed() {
    let document = |payload, headers| read_document(request(payload, headers, Body::from("hello")), 5);

    assert_eq!(
        document(plain(Some(SHA256_OF_HELLO)), &[]).await.unwrap(),
        "hello"
    );
    let error = document(plain(None), &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")])
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::BadDigest);
    let framed = Payload::Chunked(Framing::UnsignedTrailer);
    assert_eq!(
        document(framed, &[]).await.unwrap_err().code,
        Code::InvalidRequest
    );
    let error = read_document(request(plain(None), &[], Body::from("hello!")), 5)
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::MaxMessageLengthExceeded);
}
