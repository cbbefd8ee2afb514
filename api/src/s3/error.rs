//! The errors of the S3 face: one catalogue, one translation of the tracker's, one rendering.
//!
//! Codes, statuses and members are those of AWS's "Error responses" page.

use std::borrow::Cow;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use mogul_tracker::{
    Error,
    error::chain,
    model::{KeyError, PartNumber},
};

use super::xml::push_escaped;

/// What a client is told instead of an answer.
#[derive(Debug, Clone)]
pub struct S3Error {
    /// The code.
    pub code: Code,
    /// The text for people.
    pub message: Cow<'static, str>,
    /// Further elements of the document, in order.
    pub members: Vec<(&'static str, String)>,
    /// Further headers of the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What failed inside, for the log and never for a client.
    pub cause: Option<String>,
}

/// The request that an error answers.
#[derive(Debug, Clone, Copy)]
pub struct ErrorContext<'a> {
    /// Its method: the answer to HEAD has no body.
    pub method: &'a Method,
    /// What it was about: the path as it came.
    pub resource: &'a str,
    /// Its id.
    pub request_id: &'a str,
    /// The second id (`x-amz-id-2`).
    pub host_id: &'a str,
}

macro_rules! codes {
    ($($code:ident = $text:literal, $status:ident;)*) => {
        /// The error codes that clients compare.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`")] $code,)*
        }

        impl Code {
            /// The code as clients read it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$code => $text,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Code::$code => StatusCode::$status,)* }
            }
        }
    };
}

