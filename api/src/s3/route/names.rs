//! The names of operations, as AWS calls them: what monitoring counts by.

use super::{BucketOperation, ObjectOperation, Operation};

impl Operation {
    /// Its name; all that are not served have one name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Operation::ListBuckets => "ListBuckets",
            Operation::CreateBucket { .. } => "CreateBucket",
            Operation::Bucket { operation, .. } => operation.name(),
            Operation::Object { operation, .. } => operation.name(),
            Operation::Preflight => "Preflight",
            Operation::Unsupported(_) => UNSUPPORTED,
        }
    }
}

/// What is not served: a name each would be a label each.
const UNSUPPORTED: &str = "Unsupported";

impl BucketOperation {
    fn name(self) -> &'static str {
        match self {
            BucketOperation::HeadBucket => "HeadBucket",
            BucketOperation::DeleteBucket => "DeleteBucket",
            BucketOperation::GetBucketLocation => "GetBucketLocation",
            BucketOperation::ListObjects => "ListObjects",
            BucketOperation::ListObjectsV2 => "ListObjectsV2",
            BucketOperation::ListObjectVersions => "ListObjectVersions",
            BucketOperation::ListMultipartUploads => "ListMultipartUploads",
            BucketOperation::DeleteObjects => "DeleteObjects",
            BucketOperation::GetBucketTagging => "GetBucketTagging",
            BucketOperation::PutBucketTagging => "PutBucketTagging",
            BucketOperation::DeleteBucketTagging => "DeleteBucketTagging",
            BucketOperation::Fixed(_) => "GetBucketConfiguration",
            BucketOperation::Unsupported(_) => UNSUPPORTED,
        }
    }
}

impl ObjectOperation {
    fn name(self) -> &'static str {
        match self {
            ObjectOperation::GetObject => "GetObject",
            ObjectOperation::HeadObject => "HeadObject",
            ObjectOperation::GetObjectAttributes => "GetObjectAttributes",
            ObjectOperation::PutObject => "PutObject",
            ObjectOperation::CopyObject => "CopyObject",
            ObjectOperation::DeleteObject => "DeleteObject",
            ObjectOperation::GetObjectTagging => "GetObjectTagging",
            ObjectOperation::PutObjectTagging => "PutObjectTagging",
            ObjectOperation::DeleteObjectTagging => "DeleteObjectTagging",
            ObjectOperation::CreateMultipartUpload => "CreateMultipartUpload",
            ObjectOperation::UploadPart => "UploadPart",
            ObjectOperation::UploadPartCopy => "UploadPartCopy",
            ObjectOperation::CompleteMultipartUpload => "CompleteMultipartUpload",
            ObjectOperation::AbortMultipartUpload => "AbortMultipartUpload",
            ObjectOperation::ListParts => "ListParts",
            ObjectOperation::GetObjectAcl => "GetObjectAcl",
            ObjectOperation::GetObjectLock => "GetObjectLock",
            ObjectOperation::RestoreObject => "RestoreObject",
            ObjectOperation::Unsupported(_) => UNSUPPORTED,
        }
    }
}
