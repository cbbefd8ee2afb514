//! What one worker does until the time is over.

use std::collections::VecDeque;

use mogul_tracker::rng::{Entropy, SystemEntropy};

use super::{
    Op,
    drive::{self, Failure, Link, Pace, Work},
    report::{Moved, Tally},
    store::{Caller, Store, StoreError},
};
use crate::client::Payload;

/// What all workers share.
#[derive(Clone)]
pub(super) struct Plan {
    /// What is measured.
    pub(super) op: Op,
    /// Where.
    pub(super) store: Store,
    /// What is stored.
    pub(super) payload: Payload,
    /// How many objects were prepared.
    pub(super) prepared: usize,
    /// How many workers there are.
    pub(super) concurrency: usize,
    /// When to end, and what is shown meanwhile.
    pub(super) pace: Pace,
}

/// One worker.
struct Worker {
    plan: Plan,
    number: usize,
    caller: Caller,
    /// Size of the objects in bytes.
    size: u64,
    /// Operations begun.
    begun: usize,
    /// Objects made by this worker and not yet deleted.
    own: VecDeque<String>,
    /// Where the listing goes on.
    page: Option<String>,
}

/// Works until the time is over and tells what was done.
pub(super) async fn run(plan: Plan, number: usize) -> Tally {
    let pace = plan.pace.clone();
    let caller = match plan.store.connect().await {
        Ok(caller) => caller,
        Err(error) => return drive::failed_to_begin(error.into()),
    };
    let size = http_body::Body::size_hint(&plan.payload).lower();
    let worker = Worker {
        plan,
        number,
        caller,
        size,
        begun: 0,
        own: VecDeque::new(),
        page: None,
    };
    drive::drive(&pace, worker).await
}

impl Work for Worker {
    async fn step(&mut self) -> Option<Result<Moved, Failure>> {
        Some(self.next().await?.map_err(Failure::from))
    }

    async fn mend(&mut self) {
        // A failure to open the connection shows in the next step.
        let _ = self.caller.reconnect().await;
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure {
            code: error.code(),
            connection: match error {
                StoreError::Client(_) | StoreError::Answer(_) => Link::Broken,
                StoreError::Refused { .. } | StoreError::Length { .. } => Link::Whole,
            },
        }
    }
}

impl Worker {
    /// Does one operation; `None` when there is nothing left to do.
    async fn next(&mut self) -> Option<Result<Moved, StoreError>> {
        let turn = self.begun;
        self.begun += 1;
        Some(match self.plan.op {
            Op::Put => self.put(turn).await,
            Op::Get => self.get().await,
            Op::Head => self.head().await,
            Op::Mixed => self.mixed(turn).await,
            Op::List => self.list().await,
            Op::Delete => {
                let index = self.number + turn * self.plan.concurrency;
                if index >= self.plan.prepared {
                    return None;
                }
                let key = self.plan.store.prepared_key(index);
                self.caller.delete(&key).await.map(|()| Moved::default())
            }
        })
    }

    /// The kinds are spread over the 20 turns, so that a short run has the same proportions.
    async fn mixed(&mut self, turn: usize) -> Result<Moved, StoreError> {
        match turn % 20 {
            0 | 7 | 13 => {
                let moved = self.put(turn).await?;
                self.own.push_back(self.plan.store.own_key(self.number, turn));
                Ok(moved)
            }
            6 | 19 => match self.own.pop_front() {
                Some(key) => self.caller.delete(&key).await.map(|()| Moved::default()),
                None => self.head().await,
            },
            2 | 5 | 9 | 12 | 15 | 18 => self.head().await,
            _ => self.get().await,
        }
    }

    async fn put(&mut self, turn: usize) -> Result<Moved, StoreError> {
        let key = self.plan.store.own_key(self.number, turn);
        self.caller.put(&key, self.plan.payload.clone()).await?;
        Ok(Moved {
            bytes: self.size,
            keys: 0,
        })
    }

    async fn get(&mut self) -> Result<Moved, StoreError> {
        let key = self.any_key();
        let bytes = self.caller.get(&key, self.size).await?;
        Ok(Moved { bytes, keys: 0 })
    }

    async fn head(&mut self) -> Result<Moved, StoreError> {
        let key = self.any_key();
        self.caller.head(&key, self.size).await?;
        Ok(Moved::default())
    }

    async fn list(&mut self) -> Result<Moved, StoreError> {
        let listed = self.caller.list(self.page.as_deref()).await?;
        self.page = listed.next;
        let keys = u64::try_from(listed.keys.len()).expect("a page has few keys");
        Ok(Moved {
            bytes: listed.bytes,
            keys,
        })
    }

    fn any_key(&self) -> String {
        let prepared = u64::try_from(self.plan.prepared).expect("a number of objects fits");
        let index = usize::try_from(SystemEntropy.next_u64() % prepared).expect("smaller than a usize");
        self.plan.store.prepared_key(index)
    }
}
