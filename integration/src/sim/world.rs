//! One run: a tracker with its jobs and clients, hosts that fail, a process that dies and comes back.
//!
//! A run has three parts. In the first, faults come and go while clients work, and operators drain devices and pause jobs. In the second everything is well and the
//! jobs run until nothing is left to do; then the cluster is held against what was promised ([`super::invariants`]). In
//! the third a device is struck for good ([`super::blows`]), and the same must come true again.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use mogul_storage::{DevId, Device, Devices, Durability};
use mogul_tracker::{
    Error, Parts, Settings, Tracker,
    clock::Clock as _,
    command::{buckets::CreateBucket, devices::LocalHost},
    jobs::{
        Job, Next, delete::Delete, digest::Digest, drain::Drains, expire::Expire, fsck::Fsck,
        monitor::Monitor, reaper::Reaper, rebalance::Rebalance, replicate::Replicate, scrub::Scrub,
        sweep::Sweep,
    },
    meta::{Db, DbConfig},
    model::{Bucket, DomainName, Key, Tags, Timestamp, UserId},
    nodes::Nodes,
    rng::Entropy as _,
};

use super::{
    blows::{Blow, Damage},
    clients::{self, Content, Ledger},
    executor::{Executor, SimClock, TaskId},
    invariants,
    nodes::{Health, SimHost},
    operator::Act,
};

/// Hosts of a world, each with one device.
const HOSTS: u32 = 4;
/// Copies every object shall have.
const COPIES: u8 = 2;
/// Clients that work at the same time.
const CLIENTS: u32 = 5;
/// Keys of each client.
const KEYS_PER_CLIENT: u64 = 4;
/// Bytes of an object, at most.
const OBJECT_BYTES_MAX: u64 = 3000;
/// How long idle jobs rest while faults come and go, in simulated time.
const STORM_PERIOD: Duration = Duration::from_secs(1);
/// How long idle jobs rest when all is calm: what is put off is put off for minutes and hours.
const CALM_PERIOD: Duration = Duration::from_secs(30);
/// How often the cluster is looked at when all is calm, in simulated time.
const INSPECTION_PERIOD: Duration = Duration::from_mins(1);
/// How long faults come and go, in simulated time.
const STORM: Duration = Duration::from_secs(12);
/// How long the jobs may take to bring everything in order again, in simulated time: longer than the longest back-off
/// that the storm can have caused.
const CALM: Duration = Duration::from_hours(72);

/// A simulated cluster and its clients.
pub struct World {
    clock: SimClock,
    executor: Executor,
    cluster: Cluster,
    hosts: BTreeMap<DevId, SimHost>,
    /// The tasks of the process: they die together.
    process: Vec<TaskId>,
    /// Its worker of the replicate job, which may die alone.
    replicate: Option<TaskId>,
    runtime: tokio::runtime::Runtime,
    scratch: tempfile::TempDir,
}

/// What the tasks of a process share.
#[derive(Clone)]
struct Cluster {
    clock: SimClock,
    db: Db,
    nodes: Nodes,
    ledger: Ledger,
    /// The tracker of the process that lives, once it has opened.
    serving: Rc<RefCell<Option<Serving>>>,
    /// How long idle jobs rest.
    period: Rc<Cell<Duration>>,
    /// What the last look at the cluster at rest found wrong.
    wrong: Rc<RefCell<Option<Vec<String>>>>,
    /// The device that was struck in the end, and how.
    blow: Rc<Cell<Option<(DevId, Blow)>>>,
    /// When that was.
    struck: Rc<Cell<Timestamp>>,
}

/// A tracker that is up, and the bucket that clients use.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) tracker: Tracker,
    pub(super) bucket: Bucket,
}

