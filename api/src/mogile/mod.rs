//! The tracker port: MogileFS's line protocol, byte for byte (mogilefs.md §2 to §5).
//!
//! A handler parses its arguments, calls one command of [`Tracker`] and renders the answer; what a request means is decided
//! there. [`line`](mod@line) is the encoding, [`listener`] a connection, [`table`] the list of commands, [`console`] those for operators,
//! [`error`](mod@error) the refusals.

mod classes;
mod cluster;
mod console;
mod control;
mod devices;
mod domains;
mod drains;
pub mod error;
mod files;
mod fsck;
mod hosts;
pub mod line;
mod listener;
mod read;
mod rebalance;
mod settings;
mod table;
mod watch;
mod workers;

pub use watch::Watchers;

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use mogul_tracker::{Tracker, clock::Clock, jobs::Driver, model::Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::metrics::{Answered, Face as Counted, Metrics};
use error::{Code, Refusal};
use line::{Answer, Args, render};
use workers::{QueryWorkers, Request};

/// What the face is made of.
pub struct Parts {
    /// The domain.
    pub tracker: Tracker,
    /// The jobs of this process.
    pub driver: Arc<Driver>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// Those who watch the log.
    pub watchers: Watchers,
    /// Cancelled when a client ends the process.
    pub shutdown: CancellationToken,
    /// Requests that are worked on at a time, at first.
    pub query_workers: usize,
}

/// The tracker port: cheap to clone, shared by all connections.
#[derive(Clone)]
pub struct Face(Arc<Inner>);

struct Inner {
    parts: Parts,
    workers: QueryWorkers,
    started: Timestamp,
}

/// The names of all commands, sorted.
pub fn commands() -> impl Iterator<Item = &'static str> {
    table::COMMANDS.iter().map(|(name, _)| *name)
}

impl Face {
    /// A face over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Face {
        Face(Arc::new(Inner {
            workers: QueryWorkers::new(parts.query_workers),
            started: parts.clock.now(),
            parts,
        }))
    }

    /// The domain.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.0.parts.tracker
    }

    fn clock(&self) -> &dyn Clock {
        &*self.0.parts.clock
    }

    fn driver(&self) -> &Driver {
        &self.0.parts.driver
    }

    fn workers(&self) -> &QueryWorkers {
        &self.0.workers
    }

    fn uptime(&self) -> Duration {
        self.0.started.until(self.clock().now())
    }

    /// Does one request when a worker is free for it, and remembers that.
    async fn request(&self, line: Bytes, client: IpAddr) -> String {
        let request = Request { client, line };
        let arrived = self.clock().now();
        let at_work = self.workers().take(&request).await;
        let began = self.clock().now();
        let answer = self.answer(&request.line, client).await;
        let ended = self.clock().now();
        self.workers()
            .finished(&request, arrived.until(ended), began.until(ended));
        drop(at_work);
        self.0.parts.metrics.answered(Answered {
            face: Counted::Tracker,
            operation: name(&request.line).into(),
            outcome: if answer.starts_with("OK") { "ok" } else { "error" },
            took: arrived.until(ended),
            received: bytes(request.line.len()),
            sent: bytes(answer.len()),
        });
        answer
    }

    /// Does one request line, and answers with its line. The line has no end and is not empty.
    async fn answer(&self, line: &[u8], client: IpAddr) -> String {
        let (word, rest) = split(line);
        if word.is_empty() {
            return render(&Err(Code::UnknownCommand.into()), None);
        }
        let args = Args::decode(rest.trim_ascii(), client);
        let outcome = match table::find(&word.to_ascii_lowercase()) {
            Some(handler) => self.run(handler, &args).await,
            None => Err(Code::UnknownCommand.into()),
        };
        if let Err(refusal) = &outcome
            && let Some(cause) = refusal.cause()
        {
            let command = String::from_utf8_lossy(word);
            error!(%command, %client, cause, "command failed");
        }
        render(&outcome, args.bytes("callid"))
    }

    /// Runs a handler. A panic ends the request, not the process.
    async fn run(&self, handler: table::Handler, args: &Args) -> Result<Answer, Refusal> {
        let outcome = AssertUnwindSafe(handler(self, args)).catch_unwind().await;
        outcome.unwrap_or_else(|_| Err(Code::Failure.into()))
    }
}

/// The name of a line's command and its arguments.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    line.split_at(line.iter().take_while(|byte| is_word(**byte)).count())
}

/// The name that a line's command is counted under: all that are unknown have one.
fn name(line: &[u8]) -> &'static str {
    let word = split(line).0.to_ascii_lowercase();
    let known = commands().find(|name| name.as_bytes() == word);
    known.unwrap_or("none")
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// What a command's name is made of.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
