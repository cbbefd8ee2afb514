"""Every command of the tracker port, with every refusal in the order in which the original tests them (mogilefs.md §4)."""

import re

import pytest
from harness.server import wait_until
from harness.tracker import LineClient, put

#: Command -> the refusals that a client can provoke, in the original's order. Left out is what needs a plugin,
#: of which there are none (`plugin_aborted`), a broken database (`db`, `failure`) or a race (`fid_exists`, a key without any copy).
COMMANDS = {
    "create_open": "no_domain unreg_domain unreg_class no_devices fid_in_use",
    "create_close": "no_domain unreg_domain no_fid no_devid no_path invalid_checksum_format bogus_args no_temp_file"
    " invalid_destdev size_verify_error size_mismatch checksum_mismatch",
    "updateclass": "no_domain unreg_domain no_key no_class class_not_found invalid_key",
    "delete": "no_domain unreg_domain no_key unknown_key",
    "rename": "no_domain unreg_domain no_key unknown_key key_exists",
    "edit_file": "no_domain unreg_domain no_key failure",
    "get_paths": "no_domain unreg_domain no_key unknown_key",
    "file_info": "no_domain unreg_domain no_key unknown_key",
    "file_debug": "no_domain unreg_domain no_key unknown_key",
    "list_keys": "no_domain unreg_domain after_mismatch none_match",
    "list_fids": "",
    "create_domain": "no_domain domain_exists",
    "delete_domain": "no_domain domain_not_found domain_has_files domain_has_classes",
    "get_domains": "",
    "create_class": "no_domain no_class invalid_mindevcount invalid_replpolicy invalid_hashtype domain_not_found"
    " class_exists",
    "update_class": "no_domain no_class invalid_mindevcount invalid_replpolicy invalid_hashtype domain_not_found"
    " class_not_found",
    "delete_class": "no_domain nodel_default_class domain_not_found class_not_found class_has_files",
    "create_host": "no_host host_exists no_ip no_port unknown_state dup",
    "update_host": "no_host host_not_found unknown_state dup",
    "delete_host": "unknown_host host_not_empty",
    "get_hosts": "",
    "create_device": "invalid_state invalid_devid unknown_hostid unknown_host bad_args existing_devid",
    "get_devices": "",
    "set_state": "bad_params no_device host_mismatch state_too_high",
    "set_weight": "bad_params no_device host_mismatch",
    "clear_cache": "",
    "do_monitor_round": "",
    "noop": "",
    "test": "failure",
    "sleep": "",
    "replicate_now": "",
    "set_server_setting": "bad_params not_writable invalid_format",
    "server_setting": "",
    "server_settings": "",
    "httpcopy": "failure copy_err",
    "fsck_start": "fsck_running rebal_running",
    "fsck_stop": "",
    "fsck_reset": "",
    "fsck_clearlog": "",
    "fsck_getlog": "",
    "fsck_status": "",
    "rebalance_set_policy": "bad_rebal_pol no_set_rebal",
    "rebalance_test": "no_rebal_policy",
    "rebalance_start": "no_rebal_policy rebal_running fsck_running",
    "rebalance_status": "no_rebal_state",
    "rebalance_stop": "rebal_not_started",
    "rebalance_reset": "rebal_running",
}

