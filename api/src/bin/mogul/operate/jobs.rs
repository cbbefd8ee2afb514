//! `mogul admin jobs`: what the background jobs are doing, over the admin port.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{calls::Admin, table::Table};

/// The background jobs.
#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    #[command(subcommand)]
    command: Option<JobsCommand>,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Lists the jobs: what each is doing, how fast, how much is left. This is what is done without a command.
    List,
    /// Pauses a job in all trackers, until it is resumed; monitor and sweep cannot be paused.
    Pause {
        /// Its name.
        name: String,
    },
    /// Lets a job go on.
    Resume {
        /// Its name.
        name: String,
    },
}

/// Runs one command.
///
/// # Errors
/// If the server cannot be reached or refuses.
pub(super) async fn run(admin: &mut Admin, args: JobsArgs) -> anyhow::Result<Table> {
    match args.command.unwrap_or(JobsCommand::List) {
        JobsCommand::List => {
            let jobs = admin.jobs().await?.into_iter().map(readable).collect();
            let columns = &["name", "state", "workers", "rate", "backlog", "left", "why"];
            Ok(Table::many(columns, jobs))
        }
        JobsCommand::Pause { name } => {
            admin.change_job(&name, true).await?;
            Ok(Table::nothing())
        }
        JobsCommand::Resume { name } => {
            admin.change_job(&name, false).await?;
            Ok(Table::nothing())
        }
    }
}

/// A job with texts for people beside its numbers: `rate`, `left`, `why`.
fn readable(mut job: Value) -> Value {
    let number = |name: &str| job[name].as_f64().unwrap_or(0.0);
    let rate = match (number("files_per_second"), number("bytes_per_second")) {
        (files, _) if files <= 0.0 => String::new(),
        (files, bytes) if bytes <= 0.0 => format!("{files:.1} files/s"),
        (files, bytes) => format!("{files:.1} files/s, {:.1} MB/s", bytes / 1e6),
    };
    let left = job["seconds_left"].as_u64().map(clock).unwrap_or_default();
    let failing = job["state"] == "failing";
    let why = job["last_failure"]
        .as_str()
        .filter(|_| failing)
        .unwrap_or_default();
    let texts = [("rate", rate), ("left", left), ("why", why.to_owned())];
    for (name, text) in texts {
        job[name] = Value::from(text);
    }
    job
}

/// Seconds as `2d 3h`, `3h 4m`, `4m 5s`, `5s`.
fn clock(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_told_in_words() {
        let job = json!({"name": "fsck", "state": "failing", "last_failure": "no", "files_per_second": 12.34,
            "bytes_per_second": 5_600_000.0, "backlog": 90, "seconds_left": 3_725});

        let job = readable(job);

        assert_eq!(job["rate"], "12.3 files/s, 5.6 MB/s");
        assert_eq!(job["left"], "1h 2m");
        assert_eq!(job["why"], "no");
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in [(5, "5s"), (65, "1m 5s"), (7_200, "2h 0m"), (100_000, "1d 3h")] {
            assert_eq!(clock(seconds), text);
        }
    }
}
