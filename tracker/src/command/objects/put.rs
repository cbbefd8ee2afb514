//! Storing an object: what was written becomes the current object of its key.

use mogul_storage::{DevId, HashType};

use super::{PutVersion, Written};
use crate::{
    Error, Tracker,
    command::files::{Opened, Stored},
    error::chain,
    jobs::JobName,
    meta::{
        committer::{Committed, NewObject, Origin, Replaced, Replication},
        encoding::{attributes_text, hash_number, tags_text},
        objects::ObjectRow,
    },
    model::{Checksum, ChecksumType, Class, Degraded, ETag},
    policy::{Advice, Situation},
    refresh::policy_of,
};

/// Copies that are good enough to answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Whether copies are still missing.
    pub(crate) replication: Replication,
    /// Whether there are fewer than the class wants an answer to wait for.
    pub(crate) degraded: bool,
}

impl Tracker {
    /// Makes a stored fid the current object of its key, in one transaction: conditions, the row of the file, its
    /// replicas and attributes, the queue for missing copies, the end of the object it replaces.
    ///
    /// On any error but [`Error::Database`] and [`Error::Busy`] the fid has been given up and its copies are queued for
    /// deletion; what those two leave is collected by the sweep.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`], [`Error::UnknownKey`] (`If-Match` without an object), [`Error::UnknownDomain`],
    /// [`Error::TooFewCopies`], [`Error::Database`], [`Error::Busy`] (the process is stopping).
    ///
    /// # Cancel safety
    /// Dropping the future after the first poll does not stop the write.
    pub async fn put_version(&self, request: PutVersion) -> Result<Written, Error> {
        let accepted = match self.accepted(&request.opened.class, &request.stored) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.abandon(&request.opened, &request.stored.devices).await?;
                return Err(error);
            }
        };
        let copies = request.stored.devices.len();
        let etag = ETag(hex::encode(request.stored.md5));
        let settle = self.settle(&request.opened, accepted.replication);
        let object = self.new_object(request, &etag, accepted.replication);
        let committed = self.committer().write(object, settle).await?;
        Ok(Written {
            etag,
            modified: committed.modified,
            copies,
            degraded: accepted.degraded,
        })
    }

    /// What follows when the fate of a fid is in the database. It owns the fid's lease: if the outcome is not known, the
    /// sweep job finds out.
    fn settle(
        &self,
        opened: &Opened,
        replication: Replication,
    ) -> impl FnOnce(&Result<Committed, Error>) + Send + use<> {
        let (wakes, opened) = (self.wakes().clone(), opened.clone());
        move |outcome| match outcome {
            Ok(committed) => {
                opened.finish();
                if committed.replaced == Replaced::Some {
                    wakes.wake(JobName::Delete);
                }
                if replication == Replication::Queued {
                    wakes.wake(JobName::Replicate);
                }
            }
            Err(Error::PreconditionFailed(_) | Error::UnknownKey | Error::UnknownDomain) => {
                opened.finish();
                wakes.wake(JobName::Delete);
            }
            Err(error) => tracing::warn!(
                fid = opened.fid.get(),
                error = chain(&error),
                "fate of a file is unknown"
            ),
        }
    }

    /// The rows of a request.
    fn new_object(&self, request: PutVersion, etag: &ETag, replication: Replication) -> NewObject {
        let class = request.opened.class;
        NewObject {
            domain: class.domain,
            class: class.id,
            size: request.stored.size,
            replication,
            digest: digest_of_class(class.hash, &request.stored, request.checksum.as_ref()),
            row: ObjectRow {
                fid: request.opened.fid,
                etag: etag.clone(),
                modified: self.now(),
                owner: Some(request.owner),
                attributes: attributes_text(&request.attributes),
                tags: tags_text(&request.tags),
                checksum: request.checksum,
                crc64: Some(request.stored.crc64),
                parts: None,
            },
            key: request.key,
            devices: request.stored.devices,
            condition: request.condition,
            origin: Origin::Lease,
        }
    }
}

impl Tracker {
    /// Weighs the copies that were written against what the class demands.
    ///
    /// # Errors
    /// [`Error::TooFewCopies`] if there is none, or fewer than an answer waits for and the class refuses that.
    pub(crate) fn accepted(&self, class: &Class, stored: &Stored) -> Result<Accepted, Error> {
        let written = stored.devices.len();
        let required = class.copies_acknowledged(policy_of(class).copies(class.mindevcount));
        let degraded = written < required;
        if written == 0 || (degraded && class.degraded == Degraded::Refuse) {
            return Err(Error::TooFewCopies { written, required });
        }
        Ok(Accepted {
            replication: self.replication(class, &stored.devices),
            degraded,
        })
    }

    /// Whether the policy of a class wants more than copies on these devices: as many, but badly spread ones, too, are
    /// queued.
    pub(crate) fn replication(&self, class: &Class, devices: &[DevId]) -> Replication {
        let situation = Situation {
            mindevcount: class.mindevcount,
            on: devices,
            failed: &[],
            devices: &self.view().policy_devices(self.settings().min_free_bytes),
        };
        match policy_of(class).advise(&situation) {
            Advice::Happy | Advice::TooHappy => Replication::Complete,
            Advice::CopyTo { .. } | Advice::NoAnswer => Replication::Queued,
        }
    }
}

/// The digest that `checksum` keeps for a class, if what was stored has it: number of the algorithm, and bytes.
fn digest_of_class(
    hash: Option<HashType>,
    stored: &Stored,
    checksum: Option<&Checksum>,
) -> Option<(i64, Vec<u8>)> {
    let hash = hash?;
    if hash == HashType::Md5 {
        return Some((hash_number(hash), stored.md5.to_vec()));
    }
    let known = checksum.filter(|sum| sum.digest.hash == hash && sum.kind == ChecksumType::FullObject)?;
    Some((hash_number(hash), known.digest.bytes.clone()))
}
