//! Tables of cases, in the notation of the original's own tests.

use mogul_storage::DevId;

use super::{Advice, PolicyDevice, PolicySpec, Situation};
use crate::model::{DeviceStatus, HostId, ZoneName};

/// Reads `h1[d1=X d2=_] h2@near=down[d3=_,dead]`; what follows `@` is the zone of the host.
fn parse(layout: &str) -> (Vec<DevId>, Vec<PolicyDevice>) {
    let (mut on, mut devices) = (Vec::new(), Vec::new());
    for (number, host) in (1..).zip(layout.split_inclusive(']')) {
        let (name, inside) = host.trim().trim_end_matches(']').split_once('[').unwrap();
        let (name, host_alive) = match name.strip_suffix("=down") {
            Some(name) => (name, false),
            None => (name, true),
        };
        let zone = name
            .split_once('@')
            .map(|(_, zone)| ZoneName::parse(zone).unwrap());
        for device in inside.split_whitespace() {
            let (id, state) = device[1..].split_once('=').unwrap();
            let (copy, status) = state.split_once(',').unwrap_or((state, "alive"));
            let status = match status {
                "alive" => DeviceStatus::Alive,
                "dead" => DeviceStatus::Dead,
                "down" => DeviceStatus::Down,
                "drain" => DeviceStatus::Drain,
                other => panic!("{other}"),
            };
            let id = DevId::new(id.parse().unwrap()).unwrap();
            if copy == "X" {
                on.push(id);
            }
            devices.push(PolicyDevice {
                id,
                host: HostId(number),
                zone: zone.clone(),
                status,
                takes_files: host_alive && status == DeviceStatus::Alive,
            });
        }
    }
    (on, devices)
}

fn render(advice: &Advice) -> String {
    let list = |devices: &[DevId]| {
        let ids: Vec<String> = devices.iter().map(ToString::to_string).collect();
        ids.join(",")
    };
    match advice {
        Advice::Happy => "good".to_owned(),
        Advice::TooHappy => "too_good".to_owned(),
        Advice::NoAnswer => "no_answer".to_owned(),
        Advice::CopyTo { ideal, desperate } => {
            let ideal = (!ideal.is_empty()).then(|| format!("ideal({})", list(ideal)));
            let desperate = (!desperate.is_empty()).then(|| format!("desperate({})", list(desperate)));
            [ideal, desperate]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" ")
        }
    }
}

fn check(policy: &str, min: u8, layout: &str, expected: &str) {
    let (on, devices) = parse(layout);
    let advice = PolicySpec::parse(policy).unwrap().advise(&Situation {
        mindevcount: min,
        on: &on,
        failed: &[],
        devices: &devices,
    });
    assert_eq!(render(&advice), expected, "{policy} min={min} {layout}");
}

#[test]
fn multiple_hosts_answers_as_the_original_does() {
    for (min, layout, expected) in [
        (2, "h1[d1=X d2=_] h2[d3=X d4=_]", "good"),
        (2, "h1[d1=X d2=_] h2[d3=_ d4=_]", "ideal(3,4) desperate(2)"),
        (2, "h1[d1=X d2=X] h2[d3=_ d4=_]", "ideal(3,4)"),
        (2, "h1[d1=_ d2=_] h2[d3=_ d4=_]", "ideal(1,2,3,4)"),
        (2, "h1[d1=X d2=_] h2=down[d3=_ d4=_]", "desperate(2)"),
        (
            2,
            "h1[d1=X d2=_] h2=down[d3=_ d4=_] h3[d5=_ d6=_]",
            "ideal(5,6) desperate(2)",
        ),
        (2, "h1[d1=_ d2=X,dead] h2[d3=X d4=_]", "ideal(1) desperate(4)"),
        (3, "h1[d1=_ d2=X] h2[d3=X d4=_]", "ideal(1,4)"),
        (
            3,
            "h1[d1=_ d2=X] h2[d3=X d4=_] h3[d5=_]",
            "ideal(5) desperate(1,4)",
        ),
        (3, "h1[d1=_ d2=X] h2[d3=X d4=_] h3=down[d5=_]", "desperate(1,4)"),
        (2, "h1[d1=X] h2[d2=X] h3[d3=X]", "too_good"),
        (2, "h1[d1=X d2=X] h2[d3=X]", "too_good"),
        (3, "h1[d1=_ d2=X] h2[d3=X d4=X]", "good"),
        (2, "h1[d1=X,drain d2=_] h2[d3=X d4=_]", "good"),
        (1, "h1[d1=X d2=_]", "good"),
        (1, "h1[d1=X d2=X]", "too_good"),
        (2, "h1[d1=X d2=X]", "good"),
        (2, "h1[d1=X]", "no_answer"),
        (2, "h1[d1=X d2=X] h2=down[d3=_]", "no_answer"),
    ] {
        check("MultipleHosts()", min, layout, expected);
    }
}

