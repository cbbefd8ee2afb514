//! Writes finished uploads, the hot path, many at a time: whatever waits when a transaction begins goes into it, with
//! statements of many rows.
//!
//! A lane is a task that takes what waits, up to [`GROUP_MAX`], writes it in one transaction and takes what has come
//! meanwhile; no time is waited for. SQLite has one lane, because it has one writer; the others have several, and all
//! writes of one key go through the same lane, so that the lanes of a process never wait for each other's rows.
//!
//! Each object is decided on by itself, inside the transaction and in the order of arrival: one that fails its
//! condition fails alone, and is given up in the same transaction. If a transaction fails, its objects are written
//! one by one, so that only those fail that are the cause.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use mogul_storage::{DevId, Fid};
use tokio::sync::{mpsc, oneshot};

use super::{
    Db, Tx, checksums, deletions, digests, domains, files,
    files::NewFile,
    objects::{self, ObjectRow},
    queues::{self, Leftover},
    replicas,
    sql::Engine,
    tempfiles,
};
use crate::{
    Error,
    command::tempfiles::CloseError,
    error::chain,
    model::{ClassId, DomainId, Key, Timestamp, WriteCondition},
};

/// Objects of one transaction. Larger groups save nothing more, and delay the first of them.
const GROUP_MAX: usize = 256;
/// Objects that wait for one lane; whoever comes then waits for a place.
const QUEUE_MAX: usize = 1_024;
/// Lanes where the engine writes in parallel.
const LANES: usize = 4;

/// A stored fid that shall become the current object of its key.
#[derive(Debug, Clone)]
pub(crate) struct NewObject {
    /// The domain.
    pub(crate) domain: DomainId,
    /// The key.
    pub(crate) key: Key,
    /// The class.
    pub(crate) class: ClassId,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Devices that have it on stable storage.
    pub(crate) devices: Vec<DevId>,
    /// Whether copies are still to be made.
    pub(crate) replication: Replication,
    /// The digest to keep in `checksum`, if its class wants one: number of the algorithm, and bytes.
    pub(crate) digest: Option<(i64, Vec<u8>)>,
    /// What is kept beside the bytes.
    pub(crate) row: ObjectRow,
    /// What must hold of the object it replaces.
    pub(crate) condition: WriteCondition,
    /// Who has answered for the fid until now.
    pub(crate) origin: Origin,
}

/// Who answers for a fid before it is a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A lease of this process.
    Lease,
    /// A row of `tempfile`, which goes in the same transaction; without it nothing is written.
    Tempfile(Leftover),
}

impl Origin {
    /// Whether a reservation ends with the object.
    fn is_tempfile(self) -> bool {
        match self {
            Origin::Lease => false,
            Origin::Tempfile(_) => true,
        }
    }
}

/// Whether a new file's copies are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replication {
    /// All copies are there.
    Complete,
    /// Some are missing and are queued.
    Queued,
}

/// What came of one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committed {
    /// When it was stored, never before the one it replaced.
    pub(crate) modified: Timestamp,
    /// Whether there is something to delete now.
    pub(crate) replaced: Replaced,
}

/// Whether a write ended the life of another object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// There was one.
    Some,
    /// There was none.
    None,
}

/// What follows when the fate of an object is in the database, whether or not somebody still waits for it.
type Settle = Box<dyn FnOnce(&Result<Committed, Error>) + Send>;

/// The lanes.
#[derive(Clone)]
pub(crate) struct Committer {
    lanes: Arc<[mpsc::Sender<Waiting>]>,
}

/// An object in the queue.
struct Waiting {
    object: NewObject,
    settle: Settle,
    answer: oneshot::Sender<Result<Committed, Error>>,
}

impl Committer {
    /// Starts the lanes. They end when the last clone of the committer is gone and the queues are empty.
    pub(crate) fn start(db: &Db) -> Committer {
        let count = match db.engine() {
            Engine::Sqlite => 1,
            Engine::Postgres | Engine::MySql => LANES,
        };
        let lanes = (0..count).map(|_| {
            let (sender, receiver) = mpsc::channel(QUEUE_MAX);
            tokio::spawn(lane(db.clone(), receiver));
            sender
        });
        Committer {
            lanes: lanes.collect(),
        }
    }

