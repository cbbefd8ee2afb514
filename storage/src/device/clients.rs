//! How long clients have kept a device busy. Background work asks for it, to know how much it has to yield.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::HeaderMap;

use super::Device;
use crate::answer::WORK;

/// For whom a device works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Somebody waits for it.
    Client,
    /// A background job, which says so.
    Job,
}

impl Asker {
    /// Who sent a request with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Asker {
        if headers.contains_key(WORK) {
            Asker::Job
        } else {
            Asker::Client
        }
    }
}

/// The time in which at least one client's work was under way on a device. Waiting for a slow client is no work.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Works under way, and since when there is at least one.
    under_way: usize,
    since: Option<Instant>,
    /// The time until the last moment without any.
    spent: Duration,
}

/// Work of a client on a device, as long as this lives.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Device>);

impl Device {
    /// Counts work that begins now, if it is a client's.
    pub(crate) fn busy(self: &Arc<Self>, asker: Asker) -> Option<Busy> {
        match asker {
            Asker::Client => {
                self.clients.begin();
                Some(Busy(Arc::clone(self)))
            }
            Asker::Job => None,
        }
    }

    /// How long clients have kept it busy since it was opened.
    pub(crate) fn busy_with_clients(&self) -> Duration {
        self.clients.spent()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.clients.end();
    }
}

impl Clients {
    fn begin(&self) {
        let mut counted = self.lock();
        counted.under_way += 1;
        counted.since.get_or_insert_with(now);
    }

    fn end(&self) {
        let mut counted = self.lock();
        counted.under_way -= 1;
        if counted.under_way == 0
            && let Some(since) = counted.since.take()
        {
            counted.spent += since.elapsed();
        }
    }

    fn spent(&self) -> Duration {
        let counted = self.lock();
        let running = counted.since.map(|since| since.elapsed());
        counted.spent + running.unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "disks are busy in real time; a simulated host does not tell of it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, fid::DevId};

    #[test]
    fn time_counts_once_however_many_clients_there_are_and_not_for_jobs() {
        let folder = tempfile::tempdir().unwrap();
        let device = Device::open(folder.path(), DevId::new(1).unwrap(), Durability::Cache).unwrap();
        let device = Arc::new(device);
        let wait = || {
            let began = now();
            while began.elapsed() < Duration::from_millis(2) {}
        };

        let job = device.busy(Asker::Job);
        wait();
        assert_eq!(device.busy_with_clients(), Duration::ZERO);
        drop(job);
        let began = now();
        let (one, other) = (device.busy(Asker::Client), device.busy(Asker::Client));
        wait();
        drop(one);
        let while_busy = device.busy_with_clients();
        wait();
        drop(other);

        let spent = device.busy_with_clients();
        assert!(while_busy >= Duration::from_millis(2), "{while_busy:?}");
        assert!(spent > while_busy && spent <= began.elapsed(), "{spent:?}");
        assert_eq!(
            device.busy_with_clients(),
            spent,
            "it stands still while nobody asks"
        );
    }
}
