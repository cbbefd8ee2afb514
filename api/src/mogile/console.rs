//! The commands for operators that begin with `!` (mogilefs.md §5): answered at once, whatever the workers do.
//!
//! The original's workers are processes. Ours are tasks, so that all have the pid of this process; tools count them, and
//! `!want` changes their number all the same.

use std::fmt::Display;

use mogul_tracker::jobs::JobName;

use super::Face;

/// The version of MogileFS that we are compatible with; tools compare it.
const VERSION: &str = "2.73";

/// The most workers that a job can be given.
const WORKERS_MAX: usize = 500;

/// The name under which the query workers are known.
const QUERY_WORKER: &str = "queryworker";

/// The original's feeder of the queues; the database is ours, so that one stands for the driver of the jobs.
const JOB_MASTER: &str = "job_master";

/// The jobs that operators of the original know.
const CLASSES: [&str; 7] = [
    "delete",
    "fsck",
    JOB_MASTER,
    "monitor",
    QUERY_WORKER,
    "reaper",
    "replicate",
];

/// What the original prints, word for word; its lines end without CR.
const HELP: &str = "\
Mogilefsd admin commands:

    !version    Server version
    !recent     Recently executed queries and how long they took.
    !queue      Queries that are pending execution.
    !stats      General stats on what we're up to.
    !watch      Observe errors/messages from children.
    !jobs       Outstanding job counts, desired level, and pids.
    !shutdown   Immediately kill all of mogilefsd.

    !to <job class> <message>
                Send <message> to all workers of <job class>.
                Mostly used for debugging.

    !want <count> <job class>
                Alter the level of workers of this class desired.
                Example: !want 20 queryworker, !want 3 replicate.
                See !jobs for what jobs are available.

";

/// What a command for operators comes to.
pub(super) enum Console {
    /// These lines, the closing dot included.
    Lines(Vec<u8>),
    /// The connection begins or ceases to watch the log.
    Watch,
    /// The process ends, without an answer.
    Shutdown,
}

/// Answers a line that begins with `!` and goes on with a word; `None` if it is no such line.
pub(super) async fn console(face: &Face, line: &[u8]) -> Option<Console> {
    let line = line.strip_prefix(b"!")?;
    let end = line
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let rest = String::from_utf8_lossy(rest);
    let is = |prefix: &str| word.starts_with(prefix.as_bytes());
    let lines = match word {
        b"" => return None,
        b"stats" => stats(face).await,
        _ if is("shutdown") => return Some(Console::Shutdown),
        _ if is("jobs") => jobs(face),
        _ if is("want") => Lines::default().line(want(face, rest.trim())),
        _ if is("to") => Lines::default().line(to(face, rest.trim())),
        _ if is("queue") || is("pend") => queue(face),
        _ if is("watch") => return Some(Console::Watch),
        _ if is("recent") => recent(face),
        _ if is("version") => Lines::default().line(VERSION),
        _ => Lines(HELP.as_bytes().to_vec()),
    };
    Some(Console::Lines(lines.end()))
}

/// The lines of one answer.
#[derive(Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Adds a line.
    pub(super) fn line(self, text: impl Display) -> Lines {
        self.bytes(text.to_string().as_bytes())
    }

    fn bytes(mut self, text: &[u8]) -> Lines {
        self.0.extend_from_slice(text);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Closes the answer.
    pub(super) fn end(self) -> Vec<u8> {
        self.line('.').0
    }
}

async fn stats(face: &Face) -> Lines {
    let counts = face.workers().counts();
    let lines = Lines::default()
        .line(format_args!("uptime {}", face.uptime().as_secs()))
        .line(format_args!("pending_queries {}", counts.pending))
        .line(format_args!("processing_queries {}", counts.processing))
        .line(format_args!("bored_queryworkers {}", counts.bored));
    let mut counters = vec![
        ("queries", counts.queries),
        ("times_out_of_qworkers", counts.waited),
    ];
    // The original keeps these queues in memory; ours are in the database, which may be away.
    if let Ok(backlog) = face.tracker().backlog().await {
        counters.push(("work_queue_for_delete", backlog.to_delete));
        counters.push(("work_queue_for_replicate", backlog.to_replicate));
    }
    counters
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .fold(lines, |lines, (name, count)| {
            lines.line(format_args!("{name} {count}"))
        })
}

