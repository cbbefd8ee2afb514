"""Which disk is which device: a directory that is not mounted, or holds another disk, is refused instead of filled, says why,
and is taken back when it is right again. A disk is mounted and unmounted by renaming its folder."""

import itertools
import subprocess

import pytest
from conftest import boto
from harness.cluster import Cluster
from harness.server import ACCESS_KEY, BINARY, SECRET_KEY, wait_until

_numbers = itertools.count(1)

#: The mark of a disk that is another cluster's dev1.
FOREIGN = "# another cluster's\n" + "ab" * 16 + ".1." + "cd" * 16 + "\n"


@pytest.fixture(scope="module")
def cluster(scratch, ports, databases):
    """One node with two devices, and no more than one copy of anything."""
    made = Cluster(
        scratch / "marks", ports, databases["postgres"], stores=1, trackers=1, gateways=1, settings={"classes": {"copies": 1}}
    ).start()
    yield made
    made.stop()


@pytest.fixture
def store(cluster):
    yield cluster.stores[0]
    cluster.wait_for_devices()


@pytest.fixture
def s3(cluster, names):
    """A client and a bucket."""
    client, bucket = boto(cluster.gateways[0]), names()
    client.create_bucket(Bucket=bucket)
    return client, bucket


def dev(store, number):
    return store.docroot / f"dev{number}"


def unmount(folder):
    """Leaves the bare mount point."""
    shelf = folder.with_name(f"shelf-{folder.name}-{next(_numbers)}")
    folder.rename(shelf)
    folder.mkdir()
    return shelf


def mount(shelf, folder):
    """Over whatever lies in the bare mount point, which is returned."""
    below = [path for path in folder.rglob("*") if path.is_file()]
    folder.rename(folder.with_name(f"bare-{folder.name}-{next(_numbers)}"))
    shelf.rename(folder)
    return below


def reason(cluster, process, number):
    devices = {device["devid"]: device for device in cluster.devices(process)}
    assert (devices[number]["observed"] == "unreachable") or "refused" not in devices[number]
    return devices[number].get("refused")


def wait_for_refusal(cluster, number, words):
    for process in [*cluster.trackers, *cluster.gateways]:
        wait_until(
            lambda: words in (reason(cluster, process, number) or ""),
            30,
            f"the refusal of dev{number} by {process.name}, now {cluster.devices(process)}",
        )


def put_some(s3, prefix, count=12):
    client, bucket = s3
    for number in range(count):
        client.put_object(Bucket=bucket, Key=f"{prefix}{number}", Body=b"some bytes")


def fids(paths):
    return [path for path in paths if path.suffix == ".fid"]


def test_a_disk_that_is_unmounted_while_it_is_used_gets_nothing_and_comes_back(cluster, store, s3):
    shelf = unmount(dev(store, 1))
    wait_for_refusal(cluster, 1, "is the disk mounted?")
    put_some(s3, "while-away-")

    assert list(dev(store, 1).iterdir()) == []
    assert cluster.trackers[0].events("device refused; docs/cluster.md says what to do")
    mount(shelf, dev(store, 1))
    cluster.wait_for_devices()


def test_a_node_that_is_started_before_the_mount_is_not_filled(cluster, store, s3):
    store.stop()
    shelf = unmount(dev(store, 1))
    store.start()
    wait_for_refusal(cluster, 1, "has no mark")
    put_some(s3, "before-the-mount-")
    with cluster.line() as line:
        told = line.must("get_devices").pairs
    assert "has no mark" in told["dev1_refused"] and "dev2_refused" not in told

    below = mount(shelf, dev(store, 1))
    assert fids(below) == []
    cluster.wait_for_devices()


