//! Which devices a new file goes to. Pure: plain data in, plain data out; chance comes in as numbers.
//!
//! A device is drawn with a probability that is its share of the free space, so that devices of different sizes
//! fill at the same pace. The original draws among the twenty emptiest by percentage, and compares device ids with
//! host ids when it spreads over hosts (mogilefs.md §9.1); neither is kept.

use std::collections::BTreeSet;

use mogul_storage::DevId;

use crate::{
    model::{DeviceStatus, HostId, ZoneName},
    policy::{Advice, PolicyDevice, PolicySpec, Situation},
};

/// A device that is in use: alive, on a host that is alive, seen to be writeable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub id: DevId,
    /// Its host.
    pub host: HostId,
    /// The network zone that its host is in, if it is in one.
    pub zone: Option<ZoneName>,
    /// Free bytes.
    pub free_bytes: u64,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// How many devices.
    pub copies: usize,
    /// Bytes that will be written; 0 if unknown.
    pub size: u64,
    /// Bytes that must stay free.
    pub min_free_bytes: u64,
    /// How the copies shall be spread.
    pub policy: &'a PolicySpec,
    /// The class's `mindevcount`.
    pub mindevcount: u8,
    /// Devices to take first, in this order.
    pub prefer: &'a [DevId],
}

/// Chooses at most `wish.copies` devices, best first, never one twice; fewer if there are not as many.
///
/// `chance` gives uniform random numbers.
#[must_use]
pub fn choose(candidates: &[Candidate], wish: &Wish<'_>, chance: impl FnMut() -> u64) -> Vec<DevId> {
    let room = wish.size.saturating_add(wish.min_free_bytes);
    let with_room: Vec<Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.free_bytes > room)
        .cloned()
        .collect();
    let order = preferred_first(shuffle(with_room, chance), wish.prefer);
    let mut chosen = well_spread(&order, wish);
    for candidate in &order {
        if chosen.len() >= wish.copies {
            break;
        }
        if !chosen.contains(&candidate.id) {
            chosen.push(candidate.id);
        }
    }
    chosen
}

/// Puts candidates into a random order in which those with much free space tend to come first.
#[must_use]
pub fn shuffle(mut candidates: Vec<Candidate>, mut chance: impl FnMut() -> u64) -> Vec<Candidate> {
    let mut order = Vec::with_capacity(candidates.len());
    while !candidates.is_empty() {
        order.push(candidates.remove(draw(&candidates, chance())));
    }
    order
}

/// The index of a candidate, drawn by free space.
fn draw(candidates: &[Candidate], chance: u64) -> usize {
    // One byte more each: a full device among full devices can be drawn, too.
    let weight = |candidate: &Candidate| u128::from(candidate.free_bytes) + 1;
    let total: u128 = candidates.iter().map(weight).sum();
    // 32 bits of chance: the product stays below 2^128, and a share of 1 in 2^32 is drawn by nobody's eye.
    let mut point = (total * u128::from(chance >> 32)) >> 32;
    for (index, candidate) in candidates.iter().enumerate() {
        match point.checked_sub(weight(candidate)) {
            Some(rest) => point = rest,
            None => return index,
        }
    }
    candidates.len() - 1
}

/// Moves the preferred devices to the front, in the order of preference.
fn preferred_first(mut order: Vec<Candidate>, prefer: &[DevId]) -> Vec<Candidate> {
    let rank = |candidate: &Candidate| prefer.iter().position(|id| *id == candidate.id);
    order.sort_by_key(|candidate| rank(candidate).unwrap_or(usize::MAX));
    order
}

/// As many devices as are wanted and can be had where the policy would have them; none if it does not care.
fn well_spread(order: &[Candidate], wish: &Wish<'_>) -> Vec<DevId> {
    match wish.policy {
        PolicySpec::MultipleDevices { .. } => Vec::new(),
        PolicySpec::MultipleHosts { .. } => {
            let mut hosts = BTreeSet::new();
            let apart = order.iter().filter(|candidate| hosts.insert(candidate.host));
            apart.take(wish.copies).map(|candidate| candidate.id).collect()
        }
        PolicySpec::MultipleNetworks { .. }
        | PolicySpec::HostsPerNetwork { .. }
        | PolicySpec::Union { .. } => as_advised(order, wish),
    }
}

