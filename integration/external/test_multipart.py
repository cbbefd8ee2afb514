"""Multipart uploads: every rule of s3.md §11."""

import concurrent.futures
import hashlib
import os

import pytest
from botocore.exceptions import ClientError
from conftest import boto
from harness.server import wait_until
from harness.wire import Wire

MIN = 5 * 2**20
PARTS_MANY = 10_000


class Upload:
    """An upload of one key, with less to write."""

    def __init__(self, s3, bucket, key="k", **options):
        self.s3, self.where = s3, {"Bucket": bucket, "Key": key}
        self.id = s3.create_multipart_upload(**self.where, **options)["UploadId"]
        self.done = []

    def part(self, number, body, **options):
        answer = self.s3.upload_part(**self.where, UploadId=self.id, PartNumber=number, Body=body, **options)
        self.done = [part for part in self.done if part["PartNumber"] != number]
        self.done.append({"PartNumber": number, "ETag": answer["ETag"]})
        self.done.sort(key=lambda part: part["PartNumber"])
        return answer

    def complete(self, parts=None, **options):
        parts = self.done if parts is None else parts
        return self.s3.complete_multipart_upload(
            **self.where, UploadId=self.id, MultipartUpload={"Parts": parts}, **options
        )

    def abort(self):
        return self.s3.abort_multipart_upload(**self.where, UploadId=self.id)

    def list(self, **options):
        return self.s3.list_parts(**self.where, UploadId=self.id, **options)

    def get(self, **options):
        return self.s3.get_object(**self.where, **options)


def refused(call, *arguments, **options):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **options)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def multipart_etag(parts):
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(joined).hexdigest()}-{len(parts)}"'


def test_parts_become_one_object(either, either_bucket):
    parts = [os.urandom(MIN), os.urandom(MIN + 1), b"tail"]
    upload = Upload(boto(either), either_bucket, Metadata={"a": "1"}, ContentType="text/plain", Tagging="t=1")
    for number in (3, 1, 2):
        upload.part(number, parts[number - 1])

    answer = upload.complete()

    assert answer["ETag"] == multipart_etag(parts)
    assert answer["Location"].endswith(f"/{either_bucket}/k") and answer["Location"].startswith(
        either.endpoint
    )
    got = upload.get()
    assert got["Body"].read() == b"".join(parts)
    assert (got["Metadata"], got["ContentType"], got["TagCount"]) == ({"a": "1"}, "text/plain", 1)
    assert got["ETag"] == multipart_etag(parts)


def test_ranges_and_parts_read_the_same_before_and_after_the_join(new_server):
    server = new_server()
    s3 = boto(server)
    s3.create_bucket(Bucket="joined")
    parts = [os.urandom(MIN), os.urandom(MIN + 77), os.urandom(1000)]
    whole = b"".join(parts)
    upload = Upload(s3, "joined")
    for number, part in enumerate(parts, 1):
        upload.part(number * 10, part)
    upload.complete()

    def check():
        for begin, end in [
            (0, 9),
            (MIN - 5, MIN + 5),
            (MIN - 1, 2 * MIN + 100),
            (len(whole) - 3, len(whole) - 1),
            (0, len(whole) - 1),
        ]:
            assert upload.get(Range=f"bytes={begin}-{end}")["Body"].read() == whole[begin : end + 1]
        start = 0
        for number, part in enumerate(parts, 1):
            got = upload.get(PartNumber=number)
            assert got["Body"].read() == part
            assert (got["PartsCount"], got["ETag"]) == (3, multipart_etag(parts))
            assert got["ContentRange"] == f"bytes {start}-{start + len(part) - 1}/{len(whole)}"
            start += len(part)
        assert refused(upload.get, PartNumber=4) == (416, "InvalidPartNumber")
        assert upload.get()["Body"].read() == whole

    check()
    wait_until(lambda: not server.rows("select 1 from mogul_join"), 60, "the join")
    check()
    server.assert_nothing_left_over()
    assert {path.stat().st_size for path in server.fid_files().values()} == {len(whole)}
    [(fid,)] = server.rows("select fid from file where dkey = 'k'")
    on_disk = [path for (_, found), path in server.fid_files().items() if found == fid]
    assert len(on_disk) == 2 and all(path.read_bytes() == whole for path in on_disk)


