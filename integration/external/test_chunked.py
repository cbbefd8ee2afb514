"""aws-chunked bodies in every framing (s3.md §4)."""

import os

import pytest
from harness import chunked
from harness.chunked import CHUNK, SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, put
from harness.digests import header, value
from harness.wire import Wire

CRC = header("CRC32")


def trailer_for(kind, body):
    return None if kind == SIGNED else (CRC, value("CRC32", body))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 1_000_000])
@pytest.mark.parametrize("kind", [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_every_framing_is_taken_off(either, either_bucket, kind, size):
    wire, body = Wire(either), os.urandom(size)

    stored = put(wire, f"/{either_bucket}/k", body, kind, trailer_for(kind, body))

    assert stored.status == 200, stored
    got = wire.request("GET", f"/{either_bucket}/k")
    assert got.body == body
    assert "Content-Encoding" not in got.headers


@pytest.mark.parametrize(
    "sent, kept",
    [("gzip,aws-chunked", "gzip"), ("aws-chunked, gzip", "gzip"), ("aws-chunked", None), (None, None)],
)
def test_only_the_other_encodings_are_kept(wire, bucket, sent, kept):
    stored = put(wire, f"/{bucket}/k", b"x" * 100, SIGNED, headers=[("content-encoding", sent)])

    assert stored.status == 200, stored
    assert wire.request("HEAD", f"/{bucket}/k").headers.get("Content-Encoding") == kept


def test_a_part_is_framed_as_well(wire, s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    body = os.urandom(100_000)

    answer = put(wire, f"/{bucket}/k", body, SIGNED, query=f"partNumber=1&uploadId={upload}")

    assert answer.status == 200, answer
    assert s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"][0]["Size"] == 100_000


def refused(wire, bucket, kind, status, codes, body=b"z" * 100_000, **how):
    trailer = how.pop("trailer", trailer_for(kind, body))
    answer = put(wire, f"/{bucket}/k", body, kind, trailer, **how)
    assert answer.status == status and answer.code() in codes, answer
    assert wire.request("HEAD", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("spoil", [0, 1, 2])
def test_a_chunk_with_a_wrong_signature(wire, bucket, spoil):
    refused(wire, bucket, SIGNED, 403, ["SignatureDoesNotMatch"], spoil=spoil)


def test_a_trailer_with_a_wrong_signature(wire, bucket):
    refused(wire, bucket, SIGNED_TRAILER, 403, ["SignatureDoesNotMatch"], spoil="trailer")


@pytest.mark.parametrize("kind", [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize(
    "change",
    [
        lambda framed: framed[: len(framed) // 2],
        lambda framed: b"zz" + framed[2:],
        lambda framed: framed.replace(b"\r\n", b"__", 1),
    ],
)
def test_a_broken_frame(wire, bucket, kind, change):
    refused(
        wire, bucket, kind, 400, ["IncompleteBody", "MalformedTrailerError", "InvalidRequest"], change=change
    )


@pytest.mark.parametrize("kind", [SIGNED, UNSIGNED_TRAILER])
@pytest.mark.parametrize("length", [99_999, 100_001, 0])
def test_a_length_that_was_not_true(wire, bucket, kind, length):
    refused(wire, bucket, kind, 400, ["IncompleteBody"], decoded_length=length)


@pytest.mark.parametrize(
    "length, status, code",
    [(None, 411, "MissingContentLength"), ("x", 400, "InvalidArgument"), ("-1", 400, "InvalidArgument")],
)
def test_the_length_must_be_told(wire, bucket, length, status, code):
    answer = put(wire, f"/{bucket}/k", b"x", SIGNED, headers=[("x-amz-decoded-content-length", length)])

    assert (answer.status, answer.code()) == (status, code), answer


def test_small_chunks_are_refused_when_signed(wire, bucket):
    refused(wire, bucket, SIGNED, 400, ["InvalidChunkSizeError"], size=8191)
    assert put(wire, f"/{bucket}/k", b"z" * 100_000, SIGNED, size=8192).status == 200


@pytest.mark.parametrize(
    "trailer, announced",
    [
        ((header("CRC32"), "nonsense"), None),
        ((header("CRC32"), value("CRC32", b"z" * 100_000)), header("SHA1")),
        (("x-amz-checksum-crc16", "AAAA"), None),
    ],
)
def test_a_trailer_that_makes_no_sense(wire, bucket, trailer, announced):
    headers = [("x-amz-trailer", announced)] if announced else []

    refused(
        wire,
        bucket,
        UNSIGNED_TRAILER,
        400,
        ["MalformedTrailerError", "InvalidRequest"],
        trailer=trailer,
        headers=headers,
    )


def test_framings_are_for_objects_and_parts_only(wire, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    answer = put(wire, f"/{bucket}/k", b"<Tagging><TagSet/></Tagging>", SIGNED, query="tagging")

    assert (answer.status, answer.code()) == (400, "InvalidRequest")


def test_what_we_cannot_verify_is_not_served(wire, bucket):
    headers = {
        "x-amz-content-sha256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "x-amz-decoded-content-length": "1",
    }

    assert wire.request("PUT", f"/{bucket}/k", headers=headers, body=b"x").status == 501


def test_spaces_and_line_ends_of_other_writers(wire, bucket):
    body = b"z" * 10_000
    for change in (
        lambda framed: framed.replace(CRC.encode() + b":", CRC.encode() + b" : "),
        lambda framed: framed.removesuffix(b"\r\n"),
    ):
        stored = put(
            wire, f"/{bucket}/k", body, UNSIGNED_TRAILER, trailer_for(UNSIGNED_TRAILER, body), change=change
        )
        assert stored.status == 200, stored


def test_chunked_http_may_carry_the_frames(either, either_bucket):
    """botocore over https: Transfer-Encoding chunked, aws-chunked inside, no Content-Length."""
    wire, body = Wire(either), os.urandom(300_000)
    sent = [
        ("x-amz-content-sha256", UNSIGNED_TRAILER),
        ("x-amz-decoded-content-length", str(len(body))),
        ("x-amz-trailer", CRC),
    ]
    headers, _ = wire.signed_headers("PUT", f"/{either_bucket}/k", "", sent, payload_hash=UNSIGNED_TRAILER)
    framed = chunked.unsigned_body(body, (CRC, value("CRC32", body)))
    http = (
        b"".join(b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in chunked.pieces(framed, 40_000))
        + b"0\r\n\r\n"
    )

    stored = wire.send("PUT", f"/{either_bucket}/k", [*headers, ("transfer-encoding", "chunked")], http)

    assert stored.status == 200, stored
    assert wire.request("GET", f"/{either_bucket}/k").body == body
