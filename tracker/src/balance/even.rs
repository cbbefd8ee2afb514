//! Evens devices out by percent used: which device gives next, which take, and how many bytes.
//!
//! A shift is half of what would bring its source down to the average, or its emptiest target up to it, whichever is less, and is
//! offered only to targets that stay below the average even if each byte of it goes to them. So a device above the average never
//! takes, one below never gives, and the differences shrink until all are within the margin: nothing is moved to and fro.

use mogul_storage::DevId;

use crate::view::{ClusterView, DeviceView};

/// Percent between the fullest device and the emptiest that are even enough, if the policy does not say.
pub(super) const WITHIN: u64 = 5;
/// The most that a policy may say.
pub(super) const WITHIN_MAX: u64 = 50;

/// Bytes of a MiB, in which `device` counts.
const MIB: u64 = 1 << 20;

/// Bytes that shall lie elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shift {
    /// The device that gives them.
    pub(crate) from: DevId,
    /// Those that may take them.
    pub(crate) to: Vec<DevId>,
    /// How many.
    pub(crate) bytes: u64,
}

/// A device as it counts here.
struct Filled {
    id: DevId,
    used: u64,
    total: u64,
    takes: bool,
}

impl Filled {
    /// What a device is filled with, if it takes part: it has figures, is in use, and is not to be emptied.
    fn of(view: &ClusterView, device: &DeviceView) -> Option<Filled> {
        let row = &device.device;
        let total = row.mb_total.filter(|total| *total > 0)?.saturating_mul(MIB);
        let counts = device.deletable() && !view.is_draining(row.id);
        counts.then_some(Filled {
            id: row.id,
            used: row.mb_used?.saturating_mul(MIB).min(total),
            total,
            takes: device.takes_files(),
        })
    }

    /// Used, in ten-thousandths.
    fn share(&self) -> u64 {
        ratio(self.used, 10_000, self.total)
    }
}

/// The devices that take part, and the bytes that each would have in use if all were even.
struct Scale {
    devices: Vec<Filled>,
    used: u64,
    total: u64,
}

impl Scale {
    fn of(view: &ClusterView) -> Scale {
        let devices: Vec<Filled> = view
            .devices()
            .filter_map(|device| Filled::of(view, device))
            .collect();
        let used = devices.iter().map(|device| device.used).sum();
        let total = devices.iter().map(|device| device.total).sum();
        Scale { devices, used, total }
    }

    fn fair(&self, device: &Filled) -> u64 {
        ratio(device.total, self.used, self.total)
    }

    fn takers(&self) -> impl Iterator<Item = (&Filled, u64)> {
        let takers = self.devices.iter().filter(|device| device.takes);
        takers.map(|device| (device, self.fair(device).saturating_sub(device.used)))
    }
}

/// The next shift, from the fullest device that is not one of `spent`; `None` if all are within `within` percent of each other,
/// or nothing more can be done about it.
pub(crate) fn shift(view: &ClusterView, within: u64, spent: &[DevId]) -> Option<Shift> {
    let scale = Scale::of(view);
    let givers = scale.devices.iter().filter(|device| !spent.contains(&device.id));
    let from = givers.max_by_key(|device| (device.share(), device.id))?;
    let (emptiest, _) = scale
        .takers()
        .min_by_key(|(device, _)| (device.share(), device.id))?;
    if from.share().saturating_sub(emptiest.share()) <= within * 100 {
        return None;
    }
    let surplus = from.used.saturating_sub(scale.fair(from));
    let room = scale.takers().map(|(_, room)| room).max().unwrap_or(0);
    let bytes = surplus.min(room) / 2;
    (bytes > 0).then(|| Shift {
        from: from.id,
        to: takers_of(view, bytes),
        bytes,
    })
}

/// The devices that can take so many bytes and stay below the average.
pub(crate) fn takers_of(view: &ClusterView, bytes: u64) -> Vec<DevId> {
    let scale = Scale::of(view);
    let takers = scale.takers().filter(|(_, room)| *room >= bytes);
    takers.map(|(device, _)| device.id).collect()
}

