//! Objects: deleted and tagged. (Reading, writing and copying have their own files beside their handlers' owner.)

use crate::world::{World, call};

async fn world() -> World {
    let world = World::new().await;
    world.bucket("bucket").await;
    world
}

#[tokio::test]
async fn deleting_an_object_or_nothing_is_a_success() {
    let world = world().await;
    world.put("/bucket/k", "x").await;

    assert_eq!(
        world
            .send(call("DELETE", "/bucket/k?versionId=other"))
            .await
            .status,
        204
    );
    assert_eq!(world.send(call("HEAD", "/bucket/k")).await.status, 200);
    assert_eq!(world.send(call("DELETE", "/bucket/k")).await.status, 204);
    assert_eq!(world.send(call("HEAD", "/bucket/k")).await.status, 404);
    assert_eq!(world.send(call("DELETE", "/bucket/k")).await.status, 204);
    assert_eq!(
        world.send(call("DELETE", "/missing/k")).await.error(),
        (404, "NoSuchBucket".to_owned())
    );
}

#[tokio::test]
async fn a_conditional_deletion_hits_only_what_it_means() {
    let world = world().await;
    let etag = world.put("/bucket/k", "x").await;

    let other = world
        .send(call("DELETE", "/bucket/k").header("if-match", "\"other\""))
        .await;
    let same = world
        .send(call("DELETE", "/bucket/k").header("if-match", &etag))
        .await;
    let gone = world
        .send(call("DELETE", "/bucket/k").header("if-match", &etag))
        .await;

    assert_eq!(other.error(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(same.status, 204);
    assert_eq!(gone.error(), (404, "NoSuchKey".to_owned()));
}

#[tokio::test]
async fn many_keys_are_deleted_each_with_its_own_outcome() {
    let world = world().await;
    for key in ["a", "%20b%20", "c%26d", "kept", "e%0D%0A"] {
        world.put(&format!("/bucket/{key}"), "x").await;
    }
    let document = "<Delete><Object><Key>a</Key></Object><Object><Key> b </Key></Object><Object><Key>c&amp;d</Key></Object>\
                    <Object><Key>kept</Key><ETag>\"other\"</ETag></Object><Object><Key>never</Key></Object>\
                    <Object><Key>a</Key></Object><Object><Key></Key></Object><Object><Key>e&#13;&#10;</Key></Object></Delete>";

    let answer = world.send(call("POST", "/bucket?delete").body(document)).await;

    let deleted = answer.all("DeleteResult", "Deleted", "Key");
    assert_eq!(deleted, ["a", " b ", "c&d", "never", "a", "e\r\n"]);
    assert_eq!(answer.all("DeleteResult", "Error", "Key"), ["kept", ""]);
    assert_eq!(
        answer.all("DeleteResult", "Error", "Code"),
        ["PreconditionFailed", "InvalidArgument"]
    );
    let left = world.send(call("GET", "/bucket")).await;
    assert_eq!(left.all("ListBucketResult", "Contents", "Key"), ["kept"]);
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>kept</Key></Object></Delete>";
    let answer = world.send(call("POST", "/bucket?delete").body(quiet)).await;
    assert_eq!(answer.xml("DeleteResult").children.len(), 0);
    assert_eq!(world.send(call("HEAD", "/bucket/kept")).await.status, 404);
    let refused = world.send(call("POST", "/bucket?delete").body("<Delete/>")).await;
    assert_eq!(refused.error(), (400, "MalformedXML".to_owned()));
}

#[tokio::test]
async fn tags_are_put_read_and_deleted_and_leave_the_object_alone() {
    let world = world().await;
    let etag = world.put("/bucket/k", "x").await;
    let before = world.send(call("HEAD", "/bucket/k")).await;
    let document = "<Tagging><TagSet><Tag><Key>b</Key><Value> 2</Value></Tag><Tag><Key>a</Key><Value></Value></Tag></TagSet></Tagging>";

    let none = world.send(call("GET", "/bucket/k?tagging")).await;
    let put = world.send(call("PUT", "/bucket/k?tagging").body(document)).await;
    let some = world.send(call("GET", "/bucket/k?tagging")).await;
    let after = world.send(call("HEAD", "/bucket/k")).await;
    let deleted = world.send(call("DELETE", "/bucket/k?tagging")).await;
    let bare = world.send(call("GET", "/bucket/k?tagging")).await;

    assert_eq!(none.tags(), []);
    assert_eq!(put.status, 200);
    let expected = [("b", " 2"), ("a", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(some.tags(), expected);
    assert_eq!(after.header("etag"), etag);
    assert_eq!(after.header("last-modified"), before.header("last-modified"));
    assert_eq!(after.header("x-amz-tagging-count"), "2");
    assert_eq!(deleted.status, 204);
    assert_eq!(bare.tags(), []);
    let missing = world.send(call("GET", "/bucket/none?tagging")).await;
    assert_eq!(missing.error(), (404, "NoSuchKey".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_and_nothing_is_stored() {
    let world = world().await;
    for (header, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "id=1"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-write-offset-bytes", "1"),
    ] {
        for target in ["/bucket/k", "/bucket/k?uploads"] {
            let method = if target.ends_with("uploads") {
                "POST"
            } else {
                "PUT"
            };

            let answer = world.send(call(method, target).header(header, value)).await;

            assert_eq!(
                answer.error(),
                (501, "NotImplemented".to_owned()),
                "{header} {target}"
            );
        }
    }
    let private = world
        .send(call("PUT", "/bucket/k").header("x-amz-acl", "private").body("x"))
        .await;
    assert_eq!(private.status, 200);
}
