//! `mogul bench s3`: how fast an S3 server is, ours or another.
//!
//! Each of the concurrent workers has one connection and sends one request after the other. What an operation needs is
//! made before the clock starts and removed after it has stopped. [`store`] speaks S3, [`work`] is what a worker does.
//!
//! [`tracker`] is the same for the tracker port, [`jobs`] measures what a cluster does by itself. What all use: [`drive`]
//! paces the workers, [`report`] counts and prints.

mod drive;
pub(crate) mod jobs;
mod report;
mod store;
pub(crate) mod tracker;
mod work;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use futures_util::future::try_join_all;
use mogul_tracker::{
    model::{AccessKey, SecretKey},
    rng::{self, SystemEntropy},
};

use crate::{
    client::{Endpoint, Payload, sign::Signer},
    config::{Bytes, FromText},
    form::Form,
};
use drive::Pace;
use report::{Asked, Report, Tally};
use store::{Bucket, Store};

/// Objects that are made for an operation that reads or deletes, unless `--objects` says otherwise.
const OBJECTS_DEFAULT: usize = 1000;

/// Most workers.
const CONCURRENCY_MAX: usize = 4096;

/// The random block that bodies are made of: larger objects repeat it.
const BLOCK_BYTES_MAX: u64 = 4 << 20;

/// Largest object: S3's limit for one PUT.
const SIZE_MAX: u64 = 5 << 30;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Op {
    /// PUT of new objects.
    Put,
    /// GET of random prepared objects.
    Get,
    /// HEAD of random prepared objects.
    Head,
    /// Of 20 requests 9 GET, 6 HEAD, 3 PUT and 2 DELETE of own objects.
    Mixed,
    /// Listing of the prepared objects, a page of up to 1,000 keys at a time.
    List,
    /// DELETE of the prepared objects, each once; the run ends when there are none left.
    Delete,
}

/// Measures an S3 server.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The server, http://HOST:PORT or https://HOST:PORT.
    #[arg(long)]
    endpoint: String,
    /// The bucket; made if it is missing, and then removed at the end. Other objects in it are left alone.
    #[arg(long)]
    bucket: String,
    /// What to measure.
    #[arg(long, value_enum)]
    op: Op,
    /// Size of the objects.
    #[arg(long, default_value = "4KiB", value_parser = parse_size)]
    size: u64,
    /// Requests on their way at a time; each has its own connection.
    #[arg(long, default_value_t = 32, value_parser = parse_concurrency)]
    concurrency: usize,
    /// How long to measure, such as 10s.
    #[arg(long, default_value = "10s", value_parser = Duration::from_text)]
    duration: Duration,
    /// Objects to prepare for get, head, list, mixed (default 1000) and delete (default 20000).
    #[arg(long)]
    objects: Option<usize>,
    /// The region to sign for.
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    region: String,
    /// Certificates to trust instead of the machine's, PEM.
    #[arg(long, env = "AWS_CA_BUNDLE")]
    ca_file: Option<PathBuf>,
    /// Do not sign the bodies, as SDKs do not over https: the server has no SHA-256 to compute.
    #[arg(long)]
    unsigned_payload: bool,
    /// The access key.
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    access_key: String,
    /// The secret key.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_key: String,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_size(text: &str) -> Result<u64, String> {
    match Bytes::from_text(text)? {
        Bytes(size) if size <= SIZE_MAX => Ok(size),
        Bytes(_) => Err("one PUT takes at most 5GiB".to_owned()),
    }
}

fn parse_concurrency(text: &str) -> Result<usize, String> {
    usize::from_text(text)
        .ok()
        .filter(|count| (1..=CONCURRENCY_MAX).contains(count))
        .ok_or_else(|| format!("a number from 1 to {CONCURRENCY_MAX} is expected"))
}

impl BenchArgs {
    /// How many objects must be there before the clock starts.
    fn prepared(&self) -> usize {
        let default = match self.op {
            Op::Put => return 0,
            Op::Get | Op::Head | Op::Mixed | Op::List => OBJECTS_DEFAULT,
            Op::Delete => 20 * OBJECTS_DEFAULT,
        };
        self.objects.unwrap_or(default)
    }

    fn store(&self) -> anyhow::Result<Store> {
        let endpoint = Endpoint::parse(&self.endpoint, self.ca_file.as_deref())?;
        let key = (
            AccessKey(self.access_key.clone()),
            SecretKey(self.secret_key.clone()),
        );
        let signer = Signer::new(key.0, key.1, self.region.clone());
        let run = hex::encode(rng::fill::<6>(&SystemEntropy));
        Ok(Store::new(endpoint, signer, &self.bucket, &run))
    }
}

/// Runs the benchmark and prints the result.
///
/// # Errors
/// If the server cannot be used at all, or a measured request failed.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    if args.op != Op::Put && args.prepared() == 0 {
        bail!("--objects must be at least 1 for this operation");
    }
    let store = args.store()?;
    let mut caller = store.connect().await?;
    let bucket = caller.make_bucket().await.context("cannot use the bucket")?;
    let measured = measure(&args, &store).await;
    let cleaned = clean(&mut caller, bucket).await;
    measured?.print(Form::of_flag(args.json))?;
    cleaned.context("cannot remove the objects of the benchmark")
}

/// Prepares, starts the workers, and adds up what they counted.
async fn measure(args: &BenchArgs, store: &Store) -> anyhow::Result<Report> {
    let mut payload = payload(args.size)?;
    if args.unsigned_payload {
        payload = payload.unsigned();
    }
    prepare(args, store, &payload).await?;
    let (pace, printer) = Pace::start(args.duration);
    let plan = work::Plan {
        op: args.op,
        store: store.clone(),
        payload,
        prepared: args.prepared(),
        concurrency: args.concurrency,
        pace: pace.clone(),
    };
    let workers = (0..args.concurrency).map(|number| tokio::spawn(work::run(plan.clone(), number)));
    let tallies: Vec<Tally> = try_join_all(workers).await?;
    let elapsed = pace.until.elapsed();
    printer.abort();
    let asked = Asked {
        endpoint: args.endpoint.clone(),
        op: format!("{:?}", args.op).to_lowercase(),
        size_bytes: args.size,
        concurrency: args.concurrency,
    };
    Ok(Report::new(asked, &tallies, elapsed))
}

fn payload(size: u64) -> anyhow::Result<Payload> {
    let length = usize::try_from(size.min(BLOCK_BYTES_MAX))?;
    let mut block = Vec::with_capacity(length + 64);
    while block.len() < length {
        block.extend_from_slice(&rng::fill::<64>(&SystemEntropy));
    }
    block.truncate(length);
    Ok(Payload::repeated(block.into(), size))
}

/// Makes the objects that the operation needs, by all workers at once.
async fn prepare(args: &BenchArgs, store: &Store, payload: &Payload) -> anyhow::Result<()> {
    let makers = (0..args.concurrency).map(|number| {
        let (store, payload) = (store.clone(), payload.clone());
        let mine = (number..args.prepared()).step_by(args.concurrency);
        async move {
            if mine.len() == 0 {
                return Ok(());
            }
            let mut caller = store.connect().await?;
            for index in mine {
                caller.put(&store.prepared_key(index), payload.clone()).await?;
            }
            anyhow::Ok(())
        }
    });
    try_join_all(makers).await.context("cannot prepare objects")?;
    Ok(())
}

async fn clean(caller: &mut store::Caller, bucket: Bucket) -> anyhow::Result<()> {
    caller.remove_objects().await?;
    match bucket {
        Bucket::Made => Ok(caller.remove_bucket().await?),
        Bucket::Found => Ok(()),
    }
}
