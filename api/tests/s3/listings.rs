//! Listings: order, groups, pages, tokens, encoding.

use crate::world::{Answer, World, call};

const ROOT: &str = "ListBucketResult";
const VERSIONS: &str = "ListVersionsResult";

fn keys(answer: &Answer) -> Vec<String> {
    answer.all(ROOT, "Contents", "Key")
}

fn groups(answer: &Answer) -> Vec<String> {
    answer.all(ROOT, "CommonPrefixes", "Prefix")
}

async fn world_of(targets: &[&str]) -> World {
    let world = World::new().await;
    world.bucket("bucket").await;
    for target in targets {
        world.put(&format!("/bucket/{target}"), "x").await;
    }
    world
}

#[tokio::test]
async fn keys_come_in_the_order_of_their_bytes() {
    let world = world_of(&[
        "foo/1",
        "foo%2B1",
        "foo",
        "Foo",
        "%C3%A9",
        "a//b",
        "a/b",
        "z",
        "%F0%9F%98%80",
    ])
    .await;

    let answer = world.send(call("GET", "/bucket?list-type=2")).await;

    assert_eq!(
        keys(&answer),
        ["Foo", "a//b", "a/b", "foo", "foo+1", "foo/1", "z", "é", "😀"]
    );
    assert_eq!(answer.one(ROOT, "KeyCount").as_deref(), Some("9"));
    assert_eq!(answer.one(ROOT, "IsTruncated").as_deref(), Some("false"));
    assert_eq!(answer.one(ROOT, "MaxKeys").as_deref(), Some("1000"));
    assert_eq!(answer.all(ROOT, "Contents", "Size")[0], "1");
    assert_eq!(
        answer.all(ROOT, "Contents", "ETag")[0],
        "\"9dd4e461268c8034f5c8564e155c67a6\""
    );
    assert_eq!(answer.all(ROOT, "Contents", "StorageClass")[0], "STANDARD");
}

#[tokio::test]
async fn groups_are_rolled_up_once_over_all_pages() {
    let world = world_of(&["a/1", "a/2", "b", "c/1", "c/2/3", "d"]).await;
    let mut keys_seen = Vec::new();
    let mut groups_seen = Vec::new();

    let mut target = "/bucket?list-type=2&delimiter=%2F&max-keys=1".to_owned();
    let mut pages = 0;
    loop {
        let answer = world.send(call("GET", &target)).await;
        keys_seen.extend(keys(&answer));
        groups_seen.extend(groups(&answer));
        pages += 1;
        assert_eq!(answer.one(ROOT, "KeyCount").as_deref(), Some("1"));
        match answer.one(ROOT, "NextContinuationToken") {
            Some(token) => {
                target = format!("/bucket?list-type=2&delimiter=%2F&max-keys=1&continuation-token={token}");
            }
            None => break,
        }
    }

    assert_eq!(
        (keys_seen, groups_seen, pages),
        (vec!["b".into(), "d".into()], vec!["a/".into(), "c/".into()], 4)
    );
}

#[tokio::test]
async fn version_1_goes_on_behind_its_marker() {
    let world = world_of(&["a/1", "b", "c/1", "d"]).await;

    let first = world.send(call("GET", "/bucket?delimiter=/&max-keys=3")).await;
    let rest = world
        .send(call("GET", "/bucket?delimiter=/&max-keys=3&marker=c/"))
        .await;
    let plain = world.send(call("GET", "/bucket?max-keys=2")).await;

    assert_eq!(
        (keys(&first), groups(&first)),
        (vec!["b".to_owned()], vec!["a/".to_owned(), "c/".to_owned()])
    );
    assert_eq!(first.one(ROOT, "NextMarker").as_deref(), Some("c/"));
    assert_eq!(first.one(ROOT, "Marker").as_deref(), Some(""));
    assert_eq!((keys(&rest), groups(&rest).len()), (vec!["d".to_owned()], 0));
    assert_eq!(plain.one(ROOT, "IsTruncated").as_deref(), Some("true"));
    assert_eq!(plain.one(ROOT, "NextMarker"), None);
    let owner = plain
        .xml(ROOT)
        .child("Contents")
        .unwrap()
        .child("Owner")
        .unwrap()
        .text_of("DisplayName")
        .map(str::to_owned);
    assert_eq!(owner.as_deref(), Some("root"));
}

