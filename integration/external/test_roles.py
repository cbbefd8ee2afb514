"""Two storage nodes and a tracker, a process each, started by the originals' names from the originals' files, on a database
server that `mogdbsetup` has prepared. A client of the line protocol stores a file and reads it back."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from harness.server import BINARY, wait_until


class Line:
    """A client of the line protocol."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.lines = self.stream.makefile("rb")

    def ask(self, command, **arguments):
        """The answer's pairs; fails on ERR."""
        self.stream.sendall(f"{command} {urllib.parse.urlencode(arguments)}\r\n".encode())
        word, _, rest = self.lines.readline().decode().rstrip("\r\n").partition(" ")
        assert word == "OK", f"{command}: {word} {rest}"
        return dict(urllib.parse.parse_qsl(rest))


class Cluster:
    """The processes, and what they were told."""

    def __init__(self, folder, ports, url):
        self.folder, self.ports, self.url = folder, ports, urllib.parse.urlsplit(url)
        self.processes = []
        self.bin = folder / "bin"
        self.bin.mkdir()
        subprocess.run([BINARY, "links", self.bin], check=True, capture_output=True)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("MOGUL_", "AWS_"))}

    def setup_database(self, name="mogile-roles"):
        mysql = self.url.scheme == "mysql"
        command = [self.bin / "mogdbsetup", "--yes", f"--type={'MySQL' if mysql else 'Postgres'}"]
        command += [f"--dbhost={self.url.hostname}", f"--dbport={self.url.port}", f"--dbname={name}"]
        command += ["--dbuser=mogile roles", "--dbpass=it's \"secret\"/@", f"--dbrootuser={'root' if mysql else 'mogul'}"]
        for _ in range(2):
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=self.environment)
            assert done.returncode == 0, done.stderr
        driver = "mysql:database" if mysql else "Pg:dbname"
        return f"DBI:{driver}={name};host={self.url.hostname};port={self.url.port}"

    def start(self, name, lines):
        """Starts an original by its name from its file."""
        number = len(self.processes)
        file = self.folder / f"{name}{number}.conf"
        file.write_text("\n".join(f"{key} = {value}" for key, value in lines.items()) + "\n")
        log = self.folder / f"{name}{number}.log"
        with open(log, "wb") as output:
            command = [self.bin / name, "-c", file]
            process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=self.environment
            )
        self.processes.append(process)

        def ready():
            assert process.poll() is None, f"{name} ended early:\n{log.read_text()[-2000:]}"
            return '"ready"' in log.read_text()

        wait_until(ready, 60, f"readiness of {name}")
        return process

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture(params=["mysql", "postgres"])
def cluster(request, tmp_path, ports, databases):
    made = Cluster(tmp_path, ports, databases[request.param])
    yield made
    made.stop()


