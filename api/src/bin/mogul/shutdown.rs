//! The end of the process: by SIGTERM, SIGINT or a face that is told to; and SIGHUP, which reads the TLS files again.

use std::{io, time::Duration};

use mogul_tracker::clock::{Clock, SystemClock};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::tls::Tls;

/// The signals that this process answers; they are caught from the moment this value exists.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// How running work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// All of it finished.
    Complete,
    /// The grace period, or the operator's patience, ended first.
    Cut,
}

impl Signals {
    /// Begins to catch the signals.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn catch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves when the process shall stop, by a signal or by `asked`; answers SIGHUP until then.
    pub(crate) async fn stop_requested(&mut self, asked: &CancellationToken, tls: Option<&Tls>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                () = asked.cancelled() => return,
                _ = self.hangup.recv() => reload(tls),
            }
        }
    }

    /// Waits for running work, for `grace` at most, and no longer than until a second signal to stop.
    pub(crate) async fn finish(&mut self, tasks: &TaskTracker, grace: Duration) -> Finish {
        tokio::select! {
            () = tasks.wait() => Finish::Complete,
            () = SystemClock.sleep(grace) => {
                warn!(running = tasks.len(), grace_s = grace.as_secs(), "requests were still running and were cut off");
                Finish::Cut
            }
            () = async { tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} } } => {
                warn!(running = tasks.len(), "second signal: requests were still running and were cut off");
                Finish::Cut
            }
        }
    }
}

fn reload(tls: Option<&Tls>) {
    match tls.map(Tls::reload) {
        None => info!("SIGHUP received; there are no TLS files to read again"),
        Some(Ok(())) => info!("TLS certificate and key were read again"),
        Some(Err(error)) => warn!(%error, "TLS files were not usable; the old certificate stays"),
    }
}
