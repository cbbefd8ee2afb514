"""The harness itself: its signer agrees with botocore's, its digests with published values, its model with itself."""

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from harness.digests import ALGORITHMS
from harness.listing import after, roll_up
from harness.wire import EMPTY_SHA256, Signer

#: Check values of the catalogues of each algorithm for the text "123456789".
PUBLISHED = {
    "CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888", "MD5": "25f9e794323b453885f5181f1b624d0b",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441", "XXHASH64": "8cb841db40e6ae83",
}  # fmt: skip


def test_our_signer_signs_as_botocore_does():
    url = "http://127.0.0.1:9000/bucket/a%20b/%C3%A9%2B?delimiter=%2F&list-type=2&prefix=x%20%2A~&acl"
    request = AWSRequest(
        "GET", url, headers={"x-amz-meta-a": "  two   words ", "X-Amz-Content-Sha256": EMPTY_SHA256}
    )
    S3SigV4Auth(Credentials("AK", "secret"), "s3", "us-east-1").add_auth(request)
    theirs = request.headers["Authorization"]
    stamp = request.headers["X-Amz-Date"]
    sent = [
        ("host", "127.0.0.1:9000"),
        ("x-amz-meta-a", "  two   words "),
        ("x-amz-content-sha256", EMPTY_SHA256),
    ]

    path, query = url.removeprefix("http://127.0.0.1:9000").split("?")
    ours, _ = Signer("AK", "secret").header(
        "GET", path, query, [*sent, ("x-amz-date", stamp)], EMPTY_SHA256, stamp
    )

    assert ours == theirs


def test_our_digests_are_the_published_ones():
    found = {name: ALGORITHMS[name](b"123456789").hex() for name in PUBLISHED}

    assert found == PUBLISHED


def test_our_model_groups_and_starts_as_s3_does():
    keys = ["a", "a/1", "a/2", "b", "c/1", "ä/1"]

    assert roll_up(keys, "", "/") == [
        ("key", "a"),
        ("group", "a/"),
        ("key", "b"),
        ("group", "c/"),
        ("group", "ä/"),
    ]
    assert after(roll_up(keys, "", "/"), "a/") == [("key", "b"), ("group", "c/"), ("group", "ä/")]
    assert after(roll_up(keys, "", "/"), "a/1")[0] == ("group", "a/")
