//! What the documents of clients say, as far as their shape goes; what the values mean is the operations' business.

use mogul_tracker::model::Tags;

use super::{
    Element,
    read::{malformed, parse},
};
use crate::s3::error::S3Error;

/// Most keys of one `DeleteObjects` (AWS).
const DELETIONS_MAX: usize = 1_000;

/// Most parts of one `CompleteMultipartUpload` (AWS).
const PARTS_MAX: usize = 10_000;

/// A `Delete` document.
#[derive(Debug, PartialEq, Eq)]
pub struct DeleteDocument {
    /// Whether successes are left out of the answer.
    pub quiet: bool,
    /// The keys, 1 to 1,000.
    pub objects: Vec<DeleteEntry>,
}

/// One key of a `Delete` document, unchecked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeleteEntry {
    /// The key.
    pub key: String,
    /// The version, if one is named.
    pub version: Option<String>,
    /// What the entity tag must be, as sent.
    pub etag: Option<String>,
    /// What the time must be, as sent.
    pub modified: Option<String>,
    /// What the size must be, as sent.
    pub size: Option<String>,
}

/// One part of a `CompleteMultipartUpload` document, unchecked.
#[derive(Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: String,
    /// Its entity tag, in quotes or without.
    pub etag: String,
    /// The elements whose names begin with `Checksum`: name and value.
    pub checksums: Vec<(String, String)>,
}

/// The `LocationConstraint` of a `CreateBucketConfiguration`, and the tags in it; the document itself may be missing.
///
/// # Errors
/// `MalformedXML`.
pub fn bucket_location(document: &[u8]) -> Result<(Option<String>, Tags), S3Error> {
    if document.iter().all(u8::is_ascii_whitespace) {
        return Ok((None, Vec::new()));
    }
    let root = parse(document, "CreateBucketConfiguration")?;
    let location = root
        .text_of("LocationConstraint")
        .map(|text| text.trim().to_owned());
    let tags = match root.child("Tags") {
        Some(set) => tags(set)?,
        None => Vec::new(),
    };
    Ok((location, tags))
}

/// Reads a `Delete` document.
///
/// # Errors
/// `MalformedXML`, also for no key and for more than 1,000.
pub fn deletions(document: &[u8]) -> Result<DeleteDocument, S3Error> {
    let root = parse(document, "Delete")?;
    let objects = root
        .all("Object")
        .map(deletion)
        .collect::<Result<Vec<_>, S3Error>>()?;
    if objects.is_empty() || objects.len() > DELETIONS_MAX {
        return Err(malformed());
    }
    let quiet = root
        .text_of("Quiet")
        .is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    Ok(DeleteDocument { quiet, objects })
}

