//! The requests of one upload: they run together, and who stays behind the others is not waited for without end.

use std::{pin::pin, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Either, select},
    stream::FuturesUnordered,
};

use crate::{error::NodeError, fid::DevId};

/// What a device said of a PUT: how many bytes it stored.
pub(super) type Outcome = Result<u64, NodeError>;

/// The PUTs of one body.
pub(super) struct Puts<'p> {
    running: FuturesUnordered<BoxFuture<'p, (usize, Outcome)>>,
    /// In the order of the devices.
    outcomes: Vec<(DevId, Option<Outcome>)>,
}

impl<'p> Puts<'p> {
    /// Starts them, once something waits for them.
    pub(super) fn new(puts: impl IntoIterator<Item = (DevId, BoxFuture<'p, Outcome>)>) -> Puts<'p> {
        let mut outcomes = Vec::new();
        let running = FuturesUnordered::new();
        for (index, (device, put)) in puts.into_iter().enumerate() {
            outcomes.push((device, None));
            running.push(put.map(move |outcome| (index, outcome)).boxed());
        }
        Puts { running, outcomes }
    }

    /// Lets them go on while something else is done.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            match select(work.as_mut(), self.running.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((Some((index, outcome)), _)) => self.outcomes[index].1 = Some(outcome),
                Either::Right((None, _)) => return work.await,
            }
        }
    }

    /// Waits for those that are left; once one has stored the file, for no longer than the lag. Without a lag, for all.
    pub(super) async fn rest(mut self, lag_max: Option<Duration>) -> Vec<(DevId, Outcome)> {
        while !self.has_stored()
            && let Some((index, outcome)) = self.running.next().await
        {
            self.outcomes[index].1 = Some(outcome);
        }
        let outcomes = &mut self.outcomes;
        let running = &mut self.running;
        let rest = async {
            while let Some((index, outcome)) = running.next().await {
                outcomes[index].1 = Some(outcome);
            }
        };
        match lag_max {
            Some(lag_max) => within(lag_max, rest).await,
            None => rest.await,
        }
        let outcomes = self.outcomes.into_iter();
        outcomes
            .map(|(device, outcome)| (device, outcome.unwrap_or_else(|| Err(hung()))))
            .collect()
    }

    fn has_stored(&self) -> bool {
        let mut outcomes = self.outcomes.iter();
        outcomes.any(|(_, outcome)| outcome.as_ref().is_some_and(Result::is_ok))
    }
}

/// Why a device that stays behind is left.
pub(super) fn hung() -> NodeError {
    NodeError::Unreachable("it stayed behind the others".into())
}

/// Lets work go on for so long.
#[expect(
    clippy::disallowed_methods,
    reason = "an upload waits for sockets and disks, not for a step of the domain; where time is simulated it allows any lag"
)]
pub(super) async fn within(lag_max: Duration, work: impl Future<Output = ()>) {
    // What is not done by then shows in what the work has left.
    let _ = tokio::time::timeout(lag_max, work).await;
}
