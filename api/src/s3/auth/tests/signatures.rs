//! Requests of the independent signer: each is taken as signed, and refused once anything of it changes.

use super::*;

const WEEK: Duration = Duration::from_hours(168);

/// Paths and queries as SDKs send them.
const TARGETS: [&str; 24] = [
    "/",
    "/bucket",
    "/bucket/",
    "/bucket/key",
    "/bucket//double//slash",
    "/bucket//leading",
    "/bucket/../up",
    "/bucket/./here/.",
    "/bucket/..%2Fup",
    "/bucket/a%2Fb",
    "/bucket/with%20space",
    "/bucket/plus%2Bplus",
    "/bucket/til~de",
    "/bucket/star%2A%27%28%29%21",
    "/bucket/percent%25sign%2541",
    "/bucket/%E4%BD%A0%E5%A5%BD/%F0%9F%98%80",
    "/bucket/e%CC%81",
    "/bucket/dir/",
    "/bucket?acl",
    "/bucket?acl=",
    "/bucket?prefix=a%20b%2Bc&delimiter=%2F&list-type=2",
    "/bucket?b=2&a=2&a=1&B=0&a-b=3&a=%F0%9F%98%80",
    "/bucket/key?response-content-disposition=attachment%3B%20filename%3D%22a%20b%22",
    "/bucket/key?x-id=GetObject&empty=&til=~&star=%2A",
];

#[test]
fn every_target_signed_in_headers_is_accepted() {
    for target in TARGETS {
        let request = signed("GET", target, &[], SignableBody::Bytes(b""), Into::Headers);

        let found = check(&mut request.head());

        assert!(found.is_ok(), "{target}: {found:?}");
    }
}

#[test]
fn every_target_presigned_is_accepted() {
    for target in TARGETS {
        let request = signed(
            "GET",
            target,
            &[],
            SignableBody::UnsignedPayload,
            Into::Query(WEEK),
        );

        let found = check(&mut request.head());

        assert!(found.is_ok(), "{target}: {found:?}");
    }
}

#[test]
fn characters_that_browsers_leave_bare_are_encoded_for_the_signature() {
    let mut request = signed(
        "GET",
        "/b/%2A%27%28%29%21%2B?q=a%20b%2A",
        &[],
        SignableBody::Bytes(b""),
        Into::Headers,
    );
    request.target = "/b/*'()!+?q=a+b*".to_owned();

    let found = check(&mut request.head());

    assert!(found.is_ok(), "{found:?}");
}

#[test]
fn an_encoded_slash_may_be_signed_as_a_slash() {
    let mut request = signed("GET", "/bucket/a/b", &[], SignableBody::Bytes(b""), Into::Headers);
    request.target = "/bucket/a%2Fb".to_owned();

    let found = check(&mut request.head());

    assert!(found.is_ok(), "{found:?}");
}

#[test]
fn awkward_headers_are_accepted() {
    for headers in [
        &[("x-amz-meta-a", "  runs   of    spaces  ")][..],
        &[("x-amz-meta-a", "")],
        &[("x-amz-meta-a", "1"), ("x-amz-meta-b", "a,b , c")],
        &[("x-amz-meta-a", "\"a   b\"")],
        &[("content-type", ""), ("content-encoding", "gzip,aws-chunked")],
        &[("accept-encoding", "gzip;q=1.0"), ("expect", "100-continue")],
        &[
            ("content-length", "5"),
            ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ],
    ] {
        let request = signed(
            "PUT",
            "/b/k",
            headers,
            SignableBody::Bytes(b"hello"),
            Into::Headers,
        );

        let found = check(&mut request.head());

        assert!(found.is_ok(), "{headers:?}: {found:?}");
    }
}

#[test]
fn repeated_headers_are_joined_in_the_order_received() {
    let joined = signed(
        "PUT",
        "/b/k",
        &[("x-amz-meta-a", "1,2")],
        SignableBody::Bytes(b""),
        Into::Headers,
    );
    let mut head = joined.head();
    head.headers.remove("x-amz-meta-a");
    head.headers
        .append("x-amz-meta-a", HeaderValue::from_static(" 1"));
    head.headers
        .append("x-amz-meta-a", HeaderValue::from_static("2 "));

    assert!(check(&mut head).is_ok());
}

#[test]
fn a_rewritten_accept_encoding_does_not_break_a_signature_and_another_header_does() {
    let headers = [("accept-encoding", "identity"), ("range", "bytes=0-1")];
    let request = signed("GET", "/b/k", &headers, SignableBody::Bytes(b""), Into::Headers);
    let mut head = request.head();
    head.headers
        .insert("accept-encoding", HeaderValue::from_static("gzip, br"));
    assert!(check(&mut head).is_ok());

    head.headers
        .insert("range", HeaderValue::from_static("bytes=0-2"));

    assert_eq!(check(&mut head).unwrap_err().code, Code::SignatureDoesNotMatch);
}

