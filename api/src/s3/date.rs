//! Dates as HTTP and SigV4 write them. (XML's are in the XML writer.)

use mogul_tracker::model::Timestamp;
use time::{
    OffsetDateTime, PrimitiveDateTime,
    format_description::{FormatItem, well_known::Rfc2822},
    macros::format_description,
};

const HTTP: &[FormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
const ASCTIME: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
);
const BASIC: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
const ISO: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// `Wed, 21 Oct 2015 07:28:00 GMT`: headers have whole seconds, rounded down.
#[must_use]
pub fn http(at: Timestamp) -> String {
    formatted(Timestamp::from_secs(at.secs()), HTTP)
}

/// `20151021T072800Z`, the form of `x-amz-date`.
#[must_use]
pub fn basic(at: Timestamp) -> String {
    formatted(at, BASIC)
}

/// `2015-10-21T07:28:00.000Z`, the form of S3's documents.
#[must_use]
pub fn iso(at: Timestamp) -> String {
    formatted(at, ISO)
}

/// Reads an HTTP date: the usual form, with a numeric zone, or C's `asctime` (RFC 9110, section 5.6.7, but for RFC 850's
/// two-digit years).
#[must_use]
pub fn parse_http(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc2822) {
        return Some(Timestamp::from_secs(at.unix_timestamp()));
    }
    let at = PrimitiveDateTime::parse(text, ASCTIME).ok()?;
    Some(Timestamp::from_secs(at.assume_utc().unix_timestamp()))
}

/// Reads the form of `x-amz-date`.
#[must_use]
pub fn parse_basic(text: &str) -> Option<Timestamp> {
    let at = PrimitiveDateTime::parse(text, BASIC).ok()?;
    Some(Timestamp::from_secs(at.assume_utc().unix_timestamp()))
}

fn formatted(at: Timestamp, form: &[FormatItem<'_>]) -> String {
    let nanos = i128::from(at.millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(form)
        .expect("these forms have only components that every date has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_read_back() {
        let at = Timestamp::from_millis(1_445_412_480_999);

        assert_eq!(http(at), "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(basic(at), "20151021T072800Z");
        assert_eq!(iso(at), "2015-10-21T07:28:00.999Z");
        assert_eq!(parse_http(&http(at)), Some(Timestamp::from_secs(1_445_412_480)));
        assert_eq!(parse_basic(&basic(at)), Some(Timestamp::from_secs(1_445_412_480)));
    }

    #[test]
    fn other_forms_of_http_dates_are_read_and_nonsense_is_not() {
        let at = Some(Timestamp::from_secs(784_111_777));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 09:49:37 +0100",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http(text), at, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2015-10-21T07:28:00Z",
            "Sun, 99 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http(text), None, "{text}");
        }
    }
}
