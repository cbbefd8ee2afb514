"""Objects: put, get, head, their headers, conditions and ranges (s3.md §5, §9, §10)."""

import datetime
import email.utils
import hashlib
import os

import pytest
from botocore.exceptions import ClientError
from conftest import boto
from harness.wire import Wire, key_path, md5_base64

BODY = bytes(range(256)) * 4
HEADERS = {
    "CacheControl": "max-age=60, must-revalidate",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "ContentType": "text/plain; charset=utf-8",
}


def put(wire, bucket, key=b"k", body=BODY, **headers):
    answer = wire.request(
        "PUT",
        key_path(bucket, key),
        headers=[(n.replace("_", "-"), v) for n, v in headers.items()],
        body=body,
    )
    assert answer.status == 200, answer
    return answer


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 65_536, 262_144, 262_145, 1_048_577, 9_000_001])
def test_what_is_put_is_got(either, either_bucket, size):
    s3, body = boto(either), os.urandom(size)

    put_answer = s3.put_object(Bucket=either_bucket, Key="k", Body=body)
    got = s3.get_object(Bucket=either_bucket, Key="k")
    head = s3.head_object(Bucket=either_bucket, Key="k")

    etag = f'"{hashlib.md5(body).hexdigest()}"'
    assert got["Body"].read() == body
    assert put_answer["ETag"] == got["ETag"] == head["ETag"] == etag
    assert got["ContentLength"] == head["ContentLength"] == size
    assert head["AcceptRanges"] == "bytes"
    assert abs((datetime.datetime.now(datetime.timezone.utc) - head["LastModified"]).total_seconds()) < 120


def test_an_overwrite_replaces_bytes_and_everything_beside_them(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old", Metadata={"a": "1"}, Tagging="t=1", **HEADERS)

    s3.put_object(Bucket=bucket, Key="k", Body=b"new!", Metadata={"b": "2"})

    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"new!", {"b": "2"})
    assert got["ContentType"] == "binary/octet-stream"
    assert not {"CacheControl", "ContentEncoding", "TagCount"} & set(got)


def test_headers_come_back_as_they_were_stored(either, either_bucket):
    s3 = boto(either)
    s3.put_object(
        Bucket=either_bucket, Key="k", Body=b"x", Metadata={"Mixed-Case": "Va lue", "empty": ""}, **HEADERS
    )

    for answer in (
        s3.get_object(Bucket=either_bucket, Key="k"),
        s3.head_object(Bucket=either_bucket, Key="k"),
    ):
        assert {name: answer[name] for name in HEADERS} == HEADERS
        assert answer["Metadata"] == {"mixed-case": "Va lue", "empty": ""}
        assert "StorageClass" not in answer


def test_expires_is_a_text_of_the_clients(wire, bucket):
    put(wire, bucket, expires="whenever you like")

    assert wire.request("GET", f"/{bucket}/k").headers["Expires"] == "whenever you like"


def test_repeated_metadata_is_joined(wire, bucket):
    wire.request("PUT", f"/{bucket}/k", headers=[("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")], body=b"x")

    assert wire.request("HEAD", f"/{bucket}/k").headers["x-amz-meta-a"] in ("1,2", "1, 2")


