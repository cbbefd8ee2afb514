//! Domains, classes, hosts, devices and settings, as operators manage them.

use std::time::Duration;

use mogul_storage::{DevId, HashType};
use mogul_tracker::{
    Error, Tracker,
    clock::Clock as _,
    command::{
        Change,
        classes::{CreateClass, UpdateClass},
        cluster::{Copied, CopyFile},
        devices::{CreateDevice, DeviceChanges, DeviceRef, HostRef},
        hosts::{CreateHost, UpdateHost},
    },
    jobs::{fsck::Fsck, replicate::Replicate},
    meta::sql::Engine,
    model::{Class, ClassName, DeviceStatus, DomainName, HostId, HostStatus, UserId},
    policy::PolicyText,
    view::Observed,
};

use crate::{
    engines::for_each_engine,
    world::{Mood, World, dev, key},
};

/// Fails unless a command answered with that error.
macro_rules! refused {
    ($outcome:expr, $error:pat) => {
        let outcome = $outcome;
        assert!(matches!(outcome, Err($error)), "{outcome:?}");
    };
}

fn domain(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn class(domain: &str, name: &str) -> CreateClass {
    CreateClass {
        domain: domain.to_owned(),
        name: ClassName::parse(name).unwrap(),
        mindevcount: 2,
        policy: None,
        hash: None,
    }
}

fn update(domain: &str, name: &str) -> UpdateClass {
    UpdateClass {
        domain: domain.to_owned(),
        name: ClassName::parse(name).unwrap(),
        mindevcount: None,
        policy: Change::Keep,
        hash: Change::Keep,
    }
}

fn host(name: &str, number: u8) -> CreateHost {
    CreateHost {
        name: name.to_owned(),
        ip: format!("127.0.9.{number}"),
        port: 7500 + u16::from(number),
        status: HostStatus::Alive,
        get_port: None,
        alt_ip: None,
        alt_mask: None,
    }
}

fn device(id: u32, host: &str) -> CreateDevice {
    CreateDevice {
        device: dev(id),
        host: HostRef::Name(host.to_owned()),
        status: DeviceStatus::Alive,
    }
}

fn at(id: u32, host: &str) -> DeviceRef {
    DeviceRef {
        device: dev(id),
        host: Some(host.to_owned()),
    }
}

async fn classes(tracker: &Tracker, name: &str) -> Vec<Class> {
    let domains = tracker.domains().await;
    let found = domains.iter().find(|it| it.bucket.domain.name.as_str() == name);
    found.unwrap().classes.values().cloned().collect()
}

#[tokio::test]
async fn a_domain_is_a_bucket_of_root_until_it_is_deleted() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;

        tracker.create_domain(&domain("döm 2")).await.unwrap();
        let bucket = tracker.bucket("döm 2").await.unwrap();
        assert_eq!(
            (bucket.owner, bucket.created),
            (UserId::root(), world.clock.now())
        );
        refused!(tracker.create_domain(&domain("döm 2")).await, Error::DomainExists);
        refused!(
            tracker.create_domain(&domain("bucket")).await,
            Error::DomainExists
        );

        tracker.delete_domain("döm 2").await.unwrap();
        refused!(tracker.bucket("döm 2").await, Error::UnknownDomain);
        refused!(tracker.delete_domain("döm 2").await, Error::UnknownDomain);
    })
    .await;
}

