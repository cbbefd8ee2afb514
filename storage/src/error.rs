//! What can go wrong on the way to a stored file.

use crate::{digest::HashType, download::Fault};

/// Why a node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The file is not on that device.
    #[error("no such file on the device")]
    NotFound,
    /// The node does not serve that device, or its directory is not there.
    #[error("the node does not serve this device")]
    NoDevice,
    /// The device has no room left.
    #[error("the device is full")]
    Full,
    /// The range lies outside the file of `size` bytes.
    #[error("the range lies outside the {size} bytes of the file")]
    OutOfRange {
        /// Bytes of the whole file.
        size: u64,
    },
    /// The body ended early or late, or its sender gave it up; nothing was kept.
    #[error("the body was not complete: {0}")]
    Body(String),
    /// The node cannot compute this digest, or lacks an extension of ours.
    #[error("the node does not support {0}")]
    Unsupported(&'static str),
    /// A digest was refused by the node.
    #[error("the node's {0:?} does not match")]
    Digest(HashType),
    /// The node was to fetch the file from another, whose copy is at fault.
    #[error("the copy to be fetched is at fault: {0:?}")]
    Source(Fault),
    /// The node answered something that its protocol does not allow here.
    #[error("unexpected answer {status}: {text}")]
    Answer {
        /// The HTTP status.
        status: u16,
        /// The first line of the body.
        text: String,
    },
    /// The device failed: an I/O error of the operating system.
    #[error("the device failed")]
    Device(#[source] std::io::Error),
    /// The node could not be reached, or did not answer in time.
    #[error("the node could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
