"""Deletes, one and many (s3.md §10), and that nothing stays behind."""

import os

import pytest
from botocore.exceptions import ClientError
from harness.server import wait_until
from harness.wire import key_path, md5_base64
from test_keys import AWKWARD


def document(keys, quiet=False):
    from xml.sax.saxutils import escape

    objects = "".join(f"<Object><Key>{escape(key, {chr(13): '&#13;'})}</Key></Object>" for key in keys)
    return f"<Delete>{'<Quiet>true</Quiet>' if quiet else ''}{objects}</Delete>".encode()


def delete_many(wire, bucket, body):
    return wire.request("POST", f"/{bucket}", "delete", headers={"content-md5": md5_base64(body)}, body=body)


def test_a_delete_takes_the_object_and_its_files(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=os.urandom(100_000))
    [(fid,)] = server.rows("select fid from file join domain using (dmid) where namespace = ?", bucket)
    assert [found for _, found in server.fid_files() if found == fid]

    answer = s3.delete_object(Bucket=bucket, Key="k")

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="k")
    wait_until(
        lambda: not server.rows("select 1 from file_to_delete2 where fid = ?", fid), 60, "the deletion"
    )
    assert not [found for _, found in server.fid_files() if found == fid]
    for table in ("file", "file_on", "mogul_object"):
        assert not server.rows(f"select 1 from {table} where fid = ?", fid), table


def test_a_reader_that_has_begun_reads_to_the_end_of_what_is_deleted_and_overwritten(server, s3, bucket):
    body = os.urandom(48 << 20)
    for key in ("deleted", "overwritten"):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    readers = {key: s3.get_object(Bucket=bucket, Key=key)["Body"] for key in ("deleted", "overwritten")}
    heads = {key: reader.read(1 << 20) for key, reader in readers.items()}
    fids = [fid for (fid,) in server.rows("select fid from file join domain using (dmid) where namespace = ?", bucket)]

    s3.delete_object(Bucket=bucket, Key="deleted")
    s3.put_object(Bucket=bucket, Key="overwritten", Body=b"new")
    left = lambda: [at for at in server.fid_files() if at[1] in fids]  # noqa: E731
    wait_until(lambda: not left(), 60, "the deletion of the files")

    for key, reader in readers.items():
        assert heads[key] + reader.read() == body
    assert s3.get_object(Bucket=bucket, Key="overwritten")["Body"].read() == b"new"


def test_deleting_nothing_is_no_error(s3, wire, bucket):
    assert s3.delete_object(Bucket=bucket, Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.delete_object(Bucket=bucket, Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204
    answer = wire.request("DELETE", f"/{bucket}/none")
    assert "Content-Length" not in answer.headers or answer.headers["Content-Length"] == "0"


def test_a_delete_with_a_condition(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]

    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch='"x"')
    assert s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError) as caught:
        s3.delete_object(Bucket=bucket, Key="k", IfMatch="*")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_many_are_deleted_and_each_is_told(s3, bucket):
    for number in range(30):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=b"")
    wanted = [{"Key": f"{number}"} for number in range(29)] + [{"Key": "never was"}, {"Key": "0"}]

    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})

    assert {entry["Key"] for entry in answer["Deleted"]} == {entry["Key"] for entry in wanted}
    assert "Errors" not in answer
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["29"]


def test_quiet_tells_errors_only(s3, wire, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")

    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "x" * 1025}], "Quiet": True}
    )

    assert "Deleted" not in answer
    assert [error["Code"] for error in answer["Errors"]] == ["KeyTooLongError"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_awkward_keys_survive_the_document(wire, s3, bucket):
    keys = [key for key in AWKWARD if all(ord(c) >= 32 or c in "\t\n\r" for c in key) and "\uffff" not in key]
    for key in keys:
        wire.request("PUT", key_path(bucket, key))

    answer = delete_many(wire, bucket, document(keys))

    assert answer.status == 200, answer
    assert not answer.xml().findall("Error")
    assert {element.findtext("Key") for element in answer.xml().iter("Deleted")} == set(keys)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_thousand_at_once_and_not_one_more(s3, wire, bucket):
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=b"")

    assert delete_many(wire, bucket, document(map(str, range(1, 1001)))).status == 200
    for body in (document(map(str, range(1001))), document([]), b"<Delete>", b"nothing"):
        answer = delete_many(wire, bucket, body)
        assert (answer.status, answer.code()) == (400, "MalformedXML")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["0"]


def test_a_document_that_was_changed_on_the_way_deletes_nothing(wire, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")

    answer = wire.request(
        "POST", f"/{bucket}", "delete", headers={"content-md5": md5_base64(b"x")}, body=document(["k"])
    )

    assert (answer.status, answer.code()) == (400, "BadDigest")
    assert s3.head_object(Bucket=bucket, Key="k")


def test_conditions_per_key(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="same", Body=b"1")["ETag"]
    s3.put_object(Bucket=bucket, Key="other", Body=b"2")

    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "same", "ETag": etag}, {"Key": "other", "ETag": '"x"'}]}
    )

    assert [entry["Key"] for entry in answer["Deleted"]] == ["same"]
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("other", "PreconditionFailed")]


def test_nothing_is_left_of_what_was_overwritten(new_server):
    from conftest import boto

    server = new_server()
    s3 = boto(server)
    s3.create_bucket(Bucket="overwritten")
    for number in range(50):
        s3.put_object(Bucket="overwritten", Key=f"{number % 5}", Body=os.urandom(10_000))

    server.assert_nothing_left_over()
    assert len(server.fid_files()) == 5 * 2
    s3.delete_objects(Bucket="overwritten", Delete={"Objects": [{"Key": f"{number}"} for number in range(5)]})
    server.assert_nothing_left_over()
    assert not server.fid_files()
