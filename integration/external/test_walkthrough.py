"""The steps of an operator of MogileFS, done with `mogul admin` over the tracker port: what mogadm shows is shown in substance.

The order is that of the recorded walkthrough: hosts, devices, domains, classes, check, files, settings, fsck, rebalance, states.
"""

import json
import re

import pytest
from harness.server import wait_until
from harness.store import StoreNode
from harness.tracker import LineClient


@pytest.fixture(scope="module")
def node3(scratch, ports):
    """A storage node of its own with two devices, as mogstored is."""
    running = StoreNode(scratch / "node3", ports, "127.0.0.3", devices=(3, 4)).start()
    yield running
    running.stop()


@pytest.fixture
def admin(cluster):
    return Admin(cluster)


class Admin:
    """`mogul admin` of a cluster."""

    def __init__(self, server):
        self.server = server
        self.trackers = f"127.0.0.1:{server.tracker_port}"

    def run(self, *words, check=True):
        return self.server.cli("admin", "--trackers", self.trackers, *words, check=check)

    def __call__(self, text):
        """Runs a command line that succeeds; what it prints."""
        return self.run(*text.split()).stdout

    def refused(self, text):
        """Runs a command line that fails; what it says."""
        done = self.run(*text.split(), check=False)
        assert done.returncode == 1, (text, done)
        assert done.stdout == ""
        return done.stderr

    def json(self, text):
        return json.loads(self.run("--json", *text.split()).stdout)


def fits(text, *lines):
    """Each line of a pattern is a line of the text, in this order."""
    at = 0
    for line in lines:
        found = re.compile(rf"^{line}$", re.M).search(text, at)
        assert found, f"{line!r} is not in what follows in:\n{text}"
        at = found.end()
    return True


GB = r" +\d+\.\d{3}"


def test_a_hosts_and_devices(admin):
    assert fits(admin("host list"), r"localhost \[1\]: alive", r"  IP:       127\.0\.0\.1:\d+", "")
    assert "host_exists That host already exists" in admin.refused("host add localhost --ip=127.0.0.1")
    assert fits(
        admin("device list"),
        r"localhost \[1\]: alive",
        r" {20}used\(G\)    free\(G\)   total\(G\)  weight\(%\)",
        rf"   dev1:   alive{GB}{GB}{GB} +100",
        rf"   dev2:   alive{GB}{GB}{GB} +100",
    )
    assert "Error adding device: existing_devid existing_devid" in admin.refused("device add localhost 2")
    assert "Error adding device: unknown_host Host not found" in admin.refused("device add nosuchhost 3")
    assert fits(admin("device summary"), "Hostname +HostID +Status.*", rf"localhost +\[   1\]:  alive{GB}.*")
    assert admin("device next") == "3\n"


def test_b_domains_and_classes(admin):
    for domain in ("images", "files", "html"):
        assert admin(f"domain add {domain}") == ""
    assert "Error creating domain: domain_exists" in admin.refused("domain add html")
    assert admin("class add images class0 --mindevcount=2") == ""
    assert fits(
        admin("class list"),
        " domain +class +mindevcount +replpolicy +hashtype",
        r"[- ]+",
        r" files {16}default {19}\d {8}MultipleHosts\(\) (NONE|MD5)",
        r" images {15}class0 {20}2 {8}MultipleHosts\(\) NONE",
        r" images {15}default .*",
    )
    assert admin("class modify images class0 --hashtype=MD5") == ""
    images = next(domain for domain in admin.json("domain list") if domain["name"] == "images")
    class0 = next(each for each in images["classes"] if each["name"] == "class0")
    assert (class0["mindevcount"], class0["hashtype"]) == (2, "MD5")


