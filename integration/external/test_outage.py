"""The database is away: what needs it fails at once, what does not goes on, and everything works again when it is back."""

import contextlib
import socket
import subprocess
import urllib.parse

import pytest
from botocore.exceptions import ClientError
from harness.cluster import Cluster
from harness.ledger import client
from harness.relay import Relay
from harness.server import BINARY, wait_until

#: What the original answers without its database, by command.
REFUSED = {
    "get_paths": ("failure", {"domain": "store", "key": "k"}),
    "file_info": ("failure", {"domain": "store", "key": "k"}),
    "list_keys": ("failure", {"domain": "store"}),
    "delete": ("failure", {"domain": "store", "key": "k"}),
    "rename": ("failure", {"domain": "store", "from_key": "k", "to_key": "l"}),
    "server_settings": ("failure", {}),
    "fsck_status": ("failure", {}),
    "create_domain": ("failure", {"domain": "other"}),
    "create_open": ("db", {"domain": "store", "key": "new"}),
    "fsck_reset": ("db", {}),
}


@pytest.fixture(params=["mysql", "postgres"])
def wire(request, databases):
    at = urllib.parse.urlsplit(databases[request.param])
    relay = Relay(at.hostname, at.port)
    yield relay, databases[request.param]
    relay.cut()


@pytest.fixture
def cluster(request, scratch, ports, wire):
    relay, url = wire
    made = Cluster(scratch / f"outage-{request.node.name}", ports, url, stores=1, trackers=1, gateways=1)
    port = urllib.parse.urlsplit(url).port
    made.file.write_text(made.file.read_text().replace(f":{port}/", f":{relay.port}/"))
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("engine", ["mysql", "postgres"])
def test_a_server_that_says_nothing_when_a_tracker_starts_is_named(engine):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"{engine}://mogul@127.0.0.1:{mute.getsockname()[1]}/mogul"
        ports = ["--tracker", "127.0.0.1:0", "--admin", "127.0.0.1:0"]

        done = subprocess.run([BINARY, "tracker", "--db", url, *ports], capture_output=True, text=True, timeout=60)

    assert done.returncode == 2, done.stderr
    assert "does not answer" in done.stderr, done.stderr


@pytest.mark.timeout(120)
def test_without_the_database_nothing_hangs_and_all_is_well_when_it_is_back(cluster, wire):
    relay, _ = wire
    s3 = client(cluster.gateways[0], cluster.keys)
    s3.create_bucket(Bucket="store")
    s3.put_object(Bucket="store", Key="k", Body=b"bytes")
    with cluster.line() as line:
        wait_until(lambda: line.ask("get_paths", domain="store", key="k").ok, 30, "the file at the other door")

        relay.cut()

        for _ in range(3):
            for command, (code, arguments) in REFUSED.items():
                assert line.ask(command, **arguments).code == code, command
            for command in ("noop", "get_hosts", "get_domains"):
                assert line.ask(command).ok, command
        with pytest.raises(ClientError) as refused:
            s3.get_object(Bucket="store", Key="k")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503

        relay.mend()

        wait_until(lambda: line.ask("get_paths", domain="store", key="k").ok, 30, "the database, as the tracker sees it")
        assert line.store("store", "new", b"more")
    wait_until(lambda: body(s3, "k") == b"bytes", 30, "the database, as the gateway sees it")
    assert body(s3, "new") == b"more"


def body(s3, key):
    """The bytes of an object; nothing if the gateway says that it has no database."""
    with contextlib.suppress(s3.exceptions.ClientError):
        return s3.get_object(Bucket="store", Key=key)["Body"].read()
    return None
