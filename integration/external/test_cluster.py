"""Disks and machines die while clients work, and come back: a cluster of three nodes, two trackers and two gateways over
PostgreSQL and MariaDB keeps itself whole.

Clients of S3 and of MogileFS work all the time and keep a ledger of what was acknowledged (harness/ledger.py). A fault is
struck, the clients must get on under it, it is healed. Nothing may reach a client but what boto3 in its standard mode, or a
client of MogileFS with several trackers and paths, hides; never a wrong byte. At the end everything is brought to rest:
every object reads back exactly through every door, every fid has its copies on two hosts, nothing else is on the disks, the
queues are empty.

`MOGUL_CLUSTER_ROUNDS` says how often each fault is struck, `MOGUL_SEED` repeats a run's choices. A full disk is a small tmpfs
that is filled up; mounting it takes root or sudo. A directory that takes no writes has a file in the place of the folder of
unfinished files: root may write where modes forbid it.
"""

import contextlib
import os
import random
import signal
import subprocess

import pytest
from harness.cluster import Cluster
from harness.ledger import ABSENT, LineWorker, S3Worker, client, digest, fetched, node
from harness.server import wait_until

ROUNDS = int(os.environ.get("MOGUL_CLUSTER_ROUNDS", "1"))
SEED = int(os.environ.get("MOGUL_SEED", random.SystemRandom().randrange(2**32)))
#: What each client must get done under a fault, and after it.
STEPS = 4
#: The device on a small file system of its own, and its size.
SMALL, SMALL_MIB = 6, 32
#: A client's request to a node that hangs takes up to twice the half minute that nodes are given.
UNDER_A_FAULT_SECONDS = 150


@pytest.fixture(params=["mysql", "postgres"])
def cluster(request, scratch, ports, databases):
    folder = scratch / f"cluster-{request.param}"
    made = Cluster(folder, ports, databases[request.param], settings={"storage": {"min_free": "1MiB"}})
    with small_disk(made.stores[2].docroot / f"dev{SMALL}"):
        made.start()
        yield made
        made.stop()


@contextlib.contextmanager
def small_disk(folder):
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    owner = f"uid={os.getuid()},gid={os.getgid()}"
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m,{owner}", "tmpfs", folder]
    subprocess.run([*as_root, *mount], check=True, timeout=30)
    try:
        yield
    finally:
        subprocess.run([*as_root, "umount", "-l", folder], check=True, timeout=30)


class Trial:
    """A cluster, its clients, and what is done to it."""

    def __init__(self, cluster):
        self.cluster, self.chance = cluster, random.Random(SEED)
        self.s3 = [client(gateway, cluster.keys) for gateway in cluster.gateways]
        self.s3[0].create_bucket(Bucket=S3Worker.bucket)
        with cluster.line() as line:
            line.must("create_domain", domain=LineWorker.domain)
        ports = [tracker.port for tracker in cluster.trackers]
        self.workers = [S3Worker(f"s{n}", SEED, cluster.gateways[n % 2], cluster.keys) for n in range(3)]
        self.workers += [LineWorker(f"m{n}", SEED, ports[n:] + ports[:n]) for n in range(2)]

    def complaints(self):
        return [f"{worker.name}: {complaint}" for worker in self.workers for complaint in worker.complaints]

    def get_on(self, what):
        """Waits until each client has got on."""
        goals = {worker: worker.done + STEPS for worker in self.workers}

        def reached():
            assert not self.complaints(), (SEED, what, self.complaints())
            return all(worker.done >= goal for worker, goal in goals.items())

        wait_until(reached, UNDER_A_FAULT_SECONDS, f"progress of all clients: {what}, seed {SEED}")

    def strike(self, fault):
        with fault(self):
            self.get_on(f"during {fault.__name__}")
        self.cluster.wait_for_devices()
        self.wait_for_copies()
        self.get_on(f"after {fault.__name__}")

    def wait_for_copies(self):
        """What was stored with fewer copies has all of them before the next fault takes away the rest."""
        database = self.cluster.database
        few = [fid for (fid,) in database.rows("select fid from file where devcount < 2")]

        def made():
            self.cluster.age()
            return not few or not database.count(
                f"select count(*) from file where devcount < 2 and fid in ({','.join(few)})"
            )

        wait_until(made, 90, f"the second copies of {few}, seed {SEED}")

    def settle(self):
        """The clients stop where they are."""
        for worker in self.workers:
            worker.stopping.set()
        for worker in self.workers:
            worker.join(UNDER_A_FAULT_SECONDS)
            assert not worker.is_alive(), f"{worker.name} hangs, seed {SEED}"
        assert not self.complaints(), (SEED, self.complaints())


@contextlib.contextmanager
def a_node_is_killed(trial):
    node = trial.chance.choice(trial.cluster.stores)
    node.kill()
    yield
    node.start()


@contextlib.contextmanager
def a_node_hangs(trial):
    node = trial.chance.choice(trial.cluster.stores)
    node.signal(signal.SIGSTOP)
    yield
    node.signal(signal.SIGCONT)


@contextlib.contextmanager
def a_disk_fills_up(trial):
    filler = trial.cluster.stores[2].docroot / f"dev{SMALL}" / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 << 10))
    yield
    filler.unlink()


@contextlib.contextmanager
def a_directory_takes_no_writes(trial):
    device = some_device(trial)
    [unfinished] = [path for path in (device / "tmp").iterdir() if path.is_dir()]
    away = device / "unfinished-away"
    unfinished.rename(away)
    unfinished.write_text("no folder")
    yield
    unfinished.unlink()
    away.rename(unfinished)


