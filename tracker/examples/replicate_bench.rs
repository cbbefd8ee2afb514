//! Measures replication: files with one copy of two, on three devices that sync.
//!
//! `cargo run --release -p mogul-tracker --example replicate_bench -- DIR DATABASE local|http [FILES]`, where a database is a
//! folder (SQLite in a new file there) or a URL (an empty database on a server). Devices are made below DIR. `local` calls
//! their nodes in this process, `http` over loopback. Tells how many files a second get their second copy, and how long
//! that takes for one file when nothing else is to be done.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use mogul_storage::{
    DevId, Device, Devices, Durability, HashType, Node,
    local::local,
    remote::{RemoteOptions, remote},
    server::router,
    upload::{Upload, upload},
};
use mogul_tracker::{
    Parts, Settings, Tracker,
    clock::SystemClock,
    command::{
        buckets::CreateBucket,
        devices::LocalHost,
        files::{Copies, CreateOpen, Stored},
        objects::PutVersion,
    },
    jobs::{
        Driver,
        replicate::{self, Replicate},
    },
    meta::{Db, DbConfig},
    model::{Attributes, Bucket, ClassId, DomainName, Key, Tags, UserId, WriteCondition},
    nodes::Nodes,
    rng::SystemEntropy,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Devices, each in a host of its own.
const DEVICES: u32 = 3;
/// Files if the command line says nothing.
const FILES: usize = 20_000;
/// Smallest and largest file in bytes.
const SIZES: std::ops::Range<usize> = 4 << 10..10 << 10;
/// Files of which the way to the second copy is timed.
const TIMED: usize = 50;
/// Files that are stored at a time.
const STORED_AT_ONCE: usize = 64;
/// Workers, as in production.
const WORKERS: usize = 4;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, database, nodes, rest @ ..] = arguments.as_slice() else {
        return Err("DIR DATABASE local|http [FILES]".into());
    };
    let count = rest.first().map_or(Ok(FILES), |count| count.parse())?;
    let folder = tempfile::tempdir_in(dir)?;
    let db = open(database).await?;
    let filled = tracker(&db, folder.path(), Durability::Cache, "local").await?;
    let bucket = bucket(&filled).await?;
    let stored = stream::iter(0..count).map(|number| store(&filled, &bucket, number));
    stored
        .buffer_unordered(STORED_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    filled.close().await?;

    let synced = tracker(&db, folder.path(), Durability::Sync, nodes).await?;
    let driver = Driver::new(&synced);
    let begun = Instant::now();
    driver.spawn(&Replicate::new(&synced), WORKERS, replicate::PERIOD);
    at_rest(&synced).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for number in 0..TIMED {
        store(&synced, &bucket, count + number).await?;
        let stored = Instant::now();
        at_rest(&synced).await?;
        times.push(stored.elapsed());
    }
    times.sort_unstable();
    let rate = f64::from(u32::try_from(count)?) / seconds;
    println!(
        "{:?} {nodes}: {count} files, {rate:.0}/s; second copy after {:?} (median), {:?} (longest)",
        db.engine(),
        times[TIMED / 2],
        times[TIMED - 1],
    );
    driver.stop(Duration::from_secs(5)).await;
    folder.close()?;
    Ok(())
}

async fn open(database: &str) -> Outcome<Db> {
    let config = if database.contains("://") {
        DbConfig::Url(database.to_owned())
    } else {
        let name = format!("bench-{}.sqlite", std::process::id());
        DbConfig::Sqlite {
            path: Path::new(database).join(name),
        }
    };
    let db = Db::open(config).await?;
    db.migrate().await?;
    Ok(db)
}

async fn tracker(db: &Db, folder: &Path, durability: Durability, how: &str) -> Outcome<Tracker> {
    let mut nodes = BTreeMap::new();
    for number in 1..=DEVICES {
        let id = DevId::new(number).ok_or("devices are counted from 1")?;
        let device = Device::open(folder, id, durability)?;
        nodes.insert(id, node(Arc::new(Devices::new(vec![device])), how).await?);
    }
    let parts = Parts {
        db: db.clone(),
        nodes: Nodes::new(nodes.clone()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        settings: Settings {
            default_mindevcount: 2,
            min_free_bytes: 0,
            join_bytes_max: 0,
            replicate_at_once: 32,
            hostname: "bench".to_owned(),
        },
    };
    let tracker = Tracker::open(parts).await?;
    for (number, id) in (1..).zip(nodes.keys()) {
        let host = LocalHost {
            name: format!("host{number}"),
            ip: format!("127.0.0.{number}"),
            port: 7500,
        };
        tracker.register_local(host, &[*id]).await?;
    }
    Ok(tracker)
}

async fn node(devices: Arc<Devices>, how: &str) -> Outcome<Node> {
    if how == "local" {
        return Ok(local(devices));
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move { axum::serve(listener, router(devices)).await });
    Ok(remote("127.0.0.1", port, &RemoteOptions::default()))
}

async fn bucket(tracker: &Tracker) -> Outcome<Bucket> {
    let request = CreateBucket {
        name: DomainName::parse("bench").ok_or("a name")?,
        owner: UserId::root(),
        tags: Tags::new(),
    };
    tracker.create_bucket(request).await?;
    Ok(tracker.bucket("bench").await?)
}

/// Stores a file with one copy.
async fn store(tracker: &Tracker, bucket: &Bucket, number: usize) -> Outcome<()> {
    let class = tracker.class(bucket.domain.id, ClassId::DEFAULT).await?;
    let content = vec![b'x'; SIZES.start + number * 977 % SIZES.len()];
    let size = u64::try_from(content.len())?;
    let open = CreateOpen {
        class: &class,
        size: Some(size),
        copies: Copies::OfClass,
        prefer: &[],
    };
    let opened = tracker.create_open(open).await?;
    let request = Upload {
        fid: opened.fid,
        targets: opened.targets[..1].to_vec(),
        size: Some(size),
        hashes: vec![HashType::Md5, HashType::Crc64Nvme],
        lag_max: None,
    };
    let body = stream::iter([Ok::<_, Infallible>(Bytes::from(content))]);
    let uploaded = upload(request, body, |_, _| Ok(()))
        .await
        .map_err(|error| format!("{error:?}"))?;
    let digest = |hash| {
        let digest = uploaded.digests.get(hash);
        digest.map(|digest| digest.bytes.clone()).unwrap_or_default()
    };
    let stored = Stored {
        size: uploaded.size,
        devices: uploaded.stored,
        crc64: digest(HashType::Crc64Nvme).try_into().map_err(|_| "no CRC64")?,
        md5: digest(HashType::Md5).try_into().map_err(|_| "no MD5")?,
    };
    let version = PutVersion {
        opened,
        stored,
        key: Key::parse(&format!("file{number}"))?,
        owner: bucket.owner.clone(),
        attributes: Attributes::default(),
        tags: Tags::new(),
        checksum: None,
        condition: WriteCondition::default(),
    };
    tracker.put_version(version).await?;
    Ok(())
}

/// Waits until nothing waits for copies.
async fn at_rest(tracker: &Tracker) -> Outcome<()> {
    while tracker.backlog().await?.to_replicate > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
