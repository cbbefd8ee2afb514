//! The errors of the admin face: the one translation of the tracker's, as RFC 9457 problem documents.

use std::borrow::Cow;

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mogul_tracker::{Error, error::RunError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::s3::{
    RequestId,
    error::{Code, S3Error},
};

/// What an operator is told instead of an answer.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    /// The end of its `type`, `/errors/…`.
    name: String,
    detail: String,
    /// The field that is at fault, if one is.
    field: Option<Cow<'static, str>>,
    /// What the log is told and the client is not.
    cause: Option<String>,
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// What kind of refusal it is, for programs: `/errors/` and a name in lower case.
    r#type: String,
    /// The text of the status.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong, for people.
    detail: String,
    /// The field of the request that is at fault, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// The id of the request, which the log has too: 16 hex digits.
    #[schema(pattern = "^[0-9A-F]{16}$")]
    request_id: String,
}

impl Problem {
    fn new(status: StatusCode, name: &str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            name: name.to_owned(),
            detail: detail.into(),
            field: None,
            cause: None,
        }
    }

    /// No such resource.
    #[must_use]
    pub fn not_found() -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no-such-resource",
            "there is nothing at this path",
        )
    }

    /// The resource is there, but not for this method.
    #[must_use]
    pub fn method_not_allowed() -> Problem {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "this resource does not take that method",
        )
    }

    /// Nobody says who asks.
    #[must_use]
    pub fn unauthenticated() -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "sign the request with root's key, or bear a token",
        )
    }

    /// A field of the request has a value that it cannot have.
    #[must_use]
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Problem {
        Problem {
            field: Some(field.into()),
            ..Problem::new(StatusCode::BAD_REQUEST, "invalid", reason)
        }
    }

    /// A device failed to give or to take a copy.
    pub(super) fn copy_failed(field: &'static str, reason: &str) -> Problem {
        Problem {
            field: Some(field.into()),
            ..Problem::new(StatusCode::BAD_GATEWAY, "copy-failed", reason)
        }
    }

    /// The body is JSON, but not what the resource takes.
    pub(super) fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
        // The path of the whole is a dot.
        let field = Some(error.path().to_string()).filter(|path| path != ".");
        Problem {
            field: field.map(Cow::Owned),
            ..Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-body",
                error.to_string(),
            )
        }
    }

    /// What the log is told of it, if that is more than the client reads.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The answer, for the request of that id. Of the headers that it has so far, `Allow` stays.
    #[must_use]
    pub fn render(&self, id: &RequestId, headers: &HeaderMap) -> Response {
        let document = Document {
            r#type: format!("/errors/{}", self.name),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            field: self.field.as_deref().map(str::to_owned),
            request_id: id.as_str().to_owned(),
        };
        let kind = HeaderValue::from_static("application/problem+json");
        let mut answer = (self.status, Json(document)).into_response();
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(allow) = headers.get(header::ALLOW) {
            answer.headers_mut().insert(header::ALLOW, allow.clone());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        answer
    }

    /// Keeps the cause for the log; the client reads that it was not its fault.
    fn hidden(status: StatusCode, name: &str, detail: &str, error: &Error) -> Problem {
        Problem {
            cause: Some(mogul_tracker::error::chain(error)),
            ..Problem::new(status, name, detail)
        }
    }
}

/// Carries the problem to where the request's id is known, which renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = self.status.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

