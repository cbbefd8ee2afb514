//! `mogul admin fsck …`.

use std::{collections::BTreeMap, time::Duration};

use clap::Subcommand;
use mogul_tracker::clock::{Clock, SystemClock};
use serde::Serialize;

use super::{Shown, done, text_of};
use crate::client::tracker::{Pairs, TrackerConnection, TrackerError};

/// How often `taillog` asks for new entries.
const TAIL_PERIOD: Duration = Duration::from_secs(1);

/// What is done with fsck.
#[derive(Debug, Subcommand)]
pub(in crate::operate) enum FsckCommand {
    /// Starts a run, or goes on with one that was stopped.
    Start,
    /// Stops the run.
    Stop,
    /// Makes the next run begin anew.
    Reset {
        /// Check policies and counts only, without asking the devices.
        #[arg(long)]
        policy_only: bool,
        /// Begin behind this fid.
        #[arg(long)]
        startpos: Option<String>,
    },
    /// Empties the log.
    Clearlog,
    /// Shows how far the run is and what it found.
    Status,
    /// Prints the log.
    Printlog,
    /// Prints the log's new entries as they come, until interrupted.
    Taillog,
}

/// One entry of the log.
#[derive(Debug, Serialize)]
struct Entry {
    logid: u64,
    utime: String,
    evcode: String,
    fid: String,
    devid: String,
}

pub(super) async fn run(tracker: &mut TrackerConnection, command: FsckCommand) -> anyhow::Result<Shown> {
    match command {
        FsckCommand::Start => Ok(done(tracker, "fsck_start", &[]).await?),
        FsckCommand::Stop => Ok(done(tracker, "fsck_stop", &[]).await?),
        FsckCommand::Clearlog => Ok(done(tracker, "fsck_clearlog", &[]).await?),
        FsckCommand::Reset {
            policy_only,
            startpos,
        } => {
            let policy_only = if policy_only { "1" } else { "0" };
            let startpos = startpos.as_deref().unwrap_or("0");
            let pairs = [("policy_only", policy_only), ("startpos", startpos)];
            Ok(done(tracker, "fsck_reset", &pairs).await?)
        }
        FsckCommand::Status => {
            let pairs = tracker.request("fsck_status", &[]).await?;
            let document: BTreeMap<&str, &str> = pairs.iter().collect();
            Shown::of(status(&pairs), &document)
        }
        FsckCommand::Printlog => {
            let mut log = Vec::new();
            loop {
                let page = entries(tracker, log.last()).await?;
                if page.is_empty() {
                    break;
                }
                log.extend(page);
            }
            let lines: String = log.iter().map(line).collect();
            Shown::of(format!("{HEADER}{lines}"), &log)
        }
        FsckCommand::Taillog => tail(tracker).await,
    }
}

/// Prints what is added to the log from now on.
async fn tail(tracker: &mut TrackerConnection) -> anyhow::Result<Shown> {
    print!("{HEADER}");
    let newest = tracker.request("fsck_status", &[]).await?.number("max_logid");
    let mut last = Entry {
        logid: newest,
        utime: String::new(),
        evcode: String::new(),
        fid: String::new(),
        devid: String::new(),
    };
    loop {
        for entry in entries(tracker, Some(&last)).await? {
            print!("{}", line(&entry));
            last = entry;
        }
        SystemClock.sleep(TAIL_PERIOD).await;
    }
}

/// A page of the log behind this entry.
async fn entries(tracker: &mut TrackerConnection, after: Option<&Entry>) -> Result<Vec<Entry>, TrackerError> {
    let after = after.map_or(0, |entry| entry.logid).to_string();
    let pairs = tracker.request("fsck_getlog", &[("after_logid", &after)]).await?;
    let entry = |row: u64| {
        let text = |name: &str| match pairs.get(&format!("row_{row}_{name}")) {
            "" => "-".to_owned(),
            value => value.to_owned(),
        };
        Entry {
            logid: pairs.number(&format!("row_{row}_logid")),
            utime: text("utime"),
            evcode: text("evcode"),
            fid: text("fid"),
            devid: text("devid"),
        }
    };
    Ok((1..=pairs.number("row_count")).map(entry).collect())
}

const HEADER: &str = "unixtime             event           fid      devid\n";

fn line(entry: &Entry) -> String {
    format!(
        "{:<12} {:>13} {:>13} {:>10}\n",
        entry.utime, entry.evcode, entry.fid, entry.devid
    )
}

fn status(pairs: &Pairs) -> String {
    let running = match (pairs.get("running"), pairs.get("host")) {
        ("" | "0", _) => "No".to_owned(),
        (_, host) => format!("Yes (on {host})"),
    };
    let (checked, end) = (pairs.number("max_fid_checked"), pairs.number("end_fid"));
    let started = pairs.number("start_time");
    let until = match pairs.number("stop_time") {
        stopped if stopped > 0 && running == "No" => stopped,
        _ if started == 0 => 0,
        _ => pairs.number("current_time"),
    };
    let seconds = until.saturating_sub(started);
    let rate = checked.checked_div(seconds).unwrap_or(0);
    let remain = end.saturating_sub(checked).checked_div(rate).unwrap_or(0);
    let kind = match pairs.get("policy_only") {
        "" | "0" => "Normal (check policy + files)",
        _ => "Repl policy only (skip file checks)",
    };
    let percent = match end {
        0 => "0.00".to_owned(),
        end => hundredths(checked.min(end).saturating_mul(10_000) / end),
    };
    let found = pairs
        .iter()
        .filter(|(name, value)| name.starts_with("num_") && *value != "0");
    let found = text_of(found.map(|(name, value)| format!("{:>11}: {value}", format!("[{name}]"))));
    format!(
        "\n    Running: {running}\n     Status: {checked} / {end} ({percent}%)\n       \
         Time: {seconds}s ({rate} fids/s; {remain}s remain)\n Check Type: {kind}\n\n{found}\n"
    )
}

fn hundredths(number: u64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_looks_like_mogadms() {
        let pairs = Pairs::parse(
            b"running=0&max_fid_checked=9&end_fid=9&start_time=100&stop_time=106&current_time=300&policy_only=&num_BLEN=1&num_REPL=2",
        );

        assert_eq!(
            status(&pairs),
            "\n    Running: No\n     Status: 9 / 9 (100.00%)\n       Time: 6s (1 fids/s; 0s remain)\n\
             \u{20}Check Type: Normal (check policy + files)\n\n [num_BLEN]: 1\n [num_REPL]: 2\n\n"
        );
    }

    #[test]
    fn nothing_has_run_yet() {
        let text = status(&Pairs::parse(b"current_time=300"));

        assert!(text.contains("Running: No\n     Status: 0 / 0 (0.00%)\n       Time: 0s"));
    }

    #[test]
    fn an_entry_of_the_log_is_a_line_under_the_header() {
        let entry = Entry {
            logid: 1,
            utime: "1795332395".to_owned(),
            evcode: "BLEN".to_owned(),
            fid: "3".to_owned(),
            devid: "1".to_owned(),
        };

        assert_eq!(
            line(&entry),
            "1795332395            BLEN             3          1\n"
        );
    }
}