    /// Writes one object; `settle` is called with the outcome, and lives until the transaction is over.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`], [`Error::UnknownKey`], [`Error::UnknownDomain`]: the fid has been given up.
    /// [`Error::Database`]: nothing is known of it.
    ///
    /// # Cancel safety
    /// After the first poll the object is written, whether or not the future lives on.
    pub(crate) async fn write(
        &self,
        object: NewObject,
        settle: impl FnOnce(&Result<Committed, Error>) + Send + 'static,
    ) -> Result<Committed, Error> {
        let (answer, outcome) = oneshot::channel();
        let lane = &self.lanes[lane_of(&object, self.lanes.len())];
        let waiting = Waiting {
            object,
            settle: Box::new(settle),
            answer,
        };
        match lane.try_send(waiting) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(waiting)) => {
                let lane = lane.clone();
                // A task of its own keeps the promise above. There are never more of these than callers.
                tokio::spawn(async move {
                    // A closed lane drops the answer, which the caller sees below.
                    let _ = lane.send(waiting).await;
                });
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Error::Busy),
        }
        outcome.await.unwrap_or(Err(Error::Busy))
    }
}

/// The lane of an object's key.
fn lane_of(object: &NewObject, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (object.domain, &object.key).hash(&mut hasher);
    let lanes = u64::try_from(lanes).expect("a handful");
    usize::try_from(hasher.finish() % lanes).expect("less than a handful")
}

/// Takes what waits, writes it, answers, until nobody can send any more.
async fn lane(db: Db, mut queue: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(GROUP_MAX);
    while queue.recv_many(&mut waiting, GROUP_MAX).await > 0 {
        let (group, waiters): (Vec<_>, Vec<_>) = waiting
            .drain(..)
            .map(|each| (each.object, (each.settle, each.answer)))
            .unzip();
        let outcomes = commit(&db, group).await;
        for (outcome, (settle, answer)) in outcomes.into_iter().zip(waiters) {
            settle(&outcome);
            // Nobody waits any more if the client has gone; the object is written all the same.
            let _ = answer.send(outcome);
        }
    }
}

/// Writes a group; if its transaction fails, each object alone.
async fn commit(db: &Db, group: Vec<NewObject>) -> Vec<Result<Committed, Error>> {
    let group = Arc::new(group);
    match transaction(db, Arc::clone(&group)).await {
        Ok(outcomes) => outcomes,
        Err(error) if group.len() == 1 => vec![Err(error)],
        Err(error) => {
            tracing::warn!(
                objects = group.len(),
                error = chain(&error),
                "a group was not committed and is written one by one"
            );
            let mut outcomes = Vec::with_capacity(group.len());
            for object in group.iter() {
                let alone = transaction(db, Arc::new(vec![object.clone()])).await;
                outcomes.push(alone.and_then(|mut one| {
                    one.pop()
                        .unwrap_or_else(|| Err(Error::Internal("an object without an outcome".to_owned())))
                }));
            }
            outcomes
        }
    }
}

/// One transaction over a group.
async fn transaction(db: &Db, group: Arc<Vec<NewObject>>) -> Result<Vec<Result<Committed, Error>>, Error> {
    db.write(move |tx| {
        let group = Arc::clone(&group);
        Box::pin(async move { objects_written(tx, &group).await })
    })
    .await
}

/// What a group does to the tables.
#[derive(Default)]
struct Decided<'a> {
    /// In the order of the group.
    outcomes: Vec<Result<Committed, Error>>,
    /// Those that are current at the end, in the order of their keys: rows are locked in the same order everywhere.
    winners: BTreeMap<(DomainId, &'a Key), (&'a NewObject, Timestamp)>,
    /// Objects in the database that are replaced.
    replaced: Vec<Fid>,
    /// Fids of the group that failed, or were replaced within it.
    given_up: Vec<Fid>,
    /// Fids of the group whose reservation is used up.
    closed: Vec<Fid>,
    /// Fids of the group that are not ours to touch: their reservation is gone.
    foreign: BTreeSet<Fid>,
}

/// Writes a group of objects: decides each, then changes the tables in a handful of statements.
async fn objects_written(tx: &mut Tx, group: &[NewObject]) -> Result<Vec<Result<Committed, Error>>, Error> {
    let decided = decided(tx, group).await?;
    let now = group
        .iter()
        .map(|object| object.row.modified)
        .max()
        .unwrap_or_default();
    files::release(tx, &decided.replaced, now).await?;
    tempfiles::forget(tx, &decided.closed).await?;
    let ours = group
        .iter()
        .filter(|object| !decided.foreign.contains(&object.row.fid));
    let copies = ours.flat_map(|object| object.devices.iter().map(|device| (object.row.fid, *device)));
    replicas::add(tx, &copies.collect::<Vec<_>>()).await?;
    deletions::delete(tx, &decided.given_up, now).await?;

    let winners: Vec<_> = decided.winners.values().collect();
    let new_files: Vec<_> = winners.iter().map(|(object, _)| new_file(object)).collect();
    files::added(tx, &new_files).await?;
    let rows: Vec<_> = winners
        .iter()
        .map(|(object, modified)| ObjectRow {
            modified: *modified,
            ..object.row.clone()
        })
        .collect();
    objects::objects_added(tx, &rows).await?;
    let digests = winners.iter().filter_map(|(object, _)| {
        let (hash, bytes) = object.digest.clone()?;
        Some((object.row.fid, hash, bytes))
    });
    checksums::added(tx, &digests.collect::<Vec<_>>()).await?;
    queues::replicate_suspect(tx, &to_replicate(&winners, Leftover::Possible)).await?;
    queues::replicate(tx, &to_replicate(&winners, Leftover::None)).await?;
    let undigested = winners.iter().filter(|(object, _)| object.row.crc64.is_none());
    let undigested: Vec<Fid> = undigested.map(|(object, _)| object.row.fid).collect();
    digests::digests_queued(tx, &undigested).await?;
    Ok(decided.outcomes)
}

