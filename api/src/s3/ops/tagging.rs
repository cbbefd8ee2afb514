//! Tags of objects and of buckets.

use axum::body::Body;
use mogul_tracker::{
    Error,
    command::objects::UpdateObject,
    model::{Bucket, ObjectVersion, Tags, WriteCondition},
};

use super::no_content;
use crate::s3::{
    ObjectName, Request, RequestHead, Response, S3,
    auth::payload::read_document,
    error::{Code, S3Error},
    route::{Query, invalid_argument},
    xml::{Writer, tag_set},
};

/// Largest `Tagging` document in bytes: ten tags of the longest keys and values, written as character references; or
/// fifty, written as text.
const DOCUMENT_BYTES_MAX: usize = 128 << 10;

/// Most tags of one object (AWS).
const OBJECT_TAGS_MAX: usize = 10;

/// Most tags of one bucket (AWS).
const BUCKET_TAGS_MAX: usize = 50;

/// Longest key of a tag in characters (AWS).
const KEY_CHARS_MAX: usize = 128;

/// Longest value of a tag in characters (AWS).
const VALUE_CHARS_MAX: usize = 256;

/// How often tags are put again on an object that was replaced meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// `GET /B/K?tagging`.
pub(in crate::s3) async fn get_object_tagging(s3: &S3, name: &ObjectName) -> Result<Response, S3Error> {
    Ok(tagging(&current(s3, name).await?.tags))
}

fn tagging(tags: &Tags) -> Response {
    let mut writer = Writer::new("Tagging", 256 + 128 * tags.len());
    writer.open("TagSet");
    for (key, value) in tags {
        writer.open("Tag");
        writer.text("Key", key);
        writer.text("Value", value);
        writer.close("Tag");
    }
    writer.close("TagSet");
    writer.answer("Tagging")
}

/// `PUT /B/K?tagging`: replaces all tags.
pub(in crate::s3) async fn put_object_tagging(
    s3: &S3,
    name: &ObjectName,
    request: Request,
) -> Result<Response, S3Error> {
    let document = read_document(request, DOCUMENT_BYTES_MAX).await?;
    let tags = tag_set(&document)?;
    check_tags(&tags)?;
    replace(s3, name, tags).await?;
    Ok(Response::new(Body::empty()))
}

/// `DELETE /B/K?tagging`.
pub(in crate::s3) async fn delete_object_tagging(s3: &S3, name: &ObjectName) -> Result<Response, S3Error> {
    replace(s3, name, Tags::new()).await?;
    Ok(no_content())
}

/// `GET /B?tagging`: AWS knows no bucket with an empty set.
pub(in crate::s3) async fn get_bucket_tagging(s3: &S3, bucket: &Bucket) -> Result<Response, S3Error> {
    let tags = s3.tracker.bucket_tags(bucket.domain.id).await?;
    if tags.is_empty() {
        let error = S3Error::new(Code::NoSuchTagSet, "The TagSet does not exist");
        return Err(error.with("BucketName", bucket.domain.name.as_str()));
    }
    Ok(tagging(&tags))
}

/// `PUT /B?tagging`: replaces all tags.
pub(in crate::s3) async fn put_bucket_tagging(
    s3: &S3,
    bucket: &Bucket,
    request: Request,
) -> Result<Response, S3Error> {
    let document = read_document(request, DOCUMENT_BYTES_MAX).await?;
    let tags = tag_set(&document)?;
    check_bucket_tags(&tags)?;
    replace_of_bucket(s3, bucket, tags).await
}

/// `DELETE /B?tagging`.
pub(in crate::s3) async fn delete_bucket_tagging(s3: &S3, bucket: &Bucket) -> Result<Response, S3Error> {
    replace_of_bucket(s3, bucket, Tags::new()).await
}

