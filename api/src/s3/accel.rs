//! GETs whose bytes the web server in front fetches from a storage node itself: nginx by `X-Accel-Redirect`, Perlbal by
//! `X-REPROXY-URL`.
//!
//! The gateway still decides: it has authenticated, authorized and evaluated the conditions before it hands anything over,
//! and all headers of the answer are its own. What it gives up is that the bytes are verified on their way. A request is
//! handed over only if that changes nothing that its client can see; every other one is served as if this was off:
//! ranges and parts, objects in segments, and for nginx, which keeps only the headers it is told to, user metadata.

use http::{
    HeaderValue,
    header::{CONTENT_LENGTH, HeaderName, RANGE},
};
use mogul_tracker::model::ObjectVersion;

use super::{RequestHead, Response, S3};

/// By this header of the request a proxy tells what it understands; clients that come by themselves do not send it.
/// Perlbal has it so; for nginx the operator's configuration adds it.
const CAPABILITIES: &str = "x-proxy-capabilities";

/// How the bytes of a GET are handed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Accel {
    /// Not at all.
    #[default]
    Off,
    /// To nginx. The location has `prefix`, then host and port of the node, then the path there.
    XAccelRedirect {
        /// Where nginx's internal location begins, `/` at both ends.
        prefix: String,
    },
    /// To Perlbal.
    XReproxyUrl,
}

impl Accel {
    /// The capability that a proxy must have declared.
    fn capability(&self) -> Option<&'static str> {
        match self {
            Accel::Off => None,
            Accel::XAccelRedirect { .. } => Some("accel-redirect"),
            Accel::XReproxyUrl => Some("reproxy-file"),
        }
    }
}

/// The header that hands the bytes of a whole `object` over; `None` if the gateway must serve them itself.
pub(super) fn handover(
    s3: &S3,
    head: &RequestHead,
    object: &ObjectVersion,
) -> Option<(HeaderName, HeaderValue)> {
    let accel = &s3.config.accel;
    let capability = accel.capability()?;
    let declared = head.header(CAPABILITIES)?;
    if !declared
        .split([',', ' '])
        .any(|word| word.eq_ignore_ascii_case(capability))
    {
        return None;
    }
    // The web server sends a range on to the node, whatever was decided of it here.
    if head.header(RANGE.as_str()).is_some() || head.query.get("partNumber").is_some() {
        return None;
    }
    let urls = s3.tracker.object_urls(object);
    let (name, value) = match accel {
        Accel::Off => return None,
        Accel::XAccelRedirect { .. } if !object.attributes.user.is_empty() => return None,
        Accel::XAccelRedirect { prefix } => {
            let place = urls.first()?.strip_prefix("http://")?;
            ("x-accel-redirect", format!("{prefix}{place}"))
        }
        Accel::XReproxyUrl if urls.is_empty() => return None,
        Accel::XReproxyUrl => ("x-reproxy-url", urls.join(" ")),
    };
    Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
}

/// Makes an answer one whose bytes are fetched elsewhere.
pub(super) fn without_body(response: &mut Response, (name, value): (HeaderName, HeaderValue), size: u64) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0_u16));
    if name == "x-reproxy-url" {
        headers.insert("x-reproxy-expected-size", HeaderValue::from(size));
    }
    headers.insert(name, value);
}
