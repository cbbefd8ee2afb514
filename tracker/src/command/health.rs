//! Whether this process can do its work now.

use crate::{
    Error, Tracker,
    meta::{DbLoad, settings},
};

/// A setting that every migrated database has (MogileFS).
const SCHEMA_VERSION: &str = "schema_version";

/// What a health check finds.
#[derive(Debug)]
pub struct Readiness {
    /// Whether the database answers.
    pub database: Result<(), Error>,
    /// Devices that take new files.
    pub writable_devices: usize,
}

impl Tracker {
    /// Looks whether objects could be stored now.
    pub async fn readiness(&self) -> Readiness {
        let writable = self
            .view()
            .devices()
            .filter(|device| device.takes_files())
            .count();
        Readiness {
            database: self.ask_database().await,
            writable_devices: writable,
        }
    }

    /// How busy the database's connections are.
    #[must_use]
    pub fn database_load(&self) -> DbLoad {
        self.db().load()
    }

    async fn ask_database(&self) -> Result<(), Error> {
        let mut tx = self.db().reader().await?;
        settings::value_of(&mut tx, SCHEMA_VERSION).await?;
        Ok(())
    }
}
