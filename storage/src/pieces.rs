//! Pieces of a body, gathered until they are worth handing over.
//!
//! A body may arrive in frames of any size. Large ones are passed on as they are; small ones are copied together, so that
//! a client which sends single bytes costs no more memory than another.

use std::mem;

use bytes::{Bytes, BytesMut};

/// Frames below this many bytes are copied.
const SMALL: usize = 8 << 10;

/// Small frames are copied into buffers of this many bytes.
const BUFFER: usize = 64 << 10;

/// Pieces gathered so far.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    whole: Vec<Bytes>,
    copied: BytesMut,
    length: usize,
}

impl Pieces {
    /// Adds a frame.
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.length += frame.len();
        if frame.len() >= SMALL {
            self.close_copied();
            self.whole.push(frame);
            return;
        }
        if self.copied.len() + frame.len() > BUFFER {
            self.close_copied();
        }
        self.copied.extend_from_slice(&frame);
    }

    /// Bytes gathered.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Takes all that was gathered, in order.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.close_copied();
        self.length = 0;
        mem::take(&mut self.whole)
    }

    /// Takes all that was gathered as one; a single frame is not copied.
    pub(crate) fn take_one(&mut self) -> Bytes {
        let mut pieces = self.take();
        match pieces.len() {
            0 => Bytes::new(),
            1 => pieces.remove(0),
            _ => Bytes::from(pieces.concat()),
        }
    }

    fn close_copied(&mut self) {
        if !self.copied.is_empty() {
            self.whole.push(self.copied.split().freeze());
        }
    }
}

/// The length of a piece.
pub(crate) fn long(piece: &Bytes) -> u64 {
    u64::try_from(piece.len()).expect("usize fits in u64 where Linux runs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_are_copied_together_and_large_ones_passed_on_in_order() {
        let mut pieces = Pieces::default();
        let large = Bytes::from(vec![7; SMALL]);
        for byte in 0..100 {
            pieces.push(Bytes::from(vec![byte]));
        }
        pieces.push(large.clone());
        pieces.push(Bytes::from_static(b"end"));

        assert_eq!(pieces.length(), 100 + SMALL + 3);
        let taken = pieces.take();

        assert_eq!(taken.len(), 3);
        assert_eq!(taken[0], (0..100).collect::<Vec<u8>>());
        assert_eq!(taken[1].as_ptr(), large.as_ptr());
        assert_eq!(taken[2], "end");
        assert_eq!(pieces.length(), 0);
    }

    #[test]
    fn a_body_of_single_bytes_is_held_in_few_buffers() {
        let mut pieces = Pieces::default();
        for _ in 0..3 * BUFFER {
            pieces.push(Bytes::from_static(b"x"));
        }

        assert_eq!(pieces.take().len(), 3);
    }
}
