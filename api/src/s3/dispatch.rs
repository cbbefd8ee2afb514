//! From an operation to its handler: the sender, the bucket and the right to it first.

use axum::body::Body;
use mogul_tracker::{Error, model::Bucket};

use super::{
    ObjectName, Request, RequestHead, Response, S3,
    auth::{
        Door, authenticate,
        authorize::{Action, access_denied, authorize},
    },
    error::{Code, S3Error},
    ops::{
        buckets, copy_object, delete_object, get_object, list_objects, list_versions, multipart,
        object_attributes, put_object, tagging, unsupported,
    },
    route::{BucketOperation, ObjectOperation, Operation, Query},
};

/// Finds out who asks, whether they may, and answers.
pub(super) async fn dispatch(
    s3: &S3,
    operation: Operation,
    mut head: RequestHead,
    body: Body,
) -> Result<Response, S3Error> {
    if operation == Operation::Preflight {
        return Err(unsupported::preflight(&head));
    }
    let authenticated = authenticate(s3, Door::S3, &mut head).await?;
    let request = Request {
        head,
        identity: authenticated.identity,
        payload: authenticated.payload,
        body,
    };
    match operation {
        Operation::Preflight => Err(unsupported::preflight(&request.head)),
        Operation::Unsupported(name) => Err(unsupported::not_implemented(name)),
        Operation::ListBuckets => buckets::list_buckets(s3, &request.head, &request.identity).await,
        Operation::CreateBucket { bucket } => buckets::create_bucket(s3, &bucket, request).await,
        Operation::Bucket { bucket, operation } => {
            let bucket = bucket_of(s3, &bucket, &request.head).await?;
            authorize(&request.identity, bucket_action(operation), &bucket)?;
            of_bucket(s3, operation, bucket, request).await
        }
        Operation::Object {
            bucket,
            key,
            operation,
        } => {
            let bucket = bucket_of(s3, &bucket, &request.head).await?;
            authorize(&request.identity, object_action(operation), &bucket)?;
            let name = ObjectName { bucket, key };
            of_object(s3, operation, name, request).await
        }
    }
}

/// The bucket, if it exists and belongs to whom the client believes.
async fn bucket_of(s3: &S3, name: &str, head: &RequestHead) -> Result<Bucket, S3Error> {
    let bucket = match s3.tracker.bucket(name).await {
        Ok(bucket) => bucket,
        Err(Error::UnknownDomain) => {
            return Err(S3Error::from(Error::UnknownDomain).with("BucketName", name));
        }
        Err(other) => return Err(other.into()),
    };
    let expected = head.headers.get("x-amz-expected-bucket-owner");
    match expected {
        Some(owner) if owner.as_bytes() != bucket.owner.0.as_bytes() => Err(access_denied()),
        Some(_) | None => Ok(bucket),
    }
}

async fn of_bucket(
    s3: &S3,
    operation: BucketOperation,
    bucket: Bucket,
    request: Request,
) -> Result<Response, S3Error> {
    match operation {
        BucketOperation::HeadBucket => Ok(buckets::head_bucket()),
        BucketOperation::DeleteBucket => buckets::delete_bucket(s3, &bucket).await,
        BucketOperation::GetBucketLocation => Ok(buckets::get_bucket_location(s3)),
        BucketOperation::ListObjects => list_objects::list_objects(s3, &bucket, &request.head).await,
        BucketOperation::ListObjectsV2 => list_objects::list_objects_v2(s3, &bucket, &request.head).await,
        BucketOperation::ListObjectVersions => {
            list_versions::list_object_versions(s3, &bucket, &request.head).await
        }
        BucketOperation::ListMultipartUploads => {
            multipart::list_multipart_uploads(s3, &bucket, &request.head).await
        }
        BucketOperation::DeleteObjects => delete_object::delete_objects(s3, &bucket, request).await,
        BucketOperation::GetBucketTagging => tagging::get_bucket_tagging(s3, &bucket).await,
        BucketOperation::PutBucketTagging => tagging::put_bucket_tagging(s3, &bucket, request).await,
        BucketOperation::DeleteBucketTagging => tagging::delete_bucket_tagging(s3, &bucket).await,
        BucketOperation::Fixed(answer) => unsupported::fixed(s3, answer, &bucket).await,
        BucketOperation::Unsupported(name) => Err(unsupported::not_implemented(name)),
    }
}

