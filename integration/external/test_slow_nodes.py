"""A storage node that is a thousand times slower than its neighbour: reads do not wait for it, writes not for ever, and it is
used again when it has recovered."""

import concurrent.futures
import re
import select
import socket
import threading
import time
import urllib.request

import pytest
from conftest import boto
from harness.server import Server, wait_until
from harness.store import StoreNode
from harness.tracker import LineClient

#: What each way through the slow proxy takes in seconds: a node on this machine answers within a millisecond.
SLOW = 0.7
OBJECTS = 40
BODY = bytes(index * 7 % 251 for index in range(20_000))


class Proxy:
    """Stands before a node and hands on what it gets, late if it is told so; or nothing at all. Counts the reads of files."""

    def __init__(self, address, port, node):
        self.address, self.port, self.node = address, port, node
        self.delay, self.hung, self.reads = 0.0, False, 0
        self.listener = socket.create_server((address, port), backlog=512)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client, socket.create_connection((self.node.address, self.node.port)) as node:
                self.relay(client, node)
        except OSError:
            pass

    def relay(self, client, node):
        while True:
            readable, _, _ = select.select([client, node], [], [])
            for source in readable:
                data = source.recv(1 << 16)
                if not data:
                    return
                if source is client:
                    self.reads += len(re.findall(rb"GET /dev\d+/\d/", data))
                while self.hung:
                    time.sleep(0.02)
                time.sleep(self.delay)
                (node if source is client else client).sendall(data)

    def close(self):
        self.hung = False
        self.listener.close()


@pytest.fixture(scope="module")
def cluster(scratch, ports):
    """A gateway whose own device takes nothing, and two nodes, each behind a proxy; every object is on both."""
    folder = scratch / "slow"
    running = Server(folder / "server", ports, devices=1, arguments=["--copies", "2"])
    fast = StoreNode(folder / "fast", ports, "127.0.0.2", devices=(11,)).start()
    behind = StoreNode(folder / "behind", ports, "127.0.0.3", devices=(12,)).start()
    quick, proxy = Proxy("127.0.0.5", ports.take(), fast), Proxy("127.0.0.4", ports.take(), behind)
    running.start(wait=False)
    wait_until(lambda: running.health("live") == 200, 30, "the server")
    with LineClient(running.tracker_port) as tracker:
        for name, address, port, device in (
            ("fast", quick.address, quick.port, 11),
            ("slow", proxy.address, proxy.port, 12),
        ):
            tracker.must("create_host", host=name, ip=address, port=port, status="alive")
            tracker.must("create_device", devid=device, hostname=name)
        tracker.must("set_state", host="localhost", device=1, state="readonly")
        for device in (11, 12):
            wait_until(
                lambda device=device: b"observed_state=writeable" in tracker.must("get_devices", devid=device).raw,
                30,
                "the nodes",
            )
    yield running, proxy
    running.stop()
    quick.close()
    proxy.close()
    for node in (fast, behind):
        node.stop()


@pytest.fixture
def stored(cluster, request):
    """A bucket with objects of which each is on both nodes."""
    running, proxy = cluster
    proxy.delay, proxy.hung = 0.0, False
    s3, name = boto(running), request.node.name.lower().replace("_", "-")[:60]
    s3.create_bucket(Bucket=name)
    for number in range(OBJECTS):
        s3.put_object(Bucket=name, Key=f"k{number}", Body=BODY + b"%d" % number)
    assert len(running.rows("select fid from file_on where devid in (11, 12)")) >= 2 * OBJECTS
    yield s3, name
    proxy.delay, proxy.hung = 0.0, False


def metric(running, name):
    with urllib.request.urlopen(f"{running.admin}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return float(re.search(rf"^{re.escape(name)}[^ \n]* (\S+)$", text, re.M)[1])


def expected(running, device):
    """What the gateway expects of a device, in seconds."""
    return metric(running, f'mogul_device_read_seconds{{devid="{device}"')


def read_all(stored, count):
    """Reads objects by eight clients at once; each must have its own bytes."""
    s3, name = stored

    def read(number):
        key = number % OBJECTS
        body = s3.get_object(Bucket=name, Key=f"k{key}")["Body"].read()
        assert body == BODY + b"%d" % key

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        list(clients.map(read, range(count)))


def test_reads_leave_a_slow_node_alone_until_it_is_fast_again(cluster, stored):
    running, proxy = cluster
    read_all(stored, 200)
    assert proxy.reads > 20, "while both are fast, both are read"

    proxy.delay = SLOW
    before, hedges = proxy.reads, metric(running, "mogul_reads_hedged_total")
    read_all(stored, 600)

    assert expected(running, 12) > 10 * expected(running, 11)
    asked = proxy.reads - before
    assert asked < 60, f"the slow node was asked {asked} times of 600"
    assert metric(running, "mogul_reads_hedged_total") - hedges >= 1
    assert "copy was bad" not in running.log.read_text()

    proxy.delay = 0.0

    def is_used_again():
        before = proxy.reads
        read_all(stored, 40)
        return proxy.reads - before >= 5

    wait_until(is_used_again, 60, "reads of the node that has recovered")


def test_a_node_that_hangs_holds_an_upload_for_a_bounded_time(cluster, stored):
    running, proxy = cluster
    s3, name = stored
    proxy.hung = True

    with concurrent.futures.ThreadPoolExecutor(2) as clients:
        sizes = {"small": 20_000, "large": 3 << 20}
        written = {key: clients.submit(s3.put_object, Bucket=name, Key=key, Body=bytes(size)) for key, size in sizes.items()}
        for upload in written.values():
            assert upload.result(55)["ResponseMetadata"]["HTTPStatusCode"] == 200

    for key, size in sizes.items():
        assert s3.get_object(Bucket=name, Key=key)["Body"].read() == bytes(size)
    proxy.hung = False
    both = "select count(*) from file_on where fid = (select fid from file where dkey = ?)"
    for key in sizes:
        wait_until(lambda key=key: running.rows(both, key) == [(2,)], 120, "the second copy")
