"""The tracker port takes whatever comes: junk, half lines, clients that do not read, thousands of them, keys of any bytes."""

import contextlib
import os
import random
import resource
import socket
import threading
import time

import pytest
from harness.server import wait_until
from harness.tracker import LineClient, encode

CONNECTIONS = 10_000
#: Addresses that they come from.
SOURCES = 8
#: What an idle one may take of the memory of a server as it was built for tests or for release, the kernel's buffers apart.
KB_PER_CONNECTION = 16
#: Of `linux/in.h`; Python has no name for it.
IP_BIND_ADDRESS_NO_PORT = 24
SEED = 20261122


def assert_answers(server, seconds=5):
    """Somebody else is answered, and soon."""
    begun = time.monotonic()
    with LineClient(server.tracker_port, timeout=seconds) as other:
        assert other.line("noop").raw == b"OK \r\n"
    assert time.monotonic() - begun < seconds


def test_junk_is_refused_or_cut_off_and_harms_nobody(server):
    chance = random.Random(SEED)
    for length in [1, 10, 1_000, 100_000]:
        for _ in range(5):
            with contextlib.suppress(ConnectionError), LineClient(server.tracker_port) as client:
                client.send(chance.randbytes(length) + b"\r\nnoop\r\n")
                client.socket.shutdown(socket.SHUT_WR)
                lines = client.reader.read().split(b"\r\n")
                assert b"OK " in lines, f"seed {SEED}, length {length}"
    assert_answers(server)


def test_every_answer_to_a_fuzzed_command_is_one_whole_line(tracker):
    chance = random.Random(SEED)
    commands = ["create_open", "create_close", "get_paths", "list_keys", "rename", "file_debug", "list_fids"]
    commands += ["create_class", "create_host", "create_device", "set_state", "set_weight", "fsck_getlog"]
    names = ["domain", "key", "fid", "devid", "path", "limit", "after", "prefix", "class", "size", "to", "from"]
    names += ["host", "device", "mindevcount", "checksum", "after_logid", "weight", "state", "port", "ip"]
    values = ["", "0", "-1", "1", "99999999999999999999", "abc", "%00", "%ff", "%", "%zz", "a=b", "+", "\u00e4"]
    for _ in range(600):
        pairs = "&".join(
            f"{chance.choice(names)}={chance.choice(values)}" for _ in range(chance.randrange(5))
        )
        line = f"{chance.choice(commands)} {pairs}"
        answer = tracker.line(line)
        assert answer.raw.startswith((b"OK ", b"ERR ")), (line, answer.raw)
        assert b"&&" not in answer.raw and not answer.raw.startswith(b"OK &"), (line, answer.raw)
        assert answer.code != "failure", (line, answer.raw)


def test_a_half_line_is_no_request(server, tracker, domain):
    tracker.store(domain, "k", b"bytes")
    with LineClient(server.tracker_port) as client:
        client.send(f"delete domain={domain}&key=k".encode())

    assert tracker.fetch(domain, "k") == b"bytes"


def test_a_line_may_come_byte_by_byte(server):
    with LineClient(server.tracker_port) as client:
        for byte in b"noop x=1\r\n":
            client.send(bytes([byte]))
        assert client.read().raw == b"OK \r\n"


def test_line_ends_and_blanks_are_taken_as_the_original_takes_them(tracker):
    tracker.send(b"\r\n\n\r\nnoop\nnoop   \r\n  \r\nNoOp x=1\r\n")

    codes = [tracker.read().code for _ in range(4)]

    # An empty line is skipped; one of blanks is a request without a command.
    assert codes == [None, None, "unknown_command", None]


def test_pipelined_requests_are_answered_in_their_order(tracker, domain):
    numbers = range(2_000)
    lines = [f"list_keys domain={domain}&callid={number}" for number in numbers]
    sender = threading.Thread(target=tracker.send, args=("".join(f"{line}\r\n" for line in lines).encode(),))
    sender.start()

    answered = [tracker.read().raw.split()[-1] for _ in numbers]

    sender.join()
    assert answered == [str(number).encode() for number in numbers]


def test_a_client_that_does_not_read_holds_up_nobody(server, tracker, domain):
    for index in range(200):
        tracker.must("create_open", domain=domain, key=f"{index}")
    slow = LineClient(server.tracker_port, timeout=1)
    with contextlib.suppress(TimeoutError):
        while True:
            slow.send(b"get_domains\r\n" * 1000)

    memory = rss_mb(server)
    assert_answers(server)
    assert tracker.must("noop").ok
    assert memory < 400, f"{memory} MB"
    slow.close()


