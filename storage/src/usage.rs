//! How full a device is, as the node's `usage` file tells it (`MogileFS` `mogstored`).

/// Figures of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Used plus available bytes; what is reserved for the superuser is left out.
    pub total_bytes: u64,
    /// Used bytes.
    pub used_bytes: u64,
    /// Bytes that can still be written.
    pub available_bytes: u64,
    /// When this was read, unix seconds of the node.
    pub asof: i64,
}
