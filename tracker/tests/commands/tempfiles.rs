//! Uploads of the tracker port: opened, closed in every way, and what is left of them.

use std::time::Duration;

use axum::body::Body;
use mogul_storage::{DevFid, DevId, Digest, Fid, HashType};
use mogul_tracker::{
    Error,
    clock::Clock as _,
    command::tempfiles::{CloseError, CloseTempfile, OpenTempfile, OpenedTempfile, Verify},
    jobs::{delete::Delete, digest, expire::Expire},
    model::ETag,
};

use crate::{
    engines::for_each_engine,
    stock::Stock,
    world::{Mood, World, dev, key},
};

/// Reserves a fid with so many devices.
pub(crate) async fn open(world: &World, devices: usize) -> OpenedTempfile {
    let class = world.class().await;
    let request = OpenTempfile {
        class: &class,
        key: None,
        fid: None,
        size: None,
        devices,
    };
    world.tracker.open_tempfile(request).await.unwrap()
}

async fn open_as(world: &World, fid: u64) -> Result<OpenedTempfile, Error> {
    let class = world.class().await;
    let request = OpenTempfile {
        class: &class,
        key: None,
        fid: Fid::new(fid),
        size: None,
        devices: 1,
    };
    world.tracker.open_tempfile(request).await
}

/// Stores bytes as a client does, by the node alone.
async fn write(world: &World, opened: &OpenedTempfile, bytes: &[u8]) -> DevFid {
    let at = DevFid {
        device: opened.devices[0],
        fid: opened.fid,
    };
    let size = u64::try_from(bytes.len()).unwrap();
    let body = Body::from(bytes.to_vec());
    let node = world.node(at.device.get());
    node.put(at, Some(size), body).await.unwrap();
    at
}

/// What a client says that checks nothing.
fn closing(world: &World, at: DevFid, name: &str) -> CloseTempfile {
    CloseTempfile {
        domain: world.domain,
        at,
        key: Some(key(name)),
        size: None,
        digest: None,
    }
}

async fn close(world: &World, request: CloseTempfile) -> Result<(), CloseError> {
    match world.tracker.close_tempfile(request).await {
        Ok(()) => Ok(()),
        Err(Error::Close(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

/// Stores a file as a client of the tracker port does.
pub(crate) async fn store(world: &World, name: &str, bytes: &[u8]) -> DevFid {
    let opened = open(world, 1).await;
    let at = write(world, &opened, bytes).await;
    close(world, closing(world, at, name)).await.unwrap();
    at
}

fn md5(hex: &str) -> Digest {
    Digest {
        hash: HashType::Md5,
        bytes: hex::decode(hex).unwrap(),
    }
}

const MD5_OF_HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

#[tokio::test]
async fn a_closed_upload_is_an_object_at_once_and_has_its_md5_soon() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 3).await;

        let at = store(&world, "k", b"hello").await;

        let object = world.object("k").await;
        assert_eq!((object.fid, object.size), (at.fid, 5));
        assert_eq!(object.etag, ETag::stand_in(at.fid));
        assert_eq!(object.modified, world.clock.now());
        assert_eq!(world.get("k").await.unwrap(), b"hello");
        world.run(digest::Digest::new(&world.tracker)).await;
        let object = world.object("k").await;
        assert_eq!(object.etag, ETag(MD5_OF_HELLO.to_owned()));
        assert!(object.crc64.is_some());
        assert_eq!(world.get("k").await.unwrap(), b"hello");
    })
    .await;
}

