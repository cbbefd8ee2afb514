//! One suite for all engines.

pub(crate) mod engines;
mod fid_blocks;
mod listing;
mod lock;
mod objects;
mod replicas;
mod schema;
mod statements;
mod suite;
