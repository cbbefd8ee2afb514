//! Says the recording again. Fids, paths and devices that the original gave are replaced by those that ours gave.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use mogul_tracker::{
    clock::{Clock, SystemClock},
    jobs::JobName,
    meta::{Db, Sql, Value, sql::sql},
};

use crate::{
    Exchange,
    shape::{pairs, shape},
    world::{Client, World},
};

/// How long to wait for a state that the original had reached by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to ask meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// An answer that is not the recorded one.
pub(crate) struct Mismatch {
    pub(crate) exchange: Exchange,
    pub(crate) theirs: String,
    pub(crate) ours: String,
}

/// What `create_open` gave: then and now.
#[derive(Default)]
struct Given {
    /// The original's fid to ours.
    fids: BTreeMap<String, String>,
    /// The original's path to ours; only for devices that were given.
    paths: BTreeMap<String, String>,
    /// By the original's fid: its devices to ours.
    devices: BTreeMap<String, Vec<(String, String)>>,
    /// Hosts by number, the original's to ours, once a test of states has begun.
    hosts: BTreeMap<usize, usize>,
    /// Devices likewise.
    swaps: BTreeMap<String, String>,
}

/// Replays the exchanges but those that `left_out` names.
pub(crate) async fn replay(
    db: Db,
    exchanges: &[Exchange],
    left_out: impl Fn(&Exchange) -> bool,
) -> Vec<Mismatch> {
    let world = World::begin(db).await;
    let mut client = world.connect(Ipv4Addr::LOCALHOST.into());
    let mut given = Given::default();
    let mut mismatches = Vec::new();
    for exchange in exchanges.iter().filter(|exchange| !left_out(exchange)) {
        before(&world, &given, exchange).await;
        let say = given.translate(&exchange.say);
        let Some(theirs) = &exchange.hear else {
            client.say(&say).await;
            continue;
        };
        store(&world, &say, theirs);
        let mut elsewhere = (exchange.case == "from 127.0.9.9").then(|| world.connect([127, 0, 9, 9].into()));
        let client = elsewhere.as_mut().unwrap_or(&mut client);
        let (theirs, answer) = ask(client, exchange, &say, theirs).await;
        given.note(
            &exchange.say,
            exchange.hear.as_deref().unwrap_or_default(),
            &answer,
        );
        let ours = shape(&exchange.say, &answer);
        if ours != theirs {
            let exchange = exchange.clone();
            mismatches.push(Mismatch {
                exchange,
                theirs,
                ours,
            });
        }
    }
    // The recording ends with !shutdown.
    world.asked.cancelled().await;
    world.end().await;
    mismatches
}

/// Asks; again, while the answer to a question that changes nothing is not yet the recorded one.
async fn ask(client: &mut Client, exchange: &Exchange, say: &str, theirs: &str) -> (String, String) {
    let theirs = shape(&exchange.say, theirs);
    let end = SystemClock.now().after(PATIENCE);
    let reads = [
        "get_",
        "file_",
        "list_",
        "fsck_status",
        "fsck_getlog",
        "rebalance_status",
        "!jobs",
    ];
    let reads = reads.iter().any(|word| say.starts_with(word));
    loop {
        let answer = client.ask(say).await;
        let same = shape(&exchange.say, &answer) == theirs;
        if same || !reads || SystemClock.now() > end || !waits(exchange) {
            return (theirs, answer);
        }
        SystemClock.sleep(PAUSE).await;
    }
}

/// Where the original was given time.
fn waits(exchange: &Exchange) -> bool {
    let groups = [
        "replication",
        "get_paths",
        "delete",
        "fsck",
        "rebalance",
        "states",
        "node down",
        "device",
        "altip",
    ];
    groups.contains(&exchange.group.as_str())
}

/// Puts the bytes that the recorded client put, before it closed.
fn store(world: &World, say: &str, theirs: &str) {
    let args = pairs(say.trim().split_once(' ').map_or("", |(_, args)| args));
    let stored = [
        "OK",
        "ERR size_mismatch",
        "ERR checksum_mismatch",
        "ERR fid_exists",
        "ERR invalid_destdev",
    ];
    if !say.starts_with("create_close") || !stored.iter().any(|outcome| theirs.starts_with(outcome)) {
        return;
    }
    let (Some(path), Some(_)) = (args.get("path"), args.get("fid")) else {
        return;
    };
    let actual = theirs
        .split("actual:+")
        .nth(1)
        .and_then(|text| text.split('%').next());
    let size = actual.and_then(|size| size.parse().ok());
    let size = size.or_else(|| args.get("size")?.parse().ok()).unwrap_or(5);
    let text = match args.get("key").map_or("", String::as_str) {
        "r1" => "replicate me ",
        "r2md5" => "replicate with md5 ",
        _ => "blah",
    };
    let bytes: Vec<u8> = text.bytes().cycle().take(size).collect();
    world.store(path, &Bytes::from(bytes));
}

