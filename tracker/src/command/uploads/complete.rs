//! Completing an upload: the parts become one object, in one transaction that moves no bytes.

use std::sync::Arc;

use mogul_storage::Fid;
use serde::{Deserialize, Serialize};

use super::{
    CompleteUpload, Completed,
    plan::{Plan, plan},
};
use crate::{
    Error, Tracker,
    command::objects::Written,
    jobs::JobName,
    meta::{
        Tx, domains,
        encoding::{attributes_text, checksum_of, hash_number, kind_number, tags_text},
        files::{self, NewFile},
        objects::{self, Current, ObjectRow, objects_for_conditions},
        segments::{self, SEGMENTS_MAX},
        uploads::{self, UploadState},
    },
    model::{ETag, Timestamp, Upload},
};

/// The answer that is kept for a repeated Complete.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// The parts that were listed, as [`listed`] writes them.
    listed: String,
    etag: String,
    modified: i64,
    copies: usize,
    degraded: bool,
    checksum: Option<(i64, i64, String)>,
}

/// What a Complete found.
enum Finding {
    /// The object is made.
    Made(Completed),
    /// It had been made before.
    Repeated(Completed),
}

impl Tracker {
    /// Makes the object, in one transaction that moves no bytes; the parts are joined in the background. Asked again
    /// within a day with the same parts, it answers the same.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`], [`Error::UnknownPart`], [`Error::PartTooSmall`], [`Error::PartChecksum`],
    /// [`Error::WholeMismatch`], [`Error::PreconditionFailed`], [`Error::UnknownKey`] (`If-Match` without an object),
    /// [`Error::Invalid`], [`Error::UnknownDomain`], [`Error::Database`]. The upload stays open then.
    ///
    /// # Cancel safety
    /// Dropping the future after the first poll may leave the upload open, or completed: asking again tells.
    pub async fn complete_upload(&self, request: CompleteUpload) -> Result<Completed, Error> {
        let now = self.now();
        let lease = self.reserve_fid().await?;
        let fid = lease.fid();
        let request = Arc::new(request);
        let write = self.db().write(move |tx| {
            let request = Arc::clone(&request);
            Box::pin(async move { completed(tx, &request, fid, now).await })
        });
        let finding = write.await;
        // Nothing was ever written under the fid, so nothing is left of it if it was not needed.
        lease.end();
        match finding? {
            Finding::Made(completed) => {
                self.wake(JobName::Join);
                self.wake(JobName::Delete);
                Ok(completed)
            }
            Finding::Repeated(completed) => Ok(completed),
        }
    }
}

/// Completes an upload under a lock on its row, or finds the answer that was given before.
async fn completed(
    tx: &mut Tx,
    request: &CompleteUpload,
    fid: Fid,
    now: Timestamp,
) -> Result<Finding, Error> {
    domains::domain_held(tx, request.domain).await?;
    let stored = uploads::upload_held(tx, &request.upload).await?;
    let stored = stored
        .filter(|it| it.upload.domain == request.domain && it.upload.key == request.key)
        .ok_or(Error::UnknownUpload)?;
    if let UploadState::Completed(text) = &stored.state {
        return Ok(Finding::Repeated(repeated(request, text)?));
    }
    let upload = stored.upload;
    let parts = uploads::parts_of(tx, &upload.id, 0, SEGMENTS_MAX).await?;
    let plan = plan(request, &upload, parts)?;
    let wanted = [(&upload.key, &request.condition)];
    let mut found = objects_for_conditions(tx, upload.domain, &wanted).await?;
    let before = found.remove(&upload.key);
    request
        .condition
        .decide(before.as_ref().map(|current| &current.etag))?;

    let copies = uploads::copies_of(tx, &upload.id).await?;
    let modified = before.as_ref().map_or(now, |current| current.modified.max(now));
    let completed = Completed {
        written: Written {
            etag: plan.etag.clone(),
            modified,
            copies,
            degraded: copies < upload.devices.len(),
        },
        checksum: Some(plan.checksum.clone()),
    };
    let object = if plan.segments.len() == 1 {
        only_part(&plan)?
    } else {
        fid
    };
    replace(tx, before.as_ref(), &plan, now).await?;
    add(tx, (object, &upload), plan, modified).await?;
    uploads::parts_removed(tx, &upload.id).await?;
    let answer = answer(request, &completed);
    uploads::upload_completed(tx, &upload.id, object, (now, answer)).await?;
    Ok(Finding::Made(completed))
}

