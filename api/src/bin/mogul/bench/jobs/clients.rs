//! The S3 clients that work beside a job, and what they lose by it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::try_join_all;
use mogul_tracker::{
    clock::{Clock, SystemClock},
    rng::{self, SystemEntropy},
};
use tokio::task::JoinHandle;

use super::report::{Meanwhile, Side};
use crate::{
    bench::{
        OBJECTS_DEFAULT, Op,
        drive::Pace,
        payload,
        report::{Asked, Report, Tally},
        store::{Bucket, Store},
        work::{self, Plan},
    },
    client::{Endpoint, Payload, sign::Signer},
};

/// How long clients work without being told to stop: longer than any job that is measured.
const LONGEST: Duration = Duration::from_hours(1);

/// Clients that are not at work yet.
pub(super) struct Crowd {
    store: Store,
    payload: Payload,
    size: u64,
    count: usize,
    /// Workers so far: each has keys of its own, so that no object is overwritten, which would be more work for the jobs.
    workers: AtomicUsize,
}

/// Clients with what they do when nothing else happens.
pub(super) struct Clients<'a> {
    pub(super) crowd: &'a Crowd,
    pub(super) before: [Side; 2],
}

/// Clients at work.
struct Running {
    pace: Pace,
    readers: Vec<JoinHandle<Tally>>,
    writers: Vec<JoinHandle<Tally>>,
}

impl Crowd {
    /// So many clients of a bucket, with objects of this size in bytes.
    pub(super) fn new(
        (endpoint, signer): (Endpoint, Signer),
        bucket: &str,
        (count, size): (usize, u64),
    ) -> anyhow::Result<Crowd> {
        let run = hex::encode(rng::fill::<6>(&SystemEntropy));
        Ok(Crowd {
            store: Store::new(endpoint, signer, bucket, &run),
            payload: payload(size)?,
            size,
            count,
            workers: AtomicUsize::new(0),
        })
    }

    /// Makes the bucket and the objects that are read.
    pub(super) async fn prepare(&self) -> anyhow::Result<Bucket> {
        let mut caller = self.store.connect().await?;
        let bucket = caller.make_bucket().await?;
        for index in 0..OBJECTS_DEFAULT {
            let key = self.store.prepared_key(index);
            caller.put(&key, self.payload.clone()).await?;
        }
        Ok(bucket)
    }

    /// Removes what the clients have made.
    pub(super) async fn clean(&self, bucket: Bucket) -> anyhow::Result<()> {
        let mut caller = self.store.connect().await?;
        super::super::clean(&mut caller, bucket).await
    }

    /// Lets them work for this long.
    pub(super) async fn measured_for(&self, duration: Duration) -> anyhow::Result<[Side; 2]> {
        let running = self.start();
        SystemClock.sleep(duration).await;
        running.stop(self).await
    }

    fn start(&self) -> Running {
        let pace = Pace::start_silently(LONGEST);
        let start = |op: Op, count: usize| -> Vec<JoinHandle<Tally>> {
            let plan = Plan {
                op,
                store: self.store.clone(),
                payload: self.payload.clone(),
                prepared: OBJECTS_DEFAULT,
                concurrency: count,
                pace: pace.clone(),
            };
            let first = self.workers.fetch_add(count, Ordering::Relaxed);
            let workers = first..first + count;
            workers
                .map(|number| tokio::spawn(work::run(plan.clone(), number)))
                .collect()
        };
        let readers = self.count.div_ceil(2);
        Running {
            readers: start(Op::Get, readers),
            writers: start(Op::Put, self.count - readers),
            pace,
        }
    }
}

impl Clients<'_> {
    /// Does some work beside the clients.
    pub(super) async fn beside<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(T, Option<Meanwhile>)> {
        let running = self.crowd.start();
        let done = work.await;
        let [get, put] = running.stop(self.crowd).await?;
        let [get_before, put_before] = &self.before;
        let meanwhile = Meanwhile {
            get_before: get_before.clone(),
            get,
            put_before: put_before.clone(),
            put,
        };
        Ok((done?, Some(meanwhile)))
    }
}

impl Running {
    /// Stops the clients and adds up what the readers and the writers did.
    async fn stop(self, crowd: &Crowd) -> anyhow::Result<[Side; 2]> {
        let elapsed = self.pace.until.elapsed();
        self.pace.stop.cancel();
        let side = async |op: &str, workers: Vec<JoinHandle<Tally>>| {
            let concurrency = workers.len();
            let tallies = try_join_all(workers).await?;
            let asked = Asked {
                endpoint: String::new(),
                op: op.to_owned(),
                size_bytes: crowd.size,
                concurrency,
            };
            let report = Report::new(asked, &tallies, elapsed);
            anyhow::Ok(Side::of(&report))
        };
        Ok([side("get", self.readers).await?, side("put", self.writers).await?])
    }
}
