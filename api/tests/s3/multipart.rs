//! Multipart uploads.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::world::{Answer, World, call};

/// The smallest part that may be followed by another.
const MIB_5: usize = 5 << 20;

const COMPLETED: &str = "CompleteMultipartUploadResult";
const PARTS: &str = "ListPartsResult";
const UPLOADS: &str = "ListMultipartUploadsResult";

async fn world() -> World {
    let world = World::new().await;
    world.bucket("bucket").await;
    world
}

async fn begin(world: &World, target: &str) -> String {
    let answer = world.send(call("POST", format!("{target}?uploads"))).await;
    answer.one("InitiateMultipartUploadResult", "UploadId").unwrap()
}

async fn part(world: &World, target: &str, upload: &str, number: u32, body: Vec<u8>) -> String {
    let target = format!("{target}?partNumber={number}&uploadId={upload}");
    let answer = world.send(call("PUT", target).body(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("etag").to_owned()
}

fn list(parts: &[(u32, &str)]) -> String {
    let mut document = "<CompleteMultipartUpload>".to_owned();
    for (number, etag) in parts {
        let etag = etag.replace('"', "&quot;");
        document.push_str("<Part><ETag>");
        document.push_str(&etag);
        document.push_str("</ETag><PartNumber>");
        document.push_str(&number.to_string());
        document.push_str("</PartNumber></Part>");
    }
    document + "</CompleteMultipartUpload>"
}

async fn complete(world: &World, target: &str, upload: &str, parts: &[(u32, &str)]) -> Answer {
    let target = format!("{target}?uploadId={upload}");
    world.send(call("POST", target).body(list(parts))).await
}

#[tokio::test]
async fn parts_become_one_object_and_a_second_completion_answers_the_same() {
    let world = world().await;
    let upload = begin(&world, "/bucket/big%20one").await;
    let first = part(&world, "/bucket/big%20one", &upload, 2, vec![b'a'; MIB_5]).await;
    let last = part(&world, "/bucket/big%20one", &upload, 9000, b"end".to_vec()).await;

    let parts = [(2, first.as_str()), (9000, last.as_str())];
    let done = complete(&world, "/bucket/big%20one", &upload, &parts).await;
    let again = complete(&world, "/bucket/big%20one", &upload, &parts).await;
    let read = world.send(call("GET", "/bucket/big%20one")).await;

    let etag = done.one(COMPLETED, "ETag").unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    assert_eq!(
        done.one(COMPLETED, "Location").as_deref(),
        Some("http://127.0.0.1:9000/bucket/big%20one")
    );
    assert_eq!(done.one(COMPLETED, "Key").as_deref(), Some("big one"));
    assert_eq!(
        (again.status, again.one(COMPLETED, "ETag")),
        (200, Some(etag.clone()))
    );
    assert_eq!((read.body.len(), read.header("etag")), (MIB_5 + 3, etag.as_str()));
    assert!(read.body.ends_with(b"aaaend"));
    let late = world
        .send(call("PUT", format!("/bucket/big%20one?partNumber=3&uploadId={upload}")).body("x"))
        .await;
    assert_eq!(late.error(), (404, "NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn a_completion_that_lists_what_is_not_there_leaves_the_upload_as_it_was() {
    let world = world().await;
    let upload = begin(&world, "/bucket/k").await;
    let small = part(&world, "/bucket/k", &upload, 1, b"small".to_vec()).await;
    let other = part(&world, "/bucket/k", &upload, 2, b"other".to_vec()).await;

    for (parts, code) in [
        (&[(1, small.as_str()), (2, other.as_str())][..], "EntityTooSmall"),
        (&[(2, other.as_str()), (1, small.as_str())], "InvalidPartOrder"),
        (&[(1, small.as_str()), (1, small.as_str())], "InvalidPartOrder"),
        (&[(1, other.as_str())], "InvalidPart"),
        (&[(3, small.as_str())], "InvalidPart"),
        (&[(0, small.as_str())], "InvalidArgument"),
        (&[(10_001, small.as_str())], "InvalidArgument"),
        (&[], "MalformedXML"),
    ] {
        let answer = complete(&world, "/bucket/k", &upload, parts).await;

        assert_eq!(answer.error(), (400, code.to_owned()), "{parts:?}");
    }
    assert_eq!(world.send(call("HEAD", "/bucket/k")).await.status, 404);
    assert_eq!(
        complete(&world, "/bucket/k", &upload, &[(2, &other)])
            .await
            .status,
        200
    );
    let read = world.send(call("GET", "/bucket/k")).await;
    assert_eq!(read.text(), "other");
}

#[tokio::test]
async fn a_part_put_again_replaces_the_first_and_an_aborted_upload_is_gone() {
    let world = world().await;
    let upload = begin(&world, "/bucket/k").await;
    part(&world, "/bucket/k", &upload, 1, b"first".to_vec()).await;
    let second = part(&world, "/bucket/k", &upload, 1, b"second".to_vec()).await;

    let parts = world
        .send(call("GET", format!("/bucket/k?uploadId={upload}")))
        .await;
    let elsewhere = world
        .send(call("GET", format!("/bucket/other?uploadId={upload}")))
        .await;
    let abort = world
        .send(call("DELETE", format!("/bucket/k?uploadId={upload}")))
        .await;
    let again = world
        .send(call("DELETE", format!("/bucket/k?uploadId={upload}")))
        .await;

    assert_eq!(parts.all("ListPartsResult", "Part", "ETag"), [second]);
    assert_eq!(parts.all("ListPartsResult", "Part", "Size"), ["6"]);
    assert_eq!(
        parts.one("ListPartsResult", "StorageClass").as_deref(),
        Some("STANDARD")
    );
    assert_eq!(elsewhere.error(), (404, "NoSuchUpload".to_owned()));
    assert_eq!(abort.status, 204);
    assert_eq!(again.error(), (404, "NoSuchUpload".to_owned()));
    assert_eq!(world.send(call("HEAD", "/bucket/k")).await.status, 404);
}

#[tokio::test]
async fn parts_are_listed_page_by_page() {
    let world = world().await;
    let upload = begin(&world, "/bucket/k").await;
    for number in [1, 5, 7] {
        part(&world, "/bucket/k", &upload, number, b"x".to_vec()).await;
    }
    let page = async |parameters: &str| {
        world
            .send(call("GET", format!("/bucket/k?uploadId={upload}&{parameters}")))
            .await
    };

    let first = page("max-parts=2").await;
    let rest = page("max-parts=2&part-number-marker=5").await;

    assert_eq!(first.all(PARTS, "Part", "PartNumber"), ["1", "5"]);
    assert_eq!(first.one(PARTS, "IsTruncated").as_deref(), Some("true"));
    assert_eq!(first.one(PARTS, "NextPartNumberMarker").as_deref(), Some("5"));
    assert_eq!(rest.all(PARTS, "Part", "PartNumber"), ["7"]);
    assert_eq!(rest.one(PARTS, "IsTruncated").as_deref(), Some("false"));
    assert_eq!(
        page("max-parts=x").await.error(),
        (400, "InvalidArgument".to_owned())
    );
}

#[tokio::test]
async fn uploads_are_listed_by_key_rolled_up_and_page_by_page() {
    let world = world().await;
    for target in ["/bucket/a/1", "/bucket/a/2", "/bucket/b", "/bucket/b"] {
        begin(&world, target).await;
    }
    let page = async |parameters: &str| {
        world
            .send(call("GET", format!("/bucket?uploads&{parameters}")))
            .await
    };

    let all = page("").await;
    let rolled = page("delimiter=/").await;
    let first = page("max-uploads=3").await;
    let key = first.one(UPLOADS, "NextKeyMarker").unwrap();
    let id = first.one(UPLOADS, "NextUploadIdMarker").unwrap();
    let rest = page(&format!("key-marker={key}&upload-id-marker={id}")).await;

    assert_eq!(all.all(UPLOADS, "Upload", "Key"), ["a/1", "a/2", "b", "b"]);
    assert_eq!(rolled.all(UPLOADS, "Upload", "Key"), ["b", "b"]);
    assert_eq!(rolled.all(UPLOADS, "CommonPrefixes", "Prefix"), ["a/"]);
    assert_eq!(first.all(UPLOADS, "Upload", "Key"), ["a/1", "a/2", "b"]);
    assert_eq!(first.one(UPLOADS, "IsTruncated").as_deref(), Some("true"));
    let ids = all.all(UPLOADS, "Upload", "UploadId");
    assert_eq!(rest.all(UPLOADS, "Upload", "UploadId"), [ids[3].clone()]);
}

#[tokio::test]
async fn a_declared_checksum_is_computed_kept_and_checked() {
    let world = world().await;
    let begun = world
        .send(call("POST", "/bucket/k?uploads").header("x-amz-checksum-algorithm", "crc32"))
        .await;
    let upload = begun.one("InitiateMultipartUploadResult", "UploadId").unwrap();

    let target = format!("/bucket/k?partNumber=1&uploadId={upload}");
    let stored = world.send(call("PUT", &target).body("123456789")).await;
    let wrong = world
        .send(
            call("PUT", &target)
                .body("x")
                .header("x-amz-checksum-crc32c", "AAAAAA=="),
        )
        .await;

    assert_eq!(begun.header("x-amz-checksum-algorithm"), "CRC32");
    assert_eq!(begun.header("x-amz-checksum-type"), "COMPOSITE");
    // CRC-32 of "123456789" is CBF43926, the check value of the algorithm.
    assert_eq!(stored.header("x-amz-checksum-crc32"), "y/Q5Jg==");
    assert_eq!(wrong.error(), (400, "InvalidRequest".to_owned()));
    for (algorithm, kind, status) in [
        ("SHA256", "FULL_OBJECT", 400),
        ("CRC64NVME", "COMPOSITE", 400),
        ("CRC32C", "FULL_OBJECT", 200),
        ("CRC33", "COMPOSITE", 400),
    ] {
        let request = call("POST", "/bucket/k?uploads")
            .header("x-amz-checksum-algorithm", algorithm)
            .header("x-amz-checksum-type", kind);

        assert_eq!(world.send(request).await.status, status, "{algorithm} {kind}");
    }
}

#[tokio::test]
async fn a_part_number_is_one_of_1_to_10000() {
    let world = world().await;
    let upload = begin(&world, "/bucket/k").await;
    for (number, status) in [
        ("0", 400),
        ("10001", 400),
        ("x", 400),
        ("", 400),
        ("1", 200),
        ("10000", 200),
    ] {
        let target = format!("/bucket/k?partNumber={number}&uploadId={upload}");

        assert_eq!(
            world.send(call("PUT", target).body("x")).await.status,
            status,
            "{number}"
        );
    }
    let unknown = world
        .send(call("PUT", "/bucket/k?partNumber=1&uploadId=unknown").body("x"))
        .await;
    assert_eq!(unknown.error(), (404, "NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn a_part_is_copied_from_a_range_of_an_object() {
    let world = world().await;
    world.put("/bucket/source", "0123456789").await;
    let upload = begin(&world, "/bucket/k").await;
    let copy = |range: &str| {
        let request = call("PUT", format!("/bucket/k?partNumber=1&uploadId={upload}"))
            .header("x-amz-copy-source", "/bucket/source");
        if range.is_empty() {
            request
        } else {
            request.header("x-amz-copy-source-range", range)
        }
    };

    let beyond = world.send(copy("bytes=5-10")).await;
    let open = world.send(copy("bytes=5-")).await;
    let whole = world.send(copy("")).await;
    let part = world.send(copy("bytes=2-4")).await;

    assert_eq!(beyond.error(), (416, "InvalidRange".to_owned()));
    assert_eq!(open.error(), (400, "InvalidArgument".to_owned()));
    assert_eq!(whole.status, 200);
    let etag = part.one("CopyPartResult", "ETag").unwrap();
    assert_eq!(
        complete(&world, "/bucket/k", &upload, &[(1, &etag)]).await.status,
        200
    );
    assert_eq!(world.send(call("GET", "/bucket/k")).await.text(), "234");
}

#[tokio::test]
async fn what_a_client_that_hangs_up_has_sent_of_a_part_is_not_kept() {
    let world = world().await;
    let upload = begin(&world, "/bucket/k").await;
    let sent = call("PUT", format!("/bucket/k?partNumber=1&uploadId={upload}")).body(vec![b'x'; 100_000]);
    let pieces = [
        Ok(Bytes::from(vec![b'x'; 50_000])),
        Err(std::io::Error::other("gone")),
    ];

    let answer = world
        .answer(sent.request(Body::from_stream(stream::iter(pieces))))
        .await;

    assert_eq!(answer.error(), (400, "IncompleteBody".to_owned()));
    assert_eq!(world.files(), 0);
    let parts = world
        .send(call("GET", format!("/bucket/k?uploadId={upload}")))
        .await;
    assert_eq!(parts.all("ListPartsResult", "Part", "ETag").len(), 0);
    assert_eq!(
        world
            .send(call("PUT", format!("/bucket/k?partNumber=1&uploadId={upload}")).body("y"))
            .await
            .status,
        200
    );
    assert_eq!(world.files(), 2);
}

#[tokio::test]
async fn completions_of_one_upload_at_once_make_one_object() {
    let world = world().await;
    let upload = begin(&world, "/bucket/k").await;
    let etag = part(&world, "/bucket/k", &upload, 1, b"bytes".to_vec()).await;

    let parts = [(1, etag.as_str())];
    let both = tokio::join!(
        complete(&world, "/bucket/k", &upload, &parts),
        complete(&world, "/bucket/k", &upload, &parts)
    );

    assert_eq!((both.0.status, both.1.status), (200, 200));
    assert_eq!(both.0.body, both.1.body);
}

#[tokio::test]
async fn a_conditional_completion_does_not_replace_what_it_must_not() {
    let world = world().await;
    let old = world.put("/bucket/k", "old").await;
    let upload = begin(&world, "/bucket/k").await;
    let etag = part(&world, "/bucket/k", &upload, 1, b"new".to_vec()).await;
    let completion = |name: &str, value: &str| {
        call("POST", format!("/bucket/k?uploadId={upload}"))
            .body(list(&[(1, &etag)]))
            .header(name, value)
    };

    let absent = world.send(completion("if-none-match", "*")).await;
    let other = world.send(completion("if-match", "\"other\"")).await;
    let size = world.send(completion("x-amz-mp-object-size", "4")).await;

    assert_eq!(absent.error(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(other.error(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(size.error(), (400, "InvalidRequest".to_owned()));
    assert_eq!(world.send(call("GET", "/bucket/k")).await.text(), "old");
    assert_eq!(world.send(completion("if-match", &old)).await.status, 200);
    assert_eq!(world.send(call("GET", "/bucket/k")).await.text(), "new");
}

#[tokio::test]
async fn a_checksum_of_the_whole_is_checked_and_shown() {
    let world = world().await;
    let begun = world
        .send(
            call("POST", "/bucket/k?uploads")
                .header("x-amz-checksum-algorithm", "CRC32")
                .header("x-amz-checksum-type", "FULL_OBJECT"),
        )
        .await;
    let upload = begun.one("InitiateMultipartUploadResult", "UploadId").unwrap();
    let etag = part(&world, "/bucket/k", &upload, 1, b"123456789".to_vec()).await;
    let completion = |value: &str| {
        call("POST", format!("/bucket/k?uploadId={upload}"))
            .body(list(&[(1, &etag)]))
            .header("x-amz-checksum-crc32", value)
            .header("x-amz-checksum-type", "FULL_OBJECT")
    };

    let wrong = world.send(completion("AAAAAA==")).await;
    let right = world.send(completion("y/Q5Jg==")).await;

    assert_eq!(wrong.error(), (400, "BadDigest".to_owned()));
    assert_eq!(
        right
            .one("CompleteMultipartUploadResult", "ChecksumCRC32")
            .as_deref(),
        Some("y/Q5Jg==")
    );
    assert_eq!(
        right
            .one("CompleteMultipartUploadResult", "ChecksumType")
            .as_deref(),
        Some("FULL_OBJECT")
    );
}
