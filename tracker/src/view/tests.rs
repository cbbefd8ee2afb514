//! What a view keeps, and what the states of hosts and devices allow.

use super::*;
use crate::model::{DeviceStatus, Domain, DomainName, UserId};

fn host(id: u32, status: HostStatus) -> Host {
    Host {
        id: HostId(id),
        name: format!("host{id}"),
        status,
        ip: format!("127.0.0.{id}"),
        port: 7500,
        get_port: None,
        alt_ip: None,
        alt_mask: None,
    }
}

fn device(id: u32, host: u32, status: DeviceStatus) -> Device {
    Device {
        id: DevId::new(id).unwrap(),
        host: HostId(host),
        status,
        weight: 100,
        mb_total: None,
        mb_used: None,
        mb_asof: None,
        mark: None,
    }
}

fn seen(free_bytes: u64) -> Observation {
    Observation {
        state: Observed::Writable,
        free_bytes: Some(free_bytes),
        ..Observation::default()
    }
}

fn domain(id: u16, name: &str) -> DomainView {
    DomainView {
        bucket: Bucket {
            domain: Domain {
                id: DomainId(id),
                name: DomainName::parse(name).unwrap(),
            },
            owner: UserId::root(),
            created: Timestamp::default(),
        },
        classes: BTreeMap::new(),
        read: Timestamp::default(),
    }
}

#[test]
fn what_was_observed_of_a_device_survives_a_change_of_the_tables() {
    let id = DevId::new(1).unwrap();
    let tables = || {
        (
            vec![host(1, HostStatus::Alive)],
            vec![device(1, 1, DeviceStatus::Alive)],
        )
    };
    let (hosts, devices) = tables();
    let view = ClusterView::default().with_devices(hosts, devices);
    assert!(view.candidates().is_empty(), "not observed yet");

    let view = view.with_observation(id, seen(5));
    let (hosts, devices) = tables();
    let view = view.with_devices(hosts, devices);

    assert_eq!(view.candidates().len(), 1);
    assert!(view.policy_devices(4)[0].takes_files);
    assert!(!view.policy_devices(5)[0].takes_files);
}

#[test]
fn states_say_what_may_be_done_with_a_device() {
    use DeviceStatus as D;
    use HostStatus as H;
    for (host_status, device_status, read, write, delete) in [
        (H::Alive, D::Alive, true, true, true),
        (H::Alive, D::Drain, true, false, true),
        (H::Alive, D::ReadOnly, true, false, false),
        (H::Alive, D::Down, false, false, false),
        (H::Alive, D::Dead, false, false, false),
        (H::ReadOnly, D::Alive, true, false, false),
        (H::Down, D::Alive, false, false, false),
        (H::Dead, D::Alive, false, false, false),
    ] {
        let view = ClusterView::default()
            .with_devices(vec![host(1, host_status)], vec![device(1, 1, device_status)])
            .with_observation(DevId::new(1).unwrap(), seen(1));
        let device = view.device(DevId::new(1).unwrap()).unwrap();

        let found = (device.readable(), device.takes_files(), device.deletable());

        assert_eq!(found, (read, write, delete), "{host_status:?} {device_status:?}");
    }
}

#[test]
fn a_domain_that_was_made_anew_is_found_under_its_new_number() {
    let view = ClusterView::default().with_domain("a", Some(domain(1, "a")));

    let view = view.with_domain("a", Some(domain(2, "a")));
    let view = view.with_domain("b", Some(domain(1, "b")));

    assert_eq!(view.domain_named("a").unwrap().bucket.domain.id, DomainId(2));
    assert_eq!(view.domain_named("b").unwrap().bucket.domain.id, DomainId(1));
    assert!(view.with_domain("a", None).domain(DomainId(2)).is_none());
}