fn jobs(face: &Face) -> Lines {
    let pid = std::process::id().to_string();
    let counted = CLASSES.iter().filter_map(|job| Some((*job, workers(face, job)?)));
    counted.fold(Lines::default(), |lines, (job, count)| {
        let pids = vec![pid.as_str(); count].join(" ");
        let separator = if count > 0 { " " } else { "" };
        lines
            .line(format_args!("{job} count {count}"))
            .line(format_args!("{job} desired {count}"))
            .line(format_args!("{job} pids{separator}{pids}"))
    })
}

/// How many workers a job has; `None` if this process does not run it.
fn workers(face: &Face, job: &str) -> Option<usize> {
    match job {
        QUERY_WORKER => Some(face.workers().wanted()),
        JOB_MASTER => Some(1),
        _ => face.tracker().jobs().workers(job_named(job)?),
    }
}

/// The job of that name, if operators of the original know it.
fn job_named(name: &str) -> Option<JobName> {
    JobName::parse(name).filter(|_| CLASSES.contains(&name))
}

fn want(face: &Face, rest: &str) -> String {
    let mut words = rest.split_ascii_whitespace();
    let count = words.next().and_then(|count| count.parse::<usize>().ok());
    let (Some(count), Some(job)) = (count, words.next()) else {
        return "ERROR: usage: !want <count> <jobclass>".to_owned();
    };
    if !CLASSES.contains(&job) {
        let valid = CLASSES.join(", ");
        return format!("ERROR: Invalid class '{job}'.  Valid classes: {valid}");
    }
    let count = count.min(WORKERS_MAX);
    let before = workers(face, job);
    match (job, job_named(job)) {
        (QUERY_WORKER, _) => face.workers().want(count),
        // There is one of these, as in the original.
        (JOB_MASTER, _) | (_, Some(JobName::Monitor) | None) => {}
        (_, Some(known)) => {
            face.driver().want(known, count);
        }
    }
    tell(job, before.unwrap_or(0), workers(face, job).unwrap_or(0));
    format!("Now desiring {count} children doing '{job}'.")
}

/// Tells the log in the original's words, which its tests and tools look for.
fn tell(job: &str, before: usize, now: usize) {
    let pid = std::process::id();
    if now > before {
        let more = now - before;
        tracing::info!("Job {job} has only {before}, wants {now}, making {more}.");
    }
    for _ in now..before {
        tracing::info!("Child {pid} ({job}) died: 0 (expected)");
    }
}

fn to(face: &Face, rest: &str) -> String {
    let Some((job, message)) = rest.split_once(|c: char| c.is_ascii_whitespace()) else {
        return "ERROR: usage: !to <jobclass> <message>".to_owned();
    };
    let count = workers(face, job).unwrap_or(0);
    if let Some(known) = job_named(job) {
        match message.trim() {
            ":wake_up" | ":refresh_monitor" => face.tracker().wakes().wake(known),
            ":shutdown" => {
                face.driver().want(known, 0);
                tell(job, count, 0);
                face.driver().want(known, count);
                tell(job, 0, count);
            }
            _ => {}
        }
    }
    format!("Message sent to {count} children.")
}

fn queue(face: &Face) -> Lines {
    let waiting = face.workers().waiting().into_iter();
    waiting.fold(Lines::default(), |lines, request| {
        let client = request.client.to_string();
        lines.bytes(&[client.as_bytes(), b" ", &request.line].concat())
    })
}

fn recent(face: &Face) -> Lines {
    let finished = face.workers().recent().into_iter();
    finished.fold(Lines::default(), |lines, finished| {
        let client = finished.request.client.to_string();
        let (total, worked) = (finished.total.as_secs_f64(), finished.worked.as_secs_f64());
        let times = format!(" {total:.4} {worked:.4}");
        lines.bytes(&[client.as_bytes(), b" ", &finished.request.line, times.as_bytes()].concat())
    })
}
