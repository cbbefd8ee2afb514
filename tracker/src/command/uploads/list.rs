//! Listing uploads in progress and the parts of one.

use super::{ListUploads, UploadEntry};
use crate::{
    Error, Tracker,
    command::buckets::Page,
    meta::{
        Tx,
        listing::behind_prefix,
        segments::SEGMENTS_MAX,
        uploads::{self, UploadRange},
    },
    model::{DomainId, Part, PartNumber, UploadId},
};

/// Entries of one page.
const PAGE_MAX: usize = 1_000;

/// Sorts behind every upload id, in any collation: they are hex. (The smallest text behind a key would need a NUL, which
/// PostgreSQL has not.)
const BEHIND_ALL_IDS: &str = "z";

/// Where a walk over the uploads stands.
struct Position {
    /// The first key that is wanted.
    first: String,
    /// Of that key, only uploads behind this id.
    after: String,
}

impl Tracker {
    /// Lists the parts of an upload, by number, behind `after`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_parts(
        &self,
        upload: &UploadId,
        after: Option<PartNumber>,
        limit: usize,
    ) -> Result<Page<Part>, Error> {
        let limit = limit.min(SEGMENTS_MAX);
        let after = after.map_or(0, PartNumber::get);
        let mut tx = self.db().reader().await?;
        let parts = uploads::parts_of(&mut tx, upload, after, limit + 1).await?;
        let more = parts.len() > limit;
        let entries = parts.into_iter().take(limit).map(|stored| stored.part).collect();
        Ok(Page { entries, more })
    }

    /// Lists uploads in progress.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_uploads(
        &self,
        domain: DomainId,
        request: ListUploads,
    ) -> Result<Page<UploadEntry>, Error> {
        let limit = request.limit.min(PAGE_MAX);
        let Some(request) = without_nul(request) else {
            return Ok(Page {
                entries: Vec::new(),
                more: false,
            });
        };
        let mut tx = self.db().reader().await?;
        let mut entries = walked(&mut tx, domain, &request, limit + 1).await?;
        let more = limit > 0 && entries.len() > limit;
        entries.truncate(limit);
        Ok(Page { entries, more })
    }
}

/// A request in texts that every engine has: PostgreSQL's have no NUL, and no key has one. Nothing begins with a prefix that
/// has one; a key that goes on with one stands right behind what comes before it; a delimiter with one is in no key.
fn without_nul(request: ListUploads) -> Option<ListUploads> {
    if request.prefix.contains('\0') {
        return None;
    }
    let cut = request.key_after.as_deref().and_then(|key| key.split_once('\0'));
    let (key_after, upload_after) = match cut {
        Some((head, _)) => (Some(head.to_owned()), None),
        None => (request.key_after, request.upload_after),
    };
    Some(ListUploads {
        delimiter: Some(request.delimiter)
            .filter(|delimiter| !delimiter.contains('\0'))
            .unwrap_or_default(),
        key_after,
        upload_after: upload_after.filter(|id| !id.0.contains('\0')),
        ..request
    })
}

/// The entries of a listing, at most `limit`: uploads page by page, and past each rolled-up group.
///
/// One statement for each group: uploads in progress are few, unlike objects.
async fn walked(
    tx: &mut Tx,
    domain: DomainId,
    request: &ListUploads,
    limit: usize,
) -> Result<Vec<UploadEntry>, Error> {
    let end = behind_prefix(&request.prefix);
    let mut at = start(request);
    let mut entries = Vec::new();
    loop {
        let range = UploadRange {
            first: &at.first,
            end: &end,
            after: &at.after,
        };
        let wanted = limit - entries.len();
        let page = uploads::uploads_between(tx, domain, range, wanted).await?;
        let last = page.len() < wanted;
        let mut group = None;
        for upload in page {
            at = Position {
                first: upload.key.as_str().to_owned(),
                after: upload.id.0.clone(),
            };
            group = group_of(upload.key.as_str(), request);
            match &group {
                None => entries.push(UploadEntry::Upload(Box::new(upload))),
                Some(group) => {
                    entries.push(UploadEntry::Prefix(group.clone()));
                    break;
                }
            }
        }
        match group {
            Some(_) | None if entries.len() >= limit => return Ok(entries),
            Some(group) => at = from_key(behind_prefix(&group)),
            None if last => return Ok(entries),
            None => {}
        }
    }
}

/// Where a listing begins: at the prefix, or behind the marker.
fn start(request: &ListUploads) -> Position {
    let Some(key) = &request.key_after else {
        return from_key(request.prefix.clone());
    };
    if *key < request.prefix {
        return from_key(request.prefix.clone());
    }
    match (&request.upload_after, group_of(key, request)) {
        // A marker that is a whole group stands behind all of it.
        (_, Some(group)) if group == *key => from_key(behind_prefix(&group)),
        (Some(upload), _) => Position {
            first: key.clone(),
            after: upload.0.clone(),
        },
        (None, _) => Position {
            first: key.clone(),
            after: BEHIND_ALL_IDS.to_owned(),
        },
    }
}

/// From the first upload of a key on.
fn from_key(first: String) -> Position {
    Position {
        first,
        after: String::new(),
    }
}

/// The common prefix that a key is rolled up into.
fn group_of(key: &str, request: &ListUploads) -> Option<String> {
    if request.delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(&request.prefix)?;
    let end = rest.find(&request.delimiter)? + request.delimiter.len();
    Some([&request.prefix, &rest[..end]].concat())
}
