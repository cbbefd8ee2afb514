//! Multipart uploads: begun, filled part by part, listed, completed or aborted.

mod begin;
mod complete;
mod lists;
mod part;

pub(in crate::s3) use begin::{abort_multipart_upload, create_multipart_upload};
pub(in crate::s3) use complete::complete_multipart_upload;
pub(in crate::s3) use lists::{list_multipart_uploads, list_parts};
pub(in crate::s3) use part::{upload_part, upload_part_copy};

use mogul_tracker::model::{PartNumber, Upload, UploadId};

use crate::s3::{ObjectName, RequestHead, S3, error::S3Error, route::invalid_argument};

/// The upload that a request names; of this bucket and key, or it is none.
async fn upload_of(s3: &S3, name: &ObjectName, head: &RequestHead) -> Result<Upload, S3Error> {
    let id = upload_id(head);
    let found = s3.tracker.upload(name.bucket.domain.id, &name.key, &id).await;
    found.map_err(|error| S3Error::from(error).with("UploadId", id.0))
}

fn upload_id(head: &RequestHead) -> UploadId {
    UploadId(head.query.get("uploadId").unwrap_or_default().to_owned())
}

/// The number of the part that a request puts.
fn part_number(head: &RequestHead) -> Result<PartNumber, S3Error> {
    let text = head.query.get("partNumber").unwrap_or_default();
    text.parse().ok().and_then(PartNumber::new).ok_or_else(|| {
        let max = PartNumber::MAX;
        let message = format!("Part number must be an integer between 1 and {max}, inclusive");
        invalid_argument("partNumber", text, message)
    })
}
