"""Listings against a model: ten thousand keys, every delimiter, every page size (s3.md §8)."""

import concurrent.futures
import random

import pytest
from conftest import boto
from harness.listing import after, of_page, roll_up
from harness.wire import Wire, key_path

KEYS_MANY = 10_000
PIECES = [
    "a",
    "b",
    "/",
    "//",
    "-",
    "%",
    "_",
    " ",
    "é",
    "😀",
    "\uffee",
    "0",
    "ab",
    ".",
    "/a",
    "foo+1",
    "foo",
    "'",
    '"',
    "\\",
]
DELIMITERS = ["/", "//", "a", "ab", "%", "_", " ", "é", "😀", "-", ".", "/a", "nothing", "'", "\\"]


def put_all(wire, bucket, keys):
    """Puts an empty object under each key, over eight connections."""

    def put_some(some):
        connection = wire.connect()
        for key in some:
            assert wire.request("PUT", key_path(bucket, key), connection=connection).status == 200, key
        connection.close()

    keys = list(keys)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(put_some, [keys[number::8] for number in range(8)]))


def mixed_keys(seed, count):
    chance = random.Random(seed)
    return {"".join(chance.choices(PIECES, k=chance.randint(1, 6))) for _ in range(count)}


@pytest.fixture(scope="module")
def mixed(server):
    """A bucket of some hundred keys that are hard to list; and the keys."""
    keys = sorted(mixed_keys(20, 500) | {"x/" + key for key in mixed_keys(21, 100)}, key=str.encode)
    boto(server).create_bucket(Bucket="mixed-keys")
    put_all(Wire(server), "mixed-keys", keys)
    return "mixed-keys", keys


def walk_v2(s3, bucket, size, **options):
    """All pages of a listing; checks what each page says of itself."""
    entries, token = [], {}
    while True:
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=size, **options, **token)
        found = of_page(page)
        assert page["KeyCount"] == len(found) <= size
        assert page["MaxKeys"] == size
        entries += found
        if not page["IsTruncated"]:
            assert "NextContinuationToken" not in page
            return entries
        assert len(found) == size
        token = {"ContinuationToken": page["NextContinuationToken"]}


def walk_v1(s3, bucket, size, **options):
    entries, marker = [], {}
    while True:
        page = s3.list_objects(Bucket=bucket, MaxKeys=size, **options, **marker)
        entries += of_page(page)
        if not page["IsTruncated"]:
            return entries
        if "Delimiter" in options:
            marker = {"Marker": page["NextMarker"]}
        else:
            marker = {"Marker": page["Contents"][-1]["Key"]}


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_every_delimiter_groups_as_the_model_does(s3, mixed, delimiter):
    bucket, keys = mixed
    prefixes = ["", "a", "/", "x/", "x", "é", "%", "a/", "foo", "none", "ab", "//"]

    for prefix in prefixes:
        expected = roll_up(keys, prefix, delimiter)
        assert walk_v2(s3, bucket, 1000, Prefix=prefix, Delimiter=delimiter) == expected, prefix
        assert walk_v2(s3, bucket, 7, Prefix=prefix, Delimiter=delimiter) == expected, prefix
        assert walk_v1(s3, bucket, 11, Prefix=prefix, Delimiter=delimiter) == expected, prefix


@pytest.mark.parametrize("size", [1, 2, 3, 5, 10, 37, 100, 1000])
def test_every_page_size_gives_the_same_listing(s3, mixed, size):
    bucket, keys = mixed
    prefix = "x/" if size == 1 else ""

    assert walk_v2(s3, bucket, size, Prefix=prefix) == roll_up(keys, prefix)
    assert walk_v2(s3, bucket, size, Prefix=prefix, Delimiter="/") == roll_up(keys, prefix, "/")
    assert walk_v1(s3, bucket, size, Prefix=prefix) == roll_up(keys, prefix)


def test_a_listing_starts_after_any_text(s3, mixed):
    bucket, keys = mixed
    chance = random.Random(5)
    starts = chance.sample(keys, 25) + [
        "",
        "a",
        "a/",
        "b/zzz",
        "x",
        "x/",
        "x/a/",
        "zzz",
        "é",
        "\U0010fffe",
        "%",
        "/",
        "//",
    ]

    for start in starts:
        for delimiter in ("", "/", "a"):
            wanted = after(roll_up(keys, "", delimiter), start)
            if delimiter:
                options = {"Delimiter": delimiter}
                # A key of the middle of a group leaves the group to be told, as its later keys are still to come.
                left = [key for key in keys if key.encode() > start.encode()]
                wanted = [
                    entry
                    for entry in wanted
                    if entry[0] == "key" or any(k.startswith(entry[1]) for k in left)
                ]
            else:
                options = {}
            assert walk_v2(s3, bucket, 1000, StartAfter=start, **options) == wanted, (start, delimiter)


def test_ten_thousand_keys(s3, wire, bucket):
    keys = [f"{number % 10}/{number % 97:02}/file-{number:05}" for number in range(KEYS_MANY)]
    put_all(wire, bucket, keys)

    assert walk_v2(s3, bucket, 1000) == roll_up(keys)
    assert walk_v1(s3, bucket, 999) == roll_up(keys)
    assert walk_v2(s3, bucket, 1000, Delimiter="/") == roll_up(keys, "", "/")
    assert walk_v2(s3, bucket, 13, Delimiter="/", Prefix="3/") == roll_up(keys, "3/", "/")
    assert walk_v2(s3, bucket, 1000, Delimiter="-") == roll_up(keys, "", "-")