async fn of_object(
    s3: &S3,
    operation: ObjectOperation,
    name: ObjectName,
    request: Request,
) -> Result<Response, S3Error> {
    if operation != ObjectOperation::DeleteObject {
        check_version(&request.head.query, &name)?;
    }
    match operation {
        ObjectOperation::GetObject => get_object::get_object(s3, &name, &request.head).await,
        ObjectOperation::HeadObject => get_object::head_object(s3, &name, &request.head).await,
        ObjectOperation::GetObjectAttributes => {
            object_attributes::get_object_attributes(s3, &name, &request.head).await
        }
        ObjectOperation::PutObject => put_object::put_object(s3, name, request).await,
        ObjectOperation::CopyObject => copy_object::copy_object(s3, name, request).await,
        ObjectOperation::DeleteObject => delete_object::delete_object(s3, name, &request.head).await,
        ObjectOperation::GetObjectTagging => tagging::get_object_tagging(s3, &name).await,
        ObjectOperation::PutObjectTagging => tagging::put_object_tagging(s3, &name, request).await,
        ObjectOperation::DeleteObjectTagging => tagging::delete_object_tagging(s3, &name).await,
        ObjectOperation::CreateMultipartUpload => {
            multipart::create_multipart_upload(s3, name, &request.head, &request.identity).await
        }
        ObjectOperation::UploadPart => multipart::upload_part(s3, name, request).await,
        ObjectOperation::UploadPartCopy => {
            multipart::upload_part_copy(s3, name, &request.head, &request.identity).await
        }
        ObjectOperation::CompleteMultipartUpload => {
            multipart::complete_multipart_upload(s3, name, request).await
        }
        ObjectOperation::AbortMultipartUpload => {
            multipart::abort_multipart_upload(s3, &name, &request.head).await
        }
        ObjectOperation::ListParts => multipart::list_parts(s3, &name, &request.head).await,
        ObjectOperation::GetObjectAcl => unsupported::object_acl(s3, &name).await,
        ObjectOperation::GetObjectLock => Err(unsupported::no_object_lock()),
        ObjectOperation::RestoreObject => Err(unsupported::restore(s3, &name).await),
        ObjectOperation::Unsupported(name) => Err(unsupported::not_implemented(name)),
    }
}

/// No bucket is versioned: the only version of an object is `null`.
fn check_version(query: &Query, name: &ObjectName) -> Result<(), S3Error> {
    match query.get("versionId") {
        None | Some("null") => Ok(()),
        Some("") => Err(
            S3Error::new(Code::InvalidArgument, "Version id cannot be the empty string")
                .with("ArgumentName", "versionId"),
        ),
        Some(version) => Err(
            S3Error::new(Code::NoSuchVersion, "The specified version does not exist.")
                .with("Key", name.key.as_str())
                .with("VersionId", version),
        ),
    }
}

fn bucket_action(operation: BucketOperation) -> Action {
    match operation {
        BucketOperation::HeadBucket
        | BucketOperation::ListObjects
        | BucketOperation::ListObjectsV2
        | BucketOperation::ListObjectVersions => Action::ListBucket,
        BucketOperation::DeleteBucket => Action::DeleteBucket,
        BucketOperation::GetBucketLocation => Action::GetBucketLocation,
        BucketOperation::ListMultipartUploads => Action::ListBucketMultipartUploads,
        BucketOperation::DeleteObjects => Action::DeleteObject,
        BucketOperation::GetBucketTagging | BucketOperation::Fixed(_) => Action::GetBucketConfiguration,
        BucketOperation::PutBucketTagging
        | BucketOperation::DeleteBucketTagging
        | BucketOperation::Unsupported(_) => Action::PutBucketConfiguration,
    }
}

fn object_action(operation: ObjectOperation) -> Action {
    match operation {
        ObjectOperation::GetObject | ObjectOperation::HeadObject | ObjectOperation::GetObjectAttributes => {
            Action::GetObject
        }
        ObjectOperation::PutObject
        | ObjectOperation::CopyObject
        | ObjectOperation::CreateMultipartUpload
        | ObjectOperation::UploadPart
        | ObjectOperation::UploadPartCopy
        | ObjectOperation::CompleteMultipartUpload
        | ObjectOperation::RestoreObject
        | ObjectOperation::Unsupported(_) => Action::PutObject,
        ObjectOperation::DeleteObject => Action::DeleteObject,
        ObjectOperation::GetObjectTagging => Action::GetObjectTagging,
        ObjectOperation::PutObjectTagging | ObjectOperation::DeleteObjectTagging => Action::PutObjectTagging,
        ObjectOperation::AbortMultipartUpload => Action::AbortMultipartUpload,
        ObjectOperation::ListParts => Action::ListMultipartUploadParts,
        ObjectOperation::GetObjectAcl | ObjectOperation::GetObjectLock => Action::GetObjectConfiguration,
    }
}
