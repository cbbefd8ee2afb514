//! In what state the copies of a file are: what is on record against what the devices say now.

use futures_util::{StreamExt, stream};
use mogul_storage::{DevFid, DevId, Fid, NodeError};

use crate::{Error, Tracker, meta::replicas, view::DeviceView};

/// Devices that are asked at a time.
const ASKED_AT_ONCE: usize = 8;

/// What a device says of a copy that is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// It has a file of that size in bytes.
    There(u64),
    /// It has none.
    Missing,
    /// It does not answer, or not in time.
    Unreachable,
    /// It was not asked: its state, or its host's, says that it is away.
    Away,
}

impl Tracker {
    /// Asks each device on record for the size of its copy. Nothing is changed: fsck does that.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn copies(&self, fid: Fid) -> Result<Vec<(DevId, CopyState)>, Error> {
        let mut tx = self.db().reader().await?;
        let mut replicas = replicas::replicas_of(&mut tx, &[fid]).await?;
        drop(tx);
        let devices = replicas.remove(&fid).unwrap_or_default();
        let asked = stream::iter(devices).map(|device| async move {
            let state = self.copy_state(DevFid { device, fid }).await;
            (device, state)
        });
        Ok(asked.buffered(ASKED_AT_ONCE).collect().await)
    }

    async fn copy_state(&self, at: DevFid) -> CopyState {
        let view = self.view();
        let state = view.device(at.device);
        if !state.is_some_and(DeviceView::probed) {
            return CopyState::Away;
        }
        match self.size_of(at).await {
            Ok(size) => CopyState::There(size),
            Err(NodeError::NotFound) => CopyState::Missing,
            Err(error) => {
                tracing::debug!(fid = at.fid.get(), devid = at.device.get(), %error, "a copy could not be looked at");
                CopyState::Unreachable
            }
        }
    }
}
