//! How full a device is, as the node's `usage` file tells it (MogileFS `mogstored`).

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Bytes in the unit of the usage file.
const KIB: u64 = 1024;

/// Figures of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Used plus available bytes; what is reserved for the superuser is left out.
    pub total_bytes: u64,
    /// Used bytes.
    pub used_bytes: u64,
    /// Bytes that can still be written.
    pub available_bytes: u64,
    /// When this was read, unix seconds of the node; 0 if it does not tell (original trackers do not ask).
    pub asof: i64,
    /// How long clients have kept the device busy since its node started, if it tells: ours do.
    pub clients: Option<Duration>,
}

impl Usage {
    /// Reads a usage file, of our node or of an original one.
    pub(crate) fn parse(text: &str) -> Option<Usage> {
        let field = |name: &str| {
            let mut fields = text.lines().filter_map(|line| line.split_once(':'));
            fields
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim())
        };
        let bytes = |name: &str| field(name)?.parse::<u64>().ok()?.checked_mul(KIB);
        let (total_bytes, used_bytes) = (bytes("total")?, bytes("used")?);
        Some(Usage {
            total_bytes,
            used_bytes,
            available_bytes: bytes("available").unwrap_or(total_bytes.saturating_sub(used_bytes)),
            asof: field("time").and_then(|time| time.parse().ok()).unwrap_or(0),
            clients: None,
        })
    }
}

/// The text of a device's usage file: what `df -P -l -k` says of its directory.
pub(crate) fn read(folder: &Path) -> io::Result<String> {
    let about = rustix::fs::statvfs(folder)?;
    let in_kib = |blocks: u64| blocks.saturating_mul(about.f_frsize) / KIB;
    // Original trackers take a device of which nothing is used for one that cannot be read (MogileFS reference §7).
    let used = in_kib(about.f_blocks.saturating_sub(about.f_bfree)).max(1);
    let available = in_kib(about.f_bavail);
    let total = used + available;
    // As df does: parts of a percent count as a whole one.
    let percent = (used * 100).div_ceil(total.max(1));
    let (device, disk) = mount_of(folder)?;
    let time = unix_seconds();
    Ok(format!(
        "available: {available}\ndevice: {device}\ndisk: {disk}\ntime: {time}\ntotal: {total}\nuse: {percent}%\nused: {used}\n"
    ))
}

/// The name of the block device that a folder lies on, without its path: `sda1`.
pub(crate) fn disk_of(folder: &Path) -> io::Result<String> {
    let (device, _) = mount_of(folder)?;
    // Volumes are links to the names that the kernel's statistics have.
    let device = Path::new(&device).canonicalize()?;
    let name = device.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// What is mounted where the folder lies, and the mount point if it is the folder itself, else the folder.
fn mount_of(folder: &Path) -> io::Result<(String, String)> {
    let folder = folder.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount = mounts
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, rest)| rest.split(' ').next().is_some_and(|at| folder.starts_with(at)))
        .max_by_key(|(_, rest)| rest.find(' '));
    let device = mount.map_or("none", |(device, _)| device);
    Ok((device.to_owned(), folder.display().to_string()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the usage file and the side channel tell the node's own clock, by which others see that it is alive"
)]
pub(crate) fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_a_folder_reads_back_and_adds_up() {
        let folder = tempfile::tempdir().unwrap();

        let text = read(folder.path()).unwrap();

        let usage = Usage::parse(&text).unwrap();
        assert_eq!(usage.total_bytes, usage.used_bytes + usage.available_bytes);
        assert!(usage.used_bytes > 0, "{text}");
        assert!(usage.asof > 1_700_000_000, "{text}");
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0))
            .collect();
        assert_eq!(
            names,
            ["available", "device", "disk", "time", "total", "use", "used"]
        );
    }

    #[test]
    fn an_original_usage_file_is_understood() {
        let text = "available: 77719148\ndevice: /dev/vda\ndisk: /var/mogdata/dev1\ntime: 1795332234\ntotal: 95285888\n\
                    use: 19%\nused: 17566740\n\n";

        let expected = Usage {
            total_bytes: 95_285_888 * 1024,
            used_bytes: 17_566_740 * 1024,
            available_bytes: 77_719_148 * 1024,
            asof: 1_795_332_234,
            clients: None,
        };
        assert_eq!(Usage::parse(text), Some(expected));
        assert_eq!(Usage::parse("total: 5\n"), None);
    }
}
