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

const ADD: Sql = sql("insert into checksum (fid, hashtype, checksum) values (…)");

/// Keeps the digests of new files: fid, number of the algorithm, bytes.
pub(crate) async fn added(tx: &mut Tx, digests: &[(Fid, i64, Vec<u8>)]) -> Result<(), Error> {
    for digests in digests.chunks(LIST_MAX) {
        let rows = digests
            .iter()
            .flat_map(|(fid, hash, bytes)| [(*fid).into(), (*hash).into(), bytes.clone().into()]);
        tx.run_list(&ADD, digests.len(), rows.collect()).await?;
    }
    Ok(())
}

catalogue! { FORGET, ADD }
