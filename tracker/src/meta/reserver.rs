//! Puts reserved fids on record, many at a time: whatever waits when a transaction begins goes into it, as rows of one
//! statement.
//!
//! It is to `create_open` of the tracker port what [`super::committer`] is to its `create_close`: a lane takes what waits, up to
//! [`GROUP_MAX`], and then what has come meanwhile. The rows have nothing to do with each other and lock nothing that
//! another wants, so any lane takes any of them.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    Db,
    sql::Engine,
    tempfiles::{self, NewTempfile},
};
use crate::{Error, error::chain, fids::Lease};

/// Reservations of one transaction: as many as keep their statement prepared.
const GROUP_MAX: usize = 64;
/// Reservations that wait; whoever comes then waits for a place.
const QUEUE_MAX: usize = 1_024;
/// Lanes where the engine writes in parallel.
const LANES: usize = 4;

/// The way to the lanes, which end when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Reserver(mpsc::Sender<Waiting>);

/// A reservation in the queue, with the duty to end its fid.
struct Waiting {
    tempfile: NewTempfile,
    lease: Lease,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Reserver {
    /// Starts the lanes.
    pub(crate) fn start(db: &Db) -> Reserver {
        let lanes = match db.engine() {
            Engine::Sqlite => 1,
            Engine::Postgres | Engine::MySql => LANES,
        };
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(receiver));
        for _ in 0..lanes {
            tokio::spawn(lane(db.clone(), Arc::clone(&queue)));
        }
        Reserver(sender)
    }

    /// Puts a leased fid on record; from then on its row answers for it.
    ///
    /// # Errors
    /// [`Error::Database`]: the sweep finds out what became of it. [`Error::Busy`]: the process is stopping.
    ///
    /// # Cancel safety
    /// Dropped, the fid may be reserved; it is given up in time.
    pub(crate) async fn reserve(&self, tempfile: NewTempfile, lease: Lease) -> Result<(), Error> {
        let (answer, outcome) = oneshot::channel();
        let waiting = Waiting {
            tempfile,
            lease,
            answer,
        };
        self.0.send(waiting).await.map_err(|_| Error::Busy)?;
        outcome.await.unwrap_or(Err(Error::Busy))
    }
}

/// Takes what waits, writes it, answers, until nobody can ask any more.
async fn lane(db: Db, queue: Arc<Mutex<mpsc::Receiver<Waiting>>>) {
    let mut waiting = Vec::with_capacity(GROUP_MAX);
    loop {
        // Held while it waits: the other lanes are next.
        if queue.lock().await.recv_many(&mut waiting, GROUP_MAX).await == 0 {
            return;
        }
        let (rows, waiters): (Vec<_>, Vec<_>) = waiting
            .drain(..)
            .map(|each| (each.tempfile, (each.lease, each.answer)))
            .unzip();
        let outcomes = reserved(&db, rows).await;
        for (outcome, (lease, answer)) in outcomes.into_iter().zip(waiters) {
            if outcome.is_ok() {
                lease.end();
            }
            // Nobody waits any more if the client has gone; the reservation expires.
            let _ = answer.send(outcome);
        }
    }
}

/// Writes a group; if its transaction fails, each row alone.
async fn reserved(db: &Db, rows: Vec<NewTempfile>) -> Vec<Result<(), Error>> {
    let rows = Arc::new(rows);
    match transaction(db, Arc::clone(&rows)).await {
        Ok(()) => rows.iter().map(|_| Ok(())).collect(),
        Err(error) if rows.len() == 1 => vec![Err(error)],
        Err(error) => {
            tracing::warn!(
                reservations = rows.len(),
                error = chain(&error),
                "a group was not reserved and is written one by one"
            );
            let mut outcomes = Vec::with_capacity(rows.len());
            for row in rows.iter() {
                outcomes.push(transaction(db, Arc::new(vec![row.clone()])).await);
            }
            outcomes
        }
    }
}

async fn transaction(db: &Db, rows: Arc<Vec<NewTempfile>>) -> Result<(), Error> {
    db.write(move |tx| {
        let rows = Arc::clone(&rows);
        Box::pin(async move { tempfiles::added(tx, &rows).await })
    })
    .await
}
