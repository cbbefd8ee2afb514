//! What every request gets and every answer has.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use mogul_storage::{Node, server::router};
use tower::ServiceExt as _;

use crate::world::{World, call};

#[tokio::test]
async fn every_answer_has_its_ids_and_errors_repeat_them() {
    let world = World::new().await;
    world.bucket("bucket").await;

    let fine = world.send(call("GET", "/bucket")).await;
    let refused = world.send(call("GET", "/bucket/missing%26key")).await;
    let unparsable = world.send(call("GET", "/bucket/%ff")).await;

    for answer in [&fine, &refused, &unparsable] {
        let id = answer.header("x-amz-request-id");
        assert_eq!(id.len(), 16);
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        );
        assert!(!answer.header("x-amz-id-2").is_empty());
        assert!(answer.header("date").ends_with(" GMT"));
        assert_eq!(answer.header("server"), "mogul");
    }
    assert_ne!(
        fine.header("x-amz-request-id"),
        refused.header("x-amz-request-id")
    );
    let error = refused.xml("Error");
    assert_eq!(refused.error(), (404, "NoSuchKey".to_owned()));
    assert_eq!(error.text_of("Key"), Some("missing&key"));
    assert_eq!(error.text_of("Resource"), Some("/bucket/missing%26key"));
    assert_eq!(
        error.text_of("RequestId"),
        Some(refused.header("x-amz-request-id"))
    );
    assert_eq!(error.text_of("HostId"), Some(refused.header("x-amz-id-2")));
    assert_eq!(unparsable.error(), (400, "InvalidURI".to_owned()));
}

#[tokio::test]
async fn a_head_that_fails_says_so_without_a_body() {
    let world = World::new().await;
    world.bucket("bucket").await;

    for (target, status) in [("/bucket/missing", 404), ("/missing", 404), ("/bucket/%ff", 400)] {
        let answer = world.send(call("HEAD", target)).await;

        assert_eq!((answer.status, answer.body.len()), (status, 0), "{target}");
    }
}

#[tokio::test]
async fn a_panic_ends_one_request_with_500_and_no_other() {
    let panicking = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&panicking);
    let world = World::with_node("us-east-1", |devices| {
        let router = router(devices);
        Node::new(tower::service_fn(move |request| {
            assert!(!armed.load(Ordering::SeqCst), "a bug in the handler");
            router.clone().oneshot(request)
        }))
    })
    .await;
    world.bucket("bucket").await;
    world.put("/bucket/k", "kept").await;

    for request in [call("GET", "/bucket/k"), call("PUT", "/bucket/new").body("x")] {
        panicking.store(true, Ordering::SeqCst);
        let answer = world.send(request).await;
        panicking.store(false, Ordering::SeqCst);

        assert_eq!(answer.error(), (500, "InternalError".to_owned()));
        let error = answer.xml("Error");
        assert_eq!(
            error.text_of("RequestId"),
            Some(answer.header("x-amz-request-id"))
        );
        assert!(!answer.text().contains("bug"), "{}", answer.text());
    }

    assert_eq!(world.send(call("HEAD", "/bucket/new")).await.status, 404);
    assert_eq!(world.send(call("GET", "/bucket/k")).await.text(), "kept");
    world.put("/bucket/new", "x").await;
}

/// A body that counts how much of it was asked for.
fn counted(pieces: usize) -> (Body, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let body = stream::iter((0..pieces).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1024]))
    }));
    (Body::from_stream(body), read)
}

#[tokio::test]
async fn a_refused_body_is_read_to_its_end_unless_its_sender_waits_to_be_asked() {
    let world = World::new().await;
    world.bucket("bucket").await;
    let put = || call("PUT", "/missing/key");

    let (body, read) = counted(8);
    let answer = world.answer(put().request(body)).await;
    world.tasks.close();
    world.tasks.wait().await;
    assert_eq!((answer.status, answer.header("connection")), (404, ""));
    assert_eq!(read.load(Ordering::SeqCst), 8);

    let (body, read) = counted(8);
    let waiting = put().header("expect", "100-continue");
    let answer = world.answer(waiting.request(body)).await;
    world.tasks.wait().await;
    assert_eq!((answer.status, answer.header("connection")), (404, "close"));
    assert_eq!(read.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_connection_is_closed_on_which_nobody_was_asked_for_an_empty_body() {
    let world = World::new().await;
    world.bucket("bucket").await;
    let put = || call("PUT", "/bucket/empty");

    let waiting = put().header("expect", "100-continue");
    let waiting = world.answer(waiting.request(Body::empty())).await;
    let plain = world.answer(put().request(Body::empty())).await;

    assert_eq!((waiting.status, waiting.header("connection")), (200, "close"));
    assert_eq!((plain.status, plain.header("connection")), (200, ""));
}

#[tokio::test]
async fn a_bucket_is_reached_by_its_host_name() {
    let world = World::new().await;
    world.bucket("my.dotted.bucket").await;
    world.put("/my.dotted.bucket/a//b", "x").await;
    let request = |host: &str, target: &str| {
        let mut request = call("GET", target).anonymous().request(Body::empty());
        request.headers_mut().insert("host", host.parse().unwrap());
        request
    };

    let by_host = world
        .answer(request("my.dotted.bucket.localhost:9000", "/a//b"))
        .await;
    let missing = world.answer(request("missing.localhost", "/a//b")).await;

    // Unsigned, so refused; but only after the bucket was found.
    assert_eq!(by_host.error(), (403, "AccessDenied".to_owned()));
    assert_eq!(missing.error(), (404, "NoSuchBucket".to_owned()));
}

#[tokio::test]
async fn the_owner_whom_a_client_expects_must_be_the_owner() {
    let world = World::new().await;
    world.bucket("bucket").await;
    let root = "0".repeat(63) + "1";

    let right = call("GET", "/bucket").header("x-amz-expected-bucket-owner", &root);
    let wrong = call("GET", "/bucket").header("x-amz-expected-bucket-owner", "111122223333");

    assert_eq!(world.send(right).await.status, 200);
    assert_eq!(world.send(wrong).await.error(), (403, "AccessDenied".to_owned()));
}

#[tokio::test]
async fn preflights_and_unknown_methods_are_answered() {
    let world = World::new().await;
    world.bucket("bucket").await;

    let preflight = world.send(call("OPTIONS", "/bucket/k").anonymous()).await;
    let patch = world.send(call("PATCH", "/bucket/k")).await;

    assert_eq!(preflight.error(), (403, "AccessForbidden".to_owned()));
    assert_eq!(patch.error(), (405, "MethodNotAllowed".to_owned()));
    assert_eq!(patch.header("allow"), "GET, HEAD, PUT, DELETE");
}
