"""Checksums: ten algorithms, in header and trailer, of plain and multipart objects (s3.md §4.3)."""

import os

import pytest
from botocore.exceptions import ClientError
from conftest import boto
from harness import chunked
from harness.digests import ALGORITHMS, COMPOSITE, FULL_OBJECT, composite, header, value
from harness.wire import Wire

MIN = 5 * 2**20
BODY = os.urandom(70_000)
ENABLED = {"x-amz-checksum-mode": "ENABLED"}


def checksums(headers):
    return {
        name.lower(): text for name, text in headers.items() if name.lower().startswith("x-amz-checksum-")
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_in_a_header_is_checked_kept_and_shown(either, either_bucket, algorithm):
    wire, name, good = Wire(either), header(algorithm), value(algorithm, BODY)
    expected = {name: good, "x-amz-checksum-type": "FULL_OBJECT"}

    stored = wire.request("PUT", f"/{either_bucket}/k", headers={name: good}, body=BODY)

    assert stored.status == 200, stored
    assert checksums(stored.headers) == expected
    for method in ("GET", "HEAD"):
        assert checksums(wire.request(method, f"/{either_bucket}/k", headers=ENABLED).headers) == expected
        assert not checksums(wire.request(method, f"/{either_bucket}/k").headers)
    ranged = wire.request("GET", f"/{either_bucket}/k", headers={**ENABLED, "range": "bytes=0-9"})
    assert not checksums(ranged.headers)
    wrong = wire.request("PUT", f"/{either_bucket}/w", headers={name: value(algorithm, b"other")}, body=BODY)
    assert (wrong.status, wrong.code()) == (400, "BadDigest")
    assert wire.request("HEAD", f"/{either_bucket}/w").status == 404


@pytest.mark.parametrize("algorithm", ["XXHASH64", "XXHASH3", "XXHASH128"])
def test_each_way_in_which_xxhash_takes_a_length_agrees_with_another_implementation(wire, bucket, algorithm):
    # XXH3 has a way of its own for up to 16, 128, 240 and more bytes, XXH64 for up to 31; and both work in blocks.
    for length in (0, 1, 3, 4, 8, 9, 16, 17, 31, 32, 33, 128, 129, 240, 241, 1023, 1024, 1025, 65_537):
        body = BODY[:length]

        stored = wire.request("PUT", f"/{bucket}/k", headers={header(algorithm): value(algorithm, body)}, body=body)

        assert stored.status == 200, (length, stored)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", [chunked.UNSIGNED_TRAILER, chunked.SIGNED_TRAILER])
def test_a_checksum_in_a_trailer_is_checked_kept_and_shown(either, either_bucket, algorithm, kind):
    wire, name, good = Wire(either), header(algorithm), value(algorithm, BODY)

    stored = chunked.put(wire, f"/{either_bucket}/k", BODY, kind, (name, good))

    assert stored.status == 200, stored
    answer = wire.request("GET", f"/{either_bucket}/k", headers=ENABLED)
    assert answer.body == BODY
    assert checksums(answer.headers) == {name: good, "x-amz-checksum-type": "FULL_OBJECT"}
    wrong = chunked.put(wire, f"/{either_bucket}/w", BODY, kind, (name, value(algorithm, b"other")))
    assert (wrong.status, wrong.code()) == (400, "BadDigest"), wrong
    assert wire.request("HEAD", f"/{either_bucket}/w").status == 404


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_boto3_sends_and_verifies(either, either_bucket, algorithm):
    s3 = boto(either)

    s3.put_object(Bucket=either_bucket, Key="k", Body=BODY, ChecksumAlgorithm=algorithm)

    got = s3.get_object(Bucket=either_bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == BODY
    assert got[f"Checksum{algorithm}"] == value(algorithm, BODY)


def test_without_a_checksum_of_the_clients_the_server_makes_one(wire, bucket):
    stored = wire.request("PUT", f"/{bucket}/k", body=BODY)

    expected = {"x-amz-checksum-crc64nvme": value("CRC64NVME", BODY), "x-amz-checksum-type": "FULL_OBJECT"}
    assert checksums(stored.headers) == expected
    assert (
        checksums(wire.request("HEAD", f"/{bucket}/k", headers={"x-amz-checksum-mode": "enabled"}).headers)
        == expected
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": value("CRC32", BODY), "x-amz-checksum-sha1": value("SHA1", BODY)},
        {"x-amz-checksum-crc32": "nonsense"},
        {"x-amz-checksum-crc32": ""},
        {"x-amz-checksum-sha256": value("CRC32", BODY)},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
    ],
)
def test_checksums_that_make_no_sense_are_refused(wire, bucket, headers):
    answer = wire.request("PUT", f"/{bucket}/k", headers=headers, body=BODY)

    assert (answer.status, answer.code()) == (400, "InvalidRequest"), answer
    assert wire.request("HEAD", f"/{bucket}/k").status == 404


def start(wire, bucket, **headers):
    named = [(name.replace("_", "-"), text) for name, text in headers.items()]
    return wire.request("POST", f"/{bucket}/k", "uploads", headers=named)


def finish(wire, bucket, upload, parts, headers=()):
    body = "".join(
        f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag>{extra}</Part>" for n, etag, extra in parts
    )
    body = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()
    return wire.request("POST", f"/{bucket}/k", f"uploadId={upload}", headers=headers, body=body)


PARTS = [b"A" * MIN, b"tail of it"]
PAIRS = [(a, "COMPOSITE") for a in sorted(COMPOSITE)] + [(a, "FULL_OBJECT") for a in sorted(FULL_OBJECT)]


@pytest.mark.parametrize("algorithm, kind", PAIRS)
def test_multipart_checksums(wire, s3, bucket, algorithm, kind):
    parts = PARTS if algorithm not in ("CRC32C", "CRC64NVME") else [b"A" * 1000]
    created = start(
        wire, bucket, x_amz_checksum_algorithm=algorithm.lower(), x_amz_checksum_type=kind.lower()
    )
    assert created.status == 200, created
    assert created.headers["x-amz-checksum-algorithm"] == algorithm
    assert created.headers["x-amz-checksum-type"] == kind
    upload, listed = created.xml().findtext("UploadId"), []
    for number, part in enumerate(parts, 1):
        answer = wire.request(
            "PUT",
            f"/{bucket}/k",
            f"partNumber={number}&uploadId={upload}",
            [(header(algorithm), value(algorithm, part))],
            part,
        )
        assert answer.headers[header(algorithm)] == value(algorithm, part)
        element = f"<Checksum{algorithm}>{value(algorithm, part)}</Checksum{algorithm}>"
        listed.append((number, answer.headers["ETag"], element))

    completed = finish(wire, bucket, upload, listed)

    assert completed.status == 200, completed
    whole = composite(algorithm, parts) if kind == "COMPOSITE" else value(algorithm, b"".join(parts))
    assert completed.xml().findtext(f"Checksum{algorithm}") == whole
    assert completed.xml().findtext("ChecksumType") == kind
    head = wire.request("HEAD", f"/{bucket}/k", headers=ENABLED)
    assert checksums(head.headers) == {header(algorithm): whole, "x-amz-checksum-type": kind}
    part = wire.request("GET", f"/{bucket}/k", "partNumber=1", headers=ENABLED)
    assert part.headers[header(algorithm)] == value(algorithm, parts[0])
    entry = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (entry["ChecksumAlgorithm"], entry["ChecksumType"]) == ([algorithm], kind)
    attributes = wire.request(
        "GET", f"/{bucket}/k", "attributes", {"x-amz-object-attributes": "ObjectParts,Checksum,ETag"}
    ).xml()
    shown = [element.findtext(f"Checksum{algorithm}") for element in attributes.iter("Part")]
    assert shown == [value(algorithm, part) for part in parts]
    assert attributes.find("ObjectParts").findtext("PartsCount") == str(len(parts))


@pytest.mark.parametrize(
    "algorithm, kind",
    [
        ("CRC64NVME", "COMPOSITE"),
        ("SHA256", "FULL_OBJECT"),
        ("MD5", "FULL_OBJECT"),
        ("CRC16", "COMPOSITE"),
        ("CRC32", "PARTLY"),
    ],
)
def test_pairs_that_do_not_exist_are_refused(wire, bucket, algorithm, kind):
    answer = start(wire, bucket, x_amz_checksum_algorithm=algorithm, x_amz_checksum_type=kind)

    assert (answer.status, answer.code()) == (400, "InvalidRequest"), answer


def test_a_part_with_another_algorithm_is_refused(wire, bucket):
    upload = start(wire, bucket, x_amz_checksum_algorithm="SHA256").xml().findtext("UploadId")

    answer = wire.request(
        "PUT",
        f"/{bucket}/k",
        f"partNumber=1&uploadId={upload}",
        [(header("CRC32"), value("CRC32", b"x"))],
        b"x",
    )

    assert (answer.status, answer.code()) == (400, "InvalidRequest")


def test_the_server_computes_what_was_declared_but_not_sent(wire, bucket):
    upload = start(wire, bucket, x_amz_checksum_algorithm="SHA256").xml().findtext("UploadId")
    part = wire.request("PUT", f"/{bucket}/k", f"partNumber=1&uploadId={upload}", body=b"x")

    assert part.headers[header("SHA256")] == value("SHA256", b"x")
    element = f"<ChecksumSHA256>{value('SHA256', b'x')}</ChecksumSHA256>"
    assert finish(wire, bucket, upload, [(1, part.headers["ETag"], "")]).code() == "InvalidRequest"
    wrong = f"<ChecksumSHA256>{value('SHA256', b'y')}</ChecksumSHA256>"
    assert finish(wire, bucket, upload, [(1, part.headers["ETag"], wrong)]).code() in (
        "InvalidPart",
        "InvalidRequest",
        "BadDigest",
    )
    completed = finish(wire, bucket, upload, [(1, part.headers["ETag"], element)])
    assert completed.xml().findtext("ChecksumSHA256") == composite("SHA256", [b"x"])


def test_the_whole_of_an_upload_is_compared_with_what_the_client_says(wire, bucket):
    upload = (
        start(wire, bucket, x_amz_checksum_algorithm="CRC32", x_amz_checksum_type="FULL_OBJECT")
        .xml()
        .findtext("UploadId")
    )
    part = wire.request("PUT", f"/{bucket}/k", f"partNumber=1&uploadId={upload}", body=b"x")
    listed = [(1, part.headers["ETag"], "")]

    wrong = finish(wire, bucket, upload, listed, [(header("CRC32"), value("CRC32", b"y"))])
    other_type = finish(wire, bucket, upload, listed, [("x-amz-checksum-type", "COMPOSITE")])

    assert wrong.status == 400 and wrong.code() in ("BadDigest", "InvalidRequest")
    assert (other_type.status, other_type.code()) == (400, "InvalidRequest")
    good = finish(wire, bucket, upload, listed, [(header("CRC32"), value("CRC32", b"x"))])
    assert good.status == 200, good


def test_a_plain_upload_of_parts_keeps_the_checksums_of_boto3(either, either_bucket):
    s3 = boto(either)
    upload = s3.create_multipart_upload(Bucket=either_bucket, Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
    where = {"Bucket": either_bucket, "Key": "k", "UploadId": upload}
    parts = []
    for number, part in enumerate(PARTS, 1):
        answer = s3.upload_part(**where, PartNumber=number, Body=part, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]})

    answer = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})

    assert answer["ChecksumCRC32"] == composite("CRC32", PARTS)
    with pytest.raises(ClientError, match="NoSuchUpload"):
        s3.upload_part(**where, PartNumber=3, Body=b"late")