codes! {
    NotModified = "NotModified", NOT_MODIFIED;
    PermanentRedirect = "PermanentRedirect", MOVED_PERMANENTLY;
    AccessControlListNotSupported = "AccessControlListNotSupported", BAD_REQUEST;
    AuthorizationHeaderMalformed = "AuthorizationHeaderMalformed", BAD_REQUEST;
    AuthorizationQueryParametersError = "AuthorizationQueryParametersError", BAD_REQUEST;
    BadDigest = "BadDigest", BAD_REQUEST;
    BadRequest = "BadRequest", BAD_REQUEST;
    EntityTooLarge = "EntityTooLarge", BAD_REQUEST;
    EntityTooSmall = "EntityTooSmall", BAD_REQUEST;
    ExpiredToken = "ExpiredToken", BAD_REQUEST;
    IllegalLocationConstraintException = "IllegalLocationConstraintException", BAD_REQUEST;
    IncompleteBody = "IncompleteBody", BAD_REQUEST;
    InvalidArgument = "InvalidArgument", BAD_REQUEST;
    InvalidBucketAclWithObjectOwnership = "InvalidBucketAclWithObjectOwnership", BAD_REQUEST;
    InvalidBucketName = "InvalidBucketName", BAD_REQUEST;
    InvalidChunkSizeError = "InvalidChunkSizeError", BAD_REQUEST;
    InvalidDigest = "InvalidDigest", BAD_REQUEST;
    InvalidLocationConstraint = "InvalidLocationConstraint", BAD_REQUEST;
    InvalidPart = "InvalidPart", BAD_REQUEST;
    InvalidPartOrder = "InvalidPartOrder", BAD_REQUEST;
    InvalidPolicyDocument = "InvalidPolicyDocument", BAD_REQUEST;
    InvalidRedirectLocation = "InvalidRedirectLocation", BAD_REQUEST;
    InvalidRequest = "InvalidRequest", BAD_REQUEST;
    InvalidRetentionPeriod = "InvalidRetentionPeriod", BAD_REQUEST;
    InvalidStorageClass = "InvalidStorageClass", BAD_REQUEST;
    InvalidTag = "InvalidTag", BAD_REQUEST;
    InvalidUri = "InvalidURI", BAD_REQUEST;
    InvalidToken = "InvalidToken", BAD_REQUEST;
    KeyTooLongError = "KeyTooLongError", BAD_REQUEST;
    KmsNotFoundException = "KMS.NotFoundException", BAD_REQUEST;
    MalformedAclError = "MalformedACLError", BAD_REQUEST;
    MalformedPolicy = "MalformedPolicy", BAD_REQUEST;
    MalformedPostRequest = "MalformedPOSTRequest", BAD_REQUEST;
    MalformedTrailerError = "MalformedTrailerError", BAD_REQUEST;
    MalformedXml = "MalformedXML", BAD_REQUEST;
    MaxMessageLengthExceeded = "MaxMessageLengthExceeded", BAD_REQUEST;
    MetadataTooLarge = "MetadataTooLarge", BAD_REQUEST;
    MissingRequestBodyError = "MissingRequestBodyError", BAD_REQUEST;
    MissingSecurityHeader = "MissingSecurityHeader", BAD_REQUEST;
    RequestHeaderSectionTooLarge = "RequestHeaderSectionTooLarge", BAD_REQUEST;
    RequestTimeout = "RequestTimeout", BAD_REQUEST;
    TooManyBuckets = "TooManyBuckets", BAD_REQUEST;
    UnresolvableGrantByEmailAddress = "UnresolvableGrantByEmailAddress", BAD_REQUEST;
    XAmzContentSha256Mismatch = "XAmzContentSHA256Mismatch", BAD_REQUEST;
    AccessDenied = "AccessDenied", FORBIDDEN;
    AccessForbidden = "AccessForbidden", FORBIDDEN;
    InvalidAccessKeyId = "InvalidAccessKeyId", FORBIDDEN;
    InvalidObjectState = "InvalidObjectState", FORBIDDEN;
    QuotaExceeded = "QuotaExceeded", FORBIDDEN;
    RequestTimeTooSkewed = "RequestTimeTooSkewed", FORBIDDEN;
    SignatureDoesNotMatch = "SignatureDoesNotMatch", FORBIDDEN;
    NoSuchBucket = "NoSuchBucket", NOT_FOUND;
    NoSuchBucketPolicy = "NoSuchBucketPolicy", NOT_FOUND;
    NoSuchConfiguration = "NoSuchConfiguration", NOT_FOUND;
    NoSuchCorsConfiguration = "NoSuchCORSConfiguration", NOT_FOUND;
    NoSuchKey = "NoSuchKey", NOT_FOUND;
    NoSuchLifecycleConfiguration = "NoSuchLifecycleConfiguration", NOT_FOUND;
    NoSuchObjectLockConfiguration = "NoSuchObjectLockConfiguration", NOT_FOUND;
    NoSuchPublicAccessBlockConfiguration = "NoSuchPublicAccessBlockConfiguration", NOT_FOUND;
    NoSuchTagSet = "NoSuchTagSet", NOT_FOUND;
    NoSuchUpload = "NoSuchUpload", NOT_FOUND;
    NoSuchVersion = "NoSuchVersion", NOT_FOUND;
    NoSuchWebsiteConfiguration = "NoSuchWebsiteConfiguration", NOT_FOUND;
    ObjectLockConfigurationNotFoundError = "ObjectLockConfigurationNotFoundError", NOT_FOUND;
    OwnershipControlsNotFoundError = "OwnershipControlsNotFoundError", NOT_FOUND;
    ReplicationConfigurationNotFoundError = "ReplicationConfigurationNotFoundError", NOT_FOUND;
    ServerSideEncryptionConfigurationNotFoundError = "ServerSideEncryptionConfigurationNotFoundError", NOT_FOUND;
    MethodNotAllowed = "MethodNotAllowed", METHOD_NOT_ALLOWED;
    BucketAlreadyExists = "BucketAlreadyExists", CONFLICT;
    BucketAlreadyOwnedByYou = "BucketAlreadyOwnedByYou", CONFLICT;
    BucketNotEmpty = "BucketNotEmpty", CONFLICT;
    ConditionalRequestConflict = "ConditionalRequestConflict", CONFLICT;
    InvalidBucketState = "InvalidBucketState", CONFLICT;
    MissingContentLength = "MissingContentLength", LENGTH_REQUIRED;
    PreconditionFailed = "PreconditionFailed", PRECONDITION_FAILED;
    InvalidPartNumber = "InvalidPartNumber", RANGE_NOT_SATISFIABLE;
    InvalidRange = "InvalidRange", RANGE_NOT_SATISFIABLE;
    InternalError = "InternalError", INTERNAL_SERVER_ERROR;
    NotImplemented = "NotImplemented", NOT_IMPLEMENTED;
    ServiceUnavailable = "ServiceUnavailable", SERVICE_UNAVAILABLE;
    SlowDown = "SlowDown", SERVICE_UNAVAILABLE;
}

