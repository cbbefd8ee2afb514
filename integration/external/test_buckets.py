"""Buckets: their names, their owners, the list of them (s3.md §7)."""

import pytest
from botocore.exceptions import ClientError
from conftest import boto
from harness.wire import Wire

BAD_NAMES = [
    "ab",
    "a" * 64,
    "Upper",
    "under_score",
    "-begins",
    "ends-",
    "two..dots",
    "dot.-dash",
    "dash-.dot",
    ".dot",
    "dot.",
    "192.168.5.4",
    "xn--prefix",
    "sthree-prefix",
    "name-s3alias",
    "name--ol-s3",
    "with space",
    "semi;colon",
]
ABSENT_CONFIGURATIONS = {
    "policy": "NoSuchBucketPolicy",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "cors": "NoSuchCORSConfiguration",
    "tagging": "NoSuchTagSet",
    "website": "NoSuchWebsiteConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "replication": "ReplicationConfigurationNotFoundError",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "object-lock": "ObjectLockConfigurationNotFoundError",
}


def code_of(call, *arguments, **options):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **options)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def create_body(location):
    return f"<CreateBucketConfiguration><LocationConstraint>{location}</LocationConstraint></CreateBucketConfiguration>".encode()


def test_a_bucket_is_created_seen_listed_and_deleted(s3, names):
    name = names()

    created = s3.create_bucket(Bucket=name)

    assert created["Location"].endswith(f"/{name}")
    assert (
        s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    )
    listed = s3.list_buckets()
    assert name in [bucket["Name"] for bucket in listed["Buckets"]]
    assert listed["Owner"]["ID"]
    assert s3.delete_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert code_of(s3.head_bucket, Bucket=name) == ("404", 404)
    assert name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_not_legal_is_refused(wire, name):
    answer = wire.request("PUT", "/" + name.replace(" ", "%20").replace(";", "%3B"))

    assert (answer.status, answer.code()) == (400, "InvalidBucketName"), answer


@pytest.mark.parametrize("name", ["abc", "a1.b-2.c3", "0-0", "a" * 63])
def test_a_legal_name_is_taken(wire, name):
    assert wire.request("PUT", f"/{name}").status == 200
    assert wire.request("DELETE", f"/{name}").status == 204


def test_creating_ones_own_bucket_again_leaves_everything_in_place(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"1")

    s3.create_bucket(Bucket=bucket)

    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"1"


def test_the_bucket_of_somebody_else_is_refused(other_user, bucket):
    theirs, _ = other_user

    assert code_of(theirs.create_bucket, Bucket=bucket) == ("BucketAlreadyExists", 409)


def test_a_bucket_with_objects_is_not_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")

    assert code_of(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)

    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


