//! Reading objects: GET, HEAD and `GetObjectAttributes`.

use axum::body::Body;
use bytes::Bytes;

use crate::world::{Answer, World, call};

async fn world() -> World {
    let world = World::new().await;
    world.bucket("bucket").await;
    world
}

fn shown(answer: &Answer) -> (u16, String, String) {
    (
        answer.status,
        answer.header("content-range").to_owned(),
        answer.text(),
    )
}

#[tokio::test]
async fn get_answers_the_bytes_and_what_was_stored_beside_them() {
    let world = world().await;
    let put = call("PUT", "/bucket/a%20b%2Fc")
        .header("content-type", "text/plain")
        .header("cache-control", "no-store")
        .header("expires", "whenever")
        .header("content-encoding", "gzip,aws-chunked")
        .header("x-amz-meta-Colour", "blue")
        .header("x-amz-tagging", "a=1&b=2")
        .body("hello");
    let put = world.send(put).await;
    assert_eq!(put.status, 200, "{}", put.text());

    for method in ["GET", "HEAD"] {
        let answer = world.send(call(method, "/bucket/a%20b%2Fc")).await;

        assert_eq!(answer.status, 200);
        assert_eq!(answer.text(), if method == "GET" { "hello" } else { "" });
        for (name, value) in [
            ("content-length", "5"),
            ("content-type", "text/plain"),
            ("cache-control", "no-store"),
            ("expires", "whenever"),
            ("content-encoding", "gzip"),
            ("x-amz-meta-colour", "blue"),
            ("x-amz-tagging-count", "2"),
            ("accept-ranges", "bytes"),
            ("etag", "\"5d41402abc4b2a76b9719d911017c592\""),
            ("x-amz-storage-class", ""),
            ("x-amz-checksum-crc64nvme", ""),
        ] {
            assert_eq!(answer.header(name), value, "{method} {name}");
        }
        assert!(answer.header("last-modified").ends_with(" GMT"));
    }
}

#[tokio::test]
async fn objects_of_all_sizes_come_back_whole_and_in_ranges() {
    let world = world().await;
    for size in [0, 1, 65_536, 262_144, 262_145, 5_000_001] {
        let bytes: Vec<u8> = (0..size)
            .map(|at: usize| u8::try_from(at % 251).unwrap())
            .collect();
        let etag = world.put("/bucket/k", bytes.clone()).await;

        let whole = world.send(call("GET", "/bucket/k")).await;
        assert_eq!((whole.status, whole.body.len()), (200, size));
        assert_eq!(whole.header("etag"), etag);
        assert!(whole.body == bytes, "{size}");
        let half = size / 2;
        if half > 0 {
            let range = call("GET", "/bucket/k").header("range", format!("bytes={half}-"));
            let answer = world.send(range).await;
            assert_eq!(answer.status, 206);
            assert!(answer.body == bytes[half..], "{size}");
        }
    }
}

#[tokio::test]
async fn ranges_are_answered_as_by_aws() {
    let world = world().await;
    world.put("/bucket/k", "0123456789").await;
    world.put("/bucket/empty", "").await;
    for (range, expected) in [
        ("bytes=2-4", (206, "bytes 2-4/10", "234")),
        ("bytes=-3", (206, "bytes 7-9/10", "789")),
        ("bytes=8-99", (206, "bytes 8-9/10", "89")),
        ("bytes=5-2", (200, "", "0123456789")),
        ("bytes=0-1,4-5", (200, "", "0123456789")),
        ("lines=0-1", (200, "", "0123456789")),
    ] {
        let get = world.send(call("GET", "/bucket/k").header("range", range)).await;
        let head = world.send(call("HEAD", "/bucket/k").header("range", range)).await;

        let (status, content_range, body) = shown(&get);
        assert_eq!(
            (status, content_range.as_str(), body.as_str()),
            expected,
            "{range}"
        );
        assert_eq!(head.status, get.status);
        assert_eq!(head.header("content-length"), get.body.len().to_string());
    }
    for (key, range, size) in [
        ("k", "bytes=10-", 10),
        ("k", "bytes=-0", 10),
        ("empty", "bytes=0-0", 0),
    ] {
        let answer = world
            .send(call("GET", format!("/bucket/{key}")).header("range", range))
            .await;

        assert_eq!(answer.error(), (416, "InvalidRange".to_owned()), "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes */{size}"));
        assert_eq!(answer.one("Error", "ActualObjectSize"), Some(size.to_string()));
    }
}

