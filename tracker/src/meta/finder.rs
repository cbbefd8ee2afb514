//! Finds rows by key, the other hot path, many at a time: whatever waits when a statement begins goes into it.
//!
//! A statement costs two changes of thread on SQLite and a round trip on the others, a key in it a few microseconds. A
//! lane is a task that takes what waits, up to [`GROUP_MAX`], asks for it in one statement a domain, and takes what has
//! come meanwhile; no time is waited for. Whoever asks is in a statement that begins afterwards, so it sees all that was
//! committed before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use mogul_storage::Fid;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    Db, Tx,
    lookup::{self, FoundFile},
    objects,
    sql::Engine,
    tempfiles::{self, Tempfile},
};
use crate::{
    Error,
    model::{DomainId, Key, ObjectVersion},
};

/// Keys of one turn of a lane: as many as keep their statement prepared.
const GROUP_MAX: usize = 64;
/// Keys that wait; whoever comes then waits for a place.
const QUEUE_MAX: usize = 1_024;
/// Lanes of an embedded database: its readers work at the speed of this machine.
const LANES_SQLITE: usize = 2;
/// Lanes of a server, whose answers travel.
const LANES_SERVER: usize = 4;

/// The way to the lanes of one kind of row, which end when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Finder<K, V>(mpsc::Sender<Wanted<K, V>>);

/// Finds objects, with all that is kept of them.
pub(crate) type ObjectFinder = Finder<(DomainId, Key), ObjectVersion>;

/// Finds files, as the tracker port asks for them.
pub(crate) type FileFinder = Finder<(DomainId, Key), FoundFile>;

/// Finds reservations.
pub(crate) type TempfileFinder = Finder<Fid, Tempfile>;

/// A key in the queue.
struct Wanted<K, V> {
    key: K,
    answer: oneshot::Sender<Result<Option<V>, Error>>,
}

/// Finds all rows of some keys.
type Find<K, V> = for<'f> fn(&'f mut Tx, &'f BTreeSet<K>) -> BoxFuture<'f, Result<BTreeMap<K, V>, Error>>;

impl ObjectFinder {
    /// Starts the lanes that find the current objects of keys.
    pub(crate) fn objects(db: &Db) -> ObjectFinder {
        Finder::start(db, |tx, keys| {
            Box::pin(async move {
                let mut found = BTreeMap::new();
                for (domain, keys) in by_domain(keys) {
                    let objects = objects::objects_by_key(tx, domain, &keys).await?;
                    found.extend(objects.into_iter().map(|(key, object)| ((domain, key), object)));
                }
                Ok(found)
            })
        })
    }
}

impl FileFinder {
    /// Starts the lanes that find the files of keys.
    pub(crate) fn files(db: &Db) -> FileFinder {
        Finder::start(db, |tx, keys| {
            Box::pin(async move {
                let mut found = BTreeMap::new();
                for (domain, keys) in by_domain(keys) {
                    let files = lookup::files_by_key(tx, domain, &keys).await?;
                    let keyed = files.into_iter();
                    found.extend(keyed.map(|file| ((domain, Key::stored(file.key.clone())), file)));
                }
                Ok(found)
            })
        })
    }
}

impl TempfileFinder {
    /// Starts the lanes that find reservations.
    pub(crate) fn tempfiles(db: &Db) -> TempfileFinder {
        Finder::start(db, |tx, fids| {
            Box::pin(async move {
                let fids: Vec<Fid> = fids.iter().copied().collect();
                tempfiles::tempfiles_of(tx, &fids).await
            })
        })
    }
}

/// The keys of each domain.
fn by_domain(keys: &BTreeSet<(DomainId, Key)>) -> BTreeMap<DomainId, Vec<&Key>> {
    let mut domains: BTreeMap<DomainId, Vec<&Key>> = BTreeMap::new();
    for (domain, key) in keys {
        domains.entry(*domain).or_default().push(key);
    }
    domains
}

impl<K, V> Finder<K, V>
where
    K: Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn start(db: &Db, find: Find<K, V>) -> Finder<K, V> {
        let lanes = match db.engine() {
            Engine::Sqlite => LANES_SQLITE,
            Engine::Postgres | Engine::MySql => LANES_SERVER,
        };
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(receiver));
        for _ in 0..lanes {
            tokio::spawn(lane(db.clone(), Arc::clone(&queue), find));
        }
        Finder(sender)
    }

    /// The row of a key.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn find(&self, key: K) -> Result<Option<V>, Error> {
        let (answer, found) = oneshot::channel();
        let wanted = Wanted { key, answer };
        self.0.send(wanted).await.map_err(|_| Error::Busy)?;
        found.await.unwrap_or(Err(Error::Busy))
    }
}

/// Takes what waits, finds it, answers, until nobody can ask any more.
async fn lane<K, V>(db: Db, queue: Arc<Mutex<mpsc::Receiver<Wanted<K, V>>>>, find: Find<K, V>)
where
    K: Ord + Clone + Send + Sync,
    V: Clone + Send + Sync,
{
    let mut waiting = Vec::with_capacity(GROUP_MAX);
    loop {
        // Held while it waits: the other lanes are next.
        if queue.lock().await.recv_many(&mut waiting, GROUP_MAX).await == 0 {
            return;
        }
        // Nobody waits any more for what a client has left.
        waiting.retain(|wanted| !wanted.answer.is_closed());
        answer(&db, find, &mut waiting).await;
    }
}

/// Answers a group and empties it; if its statement fails, each key is asked for alone, so that each learns why.
async fn answer<K, V>(db: &Db, find: Find<K, V>, group: &mut Vec<Wanted<K, V>>)
where
    K: Ord + Clone,
    V: Clone,
{
    let keys = group.iter().map(|wanted| wanted.key.clone()).collect();
    match found(db, find, &keys).await {
        Ok(rows) => {
            // Two who ask for one key get the same answer, and whoever asked may have gone.
            for wanted in group.drain(..) {
                let row = rows.get(&wanted.key).cloned();
                let _ = wanted.answer.send(Ok(row));
            }
        }
        Err(_) => {
            for wanted in group.drain(..) {
                let alone = found(db, find, &BTreeSet::from([wanted.key.clone()])).await;
                let _ = wanted.answer.send(alone.map(|mut rows| rows.remove(&wanted.key)));
            }
        }
    }
}

async fn found<K, V>(db: &Db, find: Find<K, V>, keys: &BTreeSet<K>) -> Result<BTreeMap<K, V>, Error> {
    let mut tx = db.reader().await?;
    find(&mut tx, keys).await
}
