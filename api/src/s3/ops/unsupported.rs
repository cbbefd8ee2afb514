//! What we know and do not serve, and reads whose truthful answer is the same everywhere.
//!
//! A client may rely on what it was promised: what we cannot keep is refused by name, never taken and forgotten.

use mogul_tracker::model::Bucket;

use super::{
    names::{Names, write_user},
    no_content,
};
use crate::s3::{
    ObjectName, RequestHead, Response, S3,
    error::{Code, S3Error},
    route::FixedAnswer,
    xml::Writer,
};

/// Headers that ask for what we do not do: their name, the values that ask for nothing, and what it is called.
const UNSERVED_HEADERS: &[(&str, &[&str], &str)] = &[
    ("x-amz-server-side-encryption", &[], "Server-side encryption"),
    (
        "x-amz-server-side-encryption-customer-algorithm",
        &[],
        "Server-side encryption with customer keys",
    ),
    (
        "x-amz-server-side-encryption-aws-kms-key-id",
        &[],
        "Server-side encryption",
    ),
    (
        "x-amz-copy-source-server-side-encryption-customer-algorithm",
        &[],
        "Server-side encryption with customer keys",
    ),
    ("x-amz-object-lock-mode", &[], "Object lock"),
    ("x-amz-object-lock-retain-until-date", &[], "Object lock"),
    ("x-amz-object-lock-legal-hold", &["OFF"], "Object lock"),
    ("x-amz-write-offset-bytes", &[], "Appending to objects"),
];

/// The canned ACLs of S3; those that give nobody but the owner anything are what every bucket and object has.
const CANNED_ACLS: &[(&str, bool)] = &[
    ("private", true),
    ("bucket-owner-full-control", true),
    ("bucket-owner-read", true),
    ("public-read", false),
    ("public-read-write", false),
    ("authenticated-read", false),
    ("aws-exec-read", false),
    ("log-delivery-write", false),
];

/// A known operation or feature that is not served.
pub(in crate::s3) fn not_implemented(name: &'static str) -> S3Error {
    S3Error::new(
        Code::NotImplemented,
        format!("{name}: this functionality is not implemented."),
    )
}

