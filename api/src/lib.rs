//! The faces of mogul: what clients and operators speak to.
//!
//! A face parses, authenticates, calls one command of [`mogul_tracker::Tracker`] and renders the answer. It decides
//! nothing, and no face calls another. [`s3`] is the object store's HTTP, [`admin`] the operators' JSON,
//! [`mogile`] the tracker port; what they count is in [`metrics`]. The binary `mogul` assembles the process.

pub mod admin;
pub mod metrics;
pub mod mogile;
pub mod s3;
