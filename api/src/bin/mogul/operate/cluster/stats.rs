//! `mogul admin stats`: what each tracker is doing.

use std::collections::BTreeMap;

use super::{Shown, text_of};
use crate::client::tracker::{TrackerConnection, TrackerError};

/// Counters and workers of a tracker: the first line of each names it.
const QUESTIONS: [&str; 2] = ["!stats", "!jobs"];

pub(super) async fn run(trackers: &[String]) -> anyhow::Result<Shown> {
    let mut text = Vec::new();
    let mut documents: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for tracker in trackers {
        let lines = lines_of(tracker).await?;
        text.push(tracker.clone());
        text.extend(lines.iter().map(|line| format!("  {line}")));
        let pairs = lines.iter().filter_map(|line| line.rsplit_once(' '));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        documents.insert(tracker, pairs.collect());
    }
    Shown::of(text_of(text), &documents)
}

async fn lines_of(tracker: &str) -> Result<Vec<String>, TrackerError> {
    let mut connection = TrackerConnection::open(tracker).await?;
    let mut lines = Vec::new();
    for question in QUESTIONS {
        lines.extend(connection.admin(question).await?);
    }
    // Processes that no longer are any.
    lines.retain(|line| !line.contains(" pids "));
    Ok(lines)
}
