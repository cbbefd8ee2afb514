//! Which disk is which device: what the monitor makes of the marks that nodes tell of.
//!
//! The cluster marks a device when it first uses it ([`mogul_storage::Mark`]): the node syncs the file, then the mark goes on
//! record. From then on the disk with that mark is the device, and none else: not the bare directory of a disk that is not
//! mounted, not a disk of another cluster, of another number, or the one that was replaced. Such a device counts as unreachable
//! and says why ([`Refusal`]). A node that tells of no marks, as the originals, is believed.
//!
//! A device that has files on record and no mark yet (it is older than marks, or an operator said that its disk is another now) is
//! marked only if its disk has files.
//!
//! A database that was restored from before there were marks has no name for its cluster, and its disks bear one: it takes that
//! name if they agree on it and one of them holds what is on record for it. A database without files takes none: it is a new
//! cluster's, to which those disks would be full of files that nobody knows.

use std::collections::BTreeSet;

use mogul_storage::{DevFid, DevId, Fid, Mark, Marking, NodeError};

use super::monitor::{DEADLINE, Monitor};
use crate::{
    Error,
    meta::{
        marks,
        replicas::{self, Age},
        settings,
    },
    model::{Device, Refusal},
    rng,
    view::DeviceView,
};

/// Files on record that a disk is asked for to see whether it is this cluster's.
const PROOFS: usize = 16;

/// What the mark that a node tells of makes of a device.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the disk on record, or a node that tells nothing.
    Known,
    /// It is used for the first time.
    New,
    /// It is another disk.
    Refused(Refusal),
}

/// What came of marking a device.
#[derive(Debug)]
pub(super) enum FirstUse {
    /// It bears this mark from now on.
    Marked(Mark),
    /// It has to do without, until it is looked at again.
    Unmarked,
    /// Its disk is not used.
    Refused(Refusal),
}

/// Compares what a node tells of a device with what is on record.
pub(super) fn judge(device: &Device, told: &Marking) -> Verdict {
    match (&device.mark, told) {
        (_, Marking::Untold) => Verdict::Known,
        (None, Marking::Unmarked | Marking::Bears(_)) => Verdict::New,
        (Some(_), Marking::Unmarked) => Verdict::Refused(Refusal::Unmarked),
        (Some(on_record), Marking::Bears(found)) if on_record == found => Verdict::Known,
        (Some(on_record), Marking::Bears(found)) => {
            let refusal = another(on_record.cluster(), device.id, found);
            Verdict::Refused(refusal.unwrap_or(Refusal::EarlierDisk))
        }
    }
}

/// Why a disk with this mark cannot be that device, if it cannot.
fn another(cluster: &str, device: DevId, found: &Mark) -> Option<Refusal> {
    if found.cluster() != cluster {
        return Some(Refusal::OtherCluster);
    }
    (found.device() != device).then(|| Refusal::OtherDevice(found.device()))
}

/// Whether a device may bear the mark that it has.
fn borne(cluster: &str, device: DevId, found: Mark) -> FirstUse {
    match another(cluster, device, &found) {
        Some(refusal) => FirstUse::Refused(refusal),
        None => FirstUse::Marked(found),
    }
}

