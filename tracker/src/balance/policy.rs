//! The policy of a rebalance: `key=value` separated by blanks.

use mogul_storage::DevId;

use super::even::{WITHIN, WITHIN_MAX, shift};
use crate::{
    meta::replicas::Age,
    model::{Device, HostId},
    view::{ClusterView, DeviceView},
};

/// Which devices give copies away, which take them, and how much is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    from: Filter,
    to: Filter,
    age: Age,
    scope: LimitScope,
    limit: Limit,
    /// Targets that are offered for each file; `None` for all.
    targets: Option<usize>,
    /// What becomes of a source device that is done.
    after: AfterSource,
    /// Percent of each other within which devices are even enough, where that is all there is to the policy.
    even: Option<u64>,
}

/// What a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitScope {
    /// Each source device.
    Device,
    /// The whole run.
    Global,
}

/// How much is moved at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Everything.
    None,
    /// So many files.
    Count(u64),
    /// So many bytes.
    Bytes(u64),
    /// So many percent of what a source device has in use.
    Percent(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterSource {
    Alive,
    Drain,
}

/// Why a text is no policy. The first is the original's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No such key.
    #[error("Invalid setting {0}")]
    UnknownKey(String),
    /// The key cannot have this value. The original finds out when it runs.
    #[error("Invalid value of {key}: {value}")]
    BadValue {
        /// The key.
        key: String,
        /// What was given.
        value: String,
    },
}

/// Which devices a policy names. What is not given holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Filter {
    devices: Vec<u32>,
    hosts: Vec<u32>,
    not_devices: Vec<u32>,
    not_hosts: Vec<u32>,
    percent_used: Option<u64>,
    percent_free: Option<u64>,
    space_used: Option<u64>,
    space_free: Option<u64>,
}

impl Balance {
    /// Reads a policy. The empty text is one: it moves everything from everywhere. Beyond the original's language there is `auto`,
    /// with `within=N` or without, which evens devices out until their percents used differ by no more than N.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<Balance, PolicyError> {
        let mut policy = Balance {
            from: Filter::default(),
            to: Filter::default(),
            age: Age::Oldest,
            scope: LimitScope::Device,
            limit: Limit::None,
            targets: None,
            after: AfterSource::Alive,
            even: None,
        };
        let mut words = text.split_whitespace();
        if words.next() == Some("auto") {
            policy.even = Some(within(words)?);
            return Ok(policy);
        }
        let mut limited = ("none", None);
        for pair in text.split_whitespace() {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let bad = || PolicyError::BadValue {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            match (key, value) {
                // Both are kept for nothing in the original, too.
                ("from_all_devs" | "to_all_devs", _) => {}
                ("fid_age", "old") => policy.age = Age::Oldest,
                ("fid_age", "new") => policy.age = Age::Newest,
                ("limit_type", "device") => policy.scope = LimitScope::Device,
                ("limit_type", "global") => policy.scope = LimitScope::Global,
                ("limit_by", "none" | "count" | "size" | "percent") => limited.0 = value,
                ("limit", _) => limited.1 = Some(amount(value).ok_or_else(bad)?),
                ("use_dest_devs", "all") => policy.targets = None,
                ("use_dest_devs", _) => {
                    let number = value.parse().ok().filter(|number| *number > 0);
                    policy.targets = Some(number.ok_or_else(bad)?);
                }
                ("leave_in_drain_mode", "" | "0") => policy.after = AfterSource::Alive,
                ("leave_in_drain_mode", _) => policy.after = AfterSource::Drain,
                ("fid_age" | "limit_type" | "limit_by", _) => return Err(bad()),
                _ => policy.filter(key, value).ok_or_else(|| {
                    if Balance::is_filter(key) {
                        bad()
                    } else {
                        PolicyError::UnknownKey(key.to_owned())
                    }
                })?,
            }
        }
        policy.limit = match limited {
            ("count", Some(limit)) => Limit::Count(limit),
            ("size", Some(limit)) => Limit::Bytes(limit),
            ("percent", Some(limit)) => Limit::Percent(limit),
            _ => Limit::None,
        };
        Ok(policy)
    }

    /// Takes a key of one of the filters. `None` if it is none, or has no such value.
    fn filter(&mut self, key: &str, value: &str) -> Option<()> {
        let numbers = || -> Option<Vec<u32>> {
            let numbers = value.split(',').filter(|number| !number.is_empty());
            numbers.map(|number| number.parse().ok()).collect()
        };
        let amount = || value.parse().ok().map(Some);
        match key {
            "from_devices" => self.from.devices = numbers()?,
            "from_hosts" => self.from.hosts = numbers()?,
            "from_percent_used" => self.from.percent_used = amount()?,
            "from_percent_free" => self.from.percent_free = amount()?,
            "from_space_used" => self.from.space_used = amount()?,
            "from_space_free" => self.from.space_free = amount()?,
            "to_devices" => self.to.devices = numbers()?,
            "to_hosts" => self.to.hosts = numbers()?,
            "not_to_devices" => self.to.not_devices = numbers()?,
            "not_to_hosts" => self.to.not_hosts = numbers()?,
            "to_percent_used" => self.to.percent_used = amount()?,
            "to_percent_free" => self.to.percent_free = amount()?,
            "to_space_used" => self.to.space_used = amount()?,
            "to_space_free" => self.to.space_free = amount()?,
            _ => return None,
        }
        Some(())
    }

