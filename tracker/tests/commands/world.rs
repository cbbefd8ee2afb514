//! A small cluster for one test: hosts with devices, whose nodes can be told to fail or to hang.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream};
use mogul_storage::{
    DevFid, DevId, Device, Devices, Durability, Fid, HashType, Node,
    download::download,
    node::BoxError,
    server::router,
    upload::{Upload, upload},
};
use mogul_tracker::{
    Error, Parts, Settings, Tracker,
    clock::Clock,
    command::{
        buckets::CreateBucket,
        devices::LocalHost,
        files::{Copies, CreateOpen, Opened, Stored},
        objects::{DeleteObject, PutVersion, Written},
    },
    jobs::{Job, Next, delete::Delete, monitor::Monitor, replicate::Replicate, sweep::Sweep},
    meta::{Db, DbConfig, Row, Sql, Value},
    model::{
        Attributes, Class, ClassId, DomainId, DomainName, Key, ObjectVersion, Timestamp, UserId,
        WriteCondition,
    },
    nodes::{NodeAddress, Nodes},
    rng::Entropy,
};
use tower::ServiceExt;

/// Time that passes when the test says so; whoever waits is woken then.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<tokio::sync::watch::Sender<i64>>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(*self.0.borrow())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (until, mut time) = (self.now().after(duration).millis(), self.0.subscribe());
        Box::pin(async move {
            let _ = time.wait_for(|now| *now >= until).await;
        })
    }
}

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.0.send_modify(|now| *now += millis);
    }
}

/// `SplitMix64`: the same numbers in each run.
struct Seeded(AtomicU64);

