//! Two doors, one house: whatever the tracker port can do, the admin REST does to the database in the same way.
//!
//! Two fresh servers take the same actions, one by each door. After each action both must have agreed, or both refused,
//! and their databases must be equal but for times. [`twins`] says which command is which operation; a command with
//! neither a twin nor a reason fails [`every_command_has_a_twin_or_a_reason`], a twin that no test acts out fails
//! [`twins_do_the_same_to_the_database`].

#![expect(clippy::unwrap_used, reason = "this is all test, helpers included")]

mod twins;
mod world;

use std::collections::BTreeSet;

use serde_json::json;

use twins::{OWN, REASONS, TWINS};
use world::Pair;

#[tokio::test]
async fn every_command_has_a_twin_or_a_reason() {
    let document = Pair::new().await.document().await;
    let operations: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();

    let told: BTreeSet<&str> = TWINS.iter().chain(REASONS).map(|(command, _)| *command).collect();
    let commands: BTreeSet<&str> = mogul_api::mogile::commands().collect();
    assert_eq!(
        told, commands,
        "left: told of here; right: the commands of the port"
    );
    let twins: BTreeSet<&str> = TWINS.iter().map(|(_, operation)| *operation).collect();
    let known: BTreeSet<&str> = twins.iter().copied().chain(OWN.iter().copied()).collect();
    assert_eq!(
        known, operations,
        "left: told of here; right: the operations of the REST"
    );
}

#[tokio::test]
async fn twins_do_the_same_to_the_database() {
    let mut pair = Pair::new().await;

    hosts(&mut pair).await;
    devices(&mut pair).await;
    domains(&mut pair).await;
    classes(&mut pair).await;
    settings(&mut pair).await;
    files_found(&mut pair).await;
    files_changed(&mut pair).await;
    fsck(&mut pair).await;
    rebalance(&mut pair).await;
    the_end(&mut pair).await;

    let acted: BTreeSet<&str> = pair.acted();
    let twins: BTreeSet<&str> = TWINS.iter().map(|(command, _)| *command).collect();
    assert_eq!(acted, twins, "left: acted out here; right: all twins");
}

