"""Many at once: parallel uploads, idle connections, large objects, memory (issue 2)."""

import concurrent.futures
import hashlib
import os
import resource
import socket

import pytest
from conftest import boto
from harness.wire import Wire

IDLE_CONNECTIONS = 2_000
GIB = 2**30
MIB = 2**20


def memory(server):
    """Resident memory in bytes."""
    with open(f"/proc/{server.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


class Pattern:
    """A body of any size that costs no memory: a repeated block with the offset mixed in at each mebibyte."""

    def __init__(self, size, seed=b"p"):
        self.size, self.at = size, 0
        self.block = (hashlib.sha256(seed).digest() * (MIB // 32))[:MIB]

    def piece(self, index):
        body = index.to_bytes(8, "big") + self.block[8:]
        return body[: min(MIB, self.size - index * MIB)]

    def pieces(self):
        return (self.piece(index) for index in range(-(-self.size // MIB)))


def test_sixty_four_uploads_side_by_side(server, bucket):
    s3 = boto(server)
    bodies = {f"{number}": os.urandom(1_000_000 + number) for number in range(64)}

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        answers = dict(
            zip(
                bodies,
                pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=bodies[key]), bodies),
                strict=True,
            )
        )

    for key, body in bodies.items():
        assert answers[key]["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body


def test_idle_connections_do_not_keep_others_out(new_server):
    server = new_server(devices=1)
    wire = Wire(server)
    wire.request("PUT", "/idle")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < IDLE_CONNECTIONS + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE_CONNECTIONS + 500), hard))
    before = memory(server)
    idle = [
        socket.create_connection(("127.0.0.1", server.s3_port), timeout=10) for _ in range(IDLE_CONNECTIONS)
    ]
    try:
        for number in range(50):
            assert wire.request("PUT", f"/idle/{number}", body=b"x").status == 200
            assert wire.request("GET", f"/idle/{number}").body == b"x"
        assert memory(server) - before < 100 * MIB
        headers, _ = wire.signed_headers("GET", "/idle/1")
        request = "GET /idle/1 HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers) + "\r\n"
        idle[-1].sendall(request.encode())
        assert idle[-1].recv(100).startswith(b"HTTP/1.1 200")
    finally:
        for connection in idle:
            connection.close()
    assert wire.request("GET", "/idle/1").body == b"x"


def send_pattern(wire, path, pattern):
    """PUTs a pattern in one stream; returns the answer and its MD5."""
    headers, _ = wire.signed_headers("PUT", path, "", [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")])
    connection, digest = wire.connect(timeout=300), hashlib.md5()
    connection.putrequest("PUT", path, skip_host=True, skip_accept_encoding=True)
    for name, value in [*headers, ("content-length", str(pattern.size))]:
        connection.putheader(name, value)
    connection.endheaders()
    for piece in pattern.pieces():
        digest.update(piece)
        connection.send(piece)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer, digest.hexdigest()


def digest_of(wire, path):
    """GETs in one stream; returns the MD5 of what came."""
    headers, _ = wire.signed_headers("GET", path)
    connection, digest = wire.connect(timeout=300), hashlib.md5()
    connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    while piece := answer.read(MIB):
        digest.update(piece)
    connection.close()
    return digest.hexdigest()


def test_memory_does_not_grow_with_the_object(new_server):
    server = new_server(devices=1)
    wire = Wire(server)
    wire.request("PUT", "/big")
    assert send_pattern(wire, "/big/warm", Pattern(64 * MIB))[0].status == 200
    before = memory(server)

    answer, digest = send_pattern(wire, "/big/k", Pattern(768 * MIB + 5))

    assert (answer.status, answer.headers["ETag"]) == (200, f'"{digest}"')
    assert digest_of(wire, "/big/k") == digest
    assert memory(server) - before < 64 * MIB


@pytest.mark.timeout(400)
def test_five_gibibytes_in_parts_that_are_copies(new_server):
    """One part is sent and copied inside the server, so that 5 GiB cost the client little; it stays in its parts."""
    server = new_server(devices=1, environment={"MOGUL_OBJECTS_JOIN_MAX": "1GiB"})
    s3, part_size = boto(server, read_timeout=300), 512 * MIB
    wire = Wire(server)
    wire.request("PUT", "/five")
    answer, digest = send_pattern(wire, "/five/piece", Pattern(part_size))
    assert answer.status == 200
    where = {"Bucket": "five", "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number in range(1, 11):
        part = s3.upload_part_copy(**where, UploadId=upload, PartNumber=number, CopySource="five/piece")
        assert part["CopyPartResult"]["ETag"] == f'"{digest}"'
        parts.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})

    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    head = s3.head_object(**where)
    assert head["ContentLength"] == 5 * GIB
    pattern = Pattern(part_size)
    for at in (0, part_size - 5, 4 * GIB - 5, 5 * GIB - 10):
        expected = b"".join(
            pattern.piece(((at + n) % part_size) // MIB)[(at + n) % MIB : (at + n) % MIB + 1]
            for n in range(10)
        )
        assert s3.get_object(**where, Range=f"bytes={at}-{at + 9}")["Body"].read() == expected
