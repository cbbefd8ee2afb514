//! A process that has the database: what its roles share while they are put together, serve and end.

use std::sync::Arc;

use anyhow::Context;
use mogul_api::{metrics::Metrics, mogile::Watchers};
use mogul_tracker::{Tracker, jobs::Driver};
use tracing::info;

use super::{Life, faces::Faces, jobs, scheme};
use crate::{
    config::Config,
    credentials::RootKey,
    listen::Serving,
    shutdown::{Finish, Signals},
    tls::Tls,
};

/// What it is made of; nothing is served yet.
pub(super) struct Process {
    /// The settings.
    pub(super) config: Config,
    /// The certificate of the S3 and admin ports.
    pub(super) tls: Option<Tls>,
    /// The domain.
    pub(super) tracker: Tracker,
    /// Root's key, if it is not in the database.
    pub(super) root: Option<RootKey>,
    /// What ends it.
    pub(super) signals: Signals,
    /// Those who watch the log.
    pub(super) watchers: Watchers,
}

impl Process {
    /// Its faces.
    pub(super) fn faces(&self, driver: &Arc<Driver>, life: &Life) -> Faces {
        Faces {
            config: self.config.clone(),
            tracker: self.tracker.clone(),
            root: self.root.clone(),
            metrics: Metrics::default(),
            watchers: self.watchers.clone(),
            driver: Arc::clone(driver),
            scheme: scheme(self.tls.as_ref()),
            asked: life.asked.clone(),
            tasks: life.tasks.clone(),
        }
    }

    /// How a port is served that has the certificate, if there is one.
    pub(super) fn serving(&self, face: &'static str, life: &Life) -> Serving {
        Serving {
            tls: self.tls.clone(),
            ..life.serving(face, &self.config)
        }
    }

    /// Says that everything is served, and waits until the process shall stop. Running requests finish then.
    pub(super) async fn run(&mut self, life: &Life) -> Finish {
        info!(
            version = env!("CARGO_PKG_VERSION"),
            devices = self.tracker.view().devices().count(),
            "ready"
        );
        life.end(&mut self.signals, &self.config, self.tls.as_ref()).await
    }

    /// Ends the jobs and lays down what the process keeps.
    ///
    /// # Errors
    /// It could not be laid down: others, or the next start, collect it.
    pub(super) async fn end(self, driver: &Driver, finish: Finish) -> anyhow::Result<()> {
        driver.stop(jobs::PATIENCE).await;
        let closed = self.tracker.close().await;
        info!(complete = finish == Finish::Complete, "stopped");
        closed.context("cannot lay down the work of this process")
    }
}
