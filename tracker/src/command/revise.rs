//! Changes to files by key, as the tracker port makes them: another name, another class, the end.
//!
//! Side rows hang on the fid, so a file keeps its attributes, tags and entity tag through all of these.

use std::sync::Arc;

use super::objects::{DeleteObject, Deletion, reclassed};
use crate::{
    Error, Tracker,
    jobs::JobName,
    meta::{Tx, files, objects, replicas, segments},
    model::{Class, DomainId, Key},
};

impl Tracker {
    /// Gives a file another key. To its own key is no error.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::KeyTaken`], [`Error::Database`].
    pub async fn rename_file(&self, domain: DomainId, from: Key, to: Key) -> Result<(), Error> {
        let keys = Arc::new((from, to));
        let write = self.db().write(move |tx| {
            let keys = Arc::clone(&keys);
            Box::pin(async move { renamed(tx, domain, &keys.0, &keys.1).await })
        });
        write.await
    }

    /// Gives a file another class; copies follow. Its time stays, unlike that of an S3 copy onto itself.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::NoDevices`] if no copy of it is on record, [`Error::Database`].
    pub async fn reclass_file(&self, domain: DomainId, key: Key, class: Class) -> Result<(), Error> {
        let request = Arc::new((key, class));
        let write = self.db().write(move |tx| {
            let request = Arc::clone(&request);
            Box::pin(async move { moved_to(tx, domain, &request.0, &request.1).await })
        });
        write.await?;
        self.wake(JobName::Replicate);
        Ok(())
    }

    /// Deletes the file of a key.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Database`].
    pub async fn delete_file(&self, domain: DomainId, key: Key) -> Result<(), Error> {
        let request = DeleteObject {
            key,
            if_match: None,
            if_modified: None,
            if_size: None,
        };
        let mut outcomes = self.delete_objects(domain, vec![request]).await?;
        let outcome = outcomes.pop().unwrap_or(Ok(Deletion::WasAbsent))?;
        match outcome {
            Deletion::Deleted => Ok(()),
            Deletion::WasAbsent => Err(Error::UnknownKey),
        }
    }
}

async fn renamed(tx: &mut Tx, domain: DomainId, from: &Key, to: &Key) -> Result<(), Error> {
    let found = objects::objects_current(tx, domain, &[from, to]).await?;
    let file = found.get(from).ok_or(Error::UnknownKey)?;
    match found.get(to) {
        Some(_) if from == to => Ok(()),
        Some(_) => Err(Error::KeyTaken),
        None => files::renamed(tx, file.fid, to).await,
    }
}

async fn moved_to(tx: &mut Tx, domain: DomainId, key: &Key, class: &Class) -> Result<(), Error> {
    let found = objects::objects_current(tx, domain, &[key]).await?;
    let file = found.get(key).ok_or(Error::UnknownKey)?;
    let on_record = replicas::replicas_of(tx, &[file.fid]).await?;
    if on_record.is_empty() && segments::part_fids_of(tx, file.fid).await?.is_empty() {
        return Err(Error::NoDevices);
    }
    reclassed(tx, file, class).await
}