def test_overrides_of_the_answer_are_served_to_who_signed(s3, wire, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    overrides = {
        "ResponseContentType": "application/x-other",
        "ResponseContentLanguage": "fr",
        "ResponseExpires": "Thu, 01 Dec 2033 16:00:00 GMT",
        "ResponseCacheControl": "no-cache",
        "ResponseContentDisposition": "inline",
        "ResponseContentEncoding": "br",
    }

    answer = s3.get_object(Bucket=bucket, Key="k", **overrides)["ResponseMetadata"]["HTTPHeaders"]

    assert answer["content-type"] == "application/x-other"
    assert answer["content-language"] == "fr"
    assert answer["expires"] == "Thu, 01 Dec 2033 16:00:00 GMT"
    assert answer["cache-control"] == "no-cache"
    assert answer["content-disposition"] == "inline"
    assert answer["content-encoding"] == "br"
    anonymous = wire.request("GET", f"/{bucket}/k", "response-content-type=text/html", signed=False)
    assert anonymous.status in (400, 403)


def http_date(moment):
    return email.utils.format_datetime(moment.astimezone(datetime.timezone.utc), usegmt=True)


def test_conditions_of_reads(wire, bucket):
    etag = put(wire, bucket).headers["ETag"]
    modified = email.utils.parsedate_to_datetime(
        wire.request("HEAD", f"/{bucket}/k").headers["Last-Modified"]
    )
    hour = datetime.timedelta(hours=1)
    past, same, future = (
        http_date(modified - hour),
        http_date(modified),
        http_date(modified + datetime.timedelta(seconds=1)),
    )
    cases = [
        ({"if-match": etag}, 200),
        ({"if-match": etag.strip('"')}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": f'"x", {etag}'}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-none-match": etag}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-none-match": f'"x", {etag}'}, 304),
        ({"if-modified-since": past}, 200),
        ({"if-modified-since": same}, 304),
        ({"if-unmodified-since": past}, 412),
        ({"if-unmodified-since": same}, 200),
        ({"if-unmodified-since": future}, 200),
        ({"if-match": etag, "if-unmodified-since": past}, 200),
        ({"if-match": '"x"', "if-unmodified-since": future}, 412),
        ({"if-none-match": '"x"', "if-modified-since": same}, 200),
        ({"if-none-match": etag, "if-modified-since": past}, 304),
        ({"if-none-match": etag, "if-unmodified-since": past}, 412),
        ({"if-modified-since": "nonsense"}, 200),
    ]

    for headers, status in cases:
        for method in ("GET", "HEAD"):
            answer = wire.request(method, f"/{bucket}/k", headers=headers)
            assert answer.status == status, (method, headers, answer)
            if status == 304:
                assert (answer.headers["ETag"], answer.body) == (etag, b"")
                assert answer.headers["Last-Modified"]
            if status == 412 and method == "GET":
                assert answer.code() == "PreconditionFailed"


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=0-9", 0, 10),
    ("bytes=10-", 10, 1024),
    ("bytes=-1", 1023, 1024),
    ("bytes=-1024", 0, 1024),
    ("bytes=-5000", 0, 1024),
    ("bytes=1000-5000", 1000, 1024),
    ("bytes=1023-1023", 1023, 1024),
    ("bytes=0-1023", 0, 1024),
]
IGNORED_RANGES = [
    "bytes=5-2",
    "bytes=a-b",
    "bytes=",
    "bytes",
    "octets=0-1",
    "bytes=0-1,4-5",
    "bytes=--1",
    "bytes=1",
    "bytes=-",
    "0-5",
]
UNSATISFIABLE_RANGES = ["bytes=1024-", "bytes=1024-2000", "bytes=-0", "bytes=99999-99999"]


def test_ranges_give_what_they_ask_for(wire, bucket):
    put(wire, bucket)

    for text, begin, end in RANGES:
        got = wire.request("GET", f"/{bucket}/k", headers={"range": text})
        head = wire.request("HEAD", f"/{bucket}/k", headers={"range": text})
        assert (got.status, got.body) == (206, BODY[begin:end]), text
        assert (
            got.headers["Content-Range"] == head.headers["Content-Range"] == f"bytes {begin}-{end - 1}/1024"
        )
        assert (head.status, head.headers["Content-Length"]) == (206, str(end - begin)), text


def test_a_range_that_makes_no_sense_is_ignored(wire, bucket):
    put(wire, bucket)

    for text in IGNORED_RANGES:
        answer = wire.request("GET", f"/{bucket}/k", headers={"range": text})
        assert (answer.status, answer.body) == (200, BODY), text


