//! Buckets.

use crate::world::{World, call};

#[tokio::test]
async fn a_bucket_is_made_found_listed_and_deleted() {
    let world = World::new().await;

    let made = world.send(call("PUT", "/photos")).await;
    let head = world.send(call("HEAD", "/photos")).await;
    let list = world.send(call("GET", "/")).await;
    let location = world.send(call("GET", "/photos?location")).await;
    let deleted = world.send(call("DELETE", "/photos")).await;
    let gone = world.send(call("HEAD", "/photos")).await;

    assert_eq!((made.status, made.header("location")), (200, "/photos"));
    assert_eq!(
        (head.status, head.header("x-amz-bucket-region")),
        (200, "us-east-1")
    );
    let buckets = list.xml("ListAllMyBucketsResult");
    let bucket = buckets.child("Buckets").unwrap().child("Bucket").unwrap();
    assert_eq!(bucket.text_of("Name"), Some("photos"));
    assert_eq!(bucket.text_of("BucketRegion"), Some("us-east-1"));
    assert_eq!(location.xml("LocationConstraint").text, "");
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert_eq!((gone.status, gone.body.len()), (404, 0));
    assert_eq!(gone.header("x-amz-bucket-region"), "us-east-1");
}

#[tokio::test]
async fn a_bucket_made_again_is_ours_taken_or_as_it_was() {
    let world = World::new().await;
    let other = world.user("other").await;
    world.bucket("mine").await;
    world.put("/mine/kept", "x").await;

    let again = world.send(call("PUT", "/mine")).await;
    let taken = world.send(call("PUT", "/mine").by(&other)).await;

    assert_eq!(again.status, 200);
    assert_eq!(world.send(call("HEAD", "/mine/kept")).await.status, 200);
    assert_eq!(taken.error(), (409, "BucketAlreadyExists".to_owned()));
    let elsewhere = World::with_region("eu-1").await;
    elsewhere.bucket("mine").await;
    let again = elsewhere.send(call("PUT", "/mine")).await;
    assert_eq!(again.error(), (409, "BucketAlreadyOwnedByYou".to_owned()));
    let location = elsewhere.send(call("GET", "/mine?location")).await;
    assert_eq!(location.xml("LocationConstraint").text, "eu-1");
}

#[tokio::test]
async fn a_location_is_ours_or_refused() {
    let world = World::with_region("eu-1").await;
    for (name, location, status) in [
        ("loc-a", "eu-1", 200),
        ("loc-b", "us-east-1", 200),
        ("loc-c", "", 200),
        ("loc-d", "mars-1", 400),
    ] {
        let document = format!(
            "<CreateBucketConfiguration><LocationConstraint>{location}</LocationConstraint></CreateBucketConfiguration>"
        );

        let answer = world.send(call("PUT", format!("/{name}")).body(document)).await;

        assert_eq!(answer.status, status, "{location}");
    }
    let broken = world.send(call("PUT", "/loc-e").body("<Create")).await;
    assert_eq!(broken.error(), (400, "MalformedXML".to_owned()));
}

