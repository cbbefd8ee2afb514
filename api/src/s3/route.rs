//! What a request asks for: method, path, query, host and headers become one [`Operation`]. Pure.

use mogul_tracker::model::Key;

/// What a request asks for, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `GET /`.
    ListBuckets,
    /// `PUT /B`: the only one of a bucket that need not exist.
    CreateBucket {
        /// The bucket's name, unchecked.
        bucket: String,
    },
    /// Of a bucket that exists.
    Bucket {
        /// The bucket's name, unchecked.
        bucket: String,
        /// What.
        operation: BucketOperation,
    },
    /// Of an object in a bucket that exists.
    Object {
        /// The bucket's name, unchecked.
        bucket: String,
        /// The key, decoded exactly once.
        key: Key,
        /// What.
        operation: ObjectOperation,
    },
}

/// What a request asks of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketOperation {
    /// `HEAD /B`.
    HeadBucket,
    /// `DELETE /B`.
    DeleteBucket,
    /// `GET /B?location`.
    GetBucketLocation,
    /// `GET /B`.
    ListObjects,
    /// `GET /B?list-type=2`.
    ListObjectsV2,
    /// `GET /B?versions`.
    ListObjectVersions,
    /// `GET /B?uploads`.
    ListMultipartUploads,
    /// `POST /B?delete`.
    DeleteObjects,
    /// A read whose truthful answer is the same for every bucket.
    Fixed(FixedAnswer),
    /// Known to S3 and not served: its name.
    Unsupported(&'static str),
}

/// What a request asks of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectOperation {
    /// `GET /B/K`.
    GetObject,
    /// `HEAD /B/K`.
    HeadObject,
    /// `GET /B/K?attributes`.
    GetObjectAttributes,
    /// `PUT /B/K`.
    PutObject,
    /// `PUT /B/K` with `x-amz-copy-source`.
    CopyObject,
    /// `DELETE /B/K`.
    DeleteObject,
    /// `GET /B/K?tagging`.
    GetObjectTagging,
    /// `PUT /B/K?tagging`.
    PutObjectTagging,
    /// `DELETE /B/K?tagging`.
    DeleteObjectTagging,
    /// `POST /B/K?uploads`.
    CreateMultipartUpload,
    /// `PUT /B/K?partNumber&uploadId`.
    UploadPart,
    /// `PUT /B/K?partNumber&uploadId` with `x-amz-copy-source`.
    UploadPartCopy,
    /// `POST /B/K?uploadId`.
    CompleteMultipartUpload,
    /// `DELETE /B/K?uploadId`.
    AbortMultipartUpload,
    /// `GET /B/K?uploadId`.
    ListParts,
    /// `GET /B/K?acl`.
    GetObjectAcl,
    /// `GET /B/K?retention` or `?legal-hold`: no bucket has locks.
    GetObjectLock,
    /// Known to S3 and not served: its name.
    Unsupported(&'static str),
}

/// A read of a bucket's configuration that is the same for every bucket, because none can be set (s3.md §6b).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedAnswer {
    /// The owner has full control.
    Acl,
    /// `GET ?versioning`: an empty document.
    Versioning,
    /// `GET ?accelerate`: an empty document.
    Accelerate,
    /// `GET ?logging`: an empty document.
    Logging,
    /// `GET ?notification`: an empty document.
    Notification,
    /// `GET ?requestPayment`: the owner pays.
    RequestPayment,
    /// `GET ?abac`: disabled.
    Abac,
    /// 404 with this code.
    Absent(&'static str),
    /// An empty list whose root element has this name.
    EmptyList(&'static str),
}

/// The decoded parameters of a query, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// The value of the first parameter of that name (case-sensitive); empty if it has no `=`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether there is a parameter of that name, with a value or without.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