#[test]
fn whatever_is_changed_breaks_the_signature() {
    let fresh = || {
        signed(
            "PUT",
            "/b/k?a=1",
            &[("x-amz-meta-a", "1")],
            SignableBody::Bytes(b"x"),
            Into::Headers,
        )
        .head()
    };
    let mut changed: Vec<RequestHead> = (0..6).map(|_| fresh()).collect();
    changed[0].method = Method::GET;
    changed[1].uri = "/b/K?a=1".parse().unwrap();
    changed[2].uri = "/b/k?a=2".parse().unwrap();
    changed[3].uri = "/b/k?a=1&b".parse().unwrap();
    changed[4]
        .headers
        .insert("x-amz-meta-a", HeaderValue::from_static("2"));
    changed[5]
        .headers
        .insert("host", HeaderValue::from_static("bucket.example"));

    for mut head in changed {
        let error = check(&mut head).unwrap_err();

        assert_eq!(error.code, Code::SignatureDoesNotMatch);
        let members: Vec<&str> = error.members.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            members,
            [
                "AWSAccessKeyId",
                "StringToSign",
                "SignatureProvided",
                "StringToSignBytes",
                "CanonicalRequest",
                "CanonicalRequestBytes"
            ]
        );
    }
}

#[test]
fn an_x_amz_header_that_is_not_signed_is_refused_and_named() {
    let in_header = signed("GET", "/b/k", &[], SignableBody::Bytes(b""), Into::Headers);
    let in_query = presigned_get();
    for request in [in_header, in_query] {
        let mut head = request.head();
        head.headers.insert(
            "user-agent",
            HeaderValue::from_static("not signed, and no matter"),
        );
        assert!(check(&mut head).is_ok());
        head.headers
            .insert("x-amz-acl", HeaderValue::from_static("public-read"));

        let error = check(&mut head).unwrap_err();

        assert_eq!(error.code, Code::AccessDenied);
        assert_eq!(error.members, [("HeadersNotSigned", "x-amz-acl".to_owned())]);
    }
}

#[test]
fn a_host_that_is_not_signed_is_refused() {
    let mut request = signed("GET", "/b/k", &[], SignableBody::Bytes(b""), Into::Headers);
    for (name, value) in &mut request.headers {
        if name == "authorization" {
            *value = value.replace("host;", "");
        }
    }

    assert_eq!(check(&mut request.head()).unwrap_err().code, Code::AccessDenied);
}

#[test]
fn the_clock_of_a_signature_may_be_a_quarter_of_an_hour_off() {
    for (offset_secs, expected) in [
        (0, None),
        (900, None),
        (-900, None),
        (901, Some(Code::RequestTimeTooSkewed)),
        (-901, Some(Code::RequestTimeTooSkewed)),
    ] {
        let mut head = signed("GET", "/b/k", &[], SignableBody::Bytes(b""), Into::Headers).head();
        head.received = Timestamp::from_secs(EXAMPLE_TIME.secs() + offset_secs);

        let error = check(&mut head).err();

        assert_eq!(error.as_ref().map(|error| error.code), expected, "{offset_secs}");
        if let Some(error) = error {
            let names: Vec<&str> = error.members.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["RequestTime", "ServerTime", "MaxAllowedSkewMilliseconds"]);
        }
    }
}

#[test]
fn a_presigned_url_is_valid_from_its_date_until_it_expires() {
    let hour = Into::Query(Duration::from_hours(1));
    for (offset_secs, refusal) in [
        (-901, Some("Request is not yet valid")),
        (-900, None),
        (0, None),
        (3599, None),
        (3600, Some("Request has expired")),
    ] {
        let mut head = signed("GET", "/b/k", &[], SignableBody::UnsignedPayload, hour).head();
        head.received = Timestamp::from_secs(EXAMPLE_TIME.secs() + offset_secs);

        let error = check(&mut head).err();

        assert_eq!(
            error.as_ref().map(|error| error.message.as_ref()),
            refusal,
            "{offset_secs}"
        );
        assert!(error.is_none_or(|error| error.code == Code::AccessDenied));
    }
}

/// A GET by a URL that is good for a week.
fn presigned_get() -> Signed {
    signed(
        "GET",
        "/b/k",
        &[],
        SignableBody::UnsignedPayload,
        Into::Query(WEEK),
    )
}

#[test]
fn a_url_presigned_for_get_is_none_for_head() {
    let mut request = presigned_get();
    request.method = "HEAD";

    assert_eq!(
        check(&mut request.head()).unwrap_err().code,
        Code::SignatureDoesNotMatch
    );
}

#[test]
fn bad_presigned_queries_are_told_apart_from_bad_signatures() {
    let good = presigned_get().target;
    for (from, to) in [
        ("X-Amz-Expires=604800", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=604800", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=604800", "X-Amz-Expires=soon"),
        ("X-Amz-Expires=604800", "X-Amz-Expires="),
        ("X-Amz-Expires=", "x-amz-expires="),
        ("X-Amz-Date=2013", "X-Amz-Date=2013-"),
        ("X-Amz-SignedHeaders=", "SignedHeaders="),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("aws4_request", "aws5_request"),
        ("%2Fs3%2F", "%2Fsqs%2F"),
        ("%2F20130524", "%2F20130525"),
        ("%2Fus-east-1%2F", "%2Fmars-1%2F"),
    ] {
        let target = good.replace(from, to);
        assert_ne!(target, good, "{from}");

        let error = check(&mut head("GET", &target, &[("host", "bucket.example:9000")])).unwrap_err();

        assert_eq!(error.code, Code::AuthorizationQueryParametersError, "{to}");
    }
}

