//! `/metrics` in the text format of `OpenMetrics`, which Prometheus reads.
//!
//! Counts come from [`crate::metrics`]; what is a state is asked for now: queues, devices, jobs, the database. A scrape
//! that cannot have the queues, because the database does not answer, leaves them out and says so by `mogul_database_up`.

use std::{collections::BTreeMap, fmt, sync::atomic::AtomicU64};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use mogul_tracker::{
    Error, Tracker, command::backlog::Backlog, error::chain, jobs::JobName, view::DeviceView,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::devices::ObservedState;
use crate::s3::S3;

/// The type of the answer.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bytes in the unit of the table `device`.
const MIB: u64 = 1 << 20;

/// A gauge of unsigned numbers.
type Amount = Gauge<i64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQueue {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfJob {
    job: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Job {
    job: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDevice {
    devid: u32,
    host: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfScrub {
    devid: u32,
    pass: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFinding {
    devid: u32,
    pass: &'static str,
    fault: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeviceState {
    devid: u32,
    host: String,
    status: &'static str,
    observed: &'static str,
}

/// Counts and states, as Prometheus reads them.
pub(super) async fn scrape(State(s3): State<S3>) -> Response {
    let mut registry = Registry::default();
    s3.metrics.register(&mut registry);
    let tracker = &s3.tracker;
    database(tracker, &mut registry).await;
    jobs(tracker, &mut registry);
    copies(tracker, &mut registry).await;
    devices(tracker, &mut registry);
    reads(tracker, &mut registry);
    scrub(tracker, &mut registry).await;
    match text(&registry) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(fmt::Error) => http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

async fn database(tracker: &Tracker, registry: &mut Registry) {
    let (up, connections, idle, waiting) = <(Amount, Amount, Amount, Amount)>::default();
    let found = async { Ok::<_, Error>((tracker.backlog().await?, tracker.backlogs().await?)) };
    match found.await {
        Ok((of_queues, of_jobs)) => {
            up.set(1);
            queues(of_queues, registry);
            backlogs(&of_jobs, registry);
        }
        Err(error) => tracing::warn!(
            error = chain(&error),
            "the queues could not be counted for a scrape"
        ),
    }
    let load = tracker.database_load();
    connections.set(amount(load.connections));
    idle.set(amount(load.idle));
    waiting.set(amount(load.waiting));
    registry.register("mogul_database_up", "1 if the database answered this scrape", up);
    registry.register(
        "mogul_database_connections",
        "Open connections to the database, without the writing one of SQLite",
        connections,
    );
    registry.register(
        "mogul_database_connections_idle",
        "Connections to the database that nobody uses",
        idle,
    );
    registry.register(
        "mogul_database_waiting",
        "Commands that wait for the writing connection of SQLite",
        waiting,
    );
}

fn queues(backlog: Backlog, registry: &mut Registry) {
    let lengths = Family::<OfQueue, Amount>::default();
    let Backlog {
        to_replicate,
        to_delete,
        to_join,
    } = backlog;
    for (queue, length) in [
        ("replicate", to_replicate),
        ("delete", to_delete),
        ("join", to_join),
    ] {
        lengths.get_or_create(&OfQueue { queue }).set(amount(length));
    }
    registry.register(
        "mogul_queue_fids",
        "Fids that wait for a job, due or put off",
        lengths,
    );
}

fn jobs(tracker: &Tracker, registry: &mut Registry) {
    let steps = Family::<OfJob, Counter<u64, AtomicU64>>::default();
    let (files, bytes) = <(
        Family<Job, Counter<u64, AtomicU64>>,
        Family<Job, Counter<u64, AtomicU64>>,
    )>::default();
    let paused = Family::<Job, Amount>::default();
    let view = tracker.view();
    for (name, status) in tracker.job_status() {
        let job = name.as_str();
        let of = Job { job };
        files.get_or_create(&of).inc_by(status.done.files);
        bytes.get_or_create(&of).inc_by(status.done.bytes);
        paused.get_or_create(&of).set(i64::from(view.is_paused(name)));
        for (outcome, count) in [("ok", status.steps), ("failed", status.failures)] {
            steps.get_or_create(&OfJob { job, outcome }).inc_by(count);
        }
    }
    registry.register(
        "mogul_job_steps",
        "Steps of background jobs in this process",
        steps,
    );
    registry.register(
        "mogul_job_files",
        "Files that background jobs in this process have worked on",
        files,
    );
    registry.register(
        "mogul_job_bytes",
        "Bytes that background jobs in this process have read, copied or moved",
        bytes,
    );
    registry.register(
        "mogul_job_paused",
        "1 if an operator has paused the job, in all trackers",
        paused,
    );
}

fn backlogs(backlogs: &BTreeMap<JobName, u64>, registry: &mut Registry) {
    let files = Family::<Job, Amount>::default();
    for (job, backlog) in backlogs {
        let of = Job { job: job.as_str() };
        files.get_or_create(&of).set(amount(*backlog));
    }
    registry.register(
        "mogul_job_backlog_files",
        "Files that are still before a background job in the whole cluster, where that is known",
        files,
    );
}

async fn copies(tracker: &Tracker, registry: &mut Registry) {
    let (copies, bytes) = <(Counter<u64, AtomicU64>, Counter<u64, AtomicU64>)>::default();
    let (made, volume) = tracker.copies_made();
    copies.inc_by(made);
    bytes.inc_by(volume);
    registry.register(
        "mogul_copies",
        "Copies of files that this process has made",
        copies,
    );
    registry.register("mogul_copies_bytes", "Bytes of these copies", bytes);
    // That the database does not answer is said by mogul_database_up.
    if let Ok(waited) = tracker.replication_lag().await {
        let lag = Gauge::<f64, AtomicU64>::default();
        lag.set(waited.as_secs_f64());
        registry.register(
            "mogul_replication_lag_seconds",
            "How long the file has waited for copies that has waited longest, of those that are due",
            lag,
        );
    }
}

fn devices(tracker: &Tracker, registry: &mut Registry) {
    let (total, used, free) = <(
        Family<OfDevice, Amount>,
        Family<OfDevice, Amount>,
        Family<OfDevice, Amount>,
    )>::default();
    let states = Family::<DeviceState, Amount>::default();
    let absent = Family::<OfDevice, Amount>::default();
    let vanished = Amount::default();
    vanished.set(amount(tracker.vanished()));
    let busy = Family::<OfDevice, Gauge<f64, AtomicU64>>::default();
    let view = tracker.view();
    for device in view.devices() {
        let row = &device.device;
        let host = view
            .host(row.host)
            .map_or_else(String::new, |host| host.name.clone());
        let of = OfDevice {
            devid: row.id.get(),
            host: host.clone(),
        };
        for (family, bytes) in [
            (&total, bytes(row.mb_total)),
            (&used, bytes(row.mb_used)),
            (&free, device.free_bytes),
        ] {
            if let Some(bytes) = bytes {
                family.get_or_create(&of).set(amount(bytes));
            }
        }
        absent.get_or_create(&of).set(i64::from(device.absent.is_some()));
        if let Some(utilization) = tracker.utilization(row.id) {
            busy.get_or_create(&of)
                .set(f64::from(utilization.hundredths()) / 10_000.0);
        }
        states.get_or_create(&state_of(device, host)).set(1);
    }
    registry.register("mogul_device_total_bytes", "Size of a device", total);
    registry.register("mogul_device_used_bytes", "Used space of a device", used);
    registry.register(
        "mogul_device_free_bytes",
        "Space of a device that can still be written",
        free,
    );
    registry.register(
        "mogul_device_absent",
        "1 for a device that has stayed away, and whose files are copied elsewhere",
        absent,
    );
    registry.register(
        "mogul_devices_vanished",
        "Devices that have stayed away and are left to a person, because those of another host are absent",
        vanished,
    );
    registry.register(
        "mogul_device_utilization_ratio",
        "Share of the last second in which the disk of a device was busy, 0 to 1",
        busy,
    );
    registry.register(
        "mogul_device_state",
        "1 for the state that a device is in, set and observed",
        states,
    );
}

/// How soon devices answer reads, and how often that took too long.
fn reads(tracker: &Tracker, registry: &mut Registry) {
    let seconds = Family::<OfDevice, Gauge<f64, AtomicU64>>::default();
    let hedges = Counter::<u64, AtomicU64>::default();
    let view = tracker.view();
    if let Some(latencies) = tracker.latencies() {
        hedges.inc_by(latencies.hedges());
        for row in view.devices().map(|device| &device.device) {
            let of = OfDevice {
                devid: row.id.get(),
                host: view
                    .host(row.host)
                    .map_or_else(String::new, |host| host.name.clone()),
            };
            let expected = latencies.expected(row.id);
            seconds.get_or_create(&of).set(expected.as_secs_f64());
        }
    }
    registry.register(
        "mogul_device_read_seconds",
        "How long a device is expected to take until its answer to a read begins, by what this process has seen; 0 if nothing",
        seconds,
    );
    registry.register(
        "mogul_reads_hedged",
        "Reads that asked a second copy because the first took too long",
        hedges,
    );
}

/// How far each device has been read, and what was found; left out where the database does not answer.
async fn scrub(tracker: &Tracker, registry: &mut Registry) {
    let Ok(status) = tracker.scrub_status().await else {
        return;
    };
    let ended = Family::<OfDevice, Amount>::default();
    let (read, found) = <(Family<OfScrub, Amount>, Family<OfFinding, Amount>)>::default();
    let view = tracker.view();
    for state in status.devices {
        let device = view.device(state.device);
        let host = device.and_then(|device| view.host(device.device.host));
        let host = host.map_or_else(String::new, |host| host.name.clone());
        let devid = state.device.get();
        if let Some((at, _)) = state.last {
            let of = OfDevice {
                devid,
                host: host.clone(),
            };
            ended.get_or_create(&of).set(at.secs());
        }
        let last = state.last.map(|(_, counts)| ("last", counts));
        for (pass, counts) in std::iter::once(("current", state.counts)).chain(last) {
            read.get_or_create(&OfScrub { devid, pass })
                .set(amount(counts.bytes));
            for (fault, count) in [
                ("rotten", counts.rotten),
                ("missing", counts.missing),
                ("stray", counts.strays),
            ] {
                let of = OfFinding { devid, pass, fault };
                found.get_or_create(&of).set(amount(count));
            }
        }
    }
    registry.register(
        "mogul_scrub_ended_timestamp_seconds",
        "When the last whole pass over a device ended",
        ended,
    );
    registry.register(
        "mogul_scrub_read_bytes",
        "Bytes of a device that were read and are what their digests say",
        read,
    );
    registry.register(
        "mogul_scrub_faults",
        "Files of a device that a pass found to be rotten, missing, or not on record",
        found,
    );
}

fn state_of(device: &DeviceView, host: String) -> DeviceState {
    DeviceState {
        devid: device.device.id.get(),
        host,
        status: device.device.status.as_str(),
        observed: ObservedState::from(device.observed).as_str(),
    }
}

fn bytes(mebibytes: Option<u64>) -> Option<u64> {
    mebibytes?.checked_mul(MIB)
}

fn amount(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
