//! The table of requests: what each asks for, and what is refused.

use super::{BucketOperation as B, FixedAnswer as F, ObjectOperation as O, *};

const DOMAINS: [&str; 3] = ["s3.example.com", "example.com", "localhost"];

fn routed(
    method: &str,
    host: &str,
    target: &str,
    extra: &[(&'static str, &str)],
) -> Result<Operation, S3Error> {
    let uri: Uri = target.parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host.parse().unwrap());
    for (name, value) in extra {
        headers.insert(*name, value.parse().unwrap());
    }
    let query = Query::parse(uri.query().unwrap_or_default())?;
    let domains = DOMAINS.map(str::to_owned);
    route(&method.parse().unwrap(), &uri, &query, &headers, &domains)
}

fn bucket(name: &str, operation: BucketOperation) -> Operation {
    Operation::Bucket {
        bucket: name.to_owned(),
        operation,
    }
}

fn object(name: &str, key: &str, operation: ObjectOperation) -> Operation {
    Operation::Object {
        bucket: name.to_owned(),
        key: Key::parse(key).unwrap(),
        operation,
    }
}

fn create(name: &str) -> Operation {
    Operation::CreateBucket {
        bucket: name.to_owned(),
    }
}

const BUCKET_REQUESTS: &[(&str, BucketOperation)] = &[
    ("HEAD /b", B::HeadBucket),
    ("HEAD /b/", B::HeadBucket),
    ("DELETE /b", B::DeleteBucket),
    ("DELETE /b/?x-id=DeleteBucket", B::DeleteBucket),
    ("GET /b", B::ListObjects),
    ("GET /b/", B::ListObjects),
    ("GET /b?prefix=a&delimiter=/", B::ListObjects),
    ("GET /b?list-type=1", B::ListObjects),
    ("GET /b?list-type=2", B::ListObjectsV2),
    ("GET /b/?list-type=2&prefix=&x-id=ListObjectsV2", B::ListObjectsV2),
    ("GET /b?unknown=acl", B::ListObjects),
    ("GET /b?ACL", B::ListObjects),
    ("GET /b?location", B::GetBucketLocation),
    ("GET /b?location=", B::GetBucketLocation),
    ("GET /b/?location", B::GetBucketLocation),
    ("GET /b?versions", B::ListObjectVersions),
    ("GET /b?versions&prefix=x", B::ListObjectVersions),
    ("GET /b?uploads", B::ListMultipartUploads),
    ("GET /b?uploads&versions&acl", B::ListMultipartUploads),
    ("POST /b?delete", B::DeleteObjects),
    ("POST /b/?delete=", B::DeleteObjects),
    ("POST /b?delete&x-id=DeleteObjects", B::DeleteObjects),
    ("GET /b?acl", B::Fixed(F::Acl)),
    ("PUT /b?acl", B::Unsupported("PutBucketAcl")),
    ("GET /b?policy", B::Fixed(F::Absent(Code::NoSuchBucketPolicy))),
    ("PUT /b?policy", B::Unsupported("PutBucketPolicy")),
    ("DELETE /b?policy", B::Fixed(F::NothingToDelete)),
    (
        "GET /b?policyStatus",
        B::Fixed(F::Absent(Code::NoSuchBucketPolicy)),
    ),
    ("GET /b?cors", B::Fixed(F::Absent(Code::NoSuchCorsConfiguration))),
    ("PUT /b?cors", B::Unsupported("PutBucketCors")),
    ("DELETE /b?cors", B::Fixed(F::NothingToDelete)),
    (
        "GET /b?lifecycle",
        B::Fixed(F::Absent(Code::NoSuchLifecycleConfiguration)),
    ),
    (
        "PUT /b?lifecycle",
        B::Unsupported("PutBucketLifecycleConfiguration"),
    ),
    ("DELETE /b?lifecycle", B::Fixed(F::NothingToDelete)),
    ("GET /b?tagging", B::GetBucketTagging),
    ("PUT /b?tagging", B::PutBucketTagging),
    ("DELETE /b?tagging", B::DeleteBucketTagging),
    (
        "GET /b?website",
        B::Fixed(F::Absent(Code::NoSuchWebsiteConfiguration)),
    ),
    ("PUT /b?website", B::Unsupported("PutBucketWebsite")),
    ("GET /b?versioning", B::Fixed(F::Empty("VersioningConfiguration"))),
    ("PUT /b?versioning", B::Unsupported("PutBucketVersioning")),
    (
        "GET /b?encryption",
        B::Fixed(F::Absent(Code::ServerSideEncryptionConfigurationNotFoundError)),
    ),
    ("PUT /b?encryption", B::Unsupported("PutBucketEncryption")),
    (
        "GET /b?ownershipControls",
        B::Fixed(F::Absent(Code::OwnershipControlsNotFoundError)),
    ),
    (
        "GET /b?publicAccessBlock",
        B::Fixed(F::Absent(Code::NoSuchPublicAccessBlockConfiguration)),
    ),
    ("DELETE /b?publicAccessBlock", B::Fixed(F::NothingToDelete)),
    (
        "GET /b?object-lock",
        B::Fixed(F::Absent(Code::ObjectLockConfigurationNotFoundError)),
    ),
    ("PUT /b?object-lock", B::Unsupported("PutObjectLockConfiguration")),
    (
        "GET /b?replication",
        B::Fixed(F::Absent(Code::ReplicationConfigurationNotFoundError)),
    ),
    ("PUT /b?replication", B::Unsupported("PutBucketReplication")),
    (
        "GET /b?notification",
        B::Fixed(F::Empty("NotificationConfiguration")),
    ),
    ("GET /b?logging", B::Fixed(F::Empty("BucketLoggingStatus"))),
    ("GET /b?accelerate", B::Fixed(F::Empty("AccelerateConfiguration"))),
    ("GET /b?requestPayment", B::Fixed(F::RequestPayment)),
    ("GET /b?abac", B::Fixed(F::Abac)),
    (
        "GET /b?analytics",
        B::Fixed(F::EmptyList("ListBucketAnalyticsConfigurationResult")),
    ),
    (
        "GET /b?analytics&id=x",
        B::Fixed(F::Absent(Code::NoSuchConfiguration)),
    ),
    (
        "GET /b?metrics&id=x",
        B::Fixed(F::Absent(Code::NoSuchConfiguration)),
    ),
    (
        "GET /b?inventory",
        B::Fixed(F::EmptyList("ListInventoryConfigurationsResult")),
    ),
    ("DELETE /b?inventory&id=x", B::Fixed(F::NothingToDelete)),
    (
        "PUT /b?inventory&id=x",
        B::Unsupported("PutBucketInventoryConfiguration"),
    ),
    (
        "GET /b?intelligent-tiering&id=x",
        B::Fixed(F::Absent(Code::NoSuchConfiguration)),
    ),
    ("GET /b?session", B::Unsupported("CreateSession")),
    (
        "POST /b?metadataTable",
        B::Unsupported("CreateBucketMetadataTableConfiguration"),
    ),
];

#[test]
fn every_bucket_request_is_the_operation_that_s3_has_for_it() {
    for (request, expected) in BUCKET_REQUESTS {
        let (method, target) = request.split_once(' ').unwrap();

        let found = routed(method, "127.0.0.1:9000", target, &[]);

        assert_eq!(found.unwrap(), bucket("b", *expected), "{request}");
    }
}

#[test]
fn every_object_request_is_the_operation_that_s3_has_for_it() {
    let copy = ("x-amz-copy-source", "b/other");
    for (request, extra, expected) in [
        ("GET /b/k", None, O::GetObject),
        ("GET /b/k?x-id=GetObject", None, O::GetObject),
        ("GET /b/k?partNumber=1", None, O::GetObject),
        ("GET /b/k?versionId=null", None, O::GetObject),
        ("GET /b/k?response-content-type=a%2Fb", None, O::GetObject),
        ("GET /b/k?X-Amz-Signature=00&X-Amz-Expires=1", None, O::GetObject),
        ("HEAD /b/k", None, O::HeadObject),
        ("HEAD /b/k?partNumber=2", None, O::HeadObject),
        ("GET /b/k?attributes", None, O::GetObjectAttributes),
        ("PUT /b/k", None, O::PutObject),
        ("PUT /b/k?x-id=PutObject", None, O::PutObject),
        ("PUT /b/k", Some(copy), O::CopyObject),
        ("PUT /b/k?x-id=CopyObject", Some(copy), O::CopyObject),
        ("DELETE /b/k", None, O::DeleteObject),
        ("DELETE /b/k?versionId=null", None, O::DeleteObject),
        ("GET /b/k?tagging", None, O::GetObjectTagging),
        ("PUT /b/k?tagging=", None, O::PutObjectTagging),
        ("DELETE /b/k?tagging", None, O::DeleteObjectTagging),
        ("POST /b/k?uploads", None, O::CreateMultipartUpload),
        ("POST /b/k?uploads=", None, O::CreateMultipartUpload),
        ("PUT /b/k?partNumber=1&uploadId=u", None, O::UploadPart),
        (
            "PUT /b/k?uploadId=u&partNumber=1&x-id=UploadPart",
            None,
            O::UploadPart,
        ),
        ("PUT /b/k?partNumber=1&uploadId=u&tagging", None, O::UploadPart),
        ("PUT /b/k?partNumber=1&uploadId=u", Some(copy), O::UploadPartCopy),
        ("POST /b/k?uploadId=u", None, O::CompleteMultipartUpload),
        ("POST /b/k?uploads&uploadId=u", None, O::CompleteMultipartUpload),
        ("DELETE /b/k?uploadId=u", None, O::AbortMultipartUpload),
        ("GET /b/k?uploadId=u", None, O::ListParts),
        ("GET /b/k?acl", None, O::GetObjectAcl),
        ("PUT /b/k?acl", None, O::Unsupported("PutObjectAcl")),
        ("GET /b/k?retention", None, O::GetObjectLock),
        ("GET /b/k?legal-hold", None, O::GetObjectLock),
        ("PUT /b/k?retention", None, O::Unsupported("PutObjectRetention")),
        ("PUT /b/k?legal-hold", None, O::Unsupported("PutObjectLegalHold")),
        ("POST /b/k?restore", None, O::RestoreObject),
        (
            "POST /b/k?select&select-type=2",
            None,
            O::Unsupported("SelectObjectContent"),
        ),
        ("GET /b/k?torrent", None, O::Unsupported("GetObjectTorrent")),
        ("PUT /b/k?renameObject", None, O::Unsupported("RenameObject")),
        (
            "PUT /b/k?encryption",
            None,
            O::Unsupported("UpdateObjectEncryption"),
        ),
    ] {
        let (method, target) = request.split_once(' ').unwrap();

        let found = routed(method, "127.0.0.1:9000", target, extra.as_slice());

        assert_eq!(found.unwrap(), object("b", "k", expected), "{request}");
    }
}

#[test]
fn keys_are_decoded_once_and_never_normalised() {
    for (target, key) in [
        ("/b/a//b", "a//b"),
        ("/b//a", "/a"),
        ("/b///", "//"),
        ("/b/dir/", "dir/"),
        ("/b/../x", "../x"),
        ("/b/./x", "./x"),
        ("/b/a/../../x", "a/../../x"),
        ("/b/..", ".."),
        ("/b/%2e%2E/x", "../x"),
        ("/b/a%2Fb", "a/b"),
        ("/b/%2F", "/"),
        ("/b/a+b", "a+b"),
        ("/b/a%20b", "a b"),
        ("/b/a%2Bb", "a+b"),
        ("/b/a%252Fb", "a%2Fb"),
        ("/b/%25", "%"),
        ("/b/a%3Fb", "a?b"),
        ("/b/a%23b", "a#b"),
        ("/b/a%0D%0Ab", "a\r\nb"),
        ("/b/%7F%01", "\u{7f}\u{1}"),
        ("/b/%C3%A9", "é"),
        ("/b/e%CC%81", "e\u{301}"),
        ("/b/%F0%9F%98%80", "😀"),
        ("/b/~*'()!", "~*'()!"),
        ("/b/0", "0"),
        ("/b/null", "null"),
        ("/b/%20", " "),
        ("/b/a;b=c,d:e@f&g", "a;b=c,d:e@f&g"),
    ] {
        let found = routed("GET", "h", target, &[]);

        assert_eq!(found.unwrap(), object("b", key, O::GetObject), "{target}");
    }
}

#[test]
fn host_and_path_style_name_the_same_bucket() {
    for (host, target, expected) in [
        ("127.0.0.1:9000", "/b", bucket("b", B::ListObjects)),
        ("[::1]:9000", "/b/k", object("b", "k", O::GetObject)),
        ("elsewhere.org", "/b/k", object("b", "k", O::GetObject)),
        ("notexample.com", "/b/k", object("b", "k", O::GetObject)),
        ("s3.example.com", "/b/k", object("b", "k", O::GetObject)),
        ("S3.Example.COM:9000", "/b/k", object("b", "k", O::GetObject)),
        ("b.s3.example.com", "/k", object("b", "k", O::GetObject)),
        ("b.s3.example.com:9000", "/k", object("b", "k", O::GetObject)),
        ("B.s3.example.com", "/k", object("b", "k", O::GetObject)),
        ("b.s3.example.com", "/", bucket("b", B::ListObjects)),
        ("b.s3.example.com", "//", object("b", "/", O::GetObject)),
        ("b.s3.example.com", "/b/k", object("b", "b/k", O::GetObject)),
        (
            "b.s3.example.com",
            "/?location",
            bucket("b", B::GetBucketLocation),
        ),
        (
            "my.dotted.bucket.s3.example.com",
            "/k",
            object("my.dotted.bucket", "k", O::GetObject),
        ),
        ("b.example.com", "/k", object("b", "k", O::GetObject)),
        ("example.com", "/b/k", object("b", "k", O::GetObject)),
        ("b.localhost:9000", "/k", object("b", "k", O::GetObject)),
        ("localhost:9000", "/", Operation::ListBuckets),
        ("s3.example.com", "/", Operation::ListBuckets),
        (
            "ignored",
            "http://b.localhost:9000/k",
            object("b", "k", O::GetObject),
        ),
        ("h", "/?x-id=ListBuckets", Operation::ListBuckets),
        ("h", "/a%20domain/k", object("a domain", "k", O::GetObject)),
    ] {
        assert_eq!(
            routed("GET", host, target, &[]).unwrap(),
            expected,
            "{host} {target}"
        );
    }
    assert_eq!(routed("PUT", "h", "/b", &[]).unwrap(), create("b"));
    assert_eq!(routed("PUT", "h", "/b/", &[]).unwrap(), create("b"));
    assert_eq!(routed("PUT", "b.localhost", "/", &[]).unwrap(), create("b"));
    assert_eq!(routed("OPTIONS", "h", "/b/k", &[]).unwrap(), Operation::Preflight);
}

#[test]
fn what_is_no_request_of_s3_is_refused_with_the_code_that_says_why() {
    let copy = &[("x-amz-copy-source", "b/o")][..];
    for (request, extra, code) in [
        ("GET /b/%", &[][..], Code::InvalidUri),
        ("GET /b/%4", &[], Code::InvalidUri),
        ("GET /b/%zz", &[], Code::InvalidUri),
        ("GET /b/a%ff", &[], Code::InvalidUri),
        ("GET /%ff", &[], Code::InvalidUri),
        ("GET /b?prefix=%ff", &[], Code::InvalidUri),
        ("GET //k", &[], Code::InvalidBucketName),
        ("GET /b/%00", &[], Code::InvalidArgument),
        ("GET /b/%F4%8F%BF%BFmogul/1", &[], Code::InvalidArgument),
        ("GET /b/k?uploads", &[], Code::InvalidRequest),
        ("GET /b/k?versions", &[], Code::InvalidRequest),
        ("PUT /b/k?partNumber=1", &[], Code::InvalidArgument),
        ("PUT /b/k?uploadId=1", &[], Code::InvalidArgument),
        ("GET /b/k", copy, Code::InvalidArgument),
        ("DELETE /b/k", copy, Code::InvalidArgument),
        ("POST /b/k?uploads", copy, Code::InvalidArgument),
        ("PUT /b", copy, Code::InvalidArgument),
        ("PUT /b/k?tagging", copy, Code::InvalidArgument),
        ("PATCH /b/k", &[], Code::MethodNotAllowed),
        ("PATCH /b", &[], Code::MethodNotAllowed),
        ("PUT /", &[], Code::MethodNotAllowed),
        ("DELETE /", &[], Code::MethodNotAllowed),
        ("POST /", &[], Code::MethodNotAllowed),
        ("POST /b", &[], Code::MethodNotAllowed),
        ("POST /b/k", &[], Code::MethodNotAllowed),
        ("DELETE /b?acl", &[], Code::MethodNotAllowed),
        ("DELETE /b/k?acl", &[], Code::MethodNotAllowed),
        ("DELETE /b/k?attributes", &[], Code::MethodNotAllowed),
        ("DELETE /b?versioning", &[], Code::MethodNotAllowed),
        ("PUT /b?location", &[], Code::MethodNotAllowed),
        ("DELETE /b?uploads", &[], Code::MethodNotAllowed),
        ("PUT /b?delete", &[], Code::MethodNotAllowed),
    ] {
        let (method, target) = request.split_once(' ').unwrap();

        let error = routed(method, "h", target, extra).unwrap_err();

        assert_eq!(error.code, code, "{request}");
        let allows = error.headers.iter().any(|(name, _)| name == header::ALLOW);
        assert_eq!(allows, code == Code::MethodNotAllowed, "{request}");
    }
}

#[test]
fn a_key_may_have_1024_bytes_and_not_one_more() {
    let longest = "k".repeat(1024);

    assert!(routed("PUT", "h", &format!("/b/{longest}"), &[]).is_ok());
    let error = routed("PUT", "h", &format!("/b/{longest}k"), &[]).unwrap_err();
    assert_eq!(error.code, Code::KeyTooLongError);
}

#[test]
fn forms_are_known_and_not_served() {
    let form = &[("content-type", "multipart/form-data; boundary=x")][..];
    let action = &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")][..];

    assert_eq!(
        routed("POST", "h", "/b", form).unwrap(),
        bucket("b", B::Unsupported("PostObject"))
    );
    assert_eq!(
        routed("POST", "h", "/", action).unwrap(),
        Operation::Unsupported("STS and IAM")
    );
}

#[test]
fn a_query_is_decoded_once_with_plus_as_space() {
    let query = Query::parse("a+b=c%2Bd&acl&e=&f=%252F&a+b=second&&g=h=i").unwrap();

    let pairs: Vec<_> = query.iter().collect();
    assert_eq!(
        pairs,
        [
            ("a b", "c+d"),
            ("acl", ""),
            ("e", ""),
            ("f", "%2F"),
            ("a b", "second"),
            ("g", "h=i")
        ]
    );
    assert_eq!(query.get("a b"), Some("c+d"));
}

#[test]
fn a_number_is_one_or_the_request_is_refused() {
    for (raw, expected) in [
        ("", Some(None)),
        ("n=", Some(None)),
        ("n=0", Some(Some(0))),
        ("n=1000", Some(Some(1000))),
        ("n=2147483647", Some(Some(2_147_483_647))),
        ("n=2147483648", None),
        ("n=-1", None),
        ("n=x", None),
        ("n=1.5", None),
        ("n=%201", None),
    ] {
        assert_eq!(Query::parse(raw).unwrap().number("n").ok(), expected, "{raw}");
    }
}
