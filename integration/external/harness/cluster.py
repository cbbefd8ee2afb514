"""Runs a cluster: `mogul store`, `mogul tracker` and `mogul s3` as processes of their own, from one `mogul.toml` each
folder, over one database of PostgreSQL or MariaDB. Each storage node has a loopback address of its own."""

import contextlib
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from .server import ACCESS_KEY, BINARY, FID, SECRET_KEY, wait_until
from .tracker import LineClient
from .wire import Signer, now

_databases = itertools.count(1)
#: How long work that was aged is left alone: whoever loses a claim in the middle of it has to begin anew.
AGE_SECONDS = 5
#: How often a statement is given to MySQL that it has broken off in favour of another's.
DEADLOCKS_MAX = 10


class Database:
    """A database of its own on a server of the run."""

    def __init__(self, url):
        self.server = urllib.parse.urlsplit(url)
        self.name = f"cluster_{os.getpid()}_{next(_databases)}"
        self._run(f"create database {self.name}", self.server.path.lstrip("/"))
        self.url = self.server._replace(path=f"/{self.name}").geturl()

    def _run(self, sql, database):
        at = self.server
        if at.scheme == "mysql":
            command = ["mariadb", "--no-defaults", "-h", at.hostname, "-P", at.port, "-u", at.username]
            command += [f"-p{at.password}", "-N", "-B", database, "-e", sql]
        else:
            command = ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-h", at.hostname, "-p", at.port]
            command += ["-U", at.username, "-d", database, "-c", sql]
        for _ in range(DEADLOCKS_MAX):
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
            if "ERROR 1213" not in done.stderr:
                break
        assert done.returncode == 0, f"{sql}: {done.stderr}"
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def rows(self, sql):
        """The rows of a statement, as texts."""
        return self._run(sql, self.name)

    def count(self, sql):
        return int(self.rows(sql)[0][0])


