//! The domain of mogul: commands, placement, replication policies, background jobs, metadata.
//!
//! A face parses a request, calls one command on [`Tracker`], and renders the answer; everything that is decided
//! is decided here. [`model`] has the nouns, [`command`] the verbs, [`meta`] the only SQL of the project,
//! [`policy`] and [`placement`] the pure rules, [`jobs`] what runs without a client.

pub mod clock;
pub mod command;
pub mod error;
pub mod jobs;
pub mod meta;
pub mod model;
pub mod nodes;
pub mod placement;
pub mod policy;
pub mod rng;
pub mod view;

#[cfg(test)]
extern crate self as mogul_tracker;

pub use error::Error;

use std::sync::Arc;

/// The handle to the domain: cheap to clone, shared by all faces and jobs.
#[derive(Clone)]
pub struct Tracker(Arc<Inner>);

/// What a [`Tracker`] is made of.
pub struct Parts {
    /// The database, migrated.
    pub db: meta::Db,
    /// How devices are reached.
    pub nodes: nodes::Nodes,
    /// Time.
    pub clock: Arc<dyn clock::Clock>,
    /// Chance.
    pub entropy: Arc<dyn rng::Entropy>,
    /// Settings of this process.
    pub settings: Settings,
}

/// Settings of one tracker, fixed for the life of the process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `mindevcount` of a class `default` that has no row (MogileFS `default_mindevcount`).
    pub default_mindevcount: u8,
    /// Devices below this many free bytes take no new files (MogileFS `min_free_space`).
    pub min_free_bytes: u64,
    /// Objects of several parts above this size in bytes stay in segments.
    pub join_bytes_max: u64,
}

struct Inner {
    parts: Parts,
}

impl Tracker {
    /// The database.
    pub(crate) fn db(&self) -> &meta::Db {
        &self.0.parts.db
    }

    /// The time.
    pub(crate) fn now(&self) -> model::Timestamp {
        self.0.parts.clock.now()
    }

    /// Chance.
    pub(crate) fn entropy(&self) -> &dyn rng::Entropy {
        &*self.0.parts.entropy
    }

    /// How devices are reached.
    pub(crate) fn nodes(&self) -> &nodes::Nodes {
        &self.0.parts.nodes
    }

    /// Settings of this process.
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.parts.settings
    }

    /// The cluster as it is now.
    pub(crate) fn view(&self) -> Arc<view::ClusterView> {
        todo!()
    }

    /// What writes finished uploads.
    pub(crate) fn committer(&self) -> &meta::committer::Committer {
        todo!()
    }

    /// Reserves a fid without devices: an object of several parts has no file of its own at first.
    pub(crate) async fn reserve_fid(&self) -> Result<mogul_storage::Fid, Error> {
        todo!()
    }

    /// Ends the reservation of a fid whose fate is in the database.
    pub(crate) fn finish(&self, fid: mogul_storage::Fid) {
        let _ = fid;
        todo!()
    }

    /// Tells the join job that there is work.
    pub(crate) fn wake_join(&self) {
        todo!()
    }

    /// Tells the delete job that there is work.
    pub(crate) fn wake_deletion(&self) {
        todo!()
    }

    /// Tells the replicate job that there is work.
    pub(crate) fn wake_replication(&self) {
        todo!()
    }
}
