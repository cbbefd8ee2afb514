"""How busy the disks are, as a tracker hears it from the side channels of its nodes."""

import re
import socket
import threading
import urllib.request

import pytest
from harness.apart import Apart
from harness.server import wait_until
from harness.tracker import LineClient


class Node(threading.Thread):
    """The side channel of a mogstored: answers `watch` with what `report` says, once for each that asks."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", port))
        self.report, self.asked, self.talking = b"", [], []

    def run(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            self.asked.append(stream.recv(64))
            stream.sendall(self.report)
            self.talking.append(stream)

    def hang_up(self):
        while self.talking:
            self.talking.pop().close()

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()


@pytest.fixture
def node(ports):
    node = Node(ports.take())
    yield node
    node.end()


@pytest.fixture
def apart(tmp_path, ports, node):
    made = Apart(tmp_path / "apart", ports)
    made.extra = {"MOGUL_TRACKER_SIDECHANNEL_PORT": str(node.listener.getsockname()[1])}
    made.begin()
    yield made
    made.end()


def utilizations(apart):
    with LineClient(apart.tracker_port) as line:
        listed = line.must("get_devices")
    return [listed[f"dev{number}_utilization"] for number in (1, 2)]


def test_a_tracker_shows_what_its_nodes_tell_and_asks_again_when_they_hang_up(apart, node):
    node.report = b"1\t75.20\n2\t-\n99\t1.00\n.\n"
    node.start()

    wait_until(lambda: utilizations(apart) == ["75.20", ""], what="the first report")
    assert node.asked == [b"watch\r\n"]
    with urllib.request.urlopen(f"{apart.admin}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert re.search(r'mogul_device_utilization_ratio\{devid="1",host="node"\} 0\.752\n', metrics)
    assert 'utilization_ratio{devid="2"' not in metrics
    shown = apart.cli("admin", "--trackers", f"127.0.0.1:{apart.tracker_port}", "check", check=False).stdout
    assert re.search(r"\bdev1\b.*\b75\.20\b", shown), shown

    node.report = b"1\t12.00\r\n2\t100.00\r\n.\r\n"
    node.hang_up()
    wait_until(lambda: utilizations(apart) == ["12.00", "100.00"], what="the report of the next connection")


def test_our_own_node_tells_our_own_tracker(tmp_path, ports):
    made = Apart(tmp_path / "apart", ports)
    made.extra = {"MOGUL_TRACKER_SIDECHANNEL_PORT": str(made.sidechannel_port)}
    made.begin()
    try:
        with socket.create_connection(("127.0.0.1", made.sidechannel_port), timeout=30) as stream:
            stream.sendall(b"watch\n")
            told = stream.makefile("rb").readline().split()
        known = told[1] != b"-"  # A container may not see its disks.
        wait_until(lambda: [bool(shown) for shown in utilizations(made)] == [known, known], what="the figures")
    finally:
        made.end()
