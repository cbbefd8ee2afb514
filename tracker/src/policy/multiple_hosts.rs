//! `MultipleHosts`: copies on different hosts as long as there are hosts, then on different devices
//! (`MogileFS/ReplicationPolicy/MultipleHosts.pm`).

use super::{Advice, Spread};

/// Says what is to be done with a file that wants `copies` copies.
///
/// Two copies on one host while another host could have one ask for a third copy there; after that the file has one
/// too many, and a copy is dropped: this is how copies move apart.
pub(super) fn advise(copies: u8, spread: &Spread) -> Advice {
    let (copies, on, hosts_on) = (usize::from(copies), spread.on.len(), spread.hosts_on.len());
    if copies == 1 && on == 1 {
        return Advice::Happy;
    }
    if hosts_on > copies || on > copies {
        return Advice::TooHappy;
    }
    let all_hosts_used = hosts_on >= spread.hosts;
    let everywhere = on >= 2 && on == spread.devices;
    if hosts_on == copies || (all_hosts_used && on >= copies) || everywhere {
        return Advice::Happy;
    }
    let is_used = |device: &super::PolicyDevice| spread.hosts_on.contains(&device.host);
    let (ideal, desperate) = if all_hosts_used {
        (spread.candidates(|_| true), Vec::new())
    } else {
        (
            spread.candidates(|device| !is_used(device)),
            spread.candidates(is_used),
        )
    };
    let enough_but_crowded = on >= copies && ideal.is_empty();
    if enough_but_crowded || (ideal.is_empty() && desperate.is_empty()) {
        return Advice::NoAnswer;
    }
    Advice::CopyTo { ideal, desperate }
}

#[cfg(test)]
mod tests {
    use mogul_storage::DevId;

    use super::super::{Advice, PolicyDevice, PolicySpec, Situation};
    use crate::model::{DeviceStatus, HostId};

    /// Reads `h1[d1=X d2=_] h2=down[d3=_,dead]`: the notation of the original's own tests.
    fn parse(layout: &str) -> (Vec<DevId>, Vec<PolicyDevice>) {
        let (mut on, mut devices) = (Vec::new(), Vec::new());
        for (number, host) in (1..).zip(layout.split_inclusive(']')) {
            let (name, inside) = host.trim().trim_end_matches(']').split_once('[').unwrap();
            let host_alive = !name.ends_with("=down");
            for device in inside.split_whitespace() {
                let (id, state) = device[1..].split_once('=').unwrap();
                let (copy, status) = state.split_once(',').unwrap_or((state, "alive"));
                let status = match status {
                    "alive" => DeviceStatus::Alive,
                    "dead" => DeviceStatus::Dead,
                    "down" => DeviceStatus::Down,
                    "drain" => DeviceStatus::Drain,
                    other => panic!("{other}"),
                };
                let id = DevId::new(id.parse().unwrap()).unwrap();
                if copy == "X" {
                    on.push(id);
                }
                devices.push(PolicyDevice {
                    id,
                    host: HostId(number),
                    status,
                    takes_files: host_alive && status == DeviceStatus::Alive,
                });
            }
        }
        (on, devices)
    }

    fn render(advice: &Advice) -> String {
        let list = |devices: &[DevId]| {
            let ids: Vec<String> = devices.iter().map(ToString::to_string).collect();
            ids.join(",")
        };
        match advice {
            Advice::Happy => "good".to_owned(),
            Advice::TooHappy => "too_good".to_owned(),
            Advice::NoAnswer => "no_answer".to_owned(),
            Advice::CopyTo { ideal, desperate } => {
                let ideal = (!ideal.is_empty()).then(|| format!("ideal({})", list(ideal)));
                let desperate = (!desperate.is_empty()).then(|| format!("desperate({})", list(desperate)));
                [ideal, desperate]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        }
    }

    fn check(policy: &str, min: u8, layout: &str, expected: &str) {
        let (on, devices) = parse(layout);
        let advice = PolicySpec::parse(policy).unwrap().advise(&Situation {
            mindevcount: min,
            on: &on,
            failed: &[],
            devices: &devices,
        });
        assert_eq!(render(&advice), expected, "{policy} min={min} {layout}");
    }

    #[test]
    fn multiple_hosts_answers_as_the_original_does() {
        for (min, layout, expected) in [
            (2, "h1[d1=X d2=_] h2[d3=X d4=_]", "good"),
            (2, "h1[d1=X d2=_] h2[d3=_ d4=_]", "ideal(3,4) desperate(2)"),
            (2, "h1[d1=X d2=X] h2[d3=_ d4=_]", "ideal(3,4)"),
            (2, "h1[d1=_ d2=_] h2[d3=_ d4=_]", "ideal(1,2,3,4)"),
            (2, "h1[d1=X d2=_] h2=down[d3=_ d4=_]", "desperate(2)"),
            (
                2,
                "h1[d1=X d2=_] h2=down[d3=_ d4=_] h3[d5=_ d6=_]",
                "ideal(5,6) desperate(2)",
            ),
            (2, "h1[d1=_ d2=X,dead] h2[d3=X d4=_]", "ideal(1) desperate(4)"),
            (3, "h1[d1=_ d2=X] h2[d3=X d4=_]", "ideal(1,4)"),
            (
                3,
                "h1[d1=_ d2=X] h2[d3=X d4=_] h3[d5=_]",
                "ideal(5) desperate(1,4)",
            ),
            (3, "h1[d1=_ d2=X] h2[d3=X d4=_] h3=down[d5=_]", "desperate(1,4)"),
            (2, "h1[d1=X] h2[d2=X] h3[d3=X]", "too_good"),
            (2, "h1[d1=X d2=X] h2[d3=X]", "too_good"),
            (3, "h1[d1=_ d2=X] h2[d3=X d4=X]", "good"),
            (2, "h1[d1=X,drain d2=_] h2[d3=X d4=_]", "good"),
            (1, "h1[d1=X d2=_]", "good"),
            (1, "h1[d1=X d2=X]", "too_good"),
            (2, "h1[d1=X d2=X]", "good"),
            (2, "h1[d1=X]", "no_answer"),
            (2, "h1[d1=X d2=X] h2=down[d3=_]", "no_answer"),
        ] {
            check("MultipleHosts()", min, layout, expected);
        }
    }

    #[test]
    fn multiple_devices_does_not_look_at_hosts() {
        for (min, layout, expected) in [
            (2, "h1[d1=X d2=X] h2[d3=_]", "good"),
            (2, "h1[d1=X d2=_] h2[d3=_]", "ideal(2,3)"),
            (2, "h1[d1=X d2=X d3=X]", "too_good"),
            (3, "h1[d1=X d2=X]", "good"),
            (2, "h1[d1=X]", "no_answer"),
            (2, "h1[d1=X d2=_,down]", "no_answer"),
        ] {
            check("MultipleDevices()", min, layout, expected);
        }
    }

    #[test]
    fn the_argument_overrides_the_class() {
        check("MultipleHosts(3)", 1, "h1[d1=X] h2[d2=X] h3[d3=_]", "ideal(3)");
        check("MultipleDevices(1)", 3, "h1[d1=X d2=_]", "good");
    }

    #[test]
    fn a_device_that_failed_is_not_advised_again() {
        let (on, devices) = parse("h1[d1=X] h2[d2=_ d3=_]");

        let advice = PolicySpec::DEFAULT.advise(&Situation {
            mindevcount: 2,
            on: &on,
            failed: &[DevId::new(2).unwrap()],
            devices: &devices,
        });

        assert_eq!(render(&advice), "ideal(3)");
    }
}