impl S3Error {
    /// An error with this text.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error {
            code,
            message: message.into(),
            members: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }
    }

    /// Adds an element to the document.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: impl Into<String>) -> S3Error {
        self.members.push((member, value.into()));
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> S3Error {
        self.headers.push((name, value));
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The answer. Its body is empty for HEAD and for 304; the ids are in the document, and in the headers by whoever
    /// puts them on every answer.
    #[must_use]
    pub fn render(&self, at: &ErrorContext<'_>) -> Response<Body> {
        let bodyless = at.method == Method::HEAD || self.status() == StatusCode::NOT_MODIFIED;
        let body = if bodyless {
            Body::empty()
        } else {
            Body::from(self.document(at))
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        if !bodyless {
            let xml = HeaderValue::from_static("application/xml");
            response.headers_mut().insert(header::CONTENT_TYPE, xml);
        }
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// The `<Error>` document, which has no namespace.
    #[must_use]
    pub fn document(&self, at: &ErrorContext<'_>) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        element(&mut xml, "Code", self.code.as_str());
        element(&mut xml, "Message", &self.message);
        for (name, value) in &self.members {
            element(&mut xml, name, value);
        }
        element(&mut xml, "Resource", at.resource);
        element(&mut xml, "RequestId", at.request_id);
        element(&mut xml, "HostId", at.host_id);
        xml.push_str("</Error>");
        xml
    }
}

impl std::fmt::Display for S3Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for S3Error {}

fn element(xml: &mut String, name: &str, text: &str) {
    xml.push('<');
    xml.push_str(name);
    xml.push('>');
    push_escaped(xml, text);
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
}

/// Which code and text a client gets for what a command answered. Members that only the caller knows (the key, the
/// bucket) are added by it; nothing of the inner texts of failures gets out.
impl From<Error> for S3Error {
    fn from(error: Error) -> S3Error {
        let cause = chain(&error);
        let mut translated = translate(&error);
        translated.cause = translated.status().is_server_error().then_some(cause);
        translated
    }
}

fn translate(error: &Error) -> S3Error {
    match error {
        Error::UnknownDomain => S3Error::new(Code::NoSuchBucket, "The specified bucket does not exist."),
        Error::DomainTaken | Error::DomainExists => bucket_taken(),
        Error::DomainNotEmpty => bucket_not_empty(),
        Error::InvalidDomainName => {
            S3Error::new(Code::InvalidBucketName, "The specified bucket is not valid.")
        }
        Error::UnknownClass => no_such_class(),
        Error::InvalidKey(reason) => (*reason).into(),
        Error::UnknownKey => S3Error::new(Code::NoSuchKey, "The specified key does not exist."),
        Error::PreconditionFailed(condition) => precondition_failed(condition),
        Error::UnknownUser | Error::UnknownAccessKey | Error::UnknownToken => S3Error::new(
            Code::InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Error::UnknownUpload => no_such_upload(),
        Error::UnknownPart(number) => invalid_part(*number),
        Error::PartTooSmall { number, size, min } => part_too_small(*number, *size, *min),
        Error::PartChecksum(number) => S3Error::new(
            Code::InvalidRequest,
            format!("The checksum of part {} is missing or differs.", number.get()),
        ),
        Error::WholeMismatch(what) => whole_mismatch(what),
        Error::SizeMismatch { .. } => incomplete_body(),
        Error::DigestMismatch => bad_digest(),
        Error::Exists(_)
        | Error::UserOwnsBuckets
        | Error::Invalid { .. }
        | Error::KeyTaken
        | Error::FidInUse
        | Error::Close(_) => S3Error::new(Code::InvalidRequest, error.to_string()),
        Error::NoDevices => unavailable("No device can take the object at this moment."),
        Error::TooFewCopies { .. } => unavailable("Too few copies of the object could be written."),
        Error::NoReadableCopy | Error::Device { .. } => {
            unavailable("No copy of the object can be read at this moment.")
        }
        Error::Database(_) => unavailable("The metadata cannot be reached at this moment."),
        Error::Busy => S3Error::new(Code::SlowDown, "Please reduce your request rate.")
            .header(header::RETRY_AFTER, HeaderValue::from_static("1")),
        // No request of S3 manages the cluster.
        Error::DomainHasClasses
        | Error::ClassExists
        | Error::ClassNotEmpty
        | Error::DefaultClass
        | Error::InvalidPolicy(_)
        | Error::UnknownHost
        | Error::HostExists
        | Error::HostNotEmpty
        | Error::AddressTaken
        | Error::UnknownDevice
        | Error::DeviceExists
        | Error::HostMismatch
        | Error::DeadDevice
        | Error::SettingReadOnly
        | Error::InvalidSetting(_)
        | Error::Run(_)
        | Error::UnknownJob
        | Error::Exhausted(_)
        | Error::Internal(_) => internal(),
    }
}

fn bucket_taken() -> S3Error {
    S3Error::new(
        Code::BucketAlreadyExists,
        "The requested bucket name is not available. It belongs to another user.",
    )
}

fn bucket_not_empty() -> S3Error {
    S3Error::new(
        Code::BucketNotEmpty,
        "The bucket you tried to delete is not empty.",
    )
}

fn no_such_class() -> S3Error {
    S3Error::new(
        Code::InvalidStorageClass,
        "The storage class you specified is not valid.",
    )
}

fn incomplete_body() -> S3Error {
    S3Error::new(
        Code::IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    )
}

fn bad_digest() -> S3Error {
    S3Error::new(
        Code::BadDigest,
        "The digest you specified did not match the calculated digest.",
    )
}

impl From<KeyError> for S3Error {
    fn from(error: KeyError) -> S3Error {
        match error {
            KeyError::TooLong(size) => S3Error::new(Code::KeyTooLongError, "Your key is too long.")
                .with("Size", size.to_string())
                .with("MaxSizeAllowed", mogul_tracker::model::Key::BYTES_MAX.to_string()),
            KeyError::Empty | KeyError::Nul | KeyError::Reserved => {
                S3Error::new(Code::InvalidArgument, format!("Invalid key: {error}."))
                    .with("ArgumentName", "key")
            }
        }
    }
}

/// A condition of the request, named as its header, does not hold.
#[must_use]
pub fn precondition_failed(condition: &'static str) -> S3Error {
    S3Error::new(
        Code::PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold.",
    )
    .with("Condition", condition)
}

fn invalid_part(number: PartNumber) -> S3Error {
    S3Error::new(
        Code::InvalidPart,
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified \
         entity tag may not match the part's entity tag.",
    )
    .with("PartNumber", number.get().to_string())
}

fn part_too_small(number: PartNumber, size: u64, min: u64) -> S3Error {
    S3Error::new(
        Code::EntityTooSmall,
        "Your proposed upload is smaller than the minimum allowed size.",
    )
    .with("ProposedSize", size.to_string())
    .with("MinSizeAllowed", min.to_string())
    .with("PartNumber", number.get().to_string())
}

fn whole_mismatch(what: &str) -> S3Error {
    let code = if what == "checksum" {
        Code::BadDigest
    } else {
        Code::InvalidRequest
    };
    S3Error::new(
        code,
        format!("The {what} you specified does not match the parts."),
    )
}

fn no_such_upload() -> S3Error {
    S3Error::new(
        Code::NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or \
         completed.",
    )
}

fn unavailable(message: &'static str) -> S3Error {
    S3Error::new(Code::ServiceUnavailable, message)
}

fn internal() -> S3Error {
    S3Error::new(
        Code::InternalError,
        "We encountered an internal error. Please try again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(method: &Method) -> ErrorContext<'_> {
        ErrorContext {
            method,
            resource: "/b/a&b",
            request_id: "0011223344556677",
            host_id: "host",
        }
    }

    #[test]
    fn a_document_has_code_message_members_and_ids_in_order() {
        let error = S3Error::new(Code::NoSuchKey, "No <such> key.").with("Key", "a&b\r\u{1}");

        let xml = error.document(&context(&Method::GET));

        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>No &lt;such&gt; \
             key.</Message><Key>a&amp;b&#13;&#x1;</Key><Resource>/b/a&amp;b</Resource><RequestId>0011223344556677\
             </RequestId><HostId>host</HostId></Error>"
        );
    }

    #[test]
    fn head_and_304_have_no_body() {
        use http_body::Body as _;

        let missing = S3Error::new(Code::NoSuchKey, "").render(&context(&Method::HEAD));
        let same = S3Error::new(Code::NotModified, "").render(&context(&Method::GET));
        let denied = S3Error::new(Code::AccessDenied, "").render(&context(&Method::GET));

        assert_eq!(missing.status(), 404);
        assert!(missing.body().is_end_stream());
        assert!(!missing.headers().contains_key(header::CONTENT_TYPE));
        assert_eq!(same.status(), 304);
        assert!(same.body().is_end_stream());
        assert!(!denied.body().is_end_stream());
    }

    #[test]
    fn inner_failures_tell_a_client_nothing_of_their_cause() {
        let secret = "password=hunter2";
        for (error, code) in [
            (Error::Internal(secret.to_owned()), Code::InternalError),
            (Error::Database(secret.into()), Code::ServiceUnavailable),
        ] {
            let error = S3Error::from(error);

            assert_eq!(error.code, code);
            assert!(!error.document(&context(&Method::GET)).contains(secret));
        }
    }
}
