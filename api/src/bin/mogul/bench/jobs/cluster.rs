//! What the benchmark does through the tracker port: it stores and deletes files, holds jobs back and lets them go, and
//! watches until their work is done.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use mogul_tracker::clock::{Clock, SystemClock};

use super::{JobsArgs, report::Figure};
use crate::{
    bench::{
        report::{Stopwatch, float, quantile_ms},
        tracker::{Plan, Worker},
    },
    client::tracker::{Pairs, TrackerConnection, line},
};

/// The class of the files.
const CLASS: &str = "bench";

/// How often a backlog is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How often it is looked whether a check goes on: the whole of it may take a fraction of a second.
const LOOK_CHECK: Duration = Duration::from_millis(2);

/// How long a backlog may stay as it is before the work counts as stuck: the longest that a tracker waits before its first
/// new attempt.
const STUCK: Duration = Duration::from_mins(2);

/// How long deleted files stay for their readers, and a little more.
const READERS: Duration = Duration::from_secs(6);

/// Files of which the second copy is waited for.
const SECOND_COPIES: usize = 200;

/// The jobs whose workers are counted.
const HELD: [&str; 2] = ["replicate", "delete"];

/// A cluster that is being measured.
pub(super) struct Cluster {
    trackers: Vec<TrackerConnection>,
    address: String,
    domain: String,
    /// How many workers each tracker had of each job.
    workers: Vec<BTreeMap<&'static str, u64>>,
}

/// Files that the benchmark has stored.
pub(super) struct Stored {
    plan: Plan,
    count: u64,
    /// Bytes of each.
    size: u64,
    /// The smallest of their fids.
    first: u64,
}

