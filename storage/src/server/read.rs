//! GET and HEAD: a file, or a range of it.

use std::{io, sync::Arc, time::SystemTime};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use time::{OffsetDateTime, macros::format_description};
use tokio::task::JoinHandle;

use super::{blocking, empty, listing};
use crate::{
    device::{Device, Opened, Place, clients::Asker},
    error::NodeError,
};

/// Ranges up to this many bytes are read whole, in the same step that opens the file.
const WHOLE_MAX: u64 = 256 << 10;

/// Longer ranges are read in pieces of this many bytes; one is read ahead.
const PIECE: u64 = 512 << 10;

/// The bytes that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Whole,
    /// The first byte and how many.
    Part {
        first: u64,
        length: u64,
    },
}

/// Whether the bytes themselves are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Head,
    Bytes,
}

/// What the one blocking step found.
struct Found {
    opened: Opened,
    range: Range,
    /// The bytes, if they are few.
    bytes: Option<Bytes>,
}

/// Answers with a file.
pub(super) async fn read(
    device: Arc<Device>,
    place: Place,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response<Body>, NodeError> {
    let asker = Asker::of(headers);
    let _busy = device.busy(asker);
    let range = headers.get(header::RANGE).cloned();
    let wanted = if *method == Method::HEAD {
        Wanted::Head
    } else {
        Wanted::Bytes
    };
    let found = if let Some(found) = find_cached(&device, &place, range.as_ref(), wanted) {
        found
    } else {
        let (device, place) = (Arc::clone(&device), place.clone());
        match blocking(move || find(&device, &place, range.as_ref(), wanted)).await {
            Err(NodeError::Device(error)) if error.kind() == io::ErrorKind::IsADirectory => {
                return Ok(listing());
            }
            found => found?,
        }
    };
    let modified = http_date(found.opened.modified);
    if headers.get(header::IF_MODIFIED_SINCE) == Some(&modified) {
        let mut answer = empty(StatusCode::NOT_MODIFIED);
        describe(answer.headers_mut(), modified);
        return Ok(answer);
    }
    let size = found.opened.size;
    let (first, length) = found.range.span(size);
    let body = match found.bytes {
        _ if wanted == Wanted::Head => Body::empty(),
        Some(bytes) => Body::from(bytes),
        None => {
            let source = Source {
                device,
                asker,
                opened: found.opened,
            };
            stream(Arc::new(source), first, first + length)
        }
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_TYPE, content_type(place.suffix()));
    describe(headers, modified);
    if let Range::Part { .. } = found.range {
        let range = HeaderValue::from_str(&format!("bytes {first}-{}/{size}", first + length - 1));
        headers.insert(header::CONTENT_RANGE, range.expect("digits are a header value"));
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(answer)
}

fn describe(headers: &mut HeaderMap, modified: HeaderValue) {
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::LAST_MODIFIED, modified);
}

/// What mogstored says of files with this suffix; fids and what it does not know are plain text.
fn content_type(suffix: &str) -> HeaderValue {
    HeaderValue::from_static(match suffix {
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" => "application/x-javascript",
        "xml" => "text/xml",
        "gif" => "image/gif",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "mp3" => "audio/mpeg",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        _ => "text/plain",
    })
}

/// Does what [`find`] does if all of it is in memory. Handing a small file over to another thread and back costs several
/// times what its reading costs. Whatever stands in the way is left to `find` to name.
fn find_cached(device: &Device, place: &Place, range: Option<&HeaderValue>, wanted: Wanted) -> Option<Found> {
    let opened = device.read_cached(place)?;
    let range = range_of(range, opened.size).ok()?;
    let (first, length) = range.span(opened.size);
    let bytes = if wanted.at_once(length) {
        Some(opened.cached(first, length)?)
    } else {
        None
    };
    Some(Found { opened, range, bytes })
}

/// Opens the file, and reads it if the range is short.
fn find(
    device: &Device,
    place: &Place,
    range: Option<&HeaderValue>,
    wanted: Wanted,
) -> Result<Found, NodeError> {
    let opened = device.read(place)?;
    let range = range_of(range, opened.size)?;
    let (first, length) = range.span(opened.size);
    let bytes = if wanted.at_once(length) {
        Some(opened.exactly(first, length).map_err(NodeError::Device)?)
    } else {
        None
    };
    Ok(Found { opened, range, bytes })
}

impl Wanted {
    /// Whether so many bytes are read in the step that opens the file.
    fn at_once(self, length: u64) -> bool {
        self == Wanted::Bytes && length <= WHOLE_MAX
    }
}

/// Understands a `Range` header; several ranges, or what is none, mean the whole file, as in mogstored.
fn range_of(header: Option<&HeaderValue>, size: u64) -> Result<Range, NodeError> {
    let Some((from, to)) = header
        .and_then(|value| value.to_str().ok()?.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(Range::Whole);
    };
    let last = size.saturating_sub(1);
    let (first, last) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(first), Ok(to)) if first <= to => (first, to.min(last)),
        (Ok(first), Err(_)) if to.is_empty() => (first, last),
        // The original answers `-3` with the first bytes, which is wrong (RFC 9110, 14.1.2): it means the last three.
        (Err(_), Ok(count)) if from.is_empty() => match count {
            0 => (size, last),
            _ => (size.saturating_sub(count), last),
        },
        _ => return Ok(Range::Whole),
    };
    if first >= size {
        return Err(NodeError::OutOfRange { size });
    }
    let length = last - first + 1;
    Ok(Range::Part { first, length })
}

