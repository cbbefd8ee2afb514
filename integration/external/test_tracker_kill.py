"""kill -9 of a tracker that runs apart from its storage node, in the middle of the tracker port's writes; and of `mogdbsetup`
beside a tracker at work. What was answered OK is there, what was not is whole or absent, nothing is left over.

`MOGUL_KILL_ROUNDS` sets the number of kills, `MOGUL_SEED` repeats a run's choices.
"""

import hashlib
import os
import random
import sqlite3
import subprocess
import threading
import time

import pytest
from harness.apart import Apart
from harness.server import BINARY, wait_until
from harness.tracker import LineClient, get, put

ROUNDS = int(os.environ.get("MOGUL_KILL_ROUNDS", "10"))
SEED = int(os.environ.get("MOGUL_SEED", random.SystemRandom().randrange(2**32)))
WRITERS, KEYS_PER_WRITER = 4, 5
DOMAIN, CLASSES = "killed", ["default", "one"]
ABSENT = None


@pytest.fixture
def apart(tmp_path, ports):
    made = Apart(tmp_path / "apart", ports)
    made.begin()
    with LineClient(made.tracker_port) as line:
        line.must("create_domain", domain=DOMAIN)
        line.must("create_class", domain=DOMAIN, class_="one", mindevcount=1)
    yield made
    made.end()


class Writer(threading.Thread):
    """Changes its keys until the tracker is gone; `known` and `pending` are the ledger: the MD5 and the class of each key."""

    serial = 0
    lock = threading.Lock()

    def __init__(self, server, number, chance, known=None):
        super().__init__()
        self.port, self.chance = server.tracker_port, chance
        self.keys = [f"{number}/{index}" for index in range(KEYS_PER_WRITER)]
        self.known = known or dict.fromkeys(self.keys, ABSENT)
        self.pending, self.refusals, self.acknowledged = {}, [], 0
        self.enough = threading.Event()

    def run(self):
        try:
            with LineClient(self.port) as self.line:
                while not self.enough.is_set():
                    action = self.chance.choice([self.store, self.store, self.rename, self.delete, self.reclass])
                    action(self.chance.choice(self.keys))
                    self.acknowledged += 1
        except (OSError, AssertionError) as ended:
            # A hang-up in the middle of an answer reads as half a line; a refusal is a whole one.
            if "the tracker hung up" not in str(ended) and isinstance(ended, AssertionError):
                self.refusals.append(str(ended))

    def change(self, states, command, **arguments):
        """Runs one command that makes these states of these keys, all or none."""
        self.pending = states
        self.line.must(command, domain=DOMAIN, **arguments)
        self.known |= states
        self.pending = {}

    def body(self):
        with Writer.lock:
            Writer.serial += 1
            head = f"{SEED} {Writer.serial} ".encode()
        return head + self.chance.randbytes(self.chance.choice([0, 10, 4096, 70_000]))

    def store(self, key):
        body, class_ = self.body(), self.chance.choice(CLASSES)
        named = {} if class_ == "default" else {"class_": class_}
        opened = self.line.must("create_open", domain=DOMAIN, key=key, multi_dest=1, **named)
        if self.chance.random() < 0.1:
            return  # A client that goes away.
        assert put(opened["path_1"], body) in (200, 201, 204)
        self.change(
            {key: (hashlib.md5(body).hexdigest(), class_)},
            "create_close",
            key=key,
            fid=opened["fid"],
            devid=opened["devid_1"],
            path=opened["path_1"],
            size=len(body),
        )

    def rename(self, key):
        free = [other for other in self.keys if self.known[other] is ABSENT]
        if self.known[key] is not ABSENT and free:
            to = self.chance.choice(free)
            self.change({key: ABSENT, to: self.known[key]}, "rename", from_key=key, to_key=to)

    def delete(self, key):
        if self.known[key] is not ABSENT:
            self.change({key: ABSENT}, "delete", key=key)

    def reclass(self, key):
        if self.known[key] is not ABSENT:
            class_ = self.chance.choice(CLASSES)
            self.change({key: (self.known[key][0], class_)}, "updateclass", key=key, class_=class_)

    def settle(self):
        """Compares what is there with the ledger; what a lost answer left open is known afterwards."""
        with LineClient(self.port) as line:
            found = {key: read(line, key) for key in self.keys}
        allowed = [self.known, self.known | self.pending]
        self.pending = {}
        self.known = found
        return self.refusals + ([] if found in allowed else [f"is {found}, must be one of {allowed}"])


