//! `mogul bench jobs`: how fast a cluster does what it does by itself, and what its clients lose meanwhile.
//!
//! It works on a running cluster through its doors, so that what is measured is what is run: any number of machines,
//! any database, the operator's own settings. The tracker port holds a job back (`!want 0 delete`) until there is work
//! for it, lets it go and watches the backlog; all but scrub can be measured on an original tracker as well. Clients
//! are S3's: one half reads, the other stores new objects. Everything is measured alone first, then beside them
//! ([`clients`]); [`cluster`] has the tracker's doors, [`report`] prints.

mod clients;
mod cluster;
mod report;
mod scrub;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use mogul_tracker::model::{AccessKey, SecretKey};
use serde::Serialize;

use super::{parse_concurrency, parse_size};
use crate::{
    client::{Endpoint, sign::Signer},
    config::FromText,
    form::Form,
};
use clients::{Clients, Crowd};
use cluster::Cluster;
use report::{Figure, Measured, Table};

/// What is measured, in the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Job {
    /// Second copies of files that were closed with one.
    Replicate,
    /// How long after the close of a file its second copy can be read.
    Latency,
    /// A check of all files.
    Fsck,
    /// A pass over all devices that reads every copy; needs the admin port.
    Scrub,
    /// The deletion of the files' copies.
    Delete,
}

impl Job {
    const ALL: [Job; 5] = [Job::Replicate, Job::Latency, Job::Fsck, Job::Scrub, Job::Delete];
}

/// Measures the background work of a cluster.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// The trackers, HOST:PORT,…: all of them, for each has its own workers.
    #[arg(
        long,
        default_value = "127.0.0.1:7001",
        value_delimiter = ',',
        value_name = "HOST:PORT,…"
    )]
    trackers: Vec<String>,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Job::ALL)]
    jobs: Vec<Job>,
    /// Files to work on.
    #[arg(long, default_value_t = 20_000)]
    files: usize,
    /// Size of the files.
    #[arg(long, default_value = "4KiB", value_parser = parse_size)]
    size: u64,
    /// Files that are stored at a time.
    #[arg(long, default_value_t = 32, value_parser = parse_concurrency)]
    concurrency: usize,
    /// The S3 port, for the clients that work meanwhile; without it, all is measured without clients.
    #[arg(long, value_name = "URL")]
    s3: Option<String>,
    /// The admin port, for the scrub.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The bucket of the clients; made if it is missing, and then removed at the end.
    #[arg(long, default_value = "mogul-bench-jobs")]
    bucket: String,
    /// Clients that work meanwhile: one half reads, the other stores.
    #[arg(long, default_value_t = 8, value_parser = parse_concurrency)]
    clients: usize,
    /// How long the clients are measured without background work.
    #[arg(long, default_value = "5s", value_parser = Duration::from_text)]
    before: Duration,
    /// The region to sign for.
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    region: String,
    /// Certificates to trust instead of the machine's, PEM.
    #[arg(long, env = "AWS_CA_BUNDLE")]
    ca_file: Option<PathBuf>,
    /// The access key of the clients.
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    access_key: Option<String>,
    /// The secret key of the clients.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_key: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl JobsArgs {
    /// The clients, if there shall be any.
    fn crowd(&self) -> anyhow::Result<Option<Crowd>> {
        let Some(signed) = self.signed(self.s3.as_deref())? else {
            return Ok(None);
        };
        Crowd::new(signed, &self.bucket, (self.clients, self.size)).map(Some)
    }

    /// A port that wants signatures, if it is named.
    fn signed(&self, url: Option<&str>) -> anyhow::Result<Option<(Endpoint, Signer)>> {
        let Some(url) = url else {
            return Ok(None);
        };
        let endpoint = Endpoint::parse(url, self.ca_file.as_deref())?;
        let keys = self.access_key.clone().zip(self.secret_key.clone());
        let (access, secret) = keys.context("--s3 and --admin need --access-key and --secret-key")?;
        let signer = Signer::new(AccessKey(access), SecretKey(secret), self.region.clone());
        Ok(Some((endpoint, signer)))
    }
}

/// Runs the benchmark and prints the result.
///
/// # Errors
/// If the cluster cannot be used, or work does not come to its end.
pub(crate) async fn run(args: JobsArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.files > 0, "--files must be at least 1");
    let crowd = args.crowd()?;
    let mut cluster = Cluster::open(&args.trackers).await?;
    let measured = Box::pin(measure(&args, &mut cluster, crowd)).await;
    let restored = cluster.close().await;
    measured?.print(Form::of_flag(args.json))?;
    restored.context("cannot leave the cluster as it was")
}

async fn measure(args: &JobsArgs, cluster: &mut Cluster, crowd: Option<Crowd>) -> anyhow::Result<Table> {
    let alone = round(args, cluster, None).await?;
    let Some(crowd) = crowd else {
        return Ok(Table::new(args, alone, Vec::new()));
    };
    let bucket = crowd
        .prepare()
        .await
        .context("cannot prepare the clients' objects")?;
    let beside = async {
        let before = crowd.measured_for(args.before).await?;
        let clients = Clients {
            crowd: &crowd,
            before,
        };
        round(args, cluster, Some(&clients)).await
    };
    let beside = beside.await;
    let cleaned = crowd.clean(bucket).await;
    let table = Table::new(args, alone, beside?);
    cleaned.context("cannot remove the clients' objects")?;
    Ok(table)
}

/// Measures each job once.
async fn round(
    args: &JobsArgs,
    cluster: &mut Cluster,
    clients: Option<&Clients<'_>>,
) -> anyhow::Result<Vec<Measured>> {
    let stored = cluster.store(args).await.context("cannot store the files")?;
    // The others need the copies, whether or not their making is of interest; and the files shall not stay.
    let replicated = cluster.replicated(&stored);
    let mut round = vec![measured(Job::Replicate, clients, replicated).await?];
    if args.jobs.contains(&Job::Latency) {
        let second_copies = cluster.second_copies(&stored);
        round.push(measured(Job::Latency, clients, second_copies).await?);
    }
    if args.jobs.contains(&Job::Fsck) {
        round.push(measured(Job::Fsck, clients, cluster.checked(&stored)).await?);
    }
    if args.jobs.contains(&Job::Scrub)
        && let Some((endpoint, signer)) = args.signed(args.admin.as_deref())?
    {
        let scrubbed = scrub::scrubbed(endpoint, signer);
        round.push(measured(Job::Scrub, clients, scrubbed).await?);
    }
    cluster
        .delete(args, &stored)
        .await
        .context("cannot delete the files")?;
    round.push(measured(Job::Delete, clients, cluster.deleted()).await?);
    round.retain(|measured| args.jobs.contains(&measured.job));
    Ok(round)
}

/// Measures one job, beside the clients if there are any.
async fn measured(
    job: Job,
    clients: Option<&Clients<'_>>,
    work: impl Future<Output = anyhow::Result<Figure>>,
) -> anyhow::Result<Measured> {
    let (figure, meanwhile) = match clients {
        Some(clients) => clients.beside(work).await?,
        None => (work.await?, None),
    };
    Ok(Measured {
        job,
        figure,
        meanwhile,
    })
}
