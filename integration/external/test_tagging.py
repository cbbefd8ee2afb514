"""Tags of objects and of buckets (s3.md §14)."""

import pytest
from botocore.exceptions import ClientError

TAGS = [
    {"Key": "a", "Value": "1"},
    {"Key": "with space", "Value": "x y+z/=:@-_."},
    {"Key": "empty", "Value": ""},
]


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def test_tags_are_put_read_and_taken_away(s3, bucket):
    key = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**key, Body=b"x", Metadata={"m": "1"})["ETag"]
    assert s3.get_object_tagging(**key)["TagSet"] == []

    s3.put_object_tagging(**key, Tagging={"TagSet": TAGS})

    assert sorted(s3.get_object_tagging(**key)["TagSet"], key=str) == sorted(TAGS, key=str)
    got = s3.get_object(**key)
    assert (got["TagCount"], got["ETag"], got["Metadata"]) == (3, etag, {"m": "1"})
    assert s3.delete_object_tagging(**key)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_object_tagging(**key)["TagSet"] == []
    assert "TagCount" not in s3.head_object(**key)


def test_tags_come_with_the_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=%20x%2By&c=")

    found = {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]}

    assert found == {"a": "1", "b": " x+y", "c": ""}


@pytest.mark.parametrize(
    "tags, code",
    [
        ([{"Key": "same", "Value": "1"}, {"Key": "same", "Value": "2"}], "InvalidTag"),
        ([{"Key": "k" * 129, "Value": "1"}], "InvalidTag"),
        ([{"Key": "k", "Value": "v" * 257}], "InvalidTag"),
        ([{"Key": f"k{number}", "Value": ""} for number in range(11)], ("BadRequest", "InvalidTag")),
    ],
)
def test_tags_beyond_the_limits_are_refused(s3, bucket, tags, code):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="old=1")

    status, found = refused(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": tags})

    assert status == 400 and found in code
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "old", "Value": "1"}]


def test_ten_tags_of_the_largest_size(s3, bucket):
    tags = [{"Key": f"{number}".rjust(128, "ü"), "Value": "v" * 256} for number in range(10)]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})

    assert sorted(s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"], key=str) == sorted(tags, key=str)


@pytest.mark.parametrize("text", ["a=1&a=2", "&".join(f"k{n}=v" for n in range(11)), "k" * 129 + "=1"])
def test_a_header_of_bad_tags_stores_nothing(wire, bucket, text):
    answer = wire.request("PUT", f"/{bucket}/k", headers={"x-amz-tagging": text}, body=b"x")

    assert answer.status == 400 and answer.code() in ("InvalidTag", "InvalidArgument", "BadRequest"), answer
    assert wire.request("HEAD", f"/{bucket}/k").status == 404


def test_tags_of_nothing(s3, wire, bucket):
    key = {"Bucket": bucket, "Key": "none"}

    assert refused(s3.get_object_tagging, **key) == (404, "NoSuchKey")
    assert refused(s3.put_object_tagging, **key, Tagging={"TagSet": TAGS}) == (404, "NoSuchKey")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = wire.request("PUT", f"/{bucket}/k", "tagging", body=b"<Tagging><TagSet><Tag></TagSet></Tagging>")
    assert (answer.status, answer.code()) == (400, "MalformedXML")
    nameless = b"<Tagging><TagSet><Tag><Key></Key><Value>1</Value></Tag></TagSet></Tagging>"
    assert wire.request("PUT", f"/{bucket}/k", "tagging", body=nameless).code() == "InvalidTag"


def test_tags_of_a_bucket_are_put_read_and_taken_away(s3, bucket):
    assert refused(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")

    put = s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})

    assert put["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert sorted(s3.get_bucket_tagging(Bucket=bucket)["TagSet"], key=str) == sorted(TAGS, key=str)
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    assert refused(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": many}) == (400, "BadRequest")
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": many[:50]})
    assert len(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]) == 50
    assert s3.delete_bucket_tagging(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")


def test_a_bucket_is_made_with_its_tags(s3, names):
    name = names()

    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"Tags": TAGS[:1]})

    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == TAGS[:1]
