//! `checksum`: the digest of a file, if its class keeps one.

use mogul_storage::Fid;

use super::{Sql, Tx, files::values, ids::LIST_MAX, sql::sql};
use crate::Error;

const FORGET: Sql = sql("delete from checksum where fid in (…)");

/// Forgets the digests of files that are deleted.
pub(crate) async fn forget(tx: &mut Tx, fids: &[Fid]) -> Result<(), Error> {
    for fids in fids.chunks(LIST_MAX) {
        tx.run_list(&FORGET, fids.len(), values(fids)).await?;
    }
    Ok(())
}
