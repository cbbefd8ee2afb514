//! `MultipleDevices`: so many copies on so many devices (`MogileFS/ReplicationPolicy/MultipleDevices.pm`).

use super::spread::{Missing, Spread};

/// What a file that wants `copies` copies misses, if anything; too many copies are enough.
pub(super) fn missing(copies: usize, spread: &Spread<'_>) -> Option<Missing> {
    if spread.on.len() >= copies || spread.is_everywhere() {
        return None;
    }
    Some(Missing {
        ideal: spread.candidates(|_| true),
        desperate: Vec::new(),
    })
}
