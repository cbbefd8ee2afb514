//! Objects deleted, one or up to a thousand at a time.

use mogul_tracker::{
    Error,
    command::objects::DeleteObject,
    model::{Bucket, Key, Timestamp},
};

use super::no_content;
use crate::s3::{
    ObjectName, Request, RequestHead, Response, S3,
    auth::payload::read_document,
    conditions, date,
    error::S3Error,
    route::invalid_argument,
    xml::{DeleteDocument, DeleteEntry, Writer, deletions},
};

/// Largest `Delete` document in bytes: a thousand of the longest keys, each byte of them as a character reference, with
/// room for the rest.
const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// `DELETE /B/K`: that there was nothing is a success.
pub(in crate::s3) async fn delete_object(
    s3: &S3,
    name: ObjectName,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    if other_version(head.query.get("versionId")) {
        return Ok(no_content());
    }
    let key = name.key.as_str().to_owned();
    let request = DeleteObject {
        if_match: conditions::etag_match(head, "if-match")?,
        if_modified: head
            .header("x-amz-if-match-last-modified-time")
            .map(|text| time("x-amz-if-match-last-modified-time", text))
            .transpose()?,
        if_size: head
            .header("x-amz-if-match-size")
            .map(|text| size("x-amz-if-match-size", text))
            .transpose()?,
        key: name.key,
    };
    let mut outcomes = s3
        .tracker
        .delete_objects(name.bucket.domain.id, vec![request])
        .await?;
    match outcomes.pop() {
        Some(Ok(_)) | None => Ok(no_content()),
        Some(Err(error)) => Err(S3Error::from(error).with("Key", key)),
    }
}

/// Whether a version is named that does not exist: no bucket is versioned, and deleting nothing is a success.
fn other_version(version: Option<&str>) -> bool {
    version.is_some_and(|version| version != "null")
}

/// `POST /B?delete`: each key with its own outcome, in the order given.
pub(in crate::s3) async fn delete_objects(
    s3: &S3,
    bucket: &Bucket,
    request: Request,
) -> Result<Response, S3Error> {
    let document = read_document(request, DOCUMENT_BYTES_MAX).await?;
    let document = deletions(&document)?;
    let mut outcomes = Vec::with_capacity(document.objects.len());
    let mut asked = Vec::with_capacity(document.objects.len());
    for entry in &document.objects {
        let parsed = deletion(entry);
        outcomes.push(match parsed {
            Ok(Some(deletion)) => {
                asked.push(deletion);
                None
            }
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        });
    }
    let answers = if asked.is_empty() {
        Vec::new()
    } else {
        s3.tracker.delete_objects(bucket.domain.id, asked).await?
    };
    let mut answers = answers.into_iter();
    let outcomes = outcomes.into_iter().map(|known| {
        known.unwrap_or_else(|| match answers.next() {
            Some(answer) => answer.map(|_| ()).map_err(S3Error::from),
            None => Err(Error::Internal("fewer outcomes than keys".to_owned()).into()),
        })
    });
    Ok(render(&document, outcomes))
}

/// What is asked of one key; `None` if it is a version that cannot exist.
fn deletion(entry: &DeleteEntry) -> Result<Option<DeleteObject>, S3Error> {
    let key = Key::parse(&entry.key)?;
    if other_version(entry.version.as_deref()) {
        return Ok(None);
    }
    let etag = entry.etag.as_deref();
    Ok(Some(DeleteObject {
        key,
        if_match: etag.map(conditions::parse_etag_match),
        if_modified: entry
            .modified
            .as_deref()
            .map(|text| time("LastModifiedTime", text))
            .transpose()?,
        if_size: entry.size.as_deref().map(|text| size("Size", text)).transpose()?,
    }))
}

fn time(name: &'static str, text: &str) -> Result<Timestamp, S3Error> {
    date::parse_http(text)
        .ok_or_else(|| invalid_argument(name, text, format!("{name} is not a date of HTTP")))
}

fn size(name: &'static str, text: &str) -> Result<u64, S3Error> {
    let parsed = text.trim().parse();
    parsed.map_err(|_| invalid_argument(name, text, format!("{name} is not a size in bytes")))
}

fn render(document: &DeleteDocument, outcomes: impl Iterator<Item = Result<(), S3Error>>) -> Response {
    let mut writer = Writer::new("DeleteResult", 256 + 128 * document.objects.len());
    for (entry, outcome) in document.objects.iter().zip(outcomes) {
        let (element, error) = match outcome {
            Ok(()) if document.quiet => continue,
            Ok(()) => ("Deleted", None),
            Err(error) => ("Error", Some(error)),
        };
        writer.open(element);
        writer.text("Key", &entry.key);
        if let Some(version) = &entry.version {
            writer.text("VersionId", version);
        }
        if let Some(error) = error {
            writer.text("Code", error.code.as_str());
            writer.text("Message", &error.message);
        }
        writer.close(element);
    }
    writer.answer("DeleteResult")
}
