"""The roles as processes of their own, from one file and over one database: what one of them changes the others see, at once
or within the bounds of docs/cluster.md."""

import re
import subprocess
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError
from conftest import boto
from harness.cluster import Cluster
from harness.server import BINARY, wait_until
from harness.tracker import put

#: The bounds of docs/cluster.md in seconds, and what a busy machine may add.
KEY_BOUND, CLUSTER_BOUND, BUSY = 1, 3, 3


@pytest.fixture(scope="module", params=["mysql", "postgres"])
def cluster(request, scratch, ports, databases):
    folder = scratch / f"gateways-{request.param}"
    made = Cluster(folder, ports, databases[request.param], stores=2, devices=1).start()
    yield made
    made.stop()


@pytest.fixture
def gateways(cluster):
    """A client of each gateway."""
    return [boto(gateway) for gateway in cluster.gateways]


def code(call, **arguments):
    """The error code of a call; None of one that succeeds."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def keys(s3, bucket):
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_what_one_gateway_stores_overwrites_or_deletes_the_other_reads_and_lists_at_once(gateways, names):
    bucket = names()
    gateways[0].create_bucket(Bucket=bucket)
    for number in range(40):
        here, there = gateways[number % 2], gateways[1 - number % 2]
        body = f"{number}".encode() * 100

        here.put_object(Bucket=bucket, Key="k", Body=body)
        assert there.get_object(Bucket=bucket, Key="k")["Body"].read() == body
        assert keys(there, bucket) == ["k"]

        if number % 4 == 3:
            there.delete_object(Bucket=bucket, Key="k")
            assert code(here.head_object, Bucket=bucket, Key="k") == "404"
            assert keys(here, bucket) == []


def test_buckets_and_classes_made_by_one_process_are_known_to_all_at_once(cluster, gateways, names):
    bucket = names()
    with cluster.line(0) as first, cluster.line(1) as second:
        for number in range(10):
            gateways[0].create_bucket(Bucket=f"{bucket}-{number}")
            gateways[1].put_object(Bucket=f"{bucket}-{number}", Key="k", Body=b"x")
            first.must("create_class", domain=f"{bucket}-{number}", class_="thin", mindevcount=1)
            gateways[1].put_object(Bucket=f"{bucket}-{number}", Key="t", Body=b"x", StorageClass="thin")
            assert second.must("file_info", domain=f"{bucket}-{number}", key="t")["class"] == "thin"
        first.must("create_domain", domain=f"{bucket}-d")
    assert gateways[1].list_objects_v2(Bucket=f"{bucket}-d")["KeyCount"] == 0


def test_a_class_made_at_one_tracker_is_known_to_the_other_at_once(cluster, names):
    domain = names()
    with cluster.line(0) as here, cluster.line(1) as there:
        here.must("create_domain", domain=domain)
        there.must("create_open", domain=domain, key="k")
        here.must("create_class", domain=domain, class_="fresh", mindevcount=1)

        opened = there.must("create_open", domain=domain, key="k", class_="fresh")

        assert put(opened["path"], b"bytes") in (200, 201, 204)
        close = {"fid": opened["fid"], "devid": opened["devid"], "path": opened["path"]}
        there.must("create_close", domain=domain, key="k", size=5, **close)
        here.must("create_class", domain=domain, class_="fresher", mindevcount=1)
        there.must("updateclass", domain=domain, key="k", class_="fresher")
        assert there.ask("create_open", domain=domain, key="k", class_="nosuch").code == "unreg_class"


def test_nothing_is_stored_in_a_bucket_that_another_gateway_has_removed(gateways, names):
    bucket = names()
    gateways[0].create_bucket(Bucket=bucket)
    gateways[1].put_object(Bucket=bucket, Key="k", Body=b"x")
    gateways[1].delete_object(Bucket=bucket, Key="k")
    gateways[0].delete_bucket(Bucket=bucket)

    assert code(gateways[1].put_object, Bucket=bucket, Key="k", Body=b"x") == "NoSuchBucket"
    removed = time.monotonic()
    wait_until(lambda: code(gateways[1].head_bucket, Bucket=bucket) == "404", KEY_BOUND + BUSY, "the end of the bucket")
    assert time.monotonic() - removed < KEY_BOUND + BUSY


def test_a_removed_key_is_refused_by_every_gateway_within_the_bound(cluster, names):
    tracker = cluster.trackers[0]
    made = cluster.rest(tracker, "POST", "/admin/v1/users", {"name": names()})
    access_key, secret_key = made["access_key"], made["secret_key"]
    clients = [boto(gateway, access_key, secret_key) for gateway in cluster.gateways]
    for client in clients:
        assert code(client.list_buckets) is None

    cluster.rest(tracker, "DELETE", f"/admin/v1/keys/{access_key}")

    for client in clients:
        wait_until(
            lambda: code(client.list_buckets) == "InvalidAccessKeyId", KEY_BOUND + BUSY, "the refusal of a removed key"
        )


def state(process, device):
    """What the process holds of a device in memory: the state it was set to."""
    with urllib.request.urlopen(f"{process.admin}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    line = next(line for line in text.splitlines() if re.match(rf'mogul_device_state.*devid="{device}"', line))
    return re.search(r'status="(\w+)"', line)[1]


def test_a_device_that_is_set_down_takes_nothing_from_any_gateway_also_while_a_node_hangs(cluster, gateways, names):
    bucket, down = names(), cluster.stores[1].devices[0]
    gateways[0].create_bucket(Bucket=bucket)
    with cluster.line(0) as line:
        line.must("create_class", domain=bucket, class_="thin", mindevcount=1)
        cluster.stores[1].signal(19)
        try:
            line.must("set_state", host=cluster.stores[1].host, device=down, state="down")
            for process in [*cluster.gateways, *cluster.trackers]:
                wait_until(lambda: state(process, down) == "down", CLUSTER_BOUND + BUSY, f"the state, known to {process.name}")
            for number in range(10):
                gateways[1].put_object(Bucket=bucket, Key=f"{number}", Body=b"x", StorageClass="thin")
        finally:
            cluster.stores[1].signal(18)
        line.must("set_state", host=cluster.stores[1].host, device=down, state="alive")
    cluster.wait_for_devices()


@pytest.mark.parametrize("engine", ["mysql", "postgres"])
def test_root_has_the_key_that_the_first_tracker_made_on_all_gateways(scratch, ports, databases, engine):
    made = Cluster(
        scratch / f"rootless-{engine}", ports, databases[engine], stores=1, devices=1, settings={"root": None}
    )
    gateway, tracker, second = made.gateways[0], *made.trackers
    try:
        refused = subprocess.run(
            [str(part) for part in gateway.command], capture_output=True, text=True, timeout=60, env=made.environment
        )
        assert refused.returncode == 2
        assert "root has no key: start mogul tracker" in refused.stderr

        tracker.start()
        second.start()
        printed = re.findall(r"export AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY)=(\S+)", tracker.log.read_text())
        assert len(printed) == 2
        assert "export AWS_" not in second.log.read_text()

        gateway.start()
        assert code(boto(gateway, *printed).create_bucket, Bucket="first") is None
        assert code(boto(gateway).list_buckets) == "InvalidAccessKeyId"
        made.keys = printed
        assert made.devices(second) == []
    finally:
        made.stop()


def test_a_gateway_without_a_database_is_refused_in_a_line(ports):
    command = [BINARY, "s3", "--s3", f"127.0.0.1:{ports.take()}", "--s3-admin", f"127.0.0.1:{ports.take()}"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "db.url" in refused.stderr and refused.stderr.count("\n") == 1
