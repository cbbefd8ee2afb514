//! kill -9 in the middle of writing: what was acknowledged is whole, and nothing else is left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    env, fs,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mogul_storage::{DevFid, DevId, Device, Devices, Durability, Fid, local::local, node::LIST_MAX};

/// Where the process that is killed writes; set for it alone.
const FOLDER: &str = "MOGUL_CRASH_FOLDER";

/// The first fid that it writes.
const FIRST: &str = "MOGUL_CRASH_FIRST";

/// Replays a run.
const SEED: &str = "MOGUL_SEED";

const ROUNDS: u64 = 30;
const FIDS_PER_ROUND: u64 = 10_000;
const WRITERS: usize = 16;

fn id() -> DevId {
    DevId::new(1).unwrap()
}

fn at(fid: u64) -> DevFid {
    DevFid {
        device: id(),
        fid: Fid::new(fid).unwrap(),
    }
}

/// What a fid holds: sizes on both sides of the limit above which a body is written while it comes.
fn bytes(fid: u64) -> Bytes {
    let length = if fid.is_multiple_of(7) { 700_000 } else { 4096 };
    let mut bytes = fid.to_le_bytes().repeat(length / 8);
    bytes.truncate(length);
    Bytes::from(bytes)
}

/// The process that is killed: writes fid after fid and prints those that were acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let first: u64 = env::var(FIRST).unwrap().parse().unwrap();
    let device = Device::open(Path::new(&folder), id(), Durability::Sync).unwrap();
    let node = local(Arc::new(Devices::new(vec![device])));
    stream::iter(first..first + FIDS_PER_ROUND)
        .for_each_concurrent(WRITERS, |fid| {
            let node = node.clone();
            async move {
                let bytes = bytes(fid);
                let frames: Vec<Bytes> = bytes.chunks(50_000).map(Bytes::copy_from_slice).collect();
                let body = Body::from_stream(stream::iter(frames).map(Ok::<_, std::io::Error>));
                let size = u64::try_from(bytes.len()).unwrap();
                node.put(at(fid), Some(size), body).await.unwrap();
                let mut out = std::io::stdout();
                out.write_all(format!("stored {fid}\n").as_bytes()).unwrap();
                out.flush().unwrap();
            }
        })
        .await;
}

/// Runs the writer, kills it once it has acknowledged so many files, and answers all it has acknowledged.
fn killed_after(count: u64, folder: &Path, first: u64) -> BTreeSet<u64> {
    let mut writer = Command::new(env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stored = BTreeSet::new();
    let mut killed = false;
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        if let Some(fid) = line.unwrap().strip_prefix("stored ") {
            stored.insert(fid.parse().unwrap());
        }
        if !killed && u64::try_from(stored.len()).unwrap() >= count {
            writer.kill().unwrap();
            killed = true;
        }
    }
    assert!(
        !writer.wait().unwrap().success(),
        "the writer ended before it was killed"
    );
    stored
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_whole_and_nothing_half_done_is_left() {
    let seed = env::var(SEED).map_or_else(|_| RandomState::new().hash_one(0), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut chance = seed | 1;
    for round in 0..ROUNDS {
        // xorshift64: any sequence will do, as long as the seed repeats it.
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;

        acknowledged.extend(killed_after(
            chance % 60,
            folder.path(),
            1 + round * FIDS_PER_ROUND,
        ));

        let device = Device::open(folder.path(), id(), Durability::Sync).unwrap();
        let node = local(Arc::new(Devices::new(vec![device])));
        let visible = node.list(id(), at(1).fid, LIST_MAX).await.unwrap();
        for fid in &visible {
            let path = folder.path().join(at(fid.get()).path().trim_start_matches('/'));
            assert!(
                fs::read(path).unwrap() == bytes(fid.get()),
                "fid {fid} is not whole"
            );
        }
        let visible: BTreeSet<u64> = visible.into_iter().map(Fid::get).collect();
        assert!(
            acknowledged.is_subset(&visible),
            "{:?} are lost",
            acknowledged.difference(&visible)
        );
        assert!(
            fs::read_dir(folder.path().join("dev1/tmp"))
                .unwrap()
                .next()
                .is_none()
        );
    }
    assert!(acknowledged.len() > 100);
}
