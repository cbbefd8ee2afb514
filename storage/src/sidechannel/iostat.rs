//! How busy the disks are: what `iostat -dx` tells a mogstored, read from the kernel's own figures.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs, io,
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

/// Measures from one look to the next.
#[derive(Debug)]
pub(super) struct Meter {
    /// When each disk was looked at, and how long it had been busy then.
    busy: BTreeMap<String, Duration>,
    at: Instant,
}

impl Meter {
    /// Begins to measure.
    ///
    /// # Errors
    /// The operating system's, if it keeps no such figures.
    pub(super) fn start() -> io::Result<Meter> {
        Ok(Meter {
            busy: busy_of(&fs::read_to_string(DISKSTATS)?),
            at: now(),
        })
    }

    /// The utilization of each device since the last look, a line each, and a line with a dot.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn look(&mut self, devices: &[Arc<Device>]) -> io::Result<String> {
        let (busy, at) = (busy_of(&fs::read_to_string(DISKSTATS)?), now());
        let elapsed = at.duration_since(self.at);
        let mut lines = BTreeMap::new();
        for device in devices {
            // A file system without a disk of its own has no figures.
            let disk = device.disk().unwrap_or_default();
            let spent = busy
                .get(&disk)
                .zip(self.busy.get(&disk))
                .map(|(after, before)| after.saturating_sub(*before));
            lines.insert(device.id(), spent);
        }
        (self.busy, self.at) = (busy, at);
        Ok(report(&lines, elapsed))
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

/// Writes what mogstored writes: percents with two decimals, `-` where nothing is known, bare line ends.
fn report(devices: &BTreeMap<DevId, Option<Duration>>, elapsed: Duration) -> String {
    let mut text = String::new();
    for (device, spent) in devices {
        let percent = match spent {
            Some(spent) => {
                let hundredths = spent.as_micros() * 10_000 / elapsed.as_micros().max(1);
                let hundredths = hundredths.min(10_000);
                format!("{}.{:02}", hundredths / 100, hundredths % 100)
            }
            None => "-".to_owned(),
        };
        writeln!(text, "{device}\t{percent}").expect("a string takes all text");
    }
    text.push_str(".\n");
    text
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
    fn percents_have_decimals_and_what_is_unknown_a_dash() {
        let device = |number| DevId::new(number).unwrap();
        let spent = BTreeMap::from([
            (device(1), Some(Duration::from_millis(188))),
            (device(2), None),
            (device(10), Some(Duration::from_millis(1500))),
        ]);

        let text = report(&spent, Duration::from_secs(1));

        assert_eq!(text, "1\t18.80\n2\t-\n10\t100.00\n.\n");
    }
}
