//! `CopyObject`, and the source of every copy.

use mogul_storage::HashType;
use mogul_tracker::{
    Error,
    command::objects::{UpdateObject, Written},
    model::{
        Attributes, Checksum, ChecksumType, Class, ETag, Key, ObjectVersion, Tags, Timestamp, UserId,
        WriteCondition,
    },
};
use percent_encoding::percent_decode;

use super::{
    get_object::current,
    put_object::{NewObject, add_degraded, refused, store_object},
    tagging::tags_of_head,
    unsupported::refuse_unserved,
};
use crate::s3::{
    Identity, ObjectName, Request, RequestHead, Response, S3, attributes,
    auth::authorize::{Action, access_denied, authorize, authorize_account},
    checksum, class, conditions,
    error::{Code, S3Error},
    keep_alive, read,
    route::invalid_argument,
    xml::Writer,
};

const SOURCE: &str = "x-amz-copy-source";
const ROOT: &str = "CopyObjectResult";

/// How often a copy onto itself is tried again when the object is replaced meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// Whether something is taken from the source or from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Copy,
    Replace,
}

/// What the copy will be, as far as the request says.
struct Target {
    head: RequestHead,
    identity: Identity,
    owner: UserId,
    name: ObjectName,
    class: Class,
    metadata: Directive,
    tagging: Directive,
    hash: Option<HashType>,
    condition: WriteCondition,
}

/// What came of a copy.
struct Copied {
    written: Written,
    checksum: Option<Checksum>,
    parts: Option<u32>,
}

/// `PUT /B/K` with `x-amz-copy-source`.
pub(in crate::s3) async fn copy_object(
    s3: &S3,
    name: ObjectName,
    request: Request,
) -> Result<Response, S3Error> {
    let Request { head, identity, .. } = request;
    refuse_unserved(&head)?;
    let target = Target {
        owner: authorize_account(&identity)?.id.clone(),
        metadata: directive(&head, "x-amz-metadata-directive", "Unknown metadata directive.")?,
        tagging: directive(&head, "x-amz-tagging-directive", "Unknown tagging directive.")?,
        hash: algorithm(&head)?,
        condition: conditions::write_condition(&head)?,
        class: class::requested(s3, &name.bucket, &head).await?,
        name,
        head,
        identity,
    };
    let source = copy_source(s3, &target.head, &target.identity).await?;
    let onto_itself = source.domain == target.name.bucket.domain.id && source.key == target.name.key;
    if onto_itself {
        check_change(&target, &source)?;
    }
    let head = target.head.clone();
    let work = {
        let s3 = s3.clone();
        async move {
            let copied = if onto_itself {
                onto_itself_copied(&s3, &target, source).await?
            } else {
                elsewhere_copied(&s3, &target, &source).await?
            };
            Ok(render(&copied, &target.class))
        }
    };
    keep_alive::answer(s3, &head, work).await
}

/// The object that a copy reads, if it exists, the sender may read it, and the conditions on it hold.
///
/// The key is decoded before anything is looked up or authorised: one function serves every copy, so that no door is left
/// that checks another spelling.
///
/// # Errors
/// [`Code::InvalidArgument`], [`Code::NoSuchBucket`], [`Code::NoSuchKey`], [`Code::NoSuchVersion`], [`Code::AccessDenied`],
/// [`Code::PreconditionFailed`].
pub(in crate::s3) async fn copy_source(
    s3: &S3,
    head: &RequestHead,
    identity: &Identity,
) -> Result<ObjectVersion, S3Error> {
    let value = head
        .headers
        .get(SOURCE)
        .map(http::HeaderValue::as_bytes)
        .unwrap_or_default();
    let (bucket_name, key) = parse_source(value)?;
    let bucket = match s3.tracker.bucket(&bucket_name).await {
        Ok(bucket) => bucket,
        Err(Error::UnknownDomain) => {
            return Err(S3Error::from(Error::UnknownDomain).with("BucketName", bucket_name));
        }
        Err(other) => return Err(other.into()),
    };
    let expected = head.headers.get("x-amz-source-expected-bucket-owner");
    if expected.is_some_and(|owner| owner.as_bytes() != bucket.owner.0.as_bytes()) {
        return Err(access_denied());
    }
    for action in [Action::GetObject, Action::GetObjectTagging] {
        authorize(identity, action, &bucket)?;
    }
    let object = current(s3, &ObjectName { bucket, key }).await?;
    conditions::check_copy_source(head, &object)?;
    Ok(object)
}

