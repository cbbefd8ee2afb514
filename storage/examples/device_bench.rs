//! Measures a node of two devices in this process: `cargo run --release --example device_bench -- DIR [SECONDS]`.
//!
//! Prints a table: small files at several concurrencies, synced and not, their reading, and one stream of a large file. The
//! devices are made below DIR and removed at the end.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time of the machine it runs on"
)]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::join_all, stream};
use mogul_storage::{
    ByteRange, DevFid, DevId, Device, Devices, Durability, Fid, HashType, Node,
    download::{Download, Source, download},
    local::local,
    upload::{Target, Upload, upload},
};

/// Size of a small file.
const SMALL: usize = 4096;

/// Size of the large file.
const LARGE: u64 = 1 << 30;

/// Bytes of a large body that come at a time.
const FRAME: usize = 64 << 10;

/// Small files written so far, numbered from 1.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Small files read so far.
static READ: AtomicU64 = AtomicU64::new(0);

/// The latest files are read, over and over, at most so many.
const READ_MAX: u64 = 10_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or_else(|| ".".to_owned());
    let seconds = arguments.next().map_or(3, |seconds| seconds.parse().unwrap());
    let duration = Duration::from_secs(seconds);
    let folder = tempfile::tempdir_in(root).unwrap();
    for durability in [Durability::Cache, Durability::Sync] {
        let node = node(folder.path(), durability);
        for concurrency in [1, 8, 32, 64, 128] {
            let name = format!("put 4 KiB {durability:?}");
            small(&name, concurrency, duration, || put(&node)).await;
        }
    }
    let synced = node(folder.path(), Durability::Sync);
    for concurrency in [1, 32] {
        small("get 4 KiB", concurrency, duration, || get(&synced)).await;
    }
    for durability in [Durability::Cache, Durability::Sync] {
        let node = node(folder.path(), durability);
        for hashes in [
            vec![HashType::Crc64Nvme],
            vec![HashType::Md5, HashType::Crc64Nvme],
        ] {
            large(&node, durability, &hashes).await;
        }
    }
    folder.close().unwrap();
}

fn node(root: &Path, durability: Durability) -> Node {
    let devices = [1, 2].map(|number| Device::open(root, id(number), durability).unwrap());
    local(Arc::new(Devices::new(devices.into())))
}

fn id(number: u32) -> DevId {
    DevId::new(number).unwrap()
}

fn at(number: u64) -> DevFid {
    DevFid {
        device: id(u32::try_from(number % 2).unwrap() + 1),
        fid: Fid::new(number).unwrap(),
    }
}

async fn put(node: &Node) {
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed) + 1;
    let body = Body::from(Bytes::from_static(&[7; SMALL]));
    node.put(at(number), Some(4096), body).await.unwrap();
}

async fn get(node: &Node) {
    let last = WRITTEN.load(Ordering::Relaxed);
    let number = last - READ.fetch_add(1, Ordering::Relaxed) % last.min(READ_MAX);
    let got = node.get(at(number), ByteRange::Whole).await.unwrap();
    let pieces: Vec<Bytes> = got.body.into_data_stream().try_collect().await.unwrap();
    assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), SMALL);
}

/// Repeats an act for a while, so many at a time.
async fn small<F: Future<Output = ()>>(
    name: &str,
    concurrency: usize,
    duration: Duration,
    act: impl Fn() -> F,
) {
    let cpu = cpu();
    let start = Instant::now();
    let latencies = join_all((0..concurrency).map(async |_| {
        let mut latencies = Vec::new();
        while start.elapsed() < duration {
            let begun = Instant::now();
            act().await;
            latencies.push(begun.elapsed());
        }
        latencies
    }))
    .await;
    let took = start.elapsed().as_secs_f64();
    let mut latencies: Vec<Duration> = latencies.concat();
    latencies.sort_unstable();
    let count = f64::from(u32::try_from(latencies.len()).unwrap());
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{name:<18} x{concurrency:<4} {:>8.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   {:>5.0} us of CPU each",
        count / took,
        at(50),
        at(99),
        (self::cpu() - cpu) * 1e6 / count,
    );
}

/// Writes and reads one large file on both devices.
async fn large(node: &Node, durability: Durability, hashes: &[HashType]) {
    let fid = Fid::new(9_000_000_000).unwrap();
    let mut frame = vec![0; FRAME];
    for (at, byte) in frame.iter_mut().enumerate() {
        *byte = u8::try_from(at % 251).unwrap();
    }
    let frame = Bytes::from(frame);
    let frames = usize::try_from(LARGE).unwrap() / FRAME;
    let request = Upload {
        fid,
        targets: [1, 2]
            .map(|number| Target {
                device: id(number),
                node: node.clone(),
            })
            .into(),
        size: Some(LARGE),
        hashes: hashes.to_vec(),
        lag_max: None,
    };
    let body = stream::iter(0..frames).map(|_| Ok::<_, std::io::Error>(frame.clone()));
    let (start, used) = (Instant::now(), cpu());
    let uploaded = upload(request, body, |_, _| Ok(())).await.unwrap();
    report(&format!("put 1 GiB {durability:?} {hashes:?}"), start, used);

    let crc = uploaded.digests.get(HashType::Crc64Nvme).unwrap();
    let request = Download {
        fid,
        sources: vec![Source {
            device: id(1),
            node: node.clone(),
        }],
        size: LARGE,
        first: 0,
        length: LARGE,
        crc64: Some(crc.bytes.clone().try_into().unwrap()),
        latencies: None,
    };
    let (start, used) = (Instant::now(), cpu());
    let mut pieces = std::pin::pin!(download(request, |bad| panic!("{bad:?}")).await.unwrap());
    while let Some(piece) = pieces.next().await {
        piece.unwrap();
    }
    report("get 1 GiB", start, used);
}

fn report(name: &str, start: Instant, cpu: f64) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name:<42} {:>6.0} MB/s   {:>5.2} s of CPU",
        1024.0 * 1.048_576 / seconds,
        self::cpu() - cpu
    );
}

/// Seconds of CPU that this process has used.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = [11, 12]
        .iter()
        .map(|at| fields[*at].parse::<f64>().unwrap())
        .sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    ticks / 100.0
}
