//! The bytes of mogul: plain files on devices, behind one seam, [`Node`].
//!
//! This crate knows fids, devices and digests. It knows no key, no class and no database; what a fid means is
//! the business of `mogul-tracker`. Start with [`fid`] for the names of files, [`device`] for how a file becomes
//! durable, [`server`] for the node's HTTP, [`node`] for how everybody else reaches it, and [`upload`] and
//! [`download`] for the one pass a body makes.

mod answer;
pub mod bulk;
pub mod device;
pub mod digest;
pub mod download;
pub mod error;
pub mod fid;
pub mod latency;
pub mod local;
pub mod mark;
pub mod networks;
pub mod node;
mod pieces;
pub mod pull;
pub mod remote;
pub mod server;
pub mod sidechannel;
pub mod upload;
pub mod usage;
pub mod utilization;

pub use device::{Device, Devices, Durability};
pub use digest::{Digest, Digests, HashType, Hasher};
pub use error::NodeError;
pub use fid::{DevFid, DevId, Fid};
pub use mark::{Mark, Marking};
pub use node::{ByteRange, Node};
