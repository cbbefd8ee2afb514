//! Copying objects: sources, directives, conditions, and copies onto themselves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use mogul_api::s3::{Parts, S3};
use mogul_tracker::{
    clock::{Clock, SystemClock},
    model::Timestamp,
    rng::SystemEntropy,
};

use crate::world::{Answer, World, call};

async fn world() -> World {
    let world = World::new().await;
    world.bucket("bucket").await;
    world.bucket("other").await;
    let put = call("PUT", "/bucket/source")
        .header("content-type", "text/plain")
        .header("x-amz-meta-a", "1")
        .header("x-amz-tagging", "tag=1")
        .header("x-amz-website-redirect-location", "/elsewhere")
        .body("hello");
    assert_eq!(world.send(put).await.status, 200);
    world
}

fn copy(target: &str, source: &str) -> crate::world::Call {
    call("PUT", target).header("x-amz-copy-source", source)
}

async fn head(world: &World, target: &str) -> Answer {
    world.send(call("HEAD", target)).await
}

#[tokio::test]
async fn a_copy_has_the_bytes_metadata_and_tags_of_its_source_and_files_of_its_own() {
    let world = world().await;

    let answer = world.send(copy("/other/copy", "/bucket/source")).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    let etag = answer.one("CopyObjectResult", "ETag");
    assert_eq!(etag.as_deref(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert!(
        answer
            .one("CopyObjectResult", "LastModified")
            .unwrap()
            .ends_with('Z')
    );
    let found = world.send(call("GET", "/other/copy")).await;
    assert_eq!(found.text(), "hello");
    for (name, value) in [
        ("content-type", "text/plain"),
        ("x-amz-meta-a", "1"),
        ("x-amz-tagging-count", "1"),
        ("x-amz-website-redirect-location", ""),
    ] {
        assert_eq!(found.header(name), value, "{name}");
    }
    assert_eq!(world.files(), 4);
}

#[tokio::test]
async fn directives_replace_metadata_and_tags() {
    let world = world().await;
    let replaced = copy("/bucket/copy", "bucket/source")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-tagging-directive", "REPLACE")
        .header("x-amz-meta-b", "2");
    assert_eq!(world.send(replaced).await.status, 200);
    let ignored = copy("/bucket/kept", "bucket/source").header("x-amz-meta-b", "2");
    assert_eq!(world.send(ignored).await.status, 200);

    let found = head(&world, "/bucket/copy").await;
    assert_eq!(
        (found.header("x-amz-meta-a"), found.header("x-amz-meta-b")),
        ("", "2")
    );
    assert_eq!(found.header("content-type"), "binary/octet-stream");
    assert_eq!(found.header("x-amz-tagging-count"), "");
    let found = head(&world, "/bucket/kept").await;
    assert_eq!(
        (found.header("x-amz-meta-a"), found.header("x-amz-meta-b")),
        ("1", "")
    );
    let unknown = copy("/bucket/copy", "bucket/source").header("x-amz-metadata-directive", "MERGE");
    assert_eq!(
        world.send(unknown).await.error(),
        (400, "InvalidArgument".to_owned())
    );
}

#[tokio::test]
async fn a_copy_onto_itself_changes_metadata_or_class_without_moving_bytes() {
    let world = world().await;
    let before = world.paths();

    let same = world.send(copy("/bucket/source", "bucket/source")).await;
    assert_eq!(same.error(), (400, "InvalidRequest".to_owned()));
    let replaced = copy("/bucket/source", "bucket/source")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-b", "2");
    assert_eq!(world.send(replaced).await.status, 200);
    let found = head(&world, "/bucket/source").await;
    assert_eq!(
        (found.header("x-amz-meta-a"), found.header("x-amz-meta-b")),
        ("", "2")
    );
    assert_eq!(found.header("x-amz-tagging-count"), "1");
    let moved = copy("/bucket/source", "bucket/source").header("x-amz-storage-class", "REDUCED_REDUNDANCY");
    assert_eq!(world.send(moved).await.status, 200);

    let found = world.send(call("GET", "/bucket/source")).await;
    assert_eq!(
        (found.text().as_str(), found.header("x-amz-storage-class")),
        ("hello", "REDUCED_REDUNDANCY")
    );
    assert_eq!(found.header("x-amz-meta-b"), "2");
    assert_eq!(world.paths(), before);
}

#[tokio::test]
async fn a_copy_onto_itself_can_be_given_another_checksum() {
    let world = world().await;
    let answer = copy("/bucket/source", "bucket/source").header("x-amz-checksum-algorithm", "sha1");

    let answer = world.send(answer).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    let sha1 = answer.one("CopyObjectResult", "ChecksumSHA1");
    assert_eq!(sha1.as_deref(), Some("qvTGHdzF6KLavt4PO0gs2a6pQ00="));
    let found = head(&world, "/bucket/source").await;
    assert_eq!(found.header("x-amz-meta-a"), "1");
}

#[tokio::test]
async fn all_conditions_on_a_source_fail_with_412() {
    let world = world().await;
    let etag = head(&world, "/bucket/source").await.header("etag").to_owned();
    let past = "Wed, 21 Oct 2015 07:28:00 GMT";
    for (name, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", "\"other\"", 412),
        ("if-none-match", "\"other\"", 200),
        ("if-none-match", etag.as_str(), 412),
        ("if-modified-since", past, 200),
        ("if-unmodified-since", past, 412),
    ] {
        let copied =
            copy("/bucket/copy", "bucket/source").header(&format!("x-amz-copy-source-{name}"), value);

        assert_eq!(world.send(copied).await.status, status, "{name}: {value}");
    }
    let first = copy("/bucket/copy", "bucket/source").header("if-none-match", "*");
    assert_eq!(world.send(first).await.status, 412);
    let first = copy("/bucket/new", "bucket/source").header("if-none-match", "*");
    assert_eq!(world.send(first).await.status, 200);
}

#[tokio::test]
async fn a_source_that_is_not_there_or_not_meant_is_refused() {
    let world = world().await;
    for (source, status, code) in [
        ("bucket/absent", 404, "NoSuchKey"),
        ("absent/source", 404, "NoSuchBucket"),
        ("bucket/source?versionId=none", 404, "NoSuchVersion"),
        ("bucket", 400, "InvalidArgument"),
        ("", 400, "InvalidArgument"),
    ] {
        let answer = world.send(copy("/bucket/copy", source)).await;

        assert_eq!(answer.error(), (status, code.to_owned()), "{source}");
    }
    assert_eq!(head(&world, "/bucket/copy").await.status, 404);
}

/// `RustFS` GHSA-mx42 and `SeaweedFS` CVE-2026-55874: the source was not authorised, or another spelling of it was.
#[tokio::test]
async fn the_source_of_every_copy_is_authorised_by_its_decoded_name() {
    let world = world().await;
    let mallory = world.user("mallory").await;
    assert_eq!(world.send(call("PUT", "/mine").by(&mallory)).await.status, 200);
    let begun = world.send(call("POST", "/mine/up?uploads").by(&mallory)).await;
    let upload = begun.one("InitiateMultipartUploadResult", "UploadId").unwrap();
    for source in [
        "bucket/source",
        "/bucket/source",
        "%62ucket/source",
        "bucket%2Fsource",
        "/bucket%2fsource",
    ] {
        let object = world.send(copy("/mine/copy", source).by(&mallory)).await;
        assert_eq!(object.error(), (403, "AccessDenied".to_owned()), "{source}");
        let target = format!("/mine/up?partNumber=1&uploadId={upload}");
        let part = world.send(copy(&target, source).by(&mallory)).await;
        assert_eq!(part.error(), (403, "AccessDenied".to_owned()), "{source}");
    }
    for source in ["mine/../bucket/source", "mine/..%2Fbucket/source"] {
        let answer = world.send(copy("/mine/copy", source).by(&mallory)).await;
        assert_eq!(answer.error(), (404, "NoSuchKey".to_owned()), "{source}");
    }
    assert_eq!(world.files(), 2);
}

#[tokio::test]
async fn a_large_object_is_copied_as_a_stream() {
    let world = world().await;
    let bytes: Vec<u8> = (0..6_000_000_u32)
        .map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1])
        .collect();
    let etag = world.put("/bucket/large", bytes.clone()).await;

    let answer = world.send(copy("/other/large", "bucket/large")).await;

    assert_eq!(answer.one("CopyObjectResult", "ETag"), Some(etag));
    assert!(world.send(call("GET", "/other/large")).await.body == bytes);
}

