//! A cluster of the recording's shape: three hosts, five devices, in this process.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use mogul_api::mogile::{Face, Parts as FaceParts, Watchers};
use mogul_storage::{DevId, Device, Devices, Durability, Node, server};
use mogul_tracker::{
    Parts, Settings, Tracker,
    clock::SystemClock,
    command::settings::AUTO_DEAD_AFTER,
    jobs::{
        Driver,
        delete::{self, Delete},
        digest::{self, Digest},
        expire::{self, Expire},
        fsck::{self, Fsck},
        monitor::{self, Monitor},
        reaper::{self, Reaper},
        rebalance::{self, Rebalance},
        replicate::{self, Replicate},
        sweep::{self, Sweep},
    },
    meta::{Db, settings},
    nodes::{NodeAddress, Nodes},
    rng::SystemEntropy,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The hosts with their devices.
const HOSTS: [(&str, &[u32]); 3] = [
    ("127.0.2.1", &[1, 2]),
    ("127.0.2.2", &[3, 4, 8]),
    ("127.0.2.3", &[5]),
];

/// Bytes that a connection takes before somebody reads.
const PIPE_BYTES: usize = 1 << 20;

pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) driver: Arc<Driver>,
    pub(crate) face: Face,
    pub(crate) asked: CancellationToken,
    stop: CancellationToken,
    /// The host that does not answer, by number; 0 if all do.
    hanging: watch::Sender<usize>,
    folder: TempDir,
}

/// One connection to the tracker.
pub(crate) struct Client {
    reader: BufReader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

impl World {
    pub(crate) async fn begin(db: Db) -> World {
        // The recording is of a cluster that MogileFS has begun.
        let unset = db.write(|tx| Box::pin(async move { Ok(settings::unset(tx, AUTO_DEAD_AFTER).await?) }));
        unset.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (hanging, hangs) = watch::channel(0);
        let nodes: BTreeMap<String, Node> = HOSTS
            .iter()
            .enumerate()
            .map(|(index, (ip, devices))| {
                let gate = (index + 1, hangs.clone());
                ((*ip).to_owned(), node(folder.path(), devices, gate))
            })
            .collect();
        let nowhere = node(folder.path(), &[], (HOSTS.len() + 1, hangs.clone()));
        let connect = move |address: &NodeAddress| nodes.get(&address.ip).unwrap_or(&nowhere).clone();
        let tracker = Tracker::open(Parts {
            db: db.clone(),
            nodes: Nodes::connecting(BTreeMap::new(), Arc::new(connect)),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            settings: Settings {
                default_mindevcount: 2,
                min_free_bytes: 0,
                join_bytes_max: 0,
                replicate_at_once: 1,
                hostname: "vm".to_owned(),
            },
        });
        let tracker = tracker.await.unwrap();
        let driver = jobs(&tracker);
        let asked = CancellationToken::new();
        let face = Face::new(FaceParts {
            tracker,
            driver: Arc::clone(&driver),
            clock: Arc::new(SystemClock),
            watchers: Watchers::default(),
            metrics: mogul_api::metrics::Metrics::default(),
            shutdown: asked.clone(),
            query_workers: 3,
        });
        World {
            db,
            driver,
            face,
            asked,
            stop: CancellationToken::new(),
            hanging,
            folder,
        }
    }

    /// Connects from an address.
    pub(crate) fn connect(&self, from: IpAddr) -> Client {
        let (here, there) = tokio::io::duplex(PIPE_BYTES);
        let (face, stop) = (self.face.clone(), self.stop.clone());
        tokio::spawn(async move { face.converse(there, from, &stop).await });
        let (reader, writer) = tokio::io::split(here);
        Client {
            reader: BufReader::new(reader),
            writer,
        }
    }

    /// Stops a host, or lets all go on: 0.
    pub(crate) fn hang(&self, host: usize) {
        self.hanging.send_replace(host);
    }

    /// Where a path of the tracker lies on disk.
    pub(crate) fn file(&self, url: &str) -> PathBuf {
        let (_, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        self.folder.path().join(path)
    }

    /// Stores bytes where the tracker said.
    pub(crate) fn store(&self, url: &str, bytes: &Bytes) {
        let path = self.file(url);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.driver.stop(std::time::Duration::from_secs(20)).await;
        self.face.tracker().close().await.unwrap();
    }
}

impl Client {
    /// Says a line, and reads the answer: one line, or for operators those up to the dot. Empty at the end.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.say(line).await;
        self.hear(line.starts_with('!')).await
    }

    pub(crate) async fn say(&mut self, line: &str) {
        self.writer.write_all(line.as_bytes()).await.unwrap();
    }

    async fn hear(&mut self, many: bool) -> String {
        let mut heard = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).await.unwrap() == 0 {
                return heard;
            }
            if line.starts_with(":: ") {
                continue;
            }
            heard += &line;
            if !many || line == ".\r\n" {
                return heard;
            }
        }
    }
}

fn jobs(tracker: &Tracker) -> Arc<Driver> {
    let driver = Driver::new(tracker);
    driver.spawn(&Monitor::new(tracker), 1, monitor::PERIOD);
    driver.spawn(&Replicate::new(tracker), 1, replicate::PERIOD);
    driver.spawn(&Delete::new(tracker), 1, delete::PERIOD);
    // The original makes checksums with the first copies.
    driver.spawn(&Digest::new(tracker), 0, digest::PERIOD);
    driver.spawn(&Sweep::new(tracker), 1, sweep::PERIOD);
    driver.spawn(&Expire::new(tracker), 1, expire::PERIOD);
    driver.spawn(&Fsck::new(tracker), 1, fsck::PERIOD);
    driver.spawn(&Reaper::new(tracker), 1, reaper::PERIOD);
    driver.spawn(&Rebalance::new(tracker), 1, rebalance::PERIOD);
    Arc::new(driver)
}

/// A storage node that answers unless its host hangs.
fn node(root: &Path, devices: &[u32], (host, hangs): (usize, watch::Receiver<usize>)) -> Node {
    let open = |id: &u32| Device::open(root, DevId::new(*id).unwrap(), Durability::Cache).unwrap();
    let router = server::router(Arc::new(Devices::new(devices.iter().map(open).collect())));
    Node::new(tower::service_fn(move |request: Request<Body>| {
        let (router, mut hangs) = (router.clone(), hangs.clone());
        async move {
            hangs
                .wait_for(|hanging| *hanging != host)
                .await
                .map_err(|_| "the test is over")?;
            let answer: Response<Body> = router.oneshot(request).await.expect("it cannot fail");
            Ok::<_, &'static str>(answer)
        }
    }))
}
