//! The faces of a process that has the database, and the ports of the tracker.

use std::sync::Arc;

use http::uri::Scheme;
use mogul_api::{
    metrics::Metrics,
    mogile::{self, Watchers},
    s3::{Parts as S3Parts, Regions, S3, S3Config},
};
use mogul_tracker::{Tracker, clock::SystemClock, jobs::Driver, model::Credential, rng::SystemEntropy};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Life;
use crate::{
    config::Config,
    credentials::RootKey,
    listen::{Limits, ListenError, Listener, Serving},
};

/// What the faces are made of.
pub(super) struct Faces {
    /// The settings.
    pub(super) config: Config,
    /// The domain.
    pub(super) tracker: Tracker,
    /// Root's key, if it is not in the database.
    pub(super) root: Option<RootKey>,
    /// What all faces count.
    pub(super) metrics: Metrics,
    /// Who is told what is logged.
    pub(super) watchers: Watchers,
    /// The jobs.
    pub(super) driver: Arc<Driver>,
    /// What the S3 port speaks.
    pub(super) scheme: Scheme,
    /// Cancelled by a client of the tracker port that ends the process.
    pub(super) asked: CancellationToken,
    /// Owns what requests leave to be done.
    pub(super) tasks: TaskTracker,
}

/// The open ports of the tracker.
pub(super) struct TrackerPorts(Vec<Listener>);

impl Faces {
    /// S3; the admin face stands on it.
    pub(super) fn s3(&self) -> S3 {
        let domains = self.config.s3_domains.iter();
        S3::new(S3Parts {
            config: S3Config {
                region: self.config.s3_region.clone(),
                regions: Regions::default(),
                domains: domains.map(|domain| domain.to_lowercase()).collect(),
                root: self.root.as_ref().map(Credential::from),
                scheme: self.scheme.clone(),
                put_bytes_max: S3Config::PUT_BYTES_MAX_DEFAULT,
                accel: self.config.accel(),
            },
            tracker: self.tracker.clone(),
            clock: Arc::new(SystemClock),
            metrics: self.metrics.clone(),
            entropy: Arc::new(SystemEntropy),
            tasks: self.tasks.clone(),
        })
    }

    /// The tracker port.
    pub(super) fn mogile(&self) -> mogile::Face {
        mogile::Face::new(mogile::Parts {
            tracker: self.tracker.clone(),
            driver: Arc::clone(&self.driver),
            clock: Arc::new(SystemClock),
            metrics: self.metrics.clone(),
            watchers: self.watchers.clone(),
            shutdown: self.asked.clone(),
            query_workers: self.config.tracker_query_workers,
        })
    }
}

impl TrackerPorts {
    /// Opens the ports that the configuration names.
    ///
    /// # Errors
    /// [`ListenError`].
    pub(super) async fn bind(config: &Config) -> Result<TrackerPorts, ListenError> {
        let mut ports = Vec::new();
        for address in &config.tracker_listen {
            ports.push(Listener::bind(*address, "tracker.listen", "tracker").await?);
        }
        Ok(TrackerPorts(ports))
    }

    /// Serves them; returns at once.
    pub(super) fn serve(self, face: &mogile::Face, config: &Config, life: &Life) {
        for port in self.0 {
            super::warn_if_open(&port, "tracker.listen", config);
            let serving = Serving {
                networks: config.trusted_networks.clone(),
                limits: Limits::of_tracker(config),
                ..life.serving("tracker", config)
            };
            let (face, stop) = (face.clone(), life.stop.clone());
            port.serve_streams(serving, "mogilefs", move |stream, client| {
                let (face, stop) = (face.clone(), stop.clone());
                async move { face.converse(stream, client.ip(), &stop).await }
            });
        }
    }
}
