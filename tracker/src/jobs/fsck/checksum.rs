//! Reads the copies of a file and compares them with each other and with what is on record (mogilefs.md §16).

use std::collections::BTreeMap;

use futures_util::StreamExt;
use mogul_storage::{ByteRange, DevFid, DevId, HashType, Hasher, Node, NodeError};

use super::{
    Checksums, Fsck,
    mend::{Report, Strays},
};
use crate::{
    Error,
    meta::{encoding::hash_number, files, fsck as meta, fsck::Recorded},
    model::FsckCode,
};

/// Whether the copies could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verified {
    /// What was found is in the report.
    Yes,
    /// A device did not answer.
    Stalled,
}

/// What a file's copies should be.
struct Expected {
    /// The algorithm that they are read with.
    hash: HashType,
    /// Its digest, where one is known.
    digest: Option<Vec<u8>>,
    origin: Origin,
}

/// Where an expected digest comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Table `checksum`, by the algorithm that is wanted.
    Row,
    /// Table `checksum`, by another algorithm.
    OtherRow,
    /// What S3 knows of its object.
    Object,
    /// Nobody knows it.
    Nowhere,
}

impl Fsck {
    /// Compares the good copies of a file, where that is wanted. Copies that are not what is on record become bad if there
    /// is one that is.
    pub(super) async fn verify(
        &self,
        file: &Recorded,
        of_class: Option<HashType>,
        checksums: Checksums,
        report: &mut Report,
    ) -> Result<Verified, Error> {
        let hash = match checksums {
            Checksums::Off => None,
            Checksums::OfClass => of_class,
            Checksums::All(hash) => Some(hash),
        };
        let Some(hash) = hash.filter(|_| !report.good.is_empty()) else {
            return Ok(Verified::Yes);
        };
        let expected = self.expected(file, hash, of_class).await?;
        let mut found: BTreeMap<Vec<u8>, Vec<DevId>> = BTreeMap::new();
        for device in std::mem::take(&mut report.good) {
            let at = DevFid {
                device,
                fid: file.file.fid,
            };
            match self.digest(at, expected.hash).await {
                Ok(digest) => {
                    found.entry(digest).or_default().push(device);
                    report.good.push(device);
                }
                Err(NodeError::NotFound) => {
                    report.find(at.fid, FsckCode::Missing, Some(device));
                    report.bad.push(device);
                }
                Err(error) => {
                    tracing::warn!(fid = at.fid.get(), devid = device.get(), %error, "fsck could not read a copy");
                    return Ok(Verified::Stalled);
                }
            }
        }
        compare(file, &expected, &found, (of_class, checksums), report);
        Ok(Verified::Yes)
    }

    /// What the copies of a file should be, and by which algorithm that can be seen.
    async fn expected(
        &self,
        file: &Recorded,
        hash: HashType,
        of_class: Option<HashType>,
    ) -> Result<Expected, Error> {
        let fid = file.file.fid;
        let mut tx = self.0.db().reader().await?;
        if let Some((kept, digest)) = meta::checksums_of(&mut tx, &[fid]).await?.remove(&fid) {
            return Ok(Expected {
                hash,
                digest: Some(digest),
                origin: if kept == Some(hash) {
                    Origin::Row
                } else {
                    Origin::OtherRow
                },
            });
        }
        let known = files::digests_known(&mut tx, &[fid]).await?.remove(&fid);
        Ok(match known.filter(|_| of_class.is_none()) {
            Some(crc64) => Expected {
                hash: HashType::Crc64Nvme,
                digest: Some(crc64.to_vec()),
                origin: Origin::Object,
            },
            None => Expected {
                hash,
                digest: None,
                origin: Origin::Nowhere,
            },
        })
    }

    /// The digest of a copy: computed where it lies, or read and computed here where its node cannot.
    async fn digest(&self, at: DevFid, hash: HashType) -> Result<Vec<u8>, NodeError> {
        let node = self.0.nodes().get(at.device).ok_or(NodeError::NoDevice)?;
        match node.digest(at, hash).await {
            Ok(digest) => Ok(digest.bytes),
            Err(NodeError::Unsupported(_)) => digest_of_body(&node, at, hash).await,
            Err(error) => Err(error),
        }
    }
}

/// Reads a copy and computes its digest.
async fn digest_of_body(node: &Node, at: DevFid, hash: HashType) -> Result<Vec<u8>, NodeError> {
    let got = node.get(at, ByteRange::Whole).await?;
    let mut hasher = Hasher::new(&[hash]);
    let mut body = got.body.into_data_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| NodeError::Unreachable(error.into()))?;
        hasher.update(&piece);
    }
    let digests = hasher.finish();
    let digest = digests.get(hash).ok_or(NodeError::Unsupported("this digest"))?;
    Ok(digest.bytes.clone())
}

/// Holds what was read against what should be there, in the original's words.
fn compare(
    file: &Recorded,
    expected: &Expected,
    found: &BTreeMap<Vec<u8>, Vec<DevId>>,
    (of_class, checksums): (Option<HashType>, Checksums),
    report: &mut Report,
) {
    let fid = file.file.fid;
    let Some(first) = found.keys().next() else {
        return;
    };
    let matching = expected.digest.as_ref().and_then(|digest| found.get(digest));
    match (expected.origin, found.len()) {
        (Origin::Nowhere, 1) if of_class == Some(expected.hash) => {
            report.find(fid, FsckCode::NewChecksum, None);
            report.checksum = Some((hash_number(expected.hash), first.clone()));
        }
        (Origin::Nowhere, 1) => {}
        (Origin::Nowhere, _) if checksums == Checksums::OfClass => {
            report.find(fid, FsckCode::BadChecksum, None);
        }
        (Origin::Nowhere, _) => report.find(fid, FsckCode::MultipleChecksums, None),
        (Origin::OtherRow, 1) => report.find(fid, FsckCode::BadAlgorithm, None),
        (Origin::OtherRow, _) => report.find(fid, FsckCode::BadChecksum, None),
        (Origin::Row | Origin::Object, _) => match matching {
            None => report.find(fid, FsckCode::BadChecksum, None),
            Some(matching) if matching.len() == report.good.len() => {}
            Some(matching) => {
                let (good, rotten): (Vec<DevId>, Vec<DevId>) =
                    report.good.iter().partition(|device| matching.contains(device));
                for device in &rotten {
                    tracing::warn!(
                        fid = fid.get(),
                        devid = device.get(),
                        "a copy is not what its checksum says"
                    );
                }
                report.good = good;
                report.bad.extend(rotten);
                report.strays = Strays::Left;
            }
        },
    }
}