#: Lines and what they must be answered: a refusal's code, or OK and a pattern of the pairs. `{d}` is a fresh domain with the
#: file `here` (4 bytes, at `{url}` on device `{on}`) and the class `one`, `{h}` a fresh host, `{n}` the number of its device, `{ip}` a fresh address.
#: Each line breaks what the next one mends, so that the order of the tests shows.
LINES = """
create_open                                                                 no_domain
create_open key=k&class=nosuch                                              no_domain
create_open domain=&key=k                                                   no_domain
create_open domain=nosuch&key=k&class=nosuch                                unreg_domain
create_open domain={d}&key=k&class=nosuch                                   unreg_class
create_open domain={d}&key=k&class=default                                  unreg_class
create_open domain={d}&key=k&size=9000000000000000                          no_devices
create_open domain={d}&key=k&fid={fid}                                      fid_in_use
create_open domain={d}&key=k                                                OK devid=\\d+|fid=\\d+|path=http://\\S+\\.fid
create_open domain={d}&key=k&multi_dest=1                                   OK dev_count=\\d|devid_1=\\d+|path_1=http
create_open domain={d}&key=k&debug_profile=1                                OK profpoints=\\d+|prof_1_name=begin
create_open domain={d}                                                      OK fid=\\d+
create_close                                                                no_domain
create_close domain=nosuch                                                  unreg_domain
create_close domain={d}                                                     no_fid
create_close domain={d}&fid=1                                               no_devid
create_close domain={d}&fid=1&devid=1                                       no_path
create_close domain={d}&fid=1&devid=1&path=x&checksum=MD5:xyz               invalid_checksum_format
create_close domain={d}&fid=1&devid=1&path=x                                bogus_args
create_close domain={d}&fid={fid}&devid={on}&path={url}                     no_temp_file
updateclass key=here                                                        no_domain
updateclass domain=nosuch&key=here&class=one                                unreg_domain
updateclass domain={d}&class=one                                            no_key
updateclass domain={d}&key=nosuch                                           no_class
updateclass domain={d}&key=nosuch&class=nosuch                              class_not_found
updateclass domain={d}&key=nosuch&class=one                                 invalid_key
updateclass domain={d}&key=here&class=one                                   OK
updateclass domain={d}&key=here&class=default                               OK
delete key=nosuch                                                           no_domain
delete domain=nosuch&key=nosuch                                             unreg_domain
delete domain={d}                                                           no_key
delete domain={d}&key=                                                      no_key
delete domain={d}&key=0                                                     unknown_key
rename from_key=a&to_key=b                                                  no_domain
rename domain=nosuch&from_key=a&to_key=b                                    unreg_domain
rename domain={d}&to_key=b                                                  no_key
rename domain={d}&from_key=a                                                no_key
rename domain={d}&from_key=a&to_key=here                                    unknown_key
rename domain={d}&from_key=here&to_key=there                                OK
rename domain={d}&from_key=there&to_key=there                               OK
rename domain={d}&from_key=there&to_key=here                                OK
rename domain={d}&from_key=other&to_key=here                                key_exists
edit_file key=here                                                          no_domain
edit_file domain=nosuch&key=here                                            unreg_domain
edit_file domain={d}                                                        no_key
edit_file domain={d}&key=here                                               failure
get_paths key=here                                                          no_domain
get_paths domain=nosuch                                                     unreg_domain
get_paths domain={d}                                                        no_key
get_paths domain={d}&key=nosuch                                             unknown_key
get_paths domain={d}&key=here                                               OK paths=[12]|path1=http://\\S+\\.fid
get_paths domain={d}&key=here&noverify=1&pathcount=abc                      OK paths=[12]
file_info key=here                                                          no_domain
file_info domain=nosuch                                                     unreg_domain
file_info domain={d}                                                        no_key
file_info domain={d}&key=nosuch                                             unknown_key
file_info domain={d}&key=here                                               OK fid={fid}|length=4|class=default|key=here|domain={d}
file_info domain={d}&key=here&devices=1                                     OK devids=\\d[\\d,]*
file_debug                                                                  no_domain
file_debug domain=nosuch                                                    unreg_domain
file_debug domain={d}                                                       no_key
file_debug domain={d}&key=nosuch                                            unknown_key
file_debug domain={d}&key=here                                              OK fid_fid={fid}|fid_dkey=here|checksum=
file_debug fid={fid}                                                        OK fid_dkey=here|devpath_\\d+=http
file_debug fid=99999999                                                     OK checksum=NONE
list_keys prefix=x                                                          no_domain
list_keys domain=nosuch&prefix=a&after=b                                    unreg_domain
list_keys domain={d}&prefix=a&after=b                                       after_mismatch
list_keys domain={d}&prefix=zzz                                             none_match
list_keys domain={d}&prefix=(                                               none_match
list_keys domain={d}                                                        OK key_count=2|key_1=here|next_after=other
list_keys domain={d}&limit=1                                                OK key_count=1|next_after=here
list_keys domain={d}&after=here                                             OK key_count=1|key_1=other
list_fids from=0&to=1                                                       OK fid_count=1|fid_1_fid=\\d+|fid_1_key=
list_fids from=99999999                                                     OK fid_count=0
create_domain                                                               no_domain
create_domain domain={d}                                                    domain_exists
create_domain domain={d}-2                                                  OK domain={d}-2
delete_domain                                                               no_domain
delete_domain domain=nosuch                                                 domain_not_found
delete_domain domain={d}                                                    domain_has_files
create_class domain={d}-2&class=c&mindevcount=1                             OK domain={d}-2|class=c|mindevcount=1
delete_domain domain={d}-2                                                  domain_has_classes
delete_class domain={d}-2&class=c                                           OK domain={d}-2|class=c
delete_domain domain={d}-2                                                  OK domain={d}-2
get_domains                                                                 OK domains=\\d+|domain1=|domain1classes=\\d|domain1class1name=
create_class class=c                                                        no_domain
create_class domain=nosuch                                                  no_class
create_class domain=nosuch&class=c                                          invalid_mindevcount
create_class domain=nosuch&class=c&mindevcount=0                            invalid_mindevcount
create_class domain=nosuch&class=c&mindevcount=1&replpolicy=No()            invalid_replpolicy
create_class domain=nosuch&class=c&mindevcount=1&hashtype=No                invalid_hashtype
create_class domain=nosuch&class=c&mindevcount=1                            domain_not_found
create_class domain={d}&class=one&mindevcount=1                             class_exists
update_class class=c                                                        no_domain
update_class domain=nosuch                                                  no_class
update_class domain=nosuch&class=c                                          invalid_mindevcount
update_class domain=nosuch&class=c&mindevcount=1&replpolicy=No()            invalid_replpolicy
update_class domain=nosuch&class=c&mindevcount=1&hashtype=No                invalid_hashtype
update_class domain=nosuch&class=c&mindevcount=1                            domain_not_found
update_class domain={d}&class=nosuch&mindevcount=1                          class_not_found
update_class domain={d}&class=one&mindevcount=2&hashtype=MD5                OK class=one|mindevcount=2
delete_class class=c                                                        no_domain
delete_class domain=nosuch&class=default                                    nodel_default_class
delete_class domain=nosuch&class=c                                          domain_not_found
delete_class domain={d}                                                     class_not_found
delete_class domain={d}&class=nosuch                                        class_not_found
updateclass domain={d}&key=here&class=one                                   OK
delete_class domain={d}&class=one                                           class_has_files
create_host                                                                 no_host
create_host host=localhost                                                  host_exists
create_host host={h}                                                        no_ip
create_host host={h}&ip={ip}                                                no_port
create_host host={h}&ip={ip}&port=7500&status=bogus                         unknown_state
create_host host={h}&ip=127.0.0.1&port=7500                                 dup
create_host host={h}&ip={ip}&port=7500                                      OK hostid=\\d+|hostname={h}
update_host                                                                 no_host
update_host host=nosuch&status=bogus                                        host_not_found
update_host host={h}&status=bogus                                           unknown_state
update_host host={h}&ip=127.0.0.1                                           dup
update_host host={h}&getport=7600                                           OK hostname={h}
get_hosts                                                                   OK hosts=\\d+|host1_hostid=1|host1_hostname=localhost
create_device devid=abc&hostname={h}&state=bogus                            invalid_state
create_device devid=abc&hostname=nosuch                                     invalid_devid
create_device devid=0&hostname=nosuch                                       invalid_devid
create_device devid={n}&hostid=9999                                         unknown_hostid
create_device devid={n}&hostname=nosuch                                     unknown_host
create_device devid={n}                                                     bad_args
create_device devid={n}&hostname={h}&state=down                             OK
create_device devid={n}&hostname={h}                                        existing_devid
get_devices devid={n}                                                       OK devices=1|dev1_devid={n}|dev1_status=down
delete_host                                                                 unknown_host
delete_host host=nosuch                                                     unknown_host
delete_host host={h}                                                        host_not_empty
set_state host={h}                                                          bad_params
set_state host={h}&device={n}&state=bogus                                   bad_params
set_state host={h}&device=9999&state=dead                                   no_device
set_state host=localhost&device={n}&state=dead                              host_mismatch
set_state host={h}&device={n}&state=dead                                    OK
set_state host={h}&device={n}&state=alive                                   state_too_high
set_state host={h}&device={n}&state=down                                    OK
set_weight host={h}&device={n}                                              bad_params
set_weight host={h}&device={n}&weight=-5                                    bad_params
set_weight host={h}&device=9999&weight=5                                    no_device
set_weight host=localhost&device={n}&weight=5                               host_mismatch
set_weight host={h}&device={n}&weight=50                                    OK
clear_cache                                                                 OK
do_monitor_round                                                            OK
noop                                                                        OK
NOOP                                                                        OK
test                                                                        OK
test crash=1                                                                failure
sleep duration=0                                                            OK
replicate_now                                                               OK count=\\d+
set_server_setting                                                          bad_params
set_server_setting key=schema_version&value=1                               not_writable
set_server_setting key=memcache_ttl&value=abc                               invalid_format
set_server_setting key=zone_near&value=10.5.0.0/16                          OK
server_setting key=zone_near                                                OK key=zone_near|value=10.5.0.0/16
server_setting key=nosuch                                                   OK value=
server_settings                                                             OK key_count=\\d+|key_1=|value_1=
httpcopy sdevid=1&ddevid=3&fid=1                                            failure
fsck_status                                                                 OK running=0|max_fid_checked=\\d+|end_fid=\\d+|current_time=\\d+
fsck_reset policy_only=1&startpos=5                                         OK
fsck_reset                                                                  OK
fsck_stop                                                                   OK
fsck_clearlog                                                               OK
fsck_getlog                                                                 OK row_count=0
rebalance_status                                                            no_rebal_state
rebalance_start                                                             no_rebal_policy
rebalance_test                                                              no_rebal_policy
rebalance_stop                                                              rebal_not_started
rebalance_set_policy policy=nosuch%3D1                                      bad_rebal_pol
rebalance_set_policy                                                        OK
rebalance_reset                                                             OK
get-paths domain={d}                                                        unknown_command
123 noop                                                                    unknown_command
nosuch                                                                      unknown_command
""".strip().splitlines()