/// The status and the name of what keeps a background run from being begun, changed or ended.
fn run_problem(reason: &RunError) -> (StatusCode, &'static str) {
    match reason {
        RunError::BadPolicy(_) => (StatusCode::BAD_REQUEST, "invalid"),
        RunError::NoPolicy => (StatusCode::CONFLICT, "no-rebalance-policy"),
        RunError::NoState => (StatusCode::NOT_FOUND, "no-rebalance-state"),
        RunError::NotDraining => (StatusCode::CONFLICT, "not-draining"),
        RunError::NotStarted => (StatusCode::CONFLICT, "rebalance-not-running"),
        RunError::FsckRunning | RunError::FsckInTheWay => (StatusCode::CONFLICT, "fsck-running"),
        RunError::RebalanceRunning
        | RunError::RebalanceInTheWay
        | RunError::StateInUse
        | RunError::PolicyInUse => (StatusCode::CONFLICT, "rebalance-running"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        use StatusCode as S;
        let (status, name) = match &error {
            Error::UnknownDomain => (S::NOT_FOUND, "unknown-domain"),
            Error::DomainTaken => (S::CONFLICT, "domain-taken"),
            Error::DomainNotEmpty => (S::CONFLICT, "domain-not-empty"),
            Error::InvalidDomainName => (S::BAD_REQUEST, "invalid-domain-name"),
            Error::Exhausted(_) => (S::INSUFFICIENT_STORAGE, "exhausted"),
            Error::UnknownClass => (S::NOT_FOUND, "unknown-class"),
            Error::DomainExists => (S::CONFLICT, "domain-exists"),
            Error::DomainHasClasses => (S::CONFLICT, "domain-has-classes"),
            Error::ClassExists => (S::CONFLICT, "class-exists"),
            Error::ClassNotEmpty => (S::CONFLICT, "class-not-empty"),
            Error::DefaultClass => (S::CONFLICT, "default-class"),
            Error::InvalidPolicy(_) => (S::BAD_REQUEST, "invalid-policy"),
            Error::UnknownHost => (S::NOT_FOUND, "unknown-host"),
            Error::HostExists => (S::CONFLICT, "host-exists"),
            Error::HostNotEmpty => (S::CONFLICT, "host-not-empty"),
            Error::AddressTaken => (S::CONFLICT, "address-taken"),
            Error::UnknownDevice => (S::NOT_FOUND, "unknown-device"),
            Error::DeviceExists => (S::CONFLICT, "device-exists"),
            Error::HostMismatch => (S::CONFLICT, "host-mismatch"),
            Error::DeadDevice => (S::CONFLICT, "dead-device"),
            Error::SettingReadOnly => (S::FORBIDDEN, "setting-read-only"),
            Error::InvalidSetting(_) => (S::BAD_REQUEST, "invalid-setting"),
            Error::InvalidKey(_) => (S::BAD_REQUEST, "invalid-key"),
            Error::UnknownKey => (S::NOT_FOUND, "unknown-key"),
            Error::KeyTaken => (S::CONFLICT, "key-taken"),
            Error::FidInUse => (S::CONFLICT, "fid-in-use"),
            Error::Close(_) => (S::CONFLICT, "not-closed"),
            Error::PreconditionFailed(_) => (S::PRECONDITION_FAILED, "precondition-failed"),
            Error::UnknownUpload => (S::NOT_FOUND, "unknown-upload"),
            Error::UnknownPart(_) => (S::BAD_REQUEST, "unknown-part"),
            Error::PartTooSmall { .. } => (S::BAD_REQUEST, "part-too-small"),
            Error::PartChecksum(_) => (S::BAD_REQUEST, "part-checksum"),
            Error::WholeMismatch(_) => (S::BAD_REQUEST, "whole-mismatch"),
            Error::NoDevices => (S::INSUFFICIENT_STORAGE, "no-devices"),
            Error::TooFewCopies { .. } => (S::SERVICE_UNAVAILABLE, "too-few-copies"),
            Error::NoReadableCopy => (S::SERVICE_UNAVAILABLE, "no-readable-copy"),
            Error::SizeMismatch { .. } => (S::BAD_REQUEST, "size-mismatch"),
            Error::DigestMismatch => (S::BAD_REQUEST, "digest-mismatch"),
            Error::UnknownUser => (S::NOT_FOUND, "unknown-user"),
            Error::Exists(_) => (S::CONFLICT, "exists"),
            Error::UnknownAccessKey => (S::NOT_FOUND, "unknown-access-key"),
            Error::UnknownToken => (S::NOT_FOUND, "unknown-token"),
            Error::UnknownJob => (S::NOT_FOUND, "unknown-job"),
            Error::UserOwnsBuckets => (S::CONFLICT, "user-owns-buckets"),
            Error::Invalid { field, .. } => return Problem::invalid(field, error.to_string()),
            Error::Run(RunError::BadPolicy(_)) => return Problem::invalid("policy", error.to_string()),
            Error::Run(reason) => run_problem(reason),
            Error::Busy => (S::SERVICE_UNAVAILABLE, "busy"),
            Error::Device { .. } => {
                return Problem::hidden(S::BAD_GATEWAY, "device", "a device failed", &error);
            }
            Error::Database(_) => {
                let detail = "the database failed; the log has the cause";
                return Problem::hidden(S::SERVICE_UNAVAILABLE, "database", detail, &error);
            }
            Error::Internal(_) => {
                let detail = "an internal error; the log has the cause";
                return Problem::hidden(S::INTERNAL_SERVER_ERROR, "internal", detail, &error);
            }
        };
        Problem::new(status, name, error.to_string())
    }
}

/// Refusals of the authenticator keep S3's codes, in lower case with hyphens.
impl From<S3Error> for Problem {
    fn from(error: S3Error) -> Problem {
        let mut name = String::new();
        for letter in error.code.as_str().chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        // What S3 calls a bad request is a bad credential here.
        let status = if error.code == Code::InvalidToken {
            StatusCode::UNAUTHORIZED
        } else {
            error.code.status()
        };
        Problem {
            cause: error.cause,
            ..Problem::new(status, &name, error.message)
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Problem {
        Problem::new(rejection.status(), "invalid-body", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::new(rejection.status(), "invalid-query", rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Problem {
        Problem::new(rejection.status(), "invalid-path", rejection.body_text())
    }
}
