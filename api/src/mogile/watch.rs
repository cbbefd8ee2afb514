//! What `!watch` pushes: the lines of the log, to every connection that asked for them.
//!
//! A layer of the subscriber hands lines to a bounded channel. Who reads too slowly misses the oldest; the log never waits.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

use tokio::sync::broadcast::{self, error::RecvError};
use tracing::{Event, Subscriber, field::Field};
use tracing_subscriber::{Layer, layer::Context};

/// Lines that a watcher may be behind.
const LINES_MAX: usize = 1024;

/// Those who watch the log over the tracker port.
#[derive(Debug, Clone)]
pub struct Watchers(broadcast::Sender<Arc<str>>);

/// The log as one of them sees it.
#[derive(Debug)]
pub(super) struct Watching(broadcast::Receiver<Arc<str>>);

impl Default for Watchers {
    fn default() -> Watchers {
        Watchers(broadcast::Sender::new(LINES_MAX))
    }
}

impl Watchers {
    /// The layer of the log's subscriber that tells them what is logged.
    #[must_use]
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        Teller(self.clone())
    }

    /// Begins to watch.
    pub(super) fn watch(&self) -> Watching {
        Watching(self.0.subscribe())
    }
}

impl Watching {
    /// The next line, without its end.
    ///
    /// # Cancel safety
    /// Dropped, it misses nothing.
    pub(super) async fn next(&mut self) -> Arc<str> {
        loop {
            match self.0.recv().await {
                Ok(line) => return line,
                Err(RecvError::Lagged(_)) => {}
                // The face holds a sender.
                Err(RecvError::Closed) => std::future::pending::<()>().await,
            }
        }
    }
}

/// The layer.
struct Teller(Watchers);

impl<S: Subscriber> Layer<S> for Teller {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Watchers(lines) = &self.0;
        if lines.receiver_count() == 0 {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        // Nobody may be left to hear it.
        let _ = lines.send(text.line().into());
    }
}

/// The parts of a line, as the fields come.
#[derive(Debug, Default)]
struct Text {
    job: Option<String>,
    message: String,
    fields: String,
}

impl Text {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let written = match field.name() {
            "message" => write!(self.message, "{value}"),
            "job" => {
                self.job = Some(value.to_string());
                Ok(())
            }
            name => write!(self.fields, " {name}={value}"),
        };
        written.expect("a String takes every text");
    }

    /// `:: [job(pid)] message field=value`, on one line.
    fn line(&self) -> String {
        let from = match &self.job {
            Some(job) => format!("[{job}({})] ", std::process::id()),
            None => String::new(),
        };
        let line = format!(":: {from}{}{}", self.message, self.fields);
        line.replace(['\r', '\n'], " ")
    }
}

impl tracing::field::Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[tokio::test]
    async fn a_watcher_reads_what_is_logged_and_a_slow_one_misses_the_oldest() {
        let watchers = Watchers::default();
        let log = tracing_subscriber::registry().with(watchers.layer());
        let _guard = tracing::subscriber::set_default(log);
        let mut watching = watchers.watch();

        tracing::info!(job = "fsck", devid = 3, "device is\r\nlost");
        let expected = format!(":: [fsck({})] device is  lost devid=3", std::process::id());
        assert_eq!(&*watching.next().await, expected);
        for number in 0..LINES_MAX + 5 {
            tracing::info!("line {number}");
        }
        assert_eq!(&*watching.next().await, ":: line 5");
    }
}
