"""Fixtures: one server for each scheme and worker, a client, a bucket of the test's own."""

import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import boto3
import pytest
from botocore.config import Config

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import server as harness  # noqa: E402
from harness.tracker import LineClient  # noqa: E402
from harness.wire import Signer, Wire  # noqa: E402

_numbers = itertools.count(1)


def boto(server, access_key=harness.ACCESS_KEY, secret_key=harness.SECRET_KEY, **options):
    """A boto3 client as users make it, but without retries: what fails shall be seen."""
    settings = {"retries": {"max_attempts": 1, "mode": "standard"}, "max_pool_connections": 80, **options}
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=harness.REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        verify=str(server.tls[0]) if server.tls else None,
        config=Config(**settings),
    )


@pytest.fixture(scope="session")
def ports():
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return harness.Ports(int(worker.removeprefix("gw")))


@pytest.fixture(scope="session")
def scratch():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mogul-external-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def certificate(scratch):
    return harness.make_certificate(scratch)


@pytest.fixture(scope="session")
def server(scratch, ports):
    """The worker's server over http; two devices, so two copies."""
    running = harness.Server(scratch / "plain", ports).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def tls_server(scratch, ports, certificate):
    """The same over https."""
    running = harness.Server(scratch / "tls", ports, tls=certificate).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def cluster(request, scratch, ports):
    """A server of the file's own, whose tests change the whole cluster."""
    running = harness.Server(scratch / request.module.__name__, ports).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def databases():
    """Where PostgreSQL and MariaDB are: those of the run, else private ones."""
    names = {"postgres": "MOGUL_TEST_POSTGRES_URL", "mysql": "MOGUL_TEST_MYSQL_URL"}
    if all(name in os.environ for name in names.values()):
        yield {engine: os.environ[name] for engine, name in names.items()}
        return
    script = str(harness.ROOT / "integration" / "databases.sh")
    started = subprocess.run([script, "start"], check=True, capture_output=True, text=True, timeout=120).stdout
    exported = dict(line.removeprefix("export ").split("=", 1) for line in started.splitlines() if "=" in line)
    yield {engine: exported[name] for engine, name in names.items()}
    subprocess.run([script, "stop", exported["MOGUL_TEST_DATABASES"]], check=True, timeout=120)


@pytest.fixture
def new_server(tmp_path, ports):
    """Makes servers of a test's own, which it may stop and kill; `new_server(devices=1, …)`."""
    made = []

    def make(start=True, **options):
        made.append(harness.Server(tmp_path / f"server{len(made)}", ports, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for running in made:
        if running.process and running.process.poll() is None:
            running.kill()


@pytest.fixture(params=["http", "https"])
def either(request):
    """Each scheme in turn: SDKs frame bodies otherwise over https."""
    return request.getfixturevalue("server" if request.param == "http" else "tls_server")


@pytest.fixture
def s3(server):
    return boto(server)


@pytest.fixture
def wire(server):
    return Wire(server)


def fresh_name(request):
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return f"{words[:40].strip('-')}-{worker}-{next(_numbers)}"


@pytest.fixture
def bucket(request, server):
    """A bucket of the test's own on `server`."""
    name = fresh_name(request)
    boto(server).create_bucket(Bucket=name)
    return name


@pytest.fixture
def either_bucket(request, either):
    """A bucket of the test's own on `either`."""
    name = fresh_name(request)
    boto(either).create_bucket(Bucket=name)
    return name


@pytest.fixture
def names(request):
    """Makes names of buckets that no other test uses."""
    return lambda: fresh_name(request)


@pytest.fixture
def tracker(server):
    """A client of the tracker port of `server`."""
    with LineClient(server.tracker_port) as client:
        yield client


@pytest.fixture
def domain(tracker, names):
    """A domain of the test's own, made by `tracker`."""
    name = names()
    tracker.must("create_domain", domain=name)
    return name


@pytest.fixture
def other_user(server, request):
    """A second user on `server`: its boto3 client and its wire."""
    name = fresh_name(request)
    access_key = "AKOTHER" + re.sub(r"[^A-Z0-9]", "", name.upper())[-13:].rjust(13, "0")
    secret_key = "another-secret-0123456789-0123456789abcd"
    server.add_user(name, access_key, secret_key)
    return boto(server, access_key, secret_key), Wire(server, Signer(access_key, secret_key))