def test_what_an_entry_says(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1234", StorageClass="REDUCED_REDUNDANCY")
    s3.put_object(Bucket=bucket, Key="m", Body=b"1234", ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=bucket, Key="k")

    first, second = s3.list_objects_v2(Bucket=bucket)["Contents"]

    assert (first["Key"], first["Size"], first["ETag"]) == ("k", 4, head["ETag"])
    assert first["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert (first["StorageClass"], second["StorageClass"]) == ("REDUCED_REDUNDANCY", "STANDARD")
    assert (second["ChecksumAlgorithm"], second["ChecksumType"]) == (["SHA256"], "FULL_OBJECT")
    assert "Owner" not in first
    owner = s3.list_buckets()["Owner"]["ID"]
    assert s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"] == owner
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"]["ID"] == owner


def test_no_keys_are_a_whole_answer(s3, bucket):
    for key in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")

    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)

    assert (page["KeyCount"], page["IsTruncated"], page["MaxKeys"]) == (0, False, 0)
    assert "Contents" not in page and "NextContinuationToken" not in page
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)["MaxKeys"] == 1000
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=2)["IsTruncated"] is False


@pytest.mark.parametrize(
    "query",
    [
        "list-type=2&max-keys=-1",
        "list-type=2&max-keys=x",
        "max-keys=-1",
        "max-keys=1.5",
        "list-type=2&continuation-token=garbage",
        "list-type=2&encoding-type=base64",
        "encoding-type=x",
    ],
)
def test_arguments_that_make_no_sense_are_refused(wire, bucket, query):
    answer = wire.request("GET", f"/{bucket}", query)

    assert (answer.status, answer.code()) == (400, "InvalidArgument"), answer


def test_what_was_asked_is_echoed(wire, bucket):
    for key in ("p/a", "p/b", "p/c"):
        wire.request("PUT", f"/{bucket}/{key}")

    page = wire.request(
        "GET", f"/{bucket}", "list-type=2&prefix=p/&start-after=p/a&max-keys=1&continuation-token="
    ).xml()
    v1 = wire.request("GET", f"/{bucket}", "prefix=p/&marker=&max-keys=1&delimiter=x").xml()

    assert page.findtext("Name") == bucket
    assert (page.findtext("Prefix"), page.findtext("StartAfter"), page.findtext("MaxKeys")) == (
        "p/",
        "p/a",
        "1",
    )
    assert page.find("ContinuationToken") is not None and not page.findtext("ContinuationToken")
    assert v1.find("Marker") is not None and v1.findtext("Delimiter") == "x"


def test_a_token_beats_start_after(s3, bucket):
    for key in "abcdef":
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    token = s3.list_objects_v2(Bucket=bucket, MaxKeys=2)["NextContinuationToken"]

    page = s3.list_objects_v2(Bucket=bucket, ContinuationToken=token, StartAfter="e")

    assert [entry["Key"] for entry in page["Contents"]] == ["c", "d", "e", "f"]


def test_url_encoding_leaves_the_slash_and_never_sends_a_bare_plus(wire, bucket):
    for key in ("a b/c+d", "a b/e%f", "ü/*"):
        wire.request("PUT", key_path(bucket, key))

    page = wire.request(
        "GET", f"/{bucket}", "list-type=2&encoding-type=url&prefix=a%20b/&delimiter=%2B&start-after=a%20"
    ).xml()
    groups = wire.request("GET", f"/{bucket}", "encoding-type=url&delimiter=/").xml()

    assert [element.text for element in page.iter("Key")] == ["a%20b/e%25f"]
    assert [element.findtext("Prefix") for element in page.iter("CommonPrefixes")] == ["a%20b/c%2B"]
    assert (page.findtext("Prefix"), page.findtext("Delimiter"), page.findtext("StartAfter")) == (
        "a%20b/",
        "%2B",
        "a%20",
    )
    assert [element.findtext("Prefix") for element in groups.iter("CommonPrefixes")] == ["a%20b/", "%C3%BC/"]
    assert page.findtext("EncodingType") == "url"


def test_a_listing_shows_a_write_and_a_delete_at_once(s3, bucket):
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=b"")
        assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 1
        s3.delete_object(Bucket=bucket, Key=f"{number}")
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_parts_of_uploads_are_not_listed(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")

    for options in (
        {},
        {"Delimiter": "/"},
        {"StartAfter": "k"},
        {"StartAfter": "\U0010fffe"},
        {"Prefix": "\U0010ffff"},
    ):
        assert not of_page(s3.list_objects_v2(Bucket=bucket, **options)), options


def test_the_versions_of_a_bucket_without_versions_are_its_objects(s3, bucket):
    for key in ("a", "b/c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")

    versions = s3.list_object_versions(Bucket=bucket)["Versions"]

    assert [(v["Key"], v["VersionId"], v["IsLatest"]) for v in versions] == [
        ("a", "null", True),
        ("b/c", "null", True),
    ]