/// What the recording's driver did behind the tracker's back.
async fn before(world: &World, given: &Given, exchange: &Exchange) {
    match (exchange.group.as_str(), exchange.case.as_str()) {
        // The original's first copies were made when the recording had gone on.
        ("create_open", "single dest") | ("tools", "mogupload") => {
            world.driver.want(JobName::Replicate, 0);
        }
        ("create_close", "fid_exists (row forced into tempfile by SQL)") => {
            let fid = pairs(&given.translate(&exchange.say))["fid"].parse().unwrap();
            force(&world.db, FORCED, vec![Value::Int(Some(fid))]).await;
        }
        ("replication", "start one replicator") => {
            world.driver.want(JobName::Digest, 1);
        }
        ("updateclass", "no_devices (file_on rows removed by SQL)") => {
            force(&world.db, REMOVED, vec![Value::Text(Some("cc4".to_owned()))]).await;
        }
        ("node down", case) if case.starts_with("verified, +0, host ") => {
            let host = case.as_bytes()["verified, +0, host ".len()] - b'0';
            world.hang(given.hosts[&usize::from(host)]);
        }
        ("node down", "node is back") => world.hang(0),
        // It runs when it has been looked at while it runs.
        ("fsck", "ok") if exchange.say.starts_with("fsck_start") => {
            world.driver.want(JobName::Fsck, 0);
            spoil(world).await;
        }
        ("fsck", "done") => {
            world.driver.want(JobName::Fsck, 1);
        }
        ("rebalance", "ok") if exchange.say.starts_with("rebalance_start") => {
            world.driver.want(JobName::Rebalance, 0);
        }
        ("rebalance", "ended") => {
            world.driver.want(JobName::Rebalance, 1);
        }
        ("tools", "mogadm settings list") => {
            force(&world.db, FORGOTTEN, Vec::new()).await;
        }
        _ => {}
    }
}

const FORCED: Sql = sql(
    "insert into tempfile (fid, createtime, classid, dmid, dkey, devids) \
     select file.fid, 1, 0, 1, 'cc13', '1,2,3,4,5' from file where fid = ?",
);

const REMOVED: Sql = sql("delete from file_on where fid in (select fid from file where dkey = ?)");

const FORGOTTEN: Sql = sql("delete from server_settings where field in \
     ('memcache_servers', 'network_zones', 'queue_size_for_reaper', 'zone_near')");

/// Removes one copy of a file, and makes one of another longer.
async fn spoil(world: &World) {
    let mut client = world.connect(Ipv4Addr::LOCALHOST.into());
    for key in ["cc11", "cc9"] {
        let answer = client.ask(&format!("file_debug domain=dom1&key={key}\r\n")).await;
        let pairs = pairs(answer.trim().strip_prefix("OK ").unwrap());
        let (_, url) = pairs
            .iter()
            .find(|(name, _)| name.starts_with("devpath_"))
            .unwrap();
        match key {
            "cc11" => std::fs::remove_file(world.file(url)).unwrap(),
            _ => world.store(url, &Bytes::from_static(b"longer than it was")),
        }
    }
}

async fn force(db: &Db, statement: Sql, args: Vec<Value>) {
    let done = db.write(move |tx| {
        let args = args.clone();
        Box::pin(async move { Ok(tx.run(&statement, args).await?) })
    });
    done.await.unwrap();
}

impl Given {
    /// Remembers what a `create_open` gave.
    fn note(&mut self, say: &str, theirs: &str, ours: &str) {
        let (Some(theirs), Some(ours)) = (theirs.strip_prefix("OK "), ours.strip_prefix("OK ")) else {
            return;
        };
        if say.starts_with("get_paths") && self.hosts.is_empty() && say.contains("key=st1") {
            return self.swap(&devices_in(theirs), &devices_in(ours));
        }
        if !say.starts_with("create_open") {
            return;
        }
        let (theirs, ours) = (pairs(theirs.trim()), pairs(ours.trim()));
        let fid = theirs["fid"].clone();
        for suffix in ["", "_1", "_2", "_3"] {
            let (path, device) = (format!("path{suffix}"), format!("devid{suffix}"));
            if let (Some(their), Some(our)) = (theirs.get(&path), ours.get(&path)) {
                self.paths.insert(their.clone(), our.clone());
                let devices = (theirs[&device].clone(), ours[&device].clone());
                self.devices.entry(fid.clone()).or_default().push(devices);
            }
        }
        self.fids.insert(fid, ours["fid"].clone());
    }