def test_the_order_of_the_list_matters(s3, bucket):
    upload = Upload(s3, bucket)
    upload.part(1, os.urandom(MIN))
    upload.part(2, b"x")

    assert refused(upload.complete, upload.done[::-1]) == (400, "InvalidPartOrder")
    assert refused(upload.complete, [upload.done[0], upload.done[0]]) == (400, "InvalidPartOrder")
    upload.complete()


def test_parts_that_are_not_there_or_differ(s3, bucket):
    upload = Upload(s3, bucket)
    upload.part(1, b"x")

    assert refused(upload.complete, [{"PartNumber": 2, "ETag": upload.done[0]["ETag"]}]) == (
        400,
        "InvalidPart",
    )
    assert refused(upload.complete, [{"PartNumber": 1, "ETag": '"' + "0" * 32 + '"'}]) == (400, "InvalidPart")
    assert refused(upload.get) == (404, "NoSuchKey")
    upload.complete([{"PartNumber": 1, "ETag": upload.done[0]["ETag"].strip('"')}])


def test_a_part_before_the_last_is_not_small(s3, wire, bucket):
    upload = Upload(s3, bucket)
    upload.part(1, os.urandom(MIN - 1))
    upload.part(2, os.urandom(MIN))

    assert refused(upload.complete) == (400, "EntityTooSmall")
    upload.complete(upload.done[:1])
    assert upload.get()["ContentLength"] == MIN - 1


@pytest.mark.parametrize(
    "body",
    [
        b"<CompleteMultipartUpload/>",
        b"",
        b"<a",
        b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
    ],
)
def test_a_document_without_parts_is_malformed(s3, wire, bucket, body):
    upload = Upload(s3, bucket)

    answer = wire.request("POST", f"/{bucket}/k", f"uploadId={upload.id}", body=body)

    assert (answer.status, answer.code()) == (400, "MalformedXML"), answer


def test_an_unlisted_part_is_dropped_and_holes_are_legal(server, s3, bucket):
    upload = Upload(s3, bucket)
    parts = [os.urandom(MIN), os.urandom(100)]
    upload.part(7, parts[0])
    upload.part(8, os.urandom(MIN))
    upload.part(10_000, parts[1])

    answer = upload.complete([part for part in upload.done if part["PartNumber"] != 8])

    assert answer["ETag"] == multipart_etag(parts)
    assert upload.get()["Body"].read() == b"".join(parts)
    assert not server.rows("select 1 from mogul_part where upload_id = ?", upload.id)


def test_a_part_can_be_sent_again(s3, bucket):
    upload = Upload(s3, bucket)
    upload.part(1, b"first")
    upload.part(1, b"second!")

    assert [part["Size"] for part in upload.list()["Parts"]] == [7]
    upload.complete()
    assert upload.get()["Body"].read() == b"second!"


@pytest.mark.parametrize("body", [b"", b"x"])
def test_one_small_part_is_an_object(s3, bucket, body):
    upload = Upload(s3, bucket)
    upload.part(1, body)

    assert upload.complete()["ETag"] == multipart_etag([body])
    assert upload.get()["Body"].read() == body


def test_complete_may_be_repeated(s3, bucket):
    upload = Upload(s3, bucket)
    upload.part(1, b"x")

    first, second = upload.complete(), upload.complete()

    assert first["ETag"] == second["ETag"]
    assert upload.get()["Body"].read() == b"x"


def test_many_completes_at_once_make_one_object(server, bucket):
    s3 = boto(server)
    upload = Upload(s3, bucket)
    upload.part(1, os.urandom(MIN))
    upload.part(2, b"x")

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: upload.complete(), range(16)))

    assert len({answer["ETag"] for answer in answers}) == 1
    assert upload.get()["ContentLength"] == MIN + 1
    rows = server.rows(
        "select count(*) from file join domain using (dmid) where namespace = ? and dkey = 'k'", bucket
    )
    assert rows == [(1,)]


def test_after_the_end_the_upload_is_gone(s3, bucket):
    completed, aborted = Upload(s3, bucket, "c"), Upload(s3, bucket, "a")
    completed.part(1, b"x")
    aborted.part(1, b"x")
    completed.complete()
    assert aborted.abort()["ResponseMetadata"]["HTTPStatusCode"] == 204

    assert refused(completed.part, 2, b"y") == (404, "NoSuchUpload")
    assert refused(aborted.part, 2, b"y") == (404, "NoSuchUpload")
    assert refused(aborted.complete) == (404, "NoSuchUpload")
    assert refused(aborted.list) == (404, "NoSuchUpload")
    assert refused(aborted.abort) == (404, "NoSuchUpload")
    assert refused(aborted.get) == (404, "NoSuchKey")


