//! What an upload becomes when it is completed: checked and computed from the parts on record, without I/O.

use std::collections::BTreeMap;

use mogul_storage::{Digest, Fid, HashType, Hasher, digest::combine};

use super::{CompleteUpload, ListedPart};
use crate::{
    Error,
    meta::{segments::Segment, uploads::StoredPart},
    model::{Checksum, ChecksumType, ETag, PartNumber, Upload},
};

/// Smallest part that is not the last: 5 MiB, as in S3.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// The object to be.
#[derive(Debug)]
pub(super) struct Plan {
    /// Its parts, in order.
    pub(super) segments: Vec<Segment>,
    /// Its size in bytes.
    pub(super) size: u64,
    /// MD5 of the parts' MD5s, and their number.
    pub(super) etag: ETag,
    /// The checksum to show.
    pub(super) checksum: Checksum,
    /// CRC64/NVME of all bytes.
    pub(super) crc64: [u8; 8],
    /// Files of parts that are not listed.
    pub(super) unlisted: Vec<Fid>,
}

/// Checks the list of a Complete against the parts on record, and computes the object.
///
/// # Errors
/// [`Error::UnknownPart`], [`Error::PartTooSmall`], [`Error::PartChecksum`], [`Error::WholeMismatch`], [`Error::Invalid`]
/// (no parts, or not ascending).
pub(super) fn plan(
    request: &CompleteUpload,
    upload: &Upload,
    stored: Vec<StoredPart>,
) -> Result<Plan, Error> {
    // AWS takes an upload for which nothing was declared as CRC64NVME of the full object.
    let (hash, kind) = upload
        .checksum
        .unwrap_or((HashType::Crc64Nvme, ChecksumType::FullObject));
    if request.checksum_type.is_some_and(|given| given != kind) {
        return Err(Error::WholeMismatch("checksum type"));
    }
    let mut by_number: BTreeMap<_, _> = stored.into_iter().map(|part| (part.part.number, part)).collect();
    check_order(&request.parts)?;
    let mut segments = Vec::with_capacity(request.parts.len());
    let mut start = 0_u64;
    for (index, listed) in request.parts.iter().enumerate() {
        let part = by_number
            .remove(&listed.number)
            .filter(|part| part.part.etag == listed.etag)
            .ok_or(Error::UnknownPart(listed.number))?;
        check_checksum(listed, &part, upload)?;
        if index + 1 < request.parts.len() && part.part.size < PART_BYTES_MIN {
            return Err(Error::PartTooSmall {
                number: listed.number,
                size: part.part.size,
                min: PART_BYTES_MIN,
            });
        }
        let size = part.part.size;
        segments.push(segment(index, start, part)?);
        start = start.saturating_add(size);
    }
    if request.size.is_some_and(|size| size != start) {
        return Err(Error::WholeMismatch("size"));
    }
    let crc64 = crc64_of_all(&segments)?;
    let checksum = checksum_of_all(&segments, (hash, kind), crc64)?;
    check_whole(request, &segments, &checksum)?;
    Ok(Plan {
        etag: etag_of_all(&segments)?,
        size: start,
        crc64,
        checksum,
        segments,
        unlisted: by_number.into_values().map(|part| part.fid).collect(),
    })
}

/// Refuses a list that is empty or not ascending.
fn check_order(parts: &[ListedPart]) -> Result<(), Error> {
    let ascending = parts.windows(2).all(|pair| pair[0].number < pair[1].number);
    if parts.is_empty() || !ascending {
        return Err(Error::Invalid {
            field: "parts",
            reason: "they must be listed in ascending order, at least one".to_owned(),
        });
    }
    Ok(())
}

/// Refuses a part whose listed checksum differs, or is missing where the whole is a digest of the parts' digests.
fn check_checksum(listed: &ListedPart, part: &StoredPart, upload: &Upload) -> Result<(), Error> {
    let right = match &listed.checksum {
        Some(given) => part.part.checksum.as_ref() == Some(given) || given.bytes == crc64_bytes(given, part),
        None => !matches!(upload.checksum, Some((_, ChecksumType::Composite))),
    };
    right.then_some(()).ok_or(Error::PartChecksum(listed.number))
}

