//! `mogul admin device drain`, `mogul admin host drain`: over the tracker port of mogul; an original tracker has no such command.

use std::time::Duration;

use clap::Args;
use mogul_tracker::clock::{Clock as _, SystemClock};
use serde::Serialize;

use super::{Shown, done, text_of};
use crate::client::tracker::TrackerConnection;

/// How often is looked whether a drain has ended.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What becomes of a drain.
#[derive(Debug, Args)]
pub(in crate::operate) struct DrainOptions {
    /// Ends the drain instead: the device is alive again, and what was moved stays where it is now.
    #[arg(long, conflicts_with = "wait")]
    cancel: bool,
    /// Waits until nothing is left, and tells how far it is.
    #[arg(long)]
    wait: bool,
}

/// How the drain of a device is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Drain {
    devid: String,
    host: String,
    ended: bool,
    moved: u64,
    left: u64,
    stuck: u64,
    refusal: String,
    seconds_left: Option<u64>,
}

/// Drains a device of a host, or all of them, or ends that.
pub(super) async fn drain(
    tracker: &mut TrackerConnection,
    host: &str,
    device: Option<&str>,
    options: &DrainOptions,
) -> anyhow::Result<Shown> {
    let mut pairs = vec![("host", host)];
    pairs.extend(device.map(|device| ("device", device)));
    if options.cancel {
        return Ok(done(tracker, "drain_stop", &pairs).await?);
    }
    done(tracker, "drain_start", &pairs).await?;
    let ours = |drain: &Drain| drain.host == host && device.is_none_or(|device| drain.devid == device);
    let mut told = String::new();
    loop {
        let mut drains = drains(tracker).await?;
        drains.retain(ours);
        let text = text_of(drains.iter().map(line));
        if !options.wait || drains.iter().all(|drain| drain.ended) {
            return Shown::of(text, &drains);
        }
        // For people who wait; what is printed in the end is for programs as well.
        if text != told {
            eprint!("{text}");
        }
        told = text;
        SystemClock.sleep(LOOK_EVERY).await;
    }
}

/// Shows all drains.
pub(super) async fn status(tracker: &mut TrackerConnection) -> anyhow::Result<Shown> {
    let drains = drains(tracker).await?;
    Shown::of(text_of(drains.iter().map(line)), &drains)
}

async fn drains(tracker: &mut TrackerConnection) -> anyhow::Result<Vec<Drain>> {
    let pairs = tracker.request("drain_status", &[]).await?;
    let count: usize = pairs.get("drains").parse().unwrap_or(0);
    let drain = |number: usize| {
        let text = |field: &str| pairs.get(&format!("drain_{number}_{field}")).to_owned();
        let amount = |field: &str| text(field).parse().unwrap_or(0);
        Drain {
            devid: text("devid"),
            host: text("host"),
            ended: text("ended") != "0",
            moved: amount("moved"),
            left: amount("left"),
            stuck: amount("stuck"),
            refusal: text("refusal"),
            seconds_left: text("seconds_left").parse().ok(),
        }
    };
    Ok((1..=count).map(drain).collect())
}

fn line(drain: &Drain) -> String {
    let Drain {
        devid,
        host,
        moved,
        left,
        ..
    } = drain;
    if drain.ended {
        return format!("{host} dev{devid}: empty, {moved} moved");
    }
    let seconds = drain.seconds_left.map(|seconds| format!(", about {seconds} s"));
    let line = format!(
        "{host} dev{devid}: {left} left, {moved} moved{}",
        seconds.unwrap_or_default()
    );
    match (drain.stuck, drain.refusal.as_str()) {
        (0, "") => line,
        (0, reason) => format!("{line}; {reason}"),
        (stuck, reason) => format!("{line}; {stuck} could not be moved yet: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_told_in_one_line() {
        let drain = Drain {
            devid: "3".to_owned(),
            host: "a".to_owned(),
            ended: false,
            moved: 10,
            left: 20,
            stuck: 0,
            refusal: String::new(),
            seconds_left: Some(7),
        };
        let stuck = Drain {
            stuck: 2,
            refusal: "no target can take it".to_owned(),
            seconds_left: None,
            ..drain.clone()
        };
        let over = Drain {
            ended: true,
            ..drain.clone()
        };

        assert_eq!(line(&drain), "a dev3: 20 left, 10 moved, about 7 s");
        assert_eq!(
            line(&stuck),
            "a dev3: 20 left, 10 moved; 2 could not be moved yet: no target can take it"
        );
        assert_eq!(line(&over), "a dev3: empty, 10 moved");
    }
}