async fn replace_of_bucket(s3: &S3, bucket: &Bucket, tags: Tags) -> Result<Response, S3Error> {
    let name = &bucket.domain.name;
    match s3.tracker.set_bucket_tags(name, tags).await {
        Ok(()) => Ok(no_content()),
        Err(error) => Err(S3Error::from(error).with("BucketName", name.as_str())),
    }
}

async fn replace(s3: &S3, name: &ObjectName, tags: Tags) -> Result<(), S3Error> {
    for _ in 0..ATTEMPTS_MAX {
        let object = current(s3, name).await?;
        let changed = s3
            .tracker
            .update_object(UpdateObject {
                domain: object.domain,
                key: object.key,
                fid: object.fid,
                attributes: None,
                tags: Some(tags.clone()),
                class: None,
                condition: WriteCondition::default(),
            })
            .await;
        match changed {
            Ok(_) => return Ok(()),
            // Overwritten between the two: the tags are meant for what is there now.
            Err(Error::PreconditionFailed(_)) => {}
            Err(other) => return Err(S3Error::from(other).with("Key", name.key.as_str())),
        }
    }
    Err(S3Error::new(
        Code::ConditionalRequestConflict,
        "The object was replaced while its tags were changed. Please try again.",
    )
    .with("Key", name.key.as_str()))
}

/// The tags that a write gives its object by `x-amz-tagging`, which is written as a query is.
///
/// # Errors
/// [`Code::InvalidArgument`] if it is not one, or names a key twice; those of [`check_tags`].
pub(in crate::s3) fn tags_of_head(head: &RequestHead) -> Result<Tags, S3Error> {
    const NAME: &str = "x-amz-tagging";
    let Some(value) = head.headers.get(NAME) else {
        return Ok(Tags::new());
    };
    let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag \
                   name duplicates.";
    let text = String::from_utf8_lossy(value.as_bytes());
    let refused = || invalid_argument(NAME, &text, message);
    let exact = std::str::from_utf8(value.as_bytes()).map_err(|_| refused())?;
    let query = Query::parse(exact).map_err(|_| refused())?;
    let tags: Tags = query
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    if repeated(&tags).is_some() {
        return Err(refused());
    }
    check_tags(&tags)?;
    Ok(tags)
}

/// Checks the tags of an object.
///
/// # Errors
/// [`Code::BadRequest`] for more than ten; [`Code::InvalidTag`] for keys and values that AWS does not take.
pub(in crate::s3) fn check_tags(tags: &Tags) -> Result<(), S3Error> {
    if tags.len() > OBJECT_TAGS_MAX {
        let message = format!("Object tags cannot be greater than {OBJECT_TAGS_MAX}");
        return Err(S3Error::new(Code::BadRequest, message));
    }
    check_pairs(tags)
}

/// Checks the tags of a bucket.
///
/// # Errors
/// [`Code::BadRequest`] for more than fifty; [`Code::InvalidTag`] as for objects.
pub(super) fn check_bucket_tags(tags: &Tags) -> Result<(), S3Error> {
    if tags.len() > BUCKET_TAGS_MAX {
        let message = format!("Bucket tag count cannot be greater than {BUCKET_TAGS_MAX}");
        return Err(S3Error::new(Code::BadRequest, message));
    }
    check_pairs(tags)
}

fn check_pairs(tags: &Tags) -> Result<(), S3Error> {
    if let Some(key) = repeated(tags) {
        let message = "Cannot provide multiple Tags with the same key";
        return Err(S3Error::new(Code::InvalidTag, message).with("TagKey", key));
    }
    for (key, value) in tags {
        let length = key.chars().count();
        if !(1..=KEY_CHARS_MAX).contains(&length) || !key.chars().all(is_allowed) || is_reserved(key) {
            let message = "The TagKey you have provided is invalid";
            return Err(S3Error::new(Code::InvalidTag, message).with("TagKey", key));
        }
        if value.chars().count() > VALUE_CHARS_MAX || !value.chars().all(is_allowed) {
            let message = "The TagValue you have provided is invalid";
            return Err(S3Error::new(Code::InvalidTag, message)
                .with("TagKey", key)
                .with("TagValue", value));
        }
    }
    Ok(())
}