impl Range {
    /// First byte and length in a file of `size` bytes.
    fn span(self, size: u64) -> (u64, u64) {
        match self {
            Range::Whole => (0, size),
            Range::Part { first, length } => (first, length),
        }
    }
}

/// A file that is read piece by piece.
struct Source {
    device: Arc<Device>,
    asker: Asker,
    opened: Opened,
}

/// A body of the bytes from `first` to before `end`. Each piece is read by a thread of its own: a client that does not
/// take them holds none.
fn stream(source: Arc<Source>, first: u64, end: u64) -> Body {
    let ahead = read_piece(&source, first, end);
    Body::from_stream(stream::try_unfold((first, ahead), move |(at, ahead)| {
        let source = Arc::clone(&source);
        async move {
            let Some(ahead) = ahead else {
                return Ok(None);
            };
            let piece = ahead.await.map_err(io::Error::other)??;
            let at = (at + PIECE).min(end);
            Ok::<_, io::Error>(Some((piece, (at, read_piece(&source, at, end)))))
        }
    }))
}

/// Reads the piece at an offset, if there is one.
fn read_piece(source: &Arc<Source>, at: u64, end: u64) -> Option<JoinHandle<io::Result<Bytes>>> {
    let length = PIECE.min(end - at);
    let source = Arc::clone(source);
    let read = move || {
        let _busy = source.device.busy(source.asker);
        source.opened.exactly(at, length)
    };
    (length > 0).then(|| tokio::task::spawn_blocking(read))
}

/// A time as HTTP writes it (RFC 9110, 5.6.7).
fn http_date(at: SystemTime) -> HeaderValue {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let text = OffsetDateTime::from(at).format(format).unwrap_or_default();
    HeaderValue::from_str(&text).expect("a date is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, size: u64, expected: Option<Range>) {
        let header = HeaderValue::from_str(header).unwrap();
        assert_eq!(
            range_of(Some(&header), size).ok(),
            expected,
            "{header:?} of {size}"
        );
    }

    #[test]
    fn ranges_are_those_of_the_standard_and_others_mean_the_whole_file() {
        let part = |first, length| Some(Range::Part { first, length });
        check("bytes=0-3", 12, part(0, 4));
        check("bytes=4-", 12, part(4, 8));
        check("bytes=4-99", 12, part(4, 8));
        check("bytes=-3", 12, part(9, 3));
        check("bytes=-99", 12, part(0, 12));
        check("bytes=12-", 12, None);
        check("bytes=-0", 12, None);
        check("bytes=0-", 0, None);
        check("bytes=5-4", 12, Some(Range::Whole));
        check("bytes=0-1,4-5", 12, Some(Range::Whole));
        check("bytes=x-", 12, Some(Range::Whole));
        check("lines=0-3", 12, Some(Range::Whole));
    }

    #[test]
    fn dates_are_written_as_http_wants_them() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);

        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