/// Refuses headers of a write that ask for more than we do.
///
/// # Errors
/// [`Code::NotImplemented`], naming what was asked for; [`Code::InvalidArgument`] for an unknown canned ACL.
pub(in crate::s3) fn refuse_unserved(head: &RequestHead) -> Result<(), S3Error> {
    refuse_acl(head)?;
    for (name, harmless, feature) in UNSERVED_HEADERS {
        match head.headers.get(*name) {
            Some(value) if !harmless.iter().any(|text| value == text) => {
                return Err(not_implemented(feature).with("Header", *name));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// Refuses an ACL that gives anything to anybody but the owner.
pub(super) fn refuse_acl(head: &RequestHead) -> Result<(), S3Error> {
    if let Some(acl) = head.header("x-amz-acl") {
        match CANNED_ACLS.iter().find(|(name, _)| *name == acl) {
            Some((_, true)) => {}
            Some((_, false)) => {
                return Err(not_implemented("ACLs other than private").with("Header", "x-amz-acl"));
            }
            None => {
                return Err(S3Error::new(Code::InvalidArgument, "Invalid x-amz-acl header")
                    .with("ArgumentName", "x-amz-acl")
                    .with("ArgumentValue", acl));
            }
        }
    }
    let grants = head
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-grant-"));
    if grants {
        return Err(not_implemented("Grants").with("Header", "x-amz-grant-*"));
    }
    Ok(())
}

/// A browser's preflight: no bucket has CORS rules.
pub(in crate::s3) fn preflight(head: &RequestHead) -> S3Error {
    let method = head.header("access-control-request-method").unwrap_or_default();
    S3Error::new(
        Code::AccessForbidden,
        "CORSResponse: CORS is not enabled for this bucket.",
    )
    .with("Method", method)
    .with("ResourceType", "BUCKET")
}

/// A bucket's configuration that cannot be set, as S3 shows one that was not.
pub(in crate::s3) async fn fixed(s3: &S3, answer: FixedAnswer, bucket: &Bucket) -> Result<Response, S3Error> {
    match answer {
        FixedAnswer::Acl => acl(s3, bucket).await,
        FixedAnswer::Empty(root) => Ok(Writer::new(root, 192).answer(root)),
        FixedAnswer::EmptyList(root) => {
            let mut writer = Writer::new(root, 192);
            writer.truth("IsTruncated", false);
            Ok(writer.answer(root))
        }
        FixedAnswer::RequestPayment => {
            let mut writer = Writer::new("RequestPaymentConfiguration", 192);
            writer.text("Payer", "BucketOwner");
            Ok(writer.answer("RequestPaymentConfiguration"))
        }
        FixedAnswer::Abac => {
            let mut writer = Writer::new("AbacStatus", 192);
            writer.text("Status", "Disabled");
            Ok(writer.answer("AbacStatus"))
        }
        FixedAnswer::Absent(code) => {
            Err(S3Error::new(code, absent(code)).with("BucketName", bucket.domain.name.as_str()))
        }
        FixedAnswer::NothingToDelete => Ok(no_content()),
    }
}

/// AWS's texts: some tools look into them.
fn absent(code: Code) -> &'static str {
    match code.as_str() {
        "NoSuchBucketPolicy" => "The bucket policy does not exist",
        "NoSuchCORSConfiguration" => "The CORS configuration does not exist",
        "NoSuchLifecycleConfiguration" => "The lifecycle configuration does not exist",
        "NoSuchWebsiteConfiguration" => "The specified bucket does not have a website configuration",
        "ServerSideEncryptionConfigurationNotFoundError" => {
            "The server side encryption configuration was not found"
        }
        "OwnershipControlsNotFoundError" => "The bucket ownership controls were not found",
        "NoSuchPublicAccessBlockConfiguration" => "The public access block configuration was not found",
        "ObjectLockConfigurationNotFoundError" => "Object Lock configuration does not exist for this bucket",
        "ReplicationConfigurationNotFoundError" => "The replication configuration was not found",
        _ => "The specified configuration does not exist.",
    }
}

/// `GET /B/K?acl`: what every object has.
pub(in crate::s3) async fn object_acl(s3: &S3, name: &ObjectName) -> Result<Response, S3Error> {
    existing(s3, name).await?;
    acl(s3, &name.bucket).await
}

/// The owner has full control, nobody else has anything.
async fn acl(s3: &S3, bucket: &Bucket) -> Result<Response, S3Error> {
    let mut names = Names::default();
    let owner = names.owner(s3, &bucket.owner).await?;
    let mut writer = Writer::new("AccessControlPolicy", 512);
    write_user(&mut writer, "Owner", owner);
    writer.open("AccessControlList");
    writer.open("Grant");
    // Several SDKs look for exactly this prefix.
    writer
        .raw("<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">");
    writer.text("ID", &owner.id.0);
    writer.text("DisplayName", &owner.display_name);
    writer.close("Grantee");
    writer.text("Permission", "FULL_CONTROL");
    writer.close("Grant");
    writer.close("AccessControlList");
    Ok(writer.answer("AccessControlPolicy"))
}

/// `GET /B/K?retention` and `?legal-hold`: no bucket has object lock.
pub(in crate::s3) fn no_object_lock() -> S3Error {
    S3Error::new(
        Code::InvalidRequest,
        "Bucket is missing Object Lock Configuration",
    )
}

/// `POST /B/K?restore`: nothing is ever archived.
pub(in crate::s3) async fn restore(s3: &S3, name: &ObjectName) -> S3Error {
    match existing(s3, name).await {
        Ok(()) => S3Error::new(
            Code::InvalidObjectState,
            "Restore is not allowed for the object's current storage class",
        ),
        Err(error) => error,
    }
}

async fn existing(s3: &S3, name: &ObjectName) -> Result<(), S3Error> {
    let found = s3.tracker.object(name.bucket.domain.id, &name.key).await;
    found
        .map(|_| ())
        .map_err(|error| S3Error::from(error).with("Key", name.key.as_str()))
}