/// The part's CRC64/NVME, which is known of every part, if that is what was given; nothing otherwise.
fn crc64_bytes(given: &Digest, part: &StoredPart) -> Vec<u8> {
    if given.hash == HashType::Crc64Nvme {
        part.crc64.to_vec()
    } else {
        Vec::new()
    }
}

/// The segment of a part.
fn segment(index: usize, start: u64, stored: StoredPart) -> Result<Segment, Error> {
    let ordinal = u32::try_from(index + 1).map_err(|_| too_many(stored.part.number))?;
    Ok(Segment {
        ordinal,
        part_fid: Some(stored.fid),
        start,
        crc64: Some(stored.crc64),
        part: stored.part,
    })
}

fn too_many(number: PartNumber) -> Error {
    Error::Internal(format!("part {} has an impossible position", number.get()))
}

/// `md5(md5(part 1) … md5(part N))-N`.
fn etag_of_all(segments: &[Segment]) -> Result<ETag, Error> {
    let mut hasher = Hasher::new(&[HashType::Md5]);
    for segment in segments {
        let md5 = hex::decode(&segment.part.etag.0);
        hasher.update(&md5.map_err(|_| Error::Internal("the entity tag of a part is no MD5".to_owned()))?);
    }
    let digests = hasher.finish();
    let md5 = digests.get(HashType::Md5).ok_or_else(|| lacking(HashType::Md5))?;
    Ok(ETag(format!("{}-{}", md5.hex(), segments.len())))
}

/// The CRC64/NVME of all bytes, from those of the parts.
fn crc64_of_all(segments: &[Segment]) -> Result<[u8; 8], Error> {
    let crc64 = |segment: &Segment| {
        let bytes = segment.crc64?.to_vec();
        Some(Digest {
            hash: HashType::Crc64Nvme,
            bytes,
        })
    };
    let whole = combined(segments, crc64)?;
    <[u8; 8]>::try_from(whole.bytes.as_slice()).map_err(|_| lacking(HashType::Crc64Nvme))
}

/// The CRC of all bytes, from those of the parts.
fn combined(segments: &[Segment], crc: impl Fn(&Segment) -> Option<Digest>) -> Result<Digest, Error> {
    let mut whole: Option<Digest> = None;
    for segment in segments {
        let missing = || Error::PartChecksum(segment.part.number);
        let next = crc(segment).ok_or_else(missing)?;
        whole = Some(match whole {
            None => next,
            Some(before) => combine(&before, &next, segment.part.size).ok_or_else(missing)?,
        });
    }
    whole.ok_or_else(|| Error::Internal("an object without parts".to_owned()))
}

/// The checksum that the object shows.
fn checksum_of_all(
    segments: &[Segment],
    declared: (HashType, ChecksumType),
    crc64: [u8; 8],
) -> Result<Checksum, Error> {
    let (hash, kind) = declared;
    let of_part = |segment: &Segment| segment.part.checksum.clone().filter(|sum| sum.hash == hash);
    let digest = match kind {
        ChecksumType::FullObject if hash == HashType::Crc64Nvme => Digest {
            hash,
            bytes: crc64.to_vec(),
        },
        ChecksumType::FullObject => combined(segments, of_part)?,
        ChecksumType::Composite => {
            let mut hasher = Hasher::new(&[hash]);
            for segment in segments {
                let digest = of_part(segment).ok_or(Error::PartChecksum(segment.part.number))?;
                hasher.update(&digest.bytes);
            }
            hasher.finish().get(hash).cloned().ok_or_else(|| lacking(hash))?
        }
    };
    Ok(Checksum { digest, kind })
}

