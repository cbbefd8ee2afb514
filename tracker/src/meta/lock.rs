//! Named locks (mogilefs.md §17.5): who holds one has the thing it names to itself, and when he dies nobody holds it.
//!
//! On MySQL they are `GET_LOCK`'s under the names that the original takes, so that an original tracker beside us keeps out as
//! we do. (Names belong to the server there, not to the database: two clusters on one server wait for each other now and
//! then, as two of the original's would.) On PostgreSQL, where the original's locks exclude nobody on another host, they are
//! advisory locks of the database. SQLite has one process: a set in its memory.
//!
//! A server frees them when the connection ends. So each [`Held`] has a connection of its own, from a pool apart
//! ([`super::server`]), which ends with it or with the process; servers are told to notice that a machine is gone.
//! A lock that is not free is never waited for.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mogul_storage::Fid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Db, Sql, Tx, files::values, ids::fid_of, queues::Claim, sql::Engine, sql::sql};
use crate::Error;

/// One tracker at a time writes down how full devices are.
pub(crate) const DEVICE_UPDATE: &str = "mgfs:device_update";
/// One tracker at a time gives up reservations of the tracker port.
pub(crate) const TEMPFILES: &str = "mgfs:tempfiles";
/// One tracker at a time reaps.
pub(crate) const REAPER: &str = "mgfs:reaper";

/// How often who holds a lock for long says that it is alive ([`Held::pulse`]): MySQL is told to end a connection that is
/// silent for five minutes.
pub(crate) const PULSE: Duration = Duration::from_mins(1);

/// Files of one process that are locked by themselves at a time on a server, each by a connection of its own: half of those that
/// there are for locks, so that batches and named locks never wait for them.
const SOLES_MAX: usize = 8;

/// What a lock is on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// The copies of a file: `mgfs:fid:<fid>:replicate`.
    Fid(Fid),
    Other(&'static str),
}

/// Where locks are taken: cheap to clone, all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Locks {
    db: Db,
    /// Those of the one process of an embedded database.
    own: Arc<Mutex<BTreeSet<Name>>>,
    turns: Arc<Semaphore>,
}

/// Locks that are held. Dropped, they are free as well; by [`Held::release`] their connection serves others.
pub(crate) struct Held {
    holder: Holder,
    fids: BTreeSet<Fid>,
    turn: Option<OwnedSemaphorePermit>,
}

enum Holder {
    /// This process, of whose locks these are some.
    Process {
        all: Arc<Mutex<BTreeSet<Name>>>,
        these: Vec<Name>,
    },
    /// A connection; `None` when it is given back. Those who hold the locks together take turns.
    Session(tokio::sync::Mutex<Option<Tx>>),
}

const TAKE_FIDS: Sql = sql(
    "select fid, case when pg_try_advisory_lock(5568419464266907648 + fid) then 1 else 0 end \
     from file_to_replicate where fid in (…)",
)
.sqlite("select fid, 1 from file_to_replicate where fid in (…)")
.mysql(
    "select fid, get_lock(concat('mgfs:fid:', fid, ':replicate'), 0) \
     from file_to_replicate where fid in (…)",
);

const TAKE_OTHER: Sql = sql("select case when pg_try_advisory_lock(hashtext(?)::bigint) then 1 else 0 end")
    .sqlite("select ? <> ''")
    .mysql("select get_lock(?, 0)");

const RELEASE: Sql = sql("select 1")
    .postgres("select 1 from (select pg_advisory_unlock_all()) as released")
    .mysql("select release_all_locks()");

const STILL_CLAIMED: Sql =
    sql("select fid from file_to_replicate where fid = ? and nexttry = ? and flags in (1, 2, 4)");

const ALIVE: Sql = sql("select 1");

impl Locks {
    /// The locks of a database, none of which this process holds.
    pub(crate) fn new(db: &Db) -> Locks {
        Locks {
            db: db.clone(),
            own: Arc::default(),
            turns: Arc::new(Semaphore::new(SOLES_MAX)),
        }
    }