/// The new files whose copies are to be looked at: those of which a device may hold a copy without record, or the others.
fn to_replicate(winners: &[&(&NewObject, Timestamp)], leftover: Leftover) -> Vec<Fid> {
    let wanted = winners.iter().filter(|(object, _)| match object.origin {
        // A device that did not answer in time may have its copy all the same.
        Origin::Lease => object.replication == Replication::Queued && leftover == Leftover::Possible,
        Origin::Tempfile(Leftover::Possible) => leftover == Leftover::Possible,
        Origin::Tempfile(Leftover::None) => {
            object.replication == Replication::Queued && leftover == Leftover::None
        }
    });
    wanted.map(|(object, _)| object.row.fid).collect()
}

/// The row of `file` of an object.
fn new_file(object: &NewObject) -> NewFile<'_> {
    NewFile {
        fid: object.row.fid,
        domain: object.domain,
        key: &object.key,
        size: object.size,
        class: object.class,
        devcount: object.devices.len(),
    }
}

/// Decides on each object of a group in the order of arrival, against what is there and what came before it.
async fn decided<'a>(tx: &mut Tx, group: &'a [NewObject]) -> Result<Decided<'a>, Error> {
    let ids: BTreeSet<DomainId> = group.iter().map(|object| object.domain).collect();
    let known = domains::domains_held(tx, &ids).await?;
    let mut stored = BTreeMap::new();
    for domain in &ids {
        let of_domain: Vec<_> = group.iter().filter(|object| object.domain == *domain).collect();
        let wanted: Vec<_> = of_domain
            .iter()
            .map(|object| (&object.key, &object.condition))
            .collect();
        stored.insert(
            *domain,
            objects::objects_for_conditions(tx, *domain, &wanted).await?,
        );
    }

    let mut open = reservations_held(tx, group).await?;
    let mut decided = Decided::default();
    for object in group {
        if object.origin.is_tempfile() {
            if !open.remove(&object.row.fid) {
                if !decided.closed.contains(&object.row.fid) {
                    decided.foreign.insert(object.row.fid);
                }
                decided.outcomes.push(Err(CloseError::NotOpen.into()));
                continue;
            }
            decided.closed.push(object.row.fid);
        }
        let slot = (object.domain, &object.key);
        let earlier = decided.winners.get(&slot);
        let before = stored.get(&object.domain).and_then(|keys| keys.get(&object.key));
        let etag = earlier.map_or(before.map(|it| &it.etag), |(winner, _)| Some(&winner.row.etag));
        let verdict = if known.contains(&object.domain) {
            object.condition.decide(etag)
        } else {
            Err(Error::UnknownDomain)
        };
        if let Err(error) = verdict {
            decided.given_up.push(object.row.fid);
            decided.outcomes.push(Err(error));
            continue;
        }
        let last = earlier.map_or(before.map(|it| it.modified), |(_, modified)| Some(*modified));
        let modified = last.map_or(object.row.modified, |last| last.max(object.row.modified));
        let replaced = if etag.is_some() {
            Replaced::Some
        } else {
            Replaced::None
        };
        match decided.winners.insert(slot, (object, modified)) {
            Some((loser, _)) => decided.given_up.push(loser.row.fid),
            None => decided.replaced.extend(before.map(|it| it.fid)),
        }
        decided.outcomes.push(Ok(Committed { modified, replaced }));
    }
    Ok(decided)
}

/// The reservations that a group closes, as far as they are still there.
async fn reservations_held(tx: &mut Tx, group: &[NewObject]) -> Result<BTreeSet<Fid>, Error> {
    let reserved = group.iter().filter(|object| object.origin.is_tempfile());
    let reserved: Vec<Fid> = reserved.map(|object| object.row.fid).collect();
    if reserved.is_empty() {
        return Ok(BTreeSet::new());
    }
    tempfiles::tempfiles_held(tx, &reserved).await
}