    fn is_filter(key: &str) -> bool {
        const FILTERS: [&str; 14] = [
            "from_devices",
            "from_hosts",
            "from_percent_used",
            "from_percent_free",
            "from_space_used",
            "from_space_free",
            "to_devices",
            "to_hosts",
            "not_to_devices",
            "not_to_hosts",
            "to_percent_used",
            "to_percent_free",
            "to_space_used",
            "to_space_free",
        ];
        FILTERS.contains(&key)
    }

    /// Within how many percent of each other devices shall be; `None` if the policy is one of the original's.
    #[must_use]
    pub fn evens_out(&self) -> Option<u64> {
        self.even
    }

    /// The devices that give copies away, by number: those that may be deleted from. One that is being drained does so anyway.
    #[must_use]
    pub fn sources(&self, view: &ClusterView) -> Vec<DevId> {
        if let Some(within) = self.even {
            return shift(view, within, &[])
                .map(|shift| shift.from)
                .into_iter()
                .collect();
        }
        let sources = view
            .devices()
            .filter(|device| device.deletable() && self.from.accepts(device))
            .filter(|device| !view.is_draining(device.device.id));
        sources.map(|device| device.device.id).collect()
    }

    /// The devices that take copies, by number: those that take new files, but none of `except`.
    #[must_use]
    pub fn targets(&self, view: &ClusterView, except: &[DevId]) -> Vec<DevId> {
        if let Some(within) = self.even {
            return shift(view, within, &[]).map_or_else(Vec::new, |shift| shift.to);
        }
        let targets = view
            .devices()
            .filter(|device| device.takes_files() && self.to.accepts(device));
        targets
            .map(|device| device.device.id)
            .filter(|device| !except.contains(device))
            .collect()
    }

    /// How many targets are offered for each file; `None` for all.
    #[must_use]
    pub fn targets_per_file(&self) -> Option<usize> {
        self.targets
    }

    /// Which files of a device come first.
    pub(crate) fn age(&self) -> Age {
        self.age
    }

    /// What the limit is for.
    #[must_use]
    pub fn scope(&self) -> LimitScope {
        self.scope
    }

    /// Whether a source device that is done stays in state drain.
    #[must_use]
    pub fn leaves_in_drain(&self) -> bool {
        self.after == AfterSource::Drain
    }

    /// What the limit comes to for a device, or for a run that begins with it: files or bytes; 0 if there is none.
    #[must_use]
    pub fn amount(&self, device: Option<&Device>) -> u64 {
        match self.limit {
            Limit::None => 0,
            Limit::Count(amount) | Limit::Bytes(amount) => amount,
            Limit::Percent(percent) => {
                let used = device.and_then(|device| device.mb_used).unwrap_or(0);
                used.saturating_mul(1 << 20) / 100 * percent
            }
        }
    }

    /// What a file of `size` bytes takes off the limit; `None` if nothing is limited.
    #[must_use]
    pub fn cost(&self, size: u64) -> Option<u64> {
        match self.limit {
            Limit::None => None,
            Limit::Count(_) => Some(1),
            Limit::Bytes(_) | Limit::Percent(_) => Some(size),
        }
    }
}

impl Filter {
    fn accepts(&self, view: &DeviceView) -> bool {
        let device = &view.device;
        let HostId(host) = device.host;
        let named = |list: &[u32], number| list.is_empty() || list.contains(&number);
        let above = |floor: Option<u64>, found: Option<u64>| match floor {
            // The original takes 0 for not given.
            None | Some(0) => true,
            Some(floor) => found.is_some_and(|found| found > floor),
        };
        let total = device.mb_total.filter(|total| *total > 0);
        let free = total
            .zip(device.mb_used)
            .map(|(total, used)| total.saturating_sub(used));
        let percent = |part: Option<u64>| {
            part.zip(total)
                .map(|(part, total)| part.saturating_mul(100) / total)
        };
        named(&self.devices, device.id.get())
            && named(&self.hosts, host)
            && !self.not_devices.contains(&device.id.get())
            && !self.not_hosts.contains(&host)
            && above(self.percent_used, percent(device.mb_used))
            && above(self.percent_free, percent(free))
            && above(self.space_used, device.mb_used)
            && above(self.space_free, free)
    }
}

/// The margin of `auto`: what follows it.
fn within<'t>(words: impl Iterator<Item = &'t str>) -> Result<u64, PolicyError> {
    let mut margin = WITHIN;
    for pair in words {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key != "within" {
            return Err(PolicyError::UnknownKey(key.to_owned()));
        }
        let number = value.parse().ok();
        let number = number.filter(|number| (1..=WITHIN_MAX).contains(number));
        margin = number.ok_or_else(|| PolicyError::BadValue {
            key: key.to_owned(),
            value: value.to_owned(),
        })?;
    }
    Ok(margin)
}