/// Reads `[/]bucket/key[?versionId=id]`: the suffix is found before decoding, since a `?` of the key is sent as `%3F`.
fn parse_source(value: &[u8]) -> Result<(String, Key), S3Error> {
    let malformed = |message: &'static str| {
        S3Error::new(Code::InvalidArgument, message)
            .with("ArgumentName", SOURCE)
            .with("ArgumentValue", String::from_utf8_lossy(value))
    };
    let (path, suffix) = match value.iter().position(|byte| *byte == b'?') {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    };
    let decoded: Vec<u8> = percent_decode(path).collect();
    let text =
        String::from_utf8(decoded).map_err(|_| malformed("Copy Source must be UTF-8, percent-encoded."))?;
    let text = text.strip_prefix('/').unwrap_or(&text);
    let Some((bucket, key)) = text
        .split_once('/')
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
    else {
        return Err(malformed(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ));
    };
    match suffix.map(|suffix| suffix.strip_prefix(b"versionId=")) {
        // No bucket is versioned: the only version of an object is `null`.
        None | Some(Some(b"null")) => {}
        Some(Some(b"") | None) => return Err(malformed("Copy Source has a malformed version id.")),
        Some(Some(version)) => {
            return Err(
                S3Error::new(Code::NoSuchVersion, "The specified version does not exist.")
                    .with("Key", key)
                    .with("VersionId", String::from_utf8_lossy(version)),
            );
        }
    }
    Ok((bucket.to_owned(), Key::parse(key)?))
}

fn directive(head: &RequestHead, name: &'static str, unknown: &'static str) -> Result<Directive, S3Error> {
    match head.header(name) {
        None | Some("COPY") => Ok(Directive::Copy),
        Some("REPLACE") => Ok(Directive::Replace),
        Some(other) => Err(invalid_argument(name, other, unknown)),
    }
}

fn algorithm(head: &RequestHead) -> Result<Option<HashType>, S3Error> {
    let Some(text) = head.header("x-amz-checksum-algorithm") else {
        return Ok(None);
    };
    checksum::parse_name(text).map(Some).ok_or_else(|| {
        S3Error::new(
            Code::InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types.",
        )
    })
}

/// A copy onto itself must change something (AWS).
fn check_change(target: &Target, source: &ObjectVersion) -> Result<(), S3Error> {
    let headers = &target.head.headers;
    let changes = target.metadata == Directive::Replace
        || headers.contains_key("x-amz-storage-class")
        || target.class.id != source.class
        || headers.contains_key(attributes::REDIRECT)
        || target.hash.is_some();
    if changes {
        return Ok(());
    }
    Err(S3Error::new(
        Code::InvalidRequest,
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's \
         metadata, storage class, website redirect location or encryption attributes.",
    ))
}

/// Changes what is kept beside the bytes. They move only if another checksum is wanted of them.
async fn onto_itself_copied(s3: &S3, target: &Target, mut source: ObjectVersion) -> Result<Copied, S3Error> {
    for attempt in 1.. {
        let known = source.checksum.as_ref().map(|checksum| checksum.digest.hash);
        if target.hash.is_some() && target.hash != known {
            return elsewhere_copied(s3, target, &source).await;
        }
        let update = UpdateObject {
            domain: source.domain,
            key: source.key.clone(),
            fid: source.fid,
            attributes: Some(attributes_of(target, &source)?),
            tags: match target.tagging {
                Directive::Copy => None,
                Directive::Replace => Some(tags_of_head(&target.head)?),
            },
            class: (target.class.id != source.class).then(|| target.class.clone()),
            condition: target.condition.clone(),
        };
        match s3.tracker.update_object(update).await {
            Ok(written) => {
                return Ok(Copied {
                    written,
                    checksum: source.checksum,
                    parts: source.parts,
                });
            }
            // Nobody asked for a match: the object was replaced since it was looked up.
            Err(Error::PreconditionFailed(_))
                if target.condition == WriteCondition::default() && attempt < ATTEMPTS_MAX =>
            {
                source = copy_source(s3, &target.head, &target.identity).await?;
            }
            Err(other) => return Err(refused(other, target.name.key.as_str())),
        }
    }
    unreachable!("the last attempt returns")
}

