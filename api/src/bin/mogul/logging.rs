//! The log on standard error: readable on a terminal, one JSON object a line anywhere else. A daemon, whose standard error goes
//! nowhere once it serves, also tells syslog.

use std::io::IsTerminal;

use mogul_api::mogile::Watchers;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::syslog::Syslog;

/// Starts the log. `filter` is the setting `log`; `watchers` are told what is logged, and so is `syslog`, if there is one.
///
/// # Errors
/// A line that says what is wrong with the filter.
pub(crate) fn start(filter: &str, watchers: &Watchers, syslog: Option<Syslog>) -> Result<(), String> {
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| {
        format!("log (--log) cannot be '{filter}': {error}; give error, warn, info, debug or trace")
    })?;
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = if std::io::stderr().is_terminal() {
        log.with_target(false).compact().boxed()
    } else {
        log.json().flatten_event(true).with_current_span(false).boxed()
    };
    let syslog = syslog.map(|syslog| {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(syslog)
            .with_ansi(false);
        lines.without_time().with_target(false).compact()
    });
    tracing_subscriber::registry()
        .with(parsed)
        .with(log)
        .with(syslog)
        .with(watchers.layer())
        .init();
    Ok(())
}
