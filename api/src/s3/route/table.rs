//! What can be asked of a bucket and of an object: the sub-resources and the methods each has.

use http::{HeaderMap, Method};

use super::{
    BucketOperation as B, Code, FixedAnswer as F, ObjectOperation as O, Query, S3Error, has_type,
    method_not_allowed,
};

/// A sub-resource: its selector in the query, and what each method does with it.
type Row<T> = (&'static str, &'static [(&'static str, T)]);

const BUCKET: &[Row<B>] = &[
    ("uploads", &[("GET", B::ListMultipartUploads)]),
    ("versions", &[("GET", B::ListObjectVersions)]),
    ("delete", &[("POST", B::DeleteObjects)]),
    ("location", &[("GET", B::GetBucketLocation)]),
    (
        "acl",
        &[("GET", B::Fixed(F::Acl)), ("PUT", B::Unsupported("PutBucketAcl"))],
    ),
    (
        "policy",
        &[
            ("GET", B::Fixed(F::Absent(Code::NoSuchBucketPolicy))),
            ("PUT", B::Unsupported("PutBucketPolicy")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "policyStatus",
        &[("GET", B::Fixed(F::Absent(Code::NoSuchBucketPolicy)))],
    ),
    (
        "cors",
        &[
            ("GET", B::Fixed(F::Absent(Code::NoSuchCorsConfiguration))),
            ("PUT", B::Unsupported("PutBucketCors")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "lifecycle",
        &[
            ("GET", B::Fixed(F::Absent(Code::NoSuchLifecycleConfiguration))),
            ("PUT", B::Unsupported("PutBucketLifecycleConfiguration")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "tagging",
        &[
            ("GET", B::GetBucketTagging),
            ("PUT", B::PutBucketTagging),
            ("DELETE", B::DeleteBucketTagging),
        ],
    ),
    (
        "website",
        &[
            ("GET", B::Fixed(F::Absent(Code::NoSuchWebsiteConfiguration))),
            ("PUT", B::Unsupported("PutBucketWebsite")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "versioning",
        &[
            ("GET", B::Fixed(F::Empty("VersioningConfiguration"))),
            ("PUT", B::Unsupported("PutBucketVersioning")),
        ],
    ),
    (
        "encryption",
        &[
            (
                "GET",
                B::Fixed(F::Absent(Code::ServerSideEncryptionConfigurationNotFoundError)),
            ),
            ("PUT", B::Unsupported("PutBucketEncryption")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "ownershipControls",
        &[
            ("GET", B::Fixed(F::Absent(Code::OwnershipControlsNotFoundError))),
            ("PUT", B::Unsupported("PutBucketOwnershipControls")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "publicAccessBlock",
        &[
            (
                "GET",
                B::Fixed(F::Absent(Code::NoSuchPublicAccessBlockConfiguration)),
            ),
            ("PUT", B::Unsupported("PutPublicAccessBlock")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "object-lock",
        &[
            (
                "GET",
                B::Fixed(F::Absent(Code::ObjectLockConfigurationNotFoundError)),
            ),
            ("PUT", B::Unsupported("PutObjectLockConfiguration")),
        ],
    ),
    (
        "replication",
        &[
            (
                "GET",
                B::Fixed(F::Absent(Code::ReplicationConfigurationNotFoundError)),
            ),
            ("PUT", B::Unsupported("PutBucketReplication")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "notification",
        &[
            ("GET", B::Fixed(F::Empty("NotificationConfiguration"))),
            ("PUT", B::Unsupported("PutBucketNotificationConfiguration")),
        ],
    ),
    (
        "logging",
        &[
            ("GET", B::Fixed(F::Empty("BucketLoggingStatus"))),
            ("PUT", B::Unsupported("PutBucketLogging")),
        ],
    ),
    (
        "accelerate",
        &[
            ("GET", B::Fixed(F::Empty("AccelerateConfiguration"))),
            ("PUT", B::Unsupported("PutBucketAccelerateConfiguration")),
        ],
    ),
    (
        "requestPayment",
        &[
            ("GET", B::Fixed(F::RequestPayment)),
            ("PUT", B::Unsupported("PutBucketRequestPayment")),
        ],
    ),
    (
        "abac",
        &[
            ("GET", B::Fixed(F::Abac)),
            ("PUT", B::Unsupported("PutBucketAbac")),
        ],
    ),
    (
        "analytics",
        &[
            (
                "GET",
                B::Fixed(F::EmptyList("ListBucketAnalyticsConfigurationResult")),
            ),
            ("PUT", B::Unsupported("PutBucketAnalyticsConfiguration")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "metrics",
        &[
            ("GET", B::Fixed(F::EmptyList("ListMetricsConfigurationsResult"))),
            ("PUT", B::Unsupported("PutBucketMetricsConfiguration")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "inventory",
        &[
            ("GET", B::Fixed(F::EmptyList("ListInventoryConfigurationsResult"))),
            ("PUT", B::Unsupported("PutBucketInventoryConfiguration")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    (
        "intelligent-tiering",
        &[
            (
                "GET",
                B::Fixed(F::EmptyList("ListBucketIntelligentTieringConfigurationsOutput")),
            ),
            ("PUT", B::Unsupported("PutBucketIntelligentTieringConfiguration")),
            ("DELETE", B::Fixed(F::NothingToDelete)),
        ],
    ),
    ("session", &[("GET", B::Unsupported("CreateSession"))]),
    (
        "metadataConfiguration",
        &[
            ("GET", B::Unsupported("GetBucketMetadataConfiguration")),
            ("POST", B::Unsupported("CreateBucketMetadataConfiguration")),
            ("DELETE", B::Unsupported("DeleteBucketMetadataConfiguration")),
        ],
    ),
    (
        "metadataTable",
        &[
            ("GET", B::Unsupported("GetBucketMetadataTableConfiguration")),
            ("POST", B::Unsupported("CreateBucketMetadataTableConfiguration")),
            ("DELETE", B::Unsupported("DeleteBucketMetadataTableConfiguration")),
        ],
    ),
    (
        "metadataAnnotationTable",
        &[(
            "PUT",
            B::Unsupported("UpdateBucketMetadataAnnotationTableConfiguration"),
        )],
    ),
    (
        "metadataInventoryTable",
        &[(
            "PUT",
            B::Unsupported("UpdateBucketMetadataInventoryTableConfiguration"),
        )],
    ),
    (
        "metadataJournalTable",
        &[(
            "PUT",
            B::Unsupported("UpdateBucketMetadataJournalTableConfiguration"),
        )],
    ),
];

const OBJECT: &[Row<O>] = &[
    (
        "uploadId",
        &[
            ("GET", O::ListParts),
            ("PUT", O::UploadPart),
            ("POST", O::CompleteMultipartUpload),
            ("DELETE", O::AbortMultipartUpload),
        ],
    ),
    ("uploads", &[("POST", O::CreateMultipartUpload)]),
    (
        "acl",
        &[("GET", O::GetObjectAcl), ("PUT", O::Unsupported("PutObjectAcl"))],
    ),
    ("attributes", &[("GET", O::GetObjectAttributes)]),
    (
        "tagging",
        &[
            ("GET", O::GetObjectTagging),
            ("PUT", O::PutObjectTagging),
            ("DELETE", O::DeleteObjectTagging),
        ],
    ),
    (
        "retention",
        &[
            ("GET", O::GetObjectLock),
            ("PUT", O::Unsupported("PutObjectRetention")),
        ],
    ),
    (
        "legal-hold",
        &[
            ("GET", O::GetObjectLock),
            ("PUT", O::Unsupported("PutObjectLegalHold")),
        ],
    ),
    ("restore", &[("POST", O::RestoreObject)]),
    ("select", &[("POST", O::Unsupported("SelectObjectContent"))]),
    ("torrent", &[("GET", O::Unsupported("GetObjectTorrent"))]),
    ("encryption", &[("PUT", O::Unsupported("UpdateObjectEncryption"))]),
    ("renameObject", &[("PUT", O::Unsupported("RenameObject"))]),
    (
        "annotation",
        &[
            ("GET", O::Unsupported("GetObjectAnnotation")),
            ("PUT", O::Unsupported("PutObjectAnnotation")),
            ("DELETE", O::Unsupported("DeleteObjectAnnotation")),
        ],
    ),
];

/// What is asked of a bucket; `None` is `CreateBucket`.
pub(super) fn bucket_operation(
    method: &Method,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Option<B>, S3Error> {
    if let Some(found) = selected(BUCKET, method, query)? {
        return Ok(Some(by_id(found, query)));
    }
    match *method {
        Method::PUT => Ok(None),
        Method::GET if query.get("list-type") == Some("2") => Ok(Some(B::ListObjectsV2)),
        Method::GET => Ok(Some(B::ListObjects)),
        Method::HEAD => Ok(Some(B::HeadBucket)),
        Method::DELETE => Ok(Some(B::DeleteBucket)),
        Method::POST if has_type(headers, "multipart/form-data") => Ok(Some(B::Unsupported("PostObject"))),
        _ => Err(method_not_allowed(
            method,
            "BUCKET",
            "GET, HEAD, PUT, DELETE, POST",
        )),
    }
}

/// With `id` one configuration is asked for instead of their list, and there is none.
fn by_id(found: B, query: &Query) -> B {
    if matches!(found, B::Fixed(F::EmptyList(_))) && query.has("id") {
        return B::Fixed(F::Absent(Code::NoSuchConfiguration));
    }
    found
}

/// What is asked of an object.
pub(super) fn object_operation(method: &Method, query: &Query, copies: bool) -> Result<O, S3Error> {
    if method == Method::GET && !query.has("uploadId") {
        for listing in ["uploads", "versions"] {
            if query.has(listing) {
                let message = format!(
                    "The {listing} parameter is of buckets: there is no such thing as the ?{listing} of a key"
                );
                return Err(S3Error::new(Code::InvalidRequest, message));
            }
        }
    }
    if method == Method::PUT && query.has("partNumber") != query.has("uploadId") {
        let (given, missing) = if query.has("partNumber") {
            ("partNumber", "uploadId")
        } else {
            ("uploadId", "partNumber")
        };
        let message = format!("This operation does not accept {given} without {missing}");
        return Err(S3Error::new(Code::InvalidArgument, message).with("ArgumentName", given));
    }
    match selected(OBJECT, method, query)? {
        Some(O::UploadPart) if copies => return Ok(O::UploadPartCopy),
        Some(found) => return Ok(found),
        None => {}
    }
    match *method {
        Method::GET => Ok(O::GetObject),
        Method::HEAD => Ok(O::HeadObject),
        Method::PUT if copies => Ok(O::CopyObject),
        Method::PUT => Ok(O::PutObject),
        Method::DELETE => Ok(O::DeleteObject),
        _ => Err(method_not_allowed(method, "OBJECT", "GET, HEAD, PUT, DELETE")),
    }
}

/// The first row whose selector the query has, and what the method does there.
///
/// A method that a sub-resource does not have is refused: `DELETE /B/K?acl` must never delete the object.
fn selected<T: Copy>(table: &'static [Row<T>], method: &Method, query: &Query) -> Result<Option<T>, S3Error> {
    let Some((selector, methods)) = table.iter().find(|(selector, _)| query.has(selector)) else {
        return Ok(None);
    };
    if let Some((_, operation)) = methods.iter().find(|(name, _)| *name == method.as_str()) {
        return Ok(Some(*operation));
    }
    let allow: Vec<&str> = methods.iter().map(|(name, _)| *name).collect();
    let resource = selector.to_ascii_uppercase();
    Err(method_not_allowed(method, &resource, &allow.join(", ")))
}