impl World {
    /// A healthy cluster with an empty bucket. The seed decides everything that follows.
    ///
    /// # Errors
    /// What keeps a real database or folder from being made.
    pub fn new(seed: u64) -> anyhow::Result<World> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let clock = SimClock::new(seed);
        let scratch = tempfile::tempdir()?;
        let mut hosts = BTreeMap::new();
        for number in 1..=HOSTS {
            let id = DevId::new(number).context("hosts are counted from 1")?;
            let device = Device::open(scratch.path(), id, Durability::Cache)?;
            let served = Arc::new(Devices::new(vec![device]));
            hosts.insert(id, SimHost::new(served, clock.clone(), runtime.handle().clone()));
        }
        let db = runtime.block_on(async {
            let db = Db::open(DbConfig::Memory).await?;
            db.migrate().await?;
            anyhow::Ok(db)
        })?;
        let nodes = Nodes::new(hosts.iter().map(|(id, host)| (*id, host.node())).collect());
        let cluster = Cluster {
            clock: clock.clone(),
            db,
            nodes,
            ledger: Ledger::default(),
            serving: Rc::default(),
            period: Rc::new(Cell::new(STORM_PERIOD)),
            wrong: Rc::default(),
            blow: Rc::default(),
            struck: Rc::default(),
        };
        let executor = Executor::new(clock.clone());
        let process = Vec::new();
        let mut world = World {
            clock,
            executor,
            cluster,
            hosts,
            process,
            replicate: None,
            runtime,
            scratch,
        };
        world.start();
        Ok(world)
    }

    /// Lets clients work while faults come and go, then makes everything well and waits until nothing is left to do.
    pub fn run(&mut self) {
        let runtime = self.runtime.handle().clone();
        let _guard = runtime.enter();
        let end = self.clock.now().after(STORM);
        while self.clock.now() < end {
            let pause = Duration::from_millis(50 + self.clock.below(1500));
            self.work_for(pause);
            self.strike();
        }
        for host in self.hosts.values() {
            host.set_health(Health::Well);
        }
        self.kill();
        self.cluster.period.set(CALM_PERIOD);
        self.start_jobs();
        let devices: Vec<DevId> = self.hosts.keys().copied().collect();
        let cluster = self.cluster.clone();
        self.executor.spawn("operator", async move {
            let tracker = cluster.serving().await.tracker;
            for act in Act::undoing_all(&devices) {
                act.carry_out(&tracker).await;
            }
        });
        let (cluster, hosts) = (self.cluster.clone(), self.hosts.clone());
        self.executor
            .spawn("inspector", async move { cluster.inspect(&hosts).await });
        self.come_to_rest();
        if self.wrong().is_empty() {
            self.strike_for_good();
            self.come_to_rest();
        }
    }

    /// Lets the jobs work until nothing is wrong, or nothing can be hoped for any more.
    fn come_to_rest(&mut self) {
        let (clock, wrong) = (self.clock.clone(), Rc::clone(&self.cluster.wrong));
        let deadline = self.clock.now().after(CALM);
        let at_rest = || wrong.borrow().as_ref().is_some_and(Vec::is_empty);
        self.executor.run_until(|_| clock.now() > deadline || at_rest());
    }

    /// Strikes one device, and lets the operator do what an operator does then.
    fn strike_for_good(&mut self) {
        let devices = u64::try_from(self.hosts.len()).expect("a handful");
        let chosen = usize::try_from(self.clock.below(devices)).expect("a handful");
        let Some((device, host)) = self.hosts.iter().nth(chosen) else {
            return;
        };
        let (device, host, blow) = (*device, host.clone(), Blow::drawn(&self.clock));
        if matches!(blow, Blow::Death | Blow::Absence) {
            host.set_health(Health::Unreachable);
        }
        let damage = Damage {
            device,
            host,
            folder: self.scratch.path().to_owned(),
            clock: self.clock.clone(),
        };
        let cluster = self.cluster.clone();
        self.cluster.wrong.take();
        self.cluster.blow.set(Some((device, blow)));
        self.cluster.struck.set(self.clock.now());
        self.executor.spawn("operator", async move {
            let tracker = cluster.serving().await.tracker;
            if let Err(error) = damage.operate(&tracker, blow).await {
                panic!("the operator could not act: {error}");
            }
        });
    }

    /// What is wrong with the cluster at rest; empty if every promise was kept.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.cluster
            .wrong
            .borrow()
            .clone()
            .unwrap_or_else(|| vec!["nobody has looked".to_owned()])
    }

    /// Every turn so far, for comparison with another run of the same seed.
    #[must_use]
    pub fn trace(&self) -> &[(Timestamp, &'static str)] {
        self.executor.trace()
    }

    /// One fault, or one recovery.
    fn strike(&mut self) {
        match self.clock.below(11) {
            0 => self.restart(),
            8 => self.replace_worker(),
            9 | 10 => self.let_an_operator_act(),
            1 | 2 => self.hosts.values().for_each(|host| host.set_health(Health::Well)),
            _ => {
                let devices = u64::try_from(self.hosts.len()).expect("a handful");
                let chosen = usize::try_from(self.clock.below(devices)).expect("a handful");
                let health = match self.clock.below(5) {
                    0 => Health::Full,
                    1 => Health::Failing,
                    2 => Health::Unreachable,
                    3 => Health::Lossy,
                    _ => Health::Well,
                };
                if let Some(host) = self.hosts.values().nth(chosen) {
                    host.set_health(health);
                }
            }
        }
    }

    /// An operator acts in the middle of it all.
    fn let_an_operator_act(&mut self) {
        let devices: Vec<DevId> = self.hosts.keys().copied().collect();
        let act = Act::drawn(&self.clock, &devices);
        let cluster = self.cluster.clone();
        self.process.push(self.executor.spawn("operator", async move {
            act.carry_out(&cluster.serving().await.tracker).await;
        }));
    }

    /// The process dies where it stands and is started again.
    fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// The worker that makes copies dies where it stands, with what it had claimed; another begins.
    fn replace_worker(&mut self) {
        if let Some(worker) = self.replicate.take() {
            self.executor.kill(worker);
        }
        self.spawn_replicate();
    }

    fn kill(&mut self) {
        if let Some(worker) = self.replicate.take() {
            self.executor.kill(worker);
        }
        for task in self.process.drain(..) {
            self.executor.kill(task);
        }
        self.cluster.serving.take();
    }

    fn work_for(&mut self, pause: Duration) {
        let (clock, end) = (self.clock.clone(), self.clock.now().after(pause));
        self.executor.run_until(|_| clock.now() >= end);
    }

    /// Starts the process: the tracker, its jobs, its clients.
    fn start(&mut self) {
        self.start_jobs();
        for client in 0..CLIENTS {
            let cluster = self.cluster.clone();
            self.process.push(
                self.executor
                    .spawn("client", async move { cluster.client(client).await }),
            );
        }
    }

    fn start_jobs(&mut self) {
        let devices: Vec<DevId> = self.hosts.keys().copied().collect();
        let cluster = self.cluster.clone();
        self.process.push(
            self.executor
                .spawn("open", async move { cluster.open(&devices).await }),
        );
        self.spawn_job("monitor", Monitor::new);
        self.spawn_replicate();
        self.spawn_job("delete", Delete::new);
        self.spawn_job("sweep", Sweep::new);
        self.spawn_job("expire", Expire::new);
        self.spawn_job("digest", Digest::new);
        self.spawn_job("reaper", Reaper::new);
        self.spawn_job("fsck", Fsck::new);
        self.spawn_job("rebalance", Rebalance::new);
        self.spawn_job("drain", Drains::new);
        self.spawn_job("scrub", Scrub::new);
    }

    fn spawn_replicate(&mut self) {
        let cluster = self.cluster.clone();
        let worker = async move { cluster.drive(Replicate::new).await };
        self.replicate = Some(self.executor.spawn("replicate", worker));
    }

    fn spawn_job<J: Job>(&mut self, name: &'static str, job: fn(&Tracker) -> J) {
        let cluster = self.cluster.clone();
        self.process
            .push(self.executor.spawn(name, async move { cluster.drive(job).await }));
    }
}

