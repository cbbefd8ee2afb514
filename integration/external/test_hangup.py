"""Clients that hang up in the middle leave nothing, on disk or in the tables (issue 2)."""

import socket

import pytest
from conftest import boto
from harness.chunked import SIGNED
from harness.wire import Wire


@pytest.fixture
def served(new_server):
    server = new_server()
    wire = Wire(server)
    wire.request("PUT", "/hung")
    return server, wire


def send_half(server, wire, path, query="", sent=b"x" * 300_000, length=1_000_000, kind="UNSIGNED-PAYLOAD"):
    """Sends a request with less of its body than told, and hangs up."""
    extra = [("x-amz-content-sha256", kind)]
    if kind == SIGNED:
        extra.append(("x-amz-decoded-content-length", str(length)))
    headers, _ = wire.signed_headers("PUT", path, query, extra, payload_hash=kind)
    target = f"{path}?{query}" if query else path
    lines = [f"PUT {target} HTTP/1.1"] + [f"{n}: {v}" for n, v in headers] + [f"content-length: {length}"]
    with socket.create_connection(("127.0.0.1", server.s3_port), timeout=10) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + sent)


@pytest.mark.parametrize("sent", [0, 1, 1000, 999_999])
def test_half_an_object_leaves_nothing(served, sent):
    server, wire = served
    for number in range(10):
        send_half(server, wire, f"/hung/{number}", sent=b"x" * sent)

    server.assert_nothing_left_over()
    assert not server.fid_files() and not server.rows("select 1 from file")
    assert wire.request("HEAD", "/hung/1").status == 404


def test_half_an_overwrite_leaves_the_old_object(served):
    server, wire = served
    wire.request("PUT", "/hung/k", body=b"old")
    for _ in range(10):
        send_half(server, wire, "/hung/k")

    server.assert_nothing_left_over()
    assert len(server.fid_files()) == 2
    assert wire.request("GET", "/hung/k").body == b"old"


def test_half_a_part_leaves_the_upload_as_it_was(served):
    server, wire = served
    s3 = boto(server)
    upload = s3.create_multipart_upload(Bucket="hung", Key="k")["UploadId"]
    s3.upload_part(Bucket="hung", Key="k", UploadId=upload, PartNumber=1, Body=b"first")
    for number in (1, 2):
        send_half(server, wire, "/hung/k", f"partNumber={number}&uploadId={upload}")

    server.assert_nothing_left_over()
    assert [part["Size"] for part in s3.list_parts(Bucket="hung", Key="k", UploadId=upload)["Parts"]] == [5]
    assert len(server.fid_files()) == 2


def test_a_frame_that_ends_in_the_middle_leaves_nothing(served):
    server, wire = served

    send_half(
        server,
        wire,
        "/hung/k",
        sent=b"10000;chunk-signature=" + b"0" * 64 + b"\r\n" + b"x" * 20_000,
        kind=SIGNED,
    )

    server.assert_nothing_left_over()
    assert not server.fid_files()


def test_who_stops_reading_holds_nothing_up(served):
    server, wire = served
    wire.request("PUT", "/hung/big", body=b"x" * 20_000_000)
    headers, _ = wire.signed_headers("GET", "/hung/big")
    request = "GET /hung/big HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers) + "\r\n"
    lazy = [socket.create_connection(("127.0.0.1", server.s3_port), timeout=10) for _ in range(50)]
    for connection in lazy:
        connection.sendall(request.encode())
        assert connection.recv(10)

    for _ in range(20):
        assert wire.request("GET", "/hung/big").body == b"x" * 20_000_000
        assert wire.request("PUT", "/hung/small", body=b"y").status == 200
    for connection in lazy:
        connection.close()
    wire.request("DELETE", "/hung/big")
    wire.request("DELETE", "/hung/small")
    server.assert_nothing_left_over()
