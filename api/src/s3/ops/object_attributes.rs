//! `GetObjectAttributes`.

use http::header::LAST_MODIFIED;
use mogul_tracker::model::{ObjectVersion, PartNumber};

use super::get_object::current;
use crate::s3::{
    ObjectName, RequestHead, Response, S3, checksum, class, conditions,
    error::{Code, S3Error},
    route::invalid_argument,
    xml::Writer,
};

const ROOT: &str = "GetObjectAttributesResponse";
const HEADER: &str = "x-amz-object-attributes";

/// Most parts of one answer (AWS).
const PARTS_MAX: usize = 1000;

/// What can be asked for, in the order in which it is answered.
const ATTRIBUTES: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// `GET /B/K?attributes`.
pub(in crate::s3) async fn get_object_attributes(
    s3: &S3,
    name: &ObjectName,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let wanted = wanted(head)?;
    let wants = |attribute: &str| wanted.iter().any(|found| found == attribute);
    let object = current(s3, name).await?;
    let mut writer = Writer::new(ROOT, 1024);
    if wants("ETag") {
        // Without the quotes that it has everywhere else (AWS).
        writer.text("ETag", &object.etag.0);
    }
    if wants("Checksum")
        && let Some(found) = &object.checksum
    {
        writer.open("Checksum");
        writer.text(
            checksum::element(found.digest.hash),
            &checksum::text(found, object.parts),
        );
        writer.text("ChecksumType", checksum::type_name(found.kind));
        writer.close("Checksum");
    }
    if wants("ObjectParts")
        && let Some(count) = object.parts
    {
        write_parts(s3, &mut writer, head, &object, count).await?;
    }
    if wants("StorageClass") {
        let class = s3.tracker.class(object.domain, object.class).await?;
        writer.text("StorageClass", &class::storage_class(&class.name));
    }
    if wants("ObjectSize") {
        writer.number("ObjectSize", object.size);
    }
    let mut response = writer.answer(ROOT);
    let modified = conditions::last_modified(object.modified);
    response.headers_mut().insert(LAST_MODIFIED, modified);
    Ok(response)
}

fn wanted(head: &RequestHead) -> Result<Vec<String>, S3Error> {
    let mut wanted = Vec::new();
    for value in head.headers.get_all(HEADER) {
        for name in value.to_str().unwrap_or_default().split(',') {
            let name = name.trim();
            if !ATTRIBUTES.contains(&name) {
                return Err(invalid_argument(
                    HEADER,
                    name,
                    "Invalid attribute name specified.",
                ));
            }
            wanted.push(name.to_owned());
        }
    }
    if wanted.is_empty() {
        return Err(S3Error::new(
            Code::InvalidRequest,
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
        ));
    }
    Ok(wanted)
}

async fn write_parts(
    s3: &S3,
    writer: &mut Writer,
    head: &RequestHead,
    object: &ObjectVersion,
    count: u32,
) -> Result<(), S3Error> {
    let limit = usize::from(number(head, "x-amz-max-parts")?.unwrap_or(u16::MAX)).min(PARTS_MAX);
    let marker = number(head, "x-amz-part-number-marker")?.unwrap_or(0);
    let page = match PartNumber::new(marker) {
        None if marker > 0 => None,
        after => Some(s3.tracker.object_parts(object, after, limit).await?),
    };
    let (entries, more) = page.map_or((Vec::new(), false), |page| (page.entries, page.more));
    let next = entries.last().map_or(marker, |part| part.number.get());
    writer.open("ObjectParts");
    writer.number("PartsCount", u64::from(count));
    writer.number("PartNumberMarker", u64::from(marker));
    writer.number("NextPartNumberMarker", u64::from(next));
    writer.number("MaxParts", u64::try_from(limit).unwrap_or(u64::MAX));
    writer.truth("IsTruncated", more);
    for part in &entries {
        writer.open("Part");
        writer.number("PartNumber", u64::from(part.number.get()));
        writer.number("Size", part.size);
        if let Some(digest) = &part.checksum {
            writer.text(checksum::element(digest.hash), &checksum::digest_text(digest));
        }
        writer.close("Part");
    }
    writer.close("ObjectParts");
    Ok(())
}

fn number(head: &RequestHead, name: &'static str) -> Result<Option<u16>, S3Error> {
    let Some(text) = head.header(name) else {
        return Ok(None);
    };
    match text.trim().parse::<u32>() {
        Ok(number) => Ok(Some(u16::try_from(number).unwrap_or(u16::MAX))),
        Err(_) => Err(invalid_argument(
            name,
            text,
            format!("Provided {name} is not a number"),
        )),
    }
}