def test_a_range_behind_the_end_is_refused(wire, bucket):
    put(wire, bucket)
    put(wire, bucket, b"empty", b"")

    for text in UNSATISFIABLE_RANGES:
        answer = wire.request("GET", f"/{bucket}/k", headers={"range": text})
        assert (answer.status, answer.code()) == (416, "InvalidRange"), text
        assert answer.headers["Content-Range"] == "bytes */1024"
        assert answer.error()["RangeRequested"] == text
        assert answer.error()["ActualObjectSize"] == "1024"
    for text in ("bytes=0-0", "bytes=0-", "bytes=-1"):
        assert wire.request("GET", f"/{bucket}/empty", headers={"range": text}).status == 416, text


def test_if_range_gives_the_range_only_of_the_same_object(wire, bucket):
    etag = put(wire, bucket).headers["ETag"]
    modified = wire.request("HEAD", f"/{bucket}/k").headers["Last-Modified"]

    for validator, status in [
        (etag, 206),
        (modified, 206),
        ('"x"', 200),
        ("Thu, 01 Jan 2015 00:00:00 GMT", 200),
    ]:
        answer = wire.request("GET", f"/{bucket}/k", headers={"range": "bytes=1-2", "if-range": validator})
        assert answer.status == status, validator
        assert answer.body == (BODY[1:3] if status == 206 else BODY)


def test_part_numbers_of_a_plain_object(wire, bucket):
    put(wire, bucket)

    answer = wire.request("GET", f"/{bucket}/k", "partNumber=1")

    assert (answer.status, answer.body) == (206, BODY)
    assert answer.headers["Content-Range"] == "bytes 0-1023/1024"
    for query, status, code in [
        ("partNumber=2", 416, "InvalidPartNumber"),
        ("partNumber=0", 400, "InvalidArgument"),
        ("partNumber=10001", 400, "InvalidArgument"),
        ("partNumber=x", 400, "InvalidArgument"),
    ]:
        refused = wire.request("GET", f"/{bucket}/k", query)
        assert (refused.status, refused.code()) == (status, code), query
    both = wire.request("GET", f"/{bucket}/k", "partNumber=1", headers={"range": "bytes=0-1"})
    assert (both.status, both.code()) == (400, "InvalidRequest")


def test_a_missing_key_is_named(wire, bucket):
    answer = wire.request("GET", f"/{bucket}/a%20b")

    assert (answer.status, answer.code(), answer.error()["Key"]) == (404, "NoSuchKey", "a b")
    head = wire.request("HEAD", f"/{bucket}/a%20b")
    assert (head.status, head.body) == (404, b"")


def test_the_request_id_of_the_header_is_that_of_the_document(wire, bucket):
    missing = wire.request("GET", f"/{bucket}/missing")

    assert missing.headers["x-amz-request-id"] == missing.error()["RequestId"]
    assert missing.headers["x-amz-id-2"] == missing.error()["HostId"]
    assert missing.error()["Resource"] == f"/{bucket}/missing"
    assert missing.headers["Content-Type"] == "application/xml"
    assert b"xmlns" not in missing.body
    ids = {wire.request("GET", "/").headers["x-amz-request-id"] for _ in range(5)}
    assert len(ids) == 5


def test_limits_of_keys_and_metadata(wire, bucket):
    assert wire.request("PUT", key_path(bucket, "k" * 1024), body=b"x").status == 200
    too_long = wire.request("PUT", key_path(bucket, "k" * 1025), body=b"x")
    assert (too_long.status, too_long.code()) == (400, "KeyTooLongError")

    assert wire.request("PUT", f"/{bucket}/m", headers={"x-amz-meta-a": "v" * 2047}, body=b"x").status == 200
    too_large = wire.request("PUT", f"/{bucket}/m2", headers={"x-amz-meta-a": "v" * 2048}, body=b"x")
    assert (too_large.status, too_large.code()) == (400, "MetadataTooLarge")
    assert wire.request("HEAD", f"/{bucket}/m2").status == 404


