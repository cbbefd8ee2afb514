//! Digests of a large body, computed beside its way to the nodes.
//!
//! MD5 does 0.7 GB/s on one core, SHA-256 two: each slow digest has a lane of its own, a blocking thread that is borrowed
//! while there is something to hash and never held while the body's sender is slow. Pieces queue up before a lane that is
//! at work, up to a limit; then the body waits. The thread takes the next pieces by itself: MD5 is what a body takes longest
//! for, and would else rest until whoever reads the body has come round to start it again.

use std::{
    mem,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use tokio::{
    sync::Notify,
    task::{JoinError, JoinHandle},
};

use crate::digest::{Digests, HashType, Hasher};

/// Bytes that wait before one lane, at most (and one piece more): enough that neither side waits for a hand-over.
const WAITING_MAX: usize = 2 << 20;

/// The lanes of one body.
pub(super) struct Lanes(Vec<Lane>);

struct Lane {
    state: State,
    queue: Arc<Queue>,
}

enum State {
    Idle(Hasher),
    AtWork(JoinHandle<Hasher>),
}

/// What waits before a lane.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// Rung when the lane has taken what waited.
    taken: Notify,
}

#[derive(Default)]
struct Waiting {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Whether a thread takes what comes: it ends when it finds nothing.
    attended: bool,
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
            queue: Arc::default(),
        }
    }

    async fn push(&mut self, pieces: &[Bytes]) {
        if !self.queue.add(pieces) {
            self.start().await;
        }
        while self.queue.is_full()
            && let State::AtWork(work) = &mut self.state
        {
            let taken = pin!(self.queue.taken.notified());
            if let Either::Left((done, _)) = select(work, taken).await {
                self.state = State::Idle(hasher_of(done).await);
            }
        }
    }

    async fn finish(self) -> Digests {
        // What waits has a thread that takes it, and ends behind it.
        take(self.state).await.finish()
    }

    /// Starts a thread, once the one before has ended.
    async fn start(&mut self) {
        // The empty hasher that stands in is never seen: nothing else runs while `self` is borrowed.
        let state = mem::replace(&mut self.state, State::Idle(Hasher::new(&[])));
        let mut hasher = take(state).await;
        let queue = Arc::clone(&self.queue);
        self.state = State::AtWork(tokio::task::spawn_blocking(move || {
            while let Some(pieces) = queue.take() {
                for piece in &pieces {
                    hasher.update(piece);
                }
            }
            hasher
        }));
    }
}

impl Queue {
    /// Adds pieces; whether a thread takes them. If not, the caller starts one.
    fn add(&self, pieces: &[Bytes]) -> bool {
        let mut waiting = self.locked();
        waiting.pieces.extend_from_slice(pieces);
        waiting.bytes += pieces.iter().map(Bytes::len).sum::<usize>();
        mem::replace(&mut waiting.attended, true)
    }

    /// Takes all that waits. After `None` the thread must end.
    fn take(&self) -> Option<Vec<Bytes>> {
        let mut waiting = self.locked();
        waiting.attended = !waiting.pieces.is_empty();
        waiting.bytes = 0;
        self.taken.notify_one();
        waiting.attended.then(|| mem::take(&mut waiting.pieces))
    }

    fn is_full(&self) -> bool {
        self.locked().bytes > WAITING_MAX
    }

    fn locked(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the hasher of a lane.
async fn take(state: State) -> Hasher {
    match state {
        State::Idle(hasher) => hasher,
        State::AtWork(work) => hasher_of(work.await).await,
    }
}

/// The hasher that a thread gives back.
async fn hasher_of(done: Result<Hasher, JoinError>) -> Hasher {
    match done.map_err(JoinError::try_into_panic) {
        Ok(hasher) => hasher,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime ends, and this future with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_while_lanes_are_at_work_is_digested_in_order_and_waits_up_to_a_limit() {
        let all = [HashType::Md5, HashType::Sha256, HashType::Crc64Nvme];
        let piece = |number: u8| Bytes::from(vec![number; 512 << 10]);
        let mut lanes = Lanes::new(&all);
        let mut whole = Hasher::new(&all);
        for number in 0..100 {
            lanes.push(&[piece(number)]).await;
            whole.update(&piece(number));

            assert!(lanes.0.iter().all(|lane| !lane.queue.is_full()));
        }

        let (found, expected) = (lanes.finish().await, whole.finish());

        for hash in all {
            assert_eq!(found.get(hash), expected.get(hash), "{hash:?}");
        }
    }
}
