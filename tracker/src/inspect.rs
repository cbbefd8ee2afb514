//! Looks at one copy of a file, on whatever node it is: how large it is, what its bytes are.

use std::time::Duration;

use futures_util::{
    StreamExt as _,
    future::{self, Either},
};
use mogul_storage::{ByteRange, DevFid, Digest, Digests, HashType, Hasher, NodeError};

use crate::{Tracker, model::Timestamp};

/// How long a node may take to tell the size of a file (MogileFS `node_timeout`).
const SIZE_DEADLINE: Duration = Duration::from_secs(2);

/// The bytes of one copy, digested.
pub(crate) struct Inspected {
    /// How many there are.
    pub(crate) size: u64,
    /// Their digests.
    pub(crate) digests: Digests,
    /// When the copy was written, as far as its node tells.
    pub(crate) modified: Option<Timestamp>,
}

impl Tracker {
    /// Asks a device for the size of a file; one that hangs is not waited for.
    pub(crate) async fn size_of(&self, at: DevFid) -> Result<u64, NodeError> {
        let node = self.nodes().get(at.device).ok_or(NodeError::NoDevice)?;
        let asked = std::pin::pin!(node.size(at));
        match future::select(asked, self.clock().sleep(SIZE_DEADLINE)).await {
            Either::Left((size, _)) => size,
            Either::Right(_) => Err(NodeError::Unreachable("no answer in time".into())),
        }
    }

    /// A digest of a file: computed where it lies, or here from its bytes if its node cannot.
    pub(crate) async fn digest_of(&self, at: DevFid, hash: HashType) -> Result<Digest, NodeError> {
        let node = self.nodes().get(at.device).ok_or(NodeError::NoDevice)?;
        match node.digest(at, hash).await {
            Err(NodeError::Unsupported(_)) => {}
            computed => return computed,
        }
        let read = self.read_whole(at, &[hash]).await?;
        Ok(read
            .digests
            .get(hash)
            .expect("the hasher was made for it")
            .clone())
    }

    /// Reads a file and digests it.
    pub(crate) async fn read_whole(&self, at: DevFid, hashes: &[HashType]) -> Result<Inspected, NodeError> {
        let node = self.nodes().get(at.device).ok_or(NodeError::NoDevice)?;
        let got = node.get(at, ByteRange::Whole).await?;
        let mut body = got.body.into_data_stream();
        let mut digesting = Hasher::new(hashes);
        let mut size = 0_u64;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| NodeError::Unreachable(error.into()))?;
            size = size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            digesting.update(&piece);
        }
        Ok(Inspected {
            size,
            digests: digesting.finish(),
            modified: got.modified.map(Timestamp::from_secs),
        })
    }
}
