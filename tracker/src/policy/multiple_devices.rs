//! `MultipleDevices`: so many copies on so many devices (`MogileFS/ReplicationPolicy/MultipleDevices.pm`).

use super::{Advice, Spread};

/// Says what is to be done with a file that wants `copies` copies.
pub(super) fn advise(copies: u8, spread: &Spread) -> Advice {
    let (copies, on) = (usize::from(copies), spread.on.len());
    if on > copies {
        return Advice::TooHappy;
    }
    if on == copies || (on >= 2 && on == spread.devices) {
        return Advice::Happy;
    }
    match spread.candidates(|_| true) {
        none if none.is_empty() => Advice::NoAnswer,
        ideal => Advice::CopyTo {
            ideal,
            desperate: Vec::new(),
        },
    }
}
