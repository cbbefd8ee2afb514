//! How long the queues are, and how long who waits in them has waited.

use std::time::Duration;

use super::{Sql, Tx, ids::number_of, queues::END_OF_TIME, sql::sql};
use crate::{Error, model::Timestamp};

const OLDEST_DUE: Sql = sql("select min(nexttry) from file_to_replicate where nexttry > 0 and nexttry <= ?");
const OLDEST_NEW: Sql = sql(
    "select modified_at from mogul_object where fid = (select min(fid) from file_to_replicate where nexttry = 0)",
);

/// How long the file has waited for copies that has waited longest, of those that nobody works on and that are due.
pub(crate) async fn replicate_lag(tx: &mut Tx, now: Timestamp) -> Result<Duration, Error> {
    let due = tx.rows(&OLDEST_DUE, vec![now.secs().into()]).await?;
    let due = due.first().map_or(Ok(None), |row| row.opt_int(0))?;
    let new = tx.rows(&OLDEST_NEW, vec![]).await?;
    let new = new.first().map_or(Ok(None), |row| row.opt_int(0))?;
    let since = [due.map(Timestamp::from_secs), new.map(Timestamp::from_millis)];
    let oldest = since.into_iter().flatten().min();
    Ok(oldest.map_or(Duration::ZERO, |oldest| oldest.until(now)))
}

const LENGTHS: Sql = sql(
    "select (select count(*) from file_to_replicate), (select count(*) from file_to_delete2), \
     (select count(*) from mogul_join where nexttry < ?)",
);

/// How many fids wait for copies, for deletion, and for being joined.
pub(crate) async fn lengths(tx: &mut Tx) -> Result<[u64; 3], Error> {
    match tx.rows(&LENGTHS, vec![END_OF_TIME.into()]).await?.as_slice() {
        [row] => Ok([number_of(row, 0)?, number_of(row, 1)?, number_of(row, 2)?]),
        rows => Err(Error::Internal(format!("{} rows of counts", rows.len()))),
    }
}

catalogue! { OLDEST_DUE, OLDEST_NEW, LENGTHS }
