//! How busy the disks are: those of this process are looked at, other hosts tell it over their side channels (mogilefs.md §7).
//!
//! One connection a host, made again when it breaks. A host that tells nothing is not unwell: its devices have no figures.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use mogul_storage::{DevId, Devices, sidechannel::Watch, utilization::Meter};
use mogul_tracker::{
    Tracker,
    clock::{Clock, SystemClock},
    model::HostId,
};
use tokio::{
    net::TcpStream,
    task::{AbortHandle, JoinSet, spawn_blocking},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Life;

/// How often the disks of this process are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often the hosts are compared with those that are listened to.
const FOLLOW_EVERY: Duration = Duration::from_secs(4);

/// Hosts that are listened to at a time.
const HOSTS_MAX: usize = 1024;

/// How long a host may take to accept a connection, and then between two reports, which it sends every second.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How long to wait before a host is asked again: at first, and after it has failed often.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Looks at the disks of this process until the life ends.
pub(super) fn look(tracker: &Tracker, devices: &Arc<Devices>, life: &Life) {
    let (tracker, devices, stop) = (tracker.clone(), Arc::clone(devices), life.stop.clone());
    life.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            ended = looks(&tracker, &devices) => if let Err(error) = ended {
                debug!(%error, "the disks of this machine have no figures");
            },
        }
    });
}

async fn looks(tracker: &Tracker, devices: &Devices) -> io::Result<()> {
    let mut meter = Meter::start()?;
    loop {
        SystemClock.sleep(LOOK_EVERY).await;
        let all = devices.all();
        let looked = spawn_blocking(move || {
            let report = meter.look(&all);
            (meter, report)
        });
        let (again, report) = looked.await.map_err(io::Error::other)?;
        meter = again;
        tracker.utilization_seen(&report?);
    }
}

/// Listens to all hosts that have devices of other processes until the life ends, each on `port`; 0 is none.
pub(super) fn listen(tracker: &Tracker, own: BTreeSet<DevId>, port: u16, life: &Life) {
    if port == 0 {
        return;
    }
    let listening = Listening {
        tracker: tracker.clone(),
        own,
        port,
    };
    life.tasks.spawn(listening.follow(life.stop.clone()));
}

/// Who listens to whom.
struct Listening {
    tracker: Tracker,
    /// Devices of this process.
    own: BTreeSet<DevId>,
    port: u16,
}

impl Listening {
    /// Keeps a task for each host as the view has them.
    async fn follow(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut heard: BTreeMap<HostId, (String, AbortHandle)> = BTreeMap::new();
        loop {
            let hosts = self.hosts();
            heard.retain(|host, (address, task)| {
                let stays = hosts.get(host) == Some(address);
                if !stays {
                    task.abort();
                }
                stays
            });
            for (host, address) in hosts {
                if heard.len() < HOSTS_MAX && !heard.contains_key(&host) {
                    let task = tasks.spawn(hear(self.tracker.clone(), host, address.clone(), self.port));
                    heard.insert(host, (address, task));
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = SystemClock.sleep(FOLLOW_EVERY) => {}
            }
            // Those that were aborted.
            while tasks.try_join_next().is_some() {}
        }
    }

    /// The hosts that the monitor looks at, with their addresses.
    fn hosts(&self) -> BTreeMap<HostId, String> {
        let view = self.tracker.view();
        let others = view
            .devices()
            .filter(|device| device.probed() && !self.own.contains(&device.device.id));
        let hosts = others.filter_map(|device| view.host(device.device.host));
        hosts.map(|host| (host.id, host.ip.clone())).collect()
    }
}

/// Takes note of what a host tells, for ever.
async fn hear(tracker: Tracker, host: HostId, address: String, port: u16) {
    let mut pause = PAUSE.0;
    loop {
        let mut told = false;
        if let Err(error) = reports(&tracker, host, (&address, port), &mut told).await {
            debug!(hostid = host.0, address, port, %error, "a side channel tells no utilization");
        }
        pause = if told { PAUSE.0 } else { (2 * pause).min(PAUSE.1) };
        SystemClock.sleep(pause).await;
    }
}

/// Takes note of what a host tells over one connection; `told` says whether it told anything.
async fn reports(tracker: &Tracker, host: HostId, address: (&str, u16), told: &mut bool) -> io::Result<()> {
    let stream = in_time(TcpStream::connect(address)).await?;
    let mut watch = in_time(Watch::begin(stream)).await?;
    loop {
        tracker.utilization_told(host, &in_time(watch.next()).await?);
        *told = true;
    }
}

async fn in_time<T>(asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::select! {
        answered = asked => answered,
        () = SystemClock.sleep(SILENCE_MAX) => Err(io::ErrorKind::TimedOut.into()),
    }
}
