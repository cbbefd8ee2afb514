//! The tracker port: MogileFS's line protocol, byte for byte (mogilefs.md §2 to §5).
//!
//! A handler parses its arguments, calls one command of [`Tracker`] and renders the answer; what a request means is decided
//! there. [`line`] is the encoding, [`listener`] a connection, [`table`] the list of commands, [`error`] the refusals.

mod control;
pub mod error;
mod files;
pub mod line;
mod listener;
mod read;
mod table;

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use mogul_tracker::{Tracker, clock::Clock};
use tracing::error;

use error::{Code, Refusal};
use line::{Answer, Args, render};

/// What the face is made of.
pub struct Parts {
    /// The domain.
    pub tracker: Tracker,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The tracker port: cheap to clone, shared by all connections.
#[derive(Clone)]
pub struct Face(Arc<Parts>);

impl Face {
    /// A face over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Face {
        Face(Arc::new(parts))
    }

    /// The domain.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.0.tracker
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Does one request line, and answers with its line. The line has no end and is not empty.
    async fn answer(&self, line: &[u8], client: IpAddr) -> String {
        let (word, rest) = line.split_at(line.iter().take_while(|byte| is_word(**byte)).count());
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

/// What a command's name is made of.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
