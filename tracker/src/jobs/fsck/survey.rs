//! What the devices hold of a range of fids: by their lists where they can list, else by asking for each file.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use mogul_storage::{DevFid, DevId, Fid, Node, NodeError};

use super::Fsck;
use crate::{
    Tracker,
    meta::fsck::{Range, Recorded},
    model::DeviceStatus,
};

/// Files in one answer of a device.
const PAGE: usize = 2_000;

/// What the devices were seen to hold.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What each device that can list has in the range, in order.
    listed: BTreeMap<DevId, Vec<(Fid, u64)>>,
    /// Devices that did not answer.
    away: BTreeSet<DevId>,
    /// Devices that are dead.
    dead: BTreeSet<DevId>,
    /// What the others said of single files.
    asked: BTreeMap<DevFid, Seen>,
}

/// What was seen of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is there and has so many bytes.
    Size(u64),
    /// It is not there.
    Missing,
    /// Its device does not answer.
    Away,
    /// Its device is dead.
    Dead,
}

/// What a device answered.
enum Listed {
    Files(Vec<(Fid, u64)>),
    /// It must be asked for each file.
    Cannot,
    Away,
}

impl Fsck {
    /// Lets all devices list a range.
    pub(super) async fn survey(&self, range: Range) -> Survey {
        let view = self.0.view();
        let mut survey = Survey::default();
        let mut asked = Vec::new();
        for device in view.devices() {
            let id = device.device.id;
            match self.0.nodes().get(id) {
                _ if device.device.status == DeviceStatus::Dead => drop(survey.dead.insert(id)),
                Some(node) if device.readable() => asked.push((id, node)),
                Some(_) | None => drop(survey.away.insert(id)),
            }
        }
        let lists = asked
            .into_iter()
            .map(|(device, node)| async move { (device, list(&node, device, range).await) });
        let mut lists = stream::iter(lists).buffer_unordered(self.0.settings().replicate_at_once);
        while let Some((device, listed)) = lists.next().await {
            match listed {
                Listed::Files(files) => drop(survey.listed.insert(device, files)),
                Listed::Away => drop(survey.away.insert(device)),
                Listed::Cannot => {}
            }
        }
        survey
    }

    /// Asks for each copy on record of which nothing was said yet.
    pub(super) async fn ask_for_each(&self, files: &[Recorded], survey: &mut Survey) {
        let copies = files.iter().flat_map(|file| {
            let fid = file.file.fid;
            file.on.iter().map(move |device| DevFid { device: *device, fid })
        });
        let unknown: Vec<DevFid> = copies.filter(|at| !survey.knows(at.device)).collect();
        let asked = unknown
            .into_iter()
            .map(|at| async move { (at, self.0.seen(at).await) });
        let mut asked = stream::iter(asked).buffer_unordered(self.0.settings().replicate_at_once);
        while let Some((at, seen)) = asked.next().await {
            survey.asked.insert(at, seen);
        }
    }
}

impl Tracker {
    /// Looks at one copy.
    pub(super) async fn seen(&self, at: DevFid) -> Seen {
        let view = self.view();
        match view.device(at.device) {
            Some(device) if device.device.status == DeviceStatus::Dead => return Seen::Dead,
            Some(_) => {}
            None => return Seen::Away,
        }
        let Some(node) = self.nodes().get(at.device) else {
            return Seen::Away;
        };
        match node.size(at).await {
            Ok(size) => Seen::Size(size),
            Err(NodeError::NotFound) => Seen::Missing,
            Err(error) => {
                tracing::warn!(fid = at.fid.get(), devid = at.device.get(), %error, "fsck could not reach a copy");
                Seen::Away
            }
        }
    }
}

impl Survey {
    /// What was seen of a copy.
    pub(super) fn seen(&self, device: DevId, fid: Fid) -> Seen {
        if self.dead.contains(&device) {
            return Seen::Dead;
        }
        match self.listed.get(&device) {
            Some(files) => match files.binary_search_by_key(&fid, |(fid, _)| *fid) {
                Ok(index) => Seen::Size(files[index].1),
                Err(_) => Seen::Missing,
            },
            None => self
                .asked
                .get(&DevFid { device, fid })
                .copied()
                .unwrap_or(Seen::Away),
        }
    }

    /// What was listed and is not on record, by fid.
    pub(super) fn not_on(&self, on: &BTreeMap<Fid, Vec<DevId>>) -> BTreeMap<Fid, Vec<DevId>> {
        let mut strays: BTreeMap<Fid, Vec<DevId>> = BTreeMap::new();
        for (device, files) in &self.listed {
            for (fid, _) in files {
                if !on.get(fid).is_some_and(|on| on.contains(device)) {
                    strays.entry(*fid).or_default().push(*device);
                }
            }
        }
        strays
    }

    fn knows(&self, device: DevId) -> bool {
        self.listed.contains_key(&device) || self.away.contains(&device) || self.dead.contains(&device)
    }
}

/// Lists what a device has in a range: as many pages as that takes.
async fn list(node: &Node, device: DevId, range: Range) -> Listed {
    let mut files = Vec::new();
    // A device has no more files in the range than there are fids.
    let fids = usize::try_from(range.last.saturating_sub(range.after)).unwrap_or(PAGE);
    let page_max = fids.clamp(1, PAGE);
    let mut next = Fid::new(range.after + 1);
    while let Some(first) = next {
        match node.sizes(device, first, page_max).await {
            Ok(page) => {
                next = match page.last() {
                    Some((last, _)) if page.len() == page_max && last.get() < range.last => {
                        Fid::new(last.get() + 1)
                    }
                    Some(_) | None => None,
                };
                files.extend(page.into_iter().take_while(|(fid, _)| fid.get() <= range.last));
            }
            Err(NodeError::Unsupported(_)) => return Listed::Cannot,
            Err(error) => {
                tracing::warn!(devid = device.get(), %error, "fsck could not list a device");
                return Listed::Away;
            }
        }
    }
    Listed::Files(files)
}