impl Cluster {
    /// Opens the tracker; tries again while hosts are away.
    async fn open(&self, devices: &[DevId]) {
        loop {
            match self.opened(devices).await {
                Ok(serving) => {
                    *self.serving.borrow_mut() = Some(serving);
                    return;
                }
                Err(_) => self.clock.sleep(STORM_PERIOD).await,
            }
        }
    }

    async fn opened(&self, devices: &[DevId]) -> Result<Serving, Error> {
        let parts = Parts {
            db: self.db.clone(),
            nodes: self.nodes.clone(),
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(self.clock.clone()),
            settings: Settings {
                default_mindevcount: COPIES,
                min_free_bytes: 0,
                join_bytes_max: 0,
                // A task of the simulation does one thing at a time.
                replicate_at_once: 1,
                hostname: "test".to_owned(),
            },
        };
        let tracker = Tracker::open(parts).await?;
        let host = LocalHost {
            name: "sim".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 7500,
        };
        tracker.register_local(host, devices).await?;
        let name = DomainName::parse("bucket").expect("a valid name");
        let request = CreateBucket {
            name,
            owner: UserId::root(),
            tags: Tags::new(),
        };
        tracker.create_bucket(request).await?;
        let bucket = tracker.bucket("bucket").await?;
        Ok(Serving { tracker, bucket })
    }

