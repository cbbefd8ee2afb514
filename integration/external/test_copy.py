"""Copies: directives, conditions, sources with every awkward name (s3.md §10)."""

import datetime
import hashlib
import os

import pytest
from botocore.exceptions import ClientError
from harness.server import wait_until
from harness.wire import key_path
from test_keys import AWKWARD


@pytest.fixture
def source(s3, bucket):
    """The answer to a PUT of `src`, with everything that an object can carry."""
    return s3.put_object(
        Bucket=bucket,
        Key="src",
        Body=b"source",
        ContentType="text/plain",
        CacheControl="no-cache",
        Metadata={"a": "1"},
        Tagging="t=1",
        StorageClass="REDUCED_REDUNDANCY",
        WebsiteRedirectLocation="/there",
    )


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def test_a_copy_carries_attributes_and_tags_but_no_class_and_no_redirect(s3, bucket, source):
    answer = s3.copy_object(Bucket=bucket, Key="dst", CopySource=f"{bucket}/src")

    got = s3.get_object(Bucket=bucket, Key="dst")
    assert answer["CopyObjectResult"]["ETag"] == got["ETag"] == source["ETag"]
    assert answer["CopyObjectResult"]["LastModified"].replace(microsecond=0) == got["LastModified"]
    assert (got["Body"].read(), got["ContentType"], got["CacheControl"]) == (
        b"source",
        "text/plain",
        "no-cache",
    )
    assert got["Metadata"] == {"a": "1"}
    assert s3.get_object_tagging(Bucket=bucket, Key="dst")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert "StorageClass" not in got and "WebsiteRedirectLocation" not in got


def test_replace_takes_only_what_the_request_says(s3, bucket, source):
    s3.copy_object(
        Bucket=bucket,
        Key="dst",
        CopySource=f"{bucket}/src",
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        TaggingDirective="REPLACE",
        Tagging="u=2",
    )

    got = s3.get_object(Bucket=bucket, Key="dst")
    assert (got["Metadata"], got["ContentType"]) == ({"b": "2"}, "binary/octet-stream")
    assert "CacheControl" not in got
    assert s3.get_object_tagging(Bucket=bucket, Key="dst")["TagSet"] == [{"Key": "u", "Value": "2"}]


def test_without_replace_the_requests_headers_are_ignored(s3, bucket, source):
    s3.copy_object(
        Bucket=bucket,
        Key="dst",
        CopySource=f"{bucket}/src",
        Metadata={"b": "2"},
        ContentType="image/png",
        Tagging="u=2",
    )

    got = s3.get_object(Bucket=bucket, Key="dst")
    assert (got["Metadata"], got["ContentType"]) == ({"a": "1"}, "text/plain")
    assert s3.get_object_tagging(Bucket=bucket, Key="dst")["TagSet"] == [{"Key": "t", "Value": "1"}]


def test_a_copy_onto_itself_must_change_something(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"bytes", Metadata={"old": "1"})["ETag"]

    assert refused(s3.copy_object, Bucket=bucket, Key="k", CopySource=f"{bucket}/k") == (
        400,
        "InvalidRequest",
    )
    replace = {"MetadataDirective": "REPLACE", "Metadata": {"new": "1"}}
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", **replace)

    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"], got["ETag"]) == (b"bytes", {"new": "1"}, etag)


def test_a_copy_onto_itself_changes_the_class_without_moving_the_bytes(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"bytes", Metadata={"a": "1"})
    fid = server.rows("select fid from file join domain using (dmid) where namespace = ?", bucket)

    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", StorageClass="REDUCED_REDUNDANCY")

    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["StorageClass"], head["Metadata"]) == ("REDUCED_REDUNDANCY", {"a": "1"})
    assert server.rows("select fid from file join domain using (dmid) where namespace = ?", bucket) == fid


def test_conditions_on_the_source(s3, bucket, source):
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    future = past + datetime.timedelta(hours=2)
    cases = [
        ({"CopySourceIfMatch": source["ETag"]}, True),
        ({"CopySourceIfMatch": '"x"'}, False),
        ({"CopySourceIfNoneMatch": '"x"'}, True),
        ({"CopySourceIfNoneMatch": source["ETag"]}, False),
        ({"CopySourceIfModifiedSince": past}, True),
        ({"CopySourceIfUnmodifiedSince": past}, False),
        ({"CopySourceIfUnmodifiedSince": future}, True),
        ({"CopySourceIfMatch": source["ETag"], "CopySourceIfUnmodifiedSince": past}, True),
        ({"CopySourceIfNoneMatch": source["ETag"], "CopySourceIfModifiedSince": past}, False),
    ]

    for condition, holds in cases:
        arguments = {"Bucket": bucket, "Key": "dst", "CopySource": f"{bucket}/src", **condition}
        if holds:
            s3.copy_object(**arguments)
        else:
            assert refused(s3.copy_object, **arguments) == (412, "PreconditionFailed"), condition


