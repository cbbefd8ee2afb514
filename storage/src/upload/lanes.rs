//! Digests of a large body, computed beside its way to the nodes.
//!
//! MD5 does 0.7 GB/s on one core, SHA-256 two: each slow digest has a lane of its own, a blocking thread that is borrowed
//! while there is something to hash and never held while the body's sender is slow. Pieces queue up before a lane that is
//! at work, up to a limit; then the body waits.

use bytes::Bytes;
use std::mem;
use tokio::task::JoinHandle;

use crate::digest::{Digests, HashType, Hasher};

/// Bytes that wait before one lane, at most (and one piece more): enough that neither side waits for a hand-over.
const WAITING_MAX: usize = 2 << 20;

/// The lanes of one body.
pub(super) struct Lanes(Vec<Lane>);

struct Lane {
    state: State,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

enum State {
    Idle(Hasher),
    AtWork(JoinHandle<Hasher>),
}

impl Lanes {
    /// Lanes for these digests.
    pub(super) fn new(hashes: &[HashType]) -> Lanes {
        let (slow, fast): (Vec<HashType>, Vec<HashType>) = hashes.iter().partition(|hash| hash.is_slow());
        let mut lanes: Vec<Vec<HashType>> = slow.into_iter().map(|hash| vec![hash]).collect();
        match lanes.last_mut() {
            // Fast digests cost next to nothing: they ride along.
            Some(last) => last.extend(fast),
            None => lanes.push(fast),
        }
        Lanes(lanes.iter().map(|hashes| Lane::new(hashes)).collect())
    }

    /// Takes the next pieces of the body; waits while a lane is too far behind.
    pub(super) async fn push(&mut self, pieces: &[Bytes]) {
        for lane in &mut self.0 {
            lane.push(pieces).await;
        }
    }

    /// The digests of all pieces.
    pub(super) async fn finish(self) -> Digests {
        let mut digests = Digests::default();
        for lane in self.0 {
            for digest in lane.finish().await.iter() {
                digests.insert(digest.clone());
            }
        }
        digests
    }
}

impl Lane {
    fn new(hashes: &[HashType]) -> Lane {
        Lane {
            state: State::Idle(Hasher::new(hashes)),
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    async fn push(&mut self, pieces: &[Bytes]) {
        self.waiting.extend_from_slice(pieces);
        self.waiting_bytes += pieces.iter().map(Bytes::len).sum::<usize>();
        let at_work = match &self.state {
            State::Idle(_) => false,
            State::AtWork(work) => !work.is_finished(),
        };
        if !at_work || self.waiting_bytes > WAITING_MAX {
            self.start().await;
        }
    }

    async fn finish(mut self) -> Digests {
        self.start().await;
        take(self.state).await.finish()
    }

    /// Starts on all that waits, once the work before is done.
    async fn start(&mut self) {
        // The empty hasher that stands in is never seen: nothing else runs while `self` is borrowed.
        let state = mem::replace(&mut self.state, State::Idle(Hasher::new(&[])));
        let mut hasher = take(state).await;
        let pieces = mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.state = State::AtWork(tokio::task::spawn_blocking(move || {
            for piece in &pieces {
                hasher.update(piece);
            }
            hasher
        }));
    }
}

/// Waits for the hasher of a lane.
async fn take(state: State) -> Hasher {
    match state {
        State::Idle(hasher) => hasher,
        State::AtWork(work) => match work.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(hasher) => hasher,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime ends, and this future with it.
            Err(Err(_)) => std::future::pending().await,
        },
    }
}