fn deletion(object: &Element) -> Result<DeleteEntry, S3Error> {
    let optional = |name| {
        object
            .text_of(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    Ok(DeleteEntry {
        key: object.text_of("Key").ok_or_else(malformed)?.to_owned(),
        version: optional("VersionId"),
        etag: optional("ETag"),
        modified: optional("LastModifiedTime"),
        size: optional("Size"),
    })
}

/// Reads a `CompleteMultipartUpload` document.
///
/// # Errors
/// `MalformedXML`, also for no part, for more than 10,000, and for a part without number or entity tag.
pub fn completed_parts(document: &[u8]) -> Result<Vec<CompletedPart>, S3Error> {
    let root = parse(document, "CompleteMultipartUpload")?;
    let parts = root
        .all("Part")
        .map(completed_part)
        .collect::<Result<Vec<_>, S3Error>>()?;
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(malformed());
    }
    Ok(parts)
}

fn completed_part(part: &Element) -> Result<CompletedPart, S3Error> {
    let required = |name| {
        part.text_of(name)
            .map(|text| text.trim().to_owned())
            .ok_or_else(malformed)
    };
    let checksums = part
        .children
        .iter()
        .filter(|child| child.name.starts_with("Checksum"));
    Ok(CompletedPart {
        number: required("PartNumber")?,
        etag: required("ETag")?,
        checksums: checksums
            .map(|child| (child.name.clone(), child.text.trim().to_owned()))
            .collect(),
    })
}

/// Reads a `Tagging` document: keys and values as they are, unchecked.
///
/// # Errors
/// `MalformedXML`, also for a tag without key or value.
pub fn tag_set(document: &[u8]) -> Result<Tags, S3Error> {
    let root = parse(document, "Tagging")?;
    tags(root.child("TagSet").ok_or_else(malformed)?)
}

fn tags(set: &Element) -> Result<Tags, S3Error> {
    let pairs = set.all("Tag").map(|tag| {
        let member = |name| tag.text_of(name).map(str::to_owned).ok_or_else(malformed);
        Ok((member("Key")?, member("Value")?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_to_delete_are_taken_as_they_are() {
        let document = deletions(
            b"<Delete><Quiet>true</Quiet><Object><Key> a&#13;&#10;&amp; </Key></Object><Object><VersionId>null\
              </VersionId><Key>b</Key><ETag>\"e\"</ETag><Size>5</Size></Object><Object><Key>b</Key></Object></Delete>",
        )
        .unwrap();

        assert!(document.quiet);
        let keys: Vec<_> = document.objects.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, [" a\r\n& ", "b", "b"]);
        assert_eq!(document.objects[1].version.as_deref(), Some("null"));
        assert_eq!(document.objects[1].etag.as_deref(), Some("\"e\""));
        assert_eq!(document.objects[1].size.as_deref(), Some("5"));
    }

    #[test]
    fn a_delete_document_has_1_to_1000_keys() {
        let of = |count| {
            format!(
                "<Delete>{}</Delete>",
                "<Object><Key>k</Key></Object>".repeat(count)
            )
        };

        assert!(deletions(of(0).as_bytes()).is_err());
        assert_eq!(deletions(of(1000).as_bytes()).unwrap().objects.len(), 1000);
        assert!(deletions(of(1001).as_bytes()).is_err());
        assert!(deletions(b"<Delete><Object><VersionId>v</VersionId></Object></Delete>").is_err());
    }

    #[test]
    fn the_largest_list_of_parts_fits() {
        let digest = "A".repeat(88);
        let part = format!(
            "<Part><ChecksumSHA512>{digest}</ChecksumSHA512><ETag>&quot;{digest}&quot;</ETag><PartNumber>10000</PartNumber></Part>"
        );
        let of = |count| {
            format!(
                "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
                part.repeat(count)
            )
        };

        let parts = completed_parts(of(10_000).as_bytes()).unwrap();

        assert_eq!(parts.len(), 10_000);
        assert_eq!(
            parts[9_999].checksums,
            [("ChecksumSHA512".to_owned(), digest.clone())]
        );
        assert_eq!(parts[0].etag, format!("\"{digest}\""));
        assert!(completed_parts(of(10_001).as_bytes()).is_err());
        assert!(completed_parts(of(0).as_bytes()).is_err());
        assert!(
            completed_parts(
                b"<CompleteMultipartUpload><Part><ETag>e</ETag></Part></CompleteMultipartUpload>"
            )
            .is_err()
        );
    }

    #[test]
    fn tags_are_read_untrimmed_and_a_tag_needs_both_members() {
        let document = b"<Tagging><TagSet><Tag><Key> a </Key><Value></Value></Tag><Tag><Value>v</Value><Key>b</Key></Tag></TagSet></Tagging>";

        let pairs = [(" a ", ""), ("b", "v")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(tag_set(document).unwrap(), pairs);
        assert!(tag_set(b"<Tagging><TagSet/></Tagging>").unwrap().is_empty());
        assert!(tag_set(b"<Tagging/>").is_err());
        assert!(tag_set(b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>").is_err());
    }

    #[test]
    fn a_bucket_document_may_be_missing_and_its_location_empty() {
        assert_eq!(bucket_location(b"").unwrap(), (None, Vec::new()));
        assert_eq!(bucket_location(b" \n").unwrap(), (None, Vec::new()));
        let of = |inner: &str| {
            let document = format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>");
            bucket_location(document.as_bytes()).unwrap()
        };
        assert_eq!(of("").0, None);
        assert_eq!(of("<LocationConstraint/>").0.as_deref(), Some(""));
        assert_eq!(
            of("<LocationConstraint> eu-1 </LocationConstraint>").0.as_deref(),
            Some("eu-1")
        );
        let tags = of("<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>").1;
        assert_eq!(tags, [("a".to_owned(), "b".to_owned())]);
        assert!(bucket_location(b"<Other/>").is_err());
    }
}
