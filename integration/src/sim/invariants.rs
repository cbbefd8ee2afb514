//! What must be true of a cluster at rest, whatever happened before.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http_body_util::{BodyExt as _, Limited};
use mogul_storage::{ByteRange, DevFid, DevId, Fid};
use mogul_tracker::{
    Error, Tracker,
    command::backlog::Backlog,
    model::{Key, ScrubState, Timestamp},
};

use super::{
    blows::Blow,
    clients::{self, Ledger},
    nodes::SimHost,
    world::Serving,
};

/// Files that a device of a simulation may hold.
const FILES_MAX: usize = 10_000;
/// Bytes of a file of a simulation, at most.
const FILE_BYTES_MAX: usize = 1 << 20;

/// What the cluster is held against, apart from the ledger.
pub(super) struct AtRest<'a> {
    pub(super) hosts: &'a BTreeMap<DevId, SimHost>,
    /// Copies that every object has.
    pub(super) copies: u8,
    /// The device that was struck for good, and how.
    pub(super) blow: Option<(DevId, Blow)>,
    /// When that was.
    pub(super) struck: Timestamp,
}

/// Holds the cluster against the ledger. The answer names each promise that is not kept (yet).
///
/// # Errors
/// What keeps it from being looked at.
pub(super) async fn violations(
    serving: &Serving,
    ledger: &Ledger,
    at_rest: AtRest<'_>,
) -> Result<Vec<String>, Error> {
    let mut wrong = runs(&serving.tracker, &at_rest).await?;
    if !wrong.is_empty() {
        // Nothing is read before: what is wrong must be found without a reader.
        return Ok(wrong);
    }
    let backlog = serving.tracker.backlog().await?;
    if backlog
        != (Backlog {
            to_replicate: 0,
            to_delete: 0,
            to_join: 0,
        })
    {
        wrong.push(format!("queues are not empty: {backlog:?}"));
    }
    let mut on_record = BTreeSet::new();
    for name in ledger.keys() {
        let key = Key::parse(&name)?;
        let seen = clients::get(&serving.tracker, &serving.bucket, &key).await?;
        if !ledger.allows(&name, &seen) {
            wrong.push(format!("{name} does not hold what was promised"));
        }
        if seen.is_none() {
            continue;
        }
        let object = serving.tracker.object(serving.bucket.domain.id, &key).await?;
        if object.replicas.len() != usize::from(at_rest.copies) {
            wrong.push(format!("{name} has copies on {:?}", object.replicas));
        }
        // What is not digested yet cannot be told from rot.
        if object.crc64.is_none() {
            wrong.push(format!("{name} is not digested"));
        }
        for device in &object.replicas {
            if let Some((emptied, Blow::Drain | Blow::Rebalance)) = at_rest.blow
                && emptied == *device
            {
                wrong.push(format!("{name} is still on {device}"));
            }
            let bytes = bytes_of(&at_rest.hosts[device], *device, object.fid).await;
            if bytes.as_ref() != seen.as_ref() {
                wrong.push(format!("{name} is not what it should be on {device}"));
            }
        }
        on_record.extend(object.replicas.iter().map(|device| DevFid {
            device: *device,
            fid: object.fid,
        }));
    }
    let dead = at_rest.blow.filter(|(_, blow)| *blow == Blow::Death);
    let dead = dead.map(|(device, _)| device);
    let on_disk = files_of(at_rest.hosts, dead).await?;
    wrong.extend(
        on_record
            .difference(&on_disk)
            .map(|file| format!("{} is on record, but not there", file.path())),
    );
    wrong.extend(
        on_disk
            .difference(&on_record)
            .map(|file| format!("{} is there, but not on record", file.path())),
    );
    Ok(wrong)
}

/// What of the operator's runs is not over.
async fn runs(tracker: &Tracker, at_rest: &AtRest<'_>) -> Result<Vec<String>, Error> {
    let status = tracker.fsck_status().await?;
    let checked = status.host.is_none() && status.started > 0;
    let moved = match tracker.rebalance_status().await {
        Ok(state) => state.finished > 0,
        Err(Error::Run(_)) => false,
        Err(error) => return Err(error),
    };
    let drains = tracker.drains().await?;
    let drained = drains.iter().any(|report| report.drain.ended > 0);
    let over = match at_rest.blow.map(|(_, blow)| blow) {
        None | Some(Blow::Death | Blow::Absence) => true,
        Some(Blow::Decay) => scrubbed(tracker, at_rest).await?,
        Some(Blow::Loss | Blow::Rot) => checked,
        Some(Blow::Rebalance) => moved,
        Some(Blow::Drain) => drained,
    };
    Ok(if over {
        Vec::new()
    } else {
        vec![format!("the run is not over: {:?}", at_rest.blow)]
    })
}

/// Whether the device that was struck has been read from its first file to its last since.
async fn scrubbed(tracker: &Tracker, at_rest: &AtRest<'_>) -> Result<bool, Error> {
    let period = Duration::from_hours(24);
    let status = tracker.scrub_status().await?;
    let struck = |state: &ScrubState| at_rest.blow.is_some_and(|(device, _)| device == state.device);
    Ok(status.devices.iter().filter(|state| struck(state)).any(|state| {
        // The next pass is due a period after the last one began.
        let begun = state.due.before(period);
        state.begun.is_none() && state.last.is_some() && begun > at_rest.struck
    }))
}

/// What a host holds of a fid; nothing if it cannot be read.
async fn bytes_of(host: &SimHost, device: DevId, fid: Fid) -> Option<Vec<u8>> {
    let got = host
        .node()
        .get(DevFid { device, fid }, ByteRange::Whole)
        .await
        .ok()?;
    let body = Limited::new(got.body, FILE_BYTES_MAX).collect().await.ok()?;
    Some(body.to_bytes().to_vec())
}

async fn files_of(hosts: &BTreeMap<DevId, SimHost>, dead: Option<DevId>) -> Result<BTreeSet<DevFid>, Error> {
    let mut files = BTreeSet::new();
    let first = Fid::new(1).expect("fids are counted from 1");
    for (device, host) in hosts.iter().filter(|(device, _)| Some(**device) != dead) {
        let fids = host.node().list(*device, first, FILES_MAX).await;
        let fids = fids.map_err(|source| Error::Device {
            device: *device,
            source,
        })?;
        files.extend(fids.into_iter().map(|fid| DevFid { device: *device, fid }));
    }
    Ok(files)
}
