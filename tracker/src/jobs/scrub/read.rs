//! Reads the copies of a page: where they lie, many in one request, or through here where their node cannot.

use std::collections::BTreeMap;

use mogul_storage::{
    DevFid, DevId, Fid, HashType, Node, NodeError,
    bulk::{BULK_MAX, CRC_BYTES_MAX, Extent, Seen, joined},
};

use super::{Page, Scrub, claim::PageClaim};
use crate::{Error, meta::files};

/// What a page could not be read for.
#[derive(Debug)]
pub(super) enum PageError {
    /// The database.
    Domain(Error),
    /// The device.
    Node(NodeError),
}

impl From<Error> for PageError {
    fn from(error: Error) -> PageError {
        PageError::Domain(error)
    }
}

impl From<NodeError> for PageError {
    fn from(error: NodeError) -> PageError {
        PageError::Node(error)
    }
}

/// What is said of a copy that is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is what its digest says.
    Good,
    /// It is not, or the device cannot read it.
    Rotten,
    /// It is not there, or has another size.
    Absent,
    /// Nobody knows its digest.
    Undigested,
}

/// A copy to be read.
#[derive(Debug, Clone, Copy)]
struct Copy {
    fid: Fid,
    size: u64,
    crc64: [u8; 8],
}

impl Scrub {
    /// Reads what is on record on a page. A copy that could not be read for a reason that is not its own has no verdict.
    pub(super) async fn read(
        &self,
        node: &Node,
        claim: &mut PageClaim,
        page: &Page,
    ) -> Result<BTreeMap<Fid, Verdict>, PageError> {
        let is_there = |(fid, size): &(Fid, u64)| match &page.listed {
            Some(listed) => listed.get(fid) == Some(size),
            None => true,
        };
        let (there, absent): (Vec<_>, Vec<_>) = page.recorded.iter().copied().partition(is_there);
        let fids: Vec<Fid> = there.iter().map(|(fid, _)| *fid).collect();
        let mut tx = self.0.db().reader().await.map_err(Error::from)?;
        let known = files::digests_known(&mut tx, &fids).await?;
        drop(tx);
        let mut verdicts: BTreeMap<Fid, Verdict> = BTreeMap::new();
        verdicts.extend(absent.into_iter().map(|(fid, _)| (fid, Verdict::Absent)));
        let mut copies = Vec::new();
        for (fid, size) in there {
            match known.get(&fid) {
                Some(crc64) => copies.push(Copy {
                    fid,
                    size,
                    crc64: *crc64,
                }),
                None => drop(verdicts.insert(fid, Verdict::Undigested)),
            }
        }
        for group in groups(&copies) {
            match self.group(node, claim, group).await {
                Ok(seen) => verdicts.extend(seen),
                Err(PageError::Node(NodeError::Unsupported(_))) => {
                    for copy in group {
                        self.keep(claim, copy.size).await?;
                        let verdict = self.one(claim.device, copy).await?;
                        verdicts.extend(verdict.map(|verdict| (copy.fid, verdict)));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(verdicts)
    }

    /// Has a group digested where it lies: whole files in one request, or one large file in pieces.
    async fn group(
        &self,
        node: &Node,
        claim: &mut PageClaim,
        group: &[Copy],
    ) -> Result<Vec<(Fid, Verdict)>, PageError> {
        if let [large] = group
            && large.size > CRC_BYTES_MAX
        {
            return Ok(vec![(large.fid, self.in_pieces(node, claim, large).await?)]);
        }
        let extents: Vec<Extent> = group
            .iter()
            .map(|copy| Extent {
                fid: copy.fid,
                first: 0,
                length: copy.size,
            })
            .collect();
        self.keep(claim, group.iter().map(|copy| copy.size).sum()).await?;
        let seen = node.crcs(claim.device, &extents).await?;
        let judged = group
            .iter()
            .zip(seen)
            .map(|(copy, seen)| (copy.fid, judge(copy, seen)));
        Ok(judged.collect())
    }

    /// Has a large file digested piece by piece.
    async fn in_pieces(&self, node: &Node, claim: &mut PageClaim, copy: &Copy) -> Result<Verdict, PageError> {
        let mut whole: Option<[u8; 8]> = None;
        let mut first = 0;
        while first < copy.size {
            let length = CRC_BYTES_MAX.min(copy.size - first);
            let extent = Extent {
                fid: copy.fid,
                first,
                length,
            };
            self.keep(claim, length).await?;
            let seen = node.crcs(claim.device, &[extent]).await?;
            match seen.first() {
                Some(Seen::File { size, crc64 }) if *size == copy.size => {
                    whole = Some(whole.map_or(*crc64, |before| joined(before, *crc64, length)));
                }
                Some(seen) => return Ok(judge(copy, *seen)),
                None => return Ok(Verdict::Absent),
            }
            first = first.saturating_add(length);
        }
        let right = whole == Some(copy.crc64);
        Ok(if right { Verdict::Good } else { Verdict::Rotten })
    }

    /// Reads a copy through here. `None` if its node refuses to give it out, which may pass.
    async fn one(&self, device: DevId, copy: &Copy) -> Result<Option<Verdict>, NodeError> {
        let at = DevFid {
            device,
            fid: copy.fid,
        };
        match self.0.read_whole(at, &[HashType::Crc64Nvme]).await {
            Ok(read) => {
                let crc64 = read.digests.get(HashType::Crc64Nvme);
                let crc64 = crc64.and_then(|digest| digest.bytes.as_slice().try_into().ok());
                let crc64 = crc64.expect("the hasher was made for this digest, which has eight bytes");
                let seen = Seen::File {
                    size: read.size,
                    crc64,
                };
                Ok(Some(judge(copy, seen)))
            }
            Err(NodeError::NotFound) => Ok(Some(Verdict::Absent)),
            Err(NodeError::Answer { status, text }) => {
                tracing::warn!(
                    fid = at.fid.get(),
                    devid = device.get(),
                    status,
                    text,
                    "a copy was not scrubbed"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn judge(copy: &Copy, seen: Seen) -> Verdict {
    match seen {
        Seen::File { size, .. } if size != copy.size => Verdict::Absent,
        Seen::File { crc64, .. } if crc64 == copy.crc64 => Verdict::Good,
        Seen::File { .. } | Seen::Unreadable => Verdict::Rotten,
        Seen::Missing => Verdict::Absent,
    }
}

/// Cuts copies into groups that one request takes; a file that is too large for one is a group by itself.
fn groups(copies: &[Copy]) -> Vec<&[Copy]> {
    let (mut groups, mut start, mut bytes) = (Vec::new(), 0, 0_u64);
    for (index, copy) in copies.iter().enumerate() {
        let sum = bytes.saturating_add(copy.size);
        if index > start && (sum > CRC_BYTES_MAX || index - start >= BULK_MAX) {
            groups.push(&copies[start..index]);
            (start, bytes) = (index, copy.size);
        } else {
            bytes = sum;
        }
    }
    if start < copies.len() {
        groups.push(&copies[start..]);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_as_large_as_one_request_takes() {
        let copy = |size| Copy {
            fid: Fid::new(1).unwrap(),
            size,
            crc64: [0; 8],
        };
        let sizes = |copies: &[Copy]| -> Vec<Vec<u64>> {
            let groups = groups(copies).into_iter();
            groups
                .map(|group| group.iter().map(|copy| copy.size).collect())
                .collect()
        };
        let (half, over) = (CRC_BYTES_MAX / 2, CRC_BYTES_MAX + 1);

        assert_eq!(sizes(&[]), Vec::<Vec<u64>>::new());
        assert_eq!(
            sizes(&[1, half, half, half, over, 2].map(copy)),
            [vec![1, half], vec![half, half], vec![over], vec![2]]
        );
        let many = vec![copy(0); BULK_MAX + 1];
        assert_eq!(sizes(&many).len(), 2);
    }
}
