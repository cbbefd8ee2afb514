//! The commands and the jobs, called as the faces and the driver call them: on real databases, with nodes in this
//! process over scratch folders.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails by its unwrap")]

mod absence;
mod buckets;
mod cluster;
mod drains;
#[path = "../../src/meta/tests/engines.rs"]
mod engines;
mod files;
mod jobs;
mod lookup;
mod monitor;
mod objects;
mod odd_rows;
mod rebalance;
mod repair;
mod scrub;
mod spares;
mod stock;
mod tempfiles;
mod tokens;
mod uploads;
mod users;
mod world;
mod zones;