#[test]
fn multiple_devices_does_not_look_at_hosts() {
    for (min, layout, expected) in [
        (2, "h1[d1=X d2=X] h2[d3=_]", "good"),
        (2, "h1[d1=X d2=_] h2[d3=_]", "ideal(2,3)"),
        (2, "h1[d1=X d2=X d3=X]", "too_good"),
        (3, "h1[d1=X d2=X]", "good"),
        (2, "h1[d1=X]", "no_answer"),
        (2, "h1[d1=X d2=_,down]", "no_answer"),
    ] {
        check("MultipleDevices()", min, layout, expected);
    }
}

#[test]
fn the_argument_overrides_the_class() {
    check("MultipleHosts(3)", 1, "h1[d1=X] h2[d2=X] h3[d3=_]", "ideal(3)");
    check("MultipleDevices(1)", 3, "h1[d1=X d2=_]", "good");
}

#[test]
fn a_device_that_failed_is_not_advised_again() {
    let (on, devices) = parse("h1[d1=X] h2[d2=_ d3=_]");

    let advice = PolicySpec::DEFAULT.advise(&Situation {
        mindevcount: 2,
        on: &on,
        failed: &[DevId::new(2).unwrap()],
        devices: &devices,
    });

    assert_eq!(render(&advice), "ideal(3)");
}

#[test]
fn multiple_networks_spreads_over_zones_then_hosts_then_devices() {
    for (min, layout, expected) in [
        (
            2,
            "h1@a[d1=X d2=_] h2@a[d3=_] h3@b[d4=_]",
            "ideal(4) desperate(3)",
        ),
        (2, "h1@a[d1=X] h2@a[d2=X] h3@b[d3=_]", "ideal(3)"),
        (2, "h1@a[d1=X] h2@a[d2=X] h3@b[d3=X]", "too_good"),
        (2, "h1@a[d1=X] h2@a[d2=_] h3@b[d3=X]", "good"),
        (
            3,
            "h1@a[d1=X d2=_] h2@a[d3=_] h3@b[d4=X d5=_]",
            "ideal(3) desperate(2,5)",
        ),
        (3, "h1@a[d1=X d2=_] h2@b[d3=X]", "ideal(2)"),
        (2, "h1@a[d1=X d2=_] h2@b=down[d3=_]", "desperate(2)"),
        (2, "h1@a[d1=X d2=X] h2@b=down[d3=_]", "no_answer"),
        (2, "h1@a[d1=X d2=_] h2@b[d3=_,dead]", "ideal(2)"),
        // The cases of the original's own tests.
        (2, "h1@a[d1=X d2=_] h2@a[d3=X d4=_]", "good"),
        (2, "h1@a[d1=X d2=X] h2@a[d3=_ d4=_]", "ideal(3,4)"),
        (
            2,
            "h1@a[d1=_ d2=X] h2@a[d3=_ d4=_] h3@b[d5=_ d6=_] h4@b[d7=_ d8=_]",
            "ideal(5,6,7,8) desperate(3,4)",
        ),
        (
            2,
            "h1@a[d1=_ d2=X] h2@a[d3=_ d4=_] h3@b=down[d5=_ d6=_] h4@c[d7=_ d8=_]",
            "ideal(7,8) desperate(3,4)",
        ),
        (
            2,
            "h1@a[d1=_ d2=X] h2@a[d3=_] h3@b=down[d5=_] h4@b=down[d7=_]",
            "desperate(3)",
        ),
        (
            2,
            "h1@a[d1=_ d2=X,dead] h2@a[d3=_ d4=_] h3@b[d5=X d6=_]",
            "ideal(1,3,4)",
        ),
        (2, "h1@a[d1=_ d2=X] h2@a[d3=_ d4=_] h3@b[d5=X d6=_]", "good"),
        (2, "h1@a[d1=_ d2=X] h2@a[d3=X d4=X]", "too_good"),
        (
            2,
            "h1@a[d1=X d2=X] h2@a[d3=X d4=X] h3@b[d5=_ d6=_] h4@b[d7=_ d8=_]",
            "ideal(5,6,7,8)",
        ),
        // Hosts of which no zone is known are in one together; with one zone it is as with MultipleHosts.
        (2, "h1@a[d1=X] h2[d2=_] h3[d3=_]", "ideal(2,3)"),
        (2, "h1[d1=X d2=_] h2[d3=_]", "ideal(3) desperate(2)"),
        (2, "h1[d1=X] h2[d2=X] h3[d3=_]", "good"),
        (1, "h1@a[d1=X] h2@b[d2=_]", "good"),
        (1, "h1@a[d1=X] h2@b[d2=X]", "too_good"),
        (3, "h1@a[d1=X] h2@b[d2=X]", "good"),
        (2, "h1@a[d1=_] h2@b[d2=_,drain]", "ideal(1)"),
    ] {
        check("MultipleNetworks()", min, layout, expected);
    }
    check("MultipleNetworks(1)", 3, "h1@a[d1=X] h2@b[d2=_]", "good");
}