def test_uploads_in_progress_do_not_keep_a_bucket(server, s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"left over")

    s3.delete_bucket(Bucket=bucket)

    assert not server.rows("select 1 from mogul_upload where upload_id = ?", upload)
    assert not server.rows("select 1 from mogul_part where upload_id = ?", upload)
    s3.create_bucket(Bucket=bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_what_is_not_there_is_no_such_bucket(s3, wire, names):
    name = names()

    assert code_of(s3.delete_bucket, Bucket=name) == ("NoSuchBucket", 404)
    assert code_of(s3.list_objects_v2, Bucket=name) == ("NoSuchBucket", 404)
    assert code_of(s3.put_object, Bucket=name, Key="k", Body=b"") == ("NoSuchBucket", 404)
    assert code_of(s3.get_object, Bucket=name, Key="k") == ("NoSuchBucket", 404)
    assert wire.request("GET", f"/{name}").error()["BucketName"] == name


@pytest.mark.parametrize("body", [b"", create_body(""), create_body("us-east-1")])
def test_the_servers_own_location_is_taken(wire, names, body):
    assert wire.request("PUT", "/" + names(), body=body).status == 200


def test_another_location_is_refused(wire, names):
    name = names()

    answer = wire.request("PUT", f"/{name}", body=create_body("mars-north-1"))

    assert (answer.status, answer.code()) in [
        (400, "InvalidLocationConstraint"),
        (400, "IllegalLocationConstraintException"),
    ]
    assert wire.request("HEAD", f"/{name}").status == 404


@pytest.mark.parametrize(
    "body", [b"<CreateBucketConfiguration>", b"no xml", b"<!DOCTYPE a []><CreateBucketConfiguration/>"]
)
def test_a_broken_document_creates_nothing(wire, names, body):
    name = names()

    answer = wire.request("PUT", f"/{name}", body=body)

    assert (answer.status, answer.code()) == (400, "MalformedXML")
    assert wire.request("HEAD", f"/{name}").status == 404


def test_a_slash_behind_the_bucket_is_still_the_bucket(wire, bucket):
    assert wire.request("GET", f"/{bucket}/", "location").xml().tag == "LocationConstraint"
    assert wire.request("HEAD", f"/{bucket}/").status == 200


def test_the_location_of_us_east_1_is_an_empty_element(s3, wire, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert not wire.request("GET", f"/{bucket}", "location").xml().text


def test_head_bucket_says_the_region_also_when_it_refuses(wire, other_user, names, bucket):
    assert wire.request("HEAD", "/" + names()).headers["x-amz-bucket-region"] == "us-east-1"

    refused = other_user[1].request("HEAD", f"/{bucket}")

    assert (refused.status, refused.headers["x-amz-bucket-region"]) == (403, "us-east-1")
    assert refused.body == b""


def test_the_list_of_buckets_comes_in_pages(new_server):
    server = new_server(devices=1)
    s3 = boto(server)
    expected = [f"page-{number:02}" for number in range(7)]
    for name in reversed(expected):
        s3.create_bucket(Bucket=name)

    for size in (1, 2, 3, 6, 7, 8):
        seen, token = [], {}
        while True:
            page = s3.list_buckets(MaxBuckets=size, **token)
            assert len(page["Buckets"]) <= size
            seen += [bucket["Name"] for bucket in page["Buckets"]]
            if not page.get("ContinuationToken"):
                break
            token = {"ContinuationToken": page["ContinuationToken"]}
        assert seen == expected, size
    assert len(s3.list_buckets(MaxBuckets=7)["Buckets"]) == 7
    assert "ContinuationToken" not in s3.list_buckets(MaxBuckets=7)
    assert [b["Name"] for b in s3.list_buckets(Prefix="page-03")["Buckets"]] == ["page-03"]
    wire = Wire(server)
    for bad in ("max-buckets=0", "max-buckets=10001", "max-buckets=x", "max-buckets=-1"):
        answer = wire.request("GET", "/", bad)
        assert (answer.status, answer.code()) == (400, "InvalidArgument"), bad


@pytest.mark.parametrize("selector, code", ABSENT_CONFIGURATIONS.items())
def test_a_configuration_that_is_not_there_is_named(wire, bucket, selector, code):
    answer = wire.request("GET", f"/{bucket}", selector)

    assert (answer.status, answer.code()) == (404, code)


@pytest.mark.parametrize(
    "selector, root",
    [
        ("versioning", "VersioningConfiguration"),
        ("logging", "BucketLoggingStatus"),
        ("acl", "AccessControlPolicy"),
        ("notification", "NotificationConfiguration"),
        ("accelerate", "AccelerateConfiguration"),
        ("requestPayment", "RequestPaymentConfiguration"),
    ],
)
def test_what_tools_read_of_every_bucket_has_an_answer(wire, bucket, selector, root):
    answer = wire.request("GET", f"/{bucket}", selector)

    assert (answer.status, answer.xml().tag) == (200, root)


@pytest.mark.parametrize(
    "method, path, query",
    [
        ("PUT", "/{}", "replication"),
        ("GET", "/{}/k", "torrent"),
        ("POST", "/{}/k", "select&select-type=2"),
        ("PUT", "/{}/k", "renameObject"),
        ("GET", "/{}", "metadataTable"),
        ("PUT", "/{}", "inventory&id=1"),
    ],
)
def test_what_is_not_served_says_so(wire, bucket, method, path, query):
    answer = wire.request(method, path.format(bucket), query, body=b"<a/>" if method != "GET" else b"")

    assert (answer.status, answer.code()) == (501, "NotImplemented"), answer


def test_an_unknown_method_is_refused_with_those_allowed(wire, bucket):
    answer = wire.request("PATCH", f"/{bucket}/k")

    assert (answer.status, answer.code()) == (405, "MethodNotAllowed")
    assert "GET" in answer.headers["Allow"]
