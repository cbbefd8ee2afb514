"""Clients that work all the time and keep, outside the cluster, what was acknowledged to them. Each owns its keys, so that it
knows what a key must hold at any moment; whatever a client of its kind does not hide is a complaint."""

import hashlib
import http.client
import random
import threading
import time
import urllib.parse

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .server import REGION
from .tracker import LineClient

SIZES = [0, 10, 4096, 4096, 70_000, 300_000, 1_500_000]
PART = 5 * 2**20
ABSENT = None
#: A client of MogileFS gives a node this long before it takes another path.
NODE_SECONDS = 5


def digest(body):
    return hashlib.md5(body).hexdigest()


class Worker(threading.Thread):
    """Does one thing after the other until it is told to stop."""

    keys_each = 8

    def __init__(self, name, seed):
        super().__init__(name=name, daemon=True)
        self.chance = random.Random(f"{seed}/{name}")
        self.keys = [f"{name}/{number}" for number in range(self.keys_each)]
        self.known = dict.fromkeys(self.keys, ABSENT)
        self.complaints, self.done, self.stopping = [], 0, threading.Event()

    def run(self):
        while not self.stopping.is_set() and not self.complaints:
            key = self.chance.choice(self.keys)
            action = self.chance.choice(self.actions(key))
            began = time.monotonic()
            try:
                action(key)
            except Exception as error:  # whatever it is, the client was not served
                self.complaints.append(f"{action.__name__} {key}: {error!r} after {time.monotonic() - began:.1f} s")
            else:
                self.done += 1

    def actions(self, key):
        if self.known[key] is ABSENT:
            return [self.write, self.read_nothing]
        return [self.write, self.read, self.read, self.rewrite, self.delete]

    def body(self):
        return self.chance.randbytes(self.chance.choice(SIZES))

    def check(self, key, found):
        assert digest(found) == self.known[key], f"{key} has {len(found)} wrong bytes"


class S3Worker(Worker):
    """boto3 in its standard mode, which tries a request three times."""

    bucket = "objects"

    def __init__(self, name, seed, gateway, keys):
        super().__init__(name, seed)
        self.s3 = client(gateway, keys)

    def write(self, key):
        body = self.body()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        self.known[key] = digest(body)

    def rewrite(self, key):
        if self.chance.random() < 0.5:
            self.copy(key)
        else:
            self.multipart(key)

    def copy(self, key):
        other = self.chance.choice(self.keys)
        self.s3.copy_object(Bucket=self.bucket, Key=other, CopySource={"Bucket": self.bucket, "Key": key}, MetadataDirective="REPLACE")
        self.known[other] = self.known[key]

    def multipart(self, key):
        bodies = [self.chance.randbytes(size) for size in self.chance.choice([[1000], [1000], [PART, 1000]])]
        where = {"Bucket": self.bucket, "Key": key}
        upload = {"UploadId": self.s3.create_multipart_upload(**where)["UploadId"]}
        parts = []
        for number, body in enumerate(bodies, 1):
            tag = self.s3.upload_part(**where, **upload, PartNumber=number, Body=body)["ETag"]
            parts.append({"PartNumber": number, "ETag": tag})
        self.s3.complete_multipart_upload(**where, **upload, MultipartUpload={"Parts": parts})
        self.known[key] = digest(b"".join(bodies))

    def read(self, key):
        self.check(key, fetched(self.s3, self.bucket, key))

    def read_nothing(self, key):
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.name}/").get("Contents", [])
        expected = sorted(key for key, state in self.known.items() if state is not ABSENT)
        assert [entry["Key"] for entry in listed] == expected, "a listing differs from what was acknowledged"

    def delete(self, key):
        self.s3.delete_object(Bucket=self.bucket, Key=key)
        self.known[key] = ABSENT


class LineWorker(Worker):
    """A client of MogileFS: goes to another tracker when one is gone, takes another path when a node is."""

    domain = "files"
    attempts = 8

    def __init__(self, name, seed, ports):
        super().__init__(name, seed)
        self.ports, self.line = list(ports), None

    def ask(self, command, **pairs):
        """An answer of any tracker."""
        for attempt in range(self.attempts):
            try:
                if self.line is None:
                    self.line = LineClient(self.ports[0], timeout=60)
                return self.line.ask(command, domain=self.domain, **pairs)
            except (OSError, AssertionError):
                self.line = None
                self.ports.append(self.ports.pop(0))
                time.sleep(0.05 * attempt)
        raise AssertionError(f"no tracker answers {command}")

    def must(self, command, **pairs):
        answer = self.ask(command, **pairs)
        assert answer.ok, f"{command} {pairs}: {answer.raw!r}"
        return answer

    def write(self, key):
        body = self.body()
        refused = None
        for attempt in range(self.attempts):
            opened = self.ask("create_open", key=key, multi_dest=1)
            if opened.ok:
                for number in range(1, int(opened["dev_count"]) + 1):
                    at = {"devid": opened[f"devid_{number}"], "path": opened[f"path_{number}"]}
                    if node("PUT", at["path"], body)[0] in (200, 201, 204):
                        closed = self.ask("create_close", key=key, fid=opened["fid"], size=len(body), **at)
                        if closed.ok:
                            self.known[key] = digest(body)
                            return
                        refused = closed.raw
            else:
                refused = opened.raw
            time.sleep(0.1 * attempt)
        raise AssertionError(f"no upload of {key}: {refused!r}")

    rewrite = write

    def read(self, key):
        found = self.fetch(key)
        if found is None and int(self.must("file_info", key=key)["devcount"]) < 2:
            return  # MogileFS closes a file with one copy: it is away as long as its device is
        assert found is not None, f"no path of {key} answers"
        self.check(key, found)

    def fetch(self, key):
        """The bytes behind the first path that has the right ones: a client compares what it was told of them."""
        found = None
        for attempt in range(self.attempts):
            paths = self.must("get_paths", key=key)
            for number in range(1, int(paths["paths"]) + 1):
                status, body = node("GET", paths[f"path{number}"])
                if status == 200:
                    found = body
                    if digest(body) == self.known[key]:
                        return body
            time.sleep(0.1 * attempt)
        return found

    def read_nothing(self, key):
        answer = self.ask("get_paths", key=key)
        assert answer.code == "unknown_key", f"{key} is there: {answer.raw!r}"

    def delete(self, key):
        answer = self.ask("delete", key=key)
        # A tracker that died may have done it before.
        assert answer.ok or answer.code == "unknown_key", answer.raw
        self.known[key] = ABSENT


def client(gateway, keys):
    """boto3 as it comes, in its standard mode."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=gateway.endpoint,
        region_name=REGION,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(retries={"mode": "standard"}, tcp_keepalive=True),
    )


def fetched(s3, bucket, key):
    """An object's bytes; a body that breaks off is asked for again, as boto3's own downloads do."""
    for attempt in range(5):
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError:
            raise
        except BotoCoreError as error:
            broken = error
            time.sleep(0.1 * attempt)
    raise broken


def node(method, url, body=None):
    """A request to a node: status and bytes; status 0 of one that does not answer."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=NODE_SECONDS)
    try:
        connection.request(method, parts.path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
