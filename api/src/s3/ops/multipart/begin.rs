//! The beginning of an upload, and its end without an object.

use http::HeaderValue;
use mogul_storage::HashType;
use mogul_tracker::{command::uploads::CreateUpload, model::ChecksumType};

use super::upload_id;
use crate::s3::{
    Identity, ObjectName, RequestHead, Response, S3, attributes,
    auth::authorize::authorize_account,
    checksum, class,
    error::{Code, S3Error},
    ops::{no_content, tagging, unsupported},
    xml::Writer,
};

/// `POST /B/K?uploads`: takes all that the object will carry.
pub(in crate::s3) async fn create_multipart_upload(
    s3: &S3,
    name: ObjectName,
    head: &RequestHead,
    identity: &Identity,
) -> Result<Response, S3Error> {
    unsupported::refuse_unserved(head)?;
    let owner = authorize_account(identity)?.id.clone();
    let checksum = declared(head)?;
    let key = name.key.as_str().to_owned();
    let upload = s3
        .tracker
        .create_upload(CreateUpload {
            key: name.key,
            class: class::requested(s3, &name.bucket, head).await?,
            owner,
            attributes: attributes::of_head(head)?,
            tags: tagging::tags_of_head(head)?,
            checksum,
        })
        .await?;

    let mut writer = Writer::new("InitiateMultipartUploadResult", 512 + key.len());
    writer.text("Bucket", name.bucket.domain.name.as_str());
    writer.text("Key", &key);
    writer.text("UploadId", &upload.id.0);
    let mut response = writer.answer("InitiateMultipartUploadResult");
    if let Some((hash, kind)) = upload.checksum {
        let headers = response.headers_mut();
        let algorithm = HeaderValue::from_static(checksum::name(hash));
        headers.insert("x-amz-checksum-algorithm", algorithm);
        let kind = HeaderValue::from_static(checksum::type_name(kind));
        headers.insert("x-amz-checksum-type", kind);
    }
    Ok(response)
}

/// The checksum that the parts and the object will have, if the client declares one.
fn declared(head: &RequestHead) -> Result<Option<(HashType, ChecksumType)>, S3Error> {
    let refuse = |message: String| Err(S3Error::new(Code::InvalidRequest, message));
    let kind = match head.header("x-amz-checksum-type") {
        None => None,
        Some(text) => match checksum::parse_type(text) {
            Some(kind) => Some(kind),
            None => return refuse("Value for x-amz-checksum-type header is invalid.".to_owned()),
        },
    };
    let Some(text) = head.header("x-amz-checksum-algorithm") else {
        return match kind {
            None => Ok(None),
            Some(_) => refuse(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
                    .to_owned(),
            ),
        };
    };
    let Some(hash) = checksum::parse_name(text) else {
        return refuse(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, \
             CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128]"
                .to_owned(),
        );
    };
    let kind = kind.unwrap_or(default_type(hash));
    if has_type(hash, kind) {
        return Ok(Some((hash, kind)));
    }
    refuse(format!(
        "The {} checksum type cannot be used with the {} checksum algorithm.",
        checksum::type_name(kind),
        checksum::name(hash)
    ))
}

/// What the object's checksum covers if the client does not say.
fn default_type(hash: HashType) -> ChecksumType {
    match hash {
        HashType::Crc64Nvme => ChecksumType::FullObject,
        HashType::Md5
        | HashType::Sha1
        | HashType::Sha256
        | HashType::Sha512
        | HashType::Crc32
        | HashType::Crc32c
        | HashType::XxHash64
        | HashType::XxHash3
        | HashType::XxHash128 => ChecksumType::Composite,
    }
}

/// Whether an algorithm can cover the whole or the parts: only the CRCs of parts add up to that of the whole, and AWS has
/// no composite CRC64NVME.
fn has_type(hash: HashType, kind: ChecksumType) -> bool {
    match kind {
        ChecksumType::FullObject => hash.is_crc(),
        ChecksumType::Composite => hash != HashType::Crc64Nvme,
    }
}

/// `DELETE /B/K?uploadId`.
pub(in crate::s3) async fn abort_multipart_upload(
    s3: &S3,
    name: &ObjectName,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let id = upload_id(head);
    let aborted = s3
        .tracker
        .abort_upload(name.bucket.domain.id, &name.key, &id)
        .await;
    match aborted {
        Ok(()) => Ok(no_content()),
        Err(error) => Err(S3Error::from(error).with("UploadId", id.0)),
    }
}
