//! Buckets: listed, made, looked at, deleted.

use axum::body::Body;
use http::{HeaderValue, header};
use mogul_tracker::{
    Error,
    command::buckets::{BucketCreation, CreateBucket, ListBuckets},
    model::{Bucket, DomainName, UserId},
};

use super::{names::write_user, no_content, tagging, token, unsupported};
use crate::s3::{
    Identity, Request, RequestHead, Response, S3,
    auth::{authorize::authorize_account, payload::read_document},
    error::{Code, S3Error},
    route::invalid_argument,
    xml::{Writer, bucket_location},
};

/// Most buckets in one page (AWS); also the page of a client that names no size.
const PAGE_MAX: u32 = 10_000;

/// Largest `CreateBucketConfiguration` in bytes: a name and at most 50 tags.
const CONFIGURATION_BYTES_MAX: usize = 64 << 10;

/// The region whose buckets may be made again, and whose name is not written (AWS's oldest).
const US_EAST_1: &str = "us-east-1";

/// `GET /`: the caller's buckets; all to root.
pub(in crate::s3) async fn list_buckets(
    s3: &S3,
    head: &RequestHead,
    identity: &Identity,
) -> Result<Response, S3Error> {
    let user = authorize_account(identity)?;
    let query = &head.query;
    let limit = query.number("max-buckets")?.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = format!("Argument max-buckets must be an integer between 1 and {PAGE_MAX}");
        return Err(invalid_argument("max-buckets", &limit.to_string(), message));
    }
    let after = match query.get("continuation-token") {
        None | Some("") => None,
        Some(given) => Some(token::decode("", given)?),
    };
    let elsewhere = query
        .get("bucket-region")
        .is_some_and(|region| region != s3.config.region);
    let page = s3
        .tracker
        .list_buckets(ListBuckets {
            owner: (user.id != UserId::root()).then(|| user.id.clone()),
            prefix: query.get("prefix").unwrap_or_default().to_owned(),
            after,
            limit: usize::try_from(limit).expect("PAGE_MAX fits"),
        })
        .await?;
    let buckets = if elsewhere { &[][..] } else { &page.entries[..] };

    let mut writer = Writer::new("ListAllMyBucketsResult", 512 + 192 * buckets.len());
    write_user(&mut writer, "Owner", user);
    writer.open("Buckets");
    for bucket in buckets {
        writer.open("Bucket");
        writer.text("Name", bucket.domain.name.as_str());
        writer.time("CreationDate", bucket.created);
        writer.text("BucketRegion", &s3.config.region);
        writer.close("Bucket");
    }
    writer.close("Buckets");
    if let Some(prefix) = query.get("prefix") {
        writer.text("Prefix", prefix);
    }
    if let (true, Some(last)) = (page.more, buckets.last()) {
        writer.text("ContinuationToken", &token::encode("", last.domain.name.as_str()));
    }
    Ok(writer.answer("ListAllMyBucketsResult"))
}

/// `PUT /B`.
pub(in crate::s3) async fn create_bucket(s3: &S3, name: &str, request: Request) -> Result<Response, S3Error> {
    let owner = authorize_account(&request.identity)?.id.clone();
    let domain = DomainName::parse(name)
        .filter(DomainName::is_bucket_name)
        .ok_or_else(|| S3Error::from(Error::InvalidDomainName).with("BucketName", name))?;
    check_headers(&request.head)?;
    let document = read_document(request, CONFIGURATION_BYTES_MAX).await?;
    let (location, tags) = bucket_location(&document)?;
    check_location(s3, location.as_deref())?;
    tagging::check_bucket_tags(&tags)?;
    let made = s3
        .tracker
        .create_bucket(CreateBucket {
            name: domain,
            owner,
            tags,
        })
        .await;
    match made {
        Ok(BucketCreation::Created) => Ok(created(name)),
        Ok(BucketCreation::AlreadyYours) if s3.config.region == US_EAST_1 => Ok(created(name)),
        Ok(BucketCreation::AlreadyYours) => Err(S3Error::new(
            Code::BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it.",
        )
        .with("BucketName", name)),
        Err(error) => Err(S3Error::from(error).with("BucketName", name)),
    }
}

/// What the headers ask of a new bucket: only what every bucket is anyway can be promised.
fn check_headers(head: &RequestHead) -> Result<(), S3Error> {
    unsupported::refuse_acl(head)?;
    match head.header("x-amz-object-ownership") {
        None | Some("BucketOwnerEnforced" | "BucketOwnerPreferred" | "ObjectWriter") => {}
        Some(other) => {
            let message = "Invalid x-amz-object-ownership header";
            return Err(invalid_argument("x-amz-object-ownership", other, message));
        }
    }
    let lock = head.header("x-amz-bucket-object-lock-enabled");
    if lock.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(unsupported::not_implemented("Object lock"));
    }
    Ok(())
}

/// A bucket is in the server's region, whether the client names it, says nothing, or always says `us-east-1` as minio's
/// clients do.
fn check_location(s3: &S3, location: Option<&str>) -> Result<(), S3Error> {
    match location {
        None | Some("" | US_EAST_1) => Ok(()),
        Some(region) if region == s3.config.region => Ok(()),
        Some(other) => Err(S3Error::new(
            Code::InvalidLocationConstraint,
            "The specified location-constraint is not valid",
        )
        .with("LocationConstraint", other)),
    }
}

fn created(name: &str) -> Response {
    let mut response = Response::new(Body::empty());
    // A bucket's name has no character that a header could not hold.
    if let Ok(location) = HeaderValue::try_from(format!("/{name}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// `HEAD /B`: it exists, or nobody would have come here.
pub(in crate::s3) fn head_bucket() -> Response {
    Response::new(Body::empty())
}

/// `DELETE /B`.
pub(in crate::s3) async fn delete_bucket(s3: &S3, bucket: &Bucket) -> Result<Response, S3Error> {
    let name = &bucket.domain.name;
    match s3.tracker.delete_bucket(name).await {
        Ok(()) => Ok(no_content()),
        Err(error) => Err(S3Error::from(error).with("BucketName", name.as_str())),
    }
}

/// `GET /B?location`: the root element is the value itself, empty for `us-east-1`.
pub(in crate::s3) fn get_bucket_location(s3: &S3) -> Response {
    let mut writer = Writer::new("LocationConstraint", 192);
    if s3.config.region != US_EAST_1 {
        writer.escaped(&s3.config.region);
    }
    writer.answer("LocationConstraint")
}
