"""Presigned URLs (s3.md §3.2)."""

import re

import pytest
import requests
from conftest import boto
from harness.wire import Signer, Wire, now


def fetch(wire, target, method="GET", headers=(), body=b""):
    return wire.send(method, target, [("host", wire.host), *headers], body)


@pytest.fixture
def stored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a b+c", Body=b"stored")
    return bucket


def test_urls_of_boto3_work(either, either_bucket):
    s3 = boto(either)
    where = {"Bucket": either_bucket, "Key": "ä b+c"}
    trust = str(either.tls[0]) if either.tls else True

    put = requests.put(s3.generate_presigned_url("put_object", where), data=b"by url", verify=trust)
    got = requests.get(s3.generate_presigned_url("get_object", where), verify=trust)
    named = requests.get(
        s3.generate_presigned_url(
            "get_object", {**where, "ResponseContentDisposition": 'attachment; filename="x.txt"'}
        ),
        verify=trust,
    )
    head = requests.head(s3.generate_presigned_url("head_object", where), verify=trust)
    deleted = requests.delete(s3.generate_presigned_url("delete_object", where), verify=trust)

    assert put.status_code == 200, put.text
    assert (got.status_code, got.content) == (200, b"by url")
    assert named.headers["Content-Disposition"] == 'attachment; filename="x.txt"'
    assert (head.status_code, head.headers["Content-Length"]) == (200, "6")
    assert deleted.status_code == 204
    assert requests.get(s3.generate_presigned_url("get_object", where), verify=trust).status_code == 404


def test_a_url_is_for_one_method_path_and_query(wire, stored):
    target = wire.signer.presign("GET", f"/{stored}/a%20b%2Bc", wire.host)

    assert fetch(wire, target).body == b"stored"
    assert fetch(wire, target, "HEAD").status == 403
    assert fetch(wire, target, "DELETE").status == 403
    assert fetch(wire, target.replace("a%20b", "x")).code() == "SignatureDoesNotMatch"
    assert fetch(wire, target + "&response-content-type=text/html").code() == "SignatureDoesNotMatch"
    assert fetch(wire, target, headers=[("x-amz-meta-a", "1")]).status == 403
    assert fetch(wire, target, headers=[("x-other", "1"), ("range", "bytes=0-1")]).body == b"st"


@pytest.mark.parametrize("expires, code", [("-1", 400), ("604801", 400), ("x", 400), ("", 400)])
def test_times_that_make_no_sense(wire, stored, expires, code):
    answer = fetch(wire, wire.signer.presign("GET", f"/{stored}/k", wire.host, expires=expires))

    assert (answer.status, answer.code()) == (code, "AuthorizationQueryParametersError"), answer


def test_a_url_ends(wire, stored):
    for shift, expires in [(-100, 99), (0, 0), (-8 * 86_400, 604_800)]:
        target = wire.signer.presign(
            "GET", f"/{stored}/a%20b%2Bc", wire.host, expires=expires, stamp=now(shift)
        )
        answer = fetch(wire, target)
        assert (answer.status, answer.code()) == (403, "AccessDenied"), (shift, expires, answer)
        assert answer.error()["Message"].startswith("Request has expired")
        assert {"X-Amz-Expires", "ExpiresDate", "ServerTime"} <= set(answer.error())
    old_but_valid = wire.signer.presign(
        "GET", f"/{stored}/a%20b%2Bc", wire.host, expires=604_800, stamp=now(-6 * 86_400)
    )
    assert fetch(wire, old_but_valid).status == 200


def test_a_url_of_the_future(wire, stored):
    answer = fetch(wire, wire.signer.presign("GET", f"/{stored}/k", wire.host, stamp=now(16 * 60)))

    assert (answer.status, answer.code()) == (403, "AccessDenied")
    assert "not yet valid" in answer.error()["Message"]


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_nothing_may_be_missing(wire, stored, name):
    target = wire.signer.presign("GET", f"/{stored}/k", wire.host)
    cut = re.sub(rf"[?&]X-Amz-{name}=[^&]*", "", target).replace(f"/{stored}/k&", f"/{stored}/k?")

    answer = fetch(wire, cut)

    assert answer.status in (400, 403), answer
    assert answer.code() in ("AuthorizationQueryParametersError", "AccessDenied"), answer


def test_a_wrong_signature_key_or_region(server, stored):
    for signer, code in [
        (Signer(secret_key="wrong"), "SignatureDoesNotMatch"),
        (Signer("AKNOBODY"), "InvalidAccessKeyId"),
        (Signer(region="mars-north-1"), "AuthorizationQueryParametersError"),
    ]:
        wire = Wire(server, signer)
        assert fetch(wire, signer.presign("GET", f"/{stored}/k", wire.host)).code() == code


def test_signed_headers_must_come(wire, stored):
    target = wire.signer.presign("PUT", f"/{stored}/new", wire.host, headers=[("content-type", "text/plain")])

    assert (
        fetch(wire, target, "PUT", [("content-type", "text/html"), ("content-length", "1")], b"x").status
        == 403
    )
    assert fetch(wire, target, "PUT", [("content-length", "1")], b"x").status == 403
    assert (
        fetch(wire, target, "PUT", [("content-type", "text/plain"), ("content-length", "1")], b"x").status
        == 200
    )


def test_checksums_in_the_query_are_obeyed(wire, stored):
    from harness.digests import value

    for body, status in [(b"right", 200), (b"wrong", 400)]:
        query = "x-amz-checksum-crc32=" + value("CRC32", b"right").replace("=", "%3D").replace(
            "+", "%2B"
        ).replace("/", "%2F")
        target = wire.signer.presign(
            "PUT", f"/{stored}/sum", wire.host, query=query + "&x-amz-sdk-checksum-algorithm=CRC32"
        )
        answer = fetch(wire, target, "PUT", [("content-length", "5")], body)
        assert answer.status == status, answer


def test_parameters_of_aws_are_case_sensitive(wire, stored):
    target = wire.signer.presign("GET", f"/{stored}/a%20b%2Bc", wire.host)

    assert fetch(wire, target.replace("X-Amz-Signature", "x-amz-signature")).status in (400, 403)
