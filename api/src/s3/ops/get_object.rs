//! `GetObject` and `HeadObject`.

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE},
};
use mogul_tracker::{
    Error,
    model::{Checksum, ChecksumType, ClassId, ObjectVersion, PartNumber},
};

use super::put_object::add_class;
use crate::s3::{
    ObjectName, RequestHead, Response, S3, accel, attributes, checksum, conditions,
    error::{Code, S3Error},
    media_type,
    range::{self, Wanted},
    read,
    route::invalid_argument,
};

/// How often an object is looked up again if it was replaced before its bytes could be opened.
const ATTEMPTS_MAX: usize = 3;

/// The bytes that are answered, and how that is said.
struct Selection {
    first: u64,
    length: u64,
    extent: Extent,
    checksum: Option<Checksum>,
    /// How many parts the object has, if one of them was asked for.
    parts: Option<u32>,
}

/// Whether an answer is 200 or 206.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Partial,
}

/// `GET /B/K`.
pub(in crate::s3) async fn get_object(
    s3: &S3,
    name: &ObjectName,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let mut object = current(s3, name).await?;
    for _ in 1..ATTEMPTS_MAX {
        match answer(s3, &object, head).await {
            Err(error) if is_of_bytes(&error) => {
                // Replaced between the two: the bytes of what is there now are meant.
                let now = current(s3, name).await?;
                if now.fid == object.fid {
                    return Err(error);
                }
                object = now;
            }
            answered => return answered,
        }
    }
    answer(s3, &object, head).await
}

/// `HEAD /B/K`: what GET would answer, without the bytes.
pub(in crate::s3) async fn head_object(
    s3: &S3,
    name: &ObjectName,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let object = current(s3, name).await?;
    conditions::check_read(head, &object)?;
    let selection = select(s3, head, &object).await?;
    render(s3, head, &object, &selection, Body::empty()).await
}

/// The current object of a key.
///
/// # Errors
/// [`Code::NoSuchKey`] with the key.
pub(in crate::s3) async fn current(s3: &S3, name: &ObjectName) -> Result<ObjectVersion, S3Error> {
    match s3.tracker.object(name.bucket.domain.id, &name.key).await {
        Ok(object) => Ok(object),
        Err(Error::UnknownKey) => Err(S3Error::from(Error::UnknownKey).with("Key", name.key.as_str())),
        Err(other) => Err(other.into()),
    }
}

async fn answer(s3: &S3, object: &ObjectVersion, head: &RequestHead) -> Result<Response, S3Error> {
    conditions::check_read(head, object)?;
    let selection = select(s3, head, object).await?;
    if selection.extent == Extent::Whole
        && let Some(location) = accel::handover(s3, head, object)
    {
        let mut response = render(s3, head, object, &selection, Body::empty()).await?;
        accel::without_body(&mut response, location, object.size);
        return Ok(response);
    }
    let body = read::body(s3, object, selection.first, selection.length).await?;
    render(s3, head, object, &selection, body).await
}

/// Whether an error may come from bytes that are gone because the object was replaced.
fn is_of_bytes(error: &S3Error) -> bool {
    error.code == Code::ServiceUnavailable || error.code == Code::NoSuchKey
}

async fn select(s3: &S3, head: &RequestHead, object: &ObjectVersion) -> Result<Selection, S3Error> {
    let range = head.header(RANGE.as_str());
    let part = head.query.get("partNumber");
    match (part, range) {
        (Some(_), Some(_)) => Err(S3Error::new(
            Code::InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter",
        )),
        (Some(text), None) => select_part(s3, text, object).await,
        (None, Some(text)) if conditions::if_range_holds(head, object) => {
            match range::parse(text, object.size)? {
                Wanted::Whole => Ok(whole(object)),
                Wanted::Span { first, length } => Ok(Selection {
                    first,
                    length,
                    extent: Extent::Partial,
                    checksum: None,
                    parts: None,
                }),
            }
        }
        (None, Some(_) | None) => Ok(whole(object)),
    }
}

fn whole(object: &ObjectVersion) -> Selection {
    Selection {
        first: 0,
        length: object.size,
        extent: Extent::Whole,
        checksum: object.checksum.clone(),
        parts: None,
    }
}

/// One part of an object that was uploaded in parts; a plain one has itself as its only part.
async fn select_part(s3: &S3, text: &str, object: &ObjectVersion) -> Result<Selection, S3Error> {
    let number = text.parse().ok().and_then(PartNumber::new).ok_or_else(|| {
        invalid_argument(
            "partNumber",
            text,
            "Part number must be an integer between 1 and 10000, inclusive",
        )
    })?;
    let number = u32::from(number.get());
    let Some(count) = object.parts else {
        if number > 1 {
            return Err(no_such_part(1, number));
        }
        let extent = if object.size == 0 {
            Extent::Whole
        } else {
            Extent::Partial
        };
        return Ok(Selection {
            extent,
            ..whole(object)
        });
    };
    let found = s3.tracker.object_part(object, number).await?;
    let (first, part) = found.ok_or_else(|| no_such_part(count, number))?;
    let kind = object
        .checksum
        .as_ref()
        .map_or(ChecksumType::FullObject, |checksum| checksum.kind);
    Ok(Selection {
        first,
        length: part.size,
        extent: if part.size == 0 {
            Extent::Whole
        } else {
            Extent::Partial
        },
        checksum: part.checksum.map(|digest| Checksum { digest, kind }),
        parts: Some(count),
    })
}

fn no_such_part(count: u32, number: u32) -> S3Error {
    S3Error::new(
        Code::InvalidPartNumber,
        "The requested partnumber is not satisfiable",
    )
    .with("ActualPartCount", count.to_string())
    .with("PartNumberRequested", number.to_string())
}

async fn render(
    s3: &S3,
    head: &RequestHead,
    object: &ObjectVersion,
    selection: &Selection,
    body: Body,
) -> Result<Response, S3Error> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    attributes::add_headers(headers, &object.attributes);
    if object.owner.is_none()
        && !object.attributes.headers.contains_key(CONTENT_TYPE.as_str())
        && let Some(told) = media_type::of_key(&object.key)
    {
        headers.insert(CONTENT_TYPE, told);
    }
    headers.insert(ETAG, conditions::etag_header(&object.etag));
    headers.insert(LAST_MODIFIED, conditions::last_modified(object.modified));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(selection.length));
    if object.class != ClassId::DEFAULT {
        add_class(headers, &s3.tracker.class(object.domain, object.class).await?);
    }
    if !object.tags.is_empty() {
        headers.insert("x-amz-tagging-count", HeaderValue::from(object.tags.len()));
    }
    if let Some(count) = selection.parts {
        headers.insert("x-amz-mp-parts-count", HeaderValue::from(count));
    }
    if let Some(checksum) = &selection.checksum
        && wants_checksum(head)
    {
        // The value of a part is that of its bytes alone; that of a whole made of parts counts them.
        let parts = if selection.parts.is_some() {
            None
        } else {
            object.parts
        };
        checksum::add_headers(headers, checksum, parts);
    }
    add_extent(headers, object, selection);
    attributes::add_overrides(headers, head)?;
    if selection.extent == Extent::Partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn add_extent(headers: &mut HeaderMap, object: &ObjectVersion, selection: &Selection) {
    if selection.extent == Extent::Partial {
        let range = range::content_range(selection.first, selection.length, object.size);
        headers.insert(CONTENT_RANGE, range);
    }
}

fn wants_checksum(head: &RequestHead) -> bool {
    head.header("x-amz-checksum-mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED"))
}