#[tokio::test]
async fn what_replaces_a_file_is_there_and_what_was_replaced_goes() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 3).await;
        let first = store(&world, "k", b"first").await;
        world.replicate().await;

        store(&world, "k", b"second").await;
        world.delete_all().await;

        assert_eq!(world.get("k").await.unwrap(), b"second");
        assert!(world.on_disk(first.fid).is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_upload_is_closed_once_and_by_whoever_comes_after_a_crash() {
    for_each_engine(async |db| {
        let mut world = Stock::new(db, 3).await;
        let opened = open(&world, 3).await;
        assert_eq!(opened.devices.len(), 3);
        let at = write(&world, &opened, b"hello").await;

        world.restart().await;
        world.collect().await;

        close(&world, closing(&world, at, "k")).await.unwrap();
        let again = close(&world, closing(&world, at, "other")).await;
        assert_eq!(again, Err(CloseError::NotOpen));
        world.collect().await;
        assert_eq!(world.get("k").await.unwrap(), b"hello");
    })
    .await;
}

#[tokio::test]
async fn of_closes_that_race_one_wins() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        let opened = open(&world, 1).await;
        let at = write(&world, &opened, b"hello").await;
        let names = ["a", "b", "c", "d", "e", "f"];

        let closes = names.map(|name| close(&world, closing(&world, at, name)));
        let outcomes = futures_util::future::join_all(closes).await;

        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "{outcomes:?}");
        world.delete_all().await;
        let winner = outcomes.iter().position(Result::is_ok).unwrap();
        assert_eq!(world.get(names[winner]).await.unwrap(), b"hello");
    })
    .await;
}

/// Closes an upload of five bytes in a way that fails, and looks whether anything of it is left.
async fn check(world: &Stock, expected: CloseError, change: impl FnOnce(&mut CloseTempfile)) {
    let opened = open(world, 1).await;
    let at = write(world, &opened, b"hello").await;
    let mut request = closing(world, at, "never");
    change(&mut request);

    let closed = close(world, request).await;

    assert_eq!(closed, Err(expected));
    let again = close(world, closing(world, at, "never")).await;
    assert_eq!(again, Err(CloseError::NotOpen));
    world.delete_all().await;
    assert!(world.on_disk(at.fid).is_empty());
    let found = world.tracker.object(world.domain, &key("never")).await;
    assert!(matches!(found, Err(Error::UnknownKey)));
}

#[tokio::test]
async fn a_close_that_fails_says_why_and_leaves_nothing() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 2).await;
        let differs = CloseError::SizeDiffers {
            expected: 6,
            actual: 5,
        };
        check(&world, differs, |request| request.size = Some(6)).await;

        let wrong = md5("00000000000000000000000000000000");
        let differs = CloseError::DigestDiffers {
            expected: wrong.clone(),
            actual: md5(MD5_OF_HELLO),
        };
        check(&world, differs, |request| {
            request.digest = Some((wrong, Verify::Compare));
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_device_that_was_not_offered_is_refused_and_what_it_holds_goes_too() {
    let world = World::new(&[&[1, 2]]).await;
    let opened = open(&world, 1).await;
    let at = write(&world, &opened, b"hello").await;
    let other = dev(3 - at.device.get());

    let closed = close(
        &world,
        closing(
            &world,
            DevFid {
                device: other,
                fid: at.fid,
            },
            "k",
        ),
    )
    .await;

    let offered: Vec<DevId> = opened.devices.clone();
    let expected = CloseError::NotOffered {
        device: other,
        offered,
    };
    assert_eq!(closed, Err(expected));
    world.run(Delete::new(&world.tracker)).await;
    assert!(world.on_disk(at.fid).is_empty());
}

#[tokio::test]
async fn what_a_client_left_on_a_device_it_gave_up_goes() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 4).await;
        let opened = open(&world, 3).await;
        let first = write(&world, &opened, b"lost").await;
        let second = OpenedTempfile {
            devices: opened.devices[1..].to_vec(),
            ..opened
        };
        let at = write(&world, &second, b"hello").await;

        close(&world, closing(&world, at, "k")).await.unwrap();
        world.replicate().await;

        let mut on_record = world.object("k").await.replicas;
        on_record.sort_unstable();
        assert_eq!(on_record.len(), 2);
        assert_eq!(world.on_disk(first.fid), on_record);
        assert_eq!(world.get("k").await.unwrap(), b"hello");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_was_never_put_or_cannot_be_looked_at_is_not_closed() {
    let world = World::new(&[&[1]]).await;
    let opened = open(&world, 1).await;
    let at = DevFid {
        device: opened.devices[0],
        fid: opened.fid,
    };
    assert_eq!(
        close(&world, closing(&world, at, "k")).await,
        Err(CloseError::Missing)
    );

    let opened = open(&world, 1).await;
    let at = write(&world, &opened, b"hello").await;
    world.mood(1, Mood::Away);
    let closed = close(&world, closing(&world, at, "k")).await;
    assert_eq!(closed, Err(CloseError::Unreachable));
}

#[tokio::test]
async fn an_upload_closed_without_a_key_is_thrown_away() {
    let world = World::new(&[&[1]]).await;
    let opened = open(&world, 1).await;
    let at = write(&world, &opened, b"hello").await;
    let request = CloseTempfile {
        key: None,
        ..closing(&world, at, "k")
    };

    close(&world, request).await.unwrap();

    world.run(Delete::new(&world.tracker)).await;
    assert!(world.on_disk(at.fid).is_empty());
}

#[tokio::test]
async fn an_upload_that_is_never_closed_is_given_up_after_an_hour() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 3).await;
        let opened = open(&world, 3).await;
        let at = write(&world, &opened, b"hello").await;
        world.clock.advance(Duration::from_mins(59));
        world.run(Expire::new(&world.tracker)).await;
        world.run(Delete::new(&world.tracker)).await;
        assert_eq!(world.on_disk(at.fid), [at.device]);

        world.clock.advance(Duration::from_mins(2));
        world.run(Expire::new(&world.tracker)).await;
        world.run(Delete::new(&world.tracker)).await;

        assert!(world.on_disk(at.fid).is_empty());
        let closed = close(&world, closing(&world, at, "k")).await;
        assert_eq!(closed, Err(CloseError::NotOpen));
    })
    .await;
}