#[test]
fn hosts_per_network_wants_its_copies_in_each_zone() {
    for (layout, expected) in [
        ("h1@a[d1=X d2=_] h2@a[d3=_] h3@b[d4=_]", "ideal(3,4) desperate(2)"),
        ("h1@a[d1=X] h2@a[d2=X] h3@b[d3=_]", "ideal(3)"),
        ("h1@a[d1=X] h2@a[d2=X] h3@b[d3=X]", "good"),
        ("h1@a[d1=X] h2@a[d2=X] h3@b[d3=X] h4@b[d4=X]", "too_good"),
        ("h1@a[d1=X] h2@a[d2=X] h3@b[d3=X] h4@c[d4=X]", "too_good"),
        // The cases of the original's own tests.
        ("h1@a[d1=X d2=_] h2@a=down[d3=_ d4=_] h4@b[d6=X]", "desperate(2)"),
        (
            "h1@a[d1=X d2=_] h2@a=down[d3=_ d4=_] h3@a[d5=_] h4@b[d6=X]",
            "ideal(5) desperate(2)",
        ),
        (
            "h1@a[d1=_ d2=X,dead] h2@a[d3=X d4=_] h4@b[d6=X]",
            "ideal(1) desperate(4)",
        ),
        (
            "h1@a[d1=X d2=_] h2@a[d3=X d4=_] h3@a[d5=X] h4@b[d6=X]",
            "too_good",
        ),
        ("h1@a[d1=X d2=X] h2@a[d3=X d4=_] h4@b[d6=X]", "too_good"),
        // Crowded on one host, while the zone has another one.
        ("h1@a[d1=X d2=X] h2@a[d3=_] h3@b[d4=X]", "ideal(3)"),
        // A zone of one host has its copies there.
        ("h1@a[d1=X d2=_] h3@b[d3=X]", "ideal(2)"),
        ("h1@a[d1=X d2=X] h3@b[d3=X]", "good"),
        // A zone that can take none: elsewhere for the while, and back when it can.
        ("h1@a[d1=X] h2@a[d2=X d3=_] h3@b=down[d4=_]", "desperate(3)"),
        ("h1@a[d1=X] h2@a[d2=X d3=X] h3@b=down[d4=_]", "no_answer"),
        ("h1@a[d1=X] h2@a[d2=X d3=X] h3@b[d4=_]", "ideal(4)"),
        ("h1@a[d1=X] h2@a[d2=X d3=X] h3@b[d4=X]", "too_good"),
        // Nobody is in the other zone at all.
        ("h1@a[d1=X] h2@a[d2=X]", "no_answer"),
        ("h1[d1=_] h2@a[d2=_]", "ideal(2) desperate(1)"),
    ] {
        check("HostsPerNetwork(a=2, b=1)", 9, layout, expected);
    }
}

#[test]
fn a_union_wants_what_each_of_its_policies_wants() {
    let union = "Union(MultipleHosts(2), MultipleDevices(3))";
    for (layout, expected) in [
        ("h1[d1=_ d2=_] h2[d3=_]", "ideal(1,2,3)"),
        // One that helps both comes before one that adds a copy.
        ("h1[d1=X d2=_] h2[d3=_]", "ideal(3) desperate(2)"),
        ("h1[d1=X d2=_] h2[d3=X]", "ideal(2)"),
        ("h1[d1=X d2=X] h2[d3=X]", "good"),
        ("h1[d1=X d2=X d3=X] h2[d4=_]", "ideal(4)"),
        ("h1[d1=X d2=X d3=X] h2[d4=X]", "too_good"),
        ("h1[d1=X d2=X] h2=down[d3=_] h3[d4=X]", "good"),
        ("h1[d1=X d2=X] h2=down[d3=_]", "no_answer"),
        ("h1[d1=X d2=X d3=_] h2=down[d4=_]", "ideal(3)"),
    ] {
        check(union, 1, layout, expected);
    }
    let zones = "Union(MultipleDevices(), HostsPerNetwork(b=1))";
    for (layout, expected) in [
        ("h1@a[d1=X d2=_] h2@b[d3=_]", "ideal(3)"),
        ("h1@a[d1=X d2=X] h2@b[d3=_]", "ideal(3)"),
        ("h1@a[d1=X d2=_] h2@b[d3=X]", "good"),
        ("h1@a[d1=X d2=X] h2@b[d3=X]", "too_good"),
    ] {
        check(zones, 2, layout, expected);
    }
}

#[test]
fn a_policy_says_how_many_copies_it_wants() {
    for (policy, min, expected) in [
        ("", 3, 3),
        ("MultipleHosts(2)", 3, 2),
        ("MultipleDevices()", 0, 1),
        ("MultipleNetworks()", 2, 2),
        ("HostsPerNetwork(a=2,b=1)", 9, 3),
        ("Union(MultipleHosts(2), MultipleDevices(3))", 1, 3),
        ("Union(MultipleHosts(), HostsPerNetwork(a=1,b=1))", 3, 3),
        ("Union(HostsPerNetwork(a=2,b=1), HostsPerNetwork(a=1,c=1))", 1, 4),
    ] {
        assert_eq!(
            PolicySpec::parse(policy).unwrap().copies(min),
            expected,
            "{policy} {min}"
        );
    }
}