#: Refusals that need more than a line; the tests below provoke them.
ELSEWHERE = {
    ("create_close", code)
    for code in ("invalid_destdev", "size_verify_error", "size_mismatch", "checksum_mismatch")
} | {
    ("fsck_start", "fsck_running"),
    ("fsck_start", "rebal_running"),
    ("rebalance_start", "rebal_running"),
    ("rebalance_start", "fsck_running"),
    ("rebalance_set_policy", "no_set_rebal"),
    ("rebalance_reset", "rebal_running"),
    ("httpcopy", "copy_err"),
}


def split(line):
    request, expected = re.split(r"\s{2,}", line, maxsplit=1)
    return request, expected


@pytest.fixture
def tracker(cluster):
    with LineClient(cluster.tracker_port) as client:
        yield client


def test_every_command_and_refusal_of_the_reference_is_sent():
    asked = {(split(line)[0].split(" ")[0].lower(), split(line)[1].split(" ")[0]) for line in LINES}
    asked |= ELSEWHERE
    wanted = {(command, code) for command, codes in COMMANDS.items() for code in codes.split()}
    named = {command for command, _ in asked}

    assert len(COMMANDS) == 47
    assert not set(COMMANDS) - named
    assert not wanted - asked


def test_each_line_gets_its_answer_in_the_originals_order_of_refusals(tracker, domain):
    fid = tracker.store(domain, "here", b"1234")
    tracker.store(domain, "other", b"1234")
    tracker.must("create_class", domain=domain, class_="one", mindevcount=1)
    url = tracker.must("get_paths", domain=domain, key="here")["path1"]
    on = re.search(r"/dev(\d+)/", url)[1]
    known = {"d": domain, "fid": fid, "url": url, "on": on, "h": "nodex", "ip": "127.0.9.9", "n": 77}
    wrong = []

    for line in LINES:
        request, expected = (part.format(**known) for part in split(line))
        answer = tracker.line(request)
        word, _, patterns = expected.partition(" ")
        fits = answer.ok if word == "OK" else answer.code == word
        pairs = "&".join(f"{name}={value}" for name, value in answer.pairs.items()) if answer.ok else ""
        fits = fits and all(
            re.search(rf"(^|&){pattern}", pairs) for pattern in patterns.split("|") if pattern
        )
        if not fits:
            wrong.append(f"{request}\n    wanted {expected}\n    got    {answer.raw[:300]!r}")

    assert not wrong, "\n".join(wrong)