/// Refuses a checksum of the whole that differs. One of another algorithm than declared can be compared if all parts came with
/// it.
fn check_whole(request: &CompleteUpload, segments: &[Segment], checksum: &Checksum) -> Result<(), Error> {
    let Some(given) = &request.checksum else {
        return Ok(());
    };
    let of_part = |segment: &Segment| segment.part.checksum.clone().filter(|sum| sum.hash == given.hash);
    let right = if given.hash == checksum.digest.hash {
        *given == checksum.digest
    } else {
        combined(segments, of_part).is_ok_and(|whole| whole == *given)
    };
    right.then_some(()).ok_or(Error::WholeMismatch("checksum"))
}

fn lacking(hash: HashType) -> Error {
    Error::Internal(format!("{hash:?} was not computed"))
}

#[cfg(test)]
mod tests {
    use mogul_storage::Digests;

    use super::*;
    use crate::model::{
        Attributes, ClassId, DomainId, Key, Part, Timestamp, UploadId, UserId, WriteCondition,
    };

    const MIB: usize = 1024 * 1024;

    fn upload(checksum: Option<(HashType, ChecksumType)>) -> Upload {
        Upload {
            id: UploadId("u".to_owned()),
            domain: DomainId(1),
            key: Key::parse("k").unwrap(),
            class: ClassId::DEFAULT,
            owner: UserId::root(),
            initiated: Timestamp::default(),
            attributes: Attributes::default(),
            tags: Vec::new(),
            checksum,
            devices: Vec::new(),
        }
    }

    fn digests(bytes: &[u8], hash: HashType) -> Digests {
        let mut hasher = Hasher::new(&[HashType::Md5, HashType::Crc64Nvme, hash]);
        hasher.update(bytes);
        hasher.finish()
    }

    fn bytes(number: u16, size: usize) -> Vec<u8> {
        vec![number.to_le_bytes()[0]; size]
    }

    fn stored(number: u16, size: usize, hash: HashType) -> StoredPart {
        let digests = digests(&bytes(number, size), hash);
        StoredPart {
            fid: Fid::new(u64::from(number)).unwrap(),
            crc64: digests
                .get(HashType::Crc64Nvme)
                .unwrap()
                .bytes
                .as_slice()
                .try_into()
                .unwrap(),
            part: Part {
                number: PartNumber::new(number).unwrap(),
                size: u64::try_from(size).unwrap(),
                etag: ETag(digests.get(HashType::Md5).unwrap().hex()),
                checksum: digests.get(hash).cloned(),
                modified: Timestamp::default(),
            },
        }
    }

    fn request(parts: &[&StoredPart]) -> CompleteUpload {
        let listed = parts.iter().map(|stored| ListedPart {
            number: stored.part.number,
            etag: stored.part.etag.clone(),
            checksum: stored.part.checksum.clone(),
        });
        CompleteUpload {
            domain: DomainId(1),
            key: Key::parse("k").unwrap(),
            upload: UploadId("u".to_owned()),
            parts: listed.collect(),
            size: None,
            checksum: None,
            checksum_type: None,
            condition: WriteCondition::default(),
        }
    }

    #[test]
    fn the_checksum_of_the_full_object_is_that_of_all_its_bytes() {
        for hash in [HashType::Crc32, HashType::Crc32c, HashType::Crc64Nvme] {
            let parts = [
                stored(2, 5 * MIB, hash),
                stored(5, 6 * MIB, hash),
                stored(9, 3, hash),
            ];
            let request = request(&[&parts[0], &parts[1], &parts[2]]);
            let declared = Some((hash, ChecksumType::FullObject));

            let plan = plan(&request, &upload(declared), parts.to_vec()).unwrap();

            let all = [bytes(2, 5 * MIB), bytes(5, 6 * MIB), bytes(9, 3)].concat();
            let whole = digests(&all, hash);
            assert_eq!(Some(&plan.checksum.digest), whole.get(hash));
            assert_eq!(
                plan.crc64.as_slice(),
                whole.get(HashType::Crc64Nvme).unwrap().bytes
            );
            assert_eq!(plan.size, 11 * 1024 * 1024 + 3);
            let starts: Vec<u64> = plan.segments.iter().map(|segment| segment.start).collect();
            assert_eq!(starts, [0, 5 * 1024 * 1024, 11 * 1024 * 1024]);
        }
    }

