"""kill -9 at random moments: what was acknowledged is there, what was not is whole or absent.

Each writer owns its keys and keeps, outside the server, what the last acknowledged operation made of each, and what
an operation that got no answer would have made of it. After a restart a key must be one of the two, whole.
`MOGUL_KILL_ROUNDS` sets the number of kills, `MOGUL_SEED` repeats a run's choices.
"""

import hashlib
import os
import random
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from conftest import boto

ROUNDS = int(os.environ.get("MOGUL_KILL_ROUNDS", "30"))
SEED = int(os.environ.get("MOGUL_SEED", random.SystemRandom().randrange(2**32)))
WRITERS, KEYS_PER_WRITER = 6, 6
BUCKET = "killed"
MIN = 5 * 2**20
#: Checks that need the jobs to come to rest are made after every so many kills, and at the end.
ROUNDS_PER_REST = 10
ABSENT = None


class Body:
    """Bytes and a name that goes into the metadata, so that a mix of two writes is seen."""

    serial = 0
    lock = threading.Lock()

    def __init__(self, chance, size):
        with Body.lock:
            Body.serial += 1
            self.name = f"{Body.serial}"
        self.bytes = chance.randbytes(size)

    @property
    def state(self):
        return self.name, hashlib.md5(self.bytes).hexdigest()


class Writer(threading.Thread):
    """Changes its keys until the server is gone; `known` and `pending` are the ledger."""

    def __init__(self, server, number, chance):
        super().__init__()
        self.s3, self.chance = boto(server, tcp_keepalive=True), chance
        self.keys = [f"{number}/{index}" for index in range(KEYS_PER_WRITER)]
        self.known = dict.fromkeys(self.keys, ABSENT)
        self.pending, self.refusals, self.acknowledged = {}, [], 0

    def run(self):
        while True:
            key = self.chance.choice(self.keys)
            action = self.chance.choice(
                [
                    self.put,
                    self.put,
                    self.put,
                    self.multipart,
                    self.copy,
                    self.delete,
                    self.create,
                    self.retag,
                ]
            )
            try:
                action(key)
                self.acknowledged += 1
            except ClientError as error:
                self.refusals.append(f"{action.__name__} {key}: {error}")
                return
            except (BotoCoreError, OSError):
                return

    def change(self, key, state, call, **arguments):
        """Runs one call that makes `state` of `key`."""
        self.pending[key] = state
        call(Bucket=BUCKET, Key=key, **arguments)
        self.known[key] = state
        del self.pending[key]

    def body(self):
        return Body(self.chance, self.chance.choice([0, 10, 4096, 70_000, 300_000, 2_000_000]))

    def put(self, key):
        body = self.body()
        self.change(key, body.state, self.s3.put_object, Body=body.bytes, Metadata={"name": body.name})

    def create(self, key):
        """A write that succeeds only if the ledger is right about the key."""
        if self.known[key] is ABSENT:
            body = self.body()
            self.change(
                key,
                body.state,
                self.s3.put_object,
                Body=body.bytes,
                Metadata={"name": body.name},
                IfNoneMatch="*",
            )

    def multipart(self, key):
        body, where = (
            Body(self.chance, self.chance.choice([1000, 1000, 1000, MIN + 1000])),
            {"Bucket": BUCKET, "Key": key},
        )
        upload = self.s3.create_multipart_upload(**where, Metadata={"name": body.name})["UploadId"]
        parts = []
        for number, part in enumerate([body.bytes[:MIN], body.bytes[MIN:]], 1):
            if part:
                etag = self.s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=part)["ETag"]
                parts.append({"PartNumber": number, "ETag": etag})
        self.change(
            key,
            body.state,
            self.s3.complete_multipart_upload,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
        )

    def copy(self, key):
        sources = [source for source in self.keys if self.known[source] is not ABSENT and source != key]
        if sources:
            source = self.chance.choice(sources)
            self.change(key, self.known[source], self.s3.copy_object, CopySource=f"{BUCKET}/{source}")

    def delete(self, key):
        self.change(key, ABSENT, self.s3.delete_object)

    def retag(self, key):
        if self.known[key] is not ABSENT:
            self.change(
                key,
                self.known[key],
                self.s3.put_object_tagging,
                Tagging={"TagSet": [{"Key": "t", "Value": "1"}]},
            )

    def settle(self):
        """Compares each key with the ledger; what a lost answer left open is known afterwards."""
        complaints = []
        for key in self.keys:
            found = self.read(key)
            allowed = [self.known[key]] + ([self.pending[key]] if key in self.pending else [])
            if found not in allowed:
                complaints.append(f"{key}: is {found}, must be one of {allowed}")
            self.known[key] = found
        self.pending = {}
        return complaints + self.refusals

    def read(self, key):
        try:
            got = self.s3.get_object(Bucket=BUCKET, Key=key)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchKey", error
            return ABSENT
        body = got["Body"].read()
        assert len(body) == got["ContentLength"]
        return got["Metadata"]["name"], hashlib.md5(body).hexdigest()


def abort_open_uploads(s3):
    for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])


@pytest.mark.timeout(60 + 12 * ROUNDS)
def test_nothing_that_was_acknowledged_is_lost_and_nothing_else_is_seen(new_server):
    print(f"MOGUL_SEED={SEED} MOGUL_KILL_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = new_server()
    s3 = boto(server)
    s3.create_bucket(Bucket=BUCKET)
    ledgers, acknowledged = {}, 0
    for round_number in range(1, ROUNDS + 1):
        writers = [Writer(server, number, random.Random(chance.random())) for number in range(WRITERS)]
        for number, writer in enumerate(writers):
            writer.known = ledgers.get(number, writer.known)
            writer.start()
        time.sleep(chance.uniform(0.05, 0.8))  # the random moment; nothing is waited for
        server.kill()
        for writer in writers:
            writer.join()
        server.start()

        complaints = [complaint for writer in writers for complaint in writer.settle()]
        assert not complaints, (SEED, round_number, complaints)
        ledgers = {number: writer.known for number, writer in enumerate(writers)}
        acknowledged += sum(writer.acknowledged for writer in writers)
        present = sorted(
            key for known in ledgers.values() for key, state in known.items() if state is not ABSENT
        )
        assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])] == present
        if round_number % ROUNDS_PER_REST == 0 or round_number == ROUNDS:
            abort_open_uploads(s3)
            server.assert_nothing_left_over()
            assert len(server.fid_files()) == 2 * len(present)

    assert acknowledged > ROUNDS, "the writers must have got something done"
    owners = server.rows("select count(distinct owner) from mogul_fid_block")
    assert owners[0][0] <= 1, "blocks of dead processes are swept"
    assert server.stop() == 0
    server.start()
    for present in ledgers.values():
        assert all(
            s3.head_object(Bucket=BUCKET, Key=key) for key, state in present.items() if state is not ABSENT
        )
    server.assert_nothing_left_over()
