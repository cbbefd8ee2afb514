//! How a worker of any benchmark goes on: one step after the other until the time is over, counting.

use std::{sync::Arc, time::Duration};

use mogul_tracker::clock::{Clock, SystemClock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::report::{Moved, Progress, Stopwatch, Tally};

/// Failures in a row after which a worker gives up: the server is gone.
const FAILURES_MAX: usize = 100;

/// How long after the end of the run a request that is under way may take: a server that never answers must not keep the
/// result from the operator.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// When to end, and what is shown meanwhile.
#[derive(Clone)]
pub(super) struct Pace {
    /// When to end.
    pub(super) until: Stopwatch,
    /// What is shown meanwhile.
    pub(super) progress: Arc<Progress>,
    /// Cancelled to end earlier.
    pub(super) stop: CancellationToken,
}

impl Pace {
    /// Starts the clock, and a task that shows how it goes; the caller aborts it.
    pub(super) fn start(duration: Duration) -> (Pace, JoinHandle<()>) {
        let progress = Arc::new(Progress::default());
        let printer = progress.print_while(duration);
        let pace = Pace {
            until: Stopwatch::start_for(duration),
            progress,
            stop: CancellationToken::new(),
        };
        (pace, printer)
    }

    /// Starts the clock for workers that go on until they are told to stop, `longest` at most.
    pub(super) fn start_silently(longest: Duration) -> Pace {
        Pace {
            until: Stopwatch::start_for(longest),
            progress: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    fn is_over(&self) -> bool {
        self.until.is_over() || self.stop.is_cancelled()
    }
}

/// A step that did not do what it should.
#[derive(Debug)]
pub(super) struct Failure {
    /// The name under which it is counted.
    pub(super) code: String,
    /// What it means for the connection.
    pub(super) connection: Link,
}

/// Whether a connection is of use after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It is.
    Whole,
    /// It must be opened anew.
    Broken,
}

/// What a worker does.
pub(super) trait Work: Send {
    /// Does one operation; `None` when there is nothing left to do.
    fn step(&mut self) -> impl Future<Output = Option<Result<Moved, Failure>>> + Send;

    /// Opens the connection anew.
    fn mend(&mut self) -> impl Future<Output = ()> + Send;
}

/// Works until the time is over and tells what was done.
pub(super) async fn drive(pace: &Pace, mut work: impl Work) -> Tally {
    let mut tally = Tally::default();
    let mut failures = 0;
    let mut overdue = SystemClock.sleep(pace.until.left() + ANSWER_MAX);
    while failures < FAILURES_MAX && !pace.is_over() {
        let begun = pace.until.elapsed();
        let outcome = tokio::select! {
            outcome = work.step() => outcome,
            () = &mut overdue => {
                tally.failed("Timeout".to_owned());
                break;
            }
        };
        match outcome {
            None => break,
            Some(Ok(moved)) => {
                failures = 0;
                tally.succeeded(pace.until.elapsed().saturating_sub(begun), moved);
                pace.progress.add(moved);
            }
            Some(Err(failure)) => {
                failures += 1;
                tally.failed(failure.code);
                if failure.connection == Link::Broken {
                    work.mend().await;
                }
            }
        }
    }
    tally
}

/// The tally of a worker that found no server.
pub(super) fn failed_to_begin(failure: Failure) -> Tally {
    let mut tally = Tally::default();
    tally.failed(failure.code);
    tally
}
