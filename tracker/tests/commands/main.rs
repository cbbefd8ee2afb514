//! The commands and the jobs, called as the faces and the driver call them: on real databases, with nodes in this
//! process over scratch folders.

mod buckets;
#[path = "../../src/meta/tests/engines.rs"]
mod engines;
mod files;
mod jobs;
mod users;
mod world;
