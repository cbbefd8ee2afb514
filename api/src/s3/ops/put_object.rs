//! `PutObject`.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, header::ETAG};
use mogul_tracker::{
    Error,
    command::objects::{PutVersion, Written},
    model::{Attributes, Checksum, ChecksumType, Class, Key, Tags, UserId, WriteCondition},
};

use super::{tagging::tags_of_head, unsupported::refuse_unserved};
use crate::s3::{
    ObjectName, Request, Response, S3, attributes,
    auth::{authorize::authorize_account, payload::IncomingBody},
    checksum, class, conditions,
    error::S3Error,
    store::{store_body, to_the_end},
};

/// The header that tells of copies that are still missing: `copies=1/2`.
const DEGRADED: &str = "x-mogul-degraded";

/// An object on its way: all but its bytes.
pub(super) struct NewObject {
    pub(super) class: Class,
    pub(super) key: Key,
    pub(super) owner: UserId,
    pub(super) attributes: Attributes,
    pub(super) tags: Tags,
    pub(super) condition: WriteCondition,
}

/// `PUT /B/K`: stores the body as the object.
pub(in crate::s3) async fn put_object(
    s3: &S3,
    name: ObjectName,
    request: Request,
) -> Result<Response, S3Error> {
    let head = &request.head;
    refuse_unserved(head)?;
    let object = NewObject {
        owner: authorize_account(&request.identity)?.id.clone(),
        attributes: attributes::of_head(head)?,
        tags: tags_of_head(head)?,
        condition: conditions::write_condition(head)?,
        class: class::requested(s3, &name.bucket, head).await?,
        key: name.key,
    };
    let class = object.class.clone();
    let body = IncomingBody::read(s3, request)?;
    let (written, checksum) = store_object(s3, object, body).await?;

    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ETAG, conditions::etag_header(&written.etag));
    checksum::add_headers(headers, &checksum, None);
    add_class(headers, &class);
    add_degraded(headers, &written, &class);
    Ok(response)
}

/// Stores a body and makes it the current object of its key, whatever becomes of the client.
pub(super) async fn store_object(
    s3: &S3,
    object: NewObject,
    body: IncomingBody,
) -> Result<(Written, Checksum), S3Error> {
    let s3 = s3.clone();
    let key = object.key.as_str().to_owned();
    let work = {
        let s3 = s3.clone();
        async move {
            let stored = store_body(&s3, &object.class, &[], body).await?;
            let checksum = Checksum {
                digest: stored.checksum,
                kind: ChecksumType::FullObject,
            };
            let written = s3
                .tracker
                .put_version(PutVersion {
                    opened: stored.opened,
                    stored: stored.stored,
                    key: object.key,
                    owner: object.owner,
                    attributes: object.attributes,
                    tags: object.tags,
                    checksum: Some(checksum.clone()),
                    condition: object.condition,
                })
                .await;
            written
                .map(|written| (written, checksum))
                .map_err(|error| refused(error, &key))
        }
    };
    to_the_end(&s3, work).await
}

/// An error of a write, with the key that `If-Match` did not find.
pub(super) fn refused(error: Error, key: &str) -> S3Error {
    let absent = matches!(error, Error::UnknownKey);
    let refused = S3Error::from(error);
    if absent { refused.with("Key", key) } else { refused }
}

/// Tells the class of an object unless it is `STANDARD`: clients take surprises badly (s3.md, section 23).
pub(super) fn add_class(headers: &mut HeaderMap, class: &Class) {
    let name = class::storage_class(&class.name);
    if name != class::STANDARD
        && let Ok(value) = HeaderValue::try_from(name)
    {
        headers.insert("x-amz-storage-class", value);
    }
}

/// Tells that fewer copies are stored than the class wants, and that the others are queued.
pub(in crate::s3) fn add_degraded(headers: &mut HeaderMap, written: &Written, class: &Class) {
    if written.degraded {
        let text = format!("copies={}/{}", written.copies, class.mindevcount);
        let value = HeaderValue::try_from(text).expect("numbers are visible ASCII");
        headers.insert(DEGRADED, value);
    }
}
