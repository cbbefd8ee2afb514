//! Listings of current objects: `ListObjects` and `ListObjectsV2`.

use mogul_tracker::{
    command::{
        buckets::Page,
        objects::{Entry, ListFrom, ListObjects, ListedObject},
    },
    model::{Bucket, UserId},
};

use super::{
    names::{Names, write_user},
    token,
};
use crate::s3::{
    RequestHead, Response, S3, checksum,
    error::S3Error,
    route::{Query, invalid_argument},
    xml::{Encoding, Writer},
};

/// Most entries of one page (AWS): more are asked for and this many are told.
pub(super) const PAGE_MAX: u32 = 1_000;

/// Bytes of one entry, about, so that the buffer of a page is seldom moved.
const ENTRY_BYTES: usize = 384;

/// What all listings of objects ask for alike.
pub(super) struct Asked<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: &'a str,
    pub(super) encoding: Option<Encoding>,
    pub(super) limit: u32,
}

impl<'a> Asked<'a> {
    /// Reads `prefix`, `delimiter`, `encoding-type` and the size of the page, whose parameter is called `limit`.
    pub(super) fn parse(query: &'a Query, limit: &'static str) -> Result<Asked<'a>, S3Error> {
        Ok(Asked {
            prefix: query.get("prefix").unwrap_or_default(),
            delimiter: query.get("delimiter").unwrap_or_default(),
            encoding: encoding(query)?,
            limit: query.number(limit)?.unwrap_or(PAGE_MAX).min(PAGE_MAX),
        })
    }

    /// How keys are written.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding.unwrap_or(Encoding::Xml)
    }

    /// Asks the tracker; a page of no entries is empty and the last.
    pub(super) async fn page(
        &self,
        s3: &S3,
        bucket: &Bucket,
        from: ListFrom,
    ) -> Result<Page<Entry>, S3Error> {
        if self.limit == 0 {
            return Ok(Page {
                entries: Vec::new(),
                more: false,
            });
        }
        let request = ListObjects {
            prefix: self.prefix.to_owned(),
            delimiter: self.delimiter.to_owned(),
            from,
            limit: usize::try_from(self.limit).expect("PAGE_MAX fits"),
        };
        Ok(s3.tracker.list_objects(bucket.domain.id, request).await?)
    }

    /// Writes what every page repeats of the request.
    pub(super) fn write(&self, writer: &mut Writer, limit: &str) {
        writer.key("Prefix", self.prefix, self.encoding());
        if !self.delimiter.is_empty() {
            writer.key("Delimiter", self.delimiter, self.encoding());
        }
        writer.number(limit, u64::from(self.limit));
        if self.encoding == Some(Encoding::Url) {
            writer.text("EncodingType", "url");
        }
    }
}

fn encoding(query: &Query) -> Result<Option<Encoding>, S3Error> {
    match query.get("encoding-type") {
        None | Some("") => Ok(None),
        Some(kind) if kind.eq_ignore_ascii_case("url") => Ok(Some(Encoding::Url)),
        Some(other) => {
            let message = "Invalid Encoding Method specified in Request";
            Err(invalid_argument("encoding-type", other, message))
        }
    }
}

/// Whether owners are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owners {
    Shown,
    Left,
}

/// `GET /B`: version 1, which goes on behind a marker.
pub(in crate::s3) async fn list_objects(
    s3: &S3,
    bucket: &Bucket,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let asked = Asked::parse(&head.query, "max-keys")?;
    let marker = head.query.get("marker").unwrap_or_default();
    let page = asked.page(s3, bucket, after(marker)).await?;

    let mut writer = begin("ListBucketResult", bucket, page.entries.len());
    asked.write(&mut writer, "MaxKeys");
    writer.key("Marker", marker, asked.encoding());
    // Without a delimiter clients go on behind the last key, and AWS does not say more.
    if let (true, false, Some(last)) = (page.more, asked.delimiter.is_empty(), page.entries.last()) {
        writer.key("NextMarker", name_of(last), asked.encoding());
    }
    writer.truth("IsTruncated", page.more);
    write_entries(s3, &mut writer, bucket, &page, (asked.encoding(), Owners::Shown)).await?;
    Ok(writer.answer("ListBucketResult"))
}

