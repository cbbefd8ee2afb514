//! Writing documents. Listings are the hot path: one buffer, no allocation per field.

use std::fmt::Write;

use axum::body::Body;
use http::{HeaderValue, header};
use mogul_tracker::model::{ETag, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use time::OffsetDateTime;

use crate::s3::Response;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACE: &str = " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

/// What `encoding-type=url` leaves as it is: a slash stays, a space becomes `%20`, and no bare `+` ever leaves, because
/// botocore and rclone would read it as a space.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// How keys are written (`encoding-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As XML text.
    Xml,
    /// Percent-encoded.
    Url,
}

/// One document on its way.
#[derive(Debug)]
pub struct Writer(String);

impl Writer {
    /// Begins a document with this root element in S3's namespace, for about `capacity` bytes.
    #[must_use]
    pub fn new(root: &str, capacity: usize) -> Writer {
        let mut text = String::with_capacity(capacity);
        text.push_str(DECLARATION);
        text.push('<');
        text.push_str(root);
        text.push_str(NAMESPACE);
        text.push('>');
        Writer(text)
    }

    /// Opens an element.
    pub fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element with this text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        push_escaped(&mut self.0, text);
        self.close(name);
    }

    /// An element with a key, or a part of one.
    pub fn key(&mut self, name: &str, key: &str, encoding: Encoding) {
        match encoding {
            Encoding::Xml => self.text(name, key),
            Encoding::Url => {
                self.open(name);
                self.0.extend(percent_encoding::utf8_percent_encode(key, PLAIN));
                self.close(name);
            }
        }
    }

    /// An element with a number.
    pub fn number(&mut self, name: &str, number: u64) {
        self.open(name);
        let written = write!(self.0, "{number}");
        debug_assert!(written.is_ok(), "a String takes whatever is written");
        self.close(name);
    }

    /// An element with `true` or `false`.
    pub fn truth(&mut self, name: &str, truth: bool) {
        self.text(name, if truth { "true" } else { "false" });
    }

    /// An element with a time in UTC: ISO 8601 with milliseconds, of which S3 always shows zero.
    pub fn time(&mut self, name: &str, time: Timestamp) {
        self.open(name);
        push_time(&mut self.0, time);
        self.close(name);
    }

    /// An `ETag` element, in its quotes.
    pub fn etag(&mut self, etag: &ETag) {
        self.0.push_str("<ETag>&quot;");
        push_escaped(&mut self.0, &etag.0);
        self.0.push_str("&quot;</ETag>");
    }

    /// Bare text in the element that is open.
    pub fn escaped(&mut self, text: &str) {
        push_escaped(&mut self.0, text);
    }

    /// Text that is XML already.
    pub fn raw(&mut self, xml: &str) {
        self.0.push_str(xml);
    }

    /// Closes the root: the whole document.
    #[must_use]
    pub fn finish(mut self, root: &str) -> String {
        self.close(root);
        self.0
    }

    /// Closes the root: an answer 200 with the document.
    #[must_use]
    pub fn answer(self, root: &str) -> Response {
        let mut response = Response::new(Body::from(self.finish(root)));
        let kind = HeaderValue::from_static("application/xml");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Appends text with what XML would not give back replaced by references: markup, and control characters. A carriage
/// return would be read as a line feed; other controls are no characters of XML 1.0, and AWS writes them so as well.
pub fn push_escaped(out: &mut String, text: &str) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let reference = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\r' => "&#13;",
            b'\n' | b'\t' | 0x20..=0x7E | 0x80..=0xFF => continue,
            0x00..=0x1F | 0x7F => "",
        };
        out.push_str(&text[plain..at]);
        plain = at + 1;
        if reference.is_empty() {
            let written = write!(out, "&#x{byte:X};");
            debug_assert!(written.is_ok(), "a String takes whatever is written");
        }
        out.push_str(reference);
    }
    out.push_str(&text[plain..]);
}

/// Appends `2026-01-02T03:04:05.000Z`. `Last-Modified` has whole seconds, and so has this: clients compare the two.
pub fn push_time(out: &mut String, time: Timestamp) {
    let time = OffsetDateTime::from_unix_timestamp(time.secs()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let year = u16::try_from(time.year()).unwrap_or_default();
    let [century, of_century] = [year / 100, year % 100].map(|half| u8::try_from(half).unwrap_or_default());
    for (number, end) in [
        (century, ""),
        (of_century, "-"),
        (u8::from(time.month()), "-"),
        (time.day(), "T"),
        (time.hour(), ":"),
        (time.minute(), ":"),
        (time.second(), ".000Z"),
    ] {
        out.push(char::from(b'0' + number / 10 % 10));
        out.push(char::from(b'0' + number % 10));
        out.push_str(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_would_not_give_back_leaves_as_references() {
        for (text, expected) in [
            ("", ""),
            ("plain é 😀", "plain é 😀"),
            ("a&b<c>d\"e'", "a&amp;b&lt;c&gt;d&quot;e'"),
            ("\r", "&#13;"),
            ("\n\t", "\n\t"),
            ("a\u{1}\u{0}b\u{7f}", "a&#x1;&#x0;b&#x7F;"),
            ("&&", "&amp;&amp;"),
        ] {
            let mut out = String::new();
            push_escaped(&mut out, text);

            assert_eq!(out, expected, "{text:?}");
        }
    }

    #[test]
    fn url_encoding_leaves_a_slash_and_never_a_plus() {
        let mut writer = Writer::new("R", 0);

        writer.key("Key", "a b+c/d%&é\u{1}~*", Encoding::Url);

        let xml = writer.finish("R");
        assert!(xml.contains("<Key>a%20b%2Bc/d%25%26%C3%A9%01~%2A</Key>"), "{xml}");
    }

    #[test]
    fn times_have_seconds_and_zero_milliseconds() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_323_045_999, "2026-01-02T03:04:05.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (253_402_300_799_000, "9999-12-31T23:59:59.000Z"),
        ] {
            let mut out = String::new();
            push_time(&mut out, Timestamp::from_millis(millis));

            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_document_has_declaration_namespace_and_what_was_written() {
        let mut writer = Writer::new("Root", 64);
        writer.text("A", "x");
        writer.number("N", 42);
        writer.truth("T", true);
        writer.etag(&ETag("abc-1".to_owned()));

        assert_eq!(
            writer.finish("Root"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Root xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><A>x</A>\
             <N>42</N><T>true</T><ETag>&quot;abc-1&quot;</ETag></Root>"
        );
    }
}
