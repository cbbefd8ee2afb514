//! What may befall a device for good, and what an operator does about it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use mogul_storage::{DevFid, DevId, Fid};
use mogul_tracker::{
    Error, Tracker,
    clock::Clock as _,
    command::devices::{DeviceChanges, DeviceRef},
    model::DeviceStatus,
};

use super::{
    executor::SimClock,
    nodes::{Health, SimHost},
    operator::drained,
};

/// Files that are damaged, at most.
const FILES_MAX: usize = 10_000;

/// How long a device is away that comes back: longer than the setting `auto_dead_after` of a new cluster, and long enough to
/// copy its files.
const AWAY: Duration = Duration::from_hours(3);
/// A fid that no process has come to.
const STRAY: u64 = 123_456_789;

/// What befalls a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// It never answers again; the operator marks it dead.
    Death,
    /// Half of its files vanish; the operator runs fsck.
    Loss,
    /// Half of its files change a byte; the operator runs an fsck that reads.
    Rot,
    /// The operator drains it.
    Drain,
    /// It does not answer for so long that its files are copied elsewhere, then it is back. Nobody does anything.
    Absence,
    /// The operator moves everything off it by a policy.
    Rebalance,
    /// Its files rot, shrink and vanish, and others appear, and nobody does anything about it.
    Decay,
}

impl Blow {
    /// Any of them.
    #[must_use]
    pub fn drawn(clock: &SimClock) -> Blow {
        match clock.below(7) {
            0 => Blow::Death,
            1 => Blow::Loss,
            2 => Blow::Rot,
            3 => Blow::Drain,
            4 => Blow::Absence,
            5 => Blow::Rebalance,
            _ => Blow::Decay,
        }
    }
}

/// A device that is struck.
pub(super) struct Damage {
    pub(super) device: DevId,
    pub(super) host: SimHost,
    /// The folder of all devices.
    pub(super) folder: PathBuf,
    pub(super) clock: SimClock,
}

impl Damage {
    /// Does the damage, then what the operator does.
    pub(super) async fn operate(&self, tracker: &Tracker, blow: Blow) -> Result<(), Error> {
        match blow {
            Blow::Death => {
                let at = DeviceRef {
                    device: self.device,
                    host: None,
                };
                let changes = DeviceChanges::status(DeviceStatus::Dead);
                tracker.change_device(at, changes).await
            }
            Blow::Loss | Blow::Rot => {
                self.spoil(blow).await?;
                if blow == Blow::Rot {
                    tracker.set_server_setting("fsck_checksum", "MD5").await?;
                }
                tracker.fsck_start().await
            }
            Blow::Drain => tracker.drain(drained(self.device)).await,
            Blow::Decay => {
                self.spoil(blow).await?;
                self.litter()?;
                // The next pass is due by this; a day of simulated time would be long to wait for.
                tracker.set_server_setting("scrub_days", "1").await
            }
            Blow::Rebalance => {
                let policy = format!("from_devices={} leave_in_drain_mode=1", self.device);
                tracker.rebalance_set_policy(&policy).await?;
                tracker.rebalance_start().await.map(drop)
            }
            Blow::Absence => {
                self.clock.sleep(AWAY).await;
                let view = tracker.view();
                let device = view.device(self.device);
                assert!(
                    device.is_some_and(|device| device.absent.is_some()),
                    "a device that is away for long is absent"
                );
                let waiting = tracker.backlog().await?.to_replicate;
                assert_eq!(waiting, 0, "its files have been copied elsewhere");
                self.host.set_health(Health::Well);
                Ok(())
            }
        }
    }

    /// Spoils about half of the files of the device, behind the back of its node.
    async fn spoil(&self, blow: Blow) -> Result<(), Error> {
        let first = Fid::new(1).expect("fids are counted from 1");
        let fids = self.host.node().list(self.device, first, FILES_MAX).await;
        let fids = fids.map_err(|source| Error::Device {
            device: self.device,
            source,
        })?;
        for fid in fids.into_iter().filter(|_| self.clock.below(2) == 0) {
            let at = DevFid {
                device: self.device,
                fid,
            };
            let path = self.folder.join(at.path().trim_start_matches('/'));
            let how = match blow {
                Blow::Loss => 0,
                Blow::Decay => self.clock.below(3),
                Blow::Death | Blow::Rot | Blow::Drain | Blow::Absence | Blow::Rebalance => 1,
            };
            let spoilt = match how {
                0 => fs::remove_file(&path),
                1 => rot(&path),
                _ => fs::write(&path, "short"),
            };
            spoilt.map_err(|error| Error::Internal(error.to_string()))?;
        }
        Ok(())
    }

    /// Leaves a file on the device that nobody knows.
    fn litter(&self) -> Result<(), Error> {
        let at = DevFid {
            device: self.device,
            fid: Fid::new(STRAY).expect("fids are counted from 1"),
        };
        let path = self.folder.join(at.path().trim_start_matches('/'));
        let written = match path.parent() {
            Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(&path, "litter")),
            None => Ok(()),
        };
        written.map_err(|error| Error::Internal(error.to_string()))
    }
}

/// Changes a bit of a file.
fn rot(path: &Path) -> io::Result<()> {
    let mut bytes = fs::read(path)?;
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    fs::write(path, bytes)
}
