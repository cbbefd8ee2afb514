//! Beginning, ending and watching a rebalance (mogilefs.md §4.7); [`crate::jobs::rebalance`] moves the copies.

use std::sync::Arc;

use mogul_storage::DevId;

use crate::{
    Error, Tracker,
    balance::{Balance, LimitScope, State},
    error::RunError,
    jobs::JobName,
    meta::{Tx, settings},
    model::Timestamp,
    view::ClusterView,
};

/// What a policy would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebalanceTest {
    /// Devices that give copies away.
    pub sources: Vec<DevId>,
    /// Devices that take them.
    pub targets: Vec<DevId>,
}

impl Tracker {
    /// Sets the policy of the next rebalance, and forgets the state of the last. The empty text removes it.
    ///
    /// # Errors
    /// [`RunError::PolicyInUse`], [`RunError::BadPolicy`], [`Error::Database`].
    pub async fn rebalance_set_policy(&self, policy: &str) -> Result<(), Error> {
        let policy = policy.to_owned();
        let set = self.db().write(move |tx| {
            let policy = policy.clone();
            Box::pin(async move { policy_set(tx, &policy).await })
        });
        set.await
    }

    /// Says which devices the policy names.
    ///
    /// # Errors
    /// [`RunError::NoPolicy`], [`RunError::BadPolicy`], [`Error::Database`].
    pub async fn rebalance_test(&self) -> Result<RebalanceTest, Error> {
        let policy = policy(&mut self.db().reader().await?).await?;
        let view = self.view();
        let sources = policy.sources(&view);
        let targets = policy.targets(&view, &sources);
        Ok(RebalanceTest { sources, targets })
    }

    /// Begins a rebalance, or goes on with one that was stopped. Answers its state.
    ///
    /// # Errors
    /// [`RunError::RebalanceRunning`], [`RunError::FsckInTheWay`], [`RunError::NoPolicy`], [`Error::Database`].
    pub async fn rebalance_start(&self) -> Result<State, Error> {
        let work = Arc::new((self.view(), self.settings().hostname.clone(), self.now()));
        let start = self.db().write(move |tx| {
            let work = Arc::clone(&work);
            Box::pin(async move {
                let (view, hostname, now) = &*work;
                started(tx, view, hostname, *now).await
            })
        });
        // No wake: a script that asks for the state at once finds it as it was answered, as with the original.
        start.await
    }

    /// The state of the rebalance that runs, or ran last.
    ///
    /// # Errors
    /// [`RunError::NoState`], [`Error::Database`].
    pub async fn rebalance_status(&self) -> Result<State, Error> {
        let mut tx = self.db().reader().await?;
        let state = settings::value_of(&mut tx, "rebal_state").await?;
        let state = state.filter(|state| !state.is_empty()).ok_or(RunError::NoState)?;
        Ok(State::parse(&state))
    }

    /// Whether a rebalance runs, and on which host it was begun.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rebalance_host(&self) -> Result<Option<String>, Error> {
        let mut tx = self.db().reader().await?;
        let host = settings::value_of(&mut tx, "rebal_host").await?;
        Ok(host.filter(|host| !host.is_empty()))
    }

    /// Asks the rebalance that runs to stop. What is queued is still moved.
    ///
    /// # Errors
    /// [`RunError::NotStarted`], [`Error::Database`].
    pub async fn rebalance_stop(&self) -> Result<(), Error> {
        let stop = self.db().write(|tx| {
            Box::pin(async move {
                settings::run_held(tx).await?;
                if settings::value_of(tx, "rebal_host").await?.is_none() {
                    return Err(RunError::NotStarted.into());
                }
                settings::set(tx, "rebal_signal", "stop").await?;
                Ok(())
            })
        });
        stop.await?;
        self.wake(JobName::Rebalance);
        Ok(())
    }

    /// Forgets the state of the last rebalance: the next one begins anew.
    ///
    /// # Errors
    /// [`RunError::StateInUse`], [`Error::Database`].
    pub async fn rebalance_reset(&self) -> Result<(), Error> {
        let reset = self.db().write(|tx| {
            Box::pin(async move {
                settings::run_held(tx).await?;
                if settings::value_of(tx, "rebal_host").await?.is_some() {
                    return Err(RunError::StateInUse.into());
                }
                settings::unset(tx, "rebal_state").await?;
                Ok(())
            })
        });
        reset.await
    }
}

async fn policy_set(tx: &mut Tx, policy: &str) -> Result<(), Error> {
    settings::run_held(tx).await?;
    if settings::value_of(tx, "rebal_host").await?.is_some() {
        return Err(RunError::PolicyInUse.into());
    }
    Balance::parse(policy).map_err(RunError::from)?;
    if policy.trim().is_empty() {
        settings::unset(tx, "rebal_policy").await?;
    } else {
        settings::set(tx, "rebal_policy", policy).await?;
    }
    settings::unset(tx, "rebal_state").await?;
    Ok(())
}

async fn policy(tx: &mut Tx) -> Result<Balance, Error> {
    let policy = settings::value_of(tx, "rebal_policy").await?;
    let policy = policy
        .filter(|policy| !policy.is_empty())
        .ok_or(RunError::NoPolicy)?;
    Ok(Balance::parse(&policy).map_err(RunError::from)?)
}

async fn started(tx: &mut Tx, view: &ClusterView, hostname: &str, now: Timestamp) -> Result<State, Error> {
    settings::run_held(tx).await?;
    if settings::value_of(tx, "rebal_host").await?.is_some() {
        return Err(RunError::RebalanceRunning.into());
    }
    if settings::value_of(tx, "fsck_host").await?.is_some() {
        return Err(RunError::FsckInTheWay.into());
    }
    let policy = policy(tx).await?;
    let stopped = settings::value_of(tx, "rebal_state").await?;
    let limit = match policy.scope() {
        LimitScope::Global => policy.amount(None),
        LimitScope::Device => 0,
    };
    let sources = match policy.evens_out() {
        Some(_) => Vec::new(),
        None => policy.sources(view),
    };
    let state = stopped
        .filter(|state| !state.is_empty())
        .map_or_else(|| State::new(sources, limit, now), |state| State::parse(&state));
    settings::set(tx, "rebal_state", &state.to_string()).await?;
    settings::unset(tx, "rebal_signal").await?;
    settings::set(tx, "rebal_host", hostname).await?;
    Ok(state)
}
