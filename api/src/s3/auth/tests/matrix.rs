//! Every kind of credentials at every place, for every method and kind of target.

use super::*;

#[test]
fn credentials_are_looked_for_alike_on_every_route() {
    let header = ("authorization", "AWS4-HMAC-SHA256 Credential=a");
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"] {
        for path in ["/", "/b", "/b/", "/b/k"] {
            for query in ["", "uploads", "uploadId=1&partNumber=2", "delete", "acl"] {
                let bare = format!("{path}?{query}");
                let presigned = format!("{path}?{query}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=a");
                let credential_alone =
                    format!("{path}?{query}&X-Amz-Credential=root%2F20130524%2Fr%2Fs3%2Faws4_request");
                let old = format!("{path}?{query}&AWSAccessKeyId=a&Signature=b");
                let config = config("us-east-1", Regions::Lenient);
                let code = |target: &str, headers: &[(&str, &str)]| {
                    signature(&head(method, target, headers), &config).map_or_else(
                        |error| Some(error.code),
                        |claim| {
                            assert!(claim.is_none(), "{method} {target}");
                            None
                        },
                    )
                };

                assert_eq!(code(&bare, &[]), None);
                assert_eq!(code(&bare, &[header]), Some(Code::AuthorizationHeaderMalformed));
                assert_eq!(
                    code(&presigned, &[]),
                    Some(Code::AuthorizationQueryParametersError)
                );
                assert_eq!(
                    code(&credential_alone, &[]),
                    Some(Code::AuthorizationQueryParametersError)
                );
                assert_eq!(code(&presigned, &[header]), Some(Code::InvalidArgument));
                assert_eq!(code(&credential_alone, &[header]), Some(Code::InvalidArgument));
                assert_eq!(code(&old, &[]), Some(Code::AccessDenied));
                assert_eq!(code(&old, &[header]), Some(Code::InvalidArgument));
            }
        }
    }
}

#[test]
fn an_empty_access_key_is_not_anonymous() {
    let value = format!(
        "AWS4-HMAC-SHA256 Credential=/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,\
         Signature={}",
        "0".repeat(64)
    );
    let request = head(
        "GET",
        "/b/k",
        &[
            ("host", "h"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("authorization", &value),
        ],
    );

    let signature = signature(&request, &config("us-east-1", Regions::Lenient))
        .unwrap()
        .unwrap();

    assert_eq!(signature.access_key().0, "");
}

#[test]
fn two_authorization_headers_are_refused() {
    let header = ("authorization", "AWS4-HMAC-SHA256 Credential=a");
    let request = head("GET", "/b/k", &[header, header]);

    let error = signature(&request, &config("us-east-1", Regions::Lenient)).unwrap_err();

    assert_eq!(error.code, Code::InvalidArgument);
}

#[test]
fn the_anonymous_sign_no_payload_and_override_no_header() {
    for (target, hash, expected) in [
        ("/b/k", None, None),
        ("/b/k", Some("UNSIGNED-PAYLOAD"), None),
        ("/b/k", Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), None),
        (
            "/b/k",
            Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            Some(Code::InvalidRequest),
        ),
        (
            "/b/k?response-content-type=text%2Fhtml",
            None,
            Some(Code::InvalidRequest),
        ),
    ] {
        let headers: Vec<(&str, &str)> = hash
            .map(|hash| ("x-amz-content-sha256", hash))
            .into_iter()
            .collect();

        let error = anonymous(&head("PUT", target, &headers)).err();

        assert_eq!(error.map(|error| error.code), expected, "{target} {hash:?}");
    }
}
