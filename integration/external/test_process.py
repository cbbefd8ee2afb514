"""The process: how it starts, what it refuses, how it ends (issue 2, "The command")."""

import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading

import pytest
from conftest import boto
from harness.server import BINARY, SECRET_KEY, Server, make_certificate, wait_until
from harness.wire import Wire, key_path

LINE_BYTES_MAX = 400


def run_badly(server, *arguments, environment=None):
    """Starts a server that must refuse; returns the one line of its complaint."""
    done = subprocess.run(
        [*server.command(), *map(str, arguments)],
        env={**server.environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=30,
    )
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert len(lines) == 1 and len(lines[0]) < LINE_BYTES_MAX, done.stderr
    return lines[0]


@pytest.fixture
def unstarted(new_server):
    server = new_server(devices=1, start=False)
    server.folder.mkdir()
    server.dirs[0].mkdir()
    return server


def test_a_port_that_is_taken_is_named(unstarted):
    with socket.create_server(("127.0.0.1", unstarted.s3_port)):
        assert str(unstarted.s3_port) in run_badly(unstarted)


def test_a_directory_that_is_no_directory_is_named(unstarted):
    unstarted.dirs = [unstarted.folder / "file"]
    unstarted.dirs[0].write_text("not a directory")

    assert str(unstarted.dirs[0]) in run_badly(unstarted)


def test_a_directory_that_cannot_be_written_is_named(unstarted):
    target = "/proc/mogul-cannot-be-here"
    unstarted.dirs = [target]

    assert target in run_badly(unstarted)


def test_an_unknown_setting_gets_the_nearest_known_one(unstarted):
    config = unstarted.folder / "mogul.toml"
    config.write_text('regoin = "us-east-1"\n[s3]\nregoin = "us-east-1"\n')

    complaint = run_badly(unstarted, "--config", config)

    assert "regoin" in complaint and "region" in complaint


def test_a_setting_of_the_environment_may_be_wrong_too(unstarted):
    assert "copies" in run_badly(unstarted, environment={"MOGUL_CLASSES_COPIES": "many"}).lower()


def test_a_database_of_a_newer_version_is_left_alone(unstarted):
    unstarted.start()
    assert unstarted.stop() == 0
    with sqlite3.connect(unstarted.dirs[0] / "mogul.db") as connection:
        connection.execute("update server_settings set value = '999' where field = 'mogul_schema_version'")

    complaint = run_badly(unstarted)

    assert "newer" in complaint and "999" in complaint


@pytest.mark.parametrize("content", ["", "nonsense"])
def test_bad_certificates_are_named(unstarted, content):
    bad = unstarted.folder / "bad.pem"
    bad.write_text(content)

    assert "bad.pem" in run_badly(unstarted, "--tls-cert", bad, "--tls-key", bad)
    assert "none.pem" in run_badly(unstarted, "--tls-cert", unstarted.folder / "none.pem", "--tls-key", bad)


def test_two_servers_never_share_a_directory(unstarted, ports):
    unstarted.start()
    second = Server(unstarted.folder, ports, devices=1)

    assert str(unstarted.dirs[0]) in run_badly(second)
    assert unstarted.health("ready") == 200


@pytest.mark.parametrize("secret", ["minioadmin", "short", "changeme"])
def test_well_known_or_short_secrets_are_refused(unstarted, secret):
    complaint = run_badly(
        unstarted, environment={"MOGUL_ROOT_ACCESS_KEY": "minioadmin", "MOGUL_ROOT_SECRET_KEY": secret}
    )

    assert secret not in complaint or secret == "short"


def test_no_directory_is_a_mistake_of_use():
    done = subprocess.run([BINARY, "server"], capture_output=True, text=True, timeout=30)

    assert done.returncode == 2


def test_health_is_told_in_json(server):
    import urllib.request

    for which in ("live", "ready"):
        with urllib.request.urlopen(f"{server.admin}/health/{which}") as answer:
            assert answer.status == 200 and json.loads(answer.read()) is not None


def test_sigterm_lets_requests_finish(new_server):
    server = new_server(devices=1)
    wire = Wire(server)
    wire.request("PUT", "/ends")
    body = b"x" * 1_000_000
    headers, _ = wire.signed_headers("PUT", "/ends/k", body=body)
    lines = (
        ["PUT /ends/k HTTP/1.1"]
        + [f"{n}: {v}" for n, v in headers]
        + [f"content-length: {len(body)}", "expect: 100-continue"]
    )
    with socket.create_connection(("127.0.0.1", server.s3_port), timeout=20) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the request runs
        connection.sendall(body[:500_000])
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not can_connect(server.s3_port), 20, "a closed port")
        connection.sendall(body[500_000:])
        answer = b""
        while piece := connection.recv(1000):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert server.process.wait(30) == 0

    server.start()
    assert wire.request("GET", "/ends/k").body == body
    server.assert_nothing_left_over()


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        return True
    except OSError:
        return False


def test_idle_connections_do_not_hold_the_end_up(new_server):
    server = new_server(devices=1)
    idle = [socket.create_connection(("127.0.0.1", server.s3_port)) for _ in range(20)]
    wire = Wire(server)
    connection = wire.connect()
    wire.request("GET", "/", connection=connection)

    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(10) == 0
    connection.close()
    for one in idle:
        one.close()


def shown_certificate(port):
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_sighup_reads_the_certificate_again(new_server, tmp_path):
    cert, key = make_certificate(tmp_path)
    server = new_server(devices=1, tls=(cert, key))
    old = shown_certificate(server.s3_port)
    boto(server).create_bucket(Bucket="before")
    new_cert, new_key = make_certificate(tmp_path, "second", "second")
    os.replace(new_cert, cert)
    os.replace(new_key, key)
    assert shown_certificate(server.s3_port) == old

    server.process.send_signal(signal.SIGHUP)

    wait_until(lambda: shown_certificate(server.s3_port) != old, 20, "the new certificate")
    wait_until(
        lambda: shown_certificate(server.admin_port) == shown_certificate(server.s3_port),
        20,
        "the same on the admin port",
    )
    assert [bucket["Name"] for bucket in boto(server).list_buckets()["Buckets"]] == ["before"]
    new = shown_certificate(server.s3_port)
    cert.write_text("broken")
    logged = len(server.log_events())
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(server.log_events()) > logged, 20, "a line about the broken file")
    assert shown_certificate(server.s3_port) == new


def test_the_log_is_json_and_never_tells_a_secret(new_server):
    server = new_server(devices=1, arguments=["--log", "trace"])
    s3 = boto(server)
    s3.create_bucket(Bucket="secrets")
    s3.put_object(Bucket="secrets", Key="k", Body=b"the body of the object")
    server.add_user("somebody", "AKSOMEBODYELSE", "the-secret-of-somebody-0123456789-012345")
    server.stop()
    text = server.log.read_text()

    assert all(json.loads(line) for line in text.splitlines() if line)
    for secret in (SECRET_KEY, "the-secret-of-somebody", "the body of the object", "Signature="):
        assert secret not in text, secret


def test_a_crowd_of_requests_at_start_finds_a_ready_server(new_server):
    """Readiness means ready: the first requests after it all succeed."""
    server = new_server()
    wires = [Wire(server) for _ in range(16)]
    wires[0].request("PUT", "/crowd")
    codes = []
    threads = [
        threading.Thread(
            target=lambda w=w, n=n: codes.append(
                w.request("PUT", key_path("crowd", f"{n}"), body=b"x").status
            )
        )
        for n, w in enumerate(wires)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes == [200] * 16