impl Cluster {
    /// Opens the trackers and makes a domain for the files, of which two copies are wanted.
    pub(super) async fn open(addresses: &[String]) -> anyhow::Result<Cluster> {
        let open = addresses.iter().map(|address| TrackerConnection::open(address));
        let mut trackers = try_join_all(open).await?;
        let mut workers = Vec::new();
        for tracker in &mut trackers {
            let lines = tracker.admin("!jobs").await?;
            let desired = |job: &'static str| {
                let head = format!("{job} desired ");
                let count = lines.iter().find_map(|line| line.strip_prefix(&head));
                (job, count.and_then(|count| count.parse().ok()).unwrap_or(0))
            };
            workers.push(HELD.into_iter().map(desired).collect());
        }
        let mut cluster = Cluster {
            trackers,
            address: addresses.first().cloned().unwrap_or_default(),
            domain: format!("mogul-bench-jobs-{}", std::process::id()),
            workers,
        };
        let domain = cluster.domain.clone();
        let made = async |cluster: &mut Cluster| {
            cluster.ask("create_domain", &[("domain", &domain)]).await?;
            let class = [("domain", &*domain), ("class", CLASS), ("mindevcount", "2")];
            cluster.ask("create_class", &class).await.map(drop)
        };
        made(&mut cluster).await.context("cannot make a domain")?;
        Ok(cluster)
    }

    /// Gives the jobs their workers back and removes the domain.
    pub(super) async fn close(&mut self) -> anyhow::Result<()> {
        for job in HELD {
            self.let_go(job).await?;
        }
        let domain = self.domain.clone();
        let class = [("domain", &*domain), ("class", CLASS)];
        self.ask("delete_class", &class).await?;
        self.ask("delete_domain", &[("domain", &domain)]).await.map(drop)
    }

    /// Stores files with one copy each; the job that makes more is held back.
    pub(super) async fn store(&mut self, args: &JobsArgs) -> anyhow::Result<Stored> {
        self.hold_back("replicate").await?;
        let plan = Plan::of_files(&self.address, (&self.domain, CLASS), args.size)?;
        let makers = (0..args.concurrency).map(|number| {
            let plan = &plan;
            async move {
                let mut first = u64::MAX;
                let mut worker = Worker::connect(plan.clone(), number).await?;
                for index in (number..args.files).step_by(args.concurrency) {
                    first = first.min(worker.create(&plan.prepared_key(index)).await?);
                }
                anyhow::Ok(first)
            }
        });
        let firsts = try_join_all(makers).await?;
        Ok(Stored {
            count: u64::try_from(args.files)?,
            size: args.size,
            first: firsts.into_iter().min().unwrap_or_default(),
            plan,
        })
    }

    /// Lets the second copies be made.
    pub(super) async fn replicated(&mut self, stored: &Stored) -> anyhow::Result<Figure> {
        let watch = Stopwatch::start_for(Duration::ZERO);
        self.let_go("replicate").await?;
        let seconds = self.drained("work_queue_for_replicate", &watch).await?;
        Ok(Figure::rate(float(stored.count) / seconds, "files/s"))
    }

    /// Stores files one after the other and waits for the second copy of each.
    pub(super) async fn second_copies(&mut self, stored: &Stored) -> anyhow::Result<Figure> {
        let plan = Plan::of_files(&self.address, (&self.domain, CLASS), stored.size)?;
        let mut worker = Worker::connect(plan.clone(), 0).await?;
        let mut waits = Histogram::<u64>::new(3)?;
        for index in 0..SECOND_COPIES {
            let key = plan.prepared_key(index);
            worker.create(&key).await?;
            let watch = Stopwatch::start_for(STUCK);
            let args = [
                ("domain", &*self.domain),
                ("key", &key),
                ("noverify", "1"),
                ("pathcount", "2"),
            ];
            let request = line("get_paths", &args);
            while Pairs::parse(worker.tracker.exchange(&request).await?).number("paths") < 2 {
                anyhow::ensure!(!watch.is_over(), "a second copy is not made");
            }
            waits.record(u64::try_from(watch.elapsed().as_micros())?)?;
            let gone = [("domain", &*self.domain), ("key", &key)];
            worker.tracker.request("delete", &gone).await?;
        }
        Ok(Figure {
            value: quantile_ms(&waits, 0.5),
            unit: "ms (p50)",
            p99: Some(quantile_ms(&waits, 0.99)),
        })
    }

    /// Checks the files. What the tracker waits before it begins does not count.
    pub(super) async fn checked(&mut self, stored: &Stored) -> anyhow::Result<Figure> {
        let after = stored.first.saturating_sub(1);
        let start = after.to_string();
        self.ask("fsck_reset", &[("startpos", &start), ("policy_only", "0")])
            .await?;
        self.ask("fsck_start", &[]).await?;
        let watch = Stopwatch::start_for(STUCK);
        let mut begun = Duration::ZERO;
        loop {
            let looked = watch.elapsed();
            let status = self.ask("fsck_status", &[]).await?;
            let checked = status.number("max_fid_checked");
            if checked <= after {
                begun = looked;
            }
            if status.number("running") == 0 {
                break;
            }
            anyhow::ensure!(begun < STUCK, "the check does not begin");
            SystemClock.sleep(LOOK_CHECK).await;
        }
        let seconds = watch.elapsed().saturating_sub(begun).as_secs_f64();
        Ok(Figure::rate(float(stored.count) / seconds, "fids/s"))
    }

    /// Deletes the files; the job that deletes their copies is held back.
    pub(super) async fn delete(&mut self, args: &JobsArgs, stored: &Stored) -> anyhow::Result<()> {
        self.hold_back("delete").await?;
        let deleters = (0..args.concurrency).map(|number| {
            let (plan, domain, address) = (&stored.plan, &self.domain, &self.address);
            async move {
                let mut tracker = TrackerConnection::open(address).await?;
                for index in (number..args.files).step_by(args.concurrency) {
                    let key = plan.prepared_key(index);
                    tracker
                        .request("delete", &[("domain", domain), ("key", &key)])
                        .await?;
                }
                anyhow::Ok(())
            }
        });
        try_join_all(deleters).await?;
        SystemClock.sleep(READERS).await;
        Ok(())
    }

    /// Lets the copies of deleted files be deleted.
    pub(super) async fn deleted(&mut self) -> anyhow::Result<Figure> {
        let count = self.backlog("work_queue_for_delete").await?;
        let watch = Stopwatch::start_for(Duration::ZERO);
        self.let_go("delete").await?;
        let seconds = self.drained("work_queue_for_delete", &watch).await?;
        Ok(Figure::rate(float(count) / seconds, "files/s"))
    }

    async fn hold_back(&mut self, job: &str) -> anyhow::Result<()> {
        for tracker in &mut self.trackers {
            tracker.admin(&format!("!want 0 {job}")).await?;
        }
        Ok(())
    }

    async fn let_go(&mut self, job: &str) -> anyhow::Result<()> {
        for (tracker, workers) in self.trackers.iter_mut().zip(&self.workers) {
            let count = workers.get(job).copied().unwrap_or(0);
            tracker.admin(&format!("!want {count} {job}")).await?;
        }
        Ok(())
    }

    /// Waits until nothing is left in a queue; answers the seconds since the watch was started.
    async fn drained(&mut self, queue: &str, watch: &Stopwatch) -> anyhow::Result<f64> {
        let (mut left, mut moved) = (u64::MAX, watch.elapsed());
        loop {
            let now = self.backlog(queue).await?;
            if now == 0 {
                return Ok(watch.elapsed().as_secs_f64());
            }
            if now < left {
                (left, moved) = (now, watch.elapsed());
            }
            if watch.elapsed().saturating_sub(moved) > STUCK {
                bail!("{now} files are left of {queue}, and nothing happens");
            }
            SystemClock.sleep(LOOK).await;
        }
    }

    /// How long a queue is; all trackers have the same.
    async fn backlog(&mut self, queue: &str) -> anyhow::Result<u64> {
        let tracker = self.trackers.first_mut().context("no tracker was named")?;
        let lines = tracker.admin("!stats").await?;
        let length = lines
            .iter()
            .find_map(|line| line.strip_prefix(queue)?.trim().parse().ok());
        Ok(length.unwrap_or(0))
    }

    async fn ask(&mut self, command: &str, args: &[(&str, &str)]) -> anyhow::Result<Pairs> {
        let tracker = self.trackers.first_mut().context("no tracker was named")?;
        Ok(tracker.request(command, args).await?)
    }
}
