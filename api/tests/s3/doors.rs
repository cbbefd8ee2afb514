//! Every route, through every door: who is not known or not allowed reaches nothing, and changes nothing.

use axum::body::Body;

use crate::world::{Call, World, call};

/// A request of each operation, reading or writing.
const ROUTES: [(&str, &str); 39] = [
    ("GET", "/"),
    ("PUT", "/new"),
    ("HEAD", "/bucket"),
    ("DELETE", "/bucket"),
    ("GET", "/bucket"),
    ("GET", "/bucket?list-type=2"),
    ("GET", "/bucket?versions"),
    ("GET", "/bucket?uploads"),
    ("GET", "/bucket?location"),
    ("GET", "/bucket?acl"),
    ("GET", "/bucket?policy"),
    ("GET", "/bucket?versioning"),
    ("GET", "/bucket?tagging"),
    ("PUT", "/bucket?tagging"),
    ("DELETE", "/bucket?tagging"),
    ("PUT", "/bucket?policy"),
    ("PUT", "/bucket?acl"),
    ("PUT", "/bucket?versioning"),
    ("DELETE", "/bucket?policy"),
    ("POST", "/bucket?delete"),
    ("GET", "/bucket/k"),
    ("HEAD", "/bucket/k"),
    ("GET", "/bucket/k?attributes"),
    ("GET", "/bucket/k?partNumber=1"),
    ("GET", "/bucket/k?tagging"),
    ("GET", "/bucket/k?acl"),
    ("GET", "/bucket/k?uploadId=u"),
    ("PUT", "/bucket/k"),
    ("PUT", "/bucket/k?tagging"),
    ("PUT", "/bucket/k?acl"),
    ("PUT", "/bucket/k?retention"),
    ("PUT", "/bucket/k?partNumber=1&uploadId=u"),
    ("DELETE", "/bucket/k"),
    ("DELETE", "/bucket/k?tagging"),
    ("DELETE", "/bucket/k?uploadId=u"),
    ("POST", "/bucket/k?uploads"),
    ("POST", "/bucket/k?uploadId=u"),
    ("POST", "/bucket/k?restore"),
    ("POST", "/bucket/k?select&select-type=2"),
];

async fn world() -> World {
    let world = World::new().await;
    world.bucket("bucket").await;
    world.put("/bucket/k", "secret").await;
    world
}

async fn unchanged(world: &World) {
    assert_eq!(world.send(call("GET", "/bucket/k")).await.text(), "secret");
    assert_eq!(world.send(call("HEAD", "/new")).await.status, 404);
    assert_eq!(world.files(), 2);
}

fn unsigned(method: &str, target: &str, headers: &[(&str, &str)]) -> http::Request<Body> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", crate::world::HOST)
        .header("content-length", "5");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from("hello")).unwrap()
}

/// `MinIO` CVE-2026-40344 and -41145, `SeaweedFS` #2180: a kind of payload, or credentials in an unusual place, were let by.
#[tokio::test]
async fn no_route_is_open_to_a_request_without_a_valid_signature() {
    let world = world().await;
    let header = "AWS4-HMAC-SHA256 Credential=root/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=root%2F20260101%2Fus-east-1%2Fs3%2Faws4_request\
                 &X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    let credential_alone = "X-Amz-Credential=root%2F20260101%2Fus-east-1%2Fs3%2Faws4_request";
    for (method, target) in ROUTES {
        let with = |query: &str| {
            let separator = if target.contains('?') { '&' } else { '?' };
            format!("{target}{separator}{query}")
        };
        for payload in [
            "",
            "UNSIGNED-PAYLOAD",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        ] {
            let hash = ("x-amz-content-sha256", payload);
            let hash: &[_] = if payload.is_empty() { &[] } else { &[hash] };
            let signed: Vec<_> = hash.iter().copied().chain([("authorization", header)]).collect();
            for request in [
                unsigned(method, target, hash),
                unsigned(method, target, &signed),
                unsigned(method, &with(query), hash),
                unsigned(method, &with(credential_alone), hash),
                unsigned(method, &with(query), &signed),
                unsigned(
                    method,
                    &with("AWSAccessKeyId=root&Signature=x&Expires=9999999999"),
                    hash,
                ),
            ] {
                let uri = request.uri().to_string();
                let status = world.answer(request).await.status;
                // What is not implemented is told to everybody at most; nothing else is.
                assert!((400..500).contains(&status), "{method} {uri} {payload}: {status}");
            }
        }
    }
    unchanged(&world).await;
}

#[tokio::test]
async fn another_user_reaches_nothing_of_a_bucket() {
    let world = world().await;
    let mallory = world.user("mallory").await;
    for (method, target) in ROUTES {
        if !target.starts_with("/bucket") {
            continue;
        }
        let answer = world.send(call(method, target).by(&mallory).body("hello")).await;

        assert_eq!(answer.status, 403, "{method} {target}: {}", answer.text());
    }
    unchanged(&world).await;
}

#[tokio::test]
async fn a_key_that_was_removed_opens_no_door() {
    let world = world().await;
    let user = world.user("alice").await;
    assert_eq!(world.send(call("GET", "/").by(&user)).await.status, 200);
    world.tracker.remove_key(&user.access_key).await.unwrap();

    let answer = world.send(call("GET", "/").by(&user)).await;

    assert_eq!(answer.error(), (403, "InvalidAccessKeyId".to_owned()));
    assert_eq!(answer.one("Error", "AWSAccessKeyId"), Some(user.access_key.0));
}

#[tokio::test]
async fn a_wrong_secret_is_told_what_was_signed() {
    let world = world().await;
    let mut user = world.user("alice").await;
    user.secret_key.0.push('x');

    let answer = world.send(call("GET", "/bucket?prefix=a%20b").by(&user)).await;

    assert_eq!(answer.error(), (403, "SignatureDoesNotMatch".to_owned()));
    let canonical = answer.one("Error", "CanonicalRequest").unwrap();
    assert!(
        canonical.starts_with("GET\n/bucket\nprefix=a%20b\n"),
        "{canonical}"
    );
    assert!(!answer.text().contains(&user.secret_key.0));
}

#[tokio::test]
async fn framed_payloads_are_for_objects_and_parts_alone() {
    let world = world().await;
    let framed = |call: Call| {
        call.signed_as("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .body("0\r\n\r\n")
    };
    for (method, target) in [
        ("PUT", "/bucket/k?tagging"),
        ("PUT", "/bucket?tagging"),
        ("POST", "/bucket?delete"),
        ("PUT", "/new"),
    ] {
        let answer = world.send(framed(call(method, target))).await;

        assert_eq!(
            answer.error(),
            (400, "InvalidRequest".to_owned()),
            "{method} {target}"
        );
    }
}
