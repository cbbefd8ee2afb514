//! `mogul_scrub`: how far the copies of each device have been read ([`crate::jobs::scrub`]).
//!
//! A device is claimed as the rows of the queues are: by pushing its `nexttry` ahead. Who has read a page moves
//! `position` on if it still is where it was: an operator may have begun the pass anew meanwhile.

use std::time::Duration;

use mogul_storage::DevId;

use super::{
    Row, Sql, Tx,
    ids::{LIST_MAX, device_of, number_of},
    sql::sql,
};
use crate::{
    Error,
    model::{ScrubCounts, ScrubHaste, ScrubState, Timestamp},
};

/// How far a claim pushes a device ahead. Whoever works on a page for longer extends it ([`scrub_extended`]).
pub(crate) const CLAIM: Duration = Duration::from_mins(10);

const STATES: Sql = sql(
    "select devid, nexttry, hasty, begun_at, position, files, bytes, rotten, missing, strays, \
     ended_at, last_files, last_bytes, last_rotten, last_missing, last_strays \
     from mogul_scrub order by devid limit 65536",
);

/// How the scrub of all devices is doing, by device.
pub(crate) async fn scrubs(tx: &mut Tx) -> Result<Vec<ScrubState>, Error> {
    tx.rows(&STATES, vec![]).await?.iter().map(state).collect()
}

const STATE: Sql = sql(
    "select devid, nexttry, hasty, begun_at, position, files, bytes, rotten, missing, strays, \
     ended_at, last_files, last_bytes, last_rotten, last_missing, last_strays \
     from mogul_scrub where devid = ?",
);

fn state(row: &Row) -> Result<ScrubState, Error> {
    let counts = |first: usize| {
        Ok::<_, Error>(ScrubCounts {
            files: number_of(row, first)?,
            bytes: number_of(row, first + 1)?,
            rotten: number_of(row, first + 2)?,
            missing: number_of(row, first + 3)?,
            strays: number_of(row, first + 4)?,
        })
    };
    let last = match row.opt_int(10)? {
        Some(ended) => Some((Timestamp::from_millis(ended), counts(11)?)),
        None => None,
    };
    Ok(ScrubState {
        device: device_of(row, 0)?,
        due: Timestamp::from_secs(row.int(1)?),
        haste: match row.int(2)? {
            0 => ScrubHaste::Spread,
            _ => ScrubHaste::AtOnce,
        },
        begun: row.opt_int(3)?.map(Timestamp::from_millis),
        position: number_of(row, 4)?,
        counts: counts(5)?,
        last,
    })
}

const ADD: Sql = sql("insert into mogul_scrub \
     (devid, nexttry, hasty, position, files, bytes, rotten, missing, strays) values (…) \
     on conflict do nothing")
.mysql(
    "insert ignore into mogul_scrub \
     (devid, nexttry, hasty, position, files, bytes, rotten, missing, strays) values (…)",
);

/// Takes devices up; their first pass is due.
pub(crate) async fn scrubs_added(tx: &mut Tx, devices: &[DevId], now: Timestamp) -> Result<(), Error> {
    for devices in devices.chunks(LIST_MAX) {
        let rows = devices.iter().flat_map(|device| {
            let mut row = vec![(*device).into(), now.secs().into()];
            row.extend((0..7).map(|_| 0_i64.into()));
            row
        });
        tx.run_list(&ADD, devices.len(), rows.collect()).await?;
    }
    Ok(())
}

const CLAIM_DEVICE: Sql = sql("update mogul_scrub set nexttry = ? where devid = ? and nexttry <= ?");

/// Claims a device that is due. `None` if somebody else has it.
pub(crate) async fn scrub_claimed(
    tx: &mut Tx,
    device: DevId,
    now: Timestamp,
) -> Result<Option<ScrubState>, Error> {
    let until = now.after(CLAIM).secs();
    let args = vec![until.into(), device.into(), now.secs().into()];
    if tx.run(&CLAIM_DEVICE, args).await? == 0 {
        return Ok(None);
    }
    let rows = tx.rows(&STATE, vec![device.into()]).await?;
    rows.first().map(state).transpose()
}

const EXTEND: Sql = sql("update mogul_scrub set nexttry = ? where devid = ? and nexttry = ?");

