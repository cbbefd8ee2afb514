"""Writers that race: conditions decided once, bytes never mixed (s3.md §10)."""

import concurrent.futures
import os
import threading

import pytest
from botocore.exceptions import ClientError
from conftest import boto

RACERS = 64


def race(action, racers=RACERS):
    """Runs `action(n)` in `racers` threads that start together; returns the status codes."""
    gate = threading.Barrier(racers)

    def run(number):
        gate.wait()
        try:
            return action(number)["ResponseMetadata"]["HTTPStatusCode"]
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    with concurrent.futures.ThreadPoolExecutor(racers) as pool:
        return list(pool.map(run, range(racers)))


@pytest.mark.parametrize("round_number", range(3))
def test_exactly_one_of_many_creates(s3, bucket, round_number):
    codes = race(lambda n: s3.put_object(Bucket=bucket, Key="lock", Body=f"{n}".encode(), IfNoneMatch="*"))

    assert codes.count(200) == 1
    assert set(codes) <= {200, 409, 412}
    assert int(s3.get_object(Bucket=bucket, Key="lock")["Body"].read()) == codes.index(200)


@pytest.mark.parametrize("round_number", range(3))
def test_exactly_one_of_many_swaps(s3, bucket, round_number):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["ETag"]

    codes = race(lambda n: s3.put_object(Bucket=bucket, Key="k", Body=f"{n}".encode(), IfMatch=etag))

    assert codes.count(200) == 1 and set(codes) <= {200, 409, 412}
    assert int(s3.get_object(Bucket=bucket, Key="k")["Body"].read()) == codes.index(200)


def test_exactly_one_of_many_completes_and_copies_creates(s3, bucket):
    s3.put_object(Bucket=bucket, Key="src", Body=b"source")
    uploads = []
    for _ in range(16):
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        etag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
        uploads.append((upload, {"Parts": [{"PartNumber": 1, "ETag": etag}]}))

    def create(number):
        if number % 2:
            return s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/src", IfNoneMatch="*")
        upload, parts = uploads[number // 2]
        return s3.complete_multipart_upload(
            Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts, IfNoneMatch="*"
        )

    codes = race(create, 32)

    assert codes.count(200) == 1 and set(codes) <= {200, 409, 412}
    expected = b"source" if codes.index(200) % 2 else b"part"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == expected


def test_a_conditional_delete_happens_once(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]

    codes = race(lambda _: s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag), 16)

    assert codes.count(204) == 1 and set(codes) <= {204, 404, 409, 412}


def test_writers_of_one_key_never_mix(s3, bucket):
    bodies = [bytes([number]) * 300_000 for number in range(16)]
    stop = threading.Event()
    torn = []

    def read():
        while not stop.is_set():
            got = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
            if got not in bodies:
                torn.append(len(got))

    s3.put_object(Bucket=bucket, Key="k", Body=bodies[0])
    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(3):
        assert set(race(lambda n: s3.put_object(Bucket=bucket, Key="k", Body=bodies[n]), 16)) == {200}
    stop.set()
    for reader in readers:
        reader.join()

    assert not torn
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() in bodies


def test_the_last_write_counts_and_only_it_is_kept(new_server):
    server = new_server()
    s3 = boto(server)
    s3.create_bucket(Bucket="raced")

    assert set(race(lambda n: s3.put_object(Bucket="raced", Key=f"{n % 4}", Body=os.urandom(5000)), 48)) == {
        200
    }

    server.assert_nothing_left_over()
    assert len(server.fid_files()) == 4 * 2


def test_a_bucket_is_deleted_or_written_to_but_never_both(server, s3, names):
    for _ in range(10):
        name = names()
        s3.create_bucket(Bucket=name)

        def act(number, name=name):
            return (
                s3.delete_bucket(Bucket=name)
                if number == 3
                else s3.put_object(Bucket=name, Key=f"{number}", Body=b"x")
            )

        codes = race(act, 8)
        written = [number for number, code in enumerate(codes) if number != 3 and code == 200]
        if codes[3] == 204:
            assert not written
        else:
            assert codes[3] == 409 and written
            assert {e["Key"] for e in s3.list_objects_v2(Bucket=name)["Contents"]} == {
                f"{n}" for n in written
            }


def test_an_abort_and_parts_that_arrive_leave_nothing(new_server):
    server = new_server()
    s3 = boto(server)
    s3.create_bucket(Bucket="aborts")
    for _ in range(10):
        where = {"Bucket": "aborts", "Key": "k"}
        upload = s3.create_multipart_upload(**where)["UploadId"]

        def act(number, where=where, upload=upload):
            if number == 4:
                return s3.abort_multipart_upload(**where, UploadId=upload)
            return s3.upload_part(**where, UploadId=upload, PartNumber=number + 1, Body=os.urandom(20_000))

        assert set(race(act, 8)) <= {200, 204, 404}

    server.assert_nothing_left_over()
    assert not server.fid_files() and not server.rows("select 1 from mogul_part")
