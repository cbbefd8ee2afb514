//! The authenticator against an independent signer (`aws-sigv4`) and AWS's published examples.

mod chunks;
mod examples;
mod matrix;
mod presigned_v2;
mod signatures;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
        SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use mogul_tracker::model::{AccessKey, Credential, SecretKey, Timestamp, User};

use super::*;
use crate::s3::{Accel, Regions, RequestId, route::Query};

/// The key of AWS's examples.
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// The time of AWS's examples: 2013-05-24T00:00:00Z.
const EXAMPLE_TIME: Timestamp = Timestamp::from_secs(1_369_353_600);

fn config(region: &str, regions: Regions) -> S3Config {
    S3Config {
        scheme: http::uri::Scheme::HTTP,
        region: region.to_owned(),
        regions,
        domains: Vec::new(),
        root: Some(Credential {
            access_key: AccessKey("root".to_owned()),
            secret_key: SecretKey("root's secret".to_owned()),
            user: User::root(),
            created: EXAMPLE_TIME,
        }),
        put_bytes_max: S3Config::PUT_BYTES_MAX_DEFAULT,
        accel: Accel::Off,
    }
}

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    let uri: http::Uri = target.parse().unwrap();
    RequestHead {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        query: Query::parse(uri.query().unwrap_or_default()).unwrap(),
        uri,
        headers: map,
        id: RequestId::new(1),
        received: EXAMPLE_TIME,
    }
}

/// What [`authenticate`] does once the secret is known to be that of the examples.
fn check(head: &mut RequestHead) -> Result<Payload, S3Error> {
    let signature =
        signature(head, &config("us-east-1", Regions::Configured))?.expect("the request is signed");
    let secret = SecretKey(SECRET_KEY.to_owned());
    admit(&signature, head, &secret, &SigningKeys::default())
}

/// Where the independent signer puts the signature.
#[derive(Clone, Copy, PartialEq)]
enum Into {
    Headers,
    Query(Duration),
}

struct Signed {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    signature: String,
}

impl Signed {
    fn head(&self) -> RequestHead {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        head(self.method, &self.target, &headers)
    }
}

fn settings(into: Into) -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    if let Into::Query(expires) = into {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.expires_in = Some(expires);
    }
    settings
}

fn identity() -> aws_smithy_runtime_api::client::identity::Identity {
    Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test").into()
}

fn time() -> std::time::SystemTime {
    let secs = u64::try_from(EXAMPLE_TIME.secs()).unwrap();
    std::time::UNIX_EPOCH + Duration::from_secs(secs)
}

/// Signs as an SDK does. `target` is encoded as it will be on the wire.
fn signed(
    method: &'static str,
    target: &str,
    headers: &[(&str, &str)],
    body: SignableBody<'_>,
    into: Into,
) -> Signed {
    let identity = identity();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3")
        .time(time())
        .settings(settings(into))
        .build()
        .unwrap()
        .into();
    let uri = format!("http://bucket.example:9000{target}");
    let mut all = vec![("host", "bucket.example:9000")];
    all.extend_from_slice(headers);
    let signable = SignableRequest::new(method, &uri, all.iter().copied(), body).unwrap();
    let (instructions, signature) = sign(signable, &parameters).unwrap().into_parts();
    let mut request = Request::builder().method(method).uri(&uri).body(()).unwrap();
    for (name, value) in &all {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request
            .headers_mut()
            .append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    instructions.apply_to_request_http1x(&mut request);
    Signed {
        method,
        target: request.uri().path_and_query().unwrap().to_string(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8(value.as_bytes().to_vec()).unwrap(),
                )
            })
            .collect(),
        signature,
    }
}
