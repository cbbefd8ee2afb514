"""Keys with every awkward byte, as requests on the wire (s3.md §2, §25)."""

import pytest
from harness.wire import key_path

AWKWARD = [
    "a//b",
    "/begins",
    "//",
    "///",
    "dir/",
    "dir//",
    "../x",
    "a/../b",
    "./x",
    "a/./b",
    ".",
    "..",
    "a/..",
    "a b",
    " begins",
    "ends ",
    "a+b",
    "a%b",
    "a%2Fb",
    "a%20b",
    "%",
    "%%",
    "a&b=c",
    "a?b",
    "a#b",
    "a;b",
    "a:b",
    "a@b",
    "a$b",
    "a,b",
    "a'b",
    'a"b',
    "a<b>c",
    "a\\b",
    "a^b",
    "a`b",
    "a{b}",
    "a|b",
    "a~b",
    "a*b",
    "(a)",
    "!a",
    "[a]",
    "a=b",
    "0",
    "null",
    "-",
    "_",
    "tab\tkey",
    "line\nfeed",
    "carriage\rreturn",
    "\x01\x02",
    "\x1f",
    "\x7f",
    "ä",
    "a\u0308",
    "日本語",
    "😀",
    "\u00a0",
    "\ufeffbom",
    "\u202eright",
    "\uffff",
    "uploads",
    "delete",
    "?uploads",
    "acl",
    "%_",
    "a_b",
    "a%",
    "K",
    "k",
    "trailing.",
    "CON",
    "a" * 1024,
    "ü" * 512,
]
BAD_PATHS = ["/{}/%zz", "/{}/%", "/{}/a%2", "/{}/%ff", "/{}/%c3%28", "/{}/%ed%a0%80"]


def test_each_awkward_key_is_a_key_of_its_own(wire, bucket):
    for number, key in enumerate(AWKWARD):
        answer = wire.request("PUT", key_path(bucket, key), body=f"{number}".encode())
        assert answer.status == 200, (key, answer)

    for number, key in enumerate(AWKWARD):
        assert wire.request("GET", key_path(bucket, key)).body == f"{number}".encode(), key
        assert wire.request("HEAD", key_path(bucket, key)).status == 200, key
    for number, key in enumerate(AWKWARD):
        assert wire.request("DELETE", key_path(bucket, key)).status == 204, key
        assert wire.request("GET", key_path(bucket, key)).status == 404, key
        following = AWKWARD[number + 1 :][:1]
        assert all(wire.request("HEAD", key_path(bucket, next_key)).status == 200 for next_key in following)


def test_awkward_keys_are_listed_in_order_of_their_bytes(s3, wire, bucket):
    for key in AWKWARD:
        wire.request("PUT", key_path(bucket, key), body=b"x")
    expected = sorted(AWKWARD, key=str.encode)

    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})

    assert [entry["Key"] for page in pages for entry in page["Contents"]] == expected
    pages = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 5})
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == expected


def test_an_encoded_slash_is_a_slash(wire, bucket):
    wire.request("PUT", f"/{bucket}/a%2Fb", body=b"x")

    assert wire.request("GET", f"/{bucket}/a/b").body == b"x"


def test_characters_may_be_encoded_that_need_not_be(wire, bucket):
    wire.request("PUT", f"/{bucket}/abc~", body=b"x")
    headers, _ = wire.signed_headers("GET", f"/{bucket}/abc~")

    assert wire.send("GET", f"/{bucket}/%61b%63%7e", headers).body == b"x"


@pytest.mark.parametrize("path", BAD_PATHS)
def test_what_is_no_text_is_no_key(wire, bucket, path):
    answer = wire.request("PUT", path.format(bucket), body=b"x")

    assert (answer.status, answer.code()) == (400, "InvalidURI")
    assert answer.headers["x-amz-request-id"]


@pytest.mark.parametrize("key", ["a\0b", "\U0010ffffmogul/1"])
def test_keys_that_cannot_be_are_refused(wire, s3, bucket, key):
    answer = wire.request("PUT", key_path(bucket, key), body=b"x")

    assert answer.status == 400, answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_key_and_a_key_below_it_live_side_by_side(s3, bucket):
    for key in ("a", "a/", "a/b", "a/b/c"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    for key in ("a", "a/", "a/b", "a/b/c"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


def test_a_path_never_leaves_its_bucket(wire, bucket, names):
    other = names()
    wire.request("PUT", f"/{other}")

    wire.request("PUT", f"/{bucket}/../{other}/stolen", body=b"x")

    assert wire.request("HEAD", f"/{other}/stolen").status == 404
    assert wire.request("GET", f"/{bucket}/../{other}/stolen").body == b"x"