/// A clock by which whatever is waited for first takes too long.
struct Hasty(AtomicBool);

impl Clock for Hasty {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        if self.0.swap(false, Ordering::Relaxed) {
            Box::pin(std::future::ready(()))
        } else {
            Box::pin(tokio::task::yield_now())
        }
    }
}

#[tokio::test]
async fn a_copy_that_takes_long_is_answered_at_once_and_ends_in_its_document_or_an_error() {
    let mut world = world().await;
    let clock = Arc::new(Hasty(AtomicBool::new(true)));
    world.s3 = S3::new(Parts {
        config: world.s3.config.clone(),
        tracker: world.tracker.clone(),
        metrics: mogul_api::metrics::Metrics::default(),
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy),
        tasks: world.tasks.clone(),
    });

    let copied = world.send(copy("/bucket/copy", "bucket/source")).await;
    clock.0.store(true, Ordering::Relaxed);
    let refused = world
        .send(copy("/bucket/copy", "bucket/source").header("if-none-match", "*"))
        .await;

    for answer in [&copied, &refused] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text().find("<?xml"), Some(0));
        assert_eq!(answer.text().matches("<?xml").count(), 1);
    }
    let etag = copied.one("CopyObjectResult", "ETag");
    assert_eq!(etag.as_deref(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(refused.error(), (200, "PreconditionFailed".to_owned()));
}