    #[test]
    fn a_composite_checksum_and_the_entity_tag_are_digests_of_digests() {
        let hash = HashType::Sha256;
        let parts = [stored(1, 5 * MIB, hash), stored(2, 0, hash)];
        let request = request(&[&parts[0], &parts[1]]);
        let declared = Some((hash, ChecksumType::Composite));

        let plan = plan(&request, &upload(declared), parts.to_vec()).unwrap();

        let of = |which: HashType, each: &dyn Fn(&StoredPart) -> Vec<u8>| {
            let all: Vec<u8> = parts.iter().flat_map(each).collect();
            digests(&all, which).get(which).unwrap().clone()
        };
        let composite = of(hash, &|part| part.part.checksum.clone().unwrap().bytes);
        let etag = of(HashType::Md5, &|part| hex::decode(&part.part.etag.0).unwrap());
        assert_eq!(plan.checksum.digest, composite);
        assert_eq!(plan.checksum.kind, ChecksumType::Composite);
        assert_eq!(plan.etag.0, format!("{}-2", etag.hex()));
    }

    #[test]
    fn parts_that_are_not_listed_are_given_up() {
        let hash = HashType::Crc32;
        let parts = [stored(1, 1, hash), stored(2, 2, hash), stored(3, 3, hash)];

        let plan = plan(&request(&[&parts[1]]), &upload(None), parts.to_vec()).unwrap();

        assert_eq!(plan.unlisted, [Fid::new(1).unwrap(), Fid::new(3).unwrap()]);
        assert_eq!(
            plan.checksum.digest.hash,
            HashType::Crc64Nvme,
            "what AWS computes when nothing is declared"
        );
    }

    #[test]
    fn a_list_that_does_not_fit_the_parts_is_refused() {
        let hash = HashType::Sha256;
        let composite = Some((hash, ChecksumType::Composite));
        let parts = [stored(1, 5 * MIB - 1, hash), stored(2, 1, hash)];
        let good = request(&[&parts[1]]);
        let check = |change: &dyn Fn(&mut CompleteUpload)| {
            let mut request = good.clone();
            change(&mut request);
            plan(&request, &upload(composite), parts.to_vec())
                .map(|_| ())
                .unwrap_err()
        };

        assert!(plan(&good, &upload(composite), parts.to_vec()).is_ok());
        assert!(matches!(check(&|it| it.parts.clear()), Error::Invalid { .. }));
        assert!(matches!(
            check(&|it| it.parts[0].etag.0.push('0')),
            Error::UnknownPart(_)
        ));
        assert!(matches!(
            check(&|it| it.parts[0].number = PartNumber::new(7).unwrap()),
            Error::UnknownPart(_)
        ));
        assert!(matches!(
            check(&|it| it.parts[0].checksum = None),
            Error::PartChecksum(_)
        ));
        assert!(matches!(
            check(&|it| it.parts[0].checksum = parts[0].part.checksum.clone()),
            Error::PartChecksum(_)
        ));
        assert!(matches!(
            check(&|it| it.size = Some(2)),
            Error::WholeMismatch("size")
        ));
        assert!(matches!(
            check(&|it| it.checksum_type = Some(ChecksumType::FullObject)),
            Error::WholeMismatch("checksum type")
        ));
        assert!(matches!(
            check(&|it| it.checksum = parts[0].part.checksum.clone()),
            Error::WholeMismatch("checksum")
        ));
        let both = request(&[&parts[0], &parts[1]]);
        assert!(matches!(
            plan(&both, &upload(composite), parts.to_vec()),
            Err(Error::PartTooSmall { size, .. }) if size == 5 * 1024 * 1024 - 1
        ));
        let backwards = request(&[&parts[1], &parts[0]]);
        assert!(matches!(
            plan(&backwards, &upload(composite), parts.to_vec()),
            Err(Error::Invalid { .. })
        ));
    }
}
