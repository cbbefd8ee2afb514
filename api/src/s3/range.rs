//! The `Range` header (s3.md, section 9).

use http::{HeaderValue, header::CONTENT_RANGE};

use super::error::{Code, S3Error};

/// The bytes that a read asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them: there is no range, or none that counts.
    Whole,
    /// From `first` on, so many.
    Span {
        /// The first byte.
        first: u64,
        /// How many bytes, at least one.
        length: u64,
    },
}

/// Reads a `Range` header for an object of `size` bytes. One range of bytes counts; anything malformed, of another unit, or
/// of several ranges is as if it was not there.
///
/// # Errors
/// [`Code::InvalidRange`] if the range is well-formed and has no byte of the object.
pub(super) fn parse(text: &str, size: u64) -> Result<Wanted, S3Error> {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Ok(Wanted::Whole);
    };
    let span = match (number(first), number(last)) {
        (Number::Is(first), Number::Is(last)) if last < first => return Ok(Wanted::Whole),
        (Number::Is(first), Number::Is(last)) => (first, last.min(size.saturating_sub(1))),
        (Number::Is(first), Number::Empty) => (first, size.saturating_sub(1)),
        (Number::Empty, Number::Is(0)) => return Err(invalid(text, size)),
        (Number::Empty, Number::Is(suffix)) => (size.saturating_sub(suffix), size.saturating_sub(1)),
        (Number::None, _) | (_, Number::None) | (Number::Empty, Number::Empty) => return Ok(Wanted::Whole),
    };
    let (first, last) = span;
    if first >= size {
        return Err(invalid(text, size));
    }
    Ok(Wanted::Span {
        first,
        length: last - first + 1,
    })
}

/// A `Content-Range` header.
#[must_use]
pub(super) fn content_range(first: u64, length: u64, size: u64) -> HeaderValue {
    let last = (first + length).saturating_sub(1);
    HeaderValue::try_from(format!("bytes {first}-{last}/{size}")).expect("numbers are visible ASCII")
}

enum Number {
    Is(u64),
    Empty,
    None,
}

/// Digits alone; more than fit are the largest number, which is past the end of every object.
fn number(text: &str) -> Number {
    if text.is_empty() {
        return Number::Empty;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Number::None;
    }
    Number::Is(text.parse().unwrap_or(u64::MAX))
}

fn invalid(text: &str, size: u64) -> S3Error {
    let range = HeaderValue::try_from(format!("bytes */{size}")).expect("numbers are visible ASCII");
    S3Error::new(Code::InvalidRange, "The requested range is not satisfiable")
        .with("RangeRequested", text.to_owned())
        .with("ActualObjectSize", size.to_string())
        .header(CONTENT_RANGE, range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_counts_and_all_else_is_the_whole() {
        let span = |first, length| Ok(Wanted::Span { first, length });
        let (whole, none) = (Ok(Wanted::Whole), Err(Code::InvalidRange));
        for (text, size, expected) in [
            ("bytes=0-0", 10, span(0, 1)),
            ("bytes=2-5", 10, span(2, 4)),
            ("bytes=2-", 10, span(2, 8)),
            ("bytes=2-100", 10, span(2, 8)),
            ("bytes=-3", 10, span(7, 3)),
            ("bytes=-100", 10, span(0, 10)),
            ("bytes=9-99999999999999999999999", 10, span(9, 1)),
            ("bytes=10-", 10, none),
            ("bytes=10-20", 10, none),
            ("bytes=99999999999999999999999-", 10, none),
            ("bytes=-0", 10, none),
            ("bytes=0-0", 0, none),
            ("bytes=-1", 0, none),
            ("bytes=5-2", 10, whole),
            ("bytes=", 10, whole),
            ("bytes=-", 10, whole),
            ("bytes=a-b", 10, whole),
            ("bytes=0-1,3-4", 10, whole),
            ("bytes=0- 1", 10, whole),
            ("bytes 0-1", 10, whole),
            ("items=0-1", 10, whole),
            ("bytes=+1-2", 10, whole),
            ("bytes=--1", 10, whole),
            ("", 10, whole),
        ] {
            assert_eq!(
                parse(text, size).map_err(|error| error.code),
                expected,
                "{text} of {size}"
            );
        }
    }

    #[test]
    fn a_refused_range_tells_the_size() {
        let error = parse("bytes=10-", 10).unwrap_err();

        assert_eq!(
            error.headers,
            [(CONTENT_RANGE, HeaderValue::from_static("bytes */10"))]
        );
        assert_eq!(content_range(2, 4, 10), "bytes 2-5/10");
    }
}