#[tokio::test]
async fn a_range_counts_only_if_the_object_is_still_the_one_it_was_meant_for() {
    let world = world().await;
    let etag = world.put("/bucket/k", "0123456789").await;
    let modified = world
        .send(call("HEAD", "/bucket/k"))
        .await
        .header("last-modified")
        .to_owned();
    for (condition, status) in [
        (etag.as_str(), 206),
        (modified.as_str(), 206),
        ("\"other\"", 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
    ] {
        let resumed = call("GET", "/bucket/k")
            .header("range", "bytes=5-")
            .header("if-range", condition);

        assert_eq!(world.send(resumed).await.status, status, "{condition}");
    }
}

#[tokio::test]
async fn conditions_decide_between_the_object_304_and_412() {
    let world = world().await;
    let etag = world.put("/bucket/k", "x").await;
    for (name, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", "\"other\"", 412),
        ("if-none-match", etag.as_str(), 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT", 200),
        ("if-unmodified-since", "Wed, 21 Oct 2015 07:28:00 GMT", 412),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = world.send(call(method, "/bucket/k").header(name, value)).await;

            assert_eq!(answer.status, status, "{method} {name}: {value}");
            if status == 304 {
                assert_eq!((answer.header("etag"), answer.body.len()), (etag.as_str(), 0));
                assert_ne!(answer.header("last-modified"), "");
            }
        }
    }
    let refused = world
        .send(call("GET", "/bucket/k").header("if-match", "\"other\""))
        .await;
    assert_eq!(refused.one("Error", "Condition").as_deref(), Some("If-Match"));
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_key_and_to_head_by_the_status_alone() {
    let world = world().await;

    let get = world.send(call("GET", "/bucket/no%20such")).await;
    let head = world.send(call("HEAD", "/bucket/no%20such")).await;

    assert_eq!(get.error(), (404, "NoSuchKey".to_owned()));
    assert_eq!(get.one("Error", "Key").as_deref(), Some("no such"));
    assert_eq!((head.status, head.body.len()), (404, 0));
}

#[tokio::test]
async fn a_part_can_be_read_by_its_number() {
    let world = world().await;
    world.put("/bucket/plain", "0123456789").await;
    world.put("/bucket/empty", "").await;
    for (target, expected) in [
        ("/bucket/plain?partNumber=1", Ok((206, "bytes 0-9/10"))),
        ("/bucket/empty?partNumber=1", Ok((200, ""))),
        ("/bucket/plain?partNumber=2", Err((416, "InvalidPartNumber"))),
        ("/bucket/plain?partNumber=0", Err((400, "InvalidArgument"))),
        ("/bucket/plain?partNumber=10001", Err((400, "InvalidArgument"))),
        ("/bucket/plain?partNumber=x", Err((400, "InvalidArgument"))),
    ] {
        let answer = world.send(call("GET", target)).await;

        match expected {
            Ok(expected) => assert_eq!((answer.status, answer.header("content-range")), expected),
            Err((status, code)) => assert_eq!(answer.error(), (status, code.to_owned()), "{target}"),
        }
    }
    let both = call("GET", "/bucket/plain?partNumber=1").header("range", "bytes=0-1");
    assert_eq!(world.send(both).await.error(), (400, "InvalidRequest".to_owned()));
}

#[tokio::test]
async fn a_signed_read_may_override_headers() {
    let world = world().await;
    world.put("/bucket/k", "x").await;
    let target = "/bucket/k?response-content-type=a%2Fb&response-content-disposition=attachment%3B%20filename%3D%22x%22";

    let answer = world.send(call("GET", target)).await;

    assert_eq!(answer.header("content-type"), "a/b");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"x\"");
}