def test_an_upload_belongs_to_its_key(s3, bucket, names):
    upload = Upload(s3, bucket)
    other = names()
    s3.create_bucket(Bucket=other)

    for where in ({"Bucket": bucket, "Key": "other"}, {"Bucket": other, "Key": "k"}):
        assert refused(s3.upload_part, **where, UploadId=upload.id, PartNumber=1, Body=b"") == (
            404,
            "NoSuchUpload",
        )
        assert refused(s3.list_parts, **where, UploadId=upload.id) == (404, "NoSuchUpload")
        assert refused(s3.abort_multipart_upload, **where, UploadId=upload.id) == (404, "NoSuchUpload")
    assert refused(s3.upload_part, Bucket=bucket, Key="k", UploadId="x", PartNumber=1, Body=b"") == (
        404,
        "NoSuchUpload",
    )


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", ""])
def test_part_numbers_out_of_range(s3, wire, bucket, number):
    upload = Upload(s3, bucket)

    answer = wire.request("PUT", f"/{bucket}/k", f"partNumber={number}&uploadId={upload.id}", body=b"x")

    assert (answer.status, answer.code()) == (400, "InvalidArgument")


def test_a_part_number_needs_an_upload(wire, bucket):
    answer = wire.request("PUT", f"/{bucket}/k", "partNumber=1", body=b"x")

    assert (answer.status, answer.code()) == (400, "InvalidArgument")
    assert wire.request("HEAD", f"/{bucket}/k").status == 404


