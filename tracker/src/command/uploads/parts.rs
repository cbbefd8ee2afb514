//! Adding a part to an upload.

use std::{collections::BTreeSet, sync::Arc};

use super::PutPart;
use crate::{
    Error, Tracker,
    command::files::{Opened, Stored},
    jobs::JobName,
    meta::{
        Tx,
        committer::Replication,
        deletions, domains,
        files::{self, NewFile},
        queues, replicas,
        uploads::{self, StoredPart, UploadState},
    },
    model::{ETag, Key, Part, Timestamp},
};

/// Whether a part still found its upload open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is recorded.
    Recorded,
    /// The upload has ended; the part has been given up.
    GivenUp,
}

impl Tracker {
    /// Records a part. On any error but [`Error::Database`] the fid has been given up.
    ///
    /// # Errors
    /// [`Error::UnknownUpload`] (also if it ended meanwhile), [`Error::TooFewCopies`], [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future after the first poll does not stop the write.
    pub async fn put_part(&self, request: PutPart) -> Result<Part, Error> {
        let accepted = match self.accepted(&request.opened.class, &request.stored) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.abandon(&request.opened, &request.stored.devices).await?;
                return Err(error);
            }
        };
        let now = self.now();
        let (fid, opened) = (request.opened.fid, request.opened.clone());
        let stored = Arc::new(StoredPart {
            fid,
            crc64: request.stored.crc64,
            part: Part {
                number: request.number,
                size: request.stored.size,
                etag: ETag(hex::encode(request.stored.md5)),
                checksum: request.checksum.clone(),
                modified: now,
            },
        });
        let part = stored.part.clone();
        let request = Arc::new(request);
        let write = self.db().write(move |tx| {
            let (request, stored) = (Arc::clone(&request), Arc::clone(&stored));
            Box::pin(async move {
                let copies = (&request.stored, accepted.replication);
                recorded(tx, &request, &stored, copies).await
            })
        });
        let fate = write.await?;
        opened.finish();
        self.wake(JobName::Delete);
        match fate {
            Fate::Recorded => {
                if accepted.replication == Replication::Queued {
                    self.wake(JobName::Replicate);
                }
                Ok(part)
            }
            Fate::GivenUp => Err(Error::UnknownUpload),
        }
    }
}

/// Records a part, or gives it up if its upload is not open any more.
async fn recorded(
    tx: &mut Tx,
    request: &PutPart,
    stored: &StoredPart,
    copies: (&Stored, Replication),
) -> Result<Fate, Error> {
    let (written, replication) = copies;
    // A bucket that is being removed takes its uploads' files with it: it must see this one, or be gone.
    let class = &request.opened.class;
    let held = domains::domains_held(tx, &BTreeSet::from([class.domain])).await?;
    let upload = uploads::upload_held(tx, &request.upload).await?;
    let on: Vec<_> = written
        .devices
        .iter()
        .map(|device| (stored.fid, *device))
        .collect();
    replicas::add(tx, &on).await?;
    let open = held.contains(&class.domain)
        && upload.is_some_and(|it| it.state == UploadState::Open && it.upload.domain == class.domain);
    let now = stored.part.modified;
    if !open {
        deletions::delete(tx, &[stored.fid], now).await?;
        return Ok(Fate::GivenUp);
    }
    replaced(tx, request, now).await?;
    file_added(tx, &request.opened, written).await?;
    uploads::part_put(tx, &request.upload, stored).await?;
    if replication == Replication::Queued {
        queues::replicate_suspect(tx, &[stored.fid]).await?;
    }
    Ok(Fate::Recorded)
}

/// Gives the file of an earlier part of the same number up.
async fn replaced(tx: &mut Tx, request: &PutPart, now: Timestamp) -> Result<(), Error> {
    let Some(old) = uploads::part_numbered(tx, &request.upload, request.number).await? else {
        return Ok(());
    };
    files::release(tx, &[old.fid], now).await
}

/// Adds the file of a part, under its reserved key.
async fn file_added(tx: &mut Tx, opened: &Opened, written: &Stored) -> Result<(), Error> {
    let file = NewFile {
        fid: opened.fid,
        domain: opened.class.domain,
        key: &Key::reserved(opened.fid),
        size: written.size,
        class: opened.class.id,
        devcount: written.devices.len(),
    };
    files::added(tx, &[file]).await
}
