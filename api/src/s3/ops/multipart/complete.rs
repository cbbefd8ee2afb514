//! The object made of the parts.

use http::{HeaderMap, header};
use mogul_storage::Digest;
use mogul_tracker::{
    Error,
    command::{
        objects::Written,
        uploads::{CompleteUpload, Completed, ListedPart},
    },
    model::{ETag, PartNumber},
};

use super::upload_id;
use crate::s3::{
    ObjectName, Request, RequestHead, Response, S3,
    auth::payload::read_document,
    checksum, conditions,
    error::{Code, S3Error},
    ops::put_object::add_degraded,
    xml::{CompletedPart, DOCUMENT_BYTES_MAX, Writer, completed_parts},
};

/// `POST /B/K?uploadId`. Asked again within a day it answers the same.
pub(in crate::s3) async fn complete_multipart_upload(
    s3: &S3,
    name: ObjectName,
    mut request: Request,
) -> Result<Response, S3Error> {
    let upload = upload_id(&request.head);
    let whole = whole_checksum(&request.head)?;
    // These headers are about the object; what is left is about the document.
    drop_checksum_headers(&mut request.head.headers);
    let head = request.head.clone();
    let document = read_document(request, DOCUMENT_BYTES_MAX).await?;
    let parts = listed_parts(&completed_parts(&document)?, &upload.0)?;
    if let Some((_, Some(count))) = &whole
        && *count != parts.len()
    {
        return Err(Error::WholeMismatch("checksum").into());
    }
    let completion = CompleteUpload {
        domain: name.bucket.domain.id,
        key: name.key.clone(),
        upload: upload.clone(),
        size: object_size(&head)?,
        checksum: whole.map(|(digest, _)| digest),
        checksum_type: checksum_type(&head)?,
        condition: conditions::write_condition(&head)?,
        parts,
    };
    let etags: Vec<(PartNumber, ETag)> = completion
        .parts
        .iter()
        .map(|part| (part.number, part.etag.clone()))
        .collect();
    match s3.tracker.complete_upload(completion).await {
        Ok(completed) => {
            let mut response = render(s3, &name, &head, &completed, etags.len());
            tell_degraded(s3, &name, &completed.written, &mut response).await?;
            Ok(response)
        }
        Err(error) => Err(refused(error, &name, &upload.0, &etags)),
    }
}

/// Adds to an error what the client knows the upload by.
fn refused(error: Error, name: &ObjectName, upload: &str, etags: &[(PartNumber, ETag)]) -> S3Error {
    let part = if let Error::UnknownPart(number) | Error::PartTooSmall { number, .. } = &error {
        Some(*number)
    } else {
        None
    };
    let mut refused = S3Error::from(error);
    let etag = etags.iter().find(|(number, _)| Some(*number) == part);
    if let Some((_, etag)) = etag {
        refused = refused.with("ETag", etag.0.clone());
    }
    match refused.code.as_str() {
        "NoSuchKey" => refused.with("Key", name.key.as_str()),
        _ => refused.with("UploadId", upload),
    }
}

/// The parts as listed, strictly ascending.
fn listed_parts(parts: &[CompletedPart], upload: &str) -> Result<Vec<ListedPart>, S3Error> {
    let mut listed: Vec<ListedPart> = Vec::with_capacity(parts.len());
    for part in parts {
        let part = listed_part(part)?;
        if listed.last().is_some_and(|last| last.number >= part.number) {
            return Err(S3Error::new(
                Code::InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number.",
            )
            .with("UploadId", upload));
        }
        listed.push(part);
    }
    Ok(listed)
}

fn listed_part(part: &CompletedPart) -> Result<ListedPart, S3Error> {
    let number = part.number.parse().ok().and_then(PartNumber::new);
    let number = number.ok_or_else(|| {
        let message = "PartNumber must be >= 1 and <= 10000";
        crate::s3::route::invalid_argument("PartNumber", &part.number, message)
    })?;
    let checksum = part.checksums.iter().find_map(|(element, value)| {
        let hash = checksum::of_element(element)?;
        Some(checksum::parse_value(hash, value))
    });
    Ok(ListedPart {
        number,
        etag: ETag(part.etag.trim_matches('"').to_owned()),
        checksum: checksum.transpose()?,
    })
}

/// The checksum of the whole object that the client gives, and the number of parts that a composite one ends with.
fn whole_checksum(head: &RequestHead) -> Result<Option<(Digest, Option<usize>)>, S3Error> {
    let mut found = None;
    for (header, value) in &head.headers {
        let Some(hash) = checksum::parse_header_name(header.as_str()) else {
            continue;
        };
        if found.is_some() {
            return Err(S3Error::new(
                Code::InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        let text = value.to_str().unwrap_or_default();
        let (digest, count) = match text.rsplit_once('-') {
            Some((digest, count)) => (digest, count.parse().ok()),
            None => (text, None),
        };
        found = Some((checksum::parse_value(hash, digest)?, count));
    }
    Ok(found)
}

fn drop_checksum_headers(headers: &mut HeaderMap) {
    let names: Vec<_> = headers
        .keys()
        .filter(|name| checksum::parse_header_name(name.as_str()).is_some())
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
    headers.remove("x-amz-sdk-checksum-algorithm");
}

fn checksum_type(head: &RequestHead) -> Result<Option<mogul_tracker::model::ChecksumType>, S3Error> {
    let Some(text) = head.header("x-amz-checksum-type") else {
        return Ok(None);
    };
    match checksum::parse_type(text) {
        Some(kind) => Ok(Some(kind)),
        None => Err(S3Error::new(
            Code::InvalidRequest,
            "Value for x-amz-checksum-type header is invalid.",
        )),
    }
}

fn object_size(head: &RequestHead) -> Result<Option<u64>, S3Error> {
    let parsed = head
        .header("x-amz-mp-object-size")
        .map(|text| text.trim().parse());
    parsed.transpose().map_err(|_| {
        S3Error::new(
            Code::InvalidRequest,
            "Value for x-amz-mp-object-size header is invalid.",
        )
    })
}

fn render(s3: &S3, name: &ObjectName, head: &RequestHead, completed: &Completed, parts: usize) -> Response {
    let mut writer = Writer::new("CompleteMultipartUploadResult", 1024);
    let host = head.header(header::HOST.as_str()).unwrap_or_default();
    // As the client addressed it: path style stays path style.
    writer.text(
        "Location",
        &format!("{}://{host}{}", s3.config.scheme, head.path()),
    );
    writer.text("Bucket", name.bucket.domain.name.as_str());
    writer.text("Key", name.key.as_str());
    writer.etag(&completed.written.etag);
    if let Some(checksum) = &completed.checksum {
        let parts = u32::try_from(parts).ok();
        writer.text(
            checksum::element(checksum.digest.hash),
            &checksum::text(checksum, parts),
        );
        writer.text("ChecksumType", checksum::type_name(checksum.kind));
    }
    writer.answer("CompleteMultipartUploadResult")
}

/// Says of an object with missing copies how many there are; the class is looked up only then.
async fn tell_degraded(
    s3: &S3,
    name: &ObjectName,
    written: &Written,
    response: &mut Response,
) -> Result<(), S3Error> {
    if !written.degraded {
        return Ok(());
    }
    let object = s3.tracker.object(name.bucket.domain.id, &name.key).await?;
    let class = s3.tracker.class(object.domain, object.class).await?;
    add_degraded(response.headers_mut(), written, &class);
    Ok(())
}