/// Copies the bytes to a fid of their own.
async fn elsewhere_copied(s3: &S3, target: &Target, source: &ObjectVersion) -> Result<Copied, S3Error> {
    let object = NewObject {
        class: target.class.clone(),
        key: target.name.key.clone(),
        owner: target.owner.clone(),
        attributes: attributes_of(target, source)?,
        tags: tags_of(target, source)?,
        condition: target.condition.clone(),
    };
    let kept = source
        .checksum
        .as_ref()
        .filter(|checksum| checksum.kind == ChecksumType::FullObject)
        .map(|checksum| checksum.digest.hash);
    let hash = target.hash.or(kept).unwrap_or(HashType::Crc64Nvme);
    let body = read::copied(s3, source, (0, source.size), hash).await?;
    let (written, checksum) = store_object(s3, object, body).await?;
    Ok(Copied {
        written,
        checksum: Some(checksum),
        parts: None,
    })
}

/// The redirect is never copied.
fn attributes_of(target: &Target, source: &ObjectVersion) -> Result<Attributes, S3Error> {
    let mut asked = attributes::of_head(&target.head)?;
    match target.metadata {
        Directive::Replace => Ok(asked),
        Directive::Copy => {
            let redirect = asked.headers.remove(attributes::REDIRECT);
            let mut kept = source.attributes.clone();
            kept.headers.remove(attributes::REDIRECT);
            kept.headers
                .extend(redirect.map(|redirect| (attributes::REDIRECT.to_owned(), redirect)));
            Ok(kept)
        }
    }
}

fn tags_of(target: &Target, source: &ObjectVersion) -> Result<Tags, S3Error> {
    match target.tagging {
        Directive::Copy => Ok(source.tags.clone()),
        Directive::Replace => tags_of_head(&target.head),
    }
}

fn render(copied: &Copied, class: &Class) -> Response {
    let checksum = copied.checksum.as_ref().map(|checksum| (checksum, copied.parts));
    let mut response = result(ROOT, &copied.written.etag, copied.written.modified, checksum);
    add_degraded(response.headers_mut(), &copied.written, class);
    response
}

/// The document that answers a copy: of an object, or of a part.
pub(in crate::s3) fn result(
    root: &str,
    etag: &ETag,
    modified: Timestamp,
    checksum: Option<(&Checksum, Option<u32>)>,
) -> Response {
    let mut writer = Writer::new(root, 512);
    writer.time("LastModified", modified);
    writer.etag(etag);
    if let Some((checksum, parts)) = checksum {
        writer.text(
            checksum::element(checksum.digest.hash),
            &checksum::text(checksum, parts),
        );
        writer.text("ChecksumType", checksum::type_name(checksum.kind));
    }
    writer.answer(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_decoded_once_and_its_version_is_found_before() {
        let parsed = |text: &str| {
            parse_source(text.as_bytes())
                .map(|(bucket, key)| format!("{bucket}|{key}"))
                .map_err(|error| error.code)
        };
        let invalid = || Err(Code::InvalidArgument);
        for (text, expected) in [
            ("b/k", Ok("b|k")),
            ("/b/k", Ok("b|k")),
            ("b/a/b/c", Ok("b|a/b/c")),
            ("b//k", Ok("b|/k")),
            ("b%2Fk", Ok("b|k")),
            ("b/../other/k", Ok("b|../other/k")),
            ("b/a%20b+c%2Bd", Ok("b|a b+c+d")),
            ("b/what%3F", Ok("b|what?")),
            ("b/100%2525", Ok("b|100%25")),
            ("b/k?versionId=null", Ok("b|k")),
            ("b/ünï", Ok("b|ünï")),
        ] {
            assert_eq!(parsed(text), expected.map(str::to_owned), "{text}");
        }
        for text in [
            "",
            "/",
            "b",
            "/b",
            "b/",
            "/b/",
            "//k",
            "b/%FF",
            "b/k?version=1",
            "b/k?versionId=",
        ] {
            assert_eq!(parsed(text), invalid(), "{text}");
        }
        assert_eq!(parsed("b/k?versionId=abc"), Err(Code::NoSuchVersion));
        assert_eq!(
            parsed(&format!("b/{}", "k".repeat(1025))),
            Err(Code::KeyTooLongError)
        );
    }

    #[test]
    fn directives_are_two_words() {
        let of = |text: &'static str| {
            let mut head = RequestHead::bare();
            head.headers
                .insert("x-amz-metadata-directive", http::HeaderValue::from_static(text));
            directive(&head, "x-amz-metadata-directive", "no").map_err(|error| error.code)
        };

        assert_eq!(of("COPY"), Ok(Directive::Copy));
        assert_eq!(of("REPLACE"), Ok(Directive::Replace));
        assert_eq!(of("replace"), Err(Code::InvalidArgument));
    }
}