#[tokio::test]
async fn names_that_are_no_bucket_names_are_refused() {
    let world = World::new().await;
    for name in [
        "ab",
        "Upper",
        "under_score",
        "-a-",
        "a..b",
        "192.168.1.1",
        "xn--abc",
        "abc-s3alias",
    ] {
        let answer = world.send(call("PUT", format!("/{name}"))).await;

        assert_eq!(answer.error(), (400, "InvalidBucketName".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn a_bucket_with_an_object_stays() {
    let world = World::new().await;
    world.bucket("full").await;
    world.put("/full/k", "x").await;

    let refused = world.send(call("DELETE", "/full")).await;

    assert_eq!(refused.error(), (409, "BucketNotEmpty".to_owned()));
    assert_eq!(world.send(call("DELETE", "/full/k")).await.status, 204);
    assert_eq!(world.send(call("DELETE", "/full")).await.status, 204);
}

#[tokio::test]
async fn only_the_owner_and_root_reach_a_bucket() {
    let world = World::new().await;
    let (owner, other) = (world.user("owner").await, world.user("other").await);
    assert_eq!(world.send(call("PUT", "/private").by(&owner)).await.status, 200);

    for (method, target) in [
        ("GET", "/private"),
        ("HEAD", "/private"),
        ("DELETE", "/private"),
        ("GET", "/private?acl"),
        ("PUT", "/private/k"),
        ("GET", "/private/k"),
        ("POST", "/private/k?uploads"),
    ] {
        let stranger = world.send(call(method, target).by(&other)).await;
        let nobody = world.send(call(method, target).anonymous()).await;

        assert_eq!((stranger.status, nobody.status), (403, 403), "{method} {target}");
    }
    assert_eq!(world.send(call("GET", "/private").by(&owner)).await.status, 200);
    assert_eq!(world.send(call("GET", "/private")).await.status, 200);
    let of_other = world.send(call("GET", "/").by(&other)).await;
    assert_eq!(
        of_other
            .xml("ListAllMyBucketsResult")
            .child("Buckets")
            .unwrap()
            .children
            .len(),
        0
    );
    assert_eq!(world.send(call("GET", "/").anonymous()).await.status, 403);
}

#[tokio::test]
async fn buckets_are_listed_page_by_page() {
    let world = World::new().await;
    for number in 0..5 {
        world.bucket(&format!("page-{number}")).await;
    }
    world.bucket("other").await;

    let mut names = Vec::new();
    let mut target = "/?max-buckets=2&prefix=page-".to_owned();
    loop {
        let document = world
            .send(call("GET", &target))
            .await
            .xml("ListAllMyBucketsResult");
        let buckets = document.child("Buckets").unwrap();
        names.extend(
            buckets
                .all("Bucket")
                .map(|bucket| bucket.text_of("Name").unwrap().to_owned()),
        );
        match document.text_of("ContinuationToken") {
            Some(token) => target = format!("/?max-buckets=2&prefix=page-&continuation-token={token}"),
            None => break,
        }
    }

    assert_eq!(names, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
    let exact = world.send(call("GET", "/?max-buckets=6")).await;
    assert_eq!(exact.one("ListAllMyBucketsResult", "ContinuationToken"), None);
    for refused in ["/?max-buckets=0", "/?max-buckets=10001", "/?continuation-token=x"] {
        let answer = world.send(call("GET", refused)).await;
        assert_eq!(answer.error(), (400, "InvalidArgument".to_owned()), "{refused}");
    }
}

#[tokio::test]
async fn tags_of_a_bucket_are_put_read_and_deleted() {
    let world = World::new().await;
    world.bucket("tagged").await;
    let document = |tags: &str| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let tag = |key: &str| format!("<Tag><Key>{key}</Key><Value> v</Value></Tag>");
    let put = async |tags: String| {
        let call = call("PUT", "/tagged?tagging").body(document(&tags));
        world.send(call).await
    };
    let tags = async || world.send(call("GET", "/tagged?tagging")).await.tags();
    let pair = |key: &str| (key.to_owned(), " v".to_owned());

    assert_eq!(put(tag("b") + &tag("a")).await.status, 204);
    assert_eq!(tags().await, [pair("b"), pair("a")]);
    assert_eq!(put(tag("c")).await.status, 204);
    assert_eq!(tags().await, [pair("c")]);
    let fifty: String = (0..50).map(|number| tag(&number.to_string())).collect();
    assert_eq!(put(fifty.clone()).await.status, 204);
    assert_eq!(
        put(fifty + &tag("x")).await.error(),
        (400, "BadRequest".to_owned())
    );
    assert_eq!(
        put(tag("x") + &tag("x")).await.error(),
        (400, "InvalidTag".to_owned())
    );
    assert_eq!(tags().await.len(), 50, "what was refused changed nothing");
    assert_eq!(world.send(call("DELETE", "/tagged?tagging")).await.status, 204);
    let none = world.send(call("GET", "/tagged?tagging")).await;
    assert_eq!(none.error(), (404, "NoSuchTagSet".to_owned()));
    let missing = world
        .send(call("PUT", "/nowhere?tagging").body(document("")))
        .await;
    assert_eq!(missing.error(), (404, "NoSuchBucket".to_owned()));
}

#[tokio::test]
async fn a_bucket_is_made_with_tags_that_go_with_it() {
    let world = World::new().await;
    let document = |key: &str| {
        format!(
            "<CreateBucketConfiguration><Tags><Tag><Key>{key}</Key><Value>v</Value></Tag></Tags></CreateBucketConfiguration>"
        )
    };

    let refused = world.send(call("PUT", "/tagged").body(document("aws:k"))).await;
    let missing = world.send(call("HEAD", "/tagged")).await;
    let made = world.send(call("PUT", "/tagged").body(document("k"))).await;

    assert_eq!(refused.error(), (400, "InvalidTag".to_owned()));
    assert_eq!((missing.status, made.status), (404, 200));
    let tags = world.send(call("GET", "/tagged?tagging")).await;
    assert_eq!(tags.tags(), [("k".to_owned(), "v".to_owned())]);
    assert_eq!(world.send(call("DELETE", "/tagged")).await.status, 204);
    world.bucket("tagged").await;
    let bare = world.send(call("GET", "/tagged?tagging")).await;
    assert_eq!(bare.error(), (404, "NoSuchTagSet".to_owned()));
}

#[tokio::test]
async fn configurations_that_cannot_be_set_read_as_unset_and_are_refused_by_name() {
    let world = World::new().await;
    world.bucket("bare").await;

    for (selector, status, code) in [
        ("policy", 404, "NoSuchBucketPolicy"),
        ("cors", 404, "NoSuchCORSConfiguration"),
        ("lifecycle", 404, "NoSuchLifecycleConfiguration"),
        ("tagging", 404, "NoSuchTagSet"),
        ("website", 404, "NoSuchWebsiteConfiguration"),
        (
            "encryption",
            404,
            "ServerSideEncryptionConfigurationNotFoundError",
        ),
        ("object-lock", 404, "ObjectLockConfigurationNotFoundError"),
        ("replication", 404, "ReplicationConfigurationNotFoundError"),
        ("metrics&id=1", 404, "NoSuchConfiguration"),
    ] {
        let answer = world.send(call("GET", format!("/bare?{selector}"))).await;

        assert_eq!(answer.error(), (status, code.to_owned()), "{selector}");
    }
    for (selector, root) in [
        ("versioning", "VersioningConfiguration"),
        ("logging", "BucketLoggingStatus"),
        ("accelerate", "AccelerateConfiguration"),
        ("notification", "NotificationConfiguration"),
        ("requestPayment", "RequestPaymentConfiguration"),
    ] {
        let answer = world.send(call("GET", format!("/bare?{selector}"))).await;

        assert_eq!(answer.status, 200, "{selector}");
        answer.xml(root);
    }
    let acl = world
        .send(call("GET", "/bare?acl"))
        .await
        .xml("AccessControlPolicy");
    let grant = acl.child("AccessControlList").unwrap().child("Grant").unwrap();
    assert_eq!(grant.text_of("Permission"), Some("FULL_CONTROL"));
    let versioned = world.send(call("PUT", "/bare?versioning")).await;
    assert_eq!(versioned.error(), (501, "NotImplemented".to_owned()));
    assert!(versioned.text().contains("PutBucketVersioning"));
    assert_eq!(world.send(call("DELETE", "/bare?cors")).await.status, 204);
    let public = world
        .send(call("PUT", "/public").header("x-amz-acl", "public-read"))
        .await;
    assert_eq!(public.error(), (501, "NotImplemented".to_owned()));
    assert_eq!(world.send(call("HEAD", "/public")).await.status, 404);
}