/// `GET /B?list-type=2`: version 2, which goes on at an opaque token.
pub(in crate::s3) async fn list_objects_v2(
    s3: &S3,
    bucket: &Bucket,
    head: &RequestHead,
) -> Result<Response, S3Error> {
    let query = &head.query;
    let asked = Asked::parse(query, "max-keys")?;
    let scope = bucket.domain.name.as_str();
    let start_after = query.get("start-after");
    let given = query.get("continuation-token");
    let from = match given {
        None | Some("") => after(start_after.unwrap_or_default()),
        Some(given) => ListFrom::After(token::decode(scope, given)?),
    };
    let owners = match query.get("fetch-owner") {
        Some(text) if text.eq_ignore_ascii_case("true") => Owners::Shown,
        Some(_) | None => Owners::Left,
    };
    let page = asked.page(s3, bucket, from).await?;

    let mut writer = begin("ListBucketResult", bucket, page.entries.len());
    asked.write(&mut writer, "MaxKeys");
    let count = u64::try_from(page.entries.len()).unwrap_or(u64::MAX);
    writer.number("KeyCount", count);
    if let Some(start_after) = start_after {
        writer.key("StartAfter", start_after, asked.encoding());
    }
    if let Some(given) = given {
        writer.text("ContinuationToken", given);
    }
    if let (true, Some(last)) = (page.more, page.entries.last()) {
        writer.text("NextContinuationToken", &token::encode(scope, name_of(last)));
    }
    writer.truth("IsTruncated", page.more);
    write_entries(s3, &mut writer, bucket, &page, (asked.encoding(), owners)).await?;
    Ok(writer.answer("ListBucketResult"))
}

/// Where a listing begins that was told to begin behind this text.
pub(super) fn after(text: &str) -> ListFrom {
    if text.is_empty() {
        ListFrom::Start
    } else {
        ListFrom::After(text.to_owned())
    }
}

/// Begins a listing of a bucket with about this many entries.
pub(super) fn begin(root: &str, bucket: &Bucket, entries: usize) -> Writer {
    let mut writer = Writer::new(root, 1024 + ENTRY_BYTES * entries);
    writer.text("Name", bucket.domain.name.as_str());
    writer
}

/// The name by which a listing goes on behind this entry.
pub(super) fn name_of(entry: &Entry) -> &str {
    match entry {
        Entry::Object(object) => object.key.as_str(),
        Entry::Prefix(prefix) => prefix,
    }
}

async fn write_entries(
    s3: &S3,
    writer: &mut Writer,
    bucket: &Bucket,
    page: &Page<Entry>,
    (encoding, owners): (Encoding, Owners),
) -> Result<(), S3Error> {
    let mut names = Names::default();
    for entry in &page.entries {
        let Entry::Object(object) = entry else { continue };
        writer.open("Contents");
        write_object(writer, object, encoding);
        let class = names.storage_class(s3, bucket.domain.id, object.class).await?;
        writer.text("StorageClass", class);
        if owners == Owners::Shown {
            let owner = names.owner(s3, owner_of(object, bucket)).await?;
            write_user(writer, "Owner", owner);
        }
        writer.close("Contents");
    }
    write_prefixes(writer, page, encoding);
    Ok(())
}

/// Writes what all listings show of an object.
pub(super) fn write_object(writer: &mut Writer, object: &ListedObject, encoding: Encoding) {
    writer.key("Key", object.key.as_str(), encoding);
    writer.time("LastModified", object.modified);
    writer.etag(&object.etag);
    if let Some((hash, kind)) = object.checksum {
        writer.text("ChecksumAlgorithm", checksum::name(hash));
        writer.text("ChecksumType", checksum::type_name(kind));
    }
    writer.number("Size", object.size);
}

/// Who is shown as the owner: what a `MogileFS` client stored belongs to the bucket's.
pub(super) fn owner_of<'a>(object: &'a ListedObject, bucket: &'a Bucket) -> &'a UserId {
    object.owner.as_ref().unwrap_or(&bucket.owner)
}

/// Writes the common prefixes of a page, which come behind its objects.
pub(super) fn write_prefixes(writer: &mut Writer, page: &Page<Entry>, encoding: Encoding) {
    for entry in &page.entries {
        if let Entry::Prefix(prefix) = entry {
            writer.open("CommonPrefixes");
            writer.key("Prefix", prefix, encoding);
            writer.close("CommonPrefixes");
        }
    }
}
