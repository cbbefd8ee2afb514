//! The recording of the original MogileFS, replayed against our tracker port on every engine.
//!
//! `tracker-*.jsonl` hold what clients and tools said to the original on one database and what they heard, in order
//! (mogilefs.md §30). [`replay`] says it again to a tracker of ours with the same hosts and devices; [`shape`] makes answers
//! comparable: order of pairs, ids, times, sizes of disks and the choice among equal devices vary by nature.
//! What else differs stands in `differences.toml`, with its reason; a difference that is gone must leave that table.

#![expect(clippy::unwrap_used, reason = "this is all test, helpers included")]

#[path = "../../../tracker/src/meta/tests/engines.rs"]
mod engines;
mod replay;
mod shape;
mod world;

use mogul_tracker::meta::{Db, Engine};
use serde::Deserialize;

/// One recorded exchange.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) id: u64,
    pub(crate) group: String,
    pub(crate) case: String,
    pub(crate) say: String,
    /// What came back; nothing, where the original said nothing.
    pub(crate) hear: Option<String>,
}

/// A difference that we want.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// The group of the exchanges.
    group: String,
    /// How their case begins.
    case: String,
    /// The databases on which it shows; all, if empty.
    #[serde(default)]
    on: Vec<String>,
    /// How our answer begins, in its comparable shape; empty, if the request is left out of the replay.
    ours: String,
    /// Why.
    why: String,
}

#[derive(Debug, Deserialize)]
struct Differences {
    difference: Vec<Difference>,
}

fn recorded(engine: Engine) -> (&'static str, Vec<Exchange>) {
    let (name, text) = match engine {
        Engine::Sqlite => ("sqlite", include_str!("tracker-sqlite.jsonl")),
        Engine::Postgres => ("pg", include_str!("tracker-pg.jsonl")),
        Engine::MySql => ("mysql", include_str!("tracker-mysql.jsonl")),
    };
    (
        name,
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

async fn differs_only_where_we_want(db: Db) {
    let (database, exchanges) = recorded(db.engine());
    let table: Differences = toml::from_str(include_str!("differences.toml")).unwrap();
    let wanted: Vec<&Difference> = table
        .difference
        .iter()
        .filter(|difference| difference.on.is_empty() || difference.on.iter().any(|on| on == database))
        .collect();
    assert!(
        table
            .difference
            .iter()
            .all(|difference| !difference.why.is_empty())
    );
    let mut seen = vec![false; wanted.len()];
    let mut wrong = Vec::new();
    let names = |difference: &Difference, exchange: &Exchange| {
        difference.group == exchange.group && exchange.case.starts_with(&difference.case)
    };
    for (difference, seen) in wanted.iter().zip(&mut seen) {
        *seen = difference.ours.is_empty();
    }
    let left_out = |exchange: &Exchange| {
        let mut wanted = wanted.iter();
        wanted.any(|difference| difference.ours.is_empty() && names(difference, exchange))
    };
    for mismatch in replay::replay(db, &exchanges, left_out).await {
        let exchange = &mismatch.exchange;
        let known = wanted.iter().position(|difference| {
            names(difference, exchange) && mismatch.ours.starts_with(&difference.ours)
        });
        match known {
            Some(known) => seen[known] = true,
            None => {
                wrong.push(format!(
                    "{database} {} [{}] {}\n  said  {}\n  heard {}\n  ours  {}\n",
                    exchange.id,
                    exchange.group,
                    exchange.case,
                    exchange.say.trim_end(),
                    mismatch.theirs,
                    mismatch.ours
                ));
            }
        }
    }
    for (difference, _) in wanted.iter().zip(&seen).filter(|(_, seen)| !**seen) {
        wrong.push(format!(
            "{database}: nothing differs any more at {difference:?}\n"
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_tracker_answers_as_the_original_did() {
    engines::for_each_engine(differs_only_where_we_want).await;
}
