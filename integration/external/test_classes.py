"""Storage classes are MogileFS classes: their rows, and their copies on disk (s3.md §23)."""

import pytest
from botocore.exceptions import ClientError
from conftest import boto
from harness.server import wait_until


def copies(server, bucket, key):
    """Class name, devcount and the devices on which the object's file lies."""
    [(fid, name, count)] = server.rows(
        "select fid, coalesce(classname, 'default'), devcount from file join domain using (dmid)"
        " left join class using (dmid, classid) where namespace = ? and dkey = ?",
        bucket,
        key,
    )
    return name, count, sorted(devid for devid, found in server.fid_files() if found == fid)


def test_standard_keeps_two_copies_and_reduced_redundancy_one(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="s", Body=b"x")
    s3.put_object(Bucket=bucket, Key="r", Body=b"x", StorageClass="REDUCED_REDUNDANCY")

    assert copies(server, bucket, "s") == ("default", 2, [1, 2])
    name, count, devices = copies(server, bucket, "r")
    assert (name, count, len(devices)) == ("reduced_redundancy", 1, 1)
    assert s3.head_object(Bucket=bucket, Key="r")["StorageClass"] == "REDUCED_REDUNDANCY"
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="s")


@pytest.mark.parametrize("name", ["STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"])
def test_the_classes_that_every_client_knows(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass=name)

    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == name
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == name


@pytest.mark.parametrize("name", ["NOBODY_MADE_IT", "GLACIER", "DEEP_ARCHIVE"])
def test_other_classes_are_refused(s3, bucket, name):
    for call, extra in ((s3.put_object, {"Body": b"x"}), (s3.create_multipart_upload, {})):
        with pytest.raises(ClientError, match="InvalidStorageClass"):
            call(Bucket=bucket, Key="k", StorageClass=name, **extra)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_change_of_class_changes_the_number_of_copies(server, s3, bucket):
    key = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**key, Body=b"x", StorageClass="REDUCED_REDUNDANCY")

    s3.copy_object(**key, CopySource=f"{bucket}/k", StorageClass="STANDARD")

    assert "StorageClass" not in s3.head_object(**key)
    wait_until(lambda: copies(server, bucket, "k") == ("default", 2, [1, 2]), 30, "the second copy")


def test_one_directory_keeps_one_copy_and_copies_can_be_told(new_server):
    for options, expected in [
        ({"devices": 1}, 1),
        ({"devices": 3, "arguments": ["--copies", "3"]}, 3),
        ({"devices": 3}, 2),
    ]:
        server = new_server(**options)
        s3 = boto(server)
        s3.create_bucket(Bucket="copies")
        s3.put_object(Bucket="copies", Key="k", Body=b"x")
        assert len(copies(server, "copies", "k")[2]) == expected


def test_parts_follow_the_class_of_their_upload(server, s3, bucket):
    key = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**key, StorageClass="REDUCED_REDUNDANCY")["UploadId"]
    etag = s3.upload_part(**key, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(
        **key, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )

    assert s3.head_object(**key)["StorageClass"] == "REDUCED_REDUNDANCY"
    wait_until(lambda: len(copies(server, bucket, "k")[2]) == 1, 30, "one joined copy")
