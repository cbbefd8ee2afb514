"""One store, two doors: what one protocol stores, the other one reads, lists, describes, renames, deletes and re-classes."""

import contextlib
import hashlib

import pytest
from botocore.exceptions import ClientError
from harness.server import wait_until
from harness.tracker import LineClient, put

#: A file of the port is digested in the background; the job is woken by the close.
MIB = 1 << 20


@pytest.fixture
def port(server):
    with LineClient(server.tracker_port) as client:
        yield client


def etag(s3, bucket, key):
    return s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')


def test_a_file_of_the_port_is_an_object_at_once_and_gets_its_md5(s3, port, bucket):
    body = b"stored by a MogileFS client"

    port.store(bucket, "dir/picture.PNG", body)

    head = s3.head_object(Bucket=bucket, Key="dir/picture.PNG")
    assert head["ContentLength"] == len(body)
    assert head["ContentType"] == "image/png"
    assert head["LastModified"].year >= 2020
    got = s3.get_object(Bucket=bucket, Key="dir/picture.PNG")
    assert got["Body"].read() == body
    md5 = hashlib.md5(body).hexdigest()
    wait_until(lambda: etag(s3, bucket, "dir/picture.PNG") == md5, what="the true entity tag")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="dir/")["Contents"]
    assert [(entry["Key"], entry["Size"], entry["ETag"]) for entry in listed] == [
        ("dir/picture.PNG", len(body), f'"{md5}"')
    ]


def test_an_object_is_a_file_of_the_port_at_once(s3, port, bucket):
    body = b"stored through S3" * 1000
    s3.put_object(Bucket=bucket, Key="a b/ä", Body=body)

    assert port.fetch(bucket, "a b/ä") == body
    info = port.must("file_info", domain=bucket, key="a b/ä", devices=1)
    assert (info["length"], info["class"], info["domain"]) == (str(len(body)), "default", bucket)
    assert len(info["devids"].split(",")) == 2
    keys = port.must("list_keys", domain=bucket)
    assert (keys["key_count"], keys["key_1"], keys["next_after"]) == ("1", "a b/ä", "a b/ä")
    fids = port.must("list_fids", **{"from": int(info["fid"]) - 1, "to": 1})
    assert fids["fid_1_key"] == "a b/ä"
    debug = port.must("file_debug", fid=info["fid"])
    assert debug["fid_dkey"] == "a b/ä"


@pytest.mark.parametrize("size", [100, 6 * MIB])
def test_an_upload_in_parts_is_fetched_by_the_port_before_or_after_its_join(s3, port, bucket, size):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    bodies = [bytes([number]) * (5 * MIB if number < 3 else size) for number in (1, 2, 3)]
    parts = []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"ETag": part["ETag"], "PartNumber": number})
    open_parts = port.ask("list_keys", domain=bucket)
    assert open_parts.code == "none_match", "parts of an open upload are no keys"

    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})

    assert port.fetch(bucket, "big") == b"".join(bodies)
    assert etag(s3, bucket, "big").endswith("-3")


def test_each_door_overwrites_what_the_other_stored(s3, port, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"one", Metadata={"a": "b"}, Tagging="t=1")

    port.store(bucket, "k", b"two")

    head = s3.get_object(Bucket=bucket, Key="k")
    assert head["Body"].read() == b"two"
    assert head["Metadata"] == {}
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    s3.put_object(Bucket=bucket, Key="k", Body=b"three")
    assert port.fetch(bucket, "k") == b"three"
    assert port.must("list_keys", domain=bucket)["key_count"] == "1"


def test_a_rename_moves_what_s3_keeps_of_an_object(s3, port, bucket):
    s3.put_object(
        Bucket=bucket, Key="from", Body=b"x", Metadata={"a": "b"}, ContentType="text/x-mine", Tagging="t=1"
    )

    port.must("rename", domain=bucket, from_key="from", to_key="to")

    moved = s3.get_object(Bucket=bucket, Key="to")
    assert (moved["Metadata"], moved["ContentType"]) == ({"a": "b"}, "text/x-mine")
    assert s3.get_object_tagging(Bucket=bucket, Key="to")["TagSet"] == [{"Key": "t", "Value": "1"}]
    with pytest.raises(ClientError) as gone:
        s3.head_object(Bucket=bucket, Key="from")
    assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert port.ask("rename", domain=bucket, from_key="to", to_key="\U0010ffffmogul/1").code is not None


def test_each_door_deletes_what_the_other_stored(s3, port, bucket):
    s3.put_object(Bucket=bucket, Key="s3", Body=b"x")
    port.store(bucket, "port", b"y")

    port.must("delete", domain=bucket, key="s3")
    s3.delete_object(Bucket=bucket, Key="port")

    assert port.ask("get_paths", domain=bucket, key="port").code == "unknown_key"
    assert port.ask("delete", domain=bucket, key="s3").code == "unknown_key"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_class_of_the_port_is_a_storage_class_and_the_other_way_round(s3, port, bucket):
    port.must("create_class", domain=bucket, **{"class": "thumbs", "mindevcount": 1})

    s3.put_object(Bucket=bucket, Key="small", Body=b"x", StorageClass="THUMBS")
    assert port.must("file_info", domain=bucket, key="small")["class"] == "thumbs"

    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    port.must("updateclass", domain=bucket, key="other", **{"class": "thumbs"})
    assert s3.head_object(Bucket=bucket, Key="other")["StorageClass"] == "THUMBS"
    port.must("updateclass", domain=bucket, key="other", **{"class": "default"})
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="other")


def test_a_domain_of_the_port_is_a_bucket_of_root(s3, port, names):
    name = names()
    port.must("create_domain", domain=name)
    port.store(name, "k", b"hello")

    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"hello"
    with contextlib.suppress(ClientError):
        s3.delete_bucket(Bucket=name)
        raise AssertionError("a bucket with a file of the port was deleted")
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    assert port.ask("get_paths", domain=name, key="k").code == "unreg_domain"


def test_an_upload_may_be_closed_after_a_crash(new_server):
    server = new_server(devices=2)
    with LineClient(server.tracker_port) as client:
        client.must("create_domain", domain="crash")
        opened = client.must("create_open", domain="crash", key="k")
        assert put(opened["path"], b"hello") in (200, 201, 204)
    server.kill()
    server.start()

    with LineClient(server.tracker_port) as client:
        close = {"fid": opened["fid"], "devid": opened["devid"], "path": opened["path"]}
        client.must("create_close", domain="crash", key="k", size=5, **close)
        assert client.fetch("crash", "k") == b"hello"
        again = client.ask("create_close", domain="crash", key="k", size=5, **close)
        assert again.code == "no_temp_file"