def test_disks_that_were_swapped_are_each_refused_by_name_until_they_are_swapped_back(cluster, store, s3):
    put_some(s3, "before-the-swap-")
    one, two, between = dev(store, 1), dev(store, 2), store.docroot / "between"

    def swap():
        one.rename(between)
        two.rename(one)
        between.rename(two)

    before = {path: len(list(path.rglob("*.fid"))) for path in (one, two)}
    store.stop()
    swap()
    store.start()
    wait_for_refusal(cluster, 1, "the disk is dev2")
    wait_for_refusal(cluster, 2, "the disk is dev1")
    assert {path: len(list(path.rglob("*.fid"))) for path in (two, one)} == dict(zip((two, one), before.values()))

    swap()
    cluster.wait_for_devices()
    client, bucket = s3
    assert client.get_object(Bucket=bucket, Key="before-the-swap-0")["Body"].read() == b"some bytes"


def test_a_disk_of_another_cluster_is_refused(cluster, store):
    shelf = unmount(dev(store, 1))
    (dev(store, 1) / "mogul-device").write_text(FOREIGN)
    (dev(store, 1) / "tmp" / ("cd" * 16)).mkdir(parents=True)
    wait_for_refusal(cluster, 1, "belongs to another cluster")

    assert fids(mount(shelf, dev(store, 1))) == []


def test_a_replaced_disk_is_taken_when_its_files_were_given_up_and_the_operator_says_so(cluster, store, s3):
    put_some(s3, "lost-")
    host = store.host
    store.stop()
    unmount(dev(store, 1))
    store.start()
    wait_for_refusal(cluster, 1, "has no mark")

    renew(cluster, 1)
    wait_for_refusal(cluster, 1, "is empty, but the device has files on record")

    with cluster.line() as line:
        line.must("set_state", host=host, device=1, state="dead")
        wait_until(
            lambda: cluster.database.count("select count(*) from file_on where devid = 1") == 0, 90, "the end of its copies"
        )
        renew(cluster, 1)
        for state in ("down", "alive"):
            line.must("set_state", host=host, device=1, state=state)
    cluster.wait_for_devices()
    assert (dev(store, 1) / "mogul-device").is_file()


def renew(cluster, number):
    keys = {"MOGUL_ROOT_ACCESS_KEY": ACCESS_KEY, "MOGUL_ROOT_SECRET_KEY": SECRET_KEY}
    command = [BINARY, "admin", "renew", str(number), "--endpoint", cluster.trackers[0].admin]
    done = subprocess.run(
        [str(part) for part in command], env={**cluster.environment, **keys}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_server_goes_on_without_a_disk_that_is_not_mounted_and_takes_it_back(new_server, ports):
    server = new_server(devices=2)
    s3 = boto(server)
    s3.create_bucket(Bucket="bucket")
    for number in range(5):
        s3.put_object(Bucket="bucket", Key=f"{number}", Body=b"two copies")
    server.wait_for_rest()
    assert server.stop() == 0
    shelf = server.folder / "shelf"
    server.dirs[1].rename(shelf)

    server.start()
    assert s3.get_object(Bucket="bucket", Key="0")["Body"].read() == b"two copies"
    s3.put_object(Bucket="bucket", Key="later", Body=b"one copy")
    assert server.rows("select devid from device order by devid") == [(1,), (2,)]
    assert [path.name for path in server.dirs[1].rglob("*") if path.is_dir()] == []

    (server.dirs[1] / "mogul.lock").unlink()
    server.dirs[1].rmdir()
    shelf.rename(server.dirs[1])
    wait_until(lambda: len(server.fid_files()) == 12, 60, "the second copy of what was stored meanwhile")
    server.assert_nothing_left_over()


def test_a_server_does_not_start_on_a_disk_of_another_cluster(new_server):
    server = new_server(devices=1)
    assert server.stop() == 0
    (server.dirs[0] / "dev1" / "mogul-device").write_text(FOREIGN)

    server.start(wait=False)

    assert server.process.wait(30) == 2
    assert "dev1 belongs to another cluster" in server.log.read_text()
