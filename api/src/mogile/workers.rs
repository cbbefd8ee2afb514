//! The query workers: how many requests of the port are worked on at a time, which wait, and which came last.
//!
//! The original's are processes; here one is a permit. What operators read of them (`!jobs`, `!queue`, `!recent`, `!stats`)
//! and what they change (`!want`) is the same.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many finished requests are remembered.
const RECENT_MAX: usize = 50;

/// How much of a request line is remembered, in bytes.
const RECENT_LINE_BYTES_MAX: usize = 4 << 10;

/// The workers and what they do.
pub(super) struct QueryWorkers {
    permits: Semaphore,
    size: Mutex<Size>,
    busy: AtomicUsize,
    queries: AtomicU64,
    waited: AtomicU64,
    arrivals: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Request>>,
    recent: Mutex<VecDeque<Finished>>,
}

/// How many workers there shall be.
#[derive(Debug)]
struct Size {
    wanted: usize,
    /// Busy workers that end with their request.
    surplus: usize,
}

/// A request as operators see it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Who sent it.
    pub(super) client: IpAddr,
    /// Its line.
    pub(super) line: Bytes,
}

/// A request that was answered.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    /// The request; a long line is cut.
    pub(super) request: Request,
    /// From its arrival to its answer.
    pub(super) total: Duration,
    /// The part of it in which it was worked on.
    pub(super) worked: Duration,
}

/// Counters, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Requests that wait for a worker.
    pub(super) pending: usize,
    /// Requests that are worked on.
    pub(super) processing: usize,
    /// Workers without a request.
    pub(super) bored: usize,
    /// Requests that were answered.
    pub(super) queries: u64,
    /// Requests that had to wait for a worker.
    pub(super) waited: u64,
}

/// A worker at work on one request.
pub(super) struct AtWork<'a> {
    workers: &'a QueryWorkers,
    permit: Option<SemaphorePermit<'a>>,
}

/// A request's place among those that wait.
struct Waiting<'a> {
    workers: &'a QueryWorkers,
    place: u64,
}

impl QueryWorkers {
    /// So many workers, all of them idle.
    pub(super) fn new(wanted: usize) -> QueryWorkers {
        QueryWorkers {
            permits: Semaphore::new(wanted),
            size: Mutex::new(Size { wanted, surplus: 0 }),
            busy: AtomicUsize::new(0),
            queries: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            arrivals: AtomicU64::new(0),
            waiting: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    /// Waits for a worker, behind those that came before.
    ///
    /// # Cancel safety
    /// Dropped, the request leaves the queue.
    pub(super) async fn take(&self, request: &Request) -> AtWork<'_> {
        let permit = if let Ok(permit) = self.permits.try_acquire() {
            permit
        } else {
            self.waited.fetch_add(1, Ordering::Relaxed);
            let place = self.arrivals.fetch_add(1, Ordering::Relaxed);
            locked(&self.waiting).insert(place, request.clone());
            let _waiting = Waiting { workers: self, place };
            self.permits.acquire().await.expect("nobody closes it")
        };
        self.busy.fetch_add(1, Ordering::Relaxed);
        AtWork {
            workers: self,
            permit: Some(permit),
        }
    }

    /// Remembers an answered request.
    pub(super) fn finished(&self, request: &Request, total: Duration, worked: Duration) {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let line = match request.line.get(..RECENT_LINE_BYTES_MAX) {
            Some(part) => Bytes::copy_from_slice(part),
            None => request.line.clone(),
        };
        let client = request.client;
        let mut recent = locked(&self.recent);
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Finished {
            request: Request { client, line },
            total,
            worked,
        });
    }

    /// Changes how many there are; the busy ones that are too many end with their request.
    pub(super) fn want(&self, wanted: usize) {
        let mut size = locked(&self.size);
        let (more, fewer) = (
            wanted.saturating_sub(size.wanted),
            size.wanted.saturating_sub(wanted),
        );
        let kept = more.min(size.surplus);
        size.surplus -= kept;
        self.permits.add_permits(more - kept);
        size.surplus += fewer - self.permits.forget_permits(fewer);
        size.wanted = wanted;
    }

    /// How many there are.
    pub(super) fn wanted(&self) -> usize {
        locked(&self.size).wanted
    }

    /// What waits for a worker, oldest first.
    pub(super) fn waiting(&self) -> Vec<Request> {
        locked(&self.waiting).values().cloned().collect()
    }

    /// What was answered last, oldest first.
    pub(super) fn recent(&self) -> Vec<Finished> {
        locked(&self.recent).iter().cloned().collect()
    }

    /// The counters.
    pub(super) fn counts(&self) -> Counts {
        let processing = self.busy.load(Ordering::Relaxed);
        Counts {
            pending: locked(&self.waiting).len(),
            processing,
            bored: self.wanted().saturating_sub(processing),
            queries: self.queries.load(Ordering::Relaxed),
            waited: self.waited.load(Ordering::Relaxed),
        }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.workers.busy.fetch_sub(1, Ordering::Relaxed);
        let mut size = locked(&self.workers.size);
        if size.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            size.surplus -= 1;
            permit.forget();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(&self.workers.waiting).remove(&self.place);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;

    fn request(line: &'static str) -> Request {
        Request {
            client: Ipv4Addr::LOCALHOST.into(),
            line: Bytes::from_static(line.as_bytes()),
        }
    }

    #[tokio::test]
    async fn as_many_requests_are_worked_on_as_there_are_workers_and_the_rest_waits_in_order() {
        let workers = QueryWorkers::new(2);
        let (one, two) = (
            workers.take(&request("1")).await,
            workers.take(&request("2")).await,
        );
        let (third, fourth) = (request("3"), request("4"));
        let mut three = Box::pin(workers.take(&third));
        let mut four = Box::pin(workers.take(&fourth));

        assert!((&mut three).now_or_never().is_none() && (&mut four).now_or_never().is_none());
        let lines: Vec<_> = workers
            .waiting()
            .iter()
            .map(|waiting| waiting.line.clone())
            .collect();
        assert_eq!(lines, ["3", "4"]);
        let counts = workers.counts();
        assert_eq!(
            (counts.pending, counts.processing, counts.bored, counts.waited),
            (2, 2, 0, 2)
        );
        drop(one);
        assert!((&mut four).now_or_never().is_none());
        let three = three.now_or_never().unwrap();
        drop((two, three, four));
        assert_eq!(workers.counts().bored, 2);
    }

    #[tokio::test]
    async fn a_smaller_crew_lets_its_busy_workers_finish() {
        let workers = QueryWorkers::new(2);
        let (one, two) = (
            workers.take(&request("1")).await,
            workers.take(&request("2")).await,
        );

        workers.want(1);
        drop(one);
        assert!(workers.take(&request("3")).now_or_never().is_none());
        drop(two);
        let three = workers.take(&request("3")).now_or_never().unwrap();
        assert!(workers.take(&request("4")).now_or_never().is_none());
        workers.want(2);
        assert!(workers.take(&request("4")).now_or_never().is_some());
        drop(three);
    }

    #[test]
    fn the_last_fifty_requests_are_remembered() {
        let workers = QueryWorkers::new(1);
        for _ in 0..60 {
            workers.finished(&request("noop"), Duration::ZERO, Duration::ZERO);
        }

        assert_eq!(workers.recent().len(), 50);
        assert_eq!(workers.counts().queries, 60);
    }
}