    /// A recorded request with our fids, paths and devices.
    fn translate(&self, say: &str) -> String {
        let Some((word, args)) = say.trim_end().split_once(' ') else {
            return say.to_owned();
        };
        if ["set_state", "update_host"].contains(&word) && !self.hosts.is_empty() {
            return format!("{word} {}\r\n", self.swapped(args));
        }
        if !["create_close", "file_debug", "httpcopy"].contains(&word) {
            return say.to_owned();
        }
        let decoded = pairs(args);
        let their_fid = decoded.get("fid").or_else(|| self.fid_of(decoded.get("path")?));
        let devices = their_fid.and_then(|fid| self.devices.get(fid));
        let translated = args.split('&').map(|pair| match pair.split_once('=') {
            Some(("fid", fid)) => format!("fid={}", self.fids.get(fid).map_or(fid, String::as_str)),
            Some((name @ ("devid" | "sdevid" | "ddevid"), device)) => {
                format!("{name}={}", other_device(devices, device))
            }
            Some(("path", path)) => format!("path={}", self.path(path, their_fid, devices)),
            _ => pair.to_owned(),
        });
        format!("{word} {}\r\n", translated.collect::<Vec<_>>().join("&"))
    }

    /// From now on, what was done to the devices of one file is done to those that hold it here.
    fn swap(&mut self, theirs: &[String], ours: &[String]) {
        let all = ["1", "2", "3", "4", "5"].map(str::to_owned);
        let from = theirs
            .iter()
            .chain(all.iter().filter(|device| !theirs.contains(device)));
        let to = ours
            .iter()
            .chain(all.iter().filter(|device| !ours.contains(device)));
        self.swaps = from.cloned().zip(to.cloned()).collect();
        let hosts =
            |devices: &[String]| -> Vec<usize> { devices.iter().map(|device| host_of(device)).collect() };
        let (theirs, ours) = (hosts(theirs), hosts(ours));
        let from = theirs
            .iter()
            .copied()
            .chain((1..=3).filter(|host| !theirs.contains(host)));
        let to = ours
            .iter()
            .copied()
            .chain((1..=3).filter(|host| !ours.contains(host)));
        self.hosts = from.zip(to).collect();
    }

    /// The arguments of a command on a host or device, after [`Given::swap`].
    fn swapped(&self, args: &str) -> String {
        let device = pairs(args)
            .get("device")
            .and_then(|device| self.swaps.get(device))
            .cloned();
        let swapped = args.split('&').map(|pair| match pair.split_once('=') {
            Some(("device", _)) => format!("device={}", device.clone().unwrap()),
            Some(("host", host)) => match &device {
                Some(device) => format!("host=h{}", host_of(device)),
                None => format!("host=h{}", self.hosts[&host[1..].parse::<usize>().unwrap()]),
            },
            _ => pair.to_owned(),
        });
        swapped.collect::<Vec<_>>().join("&")
    }

    fn fid_of(&self, path: &str) -> Option<&String> {
        self.fids
            .keys()
            .find(|fid| path.contains(&format!("{fid:0>10}.fid")))
    }

    /// Our path for a recorded one; of a device that was not given, on one that was not given.
    fn path(&self, path: &str, fid: Option<&String>, devices: Option<&Vec<(String, String)>>) -> String {
        let known = self
            .paths
            .iter()
            .find(|(theirs, _)| path.starts_with(theirs.as_str()));
        if let Some((theirs, ours)) = known {
            return path.replace(theirs, ours);
        }
        let (Some(ours), Some(devices)) = (fid.and_then(|fid| self.fids.get(fid)), devices) else {
            return path.to_owned();
        };
        let device = other_device(Some(devices), "1");
        let host = host_of(&device);
        let fid = format!("{ours:0>10}");
        let (billions, millions, thousands) = (&fid[..1], &fid[1..4], &fid[4..7]);
        format!("http://127.0.2.{host}:7500/dev{device}/{billions}/{millions}/{thousands}/{fid}.fid")
    }
}

/// The host of a device, by number.
fn host_of(device: &str) -> usize {
    match device {
        "1" | "2" => 1,
        "5" => 3,
        _ => 2,
    }
}

/// The devices in the paths of an answer, in their order.
fn devices_in(answer: &str) -> Vec<String> {
    let pairs = pairs(answer);
    let paths = pairs
        .iter()
        .filter(|(name, _)| name.starts_with("path") && *name != "paths");
    paths
        .map(|(_, path)| {
            path.split("/dev")
                .nth(1)
                .unwrap()
                .split('/')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

/// Our device for a recorded one: what was given for it; one that was not given, for one that was not.
fn other_device(devices: Option<&Vec<(String, String)>>, device: &str) -> String {
    let Some(devices) = devices else {
        return device.to_owned();
    };
    if let Some((_, ours)) = devices.iter().find(|(theirs, _)| theirs == device) {
        return ours.clone();
    }
    let free = ["1", "2", "3", "4", "5"].into_iter();
    let mut free = free.filter(|device| devices.iter().all(|(_, ours)| ours != device));
    free.next().unwrap().to_owned()
}
