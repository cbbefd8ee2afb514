//! `mogul bench tracker`: how fast a tracker is, ours or an original one.
//!
//! As with S3, each worker has one connection and sends one request after the other, and what an operation needs is made
//! before the clock starts and removed after it has stopped. An upload is what a client does: `create_open`, PUT to the
//! storage node, `create_close`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use futures_util::future::try_join_all;
use http::Method;
use http_body_util::{BodyExt, Limited};
use mogul_tracker::rng::{self, Entropy, SystemEntropy};

use super::{
    OBJECTS_DEFAULT,
    drive::{self, Failure, Link, Pace, Work},
    parse_concurrency, parse_size, payload,
    report::{Asked, Moved, Report, Tally},
};
use crate::{
    client::{
        ClientError, Connection, Endpoint, Payload,
        tracker::{Pairs, TrackerConnection, TrackerError, line},
    },
    config::FromText,
    form::Form,
};

/// Largest body of a storage node's answer to a PUT.
const PUT_ANSWER_BYTES_MAX: usize = 64 << 10;

/// Connections that delete what the run has made.
const DELETERS: usize = 8;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Op {
    /// `get_paths` of random prepared files, `noverify=1` as clients send it.
    GetPaths,
    /// `create_open`, PUT, `create_close` of new files.
    Create,
    /// `list_keys` of the prepared files, a page of up to 1,000 keys at a time.
    ListKeys,
    /// `file_info` of random prepared files.
    FileInfo,
}

/// Measures a tracker.
#[derive(Debug, Args)]
pub(crate) struct TrackerArgs {
    /// The tracker, HOST:PORT.
    #[arg(long, default_value = "127.0.0.1:7001")]
    tracker: String,
    /// The domain; made if it is missing, and then removed at the end. Other files in it are left alone.
    #[arg(long)]
    domain: String,
    /// The class of the files; unset: the domain's default.
    #[arg(long)]
    class: Option<String>,
    /// What to measure.
    #[arg(long, value_enum)]
    op: Op,
    /// Size of the files.
    #[arg(long, default_value = "4KiB", value_parser = parse_size)]
    size: u64,
    /// Requests on their way at a time; each has its own connection.
    #[arg(long, default_value_t = 32, value_parser = parse_concurrency)]
    concurrency: usize,
    /// How long to measure, such as 10s.
    #[arg(long, default_value = "10s", value_parser = Duration::from_text)]
    duration: Duration,
    /// Files to prepare for `get_paths`, `list_keys` and `file_info`.
    #[arg(long, default_value_t = OBJECTS_DEFAULT)]
    objects: usize,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark and prints the result.
///
/// # Errors
/// If the tracker cannot be used at all, or a measured request failed.
pub(crate) async fn run(args: TrackerArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.objects > 0, "--objects must be at least 1");
    let plan = Plan {
        tracker: args.tracker.as_str().into(),
        domain: args.domain.as_str().into(),
        class: args.class.as_deref().unwrap_or_default().into(),
        prefix: new_prefix(),
        payload: payload(args.size)?,
        size: args.size,
        op: args.op,
        prepared: args.objects,
    };
    let mut tracker = TrackerConnection::open(&args.tracker).await?;
    let made = make_domain(&mut tracker, &args.domain).await;
    let made = made.context("cannot use the domain")?;
    let measured = measure(&args, &plan).await;
    let cleaned = clean(&plan, &mut tracker, made).await;
    measured?.print(Form::of_flag(args.json))?;
    cleaned.context("cannot remove the files of the benchmark")
}

/// What the keys of one run begin with.
fn new_prefix() -> Arc<str> {
    format!("mogul-bench-{}/", hex::encode(rng::fill::<6>(&SystemEntropy))).into()
}

/// Whether the domain was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Domain {
    /// It was made by this run.
    Made,
    /// It was there.
    Found,
}

async fn make_domain(tracker: &mut TrackerConnection, domain: &str) -> Result<Domain, TrackerError> {
    match tracker.request("create_domain", &[("domain", domain)]).await {
        Ok(_) => Ok(Domain::Made),
        Err(TrackerError::Refused { code, .. }) if code == "domain_exists" => Ok(Domain::Found),
        Err(error) => Err(error),
    }
}

/// Prepares, starts the workers, and adds up what they counted.
async fn measure(args: &TrackerArgs, plan: &Plan) -> anyhow::Result<Report> {
    if plan.op != Op::Create {
        prepare(plan, args.concurrency)
            .await
            .context("cannot prepare files")?;
    }
    let (pace, printer) = Pace::start(args.duration);
    let workers = (0..args.concurrency).map(|number| {
        let (plan, pace) = (plan.clone(), pace.clone());
        tokio::spawn(async move {
            match Worker::connect(plan, number).await {
                Ok(worker) => drive::drive(&pace, worker).await,
                Err(error) => drive::failed_to_begin(error.into()),
            }
        })
    });
    let tallies: Vec<Tally> = try_join_all(workers).await?;
    let elapsed = pace.until.elapsed();
    printer.abort();
    let op = plan.op.to_possible_value().expect("no operation is hidden");
    let asked = Asked {
        endpoint: args.tracker.clone(),
        op: op.get_name().to_owned(),
        size_bytes: args.size,
        concurrency: args.concurrency,
    };
    Ok(Report::new(asked, &tallies, elapsed))
}

