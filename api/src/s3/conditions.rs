//! The `If-…` headers: of reads, of copy sources, and of writes (s3.md, sections 9 and 10).
//!
//! Conditions of reads are decided here. Those of writes are only read here: they are decided inside the transaction.

use http::header::{
    ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderName, HeaderValue};
use mogul_tracker::model::{ETag, ETagMatch, ObjectVersion, Timestamp, WriteCondition};

use super::{
    RequestHead, date,
    error::{Code, S3Error, precondition_failed},
};

/// What the four conditions of a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Holds,
    /// The client has it already.
    NotModified(&'static str),
    /// The named header does not hold.
    Failed(&'static str),
}

/// The four conditions of one request: those that were sent.
struct Conditions {
    matching: Option<ETagMatch>,
    none_matching: Option<ETagMatch>,
    modified_since: Option<Timestamp>,
    unmodified_since: Option<Timestamp>,
}

/// The names of the four, in the order of [`Conditions`].
struct Names(HeaderName, HeaderName, HeaderName, HeaderName);

/// Checks the conditions of a read of this object.
///
/// # Errors
/// [`Code::NotModified`] with the headers of a 304; [`Code::PreconditionFailed`].
pub(super) fn check_read(head: &RequestHead, object: &ObjectVersion) -> Result<(), S3Error> {
    let names = Names(IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE);
    match Conditions::of(head, &names).decide(&object.etag, object.modified) {
        Outcome::Holds => Ok(()),
        Outcome::Failed(condition) => Err(precondition_failed(condition)),
        Outcome::NotModified(_) => Err(S3Error::new(Code::NotModified, "Not Modified")
            .header(ETAG, etag_header(&object.etag))
            .header(LAST_MODIFIED, last_modified(object.modified))),
    }
}

/// Checks the conditions on the source of a copy: all failures are 412, also those that a read answers with 304.
///
/// # Errors
/// [`Code::PreconditionFailed`].
pub(super) fn check_copy_source(head: &RequestHead, source: &ObjectVersion) -> Result<(), S3Error> {
    let names = Names(
        HeaderName::from_static("x-amz-copy-source-if-match"),
        HeaderName::from_static("x-amz-copy-source-if-none-match"),
        HeaderName::from_static("x-amz-copy-source-if-modified-since"),
        HeaderName::from_static("x-amz-copy-source-if-unmodified-since"),
    );
    match Conditions::of(head, &names).decide(&source.etag, source.modified) {
        Outcome::Holds => Ok(()),
        Outcome::Failed("If-Match") => Err(precondition_failed("x-amz-copy-source-If-Match")),
        Outcome::Failed(_) => Err(precondition_failed("x-amz-copy-source-If-Unmodified-Since")),
        Outcome::NotModified("If-None-Match") => Err(precondition_failed("x-amz-copy-source-If-None-Match")),
        Outcome::NotModified(_) => Err(precondition_failed("x-amz-copy-source-If-Modified-Since")),
    }
}

/// Whether a range may be answered as such: without `If-Range`, or if its entity tag or date is the object's (RFC 9110,
/// section 13.1.5).
#[must_use]
pub(super) fn if_range_holds(head: &RequestHead, object: &ObjectVersion) -> bool {
    let Some(text) = head.header(IF_RANGE.as_str()).map(str::trim) else {
        return true;
    };
    if text.starts_with('"') {
        return unquoted(text) == object.etag.0;
    }
    // A weak tag never matches strongly; whatever else is no date is no tag of ours either.
    date::parse_http(text).is_some_and(|at| at.secs() == object.modified.secs())
}

/// Reads the condition of a write.
///
/// # Errors
/// [`Code::NotImplemented`] for both headers at once, as AWS answers; [`Code::InvalidArgument`] for an empty one.
pub(super) fn write_condition(head: &RequestHead) -> Result<WriteCondition, S3Error> {
    let condition = WriteCondition {
        if_match: etag_match(head, IF_MATCH.as_str())?,
        if_none_match: etag_match(head, IF_NONE_MATCH.as_str())?,
    };
    if condition.if_match.is_some() && condition.if_none_match.is_some() {
        return Err(S3Error::new(
            Code::NotImplemented,
            "A header you provided implies functionality that is not implemented: If-Match together with If-None-Match.",
        )
        .with("Header", "If-None-Match"));
    }
    Ok(condition)
}

/// Reads a header of entity tags.
///
/// # Errors
/// [`Code::InvalidArgument`] if it names none: a condition that was meant is never left out.
pub(super) fn etag_match(head: &RequestHead, name: &'static str) -> Result<Option<ETagMatch>, S3Error> {
    let Some(text) = joined(head, name) else {
        return Ok(None);
    };
    match parse_etag_match(&text) {
        ETagMatch::OneOf(tags) if tags.is_empty() => Err(S3Error::new(
            Code::InvalidArgument,
            format!("The {name} header has no entity tag."),
        )
        .with("ArgumentName", name)),
        found @ (ETagMatch::Any | ETagMatch::OneOf(_)) => Ok(Some(found)),
    }
}

/// Reads entity tags: `*`, or a list separated by commas, in quotes or without, strong or weak.
#[must_use]
pub(super) fn parse_etag_match(text: &str) -> ETagMatch {
    if text.trim() == "*" {
        return ETagMatch::Any;
    }
    let tags = text.split(',').map(unquoted).filter(|tag| !tag.is_empty());
    ETagMatch::OneOf(tags.map(|tag| ETag(tag.to_owned())).collect())
}

/// An entity tag in its quotes.
#[must_use]
pub(super) fn etag_header(etag: &ETag) -> HeaderValue {
    // A tag of ours is hex digits, `-` and digits; one that is not from us is made harmless.
    HeaderValue::try_from(format!("\"{}\"", etag.0)).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// A `Last-Modified` header.
#[must_use]
pub(super) fn last_modified(at: Timestamp) -> HeaderValue {
    HeaderValue::try_from(date::http(at)).expect("a date is visible ASCII")
}

fn unquoted(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'))
        .unwrap_or(tag)
}

fn joined(head: &RequestHead, name: &str) -> Option<String> {
    let values: Vec<&str> = head
        .headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

impl Conditions {
    fn of(head: &RequestHead, names: &Names) -> Conditions {
        let tags = |name: &HeaderName| joined(head, name.as_str()).map(|text| parse_etag_match(&text));
        let time = |name: &HeaderName| head.header(name.as_str()).and_then(date::parse_http);
        Conditions {
            matching: tags(&names.0),
            none_matching: tags(&names.1),
            // A date in the future is not in force (RFC 9110, section 13.1.3).
            modified_since: time(&names.2).filter(|at| *at <= head.received),
            unmodified_since: time(&names.3),
        }
    }

    /// `If-Match` that holds silences `If-Unmodified-Since`, `If-None-Match` in any case `If-Modified-Since`, and any
    /// failure is before any 304.
    fn decide(&self, etag: &ETag, modified: Timestamp) -> Outcome {
        let newer = |than: Timestamp| modified.secs() > than.secs();
        match (&self.matching, self.unmodified_since) {
            (Some(tags), _) if !tags.matches(etag) => return Outcome::Failed("If-Match"),
            (None, Some(since)) if newer(since) => return Outcome::Failed("If-Unmodified-Since"),
            (Some(_) | None, _) => {}
        }
        match (&self.none_matching, self.modified_since) {
            (Some(tags), _) if tags.matches(etag) => Outcome::NotModified("If-None-Match"),
            (None, Some(since)) if !newer(since) => Outcome::NotModified("If-Modified-Since"),
            (Some(_) | None, _) => Outcome::Holds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_445_412_480;

    fn outcome(headers: &[(&'static str, &str)]) -> Outcome {
        let mut head = RequestHead::bare();
        head.received = Timestamp::from_secs(AT + 100_000);
        for (name, value) in headers {
            head.headers.append(*name, value.parse().unwrap());
        }
        let names = Names(IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE);
        Conditions::of(&head, &names).decide(&ETag("aa".to_owned()), Timestamp::from_millis(AT * 1000 + 999))
    }

    #[test]
    fn conditions_of_reads_are_decided_as_by_aws() {
        let at = date::http(Timestamp::from_secs(AT));
        let (at, before) = (at.as_str(), date::http(Timestamp::from_secs(AT - 1)));
        let before = before.as_str();
        let future = date::http(Timestamp::from_secs(AT + 100_001));
        let (same, other) = ("\"aa\"", "\"bb\"");
        let (fails_match, fails_date) = (
            Outcome::Failed("If-Match"),
            Outcome::Failed("If-Unmodified-Since"),
        );
        let (same_tag, same_date) = (
            Outcome::NotModified("If-None-Match"),
            Outcome::NotModified("If-Modified-Since"),
        );
        for (headers, expected) in [
            (&[][..], Outcome::Holds),
            (&[("if-match", same)], Outcome::Holds),
            (&[("if-match", "aa")], Outcome::Holds),
            (&[("if-match", "*")], Outcome::Holds),
            (&[("if-match", "\"bb\", \"aa\"")], Outcome::Holds),
            (&[("if-match", other), ("if-match", same)], Outcome::Holds),
            (&[("if-match", other)], fails_match),
            (&[("if-none-match", same)], same_tag),
            (&[("if-none-match", "W/\"aa\"")], same_tag),
            (&[("if-none-match", "*")], same_tag),
            (&[("if-none-match", other)], Outcome::Holds),
            (&[("if-modified-since", at)], same_date),
            (&[("if-modified-since", before)], Outcome::Holds),
            (&[("if-modified-since", future.as_str())], Outcome::Holds),
            (&[("if-modified-since", "nonsense")], Outcome::Holds),
            (&[("if-unmodified-since", at)], Outcome::Holds),
            (&[("if-unmodified-since", before)], fails_date),
            (
                &[("if-match", same), ("if-unmodified-since", before)],
                Outcome::Holds,
            ),
            (&[("if-match", other), ("if-unmodified-since", at)], fails_match),
            (
                &[("if-none-match", other), ("if-modified-since", at)],
                Outcome::Holds,
            ),
            (
                &[("if-none-match", same), ("if-modified-since", before)],
                same_tag,
            ),
            (&[("if-match", other), ("if-none-match", same)], fails_match),
            (
                &[("if-unmodified-since", before), ("if-none-match", same)],
                fails_date,
            ),
        ] {
            assert_eq!(outcome(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_write_has_one_condition_and_it_is_never_lost() {
        let of = |headers: &[(&'static str, &str)]| {
            let mut head = RequestHead::bare();
            for (name, value) in headers {
                head.headers.append(*name, value.parse().unwrap());
            }
            write_condition(&head).map_err(|error| error.code)
        };

        assert_eq!(of(&[]), Ok(WriteCondition::default()));
        assert_eq!(
            of(&[("if-none-match", "*")]).unwrap().if_none_match,
            Some(ETagMatch::Any)
        );
        let tag = Some(ETagMatch::OneOf(vec![ETag("aa".to_owned())]));
        assert_eq!(of(&[("if-match", "\"aa\"")]).unwrap().if_match, tag);
        assert_eq!(of(&[("if-match", "")]), Err(Code::InvalidArgument));
        assert_eq!(
            of(&[("if-match", "a"), ("if-none-match", "*")]),
            Err(Code::NotImplemented)
        );
    }
}
