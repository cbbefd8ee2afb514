//! Writing objects: PUT, its conditions, its framings, and what a failure leaves behind.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::world::{World, call};

async fn world() -> World {
    let world = World::new().await;
    world.bucket("bucket").await;
    world
}

#[tokio::test]
async fn a_put_answers_the_md5_and_a_checksum_and_lies_on_two_devices() {
    let world = world().await;

    let answer = world.send(call("PUT", "/bucket/k").body("hello")).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("etag"), "\"5d41402abc4b2a76b9719d911017c592\"");
    assert_eq!(answer.header("x-amz-checksum-type"), "FULL_OBJECT");
    assert_eq!(answer.header("x-amz-checksum-crc64nvme").len(), 12);
    assert_eq!(answer.header("x-mogul-degraded"), "");
    for path in world.paths() {
        assert_eq!(std::fs::read(path).unwrap(), b"hello");
    }
    assert_eq!(world.files(), 2);
}

#[tokio::test]
async fn an_overwrite_replaces_the_object() {
    let world = world().await;
    world.put("/bucket/k", "first").await;
    world.put("/bucket/k", "second").await;

    assert_eq!(world.send(call("GET", "/bucket/k")).await.text(), "second");
}

#[tokio::test]
async fn keys_are_taken_as_they_come() {
    let world = world().await;
    let keys = [
        "a//b",
        "/a",
        "..%2Fx",
        ".",
        "..",
        "dir/",
        "a%20b",
        "a+b",
        "a%2Bb",
        "%25",
        "%F0%9F%98%80",
        "e%CC%81",
        "%C3%A9",
        "a%0D%0Ab",
        "%2A%27%28%29",
        "~",
        "A",
        "a",
        "a%20",
        "0",
        "null",
    ];
    for (at, key) in keys.iter().enumerate() {
        world.put(&format!("/bucket/{key}"), at.to_string()).await;
    }

    for (at, key) in keys.iter().enumerate() {
        // `a+b` and `a%2Bb` are one key.
        let expected = if *key == "a+b" { at + 1 } else { at };
        let answer = world.send(call("GET", format!("/bucket/{key}"))).await;
        assert_eq!(answer.text(), expected.to_string(), "{key}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_was_said_leaves_nothing() {
    let world = world().await;
    for (headers, code) in [
        (&[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")][..], "BadDigest"),
        (&[("content-md5", "nonsense")], "InvalidDigest"),
        (&[("x-amz-checksum-crc32", "AAAAAA==")], "BadDigest"),
        (&[("x-amz-checksum-crc32", "AA==")], "InvalidRequest"),
        (&[("x-amz-sdk-checksum-algorithm", "CRC32")], "InvalidRequest"),
        (&[("x-amz-storage-class", "GLACIER")], "InvalidStorageClass"),
        (&[("x-amz-storage-class", "NONE_SUCH")], "InvalidStorageClass"),
        (&[("x-amz-tagging", "a=1&a=2")], "InvalidArgument"),
        (
            &[("x-amz-website-redirect-location", "nowhere")],
            "InvalidRedirectLocation",
        ),
    ] {
        let mut put = call("PUT", "/bucket/k").body("hello");
        for (name, value) in headers {
            put = put.header(name, *value);
        }

        let answer = world.send(put).await;

        assert_eq!(answer.error(), (400, code.to_owned()), "{headers:?}");
    }
    let other = call("PUT", "/bucket/k")
        .body("hello")
        .request(Body::from("hellO"));
    assert_eq!(
        world.answer(other).await.error(),
        (400, "XAmzContentSHA256Mismatch".to_owned())
    );
    let short = call("PUT", "/bucket/k").body("hello").request(Body::from("hell"));
    assert_eq!(
        world.answer(short).await.error(),
        (400, "IncompleteBody".to_owned())
    );
    assert_eq!(world.files(), 0);
    assert_eq!(world.send(call("HEAD", "/bucket/k")).await.status, 404);
}

#[tokio::test]
async fn metadata_and_size_have_limits() {
    let world = world().await;
    let put = call("PUT", "/bucket/k")
        .header("x-amz-meta-a", "x".repeat(2048))
        .body("x");
    assert_eq!(
        world.send(put).await.error(),
        (400, "MetadataTooLarge".to_owned())
    );

    let large = call("PUT", "/bucket/k").body(Bytes::from(vec![0; (64 << 20) + 1]));
    assert_eq!(
        world.send(large).await.error(),
        (400, "EntityTooLarge".to_owned())
    );
    assert_eq!(world.files(), 0);
}

#[tokio::test]
async fn a_storage_class_is_a_class_and_is_shown() {
    let world = world().await;
    let put = call("PUT", "/bucket/k")
        .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .body("x");

    let answer = world.send(put).await;

    assert_eq!(
        (answer.status, answer.header("x-amz-storage-class")),
        (200, "REDUCED_REDUNDANCY")
    );
    assert_eq!(world.files(), 1);
    let head = world.send(call("HEAD", "/bucket/k")).await;
    assert_eq!(head.header("x-amz-storage-class"), "REDUCED_REDUNDANCY");
}

#[tokio::test]
async fn conditional_writes_are_decided_as_by_aws() {
    let world = world().await;
    let etag = world.put("/bucket/there", "x").await;
    for (key, name, value, status) in [
        ("there", "if-none-match", "*", 412),
        ("there", "if-none-match", etag.as_str(), 412),
        ("there", "if-match", "\"other\"", 412),
        ("absent", "if-match", etag.as_str(), 404),
        ("absent", "if-match", "*", 404),
        ("absent", "if-none-match", "*", 200),
        ("there", "if-match", etag.as_str(), 200),
        ("there", "if-match", "*", 200),
        ("there", "if-none-match", "\"other\"", 200),
    ] {
        let put = call("PUT", format!("/bucket/{key}"))
            .header(name, value)
            .body("x");

        assert_eq!(world.send(put).await.status, status, "{key} {name}: {value}");
    }
}

#[tokio::test]
async fn of_racing_first_writes_one_wins() {
    let world = world().await;
    let put = |at: usize| {
        let put = call("PUT", "/bucket/lock")
            .header("if-none-match", "*")
            .body(at.to_string());
        world.send(put)
    };

    let answers = futures_util::future::join_all((0..16).map(put)).await;

    let won: Vec<usize> = (0..16).filter(|at| answers[*at].status == 200).collect();
    assert_eq!(won.len(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 || answer.status == 412)
    );
    let stored = world.send(call("GET", "/bucket/lock")).await.text();
    assert_eq!(stored, won[0].to_string());
}

#[tokio::test]
async fn framed_bodies_are_stored_without_their_frame() {
    let world = world().await;
    let put = call("PUT", "/bucket/k")
        .signed_as("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "5")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .body("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n");

    let answer = world.send(put).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-amz-checksum-crc32"), "NhCmhg==");
    let get = world.send(call("GET", "/bucket/k")).await;
    assert_eq!(
        (get.text().as_str(), get.header("content-encoding")),
        ("hello", "")
    );
    let wrong = call("PUT", "/bucket/other")
        .signed_as("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .body("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
    assert_eq!(world.send(wrong).await.error(), (400, "BadDigest".to_owned()));
    assert_eq!(world.files(), 2);
}

/// A body that is sent piece by piece; it ends when the sender is dropped.
fn piecewise() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<_, Infallible>(piece), receiver))
    });
    (sender, Body::from_stream(pieces))
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing() {
    let world = world().await;
    let (sender, body) = piecewise();
    let put = call("PUT", "/bucket/k").body(vec![0; 1 << 20]);
    let answer = tokio::spawn(world.s3.clone().oneshot(put.request(body)));
    for _ in 0..8 {
        sender.send(Bytes::from(vec![0; 1 << 16])).await.unwrap();
    }

    answer.abort();
    drop(sender);
    world.quiet().await;

    assert_eq!(world.files(), 0);
    assert_eq!(world.send(call("HEAD", "/bucket/k")).await.status, 404);
}

#[tokio::test]
async fn a_client_that_hangs_up_after_the_last_byte_has_stored_all_or_nothing() {
    let world = world().await;
    let (sender, body) = piecewise();
    let put = call("PUT", "/bucket/k").body("hello");
    let answer = tokio::spawn(world.s3.clone().oneshot(put.request(body)));
    sender.send(Bytes::from("hello")).await.unwrap();
    drop(sender);

    answer.abort();
    world.quiet().await;

    let found = world.send(call("GET", "/bucket/k")).await;
    match found.status {
        200 => assert_eq!((found.text().as_str(), world.files()), ("hello", 2)),
        status => assert_eq!((status, world.files()), (404, 0)),
    }
}
