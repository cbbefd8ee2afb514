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

    for actions in [HOSTS, DEVICES, DOMAINS, CLASSES, SETTINGS] {
        pair.act(actions).await;
    }
    for key in ["one", "two", "three"] {
        pair.store(key).await;
    }
    pair.act(FILES_FOUND).await;
    copies(&mut pair).await;
    for actions in [FILES_CHANGED, FSCK, REBALANCE, DRAINS, THE_END] {
        pair.act(actions).await;
    }

    let acted: BTreeSet<&str> = pair.acted();
    let twins: BTreeSet<&str> = TWINS.iter().map(|(command, _)| *command).collect();
    assert_eq!(acted, twins, "left: acted out here; right: all twins");
}

#[tokio::test]
async fn both_doors_are_counted_by_what_was_asked_of_them() {
    let mut pair = Pair::new().await;
    pair.act(
        r#"
        create_domain domain=photos | POST domains {"name": "photos"}
        create_domain domain=photos | POST domains {"name": "photos"}
        no_such_command             | GET nothing
        "#,
    )
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

/// What is done by both doors, a line each: the line of the tracker port, then method, path below `/admin/v1/` and body of the
/// REST. A GET must change nothing.
const HOSTS: &str = r#"
    create_host host=far&ip=10.0.0.9&port=7500&status=alive | POST hosts {"name": "far", "ip": "10.0.0.9", "port": 7500, "status": "alive"}
    create_host host=far&ip=10.0.0.9&port=7500 | POST hosts {"name": "far", "ip": "10.0.0.9", "port": 7500, "status": "alive"}
    create_host host=other&ip=10.0.0.9&port=7500 | POST hosts {"name": "other", "ip": "10.0.0.9", "port": 7500}
    create_host host=spare&ip=10.0.0.8&port=7501&getport=7601&altip=192.168.0.8&altmask=192.168.0.0/16 | POST hosts {"name": "spare", "ip": "10.0.0.8", "port": 7501, "get_port": 7601, "alt_ip": "192.168.0.8", "alt_mask": "192.168.0.0/16"}
    update_host host=spare&status=down&port=7777&getport=&altip= | PATCH hosts/spare {"status": "down", "port": 7777, "get_port": null, "alt_ip": null}
    update_host host=nobody&port=1 | PATCH hosts/nobody {"port": 1}
    get_hosts | GET hosts
    delete_host host=spare | DELETE hosts/spare
    delete_host host=spare | DELETE hosts/spare
"#;

const DEVICES: &str = r#"
    create_device devid=9&hostname=far&state=down | POST devices {"devid": 9, "host": "far", "status": "down"}
    create_device devid=9&hostname=far&state=down | POST devices {"devid": 9, "host": "far", "status": "down"}
    create_device devid=10&hostname=nobody | POST devices {"devid": 10, "host": "nobody"}
    get_devices | GET devices
    set_weight host=far&device=9&weight=50 | PATCH devices/9 {"weight": 50}
    set_state host=far&device=9&state=dead | PATCH devices/9 {"status": "dead"}
    set_state host=far&device=9&state=alive | PATCH devices/9 {"status": "alive"}
    delete_host host=far | DELETE hosts/far
"#;

const DOMAINS: &str = r#"
    create_domain domain=photos | POST domains {"name": "photos"}
    create_domain domain=photos | POST domains {"name": "photos"}
    create_domain domain=gone | POST domains {"name": "gone"}
    delete_domain domain=gone | DELETE domains/gone
    delete_domain domain=gone | DELETE domains/gone
    get_domains | GET domains
"#;

const CLASSES: &str = r#"
    create_class domain=photos&class=thumbs&mindevcount=1&replpolicy=MultipleHosts(1)&hashtype=MD5 | POST domains/photos/classes {"name": "thumbs", "mindevcount": 1, "replpolicy": "MultipleHosts(1)", "hashtype": "MD5"}
    create_class domain=photos&class=thumbs&mindevcount=1&replpolicy=MultipleHosts(1)&hashtype=MD5 | POST domains/photos/classes {"name": "thumbs", "mindevcount": 1, "replpolicy": "MultipleHosts(1)", "hashtype": "MD5"}
    update_class domain=photos&class=thumbs&mindevcount=2&hashtype=NONE | PATCH domains/photos/classes/thumbs {"mindevcount": 2, "hashtype": null}
    update_class domain=photos&class=none&mindevcount=2 | PATCH domains/photos/classes/none {"mindevcount": 2}
    create_class domain=photos&class=spare&mindevcount=3 | POST domains/photos/classes {"name": "spare", "mindevcount": 3}
    delete_class domain=photos&class=spare | DELETE domains/photos/classes/spare
    delete_class domain=photos&class=spare | DELETE domains/photos/classes/spare
    delete_domain domain=photos | DELETE domains/photos
"#;

const SETTINGS: &str = r#"
    set_server_setting key=skip_mkcol&value=on | PUT settings/skip_mkcol {"value": "on"}
    set_server_setting key=skip_mkcol&value=maybe | PUT settings/skip_mkcol {"value": "maybe"}
    set_server_setting key=schema_version&value=1 | PUT settings/schema_version {"value": "1"}
    server_setting key=skip_mkcol | GET settings/skip_mkcol
    server_settings | GET settings
"#;

const FILES_FOUND: &str = "
    list_keys domain=photos | GET domains/photos/files
    file_info domain=photos&key=one | GET domains/photos/files/one
    file_info domain=photos&key=none | GET domains/photos/files/none
    get_paths domain=photos&key=one | GET domains/photos/files/one/paths
    list_fids from=0&to=10 | GET fids
";

async fn copies(pair: &mut Pair) {
    let fid = pair.fid("one").await;
    let (from, to) = pair.devices_of("one").await;
    pair.act(&format!("file_debug fid={fid} | GET fids/{fid}")).await;
    let body = json!({"from": from, "to": to});
    pair.act(&format!(
        "httpcopy sdevid={from}&ddevid={to}&fid={fid} | POST fids/{fid}/copies {body}"
    ))
    .await;
}

const FILES_CHANGED: &str = r#"
    updateclass domain=photos&key=one&class=thumbs | PATCH domains/photos/files/one {"class": "thumbs"}
    updateclass domain=photos&key=one&class=none | PATCH domains/photos/files/one {"class": "none"}
    rename domain=photos&from_key=one&to_key=two | PATCH domains/photos/files/one {"key": "two"}
    rename domain=photos&from_key=one&to_key=a/b | PATCH domains/photos/files/one {"key": "a/b"}
    delete domain=photos&key=a/b | DELETE domains/photos/files/a%2Fb
    delete domain=photos&key=a/b | DELETE domains/photos/files/a%2Fb
    delete_class domain=photos&class=thumbs | DELETE domains/photos/classes/thumbs
"#;

const FSCK: &str = r#"
    replicate_now | POST queues/replicate/now
    clear_cache | POST monitor/rounds
    do_monitor_round | POST monitor/rounds
    fsck_reset policy_only=1&startpos=1 | PUT fsck/beginning {"policy_only": true, "after": 1}
    fsck_start | PUT fsck/run
    fsck_start | PUT fsck/run
    rebalance_start | PUT rebalance/run
    fsck_status | GET fsck
    fsck_stop | DELETE fsck/run
    fsck_getlog | GET fsck/log
    fsck_clearlog | DELETE fsck/log
"#;

const REBALANCE: &str = r#"
    rebalance_test | GET rebalance/devices
    rebalance_set_policy policy=nonsense=1 | PUT rebalance/policy {"policy": "nonsense=1"}
    rebalance_set_policy policy=from_devices%3D1+to_devices%3D2 | PUT rebalance/policy {"policy": "from_devices=1 to_devices=2"}
    rebalance_test | GET rebalance/devices
    rebalance_status | GET rebalance/state
    rebalance_stop | DELETE rebalance/run
    rebalance_start | PUT rebalance/run
    rebalance_status | GET rebalance/state
    rebalance_reset | DELETE rebalance/state
    rebalance_stop | DELETE rebalance/run
"#;

const DRAINS: &str = "
    drain_stop host=local&device=1 | DELETE devices/1/drain
    drain_start host=local&device=1 | PUT devices/1/drain
    drain_start host=local&device=1 | PUT devices/1/drain
    drain_status | GET drains
    drain_stop host=local&device=1 | DELETE devices/1/drain
    drain_start host=local | PUT hosts/local/drain
    drain_stop host=local | DELETE hosts/local/drain
    drain_start host=nobody | PUT hosts/nobody/drain
    drain_start host=far&device=9 | PUT devices/9/drain
";

/// A domain with files stays.
const THE_END: &str = "delete_domain domain=photos | DELETE domains/photos";