def test_c_check(admin, cluster):
    text = admin("check")

    assert fits(
        text,
        r"Checking trackers\.\.\.",
        rf"  127\.0\.0\.1:{cluster.tracker_port} \.\.\. OK",
        r"Checking hosts\.\.\.",
        r"  \[ 1\] localhost \.\.\. OK",
        r"Checking devices\.\.\.",
        r"  host device         size\(G\)    used\(G\)    free\(G\)   use%   ob state   I/O%",
        r"  ---- -+ .*",
        rf"  \[ 1\] dev1 +\d+\.\d+{GB}{GB} +[\d.]+%  writeable +[\d.]*",
        rf"  \[ 1\] dev2 +\d+\.\d+{GB}{GB} +[\d.]+%  writeable +[\d.]*",
        rf" +total:{GB}{GB}{GB} +[\d.]+%",
    )


def test_d_a_tracker_that_is_not_there_is_reported_and_the_next_one_asked(admin, ports):
    nobody = f"127.0.0.1:{ports.take()}"
    both = f"{nobody},{admin.trackers}"
    checked = admin.server.cli("admin", "check", "--trackers", both).stdout
    assert re.search(rf"{re.escape(nobody)} \.\.\. REQUEST FAILURE", checked)
    assert "localhost ... OK" in checked
    assert "alive" in admin.server.cli("admin", "host", "list", "--trackers", both).stdout
    gone = admin.server.cli("admin", "host", "list", "--trackers", nobody, check=False)
    assert gone.returncode == 1 and "cannot connect to the tracker" in gone.stderr


def test_e_files_keep_domains_and_classes_from_being_deleted(admin, cluster):
    with LineClient(cluster.tracker_port) as tracker:
        for number in range(1, 6):
            tracker.store("images", f"{number}.png", bytes([number]) * 1000)
        tracker.store("images", "4.png", b"again", class_="class0")
    assert "domain_has_files Domain still has files, unable to delete" in admin.refused("domain delete images")
    assert "class_has_files" in admin.refused("class delete images class0")
    assert "nodel_default_class" in admin.refused("class delete images default")
    assert "Failure deleting host: host_not_empty" in admin.refused("host delete localhost")
    assert admin("domain delete html") == ""


def test_f_settings(admin):
    assert admin("settings set queue_rate_for_fsck 500") == ""
    assert "invalid_format Must be numeric" in admin.refused("settings set memcache_ttl abc")
    assert "not_writable not_writable" in admin.refused("settings set nosuch 1")
    assert admin("settings set skip_devcount on") == ""
    assert admin("settings set skip_devcount 0") == ""
    assert fits(
        admin("settings list"),
        " {6}queue_rate_for_fsck = 500",
        " {11}schema_version = 17",
        " {12}skip_devcount = 0",
    )


def test_g_fsck_finds_a_lost_and_a_lengthened_copy_and_mends_both(admin, cluster):
    cluster.wait_for_rest()
    first, second = cluster.rows("select fid from file where dkey in ('1.png', '2.png') order by fid")
    files = cluster.fid_files()
    files[2, first[0]].unlink()
    with open(files[1, second[0]], "ab") as file:
        file.write(b"x")
    assert fits(admin("fsck status"), "    Running: No", r"     Status: 0 / 0 \(0\.00%\)")

    assert admin("fsck reset") == ""
    assert admin("fsck start") == ""
    wait_until(lambda: "Running: No" in admin("fsck status"), 60, "the end of fsck")

    assert fits(
        admin("fsck status"),
        "    Running: No",
        r"     Status: \d+ / \d+ \(100\.00%\)",
        r"       Time: \d+s \(\d+ fids/s; 0s remain\)",
        r" Check Type: Normal \(check policy \+ files\)",
        r" \[num_BLEN\]: 1",
        r" \[num_MISS\]: 1",
    )
    log = admin("fsck printlog")
    assert fits(log, "unixtime             event           fid      devid")
    assert re.search(rf"^\d+ +MISS +{first[0]} +2$", log, re.M)
    assert re.search(rf"^\d+ +BLEN +{second[0]} +1$", log, re.M)
    wait_until(lambda: (2, first[0]) in cluster.fid_files(), 60, "the lost copy")
    assert admin("fsck reset --policy-only --startpos=4") == ""
    assert "Repl policy only (skip file checks)" in admin("fsck status")
    for command in ("clearlog", "reset", "stop"):
        assert admin(f"fsck {command}") == ""
    assert admin("fsck printlog").count("\n") == 1