/// The file of an upload's only part: it becomes the object's own.
fn only_part(plan: &Plan) -> Result<Fid, Error> {
    let only = plan.segments.first().and_then(|segment| segment.part_fid);
    only.ok_or_else(|| Error::Internal("a part without a file".to_owned()))
}

/// Gives up the object that is replaced, and the parts that are not listed.
async fn replace(tx: &mut Tx, before: Option<&Current>, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    let mut gone = plan.unlisted.clone();
    gone.extend(before.map(|current| current.fid));
    files::release(tx, &gone, now).await
}

/// Adds the object and its segments.
async fn add(tx: &mut Tx, object: (Fid, &Upload), plan: Plan, modified: Timestamp) -> Result<(), Error> {
    let (fid, upload) = object;
    let parts = u32::try_from(plan.segments.len())
        .map_err(|_| Error::Internal("an impossible number of parts".to_owned()))?;
    let mut segments = plan.segments;
    if parts == 1 {
        // One part needs no joining: its file is the object's.
        files::renamed(tx, fid, &upload.key).await?;
        for segment in &mut segments {
            segment.part_fid = None;
        }
    } else {
        files::added(tx, &[new_file(fid, upload, plan.size)]).await?;
        segments::join_queued(tx, fid, modified).await?;
    }
    segments::segments_added(tx, fid, &segments).await?;
    let row = ObjectRow {
        fid,
        etag: plan.etag,
        modified,
        owner: Some(upload.owner.clone()),
        attributes: attributes_text(&upload.attributes),
        tags: tags_text(&upload.tags),
        checksum: Some(plan.checksum),
        crc64: Some(plan.crc64),
        parts: Some(parts),
    };
    objects::objects_added(tx, &[row]).await
}

/// The row of `file` of an object in segments: no device has it yet.
fn new_file(fid: Fid, upload: &Upload, size: u64) -> NewFile<'_> {
    NewFile {
        fid,
        domain: upload.domain,
        key: &upload.key,
        size,
        class: upload.class,
        devcount: 0,
    }
}

/// What is kept to answer a repeated Complete.
fn answer(request: &CompleteUpload, completed: &Completed) -> String {
    let checksum = completed.checksum.as_ref();
    let answer = Answer {
        listed: listed(request),
        etag: completed.written.etag.0.clone(),
        modified: completed.written.modified.millis(),
        copies: completed.written.copies,
        degraded: completed.written.degraded,
        checksum: checksum.map(|sum| {
            (
                hash_number(sum.digest.hash),
                kind_number(sum.kind),
                sum.digest.hex(),
            )
        }),
    };
    serde_json::to_string(&answer).expect("numbers and texts are JSON")
}

/// The answer that was given before, if the same parts are listed.
fn repeated(request: &CompleteUpload, text: &str) -> Result<Completed, Error> {
    let answer: Answer = serde_json::from_str(text)
        .map_err(|error| Error::Internal(format!("a stored answer cannot be read: {error}")))?;
    if answer.listed != listed(request) {
        return Err(Error::UnknownUpload);
    }
    let checksum = match answer.checksum {
        Some((hash, kind, digest)) => {
            let bytes = hex::decode(&digest)
                .map_err(|_| Error::Internal("a stored checksum is no hex".to_owned()))?;
            checksum_of(Some(hash), Some(kind), Some(bytes))?
        }
        None => None,
    };
    Ok(Completed {
        written: Written {
            etag: ETag(answer.etag),
            modified: Timestamp::from_millis(answer.modified),
            copies: answer.copies,
            degraded: answer.degraded,
        },
        checksum,
    })
}

/// The listed parts in short: the SHA-256 of their numbers and entity tags.
fn listed(request: &CompleteUpload) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for part in &request.parts {
        hash.update(part.number.get().to_be_bytes());
        hash.update(part.etag.0.as_bytes());
        hash.update(b"\n");
    }
    hex::encode(hash.finalize())
}
