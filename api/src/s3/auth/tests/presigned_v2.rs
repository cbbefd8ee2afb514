//! Presigned URLs of version 2, as boto3 makes them by default (made by botocore 1.43 with AWS's example key, at the time
//! of its examples, valid for a minute).

use super::*;

const PLAIN: &str =
    "/bkt/k?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=XiyoZGl0D2PEWYfeEUErBnyXqJM%3D&Expires=1369353660";

const URLS: [(&str, &str); 7] = [
    (
        "GET",
        "/bkt/k%20%C3%A9/%25%2B~%2A?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=j8%2BiSqNDdNBLcv9Jmxc9r1kWQH4%3D\
         &Expires=1369353660",
    ),
    ("HEAD", PLAIN),
    (
        "GET",
        "/bkt/k?response-content-type=x%2Fy&response-content-disposition=attachment%3B%20filename%3D%22a%20b%22\
         &AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=D8sd37rgbx1FOxQXGEqBj%2FcQnX0%3D&Expires=1369353660",
    ),
    (
        "PUT",
        "/bkt/k?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=3wqezEje7u8etBnFRSV%2FPfz4xhA%3D\
         &content-type=text%2Fplain&x-amz-meta-b=2&x-amz-meta-a=1%202&x-amz-storage-class=STANDARD_IA\
         &Expires=1369353660",
    ),
    (
        "PUT",
        "/bkt/k?partNumber=3&uploadId=abc%2F%2B&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE\
         &Signature=eR%2BSGS8BxKy5rMpnRmJuhcX0mws%3D&Expires=1369353660",
    ),
    (
        "GET",
        "/bkt/k?tagging&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=fI33vGv3zRbKYVu2QL9Ymg3S4XE%3D\
         &Expires=1369353660",
    ),
    (
        "GET",
        "/bkt?list-type=2&prefix=a&encoding-type=url&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE\
         &Signature=FI8Hyxw5yRqqmcVLnalDZVKZQIw%3D&Expires=1369353660",
    ),
];

fn code(head: &mut RequestHead) -> Option<Code> {
    check(head).err().map(|error| error.code)
}

#[test]
fn the_urls_of_botocore_are_accepted() {
    for (method, target) in URLS {
        let found = check(&mut head(method, target, &[("host", "127.0.0.1:9000")]));

        assert!(found.is_ok(), "{target}: {found:?}");
    }
}

#[test]
fn a_bucket_in_the_host_is_signed_as_in_the_path() {
    let target =
        "/k?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NL8fAPs1PU4cl9urmD1JfnfsvTM%3D&Expires=1369353660";
    let mut config = config("us-east-1", Regions::Configured);
    config.domains = vec!["s3.example.com".to_owned()];
    let accepted = |host| {
        let mut head = head("GET", target, &[("host", host)]);
        let signature = signature(&head, &config).unwrap().unwrap();
        let secret = SecretKey(SECRET_KEY.to_owned());
        admit(&signature, &mut head, &secret, &SigningKeys::default()).is_ok()
    };

    assert!(accepted("bkt.s3.example.com:9000"));
    assert!(!accepted("other.s3.example.com:9000"));
    assert!(!accepted("127.0.0.1:9000"));
}

#[test]
fn what_stands_for_headers_becomes_headers() {
    let (method, target) = URLS[3];
    let mut head = head(method, target, &[("host", "h")]);

    check(&mut head).unwrap();

    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(head.header("x-amz-meta-a"), Some("1 2"));
    assert_eq!(head.header("x-amz-storage-class"), Some("STANDARD_IA"));
}

#[test]
fn nothing_can_be_changed_or_added() {
    for (method, target, headers, expected) in [
        ("GET", PLAIN.to_owned(), &[][..], Code::SignatureDoesNotMatch),
        (
            "HEAD",
            PLAIN.replace("/k?", "/j?"),
            &[],
            Code::SignatureDoesNotMatch,
        ),
        (
            "HEAD",
            PLAIN.replace("=1369353660", "=1369353661"),
            &[],
            Code::SignatureDoesNotMatch,
        ),
        (
            "HEAD",
            PLAIN.replace("Signature=X", "Signature=Y"),
            &[],
            Code::SignatureDoesNotMatch,
        ),
        (
            "HEAD",
            PLAIN.replace("Signature=X", "Signature=%00"),
            &[],
            Code::SignatureDoesNotMatch,
        ),
        ("HEAD", format!("{PLAIN}&acl"), &[], Code::SignatureDoesNotMatch),
        (
            "HEAD",
            format!("{PLAIN}&x-amz-acl=public-read"),
            &[],
            Code::SignatureDoesNotMatch,
        ),
        (
            "HEAD",
            PLAIN.to_owned(),
            &[("x-amz-acl", "public-read")],
            Code::SignatureDoesNotMatch,
        ),
        (
            "HEAD",
            PLAIN.to_owned(),
            &[("content-type", "text/html")],
            Code::SignatureDoesNotMatch,
        ),
        ("HEAD", format!("{PLAIN}&attributes"), &[], Code::AccessDenied),
        ("HEAD", format!("{PLAIN}&retention"), &[], Code::AccessDenied),
        (
            "HEAD",
            format!("{PLAIN}&x-amz-copy-source=a%2Fb"),
            &[],
            Code::AccessDenied,
        ),
        (
            "HEAD",
            PLAIN.replace("&Expires", "&expires"),
            &[],
            Code::AccessDenied,
        ),
        (
            "HEAD",
            PLAIN.replace("=1369353660", "=soon"),
            &[],
            Code::AccessDenied,
        ),
    ] {
        let mut head = head(method, &target, headers);

        assert_eq!(code(&mut head), Some(expected), "{method} {target} {headers:?}");
    }
}

#[test]
fn such_a_url_expires() {
    let mut head = head("HEAD", PLAIN, &[]);
    head.received = Timestamp::from_secs(EXAMPLE_TIME.secs() + 59);
    assert_eq!(code(&mut head), None);

    head.received = Timestamp::from_secs(EXAMPLE_TIME.secs() + 60);

    assert_eq!(code(&mut head), Some(Code::AccessDenied));
}