def rss_kb(server):
    with open(f"/proc/{server.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 10


def rss_mb(server):
    return rss_kb(server) >> 10


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.fixture
def many_files():
    """Lets this process have a file open for each connection and some more."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 2_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connections(server, count):
    """Connections from several addresses, so that each has ports enough."""
    clients = []
    for number in range(count):
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((f"127.0.0.{2 + number % SOURCES}", 0))
        client.settimeout(60)
        client.connect(("127.0.0.1", server.tracker_port))
        clients.append(client)
    return clients


def test_ten_thousand_connections_are_served_in_little_memory(many_files, new_server, names):
    server = new_server()
    domain = names()
    with LineClient(server.tracker_port) as client:
        client.must("create_domain", domain=domain)
    assert_answers(server)
    files, memory = open_files(server), rss_kb(server)

    for round_ in range(2):
        clients = connections(server, CONNECTIONS)
        try:
            for client in clients:
                client.sendall(b"noop\r\n")
            assert all(client.recv(16) == b"OK \r\n" for client in clients)
            idle = rss_kb(server) - memory
            assert idle / CONNECTIONS < KB_PER_CONNECTION, f"{idle} KB for {CONNECTIONS} idle connections"

            with LineClient(server.tracker_port) as other:
                other.store(domain, "meanwhile", b"bytes")
                assert other.fetch(domain, "meanwhile") == b"bytes"
            assert_answers(server, seconds=1)
        finally:
            for client in clients:
                client.close()
        wait_until(lambda: open_files(server) < files + 50, what="the end of all connections")
        left = rss_kb(server) - memory
        # The allocator keeps pages for the next ones; a second round takes no more.
        assert left < CONNECTIONS * KB_PER_CONNECTION, f"{left} KB are kept after round {round_}"
    assert_answers(server)


def test_keys_of_every_byte_come_back_as_they_were_or_are_refused(tracker, domain):
    kept, refused = [], []
    for byte in range(256):
        key = b"k" + bytes([byte]) + b"e"
        (kept if stored(tracker, domain, key) else refused).append(key)
    for key in ["\u00e4\u00f6\u00fc", "\u4e2d\u6587", "\U0001f600", "a" * 1024]:
        assert stored(tracker, domain, key.encode()), key

    listed = keys(tracker, domain)

    assert set(kept) <= set(listed)
    assert not set(refused) & set(listed)
    printable = {b"k" + bytes([byte]) + b"e" for byte in range(0x20, 0x7F)}
    assert printable <= set(kept)
    assert listed == sorted(listed)


def stored(tracker, domain, key):
    """Opens an upload and closes it; whether the key was taken. One that was must be found again."""
    text = encode(key)
    opening = tracker.line(f"create_open domain={domain}&key={text}&multi_dest=1")
    if not opening.ok:
        return False
    from harness.tracker import put

    put(opening["path_1"], b"bytes")
    close = f"fid={opening['fid']}&devid={opening['devid_1']}&path={encode(opening['path_1'])}&size=5"
    if not tracker.line(f"create_close domain={domain}&key={text}&{close}").ok:
        return False
    found = tracker.line(f"file_info domain={domain}&key={text}")
    assert found.bytes("key") == key, found.raw
    return True


def keys(tracker, domain):
    found, after = [], ""
    while (page := tracker.ask("list_keys", domain=domain, limit=100, after=after)).ok:
        found += [page.bytes(f"key_{index}") for index in range(1, int(page["key_count"]) + 1)]
        after = page.bytes("next_after")
    assert page.code == "none_match"
    return found


def test_a_line_of_a_mebibyte_is_taken(tracker, domain):
    assert tracker.line(b"noop x=" + b"a" * (1 << 20)).raw == b"OK \r\n"
    answer = tracker.line(f"get_paths domain={domain}&key=".encode() + b"a" * (1 << 20))
    assert answer.code == "unknown_key"
    assert tracker.line(f"create_open domain={domain}&key=".encode() + b"a" * (1 << 20)).code == "db"
    assert tracker.line("noop").ok


def test_a_line_beyond_the_limit_is_refused_even_if_it_ends(server):
    line = b""
    with LineClient(server.tracker_port) as client, contextlib.suppress(ConnectionError):
        client.send(b"noop x=" + b"a" * (4 << 20) + b"\r\n")
        line = client.reader.readline()
    assert not line.startswith(b"OK")
    assert_answers(server)


def test_a_line_without_end_is_cut_off_at_a_limit(server):
    with LineClient(server.tracker_port) as client, contextlib.suppress(ConnectionError):
        for _ in range(64):
            client.send(b"a" * (1 << 20))
        assert client.reader.readline().startswith(b"ERR ")
    assert rss_mb(server) < 400
    assert_answers(server)
