//! Parts: stored as objects are, and kept under their number until the upload ends.

use axum::body::Body;
use http::{HeaderValue, header::ETAG};
use mogul_storage::HashType;
use mogul_tracker::{
    command::uploads::PutPart,
    model::{Checksum, ChecksumType, Part, PartNumber, Upload},
};

use super::{part_number, upload_of};
use crate::s3::{
    Identity, ObjectName, Request, RequestHead, Response, S3,
    auth::payload::IncomingBody,
    checksum, conditions,
    error::{Code, S3Error},
    ops::{
        copy_object::{copy_source, result},
        unsupported,
    },
    read,
    route::invalid_argument,
    store::{store_body, to_the_end},
};

/// `PUT /B/K?partNumber&uploadId`.
pub(in crate::s3) async fn upload_part(
    s3: &S3,
    name: ObjectName,
    request: Request,
) -> Result<Response, S3Error> {
    unsupported::refuse_unserved(&request.head)?;
    let number = part_number(&request.head)?;
    let upload = upload_of(s3, &name, &request.head).await?;
    let body = IncomingBody::read(s3, request)?;
    let part = store_part(s3, upload, number, body).await?;

    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ETAG, conditions::etag_header(&part.etag));
    if let Some(digest) = &part.checksum {
        let value = HeaderValue::try_from(checksum::digest_text(digest)).expect("Base64 is visible ASCII");
        headers.insert(checksum::header_name(digest.hash), value);
    }
    Ok(response)
}

/// Stores a body and makes it a part, whatever becomes of the client. It has the checksum that the upload declared, or
/// that the client sent if the upload declared none.
async fn store_part(
    s3: &S3,
    upload: Upload,
    number: PartNumber,
    mut body: IncomingBody,
) -> Result<Part, S3Error> {
    let declared = upload.checksum.map(|(hash, _)| hash);
    let sent = body.expectations.sent_hash();
    if let (Some(declared), Some(sent)) = (declared, sent)
        && declared != sent
    {
        return Err(other_checksum(declared, sent));
    }
    if let Some(declared) = declared {
        body.expectations.default_hash(declared);
    }
    let kept = declared.or(sent);
    let class = s3.tracker.class(upload.domain, upload.class).await?;
    let work = {
        let s3 = s3.clone();
        async move {
            let stored = store_body(&s3, &class, &upload.devices, body).await?;
            let id = upload.id.0.clone();
            let part = PutPart {
                upload: upload.id,
                number,
                opened: stored.opened,
                stored: stored.stored,
                checksum: kept.map(|_| stored.checksum),
            };
            let recorded = s3.tracker.put_part(part).await;
            recorded.map_err(|error| S3Error::from(error).with("UploadId", id))
        }
    };
    to_the_end(s3, work).await
}

fn other_checksum(declared: HashType, sent: HashType) -> S3Error {
    let [declared, sent] = [declared, sent].map(checksum::name);
    S3Error::new(
        Code::InvalidRequest,
        format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            declared.to_ascii_lowercase(),
            sent.to_ascii_lowercase()
        ),
    )
}

/// `PUT /B/K?partNumber&uploadId` with `x-amz-copy-source`: the part is a range of an object.
pub(in crate::s3) async fn upload_part_copy(
    s3: &S3,
    name: ObjectName,
    head: &RequestHead,
    identity: &Identity,
) -> Result<Response, S3Error> {
    unsupported::refuse_unserved(head)?;
    let number = part_number(head)?;
    let upload = upload_of(s3, &name, head).await?;
    let source = copy_source(s3, head, identity).await?;
    let range = copy_range(head, source.size)?;
    let hash = upload.checksum.map_or(HashType::Crc64Nvme, |(hash, _)| hash);
    let body = read::copied(s3, &source, range, hash).await?;
    let part = store_part(s3, upload, number, body).await?;

    let checksum = part.checksum.map(|digest| Checksum {
        digest,
        kind: ChecksumType::FullObject,
    });
    let checksum = checksum.as_ref().map(|checksum| (checksum, None));
    Ok(result("CopyPartResult", &part.etag, part.modified, checksum))
}

/// First byte and length of the range that is copied; all of the source if none is named. Unlike that of a read it needs
/// both ends, and must lie within the source.
fn copy_range(head: &RequestHead, size: u64) -> Result<(u64, u64), S3Error> {
    const NAME: &str = "x-amz-copy-source-range";
    let Some(value) = head.headers.get(NAME) else {
        return Ok((0, size));
    };
    let text = value.to_str().unwrap_or_default();
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let ends = text.strip_prefix("bytes=").and_then(|ends| {
        let (first, last) = ends.split_once('-')?;
        Some((number(first)?, number(last)?))
    });
    match ends {
        Some((first, last)) if first <= last && last < size => Ok((first, last - first + 1)),
        Some((first, last)) if first <= last => Err(S3Error::new(
            Code::InvalidRange,
            format!("Range specified is not valid for source object of size: {size}"),
        )
        .with("RangeRequested", text)
        .with("ActualObjectSize", size.to_string())),
        Some(_) | None => {
            let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last \
                           are the zero-based offsets of the first and last bytes to copy";
            Err(invalid_argument(NAME, text, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_range_has_both_ends_within_the_source() {
        for (text, expected) in [
            (None, Ok((0, 10))),
            (Some("bytes=0-9"), Ok((0, 10))),
            (Some("bytes=3-3"), Ok((3, 1))),
            (Some("bytes=0-10"), Err(Code::InvalidRange)),
            (Some("bytes=10-20"), Err(Code::InvalidRange)),
            (Some("0-2"), Err(Code::InvalidArgument)),
            (Some("bytes=0"), Err(Code::InvalidArgument)),
            (Some("bytes=0-"), Err(Code::InvalidArgument)),
            (Some("bytes=-3"), Err(Code::InvalidArgument)),
            (Some("bytes=5-2"), Err(Code::InvalidArgument)),
            (Some("bytes=0-2,3-5"), Err(Code::InvalidArgument)),
            (Some("bytes=hello-world"), Err(Code::InvalidArgument)),
            (Some("bytes=+0-2"), Err(Code::InvalidArgument)),
        ] {
            let mut head = RequestHead::bare();
            if let Some(text) = text {
                head.headers
                    .insert("x-amz-copy-source-range", HeaderValue::from_static(text));
            }

            assert_eq!(
                copy_range(&head, 10).map_err(|error| error.code),
                expected,
                "{text:?}"
            );
        }
    }
}