def test_conditions_on_the_destination(s3, bucket, source):
    copy = {"Bucket": bucket, "Key": "dst", "CopySource": f"{bucket}/src"}
    s3.copy_object(**copy, IfNoneMatch="*")

    assert refused(s3.copy_object, **copy, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refused(s3.copy_object, **copy, IfMatch='"x"') == (412, "PreconditionFailed")
    s3.copy_object(**copy, IfMatch=source["ETag"])
    assert refused(s3.copy_object, **{**copy, "Key": "none"}, IfMatch=source["ETag"]) == (404, "NoSuchKey")


def test_sources_that_are_not_there(s3, bucket, names):
    copy = {"Bucket": bucket, "Key": "dst"}

    assert refused(s3.copy_object, **copy, CopySource=f"{bucket}/none") == (404, "NoSuchKey")
    assert refused(s3.copy_object, **copy, CopySource=f"{names()}/k") == (404, "NoSuchBucket")


@pytest.mark.parametrize("text", ["", "/", "nobucket", "bucket/", "/%zz/k", "b/%ff"])
def test_a_source_that_is_no_source(wire, bucket, text):
    answer = wire.request("PUT", f"/{bucket}/dst", headers={"x-amz-copy-source": text})

    assert answer.status in (400, 404) and answer.code() in (
        "InvalidArgument",
        "InvalidURI",
        "NoSuchBucket",
    ), answer
    assert wire.request("HEAD", f"/{bucket}/dst").status == 404


@pytest.mark.parametrize(
    "name, value", [("x-amz-metadata-directive", "KEEP"), ("x-amz-tagging-directive", "KEEP")]
)
def test_an_unknown_directive_is_refused(wire, bucket, source, name, value):
    answer = wire.request(
        "PUT", f"/{bucket}/dst", headers={"x-amz-copy-source": f"/{bucket}/src", name: value}
    )

    assert (answer.status, answer.code()) == (400, "InvalidArgument")


def test_a_copy_source_belongs_to_put_only(wire, bucket, source):
    answer = wire.request("GET", f"/{bucket}/src", headers={"x-amz-copy-source": f"/{bucket}/src"})

    assert (answer.status, answer.code()) == (400, "InvalidArgument")


def test_awkward_sources_are_found(wire, bucket):
    for number, key in enumerate(AWKWARD):
        wire.request("PUT", key_path(bucket, key), body=f"{number}".encode())

    for number, key in enumerate(AWKWARD):
        path = key_path(bucket, key)
        for form in (path, path.removeprefix("/"), path.replace("/", "%2F")):
            answer = wire.request("PUT", f"/{bucket}/copy-of-it", headers={"x-amz-copy-source": form})
            assert answer.status == 200, (key, form, answer)
            assert wire.request("GET", f"/{bucket}/copy-of-it").body == f"{number}".encode(), key


def test_a_copy_lives_on_when_its_source_goes(server, s3, bucket):
    body = os.urandom(3_000_000)
    s3.put_object(Bucket=bucket, Key="src", Body=body)
    s3.copy_object(Bucket=bucket, Key="dst", CopySource=f"{bucket}/src")

    [(fid,)] = server.rows(
        "select fid from file join domain using (dmid) where namespace = ? and dkey = 'src'", bucket
    )
    s3.delete_object(Bucket=bucket, Key="src")
    wait_until(lambda: not server.rows("select 1 from file_on where fid = ?", fid), 60, "the deletion")

    assert s3.get_object(Bucket=bucket, Key="dst")["Body"].read() == body


def test_a_copied_multipart_object_has_a_plain_etag(s3, bucket):
    parts = [os.urandom(5 * 2**20), b"tail"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="src")["UploadId"]
    done = [
        {
            "PartNumber": n,
            "ETag": s3.upload_part(Bucket=bucket, Key="src", UploadId=upload, PartNumber=n, Body=part)[
                "ETag"
            ],
        }
        for n, part in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(Bucket=bucket, Key="src", UploadId=upload, MultipartUpload={"Parts": done})

    s3.copy_object(Bucket=bucket, Key="dst", CopySource=f"{bucket}/src")

    got = s3.get_object(Bucket=bucket, Key="dst")
    assert got["ETag"] == f'"{hashlib.md5(b"".join(parts)).hexdigest()}"'
    assert got["Body"].read() == b"".join(parts)


def test_a_copy_to_another_bucket(s3, bucket, source, names):
    other = names()
    s3.create_bucket(Bucket=other)

    s3.copy_object(Bucket=other, Key="k", CopySource=f"/{bucket}/src")

    assert s3.get_object(Bucket=other, Key="k")["Body"].read() == b"source"


def test_a_copy_may_ask_for_a_checksum(s3, bucket, source):
    answer = s3.copy_object(Bucket=bucket, Key="dst", CopySource=f"{bucket}/src", ChecksumAlgorithm="SHA256")

    head = s3.head_object(Bucket=bucket, Key="dst", ChecksumMode="ENABLED")
    assert answer["CopyObjectResult"]["ChecksumSHA256"] == head["ChecksumSHA256"]
