//! Parts: stored as objects are, and kept under their number until the upload ends.

use axum::body::Body;
use http::{HeaderValue, header::ETAG};
use mogul_storage::HashType;
use mogul_tracker::{
    command::uploads::PutPart,
    model::{Part, PartNumber, Upload},
};

use super::{part_number, upload_of};
use crate::s3::{
    ObjectName, Request, Response, S3,
    auth::payload::IncomingBody,
    checksum, conditions,
    error::{Code, S3Error},
    ops::unsupported,
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