@contextlib.contextmanager
def a_directory_is_pulled_away(trial):
    device = some_device(trial)
    shelf = device.with_name(f"shelf-{device.name}")
    device.rename(shelf)
    device.mkdir()
    yield
    assert list(device.iterdir()) == [], "the bare directory was filled"
    device.rmdir()
    shelf.rename(device)


@contextlib.contextmanager
def files_are_lost_and_rot(trial):
    """On one device only: there is no help if all copies are spoilt. An operator's fsck mends them."""
    device = some_device(trial)
    files = {at: path for at, path in trial.cluster.fid_files().items() if device in path.parents}
    spoilt = {}
    for number, at in enumerate(trial.chance.sample(sorted(files), min(len(files), 12))):
        with contextlib.suppress(FileNotFoundError):
            spoilt[at] = digest(files[at].read_bytes())
            if number % 2:
                files[at].unlink()
            else:
                spoil(files[at], trial.chance)
    yield
    check_all_files(trial)

    def mended():
        trial.cluster.age()
        on_record, on_disk = trial.cluster.copies(), trial.cluster.fid_files()
        return all(at not in on_record or digest(bytes_of(on_disk.get(at))) == spoilt[at] for at in spoilt)

    wait_until(mended, 90, f"the mending of {sorted(spoilt)}, seed {SEED}")


def bytes_of(path):
    """What a file holds, if it is there and does not go while it is looked at."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes() if path else b"gone"
    return b"gone"


def spoil(path, chance):
    size = path.stat().st_size
    if size:
        with open(path, "r+b") as file:
            file.seek(chance.randrange(size))
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))


@contextlib.contextmanager
def a_tracker_is_killed(trial):
    tracker = trial.chance.choice(trial.cluster.trackers)
    tracker.kill()
    yield
    tracker.start()


@contextlib.contextmanager
def both_trackers_are_killed_one_after_the_other(trial):
    for tracker in trial.cluster.trackers:
        tracker.kill()
        trial.get_on("while one tracker is away")
        tracker.start()
    yield


FAULTS = [
    a_node_is_killed,
    a_node_hangs,
    a_disk_fills_up,
    a_directory_takes_no_writes,
    a_directory_is_pulled_away,
    files_are_lost_and_rot,
    a_tracker_is_killed,
    both_trackers_are_killed_one_after_the_other,
]


def some_device(trial):
    """The folder of a device that is not a file system of its own."""
    store = trial.chance.choice(trial.cluster.stores)
    return store.docroot / f"dev{trial.chance.choice([number for number in store.devices if number != SMALL])}"


def check_all_files(trial):
    """An operator's fsck that reads everything."""
    with trial.cluster.line() as line:
        line.must("set_server_setting", key="fsck_checksum", value="MD5")
        line.must("fsck_reset")
        line.must("fsck_start")
        wait_until(lambda: line.must("fsck_status")["running"] == "0", 120, "the end of fsck")


def rest(cluster):
    """Waits until no job has work left, and disks and rows agree."""

    def idle():
        cluster.age()
        return not cluster.queues()

    wait_until(idle, 90, lambda: f"empty queues, now {cluster.work()}, seed {SEED}")

    def differences():
        disk, rows = set(cluster.fid_files()), cluster.copies()
        return {"on disk only": sorted(disk - rows), "on record only": sorted(rows - disk)}

    agree = lambda: f"agreement of disks and rows: {differences()}, seed {SEED}"
    wait_until(lambda: not any(differences().values()), 60, agree)


def whole(trial):
    """What must be true at rest."""
    cluster = trial.cluster
    too_few = cluster.database.rows(
        "select f.fid, f.devcount, count(o.devid), count(distinct d.hostid) from file f left join file_on o on o.fid = f.fid"
        " left join device d on d.devid = o.devid group by f.fid, f.devcount"
        " having f.devcount <> 2 or count(o.devid) <> 2 or count(distinct d.hostid) <> 2"
    )
    assert too_few == [], f"fid, devcount, copies, hosts; seed {SEED}"
    nowhere = cluster.database.rows("select distinct fid from file_on where fid not in (select fid from file)")
    assert nowhere == [], f"copies of no file, seed {SEED}"
    for worker in trial.workers:
        for key, state in worker.known.items():
            bucket = getattr(worker, "bucket", None) or worker.domain
            for line in range(len(cluster.trackers)):
                with cluster.line(line) as tracker:
                    paths = tracker.ask("get_paths", domain=bucket, key=key)
                assert paths.ok == (state is not ABSENT), (key, paths.raw, SEED)
                for number in range(1, 1 + int(paths["paths"] if paths.ok else 0)):
                    status, body = node("GET", paths[f"path{number}"])
                    assert (status, digest(body)) == (200, state), (key, paths.raw, SEED)
            for s3 in trial.s3:
                listed = s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
                assert [entry["Key"] for entry in listed] == ([] if state is ABSENT else [key]), (key, SEED)
                if state is not ABSENT:
                    assert digest(fetched(s3, bucket, key)) == state, (key, SEED)


@pytest.mark.timeout(900)
def test_a_cluster_keeps_itself_whole_through_all_faults(cluster):
    trial = Trial(cluster)
    for worker in trial.workers:
        worker.start()
    trial.get_on("before any fault")
    for _ in range(ROUNDS):
        for fault in trial.chance.sample(FAULTS, len(FAULTS)):
            trial.strike(fault)
    trial.settle()

    cluster.restart()
    check_all_files(trial)
    rest(cluster)
    whole(trial)
