//! What a client stores beside the bytes: standard headers and user metadata (s3.md, sections 9 and 10).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use mogul_tracker::model::Attributes;

use super::{
    RequestHead,
    error::{Code, S3Error},
};

/// Most user metadata of one object: names and values together, in bytes.
const USER_BYTES_MAX: usize = 2048;

/// The headers that are kept, verbatim.
const KEPT: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::EXPIRES,
];

/// The headers that a signed read may override, and by which parameters.
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-content-type", header::CONTENT_TYPE),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-expires", header::EXPIRES),
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
];

/// Where a page of a website is redirected to.
pub(super) const REDIRECT: &str = "x-amz-website-redirect-location";

const USER_PREFIX: &str = "x-amz-meta-";

/// AWS's type of objects whose type nobody said.
const DEFAULT_TYPE: HeaderValue = HeaderValue::from_static("binary/octet-stream");

/// Begins the text of a value that was not UTF-8: each further character is one byte of it. No client's text begins so,
/// since this is not a character.
const RAW_BYTES: char = '\u{FFFF}';

/// Reads what a write stores beside the bytes.
///
/// # Errors
/// [`Code::MetadataTooLarge`], [`Code::InvalidRedirectLocation`].
pub(super) fn of_head(head: &RequestHead) -> Result<Attributes, S3Error> {
    let mut headers = BTreeMap::new();
    for name in KEPT {
        // An empty type is none: the object gets AWS's default.
        let value =
            joined(&head.headers, &name).filter(|value| name != header::CONTENT_TYPE || !value.is_empty());
        if let Some(value) = value {
            headers.insert(name.as_str().to_owned(), value);
        }
    }
    strip_framing(&mut headers);
    if let Some(value) = head.headers.get(REDIRECT) {
        headers.insert(REDIRECT.to_owned(), redirect(value)?);
    }
    Ok(Attributes {
        headers,
        user: user(&head.headers)?,
    })
}

/// Adds what was stored to an answer.
pub(super) fn add_headers(headers: &mut HeaderMap, attributes: &Attributes) {
    headers.insert(header::CONTENT_TYPE, DEFAULT_TYPE);
    let user = attributes
        .user
        .iter()
        .map(|(name, value)| (format!("{USER_PREFIX}{name}"), value));
    let stored = attributes
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value));
    for (name, value) in stored.chain(user) {
        // What is stored was a header once; a row that somebody else wrote must not break the answer.
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name), header_value(value)) {
            headers.insert(name, value);
        }
    }
}

/// Replaces headers of an answer as the `response-` parameters of the query ask.
///
/// # Errors
/// [`Code::InvalidArgument`] for a value that no header can have.
pub(super) fn add_overrides(headers: &mut HeaderMap, head: &RequestHead) -> Result<(), S3Error> {
    for (parameter, name) in OVERRIDES {
        if let Some(text) = head.query.get(parameter) {
            let value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
                S3Error::new(Code::InvalidArgument, "Header value cannot be represented.")
                    .with("ArgumentName", parameter)
            })?;
            headers.insert(name, value);
        }
    }
    Ok(())
}

/// The framing is gone from what is stored, and so must be its name; `gzip,aws-chunked` is stored as `gzip`.
fn strip_framing(headers: &mut BTreeMap<String, String>) {
    let name = header::CONTENT_ENCODING.as_str();
    let Some(value) = headers.remove(name) else {
        return;
    };
    let items = value.split(',').map(str::trim);
    let is_framing = |item: &str| item.eq_ignore_ascii_case("aws-chunked");
    if !items.clone().any(is_framing) {
        headers.insert(name.to_owned(), value);
        return;
    }
    let rest: Vec<&str> = items
        .filter(|item| !is_framing(item) && !item.is_empty())
        .collect();
    if !rest.is_empty() {
        headers.insert(name.to_owned(), rest.join(","));
    }
}

fn redirect(value: &HeaderValue) -> Result<String, S3Error> {
    let text = value.to_str().unwrap_or_default();
    if ["/", "http://", "https://"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return Ok(text.to_owned());
    }
    Err(S3Error::new(
        Code::InvalidRedirectLocation,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    ))
}

fn user(headers: &HeaderMap) -> Result<BTreeMap<String, String>, S3Error> {
    let mut user = BTreeMap::new();
    let mut bytes = 0;
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix(USER_PREFIX) else {
            continue;
        };
        let values = headers.get_all(name).iter().map(HeaderValue::len).sum::<usize>();
        bytes += short.len() + values;
        user.insert(short.to_owned(), joined(headers, name).unwrap_or_default());
    }
    if bytes <= USER_BYTES_MAX {
        return Ok(user);
    }
    Err(S3Error::new(
        Code::MetadataTooLarge,
        "Your metadata headers exceed the maximum allowed metadata size",
    )
    .with("Size", bytes.to_string())
    .with("MaxSizeAllowed", USER_BYTES_MAX.to_string()))
}