#[tokio::test]
async fn both_doors_are_counted_by_what_was_asked_of_them() {
    let mut pair = Pair::new().await;
    let path = "/admin/v1/domains";
    for _ in 0..2 {
        pair.both(
            "create_domain domain=photos",
            "POST",
            path,
            json!({"name": "photos"}),
        )
        .await;
    }
    pair.both("no_such_command", "GET", "/admin/v1/nothing", json!(null))
        .await;

    let metrics = pair.metrics().await;

    for line in [
        "mogul_requests_total{face=\"tracker\",operation=\"create_domain\",outcome=\"ok\"} 1",
        "mogul_requests_total{face=\"tracker\",operation=\"create_domain\",outcome=\"error\"} 1",
        "mogul_requests_total{face=\"tracker\",operation=\"none\",outcome=\"error\"} 1",
        "mogul_requests_total{face=\"admin\",operation=\"POST /admin/v1/domains\",outcome=\"2xx\"} 1",
        "mogul_requests_total{face=\"admin\",operation=\"POST /admin/v1/domains\",outcome=\"4xx\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

async fn hosts(pair: &mut Pair) {
    let path = "/admin/v1/hosts";
    let host = json!({"name": "far", "ip": "10.0.0.9", "port": 7500, "status": "alive"});
    pair.both(
        "create_host host=far&ip=10.0.0.9&port=7500&status=alive",
        "POST",
        path,
        host.clone(),
    )
    .await;
    pair.both("create_host host=far&ip=10.0.0.9&port=7500", "POST", path, host)
        .await;
    let taken = json!({"name": "other", "ip": "10.0.0.9", "port": 7500});
    pair.both(
        "create_host host=other&ip=10.0.0.9&port=7500",
        "POST",
        path,
        taken,
    )
    .await;
    let spare = json!({"name": "spare", "ip": "10.0.0.8", "port": 7501, "get_port": 7601, "alt_ip": "192.168.0.8", "alt_mask": "192.168.0.0/16"});
    let line =
        "create_host host=spare&ip=10.0.0.8&port=7501&getport=7601&altip=192.168.0.8&altmask=192.168.0.0/16";
    pair.both(line, "POST", path, spare).await;
    let changes = json!({"status": "down", "port": 7777, "get_port": null, "alt_ip": null});
    pair.both(
        "update_host host=spare&status=down&port=7777&getport=&altip=",
        "PATCH",
        "/admin/v1/hosts/spare",
        changes,
    )
    .await;
    pair.both(
        "update_host host=nobody&port=1",
        "PATCH",
        "/admin/v1/hosts/nobody",
        json!({"port": 1}),
    )
    .await;
    pair.read("get_hosts ", path).await;
    pair.both(
        "delete_host host=spare",
        "DELETE",
        "/admin/v1/hosts/spare",
        json!(null),
    )
    .await;
    pair.both(
        "delete_host host=spare",
        "DELETE",
        "/admin/v1/hosts/spare",
        json!(null),
    )
    .await;
}

async fn devices(pair: &mut Pair) {
    let path = "/admin/v1/devices";
    let device = json!({"devid": 9, "host": "far", "status": "down"});
    pair.both(
        "create_device devid=9&hostname=far&state=down",
        "POST",
        path,
        device.clone(),
    )
    .await;
    pair.both(
        "create_device devid=9&hostname=far&state=down",
        "POST",
        path,
        device,
    )
    .await;
    let lost = json!({"devid": 10, "host": "nobody"});
    pair.both("create_device devid=10&hostname=nobody", "POST", path, lost)
        .await;
    pair.read("get_devices ", path).await;
    let nine = "/admin/v1/devices/9";
    pair.both(
        "set_weight host=far&device=9&weight=50",
        "PATCH",
        nine,
        json!({"weight": 50}),
    )
    .await;
    pair.both(
        "set_state host=far&device=9&state=dead",
        "PATCH",
        nine,
        json!({"status": "dead"}),
    )
    .await;
    pair.both(
        "set_state host=far&device=9&state=alive",
        "PATCH",
        nine,
        json!({"status": "alive"}),
    )
    .await;
    pair.both(
        "delete_host host=far",
        "DELETE",
        "/admin/v1/hosts/far",
        json!(null),
    )
    .await;
}

async fn domains(pair: &mut Pair) {
    let path = "/admin/v1/domains";
    pair.both(
        "create_domain domain=photos",
        "POST",
        path,
        json!({"name": "photos"}),
    )
    .await;
    pair.both(
        "create_domain domain=photos",
        "POST",
        path,
        json!({"name": "photos"}),
    )
    .await;
    pair.both("create_domain domain=gone", "POST", path, json!({"name": "gone"}))
        .await;
    pair.both(
        "delete_domain domain=gone",
        "DELETE",
        "/admin/v1/domains/gone",
        json!(null),
    )
    .await;
    pair.both(
        "delete_domain domain=gone",
        "DELETE",
        "/admin/v1/domains/gone",
        json!(null),
    )
    .await;
    pair.read("get_domains ", path).await;
}

async fn classes(pair: &mut Pair) {
    let path = "/admin/v1/domains/photos/classes";
    let class =
        json!({"name": "thumbs", "mindevcount": 1, "replpolicy": "MultipleHosts(1)", "hashtype": "MD5"});
    let line =
        "create_class domain=photos&class=thumbs&mindevcount=1&replpolicy=MultipleHosts(1)&hashtype=MD5";
    pair.both(line, "POST", path, class.clone()).await;
    pair.both(line, "POST", path, class).await;
    let thumbs = "/admin/v1/domains/photos/classes/thumbs";
    let changes = json!({"mindevcount": 2, "hashtype": null});
    pair.both(
        "update_class domain=photos&class=thumbs&mindevcount=2&hashtype=NONE",
        "PATCH",
        thumbs,
        changes,
    )
    .await;
    let missing = "/admin/v1/domains/photos/classes/none";
    pair.both(
        "update_class domain=photos&class=none&mindevcount=2",
        "PATCH",
        missing,
        json!({"mindevcount": 2}),
    )
    .await;
    let spare = json!({"name": "spare", "mindevcount": 3});
    pair.both(
        "create_class domain=photos&class=spare&mindevcount=3",
        "POST",
        path,
        spare,
    )
    .await;
    let spare = "/admin/v1/domains/photos/classes/spare";
    pair.both(
        "delete_class domain=photos&class=spare",
        "DELETE",
        spare,
        json!(null),
    )
    .await;
    pair.both(
        "delete_class domain=photos&class=spare",
        "DELETE",
        spare,
        json!(null),
    )
    .await;
    pair.both(
        "delete_domain domain=photos",
        "DELETE",
        "/admin/v1/domains/photos",
        json!(null),
    )
    .await;
}

async fn settings(pair: &mut Pair) {
    let path = "/admin/v1/settings/skip_mkcol";
    pair.both(
        "set_server_setting key=skip_mkcol&value=on",
        "PUT",
        path,
        json!({"value": "on"}),
    )
    .await;
    pair.both(
        "set_server_setting key=skip_mkcol&value=maybe",
        "PUT",
        path,
        json!({"value": "maybe"}),
    )
    .await;
    let closed = "/admin/v1/settings/schema_version";
    pair.both(
        "set_server_setting key=schema_version&value=1",
        "PUT",
        closed,
        json!({"value": "1"}),
    )
    .await;
    pair.read("server_setting key=skip_mkcol", path).await;
    pair.read("server_settings ", "/admin/v1/settings").await;
}

async fn files_found(pair: &mut Pair) {
    for key in ["one", "two", "three"] {
        pair.store(key).await;
    }
    let collection = "/admin/v1/domains/photos/files";
    let one = "/admin/v1/domains/photos/files/one";
    pair.read("list_keys domain=photos", collection).await;
    pair.read("file_info domain=photos&key=one", one).await;
    pair.read(
        "file_info domain=photos&key=none",
        "/admin/v1/domains/photos/files/none",
    )
    .await;
    pair.read(
        "get_paths domain=photos&key=one",
        "/admin/v1/domains/photos/files/one/paths",
    )
    .await;
    pair.read("list_fids from=0&to=10", "/admin/v1/fids").await;
    let fid = pair.fid("one").await;
    pair.read(&format!("file_debug fid={fid}"), &format!("/admin/v1/fids/{fid}"))
        .await;
    let (from, to) = pair.devices_of("one").await;
    let copy = json!({"from": from, "to": to});
    let copies = format!("/admin/v1/fids/{fid}/copies");
    pair.both(
        &format!("httpcopy sdevid={from}&ddevid={to}&fid={fid}"),
        "POST",
        &copies,
        copy,
    )
    .await;
}

async fn files_changed(pair: &mut Pair) {
    let one = "/admin/v1/domains/photos/files/one";
    pair.both(
        "updateclass domain=photos&key=one&class=thumbs",
        "PATCH",
        one,
        json!({"class": "thumbs"}),
    )
    .await;
    pair.both(
        "updateclass domain=photos&key=one&class=none",
        "PATCH",
        one,
        json!({"class": "none"}),
    )
    .await;
    pair.both(
        "rename domain=photos&from_key=one&to_key=two",
        "PATCH",
        one,
        json!({"key": "two"}),
    )
    .await;
    pair.both(
        "rename domain=photos&from_key=one&to_key=a/b",
        "PATCH",
        one,
        json!({"key": "a/b"}),
    )
    .await;
    let moved = "/admin/v1/domains/photos/files/a%2Fb";
    pair.both("delete domain=photos&key=a/b", "DELETE", moved, json!(null))
        .await;
    pair.both("delete domain=photos&key=a/b", "DELETE", moved, json!(null))
        .await;
    let thumbs = "/admin/v1/domains/photos/classes/thumbs";
    pair.both(
        "delete_class domain=photos&class=thumbs",
        "DELETE",
        thumbs,
        json!(null),
    )
    .await;
}

async fn fsck(pair: &mut Pair) {
    pair.both(
        "replicate_now ",
        "POST",
        "/admin/v1/queues/replicate/now",
        json!(null),
    )
    .await;
    pair.both("clear_cache ", "POST", "/admin/v1/monitor/rounds", json!(null))
        .await;
    pair.both(
        "do_monitor_round ",
        "POST",
        "/admin/v1/monitor/rounds",
        json!(null),
    )
    .await;

    let run = "/admin/v1/fsck/run";
    let beginning = json!({"policy_only": true, "after": 1});
    pair.both(
        "fsck_reset policy_only=1&startpos=1",
        "PUT",
        "/admin/v1/fsck/beginning",
        beginning,
    )
    .await;
    pair.both("fsck_start ", "PUT", run, json!(null)).await;
    pair.both("fsck_start ", "PUT", run, json!(null)).await;
    pair.both("rebalance_start ", "PUT", "/admin/v1/rebalance/run", json!(null))
        .await;
    pair.read("fsck_status ", "/admin/v1/fsck").await;
    pair.both("fsck_stop ", "DELETE", run, json!(null)).await;
    pair.read("fsck_getlog ", "/admin/v1/fsck/log").await;
    pair.both("fsck_clearlog ", "DELETE", "/admin/v1/fsck/log", json!(null))
        .await;
}

async fn rebalance(pair: &mut Pair) {
    let run = "/admin/v1/rebalance/run";
    let policy = "/admin/v1/rebalance/policy";
    pair.read("rebalance_test ", "/admin/v1/rebalance/devices").await;
    pair.both(
        "rebalance_set_policy policy=nonsense=1",
        "PUT",
        policy,
        json!({"policy": "nonsense=1"}),
    )
    .await;
    let wanted = json!({"policy": "from_devices=1 to_devices=2"});
    pair.both(
        "rebalance_set_policy policy=from_devices%3D1+to_devices%3D2",
        "PUT",
        policy,
        wanted,
    )
    .await;
    pair.read("rebalance_test ", "/admin/v1/rebalance/devices").await;
    pair.read("rebalance_status ", "/admin/v1/rebalance/state").await;
    pair.both("rebalance_stop ", "DELETE", run, json!(null)).await;
    pair.both("rebalance_start ", "PUT", run, json!(null)).await;
    pair.read("rebalance_status ", "/admin/v1/rebalance/state").await;
    pair.both(
        "rebalance_reset ",
        "DELETE",
        "/admin/v1/rebalance/state",
        json!(null),
    )
    .await;
    pair.both("rebalance_stop ", "DELETE", run, json!(null)).await;
}

/// A domain with files stays.
async fn the_end(pair: &mut Pair) {
    pair.both(
        "delete_domain domain=photos",
        "DELETE",
        "/admin/v1/domains/photos",
        json!(null),
    )
    .await;
}
