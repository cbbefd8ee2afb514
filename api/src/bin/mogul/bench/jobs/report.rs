//! What was measured of the jobs, as a table.

use std::fmt;

use serde::Serialize;

use super::{Job, JobsArgs};
use crate::{bench::report::Report, form::Form};

/// How fast a job is.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figure {
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// Of a latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99: Option<f64>,
}

impl Figure {
    pub(super) fn rate(value: f64, unit: &'static str) -> Figure {
        Figure {
            value,
            unit,
            p99: None,
        }
    }
}

/// What clients with one operation did.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Side {
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    errors: u64,
}

impl Side {
    pub(super) fn of(report: &Report) -> Side {
        Side {
            per_s: report.ops_per_s,
            p50_ms: report.latency_ms.p50,
            p99_ms: report.latency_ms.p99,
            errors: report.failed(),
        }
    }
}

/// What clients did before a job and beside it.
#[derive(Debug, Serialize)]
pub(super) struct Meanwhile {
    pub(super) get_before: Side,
    pub(super) get: Side,
    pub(super) put_before: Side,
    pub(super) put: Side,
}

/// One job, measured once.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) job: Job,
    #[serde(flatten)]
    pub(super) figure: Figure,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meanwhile: Option<Meanwhile>,
}

/// The result of a run.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    trackers: Vec<String>,
    files: usize,
    size_bytes: u64,
    clients: usize,
    alone: Vec<Measured>,
    beside_clients: Vec<Measured>,
}

impl Table {
    pub(super) fn new(args: &JobsArgs, alone: Vec<Measured>, beside_clients: Vec<Measured>) -> Table {
        Table {
            trackers: args.trackers.clone(),
            files: args.files,
            size_bytes: args.size,
            clients: args.clients,
            alone,
            beside_clients,
        }
    }

    /// Prints it.
    ///
    /// # Errors
    /// If a client's request failed.
    pub(super) fn print(&self, form: Form) -> anyhow::Result<()> {
        match form {
            Form::Text => print!("{self}"),
            Form::Json => println!("{}", serde_json::to_string_pretty(self)?),
        }
        let sides = self
            .beside_clients
            .iter()
            .filter_map(|each| each.meanwhile.as_ref());
        let failed: u64 = sides.map(|each| each.get.errors + each.put.errors).sum();
        anyhow::ensure!(failed == 0, "{failed} requests of the clients failed");
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} files of {} bytes, trackers {}",
            self.files,
            self.size_bytes,
            self.trackers.join(",")
        )?;
        writeln!(f, "alone")?;
        for measured in &self.alone {
            writeln!(f, "  {:<10} {}", measured.job, measured.figure)?;
        }
        if self.beside_clients.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "beside {} clients                       GET/s   p50   p99 ms     PUT/s   p50   p99 ms",
            self.clients
        )?;
        for (index, measured) in self.beside_clients.iter().enumerate() {
            if let Some(meanwhile) = measured.meanwhile.as_ref().filter(|_| index == 0) {
                let nothing = format!("{:<35}", "nothing else");
                row(f, &nothing, &meanwhile.get_before, &meanwhile.put_before)?;
            }
            let head = format!("{:<10} {:<24}", measured.job, measured.figure.to_string());
            if let Some(meanwhile) = &measured.meanwhile {
                row(f, &head, &meanwhile.get, &meanwhile.put)?;
            }
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, head: &str, get: &Side, put: &Side) -> fmt::Result {
    let side = |side: &Side| format!("{:>8.0} {:>5.2} {:>8.2}", side.per_s, side.p50_ms, side.p99_ms);
    writeln!(f, "  {head} {}  {}", side(get), side(put))
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.value < 1000.0);
        write!(f, "{:.digits$} {}", self.value, self.unit)?;
        match self.p99 {
            Some(p99) => write!(f, ", p99 {p99:.1} ms"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Job::Replicate => "replicate",
            Job::Latency => "latency",
            Job::Fsck => "fsck",
            Job::Scrub => "scrub",
            Job::Delete => "delete",
        })
    }
}