/// Makes the files that the operation needs, by all workers at once.
async fn prepare(plan: &Plan, concurrency: usize) -> Result<(), BenchError> {
    let makers = (0..concurrency).map(|number| async move {
        let mine = (number..plan.prepared).step_by(concurrency);
        if mine.len() == 0 {
            return Ok(());
        }
        let mut worker = Worker::connect(plan.clone(), number).await?;
        for index in mine {
            worker.create(&plan.prepared_key(index)).await?;
        }
        Ok(())
    });
    try_join_all(makers).await.map(drop)
}

/// Deletes what this run has made.
async fn clean(plan: &Plan, tracker: &mut TrackerConnection, domain: Domain) -> anyhow::Result<()> {
    let mut deleters = try_join_all((0..DELETERS).map(|_| TrackerConnection::open(&plan.tracker))).await?;
    loop {
        let pairs = match tracker.exchange(&plan.listing("")).await {
            Ok(pairs) => Pairs::parse(pairs),
            Err(TrackerError::Refused { code, .. }) if code == "none_match" => break,
            Err(error) => return Err(error.into()),
        };
        let keys: Vec<String> = (1..=pairs.number("key_count"))
            .map(|index| pairs.get(&format!("key_{index}")).to_owned())
            .collect();
        let share = keys.len().div_ceil(DELETERS).max(1);
        let deletions = deleters
            .iter_mut()
            .zip(keys.chunks(share))
            .map(|(deleter, keys)| async move {
                for key in keys {
                    deleter
                        .request("delete", &[("domain", &plan.domain), ("key", key)])
                        .await?;
                }
                Ok::<(), TrackerError>(())
            });
        try_join_all(deletions).await?;
    }
    match domain {
        Domain::Made => {
            let deleted = tracker
                .request("delete_domain", &[("domain", &plan.domain)])
                .await;
            deleted.map(drop).map_err(anyhow::Error::from)
        }
        Domain::Found => Ok(()),
    }
}

/// What all workers share.
#[derive(Clone)]
pub(super) struct Plan {
    tracker: Arc<str>,
    domain: Arc<str>,
    /// Empty for the default.
    class: Arc<str>,
    /// Of the keys of this run alone.
    prefix: Arc<str>,
    payload: Payload,
    /// Bytes of the payload.
    size: u64,
    op: Op,
    /// How many files are prepared.
    prepared: usize,
}

impl Plan {
    /// For workers that store files of this size in a class of a domain, below a prefix of their own.
    pub(super) fn of_files(tracker: &str, (domain, class): (&str, &str), size: u64) -> anyhow::Result<Plan> {
        Ok(Plan {
            tracker: tracker.into(),
            domain: domain.into(),
            class: class.into(),
            prefix: new_prefix(),
            payload: payload(size)?,
            size,
            op: Op::Create,
            prepared: 0,
        })
    }

    /// The key of a prepared file.
    pub(super) fn prepared_key(&self, index: usize) -> String {
        format!("{}prepared/{index:08}", self.prefix)
    }

    /// The request of the page of this run's keys behind `after`.
    fn listing(&self, after: &str) -> String {
        line(
            "list_keys",
            &[
                ("domain", &self.domain),
                ("prefix", &self.prefix),
                ("after", after),
                ("limit", "1000"),
            ],
        )
    }
}

/// Why an operation did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum BenchError {
    /// The tracker refused or broke.
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// The storage node broke.
    #[error(transparent)]
    Node(#[from] ClientError),
    /// The storage node refused.
    #[error("the storage node answered {0}")]
    Put(http::StatusCode),
    /// The answer names no path.
    #[error("the tracker named no path")]
    NoPath,
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Failure {
        let (code, connection) = match &error {
            BenchError::Tracker(refused @ TrackerError::Refused { .. }) => (refused.code(), Link::Whole),
            BenchError::Tracker(broken) => (broken.code(), Link::Broken),
            BenchError::Node(_) => ("NodeConnection".to_owned(), Link::Broken),
            BenchError::Put(status) => (status.as_u16().to_string(), Link::Broken),
            BenchError::NoPath => ("NoPath".to_owned(), Link::Whole),
        };
        Failure { code, connection }
    }
}

