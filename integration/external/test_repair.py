"""Fsck, rebalance and dead devices by the line protocol, on files that are spoilt on disk."""

import pathlib

import pytest
from harness.server import Server, wait_until
from harness.tracker import LineClient


@pytest.fixture
def cluster(scratch, ports, request):
    """Three devices for one test: it spoils them."""
    running = Server(scratch / request.node.name, ports, devices=3).start()
    yield running
    running.kill()


@pytest.fixture
def tracker(cluster):
    with LineClient(cluster.tracker_port) as client:
        client.must("create_domain", domain="files")
        client.must("create_class", domain="files", class_="two", mindevcount=2, replpolicy="MultipleDevices()")
        yield client


@pytest.fixture
def fids(tracker, cluster):
    """Six files with two copies each, by key."""
    fids = {f"k{number}": tracker.store("files", f"k{number}", b"bytes" * number, class_="two") for number in range(6)}
    wait_until(lambda: len(copies(cluster, fids)) == 12, 60, "two copies of each")
    cluster.wait_for_rest()
    return fids


def copies(cluster, fids):
    return {at: path for at, path in cluster.fid_files().items() if at[1] in fids.values()}


def fsck(tracker):
    """Runs a whole check; answers with what it logged: (code, fid, devid or None)."""
    before = int(tracker.must("fsck_status")["max_logid"])
    tracker.must("fsck_reset")
    tracker.must("fsck_start")
    wait_until(lambda: tracker.must("fsck_status")["running"] == "0", 60, "the end of fsck")
    wait_until(lambda: tracker.must("fsck_status")["stop_time"] != "0", 60, "the end of fsck")
    log = tracker.must("fsck_getlog", after_logid=before).pairs
    rows = range(1, int(log["row_count"]) + 1)
    return [(log[f"row_{n}_evcode"], int(log[f"row_{n}_fid"]), log.get(f"row_{n}_devid")) for n in rows]


def logged(tracker, expected):
    """Whether the log has these lines, in any order between files."""
    log = tracker.must("fsck_getlog").pairs
    rows = range(1, int(log["row_count"]) + 1)
    found = [(log[f"row_{n}_evcode"], int(log[f"row_{n}_fid"]), log.get(f"row_{n}_devid")) for n in rows]
    return sorted(found, key=str) == sorted(expected, key=str)


def test_fsck_finds_what_was_spoilt_and_everything_is_whole_again(tracker, cluster, fids):
    files = copies(cluster, fids)
    on = {key: sorted(device for device, fid in files if fid == fids[key]) for key in fids}
    gone = (on["k1"][0], fids["k1"])
    long = (on["k2"][1], fids["k2"])
    files[gone].unlink()
    with open(files[long], "ab") as file:
        file.write(b"more")
    stray_device = next(device for device in (1, 2, 3) if device not in on["k3"])
    one = files[on["k3"][0], fids["k3"]]
    stray = pathlib.Path(str(one).replace(f"dev{on['k3'][0]}", f"dev{stray_device}"))
    stray = cluster.dirs[stray_device - 1] / stray.relative_to(cluster.dirs[on["k3"][0] - 1])
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"garbage")

    fsck(tracker)

    expected = [
        ("MISS", fids["k1"], str(gone[0])),
        ("REPL", fids["k1"], None),
        ("BLEN", fids["k2"], str(long[0])),
        ("REPL", fids["k2"], None),
        ("ORPH", fids["k3"], str(stray_device)),
    ]
    wait_until(lambda: logged(tracker, expected), 30, f"the log {expected}")
    status = tracker.must("fsck_status").pairs
    assert {status[f"num_{code}"] for code in ("MISS", "BLEN", "ORPH")} == {"1"}
    assert status["num_REPL"] == "2"
    wait_until(lambda: len(copies(cluster, fids)) == 12 and not stray.exists(), 60, "the repair")
    cluster.wait_for_rest()
    for number, key in enumerate(fids):
        assert tracker.fetch("files", key) == b"bytes" * number
    bodies = {path.read_bytes() for (_, fid), path in copies(cluster, fids).items() if fid == fids["k2"]}
    assert bodies == {b"bytes" * 2}
    tracker.must("fsck_clearlog")
    assert fsck(tracker) == []


def test_a_dead_device_is_emptied_and_its_files_are_copied_elsewhere(tracker, cluster, fids):
    tracker.must("set_state", host="localhost", device=1, state="dead")

    def on_record():
        return cluster.rows("select fid, devid from file_on where fid in (select fid from file)")

    wait_until(lambda: all(device != 1 for _, device in on_record()), 60, "the reaper")
    wait_until(lambda: len(on_record()) == 12, 60, "two copies of each")
    for number, key in enumerate(fids):
        assert tracker.fetch("files", key) == b"bytes" * number


def test_a_rebalance_moves_what_the_policy_names_and_gives_the_device_back(tracker, cluster, fids):
    policy = "from_devices=1 to_devices=2,3"
    tracker.must("rebalance_set_policy", policy=policy)
    assert tracker.must("rebalance_test").pairs == {"sdevs": "1", "ddevs": "2,3"}

    state = tracker.must("rebalance_start")["state"]

    assert "source_devs=1 " in state and "time_finished=0" in state
    wait_until(lambda: "time_finished=0" not in tracker.must("rebalance_status")["state"], 60, "the end")
    wait_until(lambda: all(device != 1 for device, _ in copies(cluster, fids)), 60, "an empty device")
    assert "completed_devs=,1 " in tracker.must("rebalance_status")["state"]
    assert len(copies(cluster, fids)) == 12
    assert cluster.rows("select status from device where devid = 1") == [("alive",)]
    for number, key in enumerate(fids):
        assert tracker.fetch("files", key) == b"bytes" * number


def test_a_device_is_drained_by_one_command_that_ends_when_it_is_empty(tracker, cluster, fids):
    def admin(*words):
        return cluster.cli("admin", "--trackers", f"127.0.0.1:{cluster.tracker_port}", *words).stdout

    told = admin("device", "drain", "localhost", "dev1", "--wait")

    assert told.startswith("localhost dev1: empty, ") and told == admin("device", "drains")
    assert len(copies(cluster, fids)) == 12
    assert all(device != 1 for device, _ in copies(cluster, fids))
    assert cluster.rows("select status from device where devid = 1") == [("drain",)]
    for number, key in enumerate(fids):
        assert tracker.fetch("files", key) == b"bytes" * number

    assert admin("device", "drain", "localhost", "1", "--cancel") == ""
    assert admin("device", "drains") == ""
    assert cluster.rows("select status from device where devid = 1") == [("alive",)]


def test_a_rebalance_that_evens_out_has_nothing_to_do_where_all_is_even(tracker, cluster, fids):
    before = copies(cluster, fids)

    cluster.cli("admin", "--trackers", f"127.0.0.1:{cluster.tracker_port}", "rebalance", "auto", "--within", "2")

    wait_until(lambda: "time_finished=0" not in tracker.must("rebalance_status")["state"], 60, "the end")
    assert "fids_queued=0 " in tracker.must("rebalance_status")["state"]
    assert copies(cluster, fids) == before
    assert tracker.must("server_setting", key="rebal_policy")["value"] == "auto within=2"