/// A number with an optional suffix: b, k, m, g, t, p, by 1,024.
fn amount(text: &str) -> Option<u64> {
    let (digits, shift) = match text.to_ascii_lowercase().chars().last()? {
        'b' => (&text[..text.len() - 1], 0),
        'k' => (&text[..text.len() - 1], 10),
        'm' => (&text[..text.len() - 1], 20),
        'g' => (&text[..text.len() - 1], 30),
        't' => (&text[..text.len() - 1], 40),
        'p' => (&text[..text.len() - 1], 50),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{DeviceStatus, Host, HostStatus},
        view::{Observation, Observed},
    };

    fn dev(id: u32) -> DevId {
        DevId::new(id).unwrap()
    }

    /// Hosts 1 and 2 with devices 1 to 4, two each: 10, 20, 30 and 40 percent of 1,000 MiB used. Device 5 of host 3 is
    /// readonly.
    fn view() -> ClusterView {
        let host = |id: u32| Host {
            id: HostId(id),
            name: format!("host{id}"),
            status: HostStatus::Alive,
            ip: format!("127.0.0.{id}"),
            port: 7500,
            get_port: None,
            alt_ip: None,
            alt_mask: None,
        };
        let device = |id: u32| Device {
            id: dev(id),
            host: HostId(id.div_ceil(2)),
            status: if id == 5 {
                DeviceStatus::ReadOnly
            } else {
                DeviceStatus::Alive
            },
            weight: 100,
            mb_total: Some(1000),
            mb_used: Some(u64::from(id) * 100),
            mb_asof: None,
            mark: None,
        };
        let view = ClusterView::default()
            .with_devices([1, 2, 3].map(host).to_vec(), [1, 2, 3, 4, 5].map(device).to_vec());
        (1..=5).fold(view, |view, id| {
            let seen = Observation {
                state: Observed::Writable,
                free_bytes: Some(1 << 30),
                ..Observation::default()
            };
            view.with_observation(dev(id), seen)
        })
    }

    fn numbers(devices: &[DevId]) -> Vec<u32> {
        devices.iter().map(|device| device.get()).collect()
    }

    #[test]
    fn sources_and_targets_are_those_that_the_policy_names() {
        for (policy, sources, targets) in [
            ("", vec![1, 2, 3, 4], vec![]),
            ("from_devices=1,2 to_devices=4", vec![1, 2], vec![4]),
            ("from_devices=1", vec![1], vec![2, 3, 4]),
            ("from_devices=5", vec![], vec![1, 2, 3, 4]),
            ("from_hosts=1", vec![1, 2], vec![3, 4]),
            ("from_percent_used=20", vec![3, 4], vec![1, 2]),
            ("from_percent_free=70", vec![1, 2], vec![3, 4]),
            ("from_space_used=399", vec![4], vec![1, 2, 3]),
            ("from_space_free=800", vec![1], vec![2, 3, 4]),
            ("from_devices=1 to_hosts=2", vec![1], vec![3, 4]),
            ("from_devices=1 not_to_hosts=2", vec![1], vec![2]),
            ("from_devices=1 not_to_devices=2,3", vec![1], vec![4]),
            ("from_devices=4 to_percent_free=80", vec![4], vec![1]),
            ("from_devices=4 to_space_used=100", vec![4], vec![2, 3]),
        ] {
            let balance = Balance::parse(policy).unwrap();
            let view = view();

            let found = balance.sources(&view);
            assert_eq!(numbers(&found), sources, "sources of {policy}");
            assert_eq!(
                numbers(&balance.targets(&view, &found)),
                targets,
                "targets of {policy}"
            );
        }
    }

    #[test]
    fn limits_are_read_with_their_units() {
        for (policy, amount, cost) in [
            ("", 0, None),
            ("limit=5", 0, None),
            ("limit_by=count limit=2", 2, Some(1)),
            ("limit_by=size limit=5m", 5 << 20, Some(700)),
            ("limit_by=size limit=7", 7, Some(700)),
            ("limit_by=percent limit=50", 50 << 20, Some(700)),
        ] {
            let balance = Balance::parse(policy).unwrap();

            let view = view();
            let device = &view.device(dev(1)).unwrap().device;
            assert_eq!(balance.amount(Some(device)), amount, "{policy}");
            assert_eq!(balance.cost(700), cost, "{policy}");
        }
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_originals_words() {
        for (text, words) in [
            ("nosuch=1", "Invalid setting nosuch"),
            ("from_devices=1 bogus", "Invalid setting bogus"),
            ("from_devices=x", "Invalid value of from_devices: x"),
            ("limit_by=weight", "Invalid value of limit_by: weight"),
            ("limit=5x", "Invalid value of limit: 5x"),
            ("use_dest_devs=0", "Invalid value of use_dest_devs: 0"),
            ("auto from_devices=1", "Invalid setting from_devices"),
            ("auto within=51", "Invalid value of within: 51"),
            ("from_devices=1 auto", "Invalid setting auto"),
        ] {
            assert_eq!(Balance::parse(text).unwrap_err().to_string(), words);
        }
    }
}