#[tokio::test]
async fn a_domain_with_files_or_classes_stays() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let tracker = &world.tracker;
        tracker.create_class(class("bucket", "kept")).await.unwrap();
        world.put("key", b"bytes").await;

        refused!(tracker.delete_domain("bucket").await, Error::DomainNotEmpty);
        world.delete("key").await;
        refused!(tracker.delete_domain("bucket").await, Error::DomainHasClasses);
        tracker.delete_class("bucket", "kept").await.unwrap();
        tracker.delete_domain("bucket").await.unwrap();

        assert!(tracker.domains().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_class_is_made_changed_and_deleted() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;
        let policy = PolicyText::parse("Union(MultipleHosts(2), MultipleDevices(2))").unwrap();
        let request = CreateClass {
            policy: Some(policy.clone()),
            hash: Some(HashType::Sha1),
            ..class("bucket", "union")
        };

        tracker.create_class(request).await.unwrap();
        refused!(
            tracker.create_class(class("bucket", "UNION")).await,
            Error::ClassExists
        );
        refused!(
            tracker.create_class(class("nosuch", "x")).await,
            Error::UnknownDomain
        );
        let made = classes(tracker, "bucket").await.pop().unwrap();
        assert_eq!(
            (made.id.0, made.mindevcount, made.hash),
            (1, 2, Some(HashType::Sha1))
        );
        assert_eq!(made.policy, policy.to_string());

        let request = UpdateClass {
            mindevcount: Some(3),
            hash: Change::Clear,
            ..update("bucket", "union")
        };
        tracker.update_class(request).await.unwrap();
        refused!(
            tracker.update_class(update("bucket", "nosuch")).await,
            Error::UnknownClass
        );
        refused!(
            tracker.update_class(update("nosuch", "union")).await,
            Error::UnknownDomain
        );
        let changed = classes(tracker, "bucket").await.pop().unwrap();
        assert_eq!((changed.mindevcount, changed.hash), (3, None));
        assert_eq!(changed.policy, policy.to_string(), "it was not mentioned");

        tracker.delete_class("bucket", "union").await.unwrap();
        refused!(tracker.delete_class("bucket", "union").await, Error::UnknownClass);
        refused!(tracker.delete_class("bucket", "").await, Error::UnknownClass);
        refused!(
            tracker.delete_class("nosuch", "default").await,
            Error::DefaultClass
        );
        refused!(tracker.delete_class("nosuch", "x").await, Error::UnknownDomain);
    })
    .await;
}

