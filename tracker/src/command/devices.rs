//! Devices on record.

use crate::{
    Error,
    meta::{Db, devices},
    model::Device,
};

/// The devices that a migrated database knows, by number. A process asks before it opens its own, so that a new directory does
/// not take the number of a device that is away.
///
/// # Errors
/// [`Error::Database`].
pub async fn devices_on_record(db: &Db) -> Result<Vec<Device>, Error> {
    let mut tx = db.reader().await?;
    devices::devices(&mut tx).await
}