/// All values of a header as one text; bytes that are not UTF-8 are kept one by one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if values.is_empty() {
        return None;
    }
    let bytes = values.join(&b',');
    Some(String::from_utf8(bytes).unwrap_or_else(|error| {
        let raw = error.as_bytes().iter().map(|byte| char::from(*byte));
        std::iter::once(RAW_BYTES).chain(raw).collect()
    }))
}

/// The bytes that [`joined`] read.
fn header_value(text: &str) -> Option<HeaderValue> {
    match text.strip_prefix(RAW_BYTES) {
        None => HeaderValue::from_bytes(text.as_bytes()).ok(),
        Some(raw) => {
            let bytes: Result<Vec<u8>, _> = raw.chars().map(u8::try_from).collect();
            HeaderValue::from_bytes(&bytes.ok()?).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&'static str, &[u8])]) -> RequestHead {
        let mut head = RequestHead::bare();
        for (name, value) in headers {
            head.headers
                .append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        head
    }

    #[test]
    fn what_was_stored_comes_back_byte_for_byte() {
        let sent = head(&[
            ("content-type", b"text/plain; charset=utf-8"),
            ("expires", b"whenever"),
            ("x-amz-meta-a", b"1"),
            ("x-amz-meta-a", b"2"),
            ("x-amz-meta-empty", b""),
            ("x-amz-meta-utf8", "gr\u{fc}n".as_bytes()),
            ("x-amz-meta-latin1", b"gr\xfcn"),
            ("x-amz-website-redirect-location", b"/other"),
            ("authorization", b"secret"),
        ]);

        let mut answer = HeaderMap::new();
        add_headers(&mut answer, &of_head(&sent).unwrap());

        let found: Vec<(&str, &[u8])> = answer
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        assert_eq!(found.len(), 7);
        assert_eq!(answer["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer["expires"], "whenever");
        assert_eq!(answer["x-amz-meta-a"], "1,2");
        assert_eq!(answer["x-amz-meta-empty"], "");
        assert_eq!(answer["x-amz-meta-utf8"].as_bytes(), "gr\u{fc}n".as_bytes());
        assert_eq!(answer["x-amz-meta-latin1"].as_bytes(), b"gr\xfcn");
    }

    #[test]
    fn an_object_without_a_type_has_awss_default() {
        let mut answer = HeaderMap::new();
        add_headers(&mut answer, &of_head(&head(&[("content-type", b"")])).unwrap());

        assert_eq!(answer["content-type"], "binary/octet-stream");
    }

    #[test]
    fn the_name_of_the_framing_is_not_stored() {
        for (sent, stored) in [
            ("aws-chunked", None),
            ("gzip,aws-chunked", Some("gzip")),
            ("aws-chunked, gzip", Some("gzip")),
            ("gzip, AWS-Chunked ,br", Some("gzip,br")),
            ("aws-chunked,", None),
            ("gzip, br", Some("gzip, br")),
            ("", Some("")),
        ] {
            let attributes = of_head(&head(&[("content-encoding", sent.as_bytes())])).unwrap();

            assert_eq!(
                attributes.headers.get("content-encoding").map(String::as_str),
                stored,
                "{sent}"
            );
        }
    }

    #[test]
    fn user_metadata_has_two_kib() {
        let fits = vec![b'x'; 2047];
        let exceeds = vec![b'x'; 2048];

        assert!(of_head(&head(&[("x-amz-meta-a", &fits)])).is_ok());
        let error = of_head(&head(&[("x-amz-meta-a", &exceeds)])).unwrap_err();
        assert_eq!(error.code, Code::MetadataTooLarge);
    }

    #[test]
    fn a_redirect_goes_to_a_path_or_a_site() {
        for (value, fine) in [
            ("/a", true),
            ("https://a/b", true),
            ("a", false),
            ("ftp://a", false),
        ] {
            let found = of_head(&head(&[(REDIRECT, value.as_bytes())]));

            assert_eq!(found.is_ok(), fine, "{value}");
        }
    }

    #[test]
    fn overrides_replace_headers_and_cannot_inject_any() {
        let mut request = head(&[]);
        request.query =
            crate::s3::route::Query::parse("response-content-type=a%2Fb&response-expires=now").unwrap();
        let mut answer = HeaderMap::new();
        answer.insert("content-type", HeaderValue::from_static("x/y"));

        add_overrides(&mut answer, &request).unwrap();

        assert_eq!(
            (&answer["content-type"], &answer["expires"]),
            (&HeaderValue::from_static("a/b"), &HeaderValue::from_static("now"))
        );
        request.query = crate::s3::route::Query::parse("response-expires=a%0d%0aSet-Cookie:b").unwrap();
        assert_eq!(
            add_overrides(&mut answer, &request).unwrap_err().code,
            Code::InvalidArgument
        );
    }
}
