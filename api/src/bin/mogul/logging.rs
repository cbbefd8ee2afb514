//! The log on standard error: readable on a terminal, one JSON object a line anywhere else.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts the log. `filter` is the setting `log`.
///
/// # Errors
/// A line that says what is wrong with the filter.
pub(crate) fn start(filter: &str) -> Result<(), String> {
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| {
        format!("log (--log) cannot be '{filter}': {error}; give error, warn, info, debug or trace")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).compact().init();
    } else {
        log.json().flatten_event(true).with_current_span(false).init();
    }
    Ok(())
}