#[test]
fn a_zero_expiry_is_expired() {
    let good = presigned_get().target;
    let target = good.replace("X-Amz-Expires=604800", "X-Amz-Expires=0");

    let error = check(&mut head("GET", &target, &[("host", "bucket.example:9000")])).unwrap_err();

    assert_eq!(
        (error.code, error.message.as_ref()),
        (Code::AccessDenied, "Request has expired")
    );
}

#[test]
fn bad_authorization_headers_are_told_apart_from_bad_signatures() {
    use Code::*;
    for (from, to, code) in [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", InvalidRequest),
        ("AWS4-HMAC-SHA256", "AWS", InvalidRequest),
        ("AWS4-HMAC-SHA256", "Bearer", InvalidArgument),
        ("Signature=", "Sig=", AuthorizationHeaderMalformed),
        ("SignedHeaders=", "Headers=", AuthorizationHeaderMalformed),
        ("aws4_request", "aws_request", AuthorizationHeaderMalformed),
        ("/s3/", "/iam/", AuthorizationHeaderMalformed),
        ("/20130524/", "/20130525/", AuthorizationHeaderMalformed),
        ("/20130524/", "/201305/", AuthorizationHeaderMalformed),
    ] {
        let mut request = signed("GET", "/b/k", &[], SignableBody::Bytes(b""), Into::Headers);
        for (name, value) in &mut request.headers {
            if name == "authorization" {
                assert!(value.contains(from));
                *value = value.replace(from, to);
            }
        }

        assert_eq!(check(&mut request.head()).unwrap_err().code, code, "{to}");
    }
}

#[test]
fn another_region_is_refused_with_the_right_one_unless_it_is_one_of_the_lenient() {
    let request = signed("GET", "/b/k", &[], SignableBody::Bytes(b""), Into::Headers);

    let strict = signature(&request.head(), &config("eu-mars-1", Regions::Configured)).unwrap_err();
    let lenient = signature(&request.head(), &config("eu-mars-1", Regions::Lenient));

    assert_eq!(strict.code, Code::AuthorizationHeaderMalformed);
    assert_eq!(strict.members, [("Region", "eu-mars-1".to_owned())]);
    assert!(lenient.unwrap().is_some());
}

#[test]
fn dates_and_payload_hashes_must_be_there_and_readable() {
    for (name, value, code) in [
        ("x-amz-date", None, Code::AccessDenied),
        ("x-amz-date", Some("yesterday"), Code::AccessDenied),
        ("x-amz-content-sha256", None, Code::InvalidRequest),
        ("x-amz-content-sha256", Some("abc"), Code::SignatureDoesNotMatch),
    ] {
        let mut head = signed("GET", "/b/k", &[], SignableBody::Bytes(b""), Into::Headers).head();
        head.headers.remove(name);
        if let Some(value) = value {
            head.headers.insert(name, HeaderValue::from_static(value));
        }

        assert_eq!(check(&mut head).unwrap_err().code, code, "{name}: {value:?}");
    }
}

#[test]
fn a_signed_payload_hash_that_is_none_is_an_invalid_argument() {
    let body = SignableBody::Precomputed("nonsense".to_owned());
    let request = signed("PUT", "/b/k", &[], body, Into::Headers);

    assert_eq!(
        check(&mut request.head()).unwrap_err().code,
        Code::InvalidArgument
    );
}

#[test]
fn a_key_that_was_given_another_secret_is_checked_with_the_new_one() {
    let keys = SigningKeys::default();
    let request = signed("GET", "/b/k", &[], SignableBody::Bytes(b""), Into::Headers);
    let mut head = request.head();
    let signature = signature(&head, &config("us-east-1", Regions::Configured))
        .unwrap()
        .unwrap();
    let mut with = |secret: &str| admit(&signature, &mut head, &SecretKey(secret.to_owned()), &keys).is_ok();

    assert!(with(SECRET_KEY));
    assert!(!with("another"));
    assert!(with(SECRET_KEY));
}

#[test]
fn presigned_parameters_stand_for_headers_but_never_for_a_copy_source() {
    let target =
        "/b/k?x-amz-meta-Colour=blue&X-Amz-Checksum-Crc32=AAAAAA%3D%3D&x-amz-copy-source=%2Fb%2Fsecret";
    let request = signed(
        "PUT",
        target,
        &[],
        SignableBody::UnsignedPayload,
        Into::Query(WEEK),
    );
    let mut head = request.head();

    check(&mut head).unwrap();

    assert_eq!(head.header("x-amz-meta-colour"), Some("blue"));
    assert_eq!(head.header("x-amz-checksum-crc32"), Some("AAAAAA=="));
    assert_eq!(head.header("x-amz-copy-source"), None);
    assert_eq!(head.header("x-amz-date"), None);
}