    /// Waits until one more file may be locked by itself: asked before the file is claimed, so that who has claimed one does
    /// not wait for a connection. `None` where locks need none.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        match self.db.engine() {
            Engine::Sqlite => None,
            Engine::Postgres | Engine::MySql => Arc::clone(&self.turns).acquire_owned().await.ok(),
        }
    }

    /// Takes the locks of those of these files that nobody else has, at most [`super::ids::LIST_MAX`]; all are queued in
    /// `file_to_replicate`.
    ///
    /// # Errors
    /// [`Error::Database`]; none is held then.
    ///
    /// # Cancel safety
    /// Dropped, none is held.
    pub(crate) async fn files(&self, fids: &[Fid]) -> Result<Held, Error> {
        let Some(tx) = self.db.lock_connection().await? else {
            let names = fids.iter().map(|fid| Name::Fid(*fid));
            let fids = self.taken_here(names);
            return Ok(fids);
        };
        let mut held = Held::by(tx);
        let Holder::Session(session) = &mut held.holder else {
            return Ok(held);
        };
        if let Some(tx) = session.get_mut() {
            for row in tx.rows_list(&TAKE_FIDS, fids.len(), values(fids)).await? {
                if row.opt_int(1)? == Some(1) {
                    held.fids.insert(fid_of(&row, 0)?);
                }
            }
        }
        Ok(held)
    }

    /// Takes the lock of this name, if nobody has it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn named(&self, name: &'static str) -> Result<Option<Held>, Error> {
        let Some(mut tx) = self.db.lock_connection().await? else {
            let held = self.taken_here([Name::Other(name)].into_iter());
            let any = matches!(&held.holder, Holder::Process { these, .. } if !these.is_empty());
            return Ok(any.then_some(held));
        };
        let rows = tx.rows(&TAKE_OTHER, vec![name.into()]).await?;
        let taken = rows.first().map_or(Ok(None), |row| row.opt_int(0))? == Some(1);
        Ok(taken.then(|| Held::by(tx)))
    }

    fn taken_here(&self, names: impl Iterator<Item = Name>) -> Held {
        let mut all = self.own();
        let these: Vec<Name> = names.filter(|name| all.insert(name.clone())).collect();
        drop(all);
        let fids = these.iter().filter_map(|name| match name {
            Name::Fid(fid) => Some(*fid),
            Name::Other(_) => None,
        });
        Held {
            fids: fids.collect(),
            turn: None,
            holder: Holder::Process {
                all: Arc::clone(&self.own),
                these,
            },
        }
    }

    fn own(&self) -> MutexGuard<'_, BTreeSet<Name>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn by(tx: Tx) -> Held {
        Held {
            holder: Holder::Session(tokio::sync::Mutex::new(Some(tx))),
            fids: BTreeSet::new(),
            turn: None,
        }
    }

    /// The turn ends with the locks.
    pub(crate) fn in_turn(mut self, turn: Option<OwnedSemaphorePermit>) -> Held {
        self.turn = turn;
        self
    }

    /// Whether the lock of this file is among them.
    pub(crate) fn has(&self, fid: Fid) -> bool {
        self.fids.contains(&fid)
    }

    /// Whether a file's claim and its lock are still ours: asked before anything is done that somebody else must not do at the
    /// same time. `db` is where the question goes if there is no connection that holds the lock.
    ///
    /// # Errors
    /// [`Error::Database`], also if the connection is gone, and the locks with it.
    pub(crate) async fn still_claims(&self, db: &Db, claim: &Claim) -> Result<bool, Error> {
        let args = || vec![claim.fid.into(), claim.until.into()];
        let rows = match &self.holder {
            Holder::Process { .. } => db.reader().await?.rows(&STILL_CLAIMED, args()).await?,
            Holder::Session(session) => match session.lock().await.as_mut() {
                Some(tx) => tx.rows(&STILL_CLAIMED, args()).await?,
                None => Vec::new(),
            },
        };
        Ok(!rows.is_empty() && self.has(claim.fid))
    }

    /// How often [`Held::pulse`] is due; never where no connection can be lost.
    pub(crate) fn pulse_every(&self) -> Option<Duration> {
        match self.holder {
            Holder::Process { .. } => None,
            Holder::Session(_) => Some(PULSE),
        }
    }

    /// Keeps the connection from being ended for silence.
    ///
    /// # Errors
    /// [`Error::Database`]: the locks are lost.
    pub(crate) async fn pulse(&self) -> Result<(), Error> {
        if let Holder::Session(session) = &self.holder
            && let Some(tx) = session.lock().await.as_mut()
        {
            tx.rows(&ALIVE, Vec::new()).await?;
        }
        Ok(())
    }

    /// Frees the locks and keeps their connection for others.
    pub(crate) async fn release(mut self) {
        let Holder::Session(session) = &mut self.holder else {
            return;
        };
        if let Some(tx) = session.get_mut() {
            // A server that does not know the statement, or is gone, frees them with the connection, in `drop`.
            if let Err(error) = tx.rows(&RELEASE, Vec::new()).await {
                tracing::debug!(%error, "locks were not released by name");
                return;
            }
        }
        drop(session.get_mut().take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match &mut self.holder {
            Holder::Process { all, these } => {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                for name in these {
                    all.remove(name);
                }
            }
            Holder::Session(session) => {
                if let Some(tx) = session.get_mut().take() {
                    tx.sever();
                }
            }
        }
    }
}

catalogue! { TAKE_FIDS, TAKE_OTHER, RELEASE, STILL_CLAIMED, ALIVE }