class Process:
    """One role: its command line, its log, its process."""

    def __init__(self, name, folder, command, environment, ready):
        self.name, self.command, self.environment, self.ready = name, command, environment, ready
        self.log = folder / f"{name}.log"
        self.process = None

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in self.command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment
            )
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self):
        def ready():
            assert self.process.poll() is None, f"{self.name} ended early:\n{self.log.read_text()[-2000:]}"
            return self.ready()

        wait_until(ready, 60, f"readiness of {self.name} (see {self.log})")

    @property
    def runs(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL, as a crash."""
        if self.runs:
            self.process.kill()
            self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.runs:
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(45)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def events(self, message):
        """The lines of the log with that message."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("fields", line).get("message") == message]


class Cluster:
    """The processes, and what they share. Devices are numbered through: two stores of two have 1, 2 and 3, 4."""

    def __init__(self, folder, ports, url, stores=3, devices=2, trackers=2, gateways=2, settings=None):
        self.database, self.ports, self.aged_at = Database(url), ports, 0
        # A folder for each database: the disks of one cluster are refused by another.
        self.folder = pathlib.Path(folder) / self.database.name
        self.folder.mkdir(parents=True)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("MOGUL_", "AWS_"))}
        self.keys = (ACCESS_KEY, SECRET_KEY)
        self.file = self.folder / "mogul.toml"
        self.file.write_text(self.toml(settings or {}))
        self.stores, self.trackers, self.gateways = [], [], []
        numbers = itertools.count(1)
        for number in range(1, stores + 1):
            self.stores.append(self.store(number, [next(numbers) for _ in range(devices)]))
        for number in range(1, trackers + 1):
            self.trackers.append(self.tracker(number))
        for number in range(1, gateways + 1):
            self.gateways.append(self.gateway(number))

    def toml(self, settings):
        tables = {"db": {"url": self.database.url}, "root": {}, **settings}
        if tables["root"] is not None:
            tables["root"] = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        lines = []
        for table, keys in tables.items():
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in (keys or {}).items())]
        return "\n".join(lines) + "\n"

    def store(self, number, devices):
        address, port, side = f"127.0.7.{number}", self.ports.take(), self.ports.take()
        docroot = self.folder / f"store{number}"
        for device in devices:
            (docroot / f"dev{device}").mkdir(parents=True, exist_ok=True)
        command = [BINARY, "store", "--config", self.file, "--docroot", docroot]
        command += ["--storage", f"{address}:{port}", "--sidechannel", f"{address}:{side}"]
        made = Process(f"store{number}", self.folder, command, self.environment, lambda: answers(address, port))
        made.address, made.port, made.devices, made.docroot = address, port, devices, docroot
        made.host = f"node{number}"
        return made

    def tracker(self, number):
        port, admin = self.ports.take(), self.ports.take()
        command = [BINARY, "tracker", "--config", self.file]
        command += ["--tracker", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"]
        # Ready for clients it is when there are devices, which it is told of later.
        ready = lambda: health(f"http://127.0.0.1:{admin}", "live") == 200
        made = Process(f"tracker{number}", self.folder, command, self.environment, ready)
        made.port, made.admin = port, f"http://127.0.0.1:{admin}"
        return made

    def gateway(self, number):
        port, admin = self.ports.take(), self.ports.take()
        command = [BINARY, "s3", "--config", self.file]
        command += ["--s3", f"127.0.0.1:{port}", "--s3-admin", f"127.0.0.1:{admin}"]
        ready = lambda: health(f"http://127.0.0.1:{admin}", "live") == 200
        made = Process(f"gateway{number}", self.folder, command, self.environment, ready)
        made.endpoint, made.admin, made.tls = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", None
        return made

    def start(self):
        """Starts everything, adds the hosts and devices, and waits until every device takes files everywhere."""
        try:
            for process in [*self.stores, *self.trackers[:1]]:
                process.start()
            for store in self.stores:
                self.add_host(store)
            for process in [*self.trackers[1:], *self.gateways]:
                process.start()
            self.wait_for_devices()
        except BaseException:
            self.stop()
            raise
        return self

    def add_host(self, store):
        """Puts a node and its devices on record."""
        with self.line() as line:
            line.must("create_host", host=store.host, ip=store.address, port=store.port, status="alive")
            for device in store.devices:
                line.must("create_device", devid=device, hostname=store.host, state="alive")

    def processes(self):
        return [*self.stores, *self.trackers, *self.gateways]

    def line(self, tracker=0):
        """A connection to a tracker."""
        return LineClient(self.trackers[tracker].port)

    def observed(self, process):
        """What a tracker or a gateway sees of each device: devid -> state."""
        return {device["devid"]: device["observed"] for device in self.devices(process)}

    def devices(self, process):
        return self.rest(process, "GET", "/admin/v1/devices")["devices"]

    def rest(self, process, method, path, document=None):
        """A request to an admin port, signed as root; the answer's document. Fails on what is no success."""
        at = urllib.parse.urlsplit(process.admin)
        body = b"" if document is None else json.dumps(document).encode()
        sent = [("host", at.netloc), ("x-amz-date", now()), ("x-amz-content-sha256", hashlib.sha256(body).hexdigest())]
        sent += [("content-type", "application/json")] if body else []
        value, _ = Signer(*self.keys).header(method, path, "", sent, dict(sent)["x-amz-content-sha256"], dict(sent)["x-amz-date"])
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
        try:
            connection.request(method, path, body, dict([*sent, ("authorization", value)]))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text!r}"
        return json.loads(text) if text else None

    def wait_for_devices(self):
        """Waits until all gateways and trackers see all devices take files."""
        expected = {device: "writeable" for store in self.stores for device in store.devices}
        for process in [*self.trackers, *self.gateways]:

            def seen():
                return self.observed(process) == expected

            try:
                wait_until(seen, 60, f"the devices, seen by {process.name}")
            except AssertionError as late:
                raise AssertionError(f"{late}: {self.devices(process)}\n{process.log.read_text()[-3000:]}") from late

    def fid_files(self):
        """All fid files on the disks: (devid, fid) -> path."""
        found = {}
        for store in self.stores:
            for device in store.devices:
                for path in (store.docroot / f"dev{device}").rglob("*.fid"):
                    found[device, int(FID.search(str(path))[2])] = path
        return found

    def copies(self):
        """All copies on record: (devid, fid)."""
        return {(int(devid), int(fid)) for devid, fid in self.database.rows("select devid, fid from file_on")}

    def queues(self):
        """Rows of work that the jobs have not done yet."""
        tables = ["file_to_replicate", "file_to_delete2", "file_to_delete", "file_to_delete_later", "file_to_queue"]
        tables += ["mogul_join", "mogul_digest", "tempfile"]
        counts = " union all ".join(f"select '{table}', count(*) from {table}" for table in tables)
        return {table: int(count) for table, count in self.database.rows(counts) if count != "0"}

    def age(self):
        """Lets pass in no time what is waited for by the clock: attempts that were put off, uploads that nobody will close.

        Files that are being copied are left to who has claimed them, or to the reaper if that one is dead."""
        if time.monotonic() < self.aged_at + AGE_SECONDS:
            return
        tables = ("file_to_delete2", "file_to_queue", "mogul_join", "mogul_digest")
        later = [f"update {table} set nexttry = 0" for table in tables]
        waiting = f"nexttry < {2**31 - 2} and flags not in (1, 2, 4)"
        later.append(f"update file_to_replicate set nexttry = 0 where {waiting}")
        self.database.rows("; ".join([*later, "update tempfile set createtime = 0"]))
        self.aged_at = time.monotonic()

    def work(self):
        """The rows of the queues that jobs work off, for who wants to know why they do not."""
        tables = ("file_to_replicate", "file_to_delete2", "file_to_queue", "mogul_join", "mogul_digest")
        rows = {table: self.database.rows(f"select * from {table}") for table in tables}
        return {table: rows for table, rows in rows.items() if rows}

    def restart(self):
        """Stops and starts all gateways and trackers; what dead ones had reserved is up for collection then."""
        processes = [*self.gateways, *self.trackers]
        for process in processes:
            process.signal(signal.SIGTERM)
        for process in processes:
            assert process.stop() == 0, f"{process.name} did not end well (see {process.log})"
        self.database.rows("update mogul_fid_block set renewed_at = 0")
        for process in processes:
            process.start(wait=False)
        for process in processes:
            process.wait_until_ready()
        self.wait_for_devices()

    def stop(self):
        for process in self.processes():
            if process.runs:
                with contextlib.suppress(ProcessLookupError):
                    process.signal(signal.SIGCONT)
                    process.signal(signal.SIGTERM)
        for process in self.processes():
            if process.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.process.wait(30)
                process.kill()


def answers(address, port):
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def health(admin, which="ready"):
    try:
        with urllib.request.urlopen(f"{admin}/health/{which}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