def test_h_a_node_is_added_and_files_are_moved_to_it(admin, cluster, node3):
    assert admin(f"host add node3 --ip=127.0.0.3 --port={node3.port}") == ""
    assert fits(admin("host list"), r"node3 \[2\]: down", rf"  IP:       127\.0\.0\.3:{node3.port}")
    assert admin("device add node3 3") == ""
    assert admin("device add node3 dev4 --status=down") == ""
    assert admin("host mark node3 alive") == ""
    assert admin("device mark node3 4 alive") == ""
    assert fits(admin("device list"), r"node3 \[2\]: alive", r"   dev3:   alive.*", r"   dev4:   alive.*")
    wait_until(lambda: admin("check").count("writeable") == 4, 30, "four writeable devices")

    assert "no_rebal_state" in admin.refused("rebalance status")
    assert "no_rebal_policy" in admin.refused("rebalance start")
    bogus = admin.run("rebalance", "policy", "--options=bogus=1", check=False)
    assert "bad_rebal_pol Invalid setting bogus" in bogus.stderr
    policy = "from_devices=1 to_devices=3 limit_type=device limit_by=count limit=2"
    assert admin.run("rebalance", "policy", f"--options={policy}").stdout == ""
    assert admin("rebalance settings") == f"             rebal_policy = {policy}\n"
    assert fits(admin("rebalance test"), "Source devices:", " - 1", "Destination devices:", " - 3")
    assert admin("rebalance start") == ""
    wait_until(lambda: "Rebalance is stopped" in admin("rebalance status"), 60, "the end of rebalance")
    assert re.search(r"^ +fids_queued = 2$", admin("rebalance status"), re.M)
    wait_until(lambda: node3.fid_count(3) == 2, 60, "two files on dev3")
    assert "rebal_not_started Rebalance not running" in admin.refused("rebalance stop")
    assert admin("rebalance reset") == ""
    assert "no_rebal_state" in admin.refused("rebalance status")


def test_i_states(admin, cluster):
    assert admin("device mark localhost 2 readonly") == ""
    assert "Error updating device: bad_params" in admin.refused("device mark localhost 2 bogus")
    assert "Error updating device: host_mismatch" in admin.refused("device mark node3 2 alive")
    assert "Error updating device: no_device" in admin.refused("device mark node3 99 alive")
    assert admin("device modify localhost 2 --weight=50") == ""
    assert admin("device mark localhost 2 dead") == ""
    refused = admin.refused("device mark localhost 2 alive")
    assert "state_too_high Status cannot go from dead to alive; must use down" in refused
    assert "dev2" not in admin("device list")
    assert re.search(r"dev2: +dead.* 50$", admin("device list --all"), re.M)

    def nothing_left():
        return not cluster.rows("select 1 from file_on where devid = 2")

    wait_until(nothing_left, 90, "the dead device's rows to be gone")

    def all_copied():
        return not cluster.rows("select 1 from file where devcount < 2")

    wait_until(all_copied, 90, "two copies of every file elsewhere")
    assert admin("host mark node3 readonly") == ""
    assert fits(admin("host list"), r"node3 \[2\]: readonly")


def test_j_stats(admin):
    text = admin("stats")

    assert fits(text, admin.trackers, r"  uptime \d+")
    assert re.search(r"^  replicate desired \d+$", text, re.M)


@pytest.mark.parametrize("op", ["get_paths", "create", "list_keys", "file_info"])
def test_k_a_benchmark_counts_and_leaves_nothing(admin, cluster, op):
    words = ["--tracker", admin.trackers, "--domain", f"bench-{op}", "--op", op, "--objects", "20"]

    done = cluster.cli("bench", "tracker", *words, "--concurrency", 2, "--duration", "500ms", "--json")

    report = json.loads(done.stdout)
    assert report["operations"] > 0
    assert (report["op"], report["errors"]) == (op, {})
    assert f"bench-{op}" not in admin("domain list")
