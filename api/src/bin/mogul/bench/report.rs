//! What was measured: counting while it runs, adding up, and printing.

use std::{
    collections::BTreeMap,
    fmt,
    io::{IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mogul_tracker::clock::{Clock, SystemClock};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::form::Form;

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// How often the progress line is written anew.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// The clock of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch {
    started: Instant,
    duration: Duration,
}

impl Stopwatch {
    /// Starts a run of this length.
    #[expect(
        clippy::disallowed_methods,
        reason = "latencies need the monotonic clock, and no simulation runs the benchmark"
    )]
    pub(super) fn start_for(duration: Duration) -> Stopwatch {
        Stopwatch {
            started: Instant::now(),
            duration,
        }
    }

    /// Since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What is left of the time.
    pub(super) fn left(&self) -> Duration {
        self.duration.saturating_sub(self.elapsed())
    }

    /// Whether the time is over.
    pub(super) fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// What an operation moved.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// Bytes of bodies.
    pub(super) bytes: u64,
    /// Keys listed.
    pub(super) keys: u64,
}

/// What one worker counted.
#[derive(Debug)]
pub(super) struct Tally {
    /// Microseconds.
    latencies: Histogram<u64>,
    moved: Moved,
    failures: BTreeMap<String, u64>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            latencies: Histogram::new(DIGITS).expect("the number of digits is a valid one"),
            moved: Moved::default(),
            failures: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// Counts a success.
    pub(super) fn succeeded(&mut self, took: Duration, moved: Moved) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Not `saturating_record`: that clamps to what the histogram has grown to.
        self.latencies
            .record(micros)
            .expect("it grows to hold every value");
        self.moved.bytes += moved.bytes;
        self.moved.keys += moved.keys;
    }

    /// Counts a failure under its name.
    pub(super) fn failed(&mut self, code: String) {
        *self.failures.entry(code).or_default() += 1;
    }

    fn add(&mut self, other: &Tally) {
        self.latencies
            .add(&other.latencies)
            .expect("both have the same precision and grow");
        self.moved.bytes += other.moved.bytes;
        self.moved.keys += other.moved.keys;
        for (code, count) in &other.failures {
            *self.failures.entry(code.clone()).or_default() += count;
        }
    }
}

/// What is shown on a terminal while it runs.
#[derive(Debug, Default)]
pub(super) struct Progress {
    operations: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Counts a success.
    pub(super) fn add(&self, moved: Moved) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(moved.bytes, Ordering::Relaxed);
    }

    /// Writes a line every second until the task is aborted; nothing if standard error is no terminal.
    pub(super) fn print_while(self: &Arc<Progress>, duration: Duration) -> JoinHandle<()> {
        let progress = Arc::clone(self);
        tokio::spawn(async move {
            if !std::io::stderr().is_terminal() {
                return;
            }
            let mut before = (0, 0);
            for second in 1..=duration.as_secs() {
                SystemClock.sleep(PROGRESS_PERIOD).await;
                let now = (
                    progress.operations.load(Ordering::Relaxed),
                    progress.bytes.load(Ordering::Relaxed),
                );
                let line = format!(
                    "{second:>4} s  {:>9} ops/s  {:>9.1} MB/s",
                    now.0 - before.0,
                    megabytes(now.1 - before.1)
                );
                // A terminal that cannot be written to is no reason to stop measuring.
                let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
                before = now;
            }
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        })
    }
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    /// Who was measured.
    pub(super) endpoint: String,
    /// The operation, as on the command line.
    pub(super) op: String,
    /// Size of the objects.
    pub(super) size_bytes: u64,
    /// Requests at a time.
    pub(super) concurrency: usize,
}

/// The result of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    asked: Asked,
    elapsed_s: f64,
    operations: u64,
    pub(super) ops_per_s: f64,
    bytes: u64,
    /// Millions of bytes.
    mb_per_s: f64,
    /// Of a listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_per_s: Option<f64>,
    pub(super) latency_ms: Latency,
    errors: BTreeMap<String, u64>,
}

/// Quantiles of a latency.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Latency {
    mean: f64,
    pub(super) p50: f64,
    p90: f64,
    pub(super) p99: f64,
    #[serde(rename = "p99.9")]
    p999: f64,
    max: f64,
}

impl Report {
    /// Adds up what the workers counted.
    pub(super) fn new(asked: Asked, tallies: &[Tally], elapsed: Duration) -> Report {
        let mut sum = Tally::default();
        for tally in tallies {
            sum.add(tally);
        }
        let seconds = elapsed.as_secs_f64().max(f64::EPSILON);
        let operations = sum.latencies.len();
        Report {
            asked,
            elapsed_s: seconds,
            operations,
            ops_per_s: float(operations) / seconds,
            bytes: sum.moved.bytes,
            mb_per_s: megabytes(sum.moved.bytes) / seconds,
            keys_per_s: (sum.moved.keys > 0).then(|| float(sum.moved.keys) / seconds),
            latency_ms: Latency {
                mean: sum.latencies.mean() / 1000.0,
                p50: quantile_ms(&sum.latencies, 0.5),
                p90: quantile_ms(&sum.latencies, 0.9),
                p99: quantile_ms(&sum.latencies, 0.99),
                p999: quantile_ms(&sum.latencies, 0.999),
                max: float(sum.latencies.max()) / 1000.0,
            },
            errors: sum.failures,
        }
    }

    /// Requests that failed.
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Prints it.
    ///
    /// # Errors
    /// If a measured request failed.
    pub(super) fn print(&self, form: Form) -> anyhow::Result<()> {
        match form {
            Form::Text => print!("{self}"),
            Form::Json => println!("{}", serde_json::to_string_pretty(self)?),
        }
        anyhow::ensure!(self.failed() == 0, "{} requests failed", self.failed());
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = &self.asked;
        writeln!(
            f,
            "{}, {} bytes, {} at a time, {:.1} s against {}",
            asked.op, asked.size_bytes, asked.concurrency, self.elapsed_s, asked.endpoint
        )?;
        writeln!(f, "  operations  {} ({:.0}/s)", self.operations, self.ops_per_s)?;
        writeln!(f, "  throughput  {:.1} MB/s", self.mb_per_s)?;
        if let Some(keys) = self.keys_per_s {
            writeln!(f, "  keys        {keys:.0}/s")?;
        }
        let ms = &self.latency_ms;
        writeln!(
            f,
            "  latency ms  mean {:.2}  p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
            ms.mean, ms.p50, ms.p90, ms.p99, ms.p999, ms.max
        )?;
        write!(f, "  errors      {}", self.failed())?;
        for (code, count) in &self.errors {
            write!(f, "  {code} {count}")?;
        }
        writeln!(f)
    }
}

/// A quantile of microseconds, in milliseconds.
pub(super) fn quantile_ms(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    float(latencies.value_at_quantile(quantile)) / 1000.0
}

fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

/// A number for people.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures for people; 2^53 is far away"
)]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_kept_whatever_their_size() {
        let (mut sum, mut tally) = (Tally::default(), Tally::default());
        for millis in 1..=1000 {
            tally.succeeded(Duration::from_millis(millis), Moved { bytes: 2, keys: 0 });
        }
        sum.add(&tally);

        assert_eq!((sum.latencies.len(), sum.moved.bytes), (1000, 2000));
        let median = quantile_ms(&sum.latencies, 0.5);
        assert!((499.0..=502.0).contains(&median), "{median}");
    }
}