def read(line, key):
    """The MD5 of a key's bytes and its class."""
    described = line.ask("file_info", domain=DOMAIN, key=key)
    if not described.ok:
        assert described.code == "unknown_key", described.raw
        return ABSENT
    paths = line.must("get_paths", domain=DOMAIN, key=key)
    status, body = get(paths["path1"])
    assert status == 200 and len(body) == int(described["length"])
    return hashlib.md5(body).hexdigest(), described["class"]


@pytest.mark.timeout(120 + 15 * ROUNDS)
def test_nothing_that_a_tracker_acknowledged_is_lost_when_it_is_killed(apart):
    print(f"MOGUL_SEED={SEED} MOGUL_KILL_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    ledgers, acknowledged = {}, 0
    for round_number in range(1, ROUNDS + 1):
        writers = [
            Writer(apart, number, random.Random(chance.random()), ledgers.get(number))
            for number in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.05, 0.8))  # the random moment; nothing is waited for
        apart.kill()
        for writer in writers:
            writer.join()
        apart.start()

        complaints = [complaint for writer in writers for complaint in writer.settle()]
        assert not complaints, (SEED, round_number, complaints)
        ledgers = {number: writer.known for number, writer in enumerate(writers)}
        acknowledged += sum(writer.acknowledged for writer in writers)

    assert acknowledged > ROUNDS, "the writers must have got something done"
    assert apart.stop() == 0
    apart.age_open_uploads()
    apart.start()
    apart.assert_nothing_left_over()
    present = {key: state for known in ledgers.values() for key, state in known.items() if state is not ABSENT}
    copies = sum(2 if class_ == "default" else 1 for _, class_ in present.values())
    wait_until(lambda: len(apart.fid_files()) == copies, 60, "as many copies as the classes want")
    with LineClient(apart.tracker_port) as line:
        assert {key: read(line, key) for key in present} == present


def test_mogdbsetup_may_be_killed_beside_a_tracker_at_work(apart, tmp_path):
    print(f"MOGUL_SEED={SEED} MOGUL_KILL_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    subprocess.run([BINARY, "links", tmp_path], check=True, capture_output=True)
    command = [tmp_path / "mogdbsetup", "--type=SQLite", f"--dbname={apart.dirs[0] / 'mogul.db'}", "--yes"]
    writers = [Writer(apart, number, random.Random(chance.random())) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for _ in range(ROUNDS):
        setup = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 0.1))  # the random moment
        setup.kill()
        setup.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for writer in writers:
        writer.enough.set()
        writer.join()

    assert not [complaint for writer in writers for complaint in writer.settle()]
    assert sum(writer.acknowledged for writer in writers) > ROUNDS


def test_a_database_whose_making_was_cut_short_is_made_whole_by_the_next_try(tmp_path):
    print(f"MOGUL_SEED={SEED} MOGUL_KILL_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    subprocess.run([BINARY, "links", tmp_path], check=True, capture_output=True)
    whole = schema(made(tmp_path, "whole.db"))
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.db"
        setup = subprocess.Popen(
            [tmp_path / "mogdbsetup", "--type=SQLite", f"--dbname={path}", "--yes"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(chance.uniform(0, 0.1))  # the random moment
        setup.kill()
        setup.wait()

        assert schema(made(tmp_path, path.name)) == whole, (SEED, number)


def made(folder, name):
    """A database that `mogdbsetup` has made, or made whole."""
    command = [folder / "mogdbsetup", "--type=SQLite", f"--dbname={folder / name}", "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return folder / name


def schema(path):
    with sqlite3.connect(path) as database:
        tables = database.execute("select type, name, sql from sqlite_master order by type, name").fetchall()
        settings = "select field, value from server_settings where field like '%version%' order by field"
        return tables, database.execute(settings).fetchall()