/// Keeps the device of a claim until later. Answers whether it still was claimed.
pub(crate) async fn scrub_extended(
    tx: &mut Tx,
    (device, claimed): (DevId, Timestamp),
    until: Timestamp,
) -> Result<bool, Error> {
    let args = vec![until.secs().into(), device.into(), claimed.secs().into()];
    Ok(tx.run(&EXTEND, args).await? > 0)
}

const PUT_OFF: Sql = sql("update mogul_scrub set nexttry = ? where devid = ?");

/// Puts a device off.
pub(crate) async fn scrub_put_off(tx: &mut Tx, device: DevId, until: Timestamp) -> Result<(), Error> {
    tx.run(&PUT_OFF, vec![until.secs().into(), device.into()]).await?;
    Ok(())
}

/// A page that has been read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageRead {
    /// The device.
    pub(crate) device: DevId,
    /// When the pass began.
    pub(crate) begun: Timestamp,
    /// The fid before the first of the page.
    pub(crate) after: u64,
    /// The last fid.
    pub(crate) last: u64,
    /// What the page came to.
    pub(crate) counts: ScrubCounts,
    /// When the next one is due, unless the operator is in haste: then it is due at once.
    pub(crate) next: Timestamp,
}

const READ: Sql = sql(
    "update mogul_scrub set begun_at = ?, position = ?, files = files + ?, \
     bytes = bytes + ?, rotten = rotten + ?, missing = missing + ?, strays = strays + ?, \
     nexttry = case when hasty = 1 then 0 else ? end where devid = ? and position = ?",
);

/// Moves a pass on.
pub(crate) async fn scrub_read(tx: &mut Tx, page: &PageRead) -> Result<(), Error> {
    let counts = page.counts;
    let args = vec![
        page.begun.millis().into(),
        page.last.into(),
        counts.files.into(),
        counts.bytes.into(),
        counts.rotten.into(),
        counts.missing.into(),
        counts.strays.into(),
        page.next.secs().into(),
        page.device.into(),
        page.after.into(),
    ];
    tx.run(&READ, args).await?;
    Ok(())
}

// MySQL assigns from left to right: what is set to 0 comes last.
const ENDED: Sql = sql(
    "update mogul_scrub set ended_at = ?, last_files = files, last_bytes = bytes, \
     last_rotten = rotten, last_missing = missing, last_strays = strays, nexttry = ?, hasty = 0, begun_at = null, \
     files = 0, bytes = 0, rotten = 0, missing = 0, strays = 0, position = 0 \
     where devid = ? and position = ?",
);

/// Ends a pass; the next one is due at `next`.
pub(crate) async fn scrub_ended(
    tx: &mut Tx,
    (device, position): (DevId, u64),
    (now, next): (Timestamp, Timestamp),
) -> Result<(), Error> {
    let args = vec![
        now.millis().into(),
        next.secs().into(),
        device.into(),
        position.into(),
    ];
    tx.run(&ENDED, args).await?;
    Ok(())
}

const BEGIN: Sql = sql(
    "update mogul_scrub set nexttry = 0, hasty = 1, begun_at = null, position = 0, \
     files = 0, bytes = 0, rotten = 0, missing = 0, strays = 0 where devid in (…)",
);

/// Begins a pass of each of these devices anew, in haste.
pub(crate) async fn scrubs_begun(tx: &mut Tx, devices: &[DevId], now: Timestamp) -> Result<(), Error> {
    scrubs_added(tx, devices, now).await?;
    for devices in devices.chunks(LIST_MAX) {
        let args = devices.iter().map(|device| (*device).into()).collect();
        tx.run_list(&BEGIN, devices.len(), args).await?;
    }
    Ok(())
}

const DUE: Sql = sql("update mogul_scrub set nexttry = ? where nexttry > ? and begun_at is null");

/// Makes the next pass of each device due: the period has changed.
pub(crate) async fn scrubs_due(tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
    tx.run(&DUE, vec![now.secs().into(), now.secs().into()]).await?;
    Ok(())
}

const UNCLAIM: Sql = sql("update mogul_scrub set nexttry = ? where nexttry > ? and begun_at is not null");

/// Makes due what was claimed: at the start of the only process on a database, whoever claimed it is dead.
pub(crate) async fn scrubs_unclaimed(tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
    tx.run(&UNCLAIM, vec![now.secs().into(), now.secs().into()])
        .await?;
    Ok(())
}

catalogue! { STATES, STATE, ADD, CLAIM_DEVICE, EXTEND, PUT_OFF, READ, ENDED, BEGIN, DUE, UNCLAIM }
