"""Who may come in: every way in which a signature can be wrong (s3.md §3.1, §26)."""

import socket

import pytest
from harness.wire import Signer, Wire, now

DAY = 86_400


def check(answer, status, code, *members):
    assert (answer.status, answer.code()) == (status, code), answer
    assert all(answer.error().get(member) for member in members), answer
    return answer.error()


def test_a_wrong_secret(server, bucket):
    error = check(
        Wire(server, Signer(secret_key="wrong")).request("GET", f"/{bucket}"),
        403,
        "SignatureDoesNotMatch",
        "AWSAccessKeyId",
        "StringToSign",
        "SignatureProvided",
        "StringToSignBytes",
        "CanonicalRequest",
        "CanonicalRequestBytes",
    )

    assert error["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert error["CanonicalRequest"].startswith(f"GET\n/{bucket}\n")


def test_an_unknown_key(server, bucket):
    error = check(
        Wire(server, Signer("AKNOBODY", "x")).request("GET", f"/{bucket}"),
        403,
        "InvalidAccessKeyId",
        "AWSAccessKeyId",
    )

    assert error["AWSAccessKeyId"] == "AKNOBODY"
    assert Wire(server, Signer("", "x")).request("GET", f"/{bucket}").status in (400, 403)


def test_a_wrong_region_names_the_right_one(server, bucket):
    error = check(
        Wire(server, Signer(region="mars-north-1")).request("GET", f"/{bucket}"),
        400,
        "AuthorizationHeaderMalformed",
        "Region",
    )

    assert error["Region"] == "us-east-1"


@pytest.mark.parametrize("shift", [-16 * 60, 16 * 60])
def test_a_clock_that_is_wrong_is_told_the_time(wire, bucket, shift):
    answer = wire.request("GET", f"/{bucket}", stamp=now(shift))

    error = check(
        answer, 403, "RequestTimeTooSkewed", "RequestTime", "ServerTime", "MaxAllowedSkewMilliseconds"
    )
    assert error["MaxAllowedSkewMilliseconds"] == "900000"


@pytest.mark.parametrize("shift", [-14 * 60, 14 * 60])
def test_a_clock_that_is_a_little_wrong_is_fine(wire, bucket, shift):
    assert wire.request("GET", f"/{bucket}", stamp=now(shift)).status == 200


def test_nobody_gets_nothing(wire, bucket):
    for method, path in [
        ("GET", "/"),
        ("GET", f"/{bucket}"),
        ("GET", f"/{bucket}/k"),
        ("PUT", f"/{bucket}/k"),
        ("DELETE", f"/{bucket}"),
    ]:
        check(wire.request(method, path, signed=False), 403, "AccessDenied")
    assert wire.request("HEAD", f"/{bucket}", signed=False).status == 403


def changed(wire, bucket, change, method="GET", path=None, query="", body=b"", extra=()):
    """Sends a signed request whose headers `change` has altered."""
    path = path or f"/{bucket}"
    headers, _ = wire.signed_headers(method, path, query, extra, body)
    headers = change(headers)
    return wire.send(method, f"{path}?{query}" if query else path, headers, body)


def replace(name, new):
    return lambda headers: [(n, new(v) if n == name else v) for n, v in headers]


def without(name):
    return lambda headers: [(n, v) for n, v in headers if n != name]


@pytest.mark.parametrize(
    "change, status, codes",
    [
        (without("x-amz-date"), 403, ["AccessDenied", "SignatureDoesNotMatch"]),
        (replace("x-amz-date", lambda _: "yesterday"), 403, ["AccessDenied"]),
        (without("x-amz-content-sha256"), 400, ["InvalidRequest"]),
        (
            replace("authorization", lambda v: v.replace("/aws4_request", "/aws5_request")),
            400,
            ["AuthorizationHeaderMalformed"],
        ),
        (
            replace("authorization", lambda v: v.replace("/s3/", "/ec2/")),
            400,
            ["AuthorizationHeaderMalformed"],
        ),
        (
            replace("authorization", lambda v: v.replace(f"/{now()[:8]}/", "/20010101/")),
            400,
            ["AuthorizationHeaderMalformed"],
        ),
        (
            replace("authorization", lambda v: v.split(", Signature=")[0]),
            400,
            ["AuthorizationHeaderMalformed"],
        ),
        (
            replace("authorization", lambda v: v.replace("Credential=", "Nothing=")),
            400,
            ["AuthorizationHeaderMalformed"],
        ),
        (replace("authorization", lambda _: "AWS4-HMAC-SHA256"), 400, ["AuthorizationHeaderMalformed"]),
        (replace("authorization", lambda _: "Basic dTpw"), 400, ["InvalidArgument", "InvalidRequest"]),
        (
            replace("authorization", lambda _: "AWS AKROOT:c2lnbmF0dXJl"),
            400,
            ["InvalidRequest", "InvalidArgument"],
        ),
        (
            replace("authorization", lambda v: v.replace("HMAC-SHA256", "ECDSA-P256-SHA256")),
            400,
            ["InvalidRequest", "InvalidArgument"],
        ),
        (
            replace("authorization", lambda v: v[:-1] + ("0" if v[-1] != "0" else "1")),
            403,
            ["SignatureDoesNotMatch"],
        ),
        (
            replace("authorization", lambda v: v.replace("host;", "")),
            403,
            ["AccessDenied", "SignatureDoesNotMatch"],
        ),
    ],
)
def test_a_header_that_was_tampered_with(wire, bucket, change, status, codes):
    answer = changed(wire, bucket, change)

    assert answer.status == status and answer.code() in codes, answer


def test_amazons_headers_must_be_signed(wire, bucket):
    answer = changed(wire, bucket, lambda headers: [*headers, ("x-amz-meta-smuggled", "1")])

    error = check(answer, 403, "AccessDenied", "HeadersNotSigned")
    assert "x-amz-meta-smuggled" in error["HeadersNotSigned"]
    assert changed(wire, bucket, lambda headers: [*headers, ("x-other", "1")]).status == 200


def test_the_signature_covers_method_path_query_and_headers(wire, bucket):
    headers, _ = wire.signed_headers("GET", f"/{bucket}/k", "partNumber=1", [("x-amz-meta-a", "1")])
    changed_header = [(name, "2" if name == "x-amz-meta-a" else value) for name, value in headers]

    for method, target, sent in [
        ("DELETE", f"/{bucket}/k?partNumber=1", headers),
        ("GET", f"/{bucket}/l?partNumber=1", headers),
        ("GET", f"/{bucket}/k?partNumber=2", headers),
        ("GET", f"/{bucket}/k", headers),
        ("GET", f"/{bucket}/k?partNumber=1", changed_header),
    ]:
        check(wire.send(method, target, sent), 403, "SignatureDoesNotMatch")


def test_awkward_headers_and_queries_are_signed_as_everybody_signs_them(wire, bucket):
    key = f"/{bucket}/k"
    headers = [
        ("x-amz-meta-spaces", "  a   b  "),
        ("x-amz-meta-two", "1"),
        ("x-amz-meta-two", "2"),
        ("X-Amz-Meta-Case", "C"),
    ]

    assert wire.request("PUT", key, headers=headers, body=b"x").status == 200
    for query in (
        "prefix=a+b",
        "prefix=a%20b",
        "prefix=*'()!~",
        "prefix=%C3%A9",
        "prefix=%2F&delimiter=/",
        "prefix&delimiter=",
        "prefix=a=b",
        "prefix=b&x=2&x=1",
        "prefix=%7E",
        "zz=1&list-type=2&aa=2",
    ):
        assert wire.request("GET", f"/{bucket}", query).status == 200, query


def test_the_date_may_come_in_the_date_header(server, bucket):
    import email.utils

    wire, stamp = Wire(server), now()
    moment = email.utils.formatdate(usegmt=True)
    headers, _ = wire.signed_headers("GET", f"/{bucket}", "", [("date", moment)], stamp=stamp)

    assert wire.send("GET", f"/{bucket}", headers).status in (200, 403)


def test_two_kinds_of_credentials_are_one_too_many(wire, bucket):
    target = wire.signer.presign("GET", f"/{bucket}", wire.host)
    path, query = target.split("?", 1)

    answer = wire.request("GET", path, query)

    assert answer.status == 400 and answer.code() in ("InvalidRequest", "InvalidArgument"), answer


def asking_to_go_on(server, bucket, headers, length):
    """A connection on which a PUT was begun that waits to be told to send its body."""
    lines = [f"PUT /{bucket}/k HTTP/1.1"] + [f"{name}: {value}" for name, value in headers]
    lines += [f"content-length: {length}", "expect: 100-continue", "", ""]
    connection = socket.create_connection(("127.0.0.1", server.s3_port), timeout=10)
    connection.sendall("\r\n".join(lines).encode())
    return connection


def test_no_body_is_read_from_who_is_not_known(server, bucket):
    """A client that waits for `100 Continue` gets the refusal at once and sends nothing."""
    wire = Wire(server, Signer(secret_key="wrong"))
    headers, _ = wire.signed_headers("PUT", f"/{bucket}/k", "", [], payload_hash="UNSIGNED-PAYLOAD")
    with asking_to_go_on(server, bucket, headers, 1_000_000) as connection:
        answer = connection.recv(100)

    assert answer.startswith(b"HTTP/1.1 403"), answer


def test_who_is_known_is_told_to_go_on(server, wire, bucket):
    headers, _ = wire.signed_headers("PUT", f"/{bucket}/k", "", [], b"body")
    with asking_to_go_on(server, bucket, headers, 4) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"body")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_after_a_refused_put_the_connection_is_in_step(server, wire, bucket):
    """The refused body must not be taken for the next request: it is drained, or the connection ends."""
    connection = wire.connect()
    smuggled = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 100
    refused = wire.request("PUT", "/no-such-bucket-at-all/k", body=smuggled, connection=connection)
    assert (refused.status, refused.code()) == (404, "NoSuchBucket")

    following = wire.request("GET", f"/{bucket}", connection=connection)

    assert following.status == 200
    assert following.xml().tag == "ListBucketResult"


def test_nonsense_gets_an_answer_with_an_id(server, wire):
    for method, path, query in [
        ("GET", "/%zz", ""),
        ("POST", "/", ""),
        ("GET", "/b/k", "versionId=%%%"),
        ("PUT", "/", ""),
    ]:
        answer = wire.request(method, path, query)
        assert 400 <= answer.status < 500, answer
        assert answer.headers["x-amz-request-id"]
    huge = wire.request("GET", "/", headers={"x-amz-meta-huge": "h" * 70_000})
    assert 400 <= huge.status < 500