/// The devices that the policy advises one after the other, as if each had taken its copy.
fn as_advised(order: &[Candidate], wish: &Wish<'_>) -> Vec<DevId> {
    let see = |candidate: &Candidate| PolicyDevice {
        id: candidate.id,
        host: candidate.host,
        zone: candidate.zone.clone(),
        status: DeviceStatus::Alive,
        takes_files: true,
    };
    let devices: Vec<PolicyDevice> = order.iter().map(see).collect();
    let mut chosen = Vec::new();
    while chosen.len() < wish.copies {
        let advice = wish.policy.advise(&Situation {
            mindevcount: wish.mindevcount,
            on: &chosen,
            failed: &[],
            devices: &devices,
        });
        let ideal = match advice {
            Advice::CopyTo { ideal, .. } => ideal,
            Advice::Happy | Advice::TooHappy | Advice::NoAnswer => break,
        };
        match order.iter().find(|candidate| ideal.contains(&candidate.id)) {
            Some(next) => chosen.push(next.id),
            None => break,
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn candidate(id: u32, host: u32, free_bytes: u64) -> Candidate {
        Candidate {
            id: DevId::new(id).unwrap(),
            host: HostId(host),
            zone: None,
            free_bytes,
        }
    }

    fn wish(copies: usize) -> Wish<'static> {
        Wish {
            copies,
            size: 0,
            min_free_bytes: 0,
            policy: &PolicySpec::DEFAULT,
            mindevcount: 2,
            prefer: &[],
        }
    }

    /// A small generator (`SplitMix64`) with a fixed seed: the tests count frequencies.
    fn chance() -> impl FnMut() -> u64 {
        let mut state = 7_u64;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    fn ids(devices: &[DevId]) -> Vec<u32> {
        devices.iter().map(|device| device.get()).collect()
    }

    #[test]
    fn copies_go_to_different_hosts_while_there_are_hosts() {
        let devices = [
            candidate(1, 1, 100 * GIB),
            candidate(2, 1, 100 * GIB),
            candidate(3, 2, GIB),
        ];
        let mut chance = chance();

        for _ in 0..200 {
            let two = choose(&devices, &wish(2), &mut chance);
            let three = choose(&devices, &wish(3), &mut chance);

            assert!(ids(&two).contains(&3), "{two:?}");
            assert_eq!(three.len(), 3);
            assert!(
                ids(&three[..2]).contains(&3),
                "the crowded one comes last: {three:?}"
            );
        }
    }

    #[test]
    fn no_device_is_chosen_twice_and_none_is_invented() {
        let devices = [candidate(1, 1, GIB), candidate(2, 1, GIB)];

        let mut chosen = ids(&choose(&devices, &wish(5), chance()));
        chosen.sort_unstable();

        assert_eq!(chosen, [1, 2]);
        assert!(choose(&[], &wish(2), chance()).is_empty());
    }

    #[test]
    fn devices_without_room_are_left_out() {
        let devices = [candidate(1, 1, 10 * GIB), candidate(2, 2, 2 * GIB)];
        let wish = Wish {
            size: GIB,
            min_free_bytes: GIB,
            ..wish(2)
        };

        assert_eq!(ids(&choose(&devices, &wish, chance())), [1]);
    }

    #[test]
    fn preferred_devices_come_first_unless_they_lack_room() {
        let devices = [
            candidate(1, 1, 50 * GIB),
            candidate(2, 2, GIB),
            candidate(3, 3, 50 * GIB),
        ];
        let prefer = [2, 9, 1].map(|id| DevId::new(id).unwrap());
        let preferring = Wish {
            prefer: &prefer,
            ..wish(2)
        };
        let large = Wish {
            size: 5 * GIB,
            ..preferring
        };

        assert_eq!(ids(&choose(&devices, &preferring, chance())), [2, 1]);
        assert_eq!(ids(&choose(&devices, &large, chance())), [1, 3]);
    }

    #[test]
    fn copies_go_where_the_zones_of_the_policy_are() {
        let in_zone = |id, host, zone| Candidate {
            zone: ZoneName::parse(zone),
            ..candidate(id, host, GIB)
        };
        let devices = [
            in_zone(1, 1, "near"),
            in_zone(2, 1, "near"),
            in_zone(3, 2, "near"),
            in_zone(4, 3, "far"),
            in_zone(5, 3, "far"),
        ];
        let mut chance = chance();
        for (policy, near, far) in [
            ("HostsPerNetwork(near=2,far=1)", 2, 1),
            ("HostsPerNetwork(near=1,far=2)", 1, 2),
            ("MultipleNetworks(3)", 2, 1),
            ("Union(MultipleHosts(2),HostsPerNetwork(far=1))", 1, 1),
        ] {
            let policy = &PolicySpec::parse(policy).unwrap();
            for _ in 0..100 {
                let chosen = ids(&choose(
                    &devices,
                    &Wish {
                        policy,
                        ..wish(near + far)
                    },
                    &mut chance,
                ));

                let in_near = chosen.iter().filter(|id| **id <= 3).count();
                assert_eq!(
                    (in_near, chosen.len()),
                    (near, near + far),
                    "{policy:?} {chosen:?}"
                );
                assert!(
                    near < 2 || chosen.contains(&3),
                    "both hosts: {policy:?} {chosen:?}"
                );
            }
        }
    }

    #[test]
    fn devices_are_drawn_by_their_free_space() {
        let devices = [candidate(1, 1, 3 * GIB), candidate(2, 2, GIB), candidate(3, 3, 0)];
        let policy = &PolicySpec::MultipleDevices { copies: None };
        let mut chance = chance();
        let mut first = [0_u32; 2];

        for _ in 0..4000 {
            let chosen = choose(&devices, &Wish { policy, ..wish(1) }, &mut chance);
            first[usize::try_from(chosen[0].get()).unwrap() - 1] += 1;
        }

        assert!((2850..3150).contains(&first[0]), "three quarters: {first:?}");
    }
}