#[tokio::test]
async fn pages_have_the_size_that_was_asked_for_and_a_full_last_one_no_token() {
    let world = world_of(&["a", "b"]).await;
    for (parameters, count, truncated, told) in [
        ("max-keys=2", 2, "false", "2"),
        ("max-keys=1", 1, "true", "1"),
        ("max-keys=0", 0, "false", "0"),
        ("max-keys=5000", 2, "false", "1000"),
        ("max-keys=", 2, "false", "1000"),
        ("start-after=a", 1, "false", "1000"),
        ("start-after=zzz", 0, "false", "1000"),
        ("prefix=b", 1, "false", "1000"),
        ("continuation-token=", 2, "false", "1000"),
    ] {
        let answer = world
            .send(call("GET", format!("/bucket?list-type=2&{parameters}")))
            .await;

        assert_eq!(keys(&answer).len(), count, "{parameters}");
        assert_eq!(
            answer.one(ROOT, "IsTruncated").as_deref(),
            Some(truncated),
            "{parameters}"
        );
        assert_eq!(
            answer.one(ROOT, "NextContinuationToken").is_some(),
            truncated == "true",
            "{parameters}"
        );
        assert_eq!(answer.one(ROOT, "MaxKeys").as_deref(), Some(told), "{parameters}");
    }
    for parameters in [
        "max-keys=-1",
        "max-keys=x",
        "continuation-token=x",
        "encoding-type=base64",
    ] {
        let answer = world
            .send(call("GET", format!("/bucket?list-type=2&{parameters}")))
            .await;

        assert_eq!(
            answer.error(),
            (400, "InvalidArgument".to_owned()),
            "{parameters}"
        );
    }
}

#[tokio::test]
async fn keys_leave_as_they_came_in_both_encodings() {
    let world = world_of(&["a%20b%2Bc%26%3Cd%3E%25", "x%0D%0Ay", "t%C3%A9/%01"]).await;

    let plain = world.send(call("GET", "/bucket?list-type=2")).await;
    let url = world
        .send(call(
            "GET",
            "/bucket?list-type=2&encoding-type=url&delimiter=%2F&start-after=a%2B",
        ))
        .await;

    assert_eq!(keys(&plain), ["a b+c&<d>%", "té/\u{1}", "x\r\ny"]);
    assert_eq!(keys(&url), ["x%0D%0Ay"]);
    assert_eq!(groups(&url), ["t%C3%A9/"]);
    assert_eq!(url.one(ROOT, "EncodingType").as_deref(), Some("url"));
    assert_eq!(url.one(ROOT, "StartAfter").as_deref(), Some("a%2B"));
    assert_eq!(url.one(ROOT, "Delimiter").as_deref(), Some("/"));
}

#[tokio::test]
async fn an_unversioned_bucket_lists_each_object_as_its_null_version() {
    let world = world_of(&["a", "b", "c/1"]).await;

    let first = world.send(call("GET", "/bucket?versions&max-keys=2")).await;
    let rest = world
        .send(call(
            "GET",
            "/bucket?versions&key-marker=b&version-id-marker=null&delimiter=/",
        ))
        .await;

    assert_eq!(first.all(VERSIONS, "Version", "Key"), ["a", "b"]);
    assert_eq!(first.all(VERSIONS, "Version", "VersionId"), ["null", "null"]);
    assert_eq!(first.all(VERSIONS, "Version", "IsLatest"), ["true", "true"]);
    assert_eq!(first.one(VERSIONS, "NextKeyMarker").as_deref(), Some("b"));
    assert_eq!(
        first.one(VERSIONS, "NextVersionIdMarker").as_deref(),
        Some("null")
    );
    assert_eq!(rest.all(VERSIONS, "CommonPrefixes", "Prefix"), ["c/"]);
    let refused = world
        .send(call("GET", "/bucket?versions&version-id-marker=x"))
        .await;
    assert_eq!(refused.error(), (400, "InvalidArgument".to_owned()));
}
