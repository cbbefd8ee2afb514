//! What must be true of a cluster at rest, whatever happened before.

use std::collections::{BTreeMap, BTreeSet};

use mogul_storage::{DevFid, DevId, Fid};
use mogul_tracker::{Error, command::backlog::Backlog, model::Key};

use super::{
    clients::{self, Ledger},
    nodes::SimHost,
    world::Serving,
};

/// Files that a device of a simulation may hold.
const FILES_MAX: usize = 10_000;

/// Holds the cluster against the ledger. The answer names each promise that is not kept (yet).
///
/// # Errors
/// What keeps it from being looked at.
pub(super) async fn violations(
    serving: &Serving,
    ledger: &Ledger,
    hosts: &BTreeMap<DevId, SimHost>,
    copies: u8,
) -> Result<Vec<String>, Error> {
    let mut wrong = Vec::new();
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
        if object.replicas.len() != usize::from(copies) {
            wrong.push(format!("{name} has copies on {:?}", object.replicas));
        }
        on_record.extend(object.replicas.iter().map(|device| DevFid {
            device: *device,
            fid: object.fid,
        }));
    }
    let on_disk = files_of(hosts).await?;
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

async fn files_of(hosts: &BTreeMap<DevId, SimHost>) -> Result<BTreeSet<DevFid>, Error> {
    let mut files = BTreeSet::new();
    let first = Fid::new(1).expect("fids are counted from 1");
    for (device, host) in hosts {
        let fids = host.node().list(*device, first, FILES_MAX).await;
        let fids = fids.map_err(|source| Error::Device {
            device: *device,
            source,
        })?;
        files.extend(fids.into_iter().map(|fid| DevFid { device: *device, fid }));
    }
    Ok(files)
}
