"""The scrub finds what was spoilt on disk, without anybody reading it, and everything is whole again."""

import json

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


def store(tracker, cluster, keys, class_="two", copies=2):
    """Files that are digested and have all their copies, by key."""
    fids = {key: tracker.store("files", key, body(key), class_=class_) for key in keys}
    wait_until(lambda: len(copies_of(cluster, fids)) == copies * len(fids), 60, f"{copies} copies of each")
    cluster.wait_for_rest()
    wait_until(lambda: digested(cluster, fids), 60, "the digests")
    return fids


def body(key):
    return f"the bytes of {key}".encode() * 100


def digested(cluster, fids):
    known = {fid for (fid,) in cluster.rows("select fid from mogul_object where crc64 is not null")}
    return known >= set(fids.values())


def copies_of(cluster, fids):
    return {at: path for at, path in cluster.fid_files().items() if at[1] in fids.values()}


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def scrub(cluster, *devices):
    """Has devices read now and waits for the end; answers with what was found, by device."""
    wanted = devices or range(1, len(cluster.dirs) + 1)
    before = {device: 0 for device in wanted}
    before |= {each["devid"]: each.get("last", {}).get("ended_ms", 0) for each in status(cluster)}
    cluster.cli("admin", "scrub", "now", *devices, "--endpoint", cluster.admin)

    def over():
        now = {each["devid"]: each.get("last", {}) for each in status(cluster)}
        return all(now.get(device, {}).get("ended_ms", 0) > before[device] for device in wanted) and now

    return wait_until(over, 60, "the end of the pass")


def status(cluster):
    return json.loads(cluster.cli("admin", "scrub", "status", "--json", "--endpoint", cluster.admin).stdout)


def test_what_was_spoilt_on_disk_is_found_without_a_reader_and_mended(tracker, cluster):
    fids = store(tracker, cluster, [f"k{number}" for number in range(8)])
    files = copies_of(cluster, fids)
    on = {key: sorted(device for device, fid in files if fid == fids[key]) for key in fids}
    wait_until(lambda: len(status(cluster)) == 3, 30, "the first look at the devices")
    scrub(cluster)
    flip(files[on["k0"][0], fids["k0"]])
    files[on["k1"][0], fids["k1"]].unlink()
    with open(files[on["k2"][1], fids["k2"]], "r+b") as file:
        file.truncate(7)
    stray = cluster.dirs[0] / "dev1" / "0" / "123" / "456" / "0123456789.fid"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"nobody knows me")

    # New copies would be found on the way.
    tracker.admin("!want 0 replicate")
    found = scrub(cluster)
    tracker.admin("!want 1 replicate")

    of = {what: sum(each[what] for each in found.values()) for what in ("rotten", "missing", "strays", "files")}
    assert of == {"rotten": 1, "missing": 2, "strays": 1, "files": 13}
    wait_until(lambda: len(copies_of(cluster, fids)) == 16, 60, "the repair")
    wait_until(lambda: not cluster.rows("select fid from file_to_replicate"), 60, "an empty queue")
    for (_, fid), path in copies_of(cluster, fids).items():
        key = next(key for key in fids if fids[key] == fid)
        assert path.read_bytes() == body(key), path
    # It goes when its age is safe: it is queued until then.
    assert cluster.rows("select fid from file_to_delete2") == [(123456789,)]
    assert cluster.rows("select evcode, devid from fsck_log where fid = 123456789") == [("ORPH", 1)]
    again = scrub(cluster)
    assert sum(each["files"] for each in again.values()) == 16
    assert all(each["rotten"] == each["missing"] == each["strays"] == 0 for each in again.values())


def test_a_copy_that_nobody_has_on_record_is_taken_up_again_where_it_is_the_only_one(tracker, cluster):
    tracker.must("create_class", domain="files", class_="one", mindevcount=1)
    fids = store(tracker, cluster, ["k"], "one", copies=1)
    ((device, fid), path) = next(iter(copies_of(cluster, fids).items()))
    elsewhere = cluster.folder / "elsewhere"
    path.rename(elsewhere)

    scrub(cluster)

    # All devices have said that they do not have it. It stays on record: a disk may come back.
    wait_until(lambda: cluster.rows("select evcode from fsck_log where fid = ? and evcode = 'GONE'", fid), 30, "GONE")
    assert cluster.rows("select devid from file_on where fid = ?", fid) == [(device,)]
    other = device % 3 + 1
    back = cluster.dirs[other - 1] / f"dev{other}" / path.relative_to(cluster.dirs[device - 1] / f"dev{device}")
    back.parent.mkdir(parents=True, exist_ok=True)
    elsewhere.rename(back)
    scrub(cluster)
    wait_until(lambda: cluster.rows("select devid from file_on where fid = ?", fid) == [(other,)], 30, "a copy")
    assert tracker.fetch("files", "k") == body("k")


def test_a_rotten_copy_stays_if_it_is_all_there_is(tracker, cluster):
    fids = store(tracker, cluster, ["k"])
    files = copies_of(cluster, fids)
    one, two = (files[at] for at in sorted(files))
    two.unlink()
    flip(one)
    rotten = one.read_bytes()

    found = scrub(cluster)

    assert sum(each["rotten"] for each in found.values()) == 1
    assert one.read_bytes() == rotten


def test_a_pass_goes_on_after_a_restart_and_is_shown_to_operators(tracker, cluster):
    store(tracker, cluster, ["a", "b"])
    wait_until(lambda: len(status(cluster)) == 3, 30, "the first look at the devices")
    scrub(cluster, 2)
    cluster.stop()
    cluster.start()

    assert {each["devid"] for each in status(cluster)} == {1, 2, 3}
    assert all(each["last"]["ended_ms"] > 0 for each in status(cluster) if each["devid"] == 2)
    table = cluster.cli("admin", "scrub", "status", "--endpoint", cluster.admin).stdout
    assert table.splitlines()[0].split()[:3] == ["DEVID", "POSITION", "FILES"]
    refused = cluster.cli("admin", "scrub", "now", 9, "--endpoint", cluster.admin, check=False)
    assert refused.returncode == 1 and "device" in refused.stderr


def test_a_scrub_that_is_switched_off_reads_nothing_until_somebody_asks(scratch, ports, request):
    server = Server(scratch / request.node.name, ports, devices=2).start()
    try:
        with LineClient(server.tracker_port) as tracker:
            tracker.must("set_server_setting", key="scrub_days", value=0)
            assert tracker.must("server_setting", key="scrub_days")["value"] == "0"
            assert not tracker.ask("set_server_setting", key="scrub_days", value="soon").ok
            found = scrub(server)
            assert set(found) == {1, 2}
            after = {each["devid"]: each["last"]["ended_ms"] for each in status(server)}
            tracker.must("set_server_setting", key="scrub_days", value=30)

        def read_again():
            now = {each["devid"]: each["last"]["ended_ms"] for each in status(server)}
            return all(now[device] > after[device] for device in after)

        wait_until(read_again, 30, "a pass of its own")
    finally:
        server.kill()