#[tokio::test]
async fn whoever_copies_a_file_knows_its_class_as_it_was_changed_a_moment_ago() {
    for_each_engine(async |db| {
        if db.engine() == Engine::Sqlite {
            // It has one process.
            return;
        }
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        world.put("key", b"bytes").await;
        world.tracker.create_class(class("bucket", "much")).await.unwrap();
        let other = world.other().await;
        let three = UpdateClass {
            mindevcount: Some(3),
            ..update("bucket", "much")
        };
        world.tracker.update_class(three).await.unwrap();
        let much = classes(&world.tracker, "bucket").await.pop().unwrap();
        let reclassed = world.tracker.reclass_file(world.domain, key("key"), much);
        reclassed.await.unwrap();

        world.run(Replicate::new(&other)).await;

        assert_eq!(world.object("key").await.replicas.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn fsck_judges_by_a_class_as_it_was_changed_a_moment_ago() {
    for_each_engine(async |db| {
        if db.engine() == Engine::Sqlite {
            // It has one process.
            return;
        }
        let world = World::on(db, &[&[1], &[2], &[3]]).await;
        world.put("key", b"bytes").await;
        let other = world.other().await;
        let three = UpdateClass {
            mindevcount: Some(3),
            ..update("bucket", "default")
        };
        world.tracker.update_class(three).await.unwrap();
        world.tracker.fsck_start().await.unwrap();

        world.run(Fsck::new(&other)).await;
        world.run(Replicate::new(&other)).await;

        assert_eq!(world.object("key").await.replicas.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn the_class_default_gets_a_row_when_it_is_changed() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;

        let request = UpdateClass {
            mindevcount: Some(5),
            hash: Change::Set(HashType::Md5),
            ..update("bucket", "default")
        };
        tracker.update_class(request).await.unwrap();

        let all = classes(tracker, "bucket").await;
        assert_eq!((all.len(), all[0].id.0, all[0].mindevcount), (1, 0, 5));
        assert_eq!(world.class().await.hash, Some(HashType::Md5));
        refused!(
            tracker.create_class(class("bucket", "default")).await,
            Error::ClassExists
        );
        refused!(
            tracker.delete_class("bucket", "Default").await,
            Error::DefaultClass
        );
    })
    .await;
}

#[tokio::test]
async fn a_class_with_files_stays() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let tracker = &world.tracker;
        tracker.create_class(class("bucket", "hot")).await.unwrap();
        let hot = ClassName::parse("hot").unwrap();
        let hot = tracker.class_named(world.domain, &hot).await.unwrap();
        let opened = world.open_in(&hot).await.unwrap();
        let stored = world.write(&opened, b"bytes", 1).await;
        world.record("key", opened, stored).await.unwrap();

        refused!(tracker.delete_class("bucket", "hot").await, Error::ClassNotEmpty);
        world.delete("key").await;
        tracker.delete_class("bucket", "hot").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn names_and_numbers_outside_their_limits_are_refused_and_leave_nothing() {
    let world = World::new(&[&[1]]).await;
    let tracker = &world.tracker;
    let long = "x".repeat(300);

    assert!(DomainName::parse(&long).is_none() && DomainName::parse(&"ü".repeat(255)).is_some());
    assert!(ClassName::parse(&"x".repeat(51)).is_none() && ClassName::parse(&"ü".repeat(50)).is_some());
    assert!(PolicyText::parse(&format!("MultipleHosts({})", " ".repeat(255))).is_err());
    let none = CreateClass {
        mindevcount: 0,
        ..class("bucket", "none")
    };
    refused!(
        tracker.create_class(none).await,
        Error::Invalid {
            field: "mindevcount",
            ..
        }
    );
    let odd = CreateClass {
        hash: Some(HashType::Sha256),
        ..class("bucket", "odd")
    };
    refused!(
        tracker.create_class(odd).await,
        Error::Invalid {
            field: "hashtype",
            ..
        }
    );
    refused!(
        tracker.create_host(host(&long, 1)).await,
        Error::Invalid { field: "host", .. }
    );
    for ip in ["", "a b", "127.0.0.1/../..", "1234567890.12345"] {
        let request = CreateHost {
            ip: ip.to_owned(),
            ..host("h", 1)
        };
        refused!(
            tracker.create_host(request).await,
            Error::Invalid { field: "ip", .. }
        );
    }
    let heavy = tracker
        .change_device(at(1, "host1"), DeviceChanges::weight(8_388_608))
        .await;
    refused!(heavy, Error::Invalid { field: "weight", .. });

    assert_eq!(classes(tracker, "bucket").await.len(), 1);
    assert_eq!(tracker.hosts().await.len(), 1);
}

#[tokio::test]
async fn a_host_is_made_changed_and_deleted() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let tracker = &world.tracker;

        assert_eq!(tracker.create_host(host("h3", 3)).await.unwrap(), HostId(3));
        refused!(tracker.create_host(host("h3", 4)).await, Error::HostExists);
        refused!(tracker.create_host(host("h4", 3)).await, Error::AddressTaken);

        let request = UpdateHost {
            name: "h3".to_owned(),
            status: Some(HostStatus::Down),
            get_port: Change::Set(7600),
            alt_ip: Change::Set("127.0.4.3".to_owned()),
            alt_mask: Change::Set("127.0.9.0/24".to_owned()),
            ..UpdateHost::default()
        };
        assert_eq!(tracker.update_host(request).await.unwrap(), HostId(3));
        let changed = tracker.hosts().await.pop().unwrap();
        assert_eq!(
            (changed.status, changed.port, changed.get_port),
            (HostStatus::Down, 7503, Some(7600))
        );
        let same = CreateHost {
            alt_ip: changed.alt_ip.clone(),
            ..host("h4", 4)
        };
        refused!(tracker.create_host(same).await, Error::AddressTaken);
        let moved = UpdateHost {
            name: "h3".to_owned(),
            ip: Some("127.0.0.1".to_owned()),
            ..UpdateHost::default()
        };
        refused!(tracker.update_host(moved).await, Error::AddressTaken);
        let unknown = UpdateHost {
            name: "nosuch".to_owned(),
            ..UpdateHost::default()
        };
        refused!(tracker.update_host(unknown).await, Error::UnknownHost);

        refused!(tracker.delete_host("host1").await, Error::HostNotEmpty);
        tracker.delete_host("h3").await.unwrap();
        refused!(tracker.delete_host("h3").await, Error::UnknownHost);
        assert_eq!(tracker.hosts().await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_device_is_made_and_changed() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        let tracker = &world.tracker;

        tracker.create_device(device(7, "host2")).await.unwrap();
        refused!(
            tracker.create_device(device(7, "host2")).await,
            Error::DeviceExists
        );
        refused!(
            tracker.create_device(device(8, "nosuch")).await,
            Error::UnknownHost
        );
        let by_number = CreateDevice {
            host: HostRef::Id(HostId(9)),
            ..device(8, "")
        };
        refused!(tracker.create_device(by_number).await, Error::UnknownHost);

        let set = async |at, status| tracker.change_device(at, DeviceChanges::status(status)).await;
        let weigh = async |at, weight| tracker.change_device(at, DeviceChanges::weight(weight)).await;
        refused!(
            set(at(9, "host2"), DeviceStatus::Down).await,
            Error::UnknownDevice
        );
        refused!(set(at(7, "host1"), DeviceStatus::Down).await, Error::HostMismatch);
        set(at(7, "host2"), DeviceStatus::Dead).await.unwrap();
        refused!(set(at(7, "host2"), DeviceStatus::Alive).await, Error::DeadDevice);
        set(at(7, "host2"), DeviceStatus::Down).await.unwrap();
        set(at(7, "host2"), DeviceStatus::Drain).await.unwrap();

        refused!(weigh(at(9, "host2"), 5).await, Error::UnknownDevice);
        refused!(weigh(at(7, "host1"), 5).await, Error::HostMismatch);
        weigh(at(7, "host2"), 50).await.unwrap();

        let found = tracker.devices().await.pop().unwrap().device;
        assert_eq!(
            (found.id, found.status, found.weight),
            (dev(7), DeviceStatus::Drain, 50)
        );

        // What is refused in part is refused whole.
        set(at(7, "host2"), DeviceStatus::Dead).await.unwrap();
        let both = DeviceChanges {
            status: Some(DeviceStatus::Alive),
            weight: Some(70),
        };
        refused!(
            tracker.change_device(at(7, "host2"), both).await,
            Error::DeadDevice
        );
        let found = tracker.devices().await.pop().unwrap().device;
        assert_eq!((found.status, found.weight), (DeviceStatus::Dead, 50));
    })
    .await;
}

#[tokio::test]
async fn settings_are_written_as_their_form_wants_and_read_back() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;
        let set = async |key, value| tracker.set_server_setting(key, value).await;

        refused!(set("foo", "1").await, Error::SettingReadOnly);
        refused!(set("mogul_schema_version", "1").await, Error::SettingReadOnly);
        refused!(
            set("skip_devcount", "maybe").await,
            Error::InvalidSetting("Unknown format")
        );
        set("skip_mkcol", "yes").await.unwrap();
        assert!(tracker.view().setting_is_on("skip_mkcol"));
        set("slave_k1", "DBI:mysql:x|u|p").await.unwrap();
        set("slave_k1", "").await.unwrap();
        set("fsck_checksum", "MD5").await.unwrap();

        assert_eq!(tracker.server_setting("slave_k1").await.unwrap(), None);
        let seen = tracker.server_settings().await.unwrap();
        let seen: Vec<(&str, &str)> = seen.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected = [
            ("auto_dead_after", "3600"),
            ("fsck_checksum", "MD5"),
            ("schema_version", "17"),
            ("skip_mkcol", "1"),
            ("slave_version", "2"),
        ];
        assert_eq!(seen, expected);

        set("fsck_checksum", "class").await.unwrap();
        assert_eq!(tracker.server_setting("fsck_checksum").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_device_that_goes_on_telling_old_figures_takes_no_files() {
    let world = World::of_others(&[(7501, 1), (7502, 2)]).await;
    let tracker = &world.tracker;
    for (name, number) in [("h1", 1), ("h2", 2)] {
        tracker.create_host(host(name, number)).await.unwrap();
        tracker
            .create_device(device(u32::from(number), name))
            .await
            .unwrap();
    }
    world.mood(1, Mood::Frozen);
    world.monitor().await;
    assert!(tracker.view().device(dev(1)).unwrap().free_bytes.is_some());

    world.clock.advance(Duration::from_mins(3));
    let taking = || -> Vec<DevId> { tracker.view().candidates().iter().map(|one| one.id).collect() };
    // Our own node reads its figures anew, and tells the second in which it did.
    while taking() != [dev(2)] {
        world.monitor().await;
    }

    world.mood(1, Mood::Well);
    world.monitor().await;
    assert_eq!(tracker.view().candidates().len(), 2);
}

#[tokio::test]
async fn a_device_of_another_process_is_used_from_when_it_is_made() {
    let world = World::of_others(&[(7501, 1), (7502, 2)]).await;
    let tracker = &world.tracker;
    for (name, number) in [("h1", 1), ("h2", 2)] {
        tracker.create_host(host(name, number)).await.unwrap();
        tracker
            .create_device(device(u32::from(number), name))
            .await
            .unwrap();
    }
    assert_eq!(seen(tracker, 1), Observed::Writable);
    let written = world.folder().join("dev1/test-write");
    assert_eq!(
        std::fs::read_dir(written).unwrap().count(),
        1,
        "and what was refused is not there"
    );

    world.put("key", b"bytes").await;

    assert_eq!(world.read("key").await, b"bytes");
    let view = tracker.view();
    assert_eq!(view.device(dev(1)).unwrap().rejects_bad_md5, Some(true));
    assert!(view.device(dev(1)).unwrap().device.mb_total.unwrap() > 0);
}

#[tokio::test]
async fn a_host_that_moves_is_reached_where_it_is_now() {
    let world = World::of_others(&[(7501, 1)]).await;
    let tracker = &world.tracker;
    let wrong = CreateHost {
        port: 7999,
        ..host("h1", 1)
    };
    tracker.create_host(wrong).await.unwrap();
    tracker.create_device(device(1, "h1")).await.unwrap();
    assert_eq!(seen(tracker, 1), Observed::Unreachable);

    let moved = UpdateHost {
        name: "h1".to_owned(),
        port: Some(7501),
        ..UpdateHost::default()
    };
    tracker.update_host(moved).await.unwrap();

    assert_eq!(seen(tracker, 1), Observed::Writable);
}

#[tokio::test]
async fn a_device_that_takes_no_files_is_only_read() {
    let world = World::of_others(&[(7501, 1)]).await;
    let tracker = &world.tracker;
    tracker.create_host(host("h1", 1)).await.unwrap();
    tracker.create_device(device(1, "h1")).await.unwrap();
    world.mood(1, Mood::ReadOnly);

    tracker.look_now().await.unwrap();
    assert_eq!(seen(tracker, 1), Observed::Writable, "it was tried a moment ago");
    world.clock.advance(Duration::from_secs(15));
    tracker.look_now().await.unwrap();
    assert_eq!(seen(tracker, 1), Observed::Readable);

    world.mood(1, Mood::Well);
    world.clock.advance(Duration::from_secs(15));
    tracker.look_now().await.unwrap();
    assert_eq!(seen(tracker, 1), Observed::Writable);
    tracker
        .change_device(at(1, "h1"), DeviceChanges::status(DeviceStatus::ReadOnly))
        .await
        .unwrap();
    assert_eq!(seen(tracker, 1), Observed::Readable, "it is not tried any more");
}

#[tokio::test]
async fn what_waits_to_be_replicated_is_made_due_at_once() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1], &[2]]).await;
        world.put_degraded("key", b"bytes", 1).await;
        let other = if world.object("key").await.replicas == [dev(1)] {
            2
        } else {
            1
        };
        world.mood(other, Mood::Away);
        world.monitor().await;
        world.replicate().await;
        assert_eq!(world.object("key").await.replicas.len(), 1);
        world.mood(other, Mood::Well);
        world.monitor().await;

        assert_eq!(world.tracker.replicate_now().await.unwrap(), 1);

        world.replicate().await;

        assert_eq!(world.object("key").await.replicas.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn one_copy_is_made_where_the_operator_wants_it() {
    let world = World::new(&[&[1], &[2], &[3]]).await;
    world.put("key", b"bytes").await;
    let object = world.object("key").await;
    let free: Vec<DevId> = [1, 2, 3]
        .map(dev)
        .into_iter()
        .filter(|it| !object.replicas.contains(it))
        .collect();
    let request = CopyFile {
        fid: object.fid,
        from: object.replicas[0],
        to: free[0],
    };

    let copied = world.tracker.copy_file(request).await.unwrap();

    assert_eq!(copied, Copied::Recorded);
    assert_eq!(world.object("key").await.replicas.len(), 3);
    let nowhere = CopyFile {
        to: dev(9),
        ..request
    };
    refused!(world.tracker.copy_file(nowhere).await, Error::UnknownDevice);
}

fn seen(tracker: &Tracker, device: u32) -> Observed {
    tracker.view().device(dev(device)).unwrap().observed
}
