"""Your objects are plain files and your metadata plain rows: seen without us."""

import http.client
import json
import os
import pathlib
import stat
import subprocess
import urllib.request

import pytest
from conftest import boto
from harness.server import FID, wait_until


def test_md5sum_of_the_file_is_the_etag(server, s3, bucket):
    body = os.urandom(1_234_567)
    etag = s3.put_object(Bucket=bucket, Key="plain/file", Body=body)["ETag"].strip('"')

    [(fid, length, count)] = server.rows(
        "select fid, length, devcount from file join domain using (dmid) where namespace = ? and dkey = 'plain/file'",
        bucket,
    )
    devices = [
        devid for (devid,) in server.rows("select devid from file_on where fid = ? order by devid", fid)
    ]

    assert (length, count, devices) == (len(body), 2, [1, 2])
    for number, folder in enumerate(server.dirs, 1):
        name = f"{fid:010}"
        path = folder / f"dev{number}" / name[0] / name[1:4] / name[4:7] / f"{name}.fid"
        summed = subprocess.run(["md5sum", path], capture_output=True, text=True, check=True).stdout
        assert summed.startswith(etag)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_sqlite_shell_reads_the_rows(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"four")

    query = f"select namespace, dkey, length from file join domain using (dmid) where namespace = '{bucket}'"
    done = subprocess.run(
        ["sqlite3", "-readonly", server.dirs[0] / "mogul.db", query],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == f"{bucket}|k|4"


def test_a_plain_http_client_reads_the_storage_node(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"over http")
    [(fid,)] = server.rows("select fid from file join domain using (dmid) where namespace = ?", bucket)
    name = f"{fid:010}"

    with urllib.request.urlopen(
        f"http://127.0.0.1:{server.storage_port}/dev1/{name[0]}/{name[1:4]}/{name[4:7]}/{name}.fid"
    ) as answer:
        assert answer.read() == b"over http"


def test_the_storage_node_serves_fids_and_nothing_else(server):
    for path in (
        "/mogul.db",
        "/dev1/../mogul.db",
        "/dev1/../../etc/passwd",
        "/dev1/%2e%2e/mogul.db",
        "/root-credentials.json",
        "/dev1/0/000/000/x.fid",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", server.storage_port, timeout=10)
        connection.putrequest("GET", path)
        connection.endheaders()
        assert connection.getresponse().status in (400, 403, 404), path
        connection.close()


def test_a_restart_keeps_everything(new_server):
    server = new_server()
    s3 = boto(server)
    s3.create_bucket(Bucket="kept")
    bodies = {f"{number}": os.urandom(number * 1000) for number in range(20)}
    for key, body in bodies.items():
        s3.put_object(Bucket="kept", Key=key, Body=body, Metadata={"key": key}, Tagging=f"key={key}")
    upload = s3.create_multipart_upload(Bucket="kept", Key="up")["UploadId"]
    etag = s3.upload_part(Bucket="kept", Key="up", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    server.add_user("stays", "AKSTAYSAFTERALL", "s" * 40)
    before = s3.list_objects_v2(Bucket="kept")["Contents"]

    assert server.stop() == 0
    server.start()

    assert s3.list_objects_v2(Bucket="kept")["Contents"] == before
    for key, body in bodies.items():
        got = s3.get_object(Bucket="kept", Key=key)
        assert (got["Body"].read(), got["Metadata"]["key"], got["TagCount"]) == (body, key, 1)
    s3.complete_multipart_upload(
        Bucket="kept", Key="up", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    assert s3.get_object(Bucket="kept", Key="up")["Body"].read() == b"part"
    assert boto(server, "AKSTAYSAFTERALL", "s" * 40).list_buckets()["Buckets"] == []
    assert sorted(path.name for path in server.dirs[0].glob("dev*")) == ["dev1"]
    server.assert_nothing_left_over()


@pytest.fixture
def spoiled(new_server):
    """A server with twenty objects, and a function that spoils all copies on a device and reads every object."""
    server = new_server()
    s3 = boto(server)
    s3.create_bucket(Bucket="spoiled")
    bodies = {f"{number}": os.urandom(50_000) for number in range(20)}
    for key, body in bodies.items():
        s3.put_object(Bucket="spoiled", Key=key, Body=body)

    def spoil_and_read(how, devid, fids=None):
        for (found, fid), path in server.fid_files().items():
            if found == devid and (fids is None or fid in fids):
                how(path)
        for key, body in bodies.items():
            assert s3.get_object(Bucket="spoiled", Key=key)["Body"].read() == body, key

    return server, spoil_and_read


def rot(path):
    with open(path, "r+b") as rotten:
        rotten.seek(25_000)
        byte = rotten.read(1)[0]
        rotten.seek(25_000)
        rotten.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("how", [rot, pathlib.Path.unlink])
def test_a_bad_copy_is_read_from_the_other_device_and_made_anew(spoiled, how):
    """Each object is read from one of its two devices: those read from the spoiled one find it out."""
    server, spoil_and_read = spoiled
    good = {fid: path.read_bytes() for (devid, fid), path in server.fid_files().items() if devid == 2}

    spoil_and_read(how, 1)

    def mended():
        found = {fid: path for (devid, fid), path in server.fid_files().items() if devid == 1}
        return {fid for fid, path in found.items() if path.read_bytes() == good[fid]}

    wait_until(mended, 30, "a mended copy")
    server.wait_for_rest()
    spoil_and_read(how, 2, mended())


def test_every_answer_has_an_id_that_is_in_the_log(new_server):
    server = new_server(devices=1, arguments=["--log", "debug"])
    s3 = boto(server)

    answer = s3.create_bucket(Bucket="logged")["ResponseMetadata"]

    assert answer["RequestId"] in json.dumps(server.log_events())
    assert all(FID.search(str(path)) for path in server.files_on_disk())