/// One worker.
pub(super) struct Worker {
    plan: Plan,
    number: usize,
    pub(super) tracker: TrackerConnection,
    /// Connections to the storage nodes, by host and port.
    nodes: BTreeMap<String, (Endpoint, Connection)>,
    /// Files begun.
    begun: usize,
    /// Where the listing goes on.
    after: String,
}

impl Worker {
    pub(super) async fn connect(plan: Plan, number: usize) -> Result<Worker, BenchError> {
        let tracker = TrackerConnection::open(&plan.tracker).await?;
        Ok(Worker {
            plan,
            number,
            tracker,
            nodes: BTreeMap::new(),
            begun: 0,
            after: String::new(),
        })
    }

    async fn next(&mut self) -> Result<Moved, BenchError> {
        match self.plan.op {
            Op::Create => {
                self.begun += 1;
                let (prefix, number, begun) = (&self.plan.prefix, self.number, self.begun);
                let key = format!("{prefix}worker-{number:04}/{begun:08}");
                self.create(&key).await?;
                Ok(Moved {
                    bytes: self.plan.size,
                    keys: 0,
                })
            }
            Op::GetPaths => {
                let paths = self.of_any_key("get_paths", "noverify", "1").await?;
                if Pairs::parse(paths).get("path1").is_empty() {
                    return Err(BenchError::NoPath);
                }
                Ok(Moved::default())
            }
            Op::FileInfo => {
                self.of_any_key("file_info", "devices", "0").await?;
                Ok(Moved::default())
            }
            Op::ListKeys => self.list().await,
        }
    }

    async fn of_any_key(&mut self, command: &str, name: &str, value: &str) -> Result<&[u8], BenchError> {
        let prepared = u64::try_from(self.plan.prepared).expect("a number of files fits");
        let index = usize::try_from(SystemEntropy.next_u64() % prepared).expect("smaller than a usize");
        let key = self.plan.prepared_key(index);
        let args = [("domain", &*self.plan.domain), ("key", &key), (name, value)];
        Ok(self.tracker.exchange(&line(command, &args)).await?)
    }

    async fn list(&mut self) -> Result<Moved, BenchError> {
        let page = self.plan.listing(&self.after);
        let pairs = match self.tracker.exchange(&page).await {
            Ok(pairs) => pairs,
            // The page before was the last one, and full.
            Err(TrackerError::Refused { code, .. }) if code == "none_match" => {
                self.after.clear();
                return Ok(Moved::default());
            }
            Err(error) => return Err(error.into()),
        };
        let bytes = u64::try_from(pairs.len()).expect("memory is smaller than 2^64 bytes");
        let pairs = Pairs::parse(pairs);
        let keys = pairs.number("key_count");
        pairs.get("next_after").clone_into(&mut self.after);
        Ok(Moved { bytes, keys })
    }

    /// Stores a file as a client does; answers its fid.
    pub(super) async fn create(&mut self, key: &str) -> Result<u64, BenchError> {
        let plan = self.plan.clone();
        let mut args = vec![("domain", &*plan.domain), ("key", key), ("fid", "0")];
        args.push(("class", &*plan.class));
        args.push(("multi_dest", "1"));
        let opened = self.tracker.request("create_open", &args).await?;
        let path = opened.get("path_1");
        self.put(path).await?;
        let size = plan.size.to_string();
        let args = [
            ("domain", &*plan.domain),
            ("key", key),
            ("fid", opened.get("fid")),
            ("devid", opened.get("devid_1")),
            ("path", path),
            ("size", &size),
        ];
        self.tracker.request("create_close", &args).await?;
        Ok(opened.number("fid"))
    }

    /// PUTs the payload to a URL of a storage node.
    async fn put(&mut self, url: &str) -> Result<(), BenchError> {
        let uri: http::Uri = url.parse().map_err(|_| BenchError::NoPath)?;
        let authority = uri.authority().ok_or(BenchError::NoPath)?.to_string();
        if !self.nodes.contains_key(&authority) {
            let node = Endpoint::parse(&format!("http://{authority}"), None)?;
            let connection = node.connect().await?;
            self.nodes.insert(authority.clone(), (node, connection));
        }
        let (node, connection) = self.nodes.get_mut(&authority).expect("it was opened above");
        let request = node.request(Method::PUT, uri.path(), self.plan.payload.clone())?;
        let answer = connection.send(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), PUT_ANSWER_BYTES_MAX)
            .collect()
            .await;
        body.map_err(|error| ClientError::Body(error.to_string()))?;
        if status.is_success() {
            Ok(())
        } else {
            Err(BenchError::Put(status))
        }
    }
}

impl Work for Worker {
    async fn step(&mut self) -> Option<Result<Moved, Failure>> {
        Some(self.next().await.map_err(Failure::from))
    }

    async fn mend(&mut self) {
        self.nodes.clear();
        // A failure to open the connection shows in the next step.
        if let Ok(tracker) = TrackerConnection::open(&self.plan.tracker).await {
            self.tracker = tracker;
        }
    }
}