def test_a_body_without_a_length_is_refused(wire, bucket):
    answer = wire.request("PUT", f"/{bucket}/k", length=False)

    assert (answer.status, answer.code()) == (411, "MissingContentLength")


def test_a_body_over_the_limit_is_refused_before_it_is_sent(wire, bucket):
    headers = {
        "content-length": str(5 * 2**30 + 1),
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "expect": "100-continue",
    }

    answer = wire.request("PUT", f"/{bucket}/k", headers=headers)

    assert (answer.status, answer.code()) == (400, "EntityTooLarge")


def test_a_digest_that_does_not_match_stores_nothing(wire, bucket):
    cases = [
        ({"content-md5": md5_base64(b"other")}, 400, "BadDigest"),
        ({"content-md5": "short"}, 400, "InvalidDigest"),
        ({"content-md5": ""}, 400, "InvalidDigest"),
        ({"x-amz-content-sha256": "0" * 64}, 400, "XAmzContentSHA256Mismatch"),
        ({"x-amz-content-sha256": "nonsense"}, 400, "InvalidArgument"),
    ]

    for headers, status, code in cases:
        answer = wire.request("PUT", f"/{bucket}/k", headers=headers, body=b"body")
        assert (answer.status, answer.code()) == (status, code), headers
        assert wire.request("HEAD", f"/{bucket}/k").status == 404
    assert (
        wire.request("PUT", f"/{bucket}/k", headers={"content-md5": md5_base64(b"body")}, body=b"body").status
        == 200
    )


def test_a_redirect_location_must_be_a_path_or_a_url(wire, bucket):
    name = "x-amz-website-redirect-location"
    for good in ("/other", "http://example.org/", "https://example.org/"):
        put(wire, bucket, **{name: good})
        assert wire.request("HEAD", f"/{bucket}/k").headers[name] == good
    bad = wire.request("PUT", f"/{bucket}/k", headers={name: "elsewhere"}, body=b"x")
    assert (bad.status, bad.code()) == (400, "InvalidRedirectLocation")


def test_attributes_of_an_object(s3, wire, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="SHA256")["ETag"]
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]

    answer = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)

    assert answer["ETag"] == etag.strip('"')
    assert (answer["ObjectSize"], answer["StorageClass"]) == (1024, "STANDARD")
    assert answer["Checksum"]["ChecksumSHA256"] and answer["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    assert "ObjectParts" not in answer
    only = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert "ETag" not in only and only["ObjectSize"] == 1024
    assert wire.request("GET", f"/{bucket}/k", "attributes").code() == "InvalidRequest"
    bad = wire.request("GET", f"/{bucket}/k", "attributes", headers={"x-amz-object-attributes": "Colour"})
    assert bad.code() == "InvalidArgument"
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object_attributes(Bucket=bucket, Key="none", ObjectAttributes=wanted)


def test_a_host_below_a_domain_names_the_bucket(new_server):
    server = new_server(devices=1, environment={"MOGUL_S3_DOMAINS": "s3.example.org"})
    wire = Wire(server)
    boto(server).create_bucket(Bucket="dots.in.name")

    stored = wire.request("PUT", "/a/key", body=b"x", host="dots.in.name.s3.example.org")

    assert stored.status == 200, stored
    assert wire.request("GET", "/dots.in.name/a/key").body == b"x"
    assert wire.request("GET", "/a/key", host=f"dots.in.name.s3.example.org:{server.s3_port}").body == b"x"
    assert wire.request("GET", "/dots.in.name/a/key", host="s3.example.org").body == b"x"


def test_the_wrong_owner_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    owner = s3.list_buckets()["Owner"]["ID"]

    assert s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner=owner)["Body"].read() == b"x"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner="111122223333")
