//! Changing and deleting objects.

use std::{collections::BTreeSet, sync::Arc};

use super::{DeleteObject, Deletion, UpdateObject, Written};
use crate::{
    Error, Tracker,
    jobs::JobName,
    meta::{
        Tx,
        encoding::{attributes_text, tags_text},
        files,
        objects::{self, Current, objects_for_conditions},
        queues, segments,
    },
    model::{Class, DomainId, Timestamp, WriteCondition},
};

impl Tracker {
    /// Changes attributes, tags or class of the current object. The time of the object moves on, except for tags alone, as in
    /// S3.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::PreconditionFailed`], [`Error::Database`].
    pub async fn update_object(&self, request: UpdateObject) -> Result<Written, Error> {
        let now = self.now();
        let reclassed = request.class.is_some();
        let request = Arc::new(request);
        let written = self.db().write(move |tx| {
            let request = Arc::clone(&request);
            Box::pin(async move { updated(tx, &request, now).await })
        });
        let written = written.await?;
        if reclassed {
            self.wake(JobName::Replicate);
        }
        Ok(written)
    }

    /// Deletes keys, each with its own outcome, in the order given, in one transaction.
    ///
    /// # Errors
    /// [`Error::Database`] if nothing could be done; otherwise each key has its own result:
    /// [`Error::PreconditionFailed`], or [`Error::UnknownKey`] if there was a condition and no object.
    pub async fn delete_objects(
        &self,
        domain: DomainId,
        keys: Vec<DeleteObject>,
    ) -> Result<Vec<Result<Deletion, Error>>, Error> {
        let now = self.now();
        let keys = Arc::new(keys);
        let outcomes = self.db().write(move |tx| {
            let keys = Arc::clone(&keys);
            Box::pin(async move { deleted(tx, domain, &keys, now).await })
        });
        let outcomes = outcomes.await?;
        if outcomes
            .iter()
            .any(|outcome| matches!(outcome, Ok(Deletion::Deleted)))
        {
            self.wake(JobName::Delete);
        }
        Ok(outcomes)
    }
}

/// Changes one object.
async fn updated(tx: &mut Tx, request: &UpdateObject, now: Timestamp) -> Result<Written, Error> {
    let wanted = [(&request.key, &request.condition)];
    let found = objects_for_conditions(tx, request.domain, &wanted).await?;
    let current = found.get(&request.key).ok_or(Error::UnknownKey)?;
    request.condition.decide(Some(&current.etag))?;
    if current.fid != request.fid {
        return Err(Error::PreconditionFailed("If-Match"));
    }
    let stored_anew = request.attributes.is_some() || request.class.is_some();
    let modified = if stored_anew {
        current.modified.max(now)
    } else {
        current.modified
    };
    objects::object_touched(tx, current, modified).await?;
    if let Some(attributes) = &request.attributes {
        objects::object_attributes_set(tx, current.fid, attributes_text(attributes)).await?;
    }
    if let Some(tags) = &request.tags {
        objects::object_tags_set(tx, current.fid, tags_text(tags)).await?;
    }
    let copies = current.devcount;
    let wanted = match &request.class {
        Some(class) => {
            reclassed(tx, current, class).await?;
            usize::from(class.mindevcount)
        }
        None => copies,
    };
    Ok(Written {
        etag: current.etag.clone(),
        modified,
        copies,
        degraded: copies < wanted,
    })
}

/// Gives an object another class, and with it the parts it still lies in; copies follow.
pub(in crate::command) async fn reclassed(
    tx: &mut Tx,
    current: &Current,
    class: &Class,
) -> Result<(), Error> {
    if current.class == class.id {
        return Ok(());
    }
    let mut fids = segments::part_fids_of(tx, current.fid).await?;
    if fids.is_empty() {
        fids.push(current.fid);
    } else {
        // The object's own file does not exist yet: the join makes its copies as its class then says.
        files::reclassed(tx, &[current.fid], class.id).await?;
    }
    files::reclassed(tx, &fids, class.id).await?;
    queues::replicate(tx, &fids).await
}

/// Deletes keys of one domain.
async fn deleted(
    tx: &mut Tx,
    domain: DomainId,
    keys: &[DeleteObject],
    now: Timestamp,
) -> Result<Vec<Result<Deletion, Error>>, Error> {
    let conditions: Vec<WriteCondition> = keys.iter().map(condition_of).collect();
    let wanted: Vec<_> = keys.iter().map(|each| &each.key).zip(&conditions).collect();
    let found = objects_for_conditions(tx, domain, &wanted).await?;
    let mut gone = BTreeSet::new();
    let outcomes = keys.iter().zip(&conditions).map(|(each, condition)| {
        let current = found
            .get(&each.key)
            .filter(|current| !gone.contains(&current.fid));
        condition.decide(current.map(|current| &current.etag))?;
        match current {
            Some(current) => {
                if each.if_size.is_some_and(|size| size != current.size) {
                    return Err(Error::PreconditionFailed("Size"));
                }
                if each
                    .if_modified
                    .is_some_and(|at| at.secs() != current.modified.secs())
                {
                    return Err(Error::PreconditionFailed("LastModifiedTime"));
                }
                gone.insert(current.fid);
                Ok(Deletion::Deleted)
            }
            None if each.if_size.is_some() || each.if_modified.is_some() => Err(Error::UnknownKey),
            None => Ok(Deletion::WasAbsent),
        }
    });
    let outcomes = outcomes.collect();
    let gone: Vec<_> = gone.into_iter().collect();
    files::release(tx, &gone, now).await?;
    Ok(outcomes)
}

/// The condition on the entity tag.
fn condition_of(each: &DeleteObject) -> WriteCondition {
    WriteCondition {
        if_match: each.if_match.clone(),
        if_none_match: None,
    }
}