def test_the_old_object_stays_until_the_commit(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    upload = Upload(s3, bucket)
    upload.part(1, b"new")

    assert upload.get()["Body"].read() == b"old"
    upload.complete()
    assert upload.get()["Body"].read() == b"new"


def test_complete_obeys_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["ETag"]
    upload = Upload(s3, bucket)
    upload.part(1, b"new")

    assert refused(upload.complete, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refused(upload.complete, IfMatch='"x"') == (412, "PreconditionFailed")
    assert upload.get()["Body"].read() == b"old"
    upload.complete(IfMatch=etag)
    assert upload.get()["Body"].read() == b"new"
    fresh = Upload(s3, bucket, "fresh")
    fresh.part(1, b"x")
    assert refused(fresh.complete, IfMatch=etag) == (404, "NoSuchKey")
    fresh.complete(IfNoneMatch="*")


def test_the_size_of_the_whole_may_be_told(s3, bucket):
    upload = Upload(s3, bucket)
    upload.part(1, b"12345")

    assert refused(upload.complete, MpuObjectSize=4) == (400, "InvalidRequest")
    upload.complete(MpuObjectSize=5)


def test_parts_are_copied_from_objects(s3, wire, bucket):
    body = os.urandom(MIN + 500)
    s3.put_object(Bucket=bucket, Key="src", Body=body)
    upload = Upload(s3, bucket)
    source = {"Bucket": bucket, "Key": "k", "UploadId": upload.id, "CopySource": f"{bucket}/src"}

    first = s3.upload_part_copy(**source, PartNumber=1, CopySourceRange=f"bytes=0-{MIN - 1}")
    second = s3.upload_part_copy(**source, PartNumber=2, CopySourceRange=f"bytes={MIN}-{MIN + 499}")
    third = s3.upload_part_copy(**source, PartNumber=3)

    parts = [{"PartNumber": n, "ETag": a["CopyPartResult"]["ETag"]} for n, a in enumerate((first, second), 1)]
    assert third["CopyPartResult"]["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert first["CopyPartResult"]["LastModified"]
    for bad in ("bytes=0-", "bytes=-5", "0-5", "bytes=5-1", "bytes=0-1,2-3", "bytes=a-b"):
        assert refused(s3.upload_part_copy, **source, PartNumber=4, CopySourceRange=bad) == (
            400,
            "InvalidArgument",
        ), bad
    beyond = refused(s3.upload_part_copy, **source, PartNumber=4, CopySourceRange=f"bytes=0-{MIN + 500}")
    assert beyond in [(416, "InvalidRange"), (400, "InvalidRange"), (400, "InvalidArgument")]
    assert refused(s3.upload_part_copy, **{**source, "CopySource": f"{bucket}/none"}, PartNumber=4) == (
        404,
        "NoSuchKey",
    )
    upload.complete(parts)
    assert upload.get()["Body"].read() == body


def test_parts_are_listed_in_pages(s3, wire, bucket):
    upload = Upload(s3, bucket, StorageClass="REDUCED_REDUNDANCY")
    bodies = {number: b"x" * number for number in (1, 3, 5, 200, 10_000)}
    for number, body in bodies.items():
        upload.part(number, body)

    for size in (1, 2, 4, 5, 6):
        seen, marker = [], 0
        while True:
            page = upload.list(MaxParts=size, PartNumberMarker=marker)
            seen += [(part["PartNumber"], part["Size"], part["ETag"]) for part in page["Parts"]]
            if not page["IsTruncated"]:
                break
            marker = page["NextPartNumberMarker"]
        assert seen == [(n, n, f'"{hashlib.md5(b).hexdigest()}"') for n, b in bodies.items()]
    page = upload.list()
    owner = s3.list_buckets()["Owner"]["ID"]
    assert (page["StorageClass"], page["Owner"]["ID"], page["Initiator"]["ID"]) == (
        "REDUCED_REDUNDANCY",
        owner,
        owner,
    )
    assert page["MaxParts"] == 1000
    for query in ("max-parts=x", "max-parts=-1", "part-number-marker=x"):
        assert (
            wire.request("GET", f"/{bucket}/k", f"uploadId={upload.id}&{query}").code() == "InvalidArgument"
        ), query


def test_uploads_are_listed_by_key_and_then_by_time(s3, bucket):
    keys = ["b", "a/1", "a/2", "b", "c d", "a/1"]
    ids = [Upload(s3, bucket, key).id for key in keys]
    expected = sorted(zip(keys, ids, strict=True), key=lambda pair: (pair[0], ids.index(pair[1])))

    for size in (1, 2, 3, 6, 1000):
        seen, markers = [], {}
        while True:
            page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=size, **markers)
            seen += [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]
            if not page["IsTruncated"]:
                break
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        assert seen == expected, size
    grouped = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [group["Prefix"] for group in grouped["CommonPrefixes"]] == ["a/"]
    assert [upload["Key"] for upload in grouped["Uploads"]] == ["b", "b", "c d"]
    exact = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/2")["Uploads"]
    assert [upload["UploadId"] for upload in exact] == [ids[2]]
    assert exact[0]["Initiator"]["ID"] and exact[0]["StorageClass"] == "STANDARD" and exact[0]["Initiated"]


def send_many_parts(wire, path, upload, numbers):
    """Sends the number of each part as its body; returns the ETags. One connection, for speed."""
    connection, etags = wire.connect(), []
    for number in numbers:
        query = f"partNumber={number}&uploadId={upload}"
        answer = wire.request("PUT", path, query, body=b"%d" % number, connection=connection)
        assert answer.status == 200, answer
        etags.append((number, answer.headers["ETag"]))
    connection.close()
    return etags


@pytest.mark.timeout(400)
def test_ten_thousand_parts_are_kept_in_order(new_server):
    server = new_server(devices=1)
    s3 = boto(server)
    s3.create_bucket(Bucket="many-parts")
    upload = Upload(s3, "many-parts")
    numbers = range(1, PARTS_MANY + 1)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        send = lambda first: send_many_parts(Wire(server), "/many-parts/k", upload.id, numbers[first::8])  # noqa: E731
        sent = sorted(pair for pairs in pool.map(send, range(8)) for pair in pairs)
    pages = s3.get_paginator("list_parts").paginate(Bucket="many-parts", Key="k", UploadId=upload.id)
    listed = [(part["PartNumber"], part["ETag"]) for page in pages for part in page["Parts"]]
    assert listed == sent
    assert [number for number, _ in sent] == list(numbers)
    too_small = [{"PartNumber": number, "ETag": etag} for number, etag in sent]
    assert refused(upload.complete, too_small) == (400, "EntityTooSmall")

    upload.complete(too_small[-1:])

    assert upload.get()["Body"].read() == b"10000"
    server.assert_nothing_left_over()
    assert len(server.fid_files()) == 1


def test_an_aborted_upload_leaves_nothing(new_server):
    server = new_server()
    s3 = boto(server)
    s3.create_bucket(Bucket="aborted")
    upload = Upload(s3, "aborted")
    for number in range(1, 6):
        upload.part(number, os.urandom(200_000))

    upload.abort()

    server.assert_nothing_left_over()
    assert not server.fid_files() and not server.rows("select 1 from mogul_part")
