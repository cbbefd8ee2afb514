//! `ListObjectVersions`: no bucket is versioned, so each object is its only version, called `null`.
//!
//! It must work nonetheless: tools that empty a bucket list its versions, whatever the bucket is.

use mogul_tracker::{
    command::objects::{Entry, ListFrom},
    model::Bucket,
};

use super::{
    list_objects::{Asked, after, begin, name_of, owner_of, write_object, write_prefixes},
    names::{Names, write_user},
};
use crate::s3::{RequestHead, Response, S3, error::S3Error, route::invalid_argument};

/// The one version of every object.
const NULL: &str = "null";

/// `GET /B?versions`.
pub(in crate::s3) async fn list_object_versions(
    s3: &S3,
    bucket: &Bucket,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let query = &head.query;
    let asked = Asked::parse(query, "max-keys")?;
    let key_marker = query.get("key-marker").unwrap_or_default();
    let version_marker = query.get("version-id-marker").unwrap_or_default();
    if key_marker.is_empty() && !version_marker.is_empty() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(invalid_argument("version-id-marker", version_marker, message));
    }
    let from: ListFrom = after(key_marker);
    let page = asked.page(s3, bucket, from).await?;

    let mut writer = begin("ListVersionsResult", bucket, page.entries.len());
    asked.write(&mut writer, "MaxKeys");
    writer.key("KeyMarker", key_marker, asked.encoding());
    writer.text("VersionIdMarker", version_marker);
    if let (true, Some(last)) = (page.more, page.entries.last()) {
        writer.key("NextKeyMarker", name_of(last), asked.encoding());
        if matches!(last, Entry::Object(_)) {
            writer.text("NextVersionIdMarker", NULL);
        }
    }
    writer.truth("IsTruncated", page.more);
    let mut names = Names::default();
    for entry in &page.entries {
        let Entry::Object(object) = entry else { continue };
        writer.open("Version");
        write_object(&mut writer, object, asked.encoding());
        writer.text("VersionId", NULL);
        writer.truth("IsLatest", true);
        let class = names.storage_class(s3, bucket.domain.id, object.class).await?;
        writer.text("StorageClass", class);
        let owner = names.owner(s3, owner_of(object, bucket)).await?;
        write_user(&mut writer, "Owner", owner);
        writer.close("Version");
    }
    write_prefixes(&mut writer, &page, asked.encoding());
    Ok(writer.answer("ListVersionsResult"))
}