def opened(tracker, domain, **pairs):
    return tracker.must("create_open", domain=domain, **pairs).pairs


def close(tracker, domain, reserved, **pairs):
    given = {"fid": reserved["fid"], "devid": reserved["devid"], "path": reserved["path"], **pairs}
    return tracker.ask("create_close", domain=domain, **given)


def test_an_upload_to_another_device_than_offered_is_refused(tracker, domain):
    reserved = opened(tracker, domain, key="k")
    other = "2" if reserved["devid"] == "1" else "1"
    path = reserved["path"].replace(f"/dev{reserved['devid']}/", f"/dev{other}/")
    put(path, b"bytes")

    answer = close(tracker, domain, {**reserved, "devid": other, "path": path}, key="k")

    assert answer.code == "invalid_destdev"
    assert tracker.ask("file_info", domain=domain, key="k").code == "unknown_key"


def test_an_upload_without_bytes_is_refused_and_its_reservation_is_gone(tracker, domain):
    reserved = opened(tracker, domain, key="k")

    assert close(tracker, domain, reserved, key="k").code == "size_verify_error"
    assert close(tracker, domain, reserved, key="k").code == "no_temp_file"


def test_an_upload_of_another_size_is_refused(tracker, domain):
    reserved = opened(tracker, domain, key="k")
    put(reserved["path"], b"bytes")

    answer = close(tracker, domain, reserved, key="k", size=6)

    assert answer.code == "size_mismatch"
    assert answer.text.startswith("Expected: 6; actual: 5")
    assert tracker.ask("get_paths", domain=domain, key="k").code == "unknown_key"