impl Entropy for Seeded {
    fn next_u64(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Away,
    /// Takes no files.
    ReadOnly,
    /// Does not answer when it is to delete a file.
    Keeping,
    /// Tells how full it was long ago.
    Frozen,
    /// Well, and an original's: it has none of our extensions.
    Foreign,
    /// Takes requests and does nothing about them until its mood changes.
    Hung,
    /// Hung, and somebody waits for it.
    Awaited,
}

pub(crate) struct World {
    pub(crate) tracker: Tracker,
    pub(crate) db: Db,
    pub(crate) clock: HandClock,
    pub(crate) domain: DomainId,
    moods: Arc<Mutex<BTreeMap<DevId, Mood>>>,
    nodes: Nodes,
    folder: tempfile::TempDir,
}

static SEED: AtomicI64 = AtomicI64::new(1);

pub(crate) fn dev(id: u32) -> DevId {
    DevId::new(id).unwrap()
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

impl World {
    /// A cluster on a fresh database in memory.
    pub(crate) async fn new(hosts: &[&[u32]]) -> World {
        let db = Db::open(DbConfig::Memory).await.unwrap();
        db.migrate().await.unwrap();
        World::on(db, hosts).await
    }

    /// A cluster on a migrated database: for each host its devices. There is a bucket `bucket` of root.
    pub(crate) async fn on(db: Db, hosts: &[&[u32]]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let moods: Arc<Mutex<BTreeMap<DevId, Mood>>> = Arc::default();
        let mut nodes = BTreeMap::new();
        for id in hosts.iter().copied().flatten() {
            let device = Device::open(folder.path(), dev(*id), Durability::Cache).unwrap();
            let node = moody(device, Arc::clone(&moods));
            nodes.insert(dev(*id), node);
        }
        let nodes = Nodes::new(nodes);
        let world = World::over(db, nodes, moods, folder).await;
        for (number, devices) in (1..).zip(hosts) {
            let host = LocalHost {
                name: format!("host{number}"),
                ip: format!("127.0.0.{number}"),
                port: 7500,
            };
            let devices: Vec<DevId> = devices.iter().map(|id| dev(*id)).collect();
            world.tracker.register_local(host, &devices).await.unwrap();
        }
        world
    }

    /// A cluster of which other processes serve all: devices by the port at which their host is to be found. None is on record.
    pub(crate) async fn of_others(served: &[(u16, u32)]) -> World {
        let db = Db::open(DbConfig::Memory).await.unwrap();
        db.migrate().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let moods: Arc<Mutex<BTreeMap<DevId, Mood>>> = Arc::default();
        let mut there = BTreeMap::new();
        for (port, id) in served {
            let device = Device::open(folder.path(), dev(*id), Durability::Cache).unwrap();
            there.insert(*port, moody(device, Arc::clone(&moods)));
        }
        let connect = move |address: &NodeAddress| {
            let nobody = || {
                Node::new(tower::service_fn(async |_| {
                    Err::<http::Response<Body>, _>("nobody is there")
                }))
            };
            there.get(&address.port).cloned().unwrap_or_else(nobody)
        };
        let nodes = Nodes::connecting(BTreeMap::new(), Arc::new(connect));
        World::over(db, nodes, moods, folder).await
    }

    async fn over(
        db: Db,
        nodes: Nodes,
        moods: Arc<Mutex<BTreeMap<DevId, Mood>>>,
        folder: tempfile::TempDir,
    ) -> World {
        let clock = HandClock(Arc::new(tokio::sync::watch::Sender::new(1_700_000_000_000)));
        let tracker = open(&db, &nodes, &clock, u64::MAX).await;
        let name = DomainName::parse("bucket").unwrap();
        let bucket = CreateBucket {
            name,
            owner: UserId::root(),
            tags: Vec::new(),
        };
        tracker.create_bucket(bucket).await.unwrap();
        let domain = tracker.bucket("bucket").await.unwrap().domain.id;
        World {
            tracker,
            db,
            clock,
            domain,
            moods,
            nodes,
            folder,
        }
    }

    /// The process dies and another starts.
    pub(crate) async fn restart(&mut self) {
        self.restart_joining(u64::MAX).await;
    }

    /// The process dies and another starts, which joins objects of at most so many bytes.
    pub(crate) async fn restart_joining(&mut self, join_bytes_max: u64) {
        self.tracker = open(&self.db, &self.nodes, &self.clock, join_bytes_max).await;
    }

    /// The process dies and one starts on another machine, which has one of the devices; each host has one.
    pub(crate) async fn restart_at(&mut self, device: u32) {
        let all = self.nodes.clone();
        let local = BTreeMap::from([(dev(device), self.node(device))]);
        let connect = move |address: &NodeAddress| {
            let (_, number) = address.ip.rsplit_once('.').unwrap();
            all.get(dev(number.parse().unwrap())).unwrap()
        };
        self.nodes = Nodes::connecting(local, Arc::new(connect));
        self.restart().await;
    }

    /// Another process on the same database.
    pub(crate) async fn other(&self) -> Tracker {
        open(&self.db, &self.nodes, &self.clock, u64::MAX).await
    }

    pub(crate) fn mood(&self, device: u32, mood: Mood) {
        self.moods.lock().unwrap().insert(dev(device), mood);
    }

    /// Whether somebody waits for a node that hangs.
    pub(crate) fn is_awaited(&self, device: u32) -> bool {
        self.moods.lock().unwrap().get(&dev(device)) == Some(&Mood::Awaited)
    }

    pub(crate) async fn run_sql(&self, statement: &'static Sql, args: Vec<Value>) {
        let run = self.db.write(move |tx| {
            let args = args.clone();
            Box::pin(async move { Ok(tx.run(statement, args).await?) })
        });
        run.await.unwrap();
    }

    pub(crate) async fn ask(&self, statement: &Sql, args: Vec<Value>) -> Vec<Row> {
        self.db
            .reader()
            .await
            .unwrap()
            .rows(statement, args)
            .await
            .unwrap()
    }

    pub(crate) async fn class(&self) -> Class {
        self.tracker.class(self.domain, ClassId::DEFAULT).await.unwrap()
    }

    pub(crate) async fn open(&self) -> Opened {
        let class = self.class().await;
        self.open_in(&class).await.unwrap()
    }

    pub(crate) async fn open_in(&self, class: &Class) -> Result<Opened, Error> {
        let request = CreateOpen {
            class,
            size: None,
            copies: Copies::OfClass,
            prefer: &[],
        };
        self.tracker.create_open(request).await
    }

    /// Writes bytes to the first `copies` of the devices that were chosen.
    pub(crate) async fn write(&self, opened: &Opened, bytes: &[u8], copies: usize) -> Stored {
        let request = Upload {
            fid: opened.fid,
            targets: opened.targets[..copies].to_vec(),
            size: None,
            hashes: vec![HashType::Md5, HashType::Crc64Nvme],
            lag_max: None,
        };
        let body = stream::iter([Ok::<_, Infallible>(Bytes::copy_from_slice(bytes))]);
        let uploaded = upload(request, body, |_, _| Ok(())).await.unwrap();
        let digest = |hash| uploaded.digests.get(hash).unwrap().bytes.clone();
        Stored {
            size: uploaded.size,
            devices: uploaded.stored,
            crc64: digest(HashType::Crc64Nvme).try_into().unwrap(),
            md5: digest(HashType::Md5).try_into().unwrap(),
        }
    }

    /// Stores an object of which only some of the copies could be written.
    pub(crate) async fn put_degraded(&self, name: &str, bytes: &[u8], copies: usize) -> Written {
        let opened = self.open().await;
        let stored = self.write(&opened, bytes, copies).await;
        self.record(name, opened, stored).await.unwrap()
    }

    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) -> Written {
        self.put_degraded(name, bytes, 2).await
    }

    pub(crate) async fn record(&self, name: &str, opened: Opened, stored: Stored) -> Result<Written, Error> {
        self.record_if(name, opened, stored, WriteCondition::default())
            .await
    }

    /// Puts on record what was stored, under a condition.
    pub(crate) async fn record_if(
        &self,
        name: &str,
        opened: Opened,
        stored: Stored,
        condition: WriteCondition,
    ) -> Result<Written, Error> {
        let request = PutVersion {
            opened,
            stored,
            key: key(name),
            owner: UserId::root(),
            attributes: Attributes::default(),
            tags: Vec::new(),
            checksum: None,
            condition,
        };
        self.tracker.put_version(request).await
    }

    pub(crate) async fn object(&self, name: &str) -> ObjectVersion {
        self.tracker.object(self.domain, &key(name)).await.unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) {
        let request = DeleteObject {
            key: key(name),
            if_match: None,
            if_modified: None,
            if_size: None,
        };
        let deleted = self
            .tracker
            .delete_objects(self.domain, vec![request])
            .await
            .unwrap();
        assert!(deleted[0].is_ok(), "{deleted:?}");
    }

    pub(crate) async fn read(&self, name: &str) -> Vec<u8> {
        let object = self.object(name).await;
        let mut bytes = Vec::new();
        for request in self.tracker.readable(&object, 0, object.size).await.unwrap() {
            let mut body = download(request, |_| {}).await.unwrap().boxed();
            while let Some(piece) = body.next().await {
                bytes.extend_from_slice(&piece.unwrap());
            }
        }
        bytes
    }

    /// The folder that has all devices.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The node of a device.
    pub(crate) fn node(&self, device: u32) -> Node {
        self.nodes.get(dev(device)).unwrap()
    }

    /// The path of a fid on a device.
    pub(crate) fn path(&self, device: DevId, fid: Fid) -> PathBuf {
        self.folder.path().join(&DevFid { device, fid }.path()[1..])
    }

    /// The devices that hold a file of the fid, whatever the tables say.
    pub(crate) fn on_disk(&self, fid: Fid) -> Vec<DevId> {
        let view = self.tracker.view();
        let devices = view.devices().map(|device| device.device.id);
        devices
            .filter(|device| self.path(*device, fid).exists())
            .collect()
    }

    /// Runs a job until it is idle.
    pub(crate) async fn run(&self, mut job: impl Job) {
        while job.step().await.unwrap() == Next::Again {}
    }

    pub(crate) async fn replicate(&self) {
        self.run(Replicate::new(&self.tracker)).await;
    }

    pub(crate) async fn monitor(&self) {
        self.run(Monitor::new(&self.tracker)).await;
    }

    /// Lets everything that is given up go: the sweep, and after the readers' grace the deletions.
    pub(crate) async fn collect(&self) {
        self.run(Sweep::new(&self.tracker)).await;
        self.clock.advance(Duration::from_mins(2));
        self.run(Delete::new(&self.tracker)).await;
    }
}

async fn open(db: &Db, nodes: &Nodes, clock: &HandClock, join_bytes_max: u64) -> Tracker {
    let seed = u64::try_from(SEED.fetch_add(1, Ordering::Relaxed)).unwrap();
    let parts = Parts {
        db: db.clone(),
        nodes: nodes.clone(),
        clock: Arc::new(clock.clone()),
        entropy: Arc::new(Seeded(AtomicU64::new(seed))),
        settings: Settings {
            default_mindevcount: 2,
            min_free_bytes: 0,
            join_bytes_max,
            replicate_at_once: 8,
            hostname: "test".to_owned(),
        },
    };
    Tracker::open(parts).await.unwrap()
}

/// The node of one device, as well as it is.
fn moody(device: Device, moods: Arc<Mutex<BTreeMap<DevId, Mood>>>) -> Node {
    let id = device.id();
    let router = router(Arc::new(Devices::new(vec![device])));
    Node::new(tower::service_fn(move |request: http::Request<Body>| {
        let router = router.clone();
        let moods = Arc::clone(&moods);
        async move {
            let now = || moods.lock().unwrap().get(&id).copied().unwrap_or(Mood::Well);
            while matches!(now(), Mood::Hung | Mood::Awaited) {
                moods.lock().unwrap().insert(id, Mood::Awaited);
                tokio::task::yield_now().await;
            }
            match now() {
                Mood::Away => Err(BoxError::from("away")),
                Mood::Keeping if request.method() == http::Method::DELETE => Err(BoxError::from("no answer")),
                Mood::ReadOnly if request.method() == http::Method::PUT => {
                    let mut answer = http::Response::new(Body::empty());
                    *answer.status_mut() = http::StatusCode::FORBIDDEN;
                    Ok(answer)
                }
                Mood::Foreign => {
                    let mut answer = router.oneshot(request).await.unwrap();
                    answer.headers_mut().remove("x-mogul");
                    Ok(answer)
                }
                Mood::Frozen if request.uri().path().ends_with("/usage") => {
                    let usage = "total: 1000000\nused: 1000\navailable: 999000\ntime: 1700000000\n";
                    Ok(http::Response::new(Body::from(usage)))
                }
                Mood::Well | Mood::ReadOnly | Mood::Keeping | Mood::Frozen | Mood::Hung | Mood::Awaited => {
                    Ok(router.oneshot(request).await.unwrap())
                }
            }
        }
    }))
}