/// `part` times `of` by `whole`; `whole` is not 0 where a device counts.
fn ratio(part: u64, of: u64, whole: u64) -> u64 {
    let found = u128::from(part) * u128::from(of) / u128::from(whole.max(1));
    u64::try_from(found).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Device, DeviceStatus, Host, HostId, HostStatus},
        view::{Observation, Observed},
    };

    /// A host with a device for each pair of MiB: used, and in total.
    fn view(fills: &[(u64, u64)]) -> ClusterView {
        let host = |number: u32| Host {
            id: HostId(number),
            name: format!("host{number}"),
            status: HostStatus::Alive,
            ip: format!("127.0.0.{number}"),
            port: 7500,
            get_port: None,
            alt_ip: None,
            alt_mask: None,
        };
        let device = |(number, (used, total)): (u32, &(u64, u64))| Device {
            id: DevId::new(number).unwrap(),
            host: HostId(number),
            status: DeviceStatus::Alive,
            weight: 100,
            mb_total: Some(*total),
            mb_used: Some(*used),
            mb_asof: None,
            mark: None,
        };
        let devices: Vec<Device> = (1..).zip(fills).map(device).collect();
        let hosts = devices.iter().map(|device| host(device.id.get())).collect();
        let seen = Observation {
            state: Observed::Writable,
            free_bytes: Some(1 << 40),
            ..Observation::default()
        };
        let ids: Vec<DevId> = devices.iter().map(|device| device.id).collect();
        let view = ClusterView::default().with_devices(hosts, devices);
        ids.into_iter()
            .fold(view, |view, id| view.with_observation(id, seen))
    }

    fn index(device: DevId) -> usize {
        usize::try_from(device.get()).unwrap() - 1
    }

    #[test]
    fn the_fullest_gives_half_of_its_surplus_to_those_that_have_room() {
        let shift = shift(&view(&[(900, 1000), (500, 1000), (100, 1000)]), 5, &[]).unwrap();

        assert_eq!((index(shift.from), shift.bytes), (0, 200 * MIB));
        assert_eq!(shift.to, [DevId::new(3).unwrap()]);
    }

    #[test]
    fn devices_that_are_even_enough_keep_what_they_have() {
        assert_eq!(shift(&view(&[(520, 1000), (480, 1000)]), 5, &[]), None);
        assert_eq!(shift(&view(&[(52, 100), (480, 1000)]), 5, &[]), None);
        assert_eq!(shift(&view(&[(900, 1000)]), 5, &[]), None);
        assert_eq!(shift(&view(&[]), 5, &[]), None);
        assert!(shift(&view(&[(540, 1000), (480, 1000)]), 5, &[]).is_some());
    }

    #[test]
    fn all_come_within_the_margin_and_who_gives_never_takes() {
        for fills in [
            vec![(900, 1000), (500, 1000), (100, 1000)],
            vec![(10, 10_000), (9_000, 10_000)],
            vec![(950, 1000), (940, 1000), (930, 1000), (0, 4000)],
            vec![(100, 1000), (8_000, 10_000), (50, 100), (5, 20_000), (990, 1000)],
        ] {
            let mut now = fills.clone();
            let (mut gave, mut took) = (vec![false; now.len()], vec![false; now.len()]);
            let mut rounds = 0;
            while let Some(shift) = shift(&view(&now), 5, &[]) {
                // All of it goes to one of those to which it was offered.
                let to = index(shift.to[rounds % shift.to.len()]);
                let (from, amount) = (index(shift.from), (shift.bytes / MIB).max(1));
                now[from].0 -= amount;
                now[to].0 += amount;
                (gave[from], took[to]) = (true, true);
                rounds += 1;
                assert!(rounds < 200, "{fills:?} became {now:?}");
            }

            let shares = now.iter().map(|(used, total)| used * 100 / total);
            let spread = shares.clone().max().unwrap() - shares.min().unwrap();
            assert!(spread <= 6, "{fills:?} became {now:?}");
            let both = gave.iter().zip(&took).filter(|(gave, took)| **gave && **took);
            assert_eq!(both.count(), 0, "{fills:?}");
        }
    }
}