    async fn serving(&self) -> Serving {
        loop {
            let serving = self.serving.borrow().clone();
            match serving {
                Some(serving) => return serving,
                None => self.clock.sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Runs a job as the driver does, without wakes.
    async fn drive<J: Job>(&self, job: fn(&Tracker) -> J) {
        let tracker = self.serving().await.tracker;
        let mut job = job(&tracker);
        loop {
            if tracker.view().is_paused(J::NAME) {
                self.clock.sleep(self.period.get()).await;
                continue;
            }
            match job.step().await {
                Ok(Next::Again) => {}
                Ok(Next::Idle) | Err(_) => self.clock.sleep(self.period.get()).await,
            }
        }
    }

    /// Looks at the cluster again and again, until nothing is wrong with it.
    async fn inspect(&self, hosts: &BTreeMap<DevId, SimHost>) {
        let serving = self.serving().await;
        loop {
            self.clock.sleep(INSPECTION_PERIOD).await;
            let at_rest = invariants::AtRest {
                hosts,
                copies: COPIES,
                blow: self.blow.get(),
                struck: self.struck.get(),
            };
            let found = invariants::violations(&serving, &self.ledger, at_rest).await;
            *self.wrong.borrow_mut() =
                Some(found.unwrap_or_else(|error| vec![format!("inspection: {error}")]));
        }
    }

    /// A client: puts, gets and deletes its own keys until its process dies.
    async fn client(&self, client: u32) {
        let Serving { tracker, bucket } = self.serving().await;
        loop {
            self.clock
                .sleep(Duration::from_millis(self.clock.below(200)))
                .await;
            let name = format!("client{client}/key{}", self.clock.below(KEYS_PER_CLIENT));
            let key = Key::parse(&name).expect("a valid key");
            match self.clock.below(10) {
                door @ 0..=4 => {
                    let content = Some(self.content());
                    self.ledger.begin(&name, content.clone());
                    let bytes = content.as_deref().unwrap_or_default();
                    let outcome = if door < 2 {
                        clients::put_by_port(&tracker, &bucket, &key, bytes, &self.nodes).await
                    } else {
                        clients::put(&tracker, &bucket, &key, bytes).await
                    };
                    self.settle(&name, content, &outcome);
                }
                5 | 6 => {
                    self.ledger.begin(&name, None);
                    let outcome = clients::delete(&tracker, &bucket, &key).await;
                    self.settle(&name, None, &outcome);
                }
                _ => match clients::get(&tracker, &bucket, &key).await {
                    Ok(seen) => assert!(
                        self.ledger.allows(&name, &seen),
                        "{name} does not hold what was promised"
                    ),
                    Err(Error::NoReadableCopy) => {}
                    Err(error) => panic!("reading {name}: {error}"),
                },
            }
        }
    }

    fn settle(&self, key: &str, content: Content, outcome: &Result<(), Error>) {
        match outcome {
            Ok(()) => self.ledger.acknowledge(key, content),
            Err(Error::Database(_)) => {}
            Err(_) => self.ledger.refuse(key, &content),
        }
    }

    fn content(&self) -> Vec<u8> {
        (0..self.clock.below(OBJECT_BYTES_MAX))
            .map(|_| self.clock.next_u64().to_le_bytes()[0])
            .collect()
    }
}
