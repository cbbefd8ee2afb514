"""Runs the built `mogul server` on scratch directories and looks at what it leaves there."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "mogul"
REGION = "us-east-1"
ACCESS_KEY = "AKROOTOFTHETESTS0001"
SECRET_KEY = "secret/of+the~tests=0123456789abcdefghij"

#: Ports lie below the range from which the kernel takes those of outgoing connections.
PORT_FIRST, PORTS_PER_WORKER = 10_000, 1_500
FID = re.compile(r"dev(\d+)/\d/\d{3}/\d{3}/(\d{10,})\.fid$")


def wait_until(state, seconds=30, what="the awaited state"):
    """Polls until `state()` is true and returns its value; fails after `seconds`, in the words of `what`, which may be asked."""
    end = time.monotonic() + seconds
    while True:
        value = state()
        if value:
            return value
        assert time.monotonic() < end, f"{what() if callable(what) else what} did not come in {seconds} s"
        time.sleep(0.02)


class Ports:
    """Free ports of one pytest worker."""

    def __init__(self, worker):
        self.next = PORT_FIRST + worker * PORTS_PER_WORKER
        self.first = self.next

    def take(self):
        while True:
            port = self.next
            self.next = self.first + (self.next + 1 - self.first) % PORTS_PER_WORKER
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    return port


def make_certificate(folder, name="127.0.0.1", stem="tls"):
    """A self-signed certificate for 127.0.0.1; returns the paths of certificate and key."""
    cert, key = folder / f"{stem}.crt", folder / f"{stem}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", "30", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


class Server:
    """One `mogul server` process and its directories, which outlive the process."""

    def __init__(self, folder, ports, devices=2, tls=None, arguments=(), environment=None):
        self.folder = pathlib.Path(folder)
        self.dirs = [self.folder / f"disk{number}" for number in range(1, devices + 1)]
        self.tls, self.arguments, self.extra = tls, list(arguments), environment or {}
        self.s3_port, self.admin_port, self.storage_port = (ports.take() for _ in range(3))
        self.sidechannel_port, self.tracker_port = ports.take(), ports.take()
        self.log = self.folder / "server.log"
        self.keys = {"MOGUL_ROOT_ACCESS_KEY": ACCESS_KEY, "MOGUL_ROOT_SECRET_KEY": SECRET_KEY}
        self.process = None

    @property
    def scheme(self):
        return "https" if self.tls else "http"

    @property
    def endpoint(self):
        return f"{self.scheme}://127.0.0.1:{self.s3_port}"

    @property
    def admin(self):
        return f"{self.scheme}://127.0.0.1:{self.admin_port}"

    def command(self):
        command = [BINARY, "server", *self.dirs, "--s3", f"127.0.0.1:{self.s3_port}"]
        command += ["--admin", f"127.0.0.1:{self.admin_port}", "--storage", f"127.0.0.1:{self.storage_port}"]
        command += ["--sidechannel", f"127.0.0.1:{self.sidechannel_port}"]
        command += ["--tracker", f"127.0.0.1:{self.tracker_port}"]
        if self.tls:
            command += ["--tls-cert", self.tls[0], "--tls-key", self.tls[1]]
        return [str(part) for part in command + self.arguments]

    def environment(self):
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("MOGUL_", "AWS_"))}
        return {**mine, **self.keys, **self.extra}

    def start(self, wait=True):
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in self.dirs:
            folder.mkdir(exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment()
            )
        if wait:
            wait_until(self.is_ready, 30, f"readiness (see {self.log})")
        return self

    def is_ready(self):
        assert self.process.poll() is None, f"mogul ended early:\n{self.log.read_text()[-2000:]}"
        return self.health("ready") == 200

    def health(self, which):
        context = ssl._create_unverified_context() if self.tls else None
        try:
            with urllib.request.urlopen(f"{self.admin}/health/{which}", timeout=5, context=context) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode if self.process else None

    def kill(self):
        """SIGKILL, as a crash of the process."""
        self.process.kill()
        self.process.wait()

    def rows(self, sql, *arguments):
        """Reads the database beside the running server, as an operator would."""
        connection = sqlite3.connect(f"file:{self.dirs[0] / 'mogul.db'}?mode=ro", uri=True, timeout=20)
        try:
            return connection.execute(sql, arguments).fetchall()
        finally:
            connection.close()

    def fid_files(self):
        """All fid files on disk: (devid, fid) -> path."""
        found = {}
        for folder in self.dirs:
            for path in folder.rglob("*.fid"):
                devid, fid = FID.search(str(path)).groups()
                found[int(devid), int(fid)] = path
        return found

    def files_on_disk(self):
        """Every regular file below the device roots but the usage file and the device's mark."""
        paths = [path for folder in self.dirs for path in folder.glob("dev*/**/*") if path.is_file()]
        return [path for path in paths if path.name not in ("usage", "mogul-device")]

    def strays(self):
        """What is on disk without a row, and on record without a file."""
        disk = set(self.fid_files())
        rows = {(devid, fid) for fid, devid in self.rows("select fid, devid from file_on")}
        return {"on disk only": sorted(disk - rows), "on record only": sorted(rows - disk)}

    def queues(self):
        """Rows of work that the jobs have not done yet."""
        tables = [
            "file_to_delete2",
            "file_to_delete",
            "file_to_delete_later",
            "mogul_join",
            "file_to_replicate",
            "tempfile",
        ]
        counts = {table: self.rows(f"select count(*) from {table}")[0][0] for table in tables}
        return {table: count for table, count in counts.items() if count}

    def orphans(self):
        """Rows of side tables and of file_on whose fid has no row in `file`."""
        tables = {
            "file_on": "fid",
            "mogul_object": "fid",
            "mogul_segment": "fid",
            "checksum": "fid",
            "mogul_part": "fid",
        }
        counts = {
            table: self.rows(f"select count(*) from {table} where {column} not in (select fid from file)")[0][
                0
            ]
            for table, column in tables.items()
        }
        return {table: count for table, count in counts.items() if count}

    def wait_for_rest(self, seconds=150):
        """Waits until no job has work left; a joined object's parts stay a minute for their readers."""
        wait_until(lambda: not self.queues(), seconds, f"empty queues of {self.folder}, now {self.queues()}")

    def assert_nothing_left_over(self):
        """No file without a row, no row without its file, no half-written file, when all jobs are done."""
        self.wait_for_rest()
        wait_until(
            lambda: not any(self.strays().values()), 30, f"agreement of disk and rows: {self.strays()}"
        )
        assert not self.orphans()
        wait_until(lambda: not self.halves(), 30, f"the end of half-written files: {self.halves()}")

    def halves(self):
        """Files below the device roots that are neither fids nor the usage file."""
        return [path for path in self.files_on_disk() if not FID.search(str(path))]

    def cli(self, *arguments, environment=None, check=True):
        """Runs `mogul` with root's credentials; returns the finished process."""
        command = [str(BINARY), *map(str, arguments)]
        done = subprocess.run(
            command,
            env={**self.environment(), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done

    def add_user(self, name, access_key, secret_key):
        """A user with one key of the caller's choice."""
        tls = ["--ca-file", self.tls[0]] if self.tls else []
        keys = ["--access-key", access_key, "--secret-key", secret_key]
        return self.cli("admin", "user", "add", name, *keys, "--endpoint", self.admin, *tls)

    def log_events(self):
        """The log, which a pipe or file gets as JSON lines."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