impl Monitor {
    /// Marks a device that is used for the first time.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) async fn first_use(&self, device: &DeviceView, told: &Marking) -> Result<FirstUse, Error> {
        let cluster = self.cluster().await?;
        let id = device.device.id;
        if let Marking::Bears(found) = told {
            return Ok(borne(&cluster, id, found.clone()));
        }
        let Some(node) = self.tracker().nodes().get(id).filter(|_| device.may_be_written()) else {
            return Ok(FirstUse::Unmarked);
        };
        // A copy on record of what is no file may be one that a client was offered to write, and never wrote.
        let mut tx = self.tracker().db().reader().await?;
        let on_record = replicas::files_on(&mut tx, id, Age::Oldest, None, 1).await?;
        drop(tx);
        let first = Fid::new(1).expect("fids are counted from 1");
        let marked = async {
            if !on_record.is_empty() && node.list(id, first, 1).await?.is_empty() {
                return Ok(FirstUse::Refused(Refusal::Empty));
            }
            let name = hex::decode(&cluster).ok().and_then(|name| name.try_into().ok());
            let name = name.ok_or(NodeError::Unsupported("the name of this cluster"))?;
            let mark = Mark::new(name, id, rng::fill::<16>(self.tracker().entropy()));
            // Another tracker may have been first: then its mark counts.
            Ok(borne(&cluster, id, node.mark(&mark).await?))
        };
        Ok(self.in_time(DEADLINE, marked).await.unwrap_or_else(|error| {
            tracing::debug!(devid = id.get(), %error, "device was not marked");
            FirstUse::Unmarked
        }))
    }

    /// Names this cluster as the disks that are seen for the first time do, if it has no name and they are its own.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) async fn adopt_name(
        &self,
        seen: impl Iterator<Item = (DevId, &Marking)>,
    ) -> Result<(), Error> {
        let bears = |(id, told): (DevId, &Marking)| match told {
            Marking::Bears(mark) => Some((id, mark.clone())),
            Marking::Untold | Marking::Unmarked => None,
        };
        let borne: Vec<(DevId, Mark)> = seen.filter_map(bears).collect();
        let clusters: BTreeSet<&str> = borne.iter().map(|(_, mark)| mark.cluster()).collect();
        let [name] = Vec::from_iter(clusters)[..] else {
            return Ok(());
        };
        let on_record = marks::cluster(&mut self.tracker().db().reader().await?).await?;
        if on_record.is_some() {
            return Ok(());
        }
        for (id, _) in borne.iter().filter(|(id, mark)| mark.device() == *id) {
            if self.holds_its_files(*id).await? {
                let name = self.named(name.to_owned()).await?;
                tracing::warn!(
                    cluster = name,
                    "the database has no name for this cluster and was given that of its disks"
                );
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a disk holds files that are on record for the device, and none of another size.
    async fn holds_its_files(&self, device: DevId) -> Result<bool, Error> {
        let mut tx = self.tracker().db().reader().await?;
        let on_record = replicas::files_on(&mut tx, device, Age::Oldest, None, PROOFS).await?;
        drop(tx);
        let mut found = false;
        for (fid, size) in on_record.into_iter().filter(|(_, size)| *size > 0) {
            match self.tracker().size_of(DevFid { device, fid }).await {
                Ok(there) if there == size => found = true,
                Ok(_) => return Ok(false),
                Err(_) => {}
            }
        }
        Ok(found)
    }

    /// The name of this cluster; the first to ask draws it.
    async fn cluster(&self) -> Result<String, Error> {
        let named = marks::cluster(&mut self.tracker().db().reader().await?).await?;
        if let Some(name) = named {
            return Ok(name);
        }
        let drawn = hex::encode(rng::fill::<16>(self.tracker().entropy()));
        self.named(drawn).await
    }

    /// Names this cluster, unless somebody has done so meanwhile; answers its name.
    async fn named(&self, drawn: String) -> Result<String, Error> {
        let write = self.tracker().db().write(move |tx| {
            let drawn = drawn.clone();
            Box::pin(async move {
                settings::run_held(tx).await?;
                if let Some(name) = marks::cluster(tx).await? {
                    return Ok(name);
                }
                marks::cluster_named(tx, &drawn).await?;
                Ok(drawn)
            })
        });
        write.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceStatus, HostId};

    fn mark(cluster: u8, device: u32, disk: u8) -> Mark {
        Mark::new([cluster; 16], DevId::new(device).unwrap(), [disk; 16])
    }

    #[test]
    fn a_device_is_the_disk_on_record_and_no_other() {
        let refused = Verdict::Refused;
        for (on_record, told, expected) in [
            (None, Marking::Untold, Verdict::Known),
            (None, Marking::Unmarked, Verdict::New),
            (None, Marking::Bears(mark(1, 5, 1)), Verdict::New),
            (Some(mark(1, 5, 1)), Marking::Bears(mark(1, 5, 1)), Verdict::Known),
            // An original node serves the disk now.
            (Some(mark(1, 5, 1)), Marking::Untold, Verdict::Known),
            (Some(mark(1, 5, 1)), Marking::Unmarked, refused(Refusal::Unmarked)),
            (
                Some(mark(1, 5, 1)),
                Marking::Bears(mark(2, 5, 1)),
                refused(Refusal::OtherCluster),
            ),
            (
                Some(mark(1, 5, 1)),
                Marking::Bears(mark(1, 6, 1)),
                refused(Refusal::OtherDevice(DevId::new(6).unwrap())),
            ),
            (
                Some(mark(1, 5, 1)),
                Marking::Bears(mark(1, 5, 2)),
                refused(Refusal::EarlierDisk),
            ),
        ] {
            let device = Device {
                id: DevId::new(5).unwrap(),
                host: HostId(1),
                status: DeviceStatus::Alive,
                weight: 100,
                mb_total: None,
                mb_used: None,
                mb_asof: None,
                mark: on_record,
            };
            assert_eq!(judge(&device, &told), expected, "{device:?} {told:?}");
        }
    }
}
