//! `mogul_absent`: devices that have stayed away, and how far their files are queued for the replicate job.

use mogul_storage::{DevId, Fid};

use super::{
    Sql, Tx,
    ids::{device_of, number_of},
    sql::sql,
};
use crate::{
    Error,
    model::{Absence, Phase, Timestamp},
};

const ALL: Sql =
    sql("select devid, seen_at, phase, changed_at, queued_to from mogul_absent order by devid limit 65536");

/// All devices that are absent, or have just come back.
pub(crate) async fn absences(tx: &mut Tx) -> Result<Vec<Absence>, Error> {
    let rows = tx.rows(&ALL, vec![]).await?;
    let absence = |row: &super::Row| {
        Ok(Absence {
            device: device_of(row, 0)?,
            seen: Timestamp::from_secs(row.int(1)?),
            phase: if row.int(2)? == Phase::Away.number() {
                Phase::Away
            } else {
                Phase::Back
            },
            changed: Timestamp::from_secs(row.int(3)?),
            queued_to: number_of(row, 4)?,
        })
    };
    rows.iter().map(absence).collect()
}

const BEGIN: Sql = sql(
    "insert into mogul_absent (devid, seen_at, phase, changed_at, queued_to) values (?, ?, 0, ?, 0) \
     on conflict (devid) do update set seen_at = excluded.seen_at, phase = 0, changed_at = excluded.changed_at, queued_to = 0",
)
.mysql(
    "insert into mogul_absent (devid, seen_at, phase, changed_at, queued_to) values (?, ?, 0, ?, 0) \
     on duplicate key update seen_at = values(seen_at), phase = 0, changed_at = values(changed_at), queued_to = 0",
);

/// A device is absent from now on.
pub(crate) async fn absence_begun(
    tx: &mut Tx,
    device: DevId,
    seen: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let args = vec![device.into(), seen.secs().into(), now.secs().into()];
    tx.run(&BEGIN, args).await?;
    Ok(())
}

const RETURN: Sql =
    sql("update mogul_absent set phase = 1, changed_at = ?, queued_to = 0 where devid = ? and phase = 0");

/// An absent device is back.
pub(crate) async fn absence_returned(tx: &mut Tx, device: DevId, now: Timestamp) -> Result<(), Error> {
    tx.run(&RETURN, vec![now.secs().into(), device.into()]).await?;
    Ok(())
}

const QUEUED: Sql = sql("update mogul_absent set queued_to = ? where devid = ? and changed_at = ?");

/// The files of a device up to `to` are queued. Answers whether nobody has changed its phase meanwhile.
pub(crate) async fn absence_queued(tx: &mut Tx, absence: &Absence, to: Fid) -> Result<bool, Error> {
    let args = vec![to.into(), absence.device.into(), absence.changed.secs().into()];
    Ok(tx.run(&QUEUED, args).await? > 0)
}

const OVER: Sql = sql("delete from mogul_absent where devid = ? and changed_at = ?");

/// Nothing is left of a device's absence.
pub(crate) async fn absence_over(tx: &mut Tx, absence: &Absence) -> Result<(), Error> {
    let args = vec![absence.device.into(), absence.changed.secs().into()];
    tx.run(&OVER, args).await?;
    Ok(())
}

catalogue! { ALL, BEGIN, RETURN, QUEUED, OVER }