#[tokio::test]
async fn a_checksum_is_shown_when_asked_for_and_only_of_the_whole() {
    let world = world().await;
    let put = call("PUT", "/bucket/k").header("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=");
    assert_eq!(world.send(put.body("hello")).await.status, 200);
    let asked = |method, target| call(method, target).header("x-amz-checksum-mode", "enabled");

    for method in ["GET", "HEAD"] {
        let answer = world.send(asked(method, "/bucket/k")).await;
        assert_eq!(
            answer.header("x-amz-checksum-sha1"),
            "qvTGHdzF6KLavt4PO0gs2a6pQ00="
        );
        assert_eq!(answer.header("x-amz-checksum-type"), "FULL_OBJECT");
    }
    let part = world
        .send(asked("GET", "/bucket/k").header("range", "bytes=0-1"))
        .await;
    assert_eq!(part.header("x-amz-checksum-sha1"), "");
}

#[tokio::test]
async fn attributes_are_answered_as_asked() {
    let world = world().await;
    world.put("/bucket/k", "hello").await;
    let asked =
        |attributes: &str| call("GET", "/bucket/k?attributes").header("x-amz-object-attributes", attributes);
    let root = "GetObjectAttributesResponse";

    let all = world
        .send(asked("ETag,Checksum, ObjectParts,StorageClass,ObjectSize"))
        .await;

    assert_eq!(
        all.one(root, "ETag").as_deref(),
        Some("5d41402abc4b2a76b9719d911017c592")
    );
    assert_eq!(all.one(root, "ObjectSize").as_deref(), Some("5"));
    assert_eq!(all.one(root, "StorageClass").as_deref(), Some("STANDARD"));
    let checksum = all.xml(root);
    let checksum = checksum.child("Checksum").unwrap();
    assert_eq!(checksum.text_of("ChecksumType"), Some("FULL_OBJECT"));
    assert!(checksum.text_of("ChecksumCRC64NVME").is_some());
    assert_eq!(world.send(asked("ETag")).await.one(root, "ObjectSize"), None);
    assert_eq!(
        world.send(asked("Etag")).await.error(),
        (400, "InvalidArgument".to_owned())
    );
    let none = world.send(call("GET", "/bucket/k?attributes")).await;
    assert_eq!(none.error(), (400, "InvalidRequest".to_owned()));
}

#[tokio::test]
async fn a_rotten_copy_is_never_served() {
    let world = world().await;
    world.put("/bucket/k", "hello").await;
    let paths = world.paths();
    assert_eq!(paths.len(), 2);

    std::fs::write(&paths[0], "hellO").unwrap();
    for _ in 0..4 {
        assert_eq!(world.send(call("GET", "/bucket/k")).await.text(), "hello");
    }
    std::fs::write(&paths[1], "Hello").unwrap();

    let refused = world.send(call("GET", "/bucket/k")).await;
    assert_eq!(refused.error(), (503, "ServiceUnavailable".to_owned()));
}

#[tokio::test]
async fn a_large_read_that_fails_under_way_does_not_end_well() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let world = world().await;
    world.put("/bucket/k", Bytes::from(vec![7; 8 << 20])).await;
    for path in world.paths() {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8 << 20 >> 1] = 8;
        std::fs::write(&path, bytes).unwrap();
    }

    let request = call("GET", "/bucket/k").request(Body::empty());
    let answer = world.s3.clone().oneshot(request).await.unwrap();

    let whole = answer.status() == 200 && answer.into_body().collect().await.is_ok();
    assert!(!whole);
}
