"""SigV4 of our own and requests exactly as written: no client library cleans up what a test wants to send."""

import base64
import datetime
import hashlib
import hmac
import http.client
import ssl
import urllib.parse
import xml.etree.ElementTree as ElementTree

from . import server as _server

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNRESERVED = "-._~"


def hmac256(key, text):
    return hmac.new(key, text.encode() if isinstance(text, str) else text, hashlib.sha256).digest()


class Signer:
    """AWS Signature Version 4 for one key."""

    def __init__(
        self,
        access_key=_server.ACCESS_KEY,
        secret_key=_server.SECRET_KEY,
        region=_server.REGION,
        service="s3",
    ):
        self.access_key, self.secret_key = access_key, secret_key
        self.region, self.service = region, service

    def scope(self, stamp):
        return f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"

    def key(self, stamp):
        key = hmac256(("AWS4" + self.secret_key).encode(), stamp[:8])
        for part in (self.region, self.service, "aws4_request"):
            key = hmac256(key, part)
        return key

    def signature(self, stamp, text):
        return hmac256(self.key(stamp), text).hex()

    def string_to_sign(self, stamp, canonical):
        digest = hashlib.sha256(canonical).hexdigest()
        return f"AWS4-HMAC-SHA256\n{stamp}\n{self.scope(stamp)}\n{digest}"

    def canonical(self, method, path, query, headers, payload_hash):
        """The canonical request; `headers` are (name, value) pairs, all signed."""
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, encoding="latin-1")
        encoded = sorted((encode(name, ""), encode(value, "")) for name, value in pairs)
        folded = {}
        for name, value in headers:
            folded.setdefault(name.lower(), []).append(" ".join(value.split()))
        names = sorted(folded)
        lines = [method, path, "&".join(f"{name}={value}" for name, value in encoded)]
        lines += [f"{name}:{','.join(folded[name])}" for name in names] + ["", ";".join(names), payload_hash]
        return "\n".join(lines).encode("latin-1"), ";".join(names)

    def header(self, method, path, query, headers, payload_hash, stamp):
        """The value of Authorization and the seed signature of chunks."""
        canonical, names = self.canonical(method, path, query, headers, payload_hash)
        signature = self.signature(stamp, self.string_to_sign(stamp, canonical))
        credential = f"{self.access_key}/{self.scope(stamp)}"
        return (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}",
            signature,
        )

    def presign(self, method, path, host, expires=600, query="", headers=(), stamp=None):
        """Path and query of a presigned URL."""
        stamp = stamp or now()
        signed = [("host", host), *headers]
        fields = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access_key}/{self.scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(sorted(name.lower() for name, _ in signed)),
        }
        full = "&".join(part for part in (query, urllib.parse.urlencode(fields)) if part)
        canonical, _ = self.canonical(method, path, full, signed, "UNSIGNED-PAYLOAD")
        signature = self.signature(stamp, self.string_to_sign(stamp, canonical))
        return f"{path}?{full}&X-Amz-Signature={signature}"


def encode(text, safe):
    raw = text.encode("latin-1") if isinstance(text, str) else text
    return urllib.parse.quote(raw, safe=UNRESERVED + safe)


def key_path(bucket, key):
    """The path of a key with everything encoded that S3 clients encode; `/` stays."""
    raw = key.encode() if isinstance(key, str) else key
    return f"/{bucket}/" + urllib.parse.quote(raw, safe=UNRESERVED + "/")


def now(shift_seconds=0):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=shift_seconds)
    return moment.strftime("%Y%m%dT%H%M%SZ")


class Answer:
    """What came back."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def xml(self):
        """The document with namespaces taken off."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def error(self):
        """The members of an error document by name."""
        root = self.xml()
        assert root.tag == "Error", self.body
        return {element.tag: element.text or "" for element in root}

    def code(self):
        return self.error()["Code"]

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:600]!r}"


class Wire:
    """Sends requests to one server, signed or not, byte for byte as asked."""

    def __init__(self, server, signer=None):
        self.server, self.signer = server, signer or Signer()
        self.host = f"127.0.0.1:{server.s3_port}"

    def connect(self, timeout=60):
        if self.server.tls:
            context = ssl._create_unverified_context()
            return http.client.HTTPSConnection(
                "127.0.0.1", self.server.s3_port, timeout=timeout, context=context
            )
        return http.client.HTTPConnection("127.0.0.1", self.server.s3_port, timeout=timeout)

    def signed_headers(
        self, method, path, query="", headers=(), body=b"", stamp=None, payload_hash=None, host=None
    ):
        """All headers of a signed request and the seed signature."""
        stamp = stamp or now()
        given = {name.lower() for name, _ in headers}
        sent = [("host", host or self.host), *headers]
        if payload_hash is None:
            payload_hash = dict((n.lower(), v) for n, v in headers).get("x-amz-content-sha256")
        payload_hash = payload_hash or hashlib.sha256(body).hexdigest()
        if "x-amz-content-sha256" not in given:
            sent.append(("x-amz-content-sha256", payload_hash))
        if "x-amz-date" not in given and "date" not in given:
            sent.append(("x-amz-date", stamp))
        value, seed = self.signer.header(method, path, query, sent, payload_hash, stamp)
        return [*sent, ("authorization", value)], seed

    def request(
        self, method, path, query="", headers=(), body=b"", signed=True, connection=None, length=True, **how
    ):
        headers = list(headers.items()) if isinstance(headers, dict) else list(headers)
        if signed:
            headers, _ = self.signed_headers(method, path, query, headers, body, **how)
        else:
            headers = [("host", how.get("host") or self.host), *headers]
        names = {name.lower() for name, _ in headers}
        if length and "content-length" not in names and "transfer-encoding" not in names:
            if body or method in ("PUT", "POST"):
                headers.append(("content-length", str(len(body))))
        return self.send(method, f"{path}?{query}" if query else path, headers, body, connection)

    def send(self, method, target, headers, body=b"", connection=None):
        own = connection is None
        connection = connection or self.connect()
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        try:
            if body:
                connection.send(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server may answer and close before it has read everything
        answer = connection.getresponse()
        result = Answer(answer.status, answer.headers, answer.read())
        if own:
            connection.close()
        return result


def md5_base64(body):
    return base64.b64encode(hashlib.md5(body).digest()).decode()