def put(url, body):
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="PUT"), timeout=30) as answer:
        assert answer.status in (200, 201)


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def test_a_file_is_stored_and_read_by_the_originals_names_and_files(cluster):
    dsn = cluster.setup_database()
    hosts = {}
    for number, ip in enumerate(["127.0.0.1", "127.0.0.2"], 1):
        root = cluster.folder / f"docroot{number}"
        (root / f"dev{number}").mkdir(parents=True)
        hosts[number] = (ip, cluster.ports.take())
        cluster.start(
            "mogstored",
            {"httplisten": f"{ip}:{hosts[number][1]}", "mgmtlisten": f"{ip}:{cluster.ports.take()}", "docroot": root},
        )
    port = cluster.ports.take()
    tracker = {"db_dsn": dsn, "db_user": "mogile roles", "db_pass": "it's \"secret\"/@"}
    tracker |= {"listen": f"127.0.0.1:{port}", "query_jobs": 5, "replicate_jobs": 1, "default_mindevcount": 2}
    process = cluster.start("mogilefsd", tracker)

    line = Line(port)
    for number, (ip, http) in hosts.items():
        line.ask("create_host", host=f"n{number}", ip=ip, port=http, status="alive")
        line.ask("create_device", devid=number, hostname=f"n{number}", state="alive")
    line.ask("create_domain", domain="photos")

    def opened():
        try:
            return line.ask("create_open", domain="photos", key="a b&c", **{"class": ""})
        except AssertionError as refused:
            assert "no_devices" in str(refused)
            time.sleep(0.2)
            return None

    upload = wait_until(opened, 30, "a writable device")
    body = os.urandom(100_000)
    put(upload["path"], body)
    line.ask(
        "create_close",
        domain="photos",
        key="a b&c",
        fid=upload["fid"],
        devid=upload["devid"],
        path=upload["path"],
        size=len(body),
    )

    both = wait_until(
        lambda: (paths := line.ask("get_paths", domain="photos", key="a b&c", noverify=1))["paths"] == "2" and paths,
        60,
        "the second copy",
    )
    assert {get(both["path1"]), get(both["path2"])} == {body}
    assert {urllib.parse.urlsplit(both[f"path{n}"]).hostname for n in (1, 2)} == {"127.0.0.1", "127.0.0.2"}
    files = list(pathlib.Path(cluster.folder).glob("docroot*/dev*/0/000/*/*.fid"))
    assert {file.read_bytes() for file in files} == {body} and len(files) == 2

    line.ask("delete", domain="photos", key="a b&c")
    wait_until(lambda: not any(file.exists() for file in files), 60, "the end of both copies")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_what_a_killed_tracker_was_copying_is_soon_copied_by_another(cluster):
    dsn = cluster.setup_database("mogile-killed")
    nodes, hosts = {}, {}
    for number, ip in enumerate(["127.0.0.1", "127.0.0.2"], 1):
        root = cluster.folder / f"docroot{number}"
        (root / f"dev{number}").mkdir(parents=True)
        hosts[number] = (ip, cluster.ports.take())
        listen = {"httplisten": f"{ip}:{hosts[number][1]}", "mgmtlisten": f"{ip}:{cluster.ports.take()}"}
        nodes[number] = cluster.start("mogstored", listen | {"docroot": root})
    settings = {"db_dsn": dsn, "db_user": "mogile roles", "db_pass": "it's \"secret\"/@", "default_mindevcount": 2}
    ports = [cluster.ports.take() for _ in range(2)]
    first = cluster.start("mogilefsd", settings | {"listen": f"127.0.0.1:{ports[0]}"})
    line = Line(ports[0])
    for number, (ip, http) in hosts.items():
        line.ask("create_host", host=f"n{number}", ip=ip, port=http, status="alive")
        line.ask("create_device", devid=number, hostname=f"n{number}", state="alive")
    line.ask("create_domain", domain="photos")

    def opened(key):
        try:
            upload = line.ask("create_open", domain="photos", key=key, **{"class": ""})
        except AssertionError as refused:
            assert "no_devices" in str(refused)
            return None
        return upload if upload["devid"] == "1" else None

    uploads = {f"k{n}": wait_until(lambda n=n: opened(f"k{n}"), 30, "the first device") for n in range(8)}
    for key, upload in uploads.items():
        put(upload["path"], key.encode())
    nodes[2].send_signal(signal.SIGSTOP)
    for key, upload in uploads.items():
        close = {name: upload[name] for name in ("fid", "devid", "path")}
        line.ask("create_close", domain="photos", key=key, size=len(key), **close)
    first.send_signal(signal.SIGKILL)
    nodes[2].send_signal(signal.SIGCONT)

    cluster.start("mogilefsd", settings | {"listen": f"127.0.0.1:{ports[1]}"})
    line = Line(ports[1])
    for key in uploads:
        # A claim lasts 1000 s.
        both = wait_until(
            lambda key=key: (paths := line.ask("get_paths", domain="photos", key=key, noverify=1))["paths"] == "2" and paths,
            120,
            "the second copy",
        )
        assert {get(both["path1"]), get(both["path2"])} == {key.encode()}


def test_a_watcher_of_a_node_is_told_of_its_disks(cluster):
    root = cluster.folder / "docroot"
    (root / "dev3").mkdir(parents=True)
    side = cluster.ports.take()
    cluster.start(
        "mogstored",
        {"httplisten": f"127.0.0.1:{cluster.ports.take()}", "mgmtlisten": f"127.0.0.1:{side}", "docroot": root},
    )

    with socket.create_connection(("127.0.0.1", side), timeout=30) as stream:
        stream.sendall(b"watch\n")
        lines = stream.makefile("rb")
        for _ in range(2):
            assert lines.readline().startswith(b"3\t")
            assert lines.readline() == b".\n"
