//! The log on standard error: readable on a terminal, one JSON object a line anywhere else.

use std::io::IsTerminal;

use mogul_api::mogile::Watchers;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts the log. `filter` is the setting `log`; `watchers` are told what is logged.
///
/// # Errors
/// A line that says what is wrong with the filter.
pub(crate) fn start(filter: &str, watchers: &Watchers) -> Result<(), String> {
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| {
        format!("log (--log) cannot be '{filter}': {error}; give error, warn, info, debug or trace")
    })?;
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = if std::io::stderr().is_terminal() {
        log.with_target(false).compact().boxed()
    } else {
        log.json().flatten_event(true).with_current_span(false).boxed()
    };
    tracing_subscriber::registry()
        .with(parsed)
        .with(log)
        .with(watchers.layer())
        .init();
    Ok(())
}
