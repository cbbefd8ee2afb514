//! SQLite's one writer: takes the commands that wait, runs each in a savepoint, commits them together.
//!
//! A synced commit costs a millisecond and more, a command some tens of microseconds: while one group is being synced the
//! next one gathers in the queue, so a group is as large as the load makes it and nobody ever waits for company.
//! A command still is one transaction to itself: it sees and does all or nothing; when it fails, its savepoint alone is
//! rolled back. Nobody is answered before the commit is on the disk; if the commit fails, all fail.
//!
//! Dropping the future of [`Writer::write`] after its first poll may leave the command in the queue: it then runs, and
//! its result is dropped.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::sync::{mpsc, oneshot};

use super::{error::DbError, tx::Tx};
use crate::Error;

/// Commands that may wait for the writer; who comes later waits for a place.
const WAITING_MAX: usize = 1024;

/// Commands of one commit. It bounds what a failed commit takes down, and the time to the first answer.
const GROUP_MAX: usize = 256;

/// The way to the task that writes; the task ends, and closes its connection, when the last one is dropped.
#[derive(Debug)]
pub(super) struct Writer(mpsc::Sender<Box<dyn Command>>);

/// A command whose result type is its own business.
trait Command: Send {
    /// Does the work and keeps the result; tells whether its savepoint is to be kept.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Outcome>;
    /// Answers, after the commit.
    fn answer(self: Box<Self>, committed: Result<(), DbError>);
}

/// What becomes of a command's savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Keep,
    Undo,
}

struct Pending<T, F> {
    work: F,
    result: Result<T, Error>,
    waiter: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Command for Pending<T, F>
where
    T: Send + 'static,
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Error>> + Send + Sync + 'static,
{
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Outcome> {
        Box::pin(async move {
            let work = AssertUnwindSafe(async { (self.work)(tx).await }).catch_unwind();
            // A panic ends one command, not the writer: what it did is undone with its savepoint.
            self.result = work.await.unwrap_or_else(|_| Err(DbError::Panicked.into()));
            if self.result.is_ok() {
                Outcome::Keep
            } else {
                Outcome::Undo
            }
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), DbError>) {
        let result = match (self.result, committed) {
            (Ok(_), Err(error)) => Err(error.into()),
            (result, _) => result,
        };
        // Whoever asked may have gone: the work is done all the same.
        let _ = self.waiter.send(result);
    }
}

impl Writer {
    /// Starts the task that writes.
    pub(super) fn spawn(connection: Tx) -> Writer {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(connection, receiver));
        Writer(sender)
    }

    /// Commands that wait.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(WAITING_MAX - self.0.capacity()).expect("at most WAITING_MAX")
    }

    /// Hands in a command and waits until the group it is in is committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Error>> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let (waiter, answer) = oneshot::channel();
        let command = Pending {
            work,
            result: Err(DbError::Closed.into()),
            waiter,
        };
        self.0
            .send(Box::new(command))
            .await
            .map_err(|_| DbError::Closed)?;
        answer.await.map_err(|_| DbError::Closed)?
    }
}

/// The task: group after group until nobody can hand in more.
async fn run(mut tx: Tx, mut waiting: mpsc::Receiver<Box<dyn Command>>) {
    while let Some(first) = waiting.recv().await {
        let mut group = Vec::new();
        let committed = run_group(&mut tx, &mut waiting, first, &mut group).await;
        if committed.is_err() {
            // After an error such as a full disk SQLite may have rolled back by itself; then there is nothing to undo.
            let _ = tx.script("rollback").await;
        }
        let failure = committed.err().map(|error| error.to_string());
        for command in group {
            command.answer(
                failure
                    .clone()
                    .map_or(Ok(()), |text| Err(DbError::Transaction(text))),
            );
        }
    }
    if let Err(error) = tx.close().await {
        tracing::warn!(%error, "closing the database failed; its write-ahead log stays and is read at the next start");
    }
}

/// Runs `first` and whatever waits behind it in one transaction. Every command taken is in `group` afterwards.
async fn run_group(
    tx: &mut Tx,
    waiting: &mut mpsc::Receiver<Box<dyn Command>>,
    first: Box<dyn Command>,
    group: &mut Vec<Box<dyn Command>>,
) -> Result<(), DbError> {
    group.push(first);
    tx.script("begin immediate; savepoint command").await?;
    loop {
        let command = group.last_mut().expect("the first command was pushed above");
        let outcome = command.run(tx).await;
        let next = if group.len() < GROUP_MAX {
            waiting.try_recv().ok()
        } else {
            None
        };
        // One call for the end of a savepoint and what follows: each call is a hop to the connection's thread.
        tx.script(match (outcome, next.is_some()) {
            (Outcome::Keep, true) => "release command; savepoint command",
            (Outcome::Keep, false) => "commit",
            (Outcome::Undo, true) => "rollback to command",
            (Outcome::Undo, false) => "rollback to command; commit",
        })
        .await?;
        match next {
            Some(command) => group.push(command),
            None => return Ok(()),
        }
    }
}