def test_an_upload_of_other_bytes_is_refused(tracker, domain):
    reserved = opened(tracker, domain, key="k")
    put(reserved["path"], b"bytes")

    answer = close(tracker, domain, reserved, key="k", checksum="MD5:" + "0" * 32, checksumverify=1)

    assert answer.code == "checksum_mismatch"


def test_an_upload_without_a_key_is_thrown_away(tracker, domain):
    reserved = opened(tracker, domain, key="k")
    put(reserved["path"], b"bytes")

    assert close(tracker, domain, reserved).ok
    assert tracker.ask("file_info", domain=domain, key="k").code == "unknown_key"


def test_a_copy_that_cannot_be_read_or_written_says_which(cluster, tracker, domain):
    fid = tracker.store(domain, "k", b"bytes")
    devices = {devid for devid, found in cluster.fid_files() if found == fid}
    other = 3 - next(iter(devices))
    # A folder in the file's place: nothing can be renamed to it.
    target = cluster.dirs[other - 1] / f"dev{other}" / "0" / "000" / "000" / f"{fid:010}.fid"
    wait_until(lambda: target.is_file(), what="the second copy")
    target.unlink()
    target.mkdir()

    refused = tracker.ask("httpcopy", sdevid=3 - other, ddevid=other, fid=fid)

    assert (refused.code, refused.text) == ("copy_err", "dest_error")
    target.rmdir()
    tracker.must("httpcopy", sdevid=3 - other, ddevid=other, fid=fid)
    target.unlink()
    refused = tracker.ask("httpcopy", sdevid=other, ddevid=3 - other, fid=fid)
    assert (refused.code, refused.text) == ("copy_err", "src_error")
    wait_until(lambda: target.is_file(), what="the copy that was found to be missing")


def answers(tracker, *lines):
    """The codes of lines sent in one write, so that nothing happens between them."""
    tracker.send("".join(f"{line}\r\n" for line in lines).encode())
    return [tracker.read().code for _ in lines]


def test_fsck_and_rebalance_keep_out_of_each_others_way(tracker, domain):
    tracker.store(domain, "k", b"bytes")
    tracker.must("fsck_reset")

    first = answers(tracker, "fsck_start", "fsck_start", "rebalance_start", "fsck_stop")

    assert first == [None, "fsck_running", "fsck_running", None]
    policy = "policy=from_devices%3D1+to_devices%3D2+limit_type%3Ddevice+limit_by%3Dcount+limit%3D1"
    lines = [f"rebalance_set_policy {policy}", "rebalance_test", "rebalance_start", "rebalance_start"]
    lines += ["fsck_start", f"rebalance_set_policy {policy}", "rebalance_reset", "rebalance_stop"]
    second = answers(tracker, *lines)
    assert second[:-1] == [
        None,
        None,
        None,
        "rebal_running",
        "rebal_running",
        "no_set_rebal",
        "rebal_running",
    ]


def test_the_admin_commands_answer_in_lines(tracker):
    assert re.fullmatch(r"[\d.]+", tracker.admin("!version")[0])
    assert any(line.startswith("uptime ") for line in tracker.admin("!stats"))
    jobs = tracker.admin("!jobs")
    assert {line.split()[0] for line in jobs} >= {"delete", "fsck", "monitor", "queryworker", "replicate"}
    assert tracker.admin("!want 3 queryworker") == ["Now desiring 3 children doing 'queryworker'."]
    assert tracker.admin("!want 3 nosuch")[0].startswith("ERROR: Invalid class 'nosuch'.")
    assert tracker.admin("!queue") == []
    assert tracker.admin("!watch") == ["Added you to watcher list."]
    assert tracker.admin("!watch")[-1] == "Removed you from watcher list."
    tracker.must("noop")
    assert any(" noop " in line for line in tracker.admin("!recent"))
    assert tracker.admin("!help")
