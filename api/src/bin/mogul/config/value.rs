//! How the text of a setting becomes its value.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use mogul_api::admin::MetricsAccess;
use mogul_storage::{
    Durability,
    networks::{Network, Networks},
    sidechannel::Watching,
};

/// A type that settings can have.
pub(crate) trait FromText: Sized {
    /// What its texts look like, with the unit, for the reference page.
    const FORM: &'static str;

    /// Parses a text.
    ///
    /// # Errors
    /// What is expected instead.
    fn from_text(text: &str) -> Result<Self, String>;

    /// The value of a setting without default that nobody set.
    fn unset() -> Option<Self> {
        None
    }
}

/// A number of bytes. Its text may end in `KiB`, `MiB`, `GiB`, `TiB`, or `KB` … `TB` (powers of 1,000).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// A text that does not print.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

/// One of a few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice<T>(pub(crate) T);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl FromText for String {
    const FORM: &'static str = "text";

    fn from_text(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

impl FromText for Secret {
    const FORM: &'static str = "text";

    fn from_text(text: &str) -> Result<Secret, String> {
        Ok(Secret(text.to_owned()))
    }
}

impl FromText for PathBuf {
    const FORM: &'static str = "path";

    fn from_text(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() {
            return Err("a path is expected".to_owned());
        }
        Ok(PathBuf::from(text))
    }
}

impl FromText for SocketAddr {
    const FORM: &'static str = "IP:PORT";

    fn from_text(text: &str) -> Result<SocketAddr, String> {
        let reason = || "an address IP:PORT is expected, such as 127.0.0.1:9000 or [::]:9000".to_owned();
        match text.strip_prefix(':') {
            Some(_) => Err(reason()),
            None => text.parse().map_err(|_| reason()),
        }
    }
}

impl FromText for u8 {
    const FORM: &'static str = "number, 0 to 255";

    fn from_text(text: &str) -> Result<u8, String> {
        text.parse()
            .map_err(|_| "a whole number from 0 to 255 is expected".to_owned())
    }
}

impl FromText for u16 {
    const FORM: &'static str = "number, 0 to 65535";

    fn from_text(text: &str) -> Result<u16, String> {
        text.parse()
            .map_err(|_| "a whole number from 0 to 65535 is expected".to_owned())
    }
}

impl FromText for usize {
    const FORM: &'static str = "number";

    fn from_text(text: &str) -> Result<usize, String> {
        text.parse().map_err(|_| "a whole number is expected".to_owned())
    }
}

impl FromText for Bytes {
    const FORM: &'static str = "bytes, with KiB, MiB, GiB, TiB or none";

    fn from_text(text: &str) -> Result<Bytes, String> {
        const UNITS: &[(&str, u64)] = &[
            ("", 1),
            ("B", 1),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
            ("KB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("TB", 1_000_000_000_000),
        ];
        let (number, unit) = split_unit(text);
        UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .and_then(|(_, factor)| number.parse::<u64>().ok()?.checked_mul(*factor))
            .map(Bytes)
            .ok_or_else(|| "a size is expected, such as 4KiB, 100MiB or 1048576".to_owned())
    }
}

impl FromText for Duration {
    const FORM: &'static str = "duration, with ms, s, m or h";

    fn from_text(text: &str) -> Result<Duration, String> {
        let (number, unit) = split_unit(text);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 0,
        };
        number
            .parse::<u64>()
            .ok()
            .filter(|_| millis > 0)
            .and_then(|count| count.checked_mul(millis))
            .map(Duration::from_millis)
            .ok_or_else(|| "a duration is expected, such as 500ms, 30s or 5m".to_owned())
    }
}

/// The words of `s3.accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccelKind {
    /// Not at all.
    Off,
    /// nginx.
    XAccelRedirect,
    /// Perlbal.
    XReproxyUrl,
}

impl FromText for Choice<AccelKind> {
    const FORM: &'static str = "`off`, `x-accel-redirect` or `x-reproxy-url`";

    fn from_text(text: &str) -> Result<Choice<AccelKind>, String> {
        match text {
            "off" => Ok(Choice(AccelKind::Off)),
            "x-accel-redirect" => Ok(Choice(AccelKind::XAccelRedirect)),
            "x-reproxy-url" => Ok(Choice(AccelKind::XReproxyUrl)),
            _ => Err("`off`, `x-accel-redirect` or `x-reproxy-url` is expected".to_owned()),
        }
    }
}

impl FromText for Choice<Durability> {
    const FORM: &'static str = "`sync` or `cache`";

    fn from_text(text: &str) -> Result<Choice<Durability>, String> {
        match text {
            "sync" => Ok(Choice(Durability::Sync)),
            "cache" => Ok(Choice(Durability::Cache)),
            _ => Err("`sync` or `cache` is expected".to_owned()),
        }
    }
}

impl FromText for Choice<MetricsAccess> {
    const FORM: &'static str = "`open` or `root`";

    fn from_text(text: &str) -> Result<Choice<MetricsAccess>, String> {
        match text {
            "open" => Ok(Choice(MetricsAccess::Open)),
            "root" => Ok(Choice(MetricsAccess::Root)),
            _ => Err("`open` or `root` is expected".to_owned()),
        }
    }
}

impl FromText for Choice<Watching> {
    const FORM: &'static str = "`on` or `off`";

    fn from_text(text: &str) -> Result<Choice<Watching>, String> {
        match text {
            "on" => Ok(Choice(Watching::On)),
            "off" => Ok(Choice(Watching::Off)),
            _ => Err("`on` or `off` is expected".to_owned()),
        }
    }
}

impl FromText for Networks {
    const FORM: &'static str = "list of networks";

    fn from_text(text: &str) -> Result<Networks, String> {
        let networks = Vec::<String>::from_text(text)?;
        let parse = |text: &String| text.parse::<Network>().map_err(|error| error.to_string());
        Ok(Networks::new(
            networks.iter().map(parse).collect::<Result<_, _>>()?,
        ))
    }
}

/// A list; in a flag or the environment, its items are separated by commas.
impl FromText for Vec<String> {
    const FORM: &'static str = "list of texts";

    fn from_text(text: &str) -> Result<Vec<String>, String> {
        Ok(text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect())
    }
}

impl FromText for Vec<SocketAddr> {
    const FORM: &'static str = "list of IP:PORT";

    fn from_text(text: &str) -> Result<Vec<SocketAddr>, String> {
        let addresses = Vec::<String>::from_text(text)?;
        if addresses.is_empty() {
            return Err("an address IP:PORT is expected, such as 127.0.0.1:7001".to_owned());
        }
        addresses
            .iter()
            .map(|address| SocketAddr::from_text(address))
            .collect()
    }
}

impl<T: FromText> FromText for Option<T> {
    const FORM: &'static str = T::FORM;

    fn from_text(text: &str) -> Result<Option<T>, String> {
        T::from_text(text).map(Some)
    }

    fn unset() -> Option<Option<T>> {
        Some(None)
    }
}

/// Splits `10MiB` into `10` and `MiB`.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}
