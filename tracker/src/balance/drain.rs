//! How far the drain of a device has come: one line of `key=value`, in the setting `mogul_drain_N` of device N. A device that
//! is being drained has one; one whose state is `drain` for other reasons has none, and keeps its copies.

use std::{collections::BTreeMap, fmt};

use mogul_storage::{DevId, Fid};

use crate::{model::Timestamp, view::ClusterView};

/// Before the number of a device: the setting with its drain.
const SETTING: &str = "mogul_drain_";

/// The drain of a device. Times are unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drain {
    /// When it was begun.
    pub started: i64,
    /// Copies that were on record when it was begun, and those that came later.
    pub files: u64,
    /// Copies that were moved.
    pub moved: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The last fid of the present pass that was queued.
    pub last: Option<Fid>,
    /// Why the last copy that could not be moved was not, or what the device waits for.
    pub refusal: Option<String>,
    /// When nothing was left; 0 before.
    pub ended: i64,
}

impl Drain {
    /// A drain of so many copies that begins now.
    #[must_use]
    pub fn new(files: u64, now: Timestamp) -> Drain {
        Drain {
            started: now.secs(),
            files,
            ..Drain::default()
        }
    }

    /// Reads a drain; what is missing or unknown does no harm.
    #[must_use]
    pub fn parse(text: &str) -> Drain {
        let mut drain = Drain::default();
        for (key, value) in text.split_whitespace().filter_map(|pair| pair.split_once('=')) {
            let number = || value.parse().unwrap_or(0);
            match key {
                "started" => drain.started = value.parse().unwrap_or(0),
                "files" => drain.files = number(),
                "moved" => drain.moved = number(),
                "bytes" => drain.bytes = number(),
                "last" => drain.last = Fid::new(number()),
                "refusal" => drain.refusal = Some(value.replace('_', " ")),
                "ended" => drain.ended = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        drain
    }

    /// Copies that are left, as far as it has counted.
    #[must_use]
    pub fn left(&self) -> u64 {
        if self.ended > 0 {
            return 0;
        }
        self.files.saturating_sub(self.moved)
    }

    /// The drains among settings, by the number of their device.
    #[must_use]
    pub fn among<'s>(settings: impl Iterator<Item = (&'s str, &'s str)>) -> BTreeMap<DevId, Drain> {
        let drain = |(key, text): (&str, &str)| {
            let device = DevId::new(key.strip_prefix(SETTING)?.parse().ok()?)?;
            Some((device, Drain::parse(text)))
        };
        settings.filter_map(drain).collect()
    }

    /// The setting that holds a device's drain.
    #[must_use]
    pub fn setting_of(device: DevId) -> String {
        format!("{SETTING}{device}")
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drain {
            started,
            files,
            moved,
            bytes,
            last,
            refusal,
            ended,
        } = self;
        write!(
            f,
            "started={started} files={files} moved={moved} bytes={bytes} ended={ended}"
        )?;
        if let Some(last) = last {
            write!(f, " last={last}")?;
        }
        if let Some(refusal) = refusal {
            write!(f, " refusal={}", refusal.replace(char::is_whitespace, "_"))?;
        }
        Ok(())
    }
}

impl ClusterView {
    /// Whether a device is being drained.
    #[must_use]
    pub fn is_draining(&self, device: DevId) -> bool {
        self.setting(&Drain::setting_of(device)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_reads_back_as_it_was_written() {
        let drain = Drain {
            started: 1,
            files: 2,
            moved: 3,
            bytes: 4,
            last: Fid::new(5),
            refusal: Some("no target can take it".to_owned()),
            ended: 6,
        };

        assert_eq!(Drain::parse(&drain.to_string()), drain);
        assert_eq!(Drain::parse(&Drain::default().to_string()), Drain::default());
    }
}
