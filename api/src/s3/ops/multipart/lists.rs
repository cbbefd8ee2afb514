//! Listings of the parts of an upload, and of the uploads of a bucket.

use mogul_tracker::{
    command::{
        buckets::Page,
        uploads::{ListUploads, UploadEntry},
    },
    model::{Bucket, Part, PartNumber, Upload, UploadId},
};

use super::upload_of;
use crate::s3::{
    ObjectName, RequestHead, Response, S3, checksum,
    error::S3Error,
    ops::{
        list_objects::{Asked, PAGE_MAX},
        names::{Names, write_user},
    },
    xml::Writer,
};

/// `GET /B/K?uploadId`.
pub(in crate::s3) async fn list_parts(
    s3: &S3,
    name: &ObjectName,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let upload = upload_of(s3, name, head).await?;
    let limit = head.query.number("max-parts")?.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let marker = head.query.number("part-number-marker")?.unwrap_or(0);
    let page = if limit == 0 {
        Page {
            entries: Vec::new(),
            more: false,
        }
    } else {
        let after = u16::try_from(marker)
            .unwrap_or(PartNumber::MAX)
            .min(PartNumber::MAX);
        let limit = usize::try_from(limit).expect("PAGE_MAX fits");
        s3.tracker
            .list_parts(&upload.id, PartNumber::new(after), limit)
            .await?
    };

    let mut writer = Writer::new("ListPartsResult", 1024 + 256 * page.entries.len());
    writer.text("Bucket", name.bucket.domain.name.as_str());
    writer.text("Key", name.key.as_str());
    writer.text("UploadId", &upload.id.0);
    writer.number("PartNumberMarker", u64::from(marker));
    if let (true, Some(last)) = (page.more, page.entries.last()) {
        writer.number("NextPartNumberMarker", u64::from(last.number.get()));
    }
    writer.number("MaxParts", u64::from(limit));
    writer.truth("IsTruncated", page.more);
    write_upload(s3, &mut writer, &mut Names::default(), &upload).await?;
    for part in &page.entries {
        write_part(&mut writer, part);
    }
    Ok(writer.answer("ListPartsResult"))
}

fn write_part(writer: &mut Writer, part: &Part) {
    writer.open("Part");
    writer.number("PartNumber", u64::from(part.number.get()));
    writer.time("LastModified", part.modified);
    writer.etag(&part.etag);
    writer.number("Size", part.size);
    if let Some(digest) = &part.checksum {
        writer.text(checksum::element(digest.hash), &checksum::digest_text(digest));
    }
    writer.close("Part");
}

/// Writes what both listings show of an upload.
async fn write_upload(
    s3: &S3,
    writer: &mut Writer,
    names: &mut Names,
    upload: &Upload,
) -> Result<(), S3Error> {
    let owner = names.owner(s3, &upload.owner).await?;
    write_user(writer, "Initiator", owner);
    write_user(writer, "Owner", owner);
    let class = names.storage_class(s3, upload.domain, upload.class).await?;
    writer.text("StorageClass", class);
    if let Some((hash, kind)) = upload.checksum {
        writer.text("ChecksumAlgorithm", checksum::name(hash));
        writer.text("ChecksumType", checksum::type_name(kind));
    }
    Ok(())
}

/// `GET /B?uploads`: by key, then by the time at which they began.
pub(in crate::s3) async fn list_multipart_uploads(
    s3: &S3,
    bucket: &Bucket,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let query = &head.query;
    let asked = Asked::parse(query, "max-uploads")?;
    let key_marker = query.get("key-marker").filter(|marker| !marker.is_empty());
    // Without a key marker AWS ignores it.
    let id_marker = query
        .get("upload-id-marker")
        .filter(|marker| key_marker.is_some() && !marker.is_empty());
    let page = if asked.limit == 0 {
        Page {
            entries: Vec::new(),
            more: false,
        }
    } else {
        let request = ListUploads {
            prefix: asked.prefix.to_owned(),
            delimiter: asked.delimiter.to_owned(),
            key_after: key_marker.map(str::to_owned),
            upload_after: id_marker.map(|marker| UploadId(marker.to_owned())),
            limit: usize::try_from(asked.limit).expect("PAGE_MAX fits"),
        };
        s3.tracker.list_uploads(bucket.domain.id, request).await?
    };

    let mut writer = Writer::new("ListMultipartUploadsResult", 1024 + 640 * page.entries.len());
    writer.text("Bucket", bucket.domain.name.as_str());
    asked.write(&mut writer, "MaxUploads");
    writer.key("KeyMarker", key_marker.unwrap_or_default(), asked.encoding());
    writer.text("UploadIdMarker", id_marker.unwrap_or_default());
    if let (true, Some(last)) = (page.more, page.entries.last()) {
        let (key, id) = match last {
            UploadEntry::Upload(upload) => (upload.key.as_str(), upload.id.0.as_str()),
            UploadEntry::Prefix(prefix) => (prefix.as_str(), ""),
        };
        writer.key("NextKeyMarker", key, asked.encoding());
        writer.text("NextUploadIdMarker", id);
    }
    writer.truth("IsTruncated", page.more);
    write_uploads(s3, &mut writer, &page, &asked).await?;
    Ok(writer.answer("ListMultipartUploadsResult"))
}

async fn write_uploads(
    s3: &S3,
    writer: &mut Writer,
    page: &Page<UploadEntry>,
    asked: &Asked<'_>,
) -> Result<(), S3Error> {
    let mut names = Names::default();
    for entry in &page.entries {
        let UploadEntry::Upload(upload) = entry else {
            continue;
        };
        writer.open("Upload");
        writer.key("Key", upload.key.as_str(), asked.encoding());
        writer.text("UploadId", &upload.id.0);
        write_upload(s3, writer, &mut names, upload).await?;
        writer.time("Initiated", upload.initiated);
        writer.close("Upload");
    }
    for entry in &page.entries {
        if let UploadEntry::Prefix(prefix) = entry {
            writer.open("CommonPrefixes");
            writer.key("Prefix", prefix, asked.encoding());
            writer.close("CommonPrefixes");
        }
    }
    Ok(())
}
