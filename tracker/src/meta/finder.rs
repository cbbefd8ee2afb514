//! Finds objects by key, the other hot path, many at a time: whatever waits when a statement begins goes into it.
//!
//! A statement costs two changes of thread on SQLite and a round trip on the others, a key in it a few microseconds. A
//! lane is a task that takes what waits, up to [`GROUP_MAX`], asks for it in one statement a domain, and takes what has
//! come meanwhile; no time is waited for. Whoever asks is in a statement that begins afterwards, so it sees all that was
//! committed before.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{Db, objects, sql::Engine};
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

/// The way to the lanes, which end when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Finder(mpsc::Sender<Wanted>);

/// A key in the queue.
struct Wanted {
    domain: DomainId,
    key: Key,
    answer: oneshot::Sender<Result<Option<ObjectVersion>, Error>>,
}

impl Finder {
    /// Starts the lanes.
    pub(crate) fn start(db: &Db) -> Finder {
        let lanes = match db.engine() {
            Engine::Sqlite => LANES_SQLITE,
            Engine::Postgres | Engine::MySql => LANES_SERVER,
        };
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(receiver));
        for _ in 0..lanes {
            tokio::spawn(lane(db.clone(), Arc::clone(&queue)));
        }
        Finder(sender)
    }

    /// The current object of a key.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn find(&self, domain: DomainId, key: Key) -> Result<Option<ObjectVersion>, Error> {
        let (answer, found) = oneshot::channel();
        let wanted = Wanted { domain, key, answer };
        self.0.send(wanted).await.map_err(|_| Error::Busy)?;
        found.await.unwrap_or(Err(Error::Busy))
    }
}

/// Takes what waits, finds it, answers, until nobody can ask any more.
async fn lane(db: Db, queue: Arc<Mutex<mpsc::Receiver<Wanted>>>) {
    let mut waiting = Vec::with_capacity(GROUP_MAX);
    loop {
        // Held while it waits: the other lanes are next.
        if queue.lock().await.recv_many(&mut waiting, GROUP_MAX).await == 0 {
            return;
        }
        // Nobody waits any more for what a client has left.
        waiting.retain(|wanted| !wanted.answer.is_closed());
        let mut by_domain: BTreeMap<DomainId, Vec<Wanted>> = BTreeMap::new();
        for wanted in waiting.drain(..) {
            by_domain.entry(wanted.domain).or_default().push(wanted);
        }
        for (domain, group) in by_domain {
            answer(&db, domain, group).await;
        }
    }
}

/// Answers a group; if its statement fails, each key is asked for alone, so that each learns why.
async fn answer(db: &Db, domain: DomainId, group: Vec<Wanted>) {
    let keys: Vec<&Key> = group.iter().map(|wanted| &wanted.key).collect();
    match found(db, domain, &keys).await {
        Ok(objects) => {
            // Two who ask for one key get the same answer, and whoever asked may have gone.
            for wanted in group {
                let object = objects.get(&wanted.key).cloned();
                let _ = wanted.answer.send(Ok(object));
            }
        }
        Err(_) => {
            for wanted in group {
                let alone = found(db, domain, &[&wanted.key]).await;
                let _ = wanted
                    .answer
                    .send(alone.map(|mut objects| objects.remove(&wanted.key)));
            }
        }
    }
}

async fn found(db: &Db, domain: DomainId, keys: &[&Key]) -> Result<BTreeMap<Key, ObjectVersion>, Error> {
    objects::objects_by_key(&mut db.reader().await?, domain, keys).await
}
