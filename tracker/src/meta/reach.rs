//! Whether a database server answers.
//!
//! A pool of connections cannot tell a server that is gone from one that is busy: either way it waits. So whoever has waited
//! for [`DOUBT`] has somebody knock, once for all who wait; does the server not answer, all of them are told at once, and so
//! is everybody who comes until it does. A server that refuses one more connection has answered.

use std::{
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{DbError, server::pause};

/// How long a connection is waited for before anybody doubts that the server is there.
const DOUBT: Duration = Duration::from_millis(250);
/// How long a server may take to answer a knock.
const ANSWER: Duration = Duration::from_secs(2);
/// How long after a knock the next one comes.
const AGAIN: Duration = Duration::from_millis(500);

/// Connects anew and hangs up.
pub(super) type Knock = Arc<dyn Fn() -> BoxFuture<'static, Result<(), sqlx::Error>> + Send + Sync>;

/// What is known of a server; clones share it.
#[derive(Clone)]
pub(super) struct Reach(Arc<Inner>);

struct Inner {
    knock: Knock,
    /// Whether it did not answer the last time.
    gone: watch::Sender<bool>,
    /// Whether somebody knocks.
    knocking: AtomicBool,
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Reach").field(&*self.0.gone.borrow()).finish()
    }
}

impl Reach {
    /// A server that has answered.
    pub(super) fn new(knock: Knock) -> Reach {
        Reach(Arc::new(Inner {
            knock,
            gone: watch::Sender::new(false),
            knocking: AtomicBool::new(false),
        }))
    }

    /// Waits for a connection for as long as its pool allows, or until the server does not answer.
    ///
    /// # Errors
    /// [`DbError::Connection`], [`DbError::Gone`].
    pub(super) async fn within<T>(
        &self,
        wait: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, DbError> {
        let mut gone = self.0.gone.subscribe();
        if *gone.borrow() {
            return Err(DbError::Gone);
        }
        let mut wait = pin!(wait);
        loop {
            tokio::select! {
                got = &mut wait => return got.map_err(DbError::Connection),
                _ = gone.wait_for(|gone| *gone) => return Err(DbError::Gone),
                () = pause(DOUBT) => self.knock(),
            }
        }
    }

    /// Has somebody knock until the server answers, if nobody does yet. He ends with the last who could wait.
    fn knock(&self) {
        if self.0.knocking.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                let Some(answers) = knocked(&inner).await else {
                    return;
                };
                pause(AGAIN).await;
                if answers {
                    break;
                }
            }
            if let Some(inner) = inner.upgrade() {
                inner.knocking.store(false, Ordering::Relaxed);
            }
        });
    }
}

/// Knocks once, and tells all who wait what came of it; `None` if nobody can wait any more.
async fn knocked(inner: &Weak<Inner>) -> Option<bool> {
    let inner = inner.upgrade()?;
    let answers = inner.answers().await;
    if inner.gone.send_replace(!answers) == answers {
        if answers {
            tracing::info!("the database answers again");
        } else {
            tracing::error!("the database does not answer");
        }
    }
    Some(answers)
}

impl Inner {
    async fn answers(&self) -> bool {
        tokio::select! {
            knocked = (self.knock)() => match knocked {
                Ok(()) | Err(sqlx::Error::Database(_)) => true,
                Err(error) => {
                    tracing::debug!(%error, "the database cannot be reached");
                    false
                }
            },
            () = pause(ANSWER) => false,
        }
    }
}
