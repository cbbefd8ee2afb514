//! Looks at one copy of a file, on whatever node it is: how large it is, what its bytes are.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{
    StreamExt as _,
    future::{self, Either},
};
use mogul_storage::{
    ByteRange, DevFid, DevId, Digest, Digests, Fid, HashType, Hasher, NodeError, node::Removal,
};

use crate::{
    Error, Tracker,
    meta::{Tx, files, fsck},
    model::Timestamp,
};

/// How long a node may take to tell the size of a file, or to delete one that somebody waits for (MogileFS `node_timeout`).
const DEADLINE: Duration = Duration::from_secs(2);

/// What a copy must be to count as good.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// Its bytes.
    pub(crate) size: u64,
    /// A digest to read it by, where one is known.
    pub(crate) digest: Option<Known>,
}

/// A digest of a file that is on record.
pub(crate) type Known = (HashType, Vec<u8>);

/// Digests of files that are on record: what S3 knows of an object, else what table `checksum` has.
pub(crate) async fn digests_known(tx: &mut Tx, fids: &[Fid]) -> Result<BTreeMap<Fid, Known>, Error> {
    let crcs = files::digests_known(tx, fids).await?;
    let left: Vec<Fid> = fids
        .iter()
        .copied()
        .filter(|fid| !crcs.contains_key(fid))
        .collect();
    let kept = fsck::checksums_of(tx, &left).await?;
    let kept = kept
        .into_iter()
        .filter_map(|(fid, (hash, bytes))| Some((fid, (hash?, bytes))));
    let crcs = crcs
        .into_iter()
        .map(|(fid, crc64)| (fid, (HashType::Crc64Nvme, crc64.to_vec())));
    Ok(crcs.chain(kept).collect())
}

/// The digest of one file.
pub(crate) async fn digest_known(tx: &mut Tx, fid: Fid) -> Result<Option<Known>, Error> {
    Ok(digests_known(tx, &[fid]).await?.remove(&fid))
}

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
        let latencies = self.nodes().latencies();
        let asked = latencies.map(|latencies| (latencies, latencies.asked(at.device)));
        if let Some(size) = self.in_time(node.size(at)).await {
            if let (Ok(_), Some((latencies, asked))) = (&size, asked) {
                latencies.answered(asked);
            }
            return size;
        }
        if let Some(latencies) = latencies {
            latencies.waited_for(at.device, DEADLINE);
        }
        Err(NodeError::Unreachable("no answer in time".into()))
    }

    /// Whether a device has let somebody wait in vain of late, and it is not time to try it again: who can do without it
    /// does not ask it, so that a node that hangs costs one request now and then, and not each its deadline.
    pub(crate) fn hangs(&self, device: DevId) -> bool {
        let latencies = self.nodes().latencies();
        latencies.is_some_and(|latencies| {
            latencies.expected(device) >= DEADLINE && !latencies.is_to_be_tried(device)
        })
    }

    /// Deletes a file while somebody waits; a device that hangs is not waited for, and may delete it all the same.
    pub(crate) async fn delete_now(&self, at: DevFid) -> Result<Removal, NodeError> {
        let node = self.nodes().get(at.device).ok_or(NodeError::NoDevice)?;
        let deleted = self.in_time(node.delete(at)).await;
        deleted.unwrap_or_else(|| Err(NodeError::Unreachable("no answer in time".into())))
    }

    async fn in_time<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        let step = std::pin::pin!(step);
        match future::select(step, self.clock().sleep(DEADLINE)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// Whether a copy is what it must be: it is read, where a digest of the file is known, else its size must do.
    pub(crate) async fn is_good(&self, at: DevFid, expected: &Expected) -> bool {
        match &expected.digest {
            Some((hash, bytes)) => {
                let digest = self.digest_of(at, *hash).await;
                digest.is_ok_and(|digest| digest.bytes == *bytes)
            }
            None => self.size_of(at).await.is_ok_and(|size| size == expected.size),
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