fn repeated(tags: &Tags) -> Option<&str> {
    let mut keys: Vec<&str> = tags.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2)
        .find(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
}

fn is_allowed(character: char) -> bool {
    character.is_alphanumeric() || character.is_whitespace() || "+-=._:/@".contains(character)
}

/// AWS keeps these keys to itself, and clients rely on it.
fn is_reserved(key: &str) -> bool {
    key.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

async fn current(s3: &S3, name: &ObjectName) -> Result<ObjectVersion, S3Error> {
    let found = s3.tracker.object(name.bucket.domain.id, &name.key).await;
    found.map_err(|error| S3Error::from(error).with("Key", name.key.as_str()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn tags_have_the_characters_and_lengths_of_aws() {
        let long = "k".repeat(128);
        let longer = "k".repeat(129);
        let value = "v".repeat(256);
        let larger = "v".repeat(257);
        for (pair, code) in [
            (("a", "b"), None),
            (("a", ""), None),
            (("a b:/@+-=._1é", " é"), None),
            ((long.as_str(), value.as_str()), None),
            (("", "b"), Some(Code::InvalidTag)),
            ((longer.as_str(), "b"), Some(Code::InvalidTag)),
            (("a", larger.as_str()), Some(Code::InvalidTag)),
            (("a!", "b"), Some(Code::InvalidTag)),
            (("a", "b\"c"), Some(Code::InvalidTag)),
            (("aws:x", "b"), Some(Code::InvalidTag)),
            (("AWS:x", "b"), Some(Code::InvalidTag)),
        ] {
            let found = check_tags(&tags(&[pair])).err().map(|error| error.code);

            assert_eq!(found, code, "{pair:?}");
        }
    }

    #[test]
    fn an_object_has_at_most_ten_tags_with_different_keys() {
        let eleven: Tags = (0..11).map(|n| (n.to_string(), String::new())).collect();

        assert!(check_tags(&eleven[..10].to_vec()).is_ok());
        assert_eq!(check_tags(&eleven).unwrap_err().code, Code::BadRequest);
        let twice = tags(&[("a", "1"), ("b", ""), ("a", "2")]);
        assert_eq!(check_tags(&twice).unwrap_err().code, Code::InvalidTag);
    }

    #[test]
    fn a_bucket_has_at_most_fifty_tags() {
        let tags: Tags = (0..51).map(|n| (n.to_string(), String::new())).collect();

        assert!(check_bucket_tags(&tags[..50].to_vec()).is_ok());
        assert_eq!(check_bucket_tags(&tags).unwrap_err().code, Code::BadRequest);
    }

    #[test]
    fn the_tagging_header_is_a_query() {
        let cases: [(&[u8], _); 8] = [
            (b"", Ok(tags(&[]))),
            (b"a=b&c=d%2Fe+f", Ok(tags(&[("a", "b"), ("c", "d/e f")]))),
            (b"a", Ok(tags(&[("a", "")]))),
            ("a=\u{e9}".as_bytes(), Ok(tags(&[("a", "\u{e9}")]))),
            (b"a=\xE9", Err(Code::InvalidArgument)),
            (b"a=1&a=2", Err(Code::InvalidArgument)),
            (b"a=%zz", Err(Code::InvalidArgument)),
            (b"a!=1", Err(Code::InvalidTag)),
        ];
        for (text, expected) in cases {
            let mut head = RequestHead::bare();
            let value = HeaderValue::from_bytes(text).unwrap();
            head.headers.insert("x-amz-tagging", value);

            assert_eq!(
                tags_of_head(&head).map_err(|error| error.code),
                expected,
                "{}",
                text.escape_ascii()
            );
        }
    }
}