#[tokio::test]
async fn a_fid_that_the_client_chose_is_taken_once() {
    for_each_engine(async |db| {
        let world = Stock::new(db, 1).await;
        let opened = open_as(&world, 500_000).await.unwrap();
        assert_eq!(opened.fid.get(), 500_000);

        let again = open_as(&world, 500_000).await;
        assert!(matches!(again, Err(Error::FidInUse)), "{again:?}");
        let at = write(&world, &opened, b"hello").await;
        close(&world, closing(&world, at, "k")).await.unwrap();
        let again = open_as(&world, 500_000).await;
        assert!(matches!(again, Err(Error::FidInUse)), "{again:?}");
        let ours = open(&world, 1).await.fid.get();
        let taken = open_as(&world, ours + 1).await;
        assert!(
            matches!(taken, Err(Error::FidInUse)),
            "it lies in a block: {taken:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_digest_that_was_verified_is_the_entity_tag_at_once() {
    let world = World::new(&[&[1, 2]]).await;
    let opened = open(&world, 1).await;
    let at = write(&world, &opened, b"hello").await;
    let request = CloseTempfile {
        size: Some(5),
        digest: Some((md5(MD5_OF_HELLO), Verify::Compare)),
        ..closing(&world, at, "k")
    };

    close(&world, request).await.unwrap();

    assert_eq!(world.object("k").await.etag, ETag(MD5_OF_HELLO.to_owned()));
}

#[tokio::test]
async fn copies_that_differ_are_not_digested_until_it_is_known_which_is_right() {
    let world = World::new(&[&[1, 2]]).await;
    let at = store(&world, "k", b"hello").await;
    world.replicate().await;
    assert_eq!(world.on_disk(at.fid).len(), 2);
    let rotten = world.path(dev(3 - at.device.get()), at.fid);
    std::fs::write(rotten, b"jello").unwrap();

    world.run(digest::Digest::new(&world.tracker)).await;

    assert_eq!(world.object("k").await.etag, ETag::stand_in(at.fid));
    assert_eq!(world.on_disk(at.fid).len(), 2);
}
