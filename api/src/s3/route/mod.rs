//! What a request asks for: method, path, query, host and headers become one [`Operation`]. Pure.
//!
//! Nothing is ever normalised: `//`, `/./`, `/../` and slashes at the ends are parts of keys, and a key is decoded
//! exactly once. [`address`](mod@address) splits bucket and key, `table` has what can be asked of each, and
//! `query` the decoded parameters.

mod address;
mod names;
mod query;
mod table;

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use mogul_tracker::model::Key;

use super::error::{Code, S3Error};
use address::Address;

pub(super) use address::bucket_of_host;
pub use query::{Query, invalid_argument};

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
    /// `OPTIONS`: a browser asks whether a page may send a request; unsigned.
    Preflight,
    /// Known to S3, not about a bucket, and not served: its name.
    Unsupported(&'static str),
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
    /// `GET /B?tagging`.
    GetBucketTagging,
    /// `PUT /B?tagging`.
    PutBucketTagging,
    /// `DELETE /B?tagging`.
    DeleteBucketTagging,
    /// A request whose truthful answer is the same for every bucket.
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
    /// `GET /B/K?retention` and `?legal-hold`: no bucket has object lock.
    GetObjectLock,
    /// `POST /B/K?restore`: nothing is ever archived.
    RestoreObject,
    /// Known to S3 and not served: its name.
    Unsupported(&'static str),
}

/// An answer about a bucket's configuration that is the same for every bucket, because none can be set (s3.md §6b).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedAnswer {
    /// The owner has full control.
    Acl,
    /// An empty document whose root element has this name.
    Empty(&'static str),
    /// An empty list whose root element has this name.
    EmptyList(&'static str),
    /// The owner pays for requests.
    RequestPayment,
    /// Attribute-based access control is disabled.
    Abac,
    /// There is no such configuration.
    Absent(Code),
    /// There is nothing to delete, and that is a success.
    NothingToDelete,
}

/// Says what a request asks for. `domains` are those below which a host name is a bucket.
///
/// # Errors
/// [`Code::InvalidUri`] for a path or query that is not percent-encoded UTF-8; [`Code::MethodNotAllowed`] with
/// `Allow`; [`Code::InvalidArgument`] and [`Code::InvalidRequest`] for parameters that exclude each other; those of keys.
pub fn route(
    method: &Method,
    uri: &Uri,
    query: &Query,
    headers: &HeaderMap,
    domains: &[String],
) -> Result<Operation, S3Error> {
    if method == Method::OPTIONS {
        return Ok(Operation::Preflight);
    }
    let address = address::address(host(uri, headers), uri.path(), domains)?;
    let copies = headers.contains_key("x-amz-copy-source");
    let operation = match address {
        Address::Service => service(method, headers)?,
        Address::Bucket(bucket) => match table::bucket_operation(method, query, headers)? {
            Some(operation) => Operation::Bucket { bucket, operation },
            None => Operation::CreateBucket { bucket },
        },
        Address::Object(bucket, key) => {
            let operation = table::object_operation(method, query, copies)?;
            let key = Key::parse(&key)?;
            Operation::Object {
                bucket,
                key,
                operation,
            }
        }
    };
    let may_copy = matches!(
        operation,
        Operation::Object {
            operation: ObjectOperation::CopyObject | ObjectOperation::UploadPartCopy,
            ..
        }
    );
    if copies && !may_copy {
        let message = "You can only specify a copy source header for copy requests.";
        return Err(S3Error::new(Code::InvalidArgument, message).with("ArgumentName", "x-amz-copy-source"));
    }
    Ok(operation)
}

/// The host that the client meant: an absolute request target wins over the header (RFC 9112 §3.2.2).
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let authority = uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| headers.get(header::HOST)?.to_str().ok())
}

fn service(method: &Method, headers: &HeaderMap) -> Result<Operation, S3Error> {
    if method == Method::GET {
        return Ok(Operation::ListBuckets);
    }
    if method == Method::POST && has_type(headers, "application/x-www-form-urlencoded") {
        return Ok(Operation::Unsupported("STS and IAM"));
    }
    Err(method_not_allowed(method, "SERVICE", "GET"))
}

/// Whether the content type is this one, parameters aside.
fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let found = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    found.is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case(wanted)
    })
}

/// The answer to a method that the resource does not have; `allow` lists those that it has.
fn method_not_allowed(method: &Method, resource: &str, allow: &str) -> S3Error {
    let error = S3Error::new(
        Code::MethodNotAllowed,
        "The specified method is not allowed against this resource.",
    )
    .with("Method", method.as_str())
    .with("ResourceType", resource);
    match HeaderValue::from_str(allow) {
        Ok(allow) => error.header(header::ALLOW, allow),
        Err(_) => error,
    }
}

#[cfg(test)]
mod tests;
