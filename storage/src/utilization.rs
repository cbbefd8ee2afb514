//! How busy the disks are: what `iostat -dx` tells a mogstored, read from the kernel's own figures.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{device::Device, fid::DevId};

/// The kernel's figures: a line for each block device (Linux `Documentation/admin-guide/iostats.rst`).
const DISKSTATS: &str = "/proc/diskstats";

/// The field with the name of a disk.
const NAME: usize = 2;

/// The field with the milliseconds in which the disk was busy since it is there.
const BUSY: usize = 12;

/// The share of the time in which a disk was busy, written as percent with two decimals: `18.80`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utilization(u16);

/// Devices with their utilization, where it is known.
pub type Report = BTreeMap<DevId, Option<Utilization>>;

impl Utilization {
    /// A disk that is never idle.
    pub const FULL: Utilization = Utilization(10_000);

    /// That of a disk that was busy for `spent` of `elapsed`.
    #[must_use]
    pub fn of(spent: Duration, elapsed: Duration) -> Utilization {
        let hundredths = spent.as_micros() * 10_000 / elapsed.as_micros().max(1);
        u16::try_from(hundredths).map_or(Utilization::FULL, |hundredths| {
            Utilization(hundredths).min(Utilization::FULL)
        })
    }

    /// Reads a percentage, with decimals or without; beyond 100 it is 100.
    #[must_use]
    pub fn parse(text: &str) -> Option<Utilization> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return None;
        }
        let two: String = decimals.chars().chain("00".chars()).take(2).collect();
        let hundredths = format!("{whole}{two}").parse().unwrap_or(u64::MAX);
        let hundredths = hundredths.min(u64::from(Utilization::FULL.0));
        u16::try_from(hundredths).ok().map(Utilization)
    }

    /// Hundredths of a percent, 0 to 10,000.
    #[must_use]
    pub fn hundredths(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Utilization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Measures from one look to the next.
#[derive(Debug)]
pub struct Meter {
    /// How long each disk had been busy when it was looked at.
    busy: BTreeMap<String, Duration>,
    at: Instant,
}

impl Meter {
    /// Begins to measure.
    ///
    /// # Errors
    /// The operating system's, if it keeps no such figures.
    pub fn start() -> io::Result<Meter> {
        Ok(Meter {
            busy: busy_of(&fs::read_to_string(DISKSTATS)?),
            at: now(),
        })
    }

    /// The utilization of each device since the last look. Blocks for a few small reads of the kernel's files.
    ///
    /// # Errors
    /// The operating system's.
    pub fn look(&mut self, devices: &[Arc<Device>]) -> io::Result<Report> {
        let (busy, at) = (busy_of(&fs::read_to_string(DISKSTATS)?), now());
        let elapsed = at.duration_since(self.at);
        let mut report = Report::new();
        for device in devices {
            // A file system without a disk of its own has no figures.
            let disk = device.disk().unwrap_or_default();
            let spent = busy
                .get(&disk)
                .zip(self.busy.get(&disk))
                .map(|(after, before)| after.saturating_sub(*before));
            report.insert(device.id(), spent.map(|spent| Utilization::of(spent, elapsed)));
        }
        (self.busy, self.at) = (busy, at);
        Ok(report)
    }
}

/// Each disk's busy time.
fn busy_of(diskstats: &str) -> BTreeMap<String, Duration> {
    let busy = diskstats.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.nth(NAME)?;
        let busy = fields.nth(BUSY - NAME - 1)?.parse().ok()?;
        Some((name.to_owned(), Duration::from_millis(busy)))
    });
    busy.collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the kernel's figures follow its own clock; no simulated clock drives it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_time_of_each_disk_is_read() {
        let text = " 254       0 vda 100 1 2 3 4 5 6 7 0 4321 9 1 2 3 4\n   8       1 sda1 1 1 1 1 1 1 1 1 0 17 1\n   7       0 loop0 1\n";

        let busy = busy_of(text);

        let millis = |name: &str| busy.get(name).map(Duration::as_millis);
        assert_eq!(
            (millis("vda"), millis("sda1"), millis("loop0")),
            (Some(4321), Some(17), None)
        );
    }

    #[test]
    fn utilization_is_busy_time_by_time() {
        for (spent_ms, expected) in [
            (0, "0.00"),
            (188, "18.80"),
            (1, "0.10"),
            (1500, "100.00"),
            (90_000_000, "100.00"),
        ] {
            let found = Utilization::of(Duration::from_millis(spent_ms), Duration::from_secs(1));

            assert_eq!(found.to_string(), expected);
        }
    }

    #[test]
    fn percentages_are_read_with_decimals_and_without() {
        for (text, expected) in [
            ("75.20", Some("75.20")),
            ("75", Some("75.00")),
            ("0.5", Some("0.50")),
            ("7.256", Some("7.25")),
            ("100.00", Some("100.00")),
            ("104.40", Some("100.00")),
            ("99999999999999999999999", Some("100.00")),
            ("-", None),
            ("", None),
            ("-1", None),
            ("1e2", None),
            (".5", None),
            ("5.", None),
        ] {
            let found = Utilization::parse(text).map(|found| found.to_string());

            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
