//! Columns that are numbers of ours: read once, checked here, trusted afterwards.

use mogul_storage::{DevId, Fid};

use super::Row;
use crate::{Error, error::chain};

/// Arguments of one statement that lists fids: well below every engine's limit, and small enough that statements of
/// all lengths do not crowd the cache of prepared ones.
pub(crate) const LIST_MAX: usize = 1_000;

/// A number that fits `T`.
///
/// # Errors
/// [`Error::Internal`] if the column holds one that does not.
pub(crate) fn number_of<T: TryFrom<i64>>(row: &Row, index: usize) -> Result<T, Error> {
    let number = row.int(index)?;
    T::try_from(number).map_err(|_| out_of_range(number, index))
}

/// A number that fits `T`, or none.
///
/// # Errors
/// As [`number_of`].
pub(crate) fn opt_number_of<T: TryFrom<i64>>(row: &Row, index: usize) -> Result<Option<T>, Error> {
    let number = row.opt_int(index)?;
    number
        .map(|number| T::try_from(number).map_err(|_| out_of_range(number, index)))
        .transpose()
}

/// A fid.
///
/// # Errors
/// [`Error::Internal`] if the column holds none.
pub(crate) fn fid_of(row: &Row, index: usize) -> Result<Fid, Error> {
    let number: u64 = number_of(row, index)?;
    Fid::new(number).ok_or_else(|| Error::Internal(format!("{number} is no fid")))
}

/// A device id.
///
/// # Errors
/// [`Error::Internal`] if the column holds none.
pub(crate) fn device_of(row: &Row, index: usize) -> Result<DevId, Error> {
    let number: u32 = number_of(row, index)?;
    DevId::new(number).ok_or_else(|| Error::Internal(format!("{number} is no devid")))
}

/// What these rows say, without those that cannot be understood. Only a foreign tool can have written such a one, and the
/// cluster must not stand still because of it: it is told of in the log each time.
pub(crate) fn understood<T>(rows: &[Row], of: impl Fn(&Row) -> Result<T, Error>) -> Vec<T> {
    let read = rows.iter().map(of).filter_map(|row| match row {
        Ok(row) => Some(row),
        Err(error) => {
            tracing::warn!(error = chain(&error), "a row was left out");
            None
        }
    });
    read.collect()
}

fn out_of_range(number: i64, index: usize) -> Error {
    Error::Internal(format!(
        "column {index} holds {number}, which is out of its range"
    ))
}
