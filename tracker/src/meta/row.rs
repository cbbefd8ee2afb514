//! What goes into a statement ([`Value`]) and what comes out of it ([`Row`]).
//!
//! Only `i64`, text and bytes are bound, each typed even when null (PostgreSQL wants to know the type of a null). What
//! the engines do differently with integers is widened and unsigned here and nowhere else.

use mogul_storage::{DevId, Fid};
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use super::error::DbError;
use crate::model::{ClassId, DomainId, Key};

/// An argument of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Int(Option<i64>),
    /// A text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
    /// A number that no engine can hold; the statement it is given to fails.
    TooLarge(u64),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(Some(number))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        i64::try_from(number).map_or(Value::TooLarge(number), Value::from)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        u64::try_from(number).map_or(Value::TooLarge(u64::MAX), Value::from)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Some(text))
    }
}

impl From<&Key> for Value {
    fn from(key: &Key) -> Value {
        Value::from(key.as_str())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(Some(bytes))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytes(Some(bytes.to_vec()))
    }
}

/// Numbers that always fit.
macro_rules! small_numbers {
    ($($kind:ty: $number:expr),* $(,)?) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Value {
                let number: fn($kind) -> i64 = $number;
                Value::Int(Some(number(value)))
            }
        }
    )*};
}

small_numbers! {
    u8: i64::from,
    u16: i64::from,
    u32: i64::from,
    i32: i64::from,
    DomainId: |id| i64::from(id.0),
    ClassId: |id| i64::from(id.0),
    DevId: |id| i64::from(id.get()),
}

impl From<Fid> for Value {
    fn from(fid: Fid) -> Value {
        Value::from(fid.get())
    }
}

/// Nulls know the type of what is missing.
macro_rules! nullable {
    ($($variant:ident: $($kind:ty),*;)*) => {$($(
        impl From<Option<$kind>> for Value {
            fn from(value: Option<$kind>) -> Value {
                value.map_or(Value::$variant(None), Value::from)
            }
        }
    )*)*};
}

nullable! {
    Int: i64, u64, u32, u16, u8, Fid, DevId, DomainId, ClassId;
    Text: &str, String;
    Bytes: Vec<u8>, &[u8];
}

/// A row of an answer. Columns are counted from 0, in the order of the statement.
#[derive(Debug)]
pub struct Row(pub(super) Raw);

/// The row as the driver gives it.
pub(super) enum Raw {
    Sqlite(sqlx::sqlite::SqliteRow),
    Postgres(sqlx::postgres::PgRow),
    MySql(sqlx::mysql::MySqlRow),
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = match self {
            Raw::Sqlite(row) => row.len(),
            Raw::Postgres(row) => row.len(),
            Raw::MySql(row) => row.len(),
        };
        write!(f, "{columns} columns")
    }
}

impl Row {
    /// The number in a column.
    ///
    /// # Errors
    /// [`DbError::Column`] if it is null, no number, or above `i64::MAX`.
    pub fn int(&self, index: usize) -> Result<i64, DbError> {
        self.opt_int(index)?.ok_or_else(|| null(index, "a number"))
    }

    /// The number in a column, if there is one.
    ///
    /// # Errors
    /// [`DbError::Column`] if it is no number or above `i64::MAX`.
    pub fn opt_int(&self, index: usize) -> Result<Option<i64>, DbError> {
        let number = match &self.0 {
            Raw::Sqlite(row) => row.try_get(index),
            Raw::Postgres(row) => postgres_int(row, index),
            Raw::MySql(row) => mysql_int(row, index),
        };
        number.map_err(|source| DbError::Column {
            index,
            wanted: "a number",
            source,
        })
    }

    /// The text in a column.
    ///
    /// # Errors
    /// [`DbError::Column`] if it is null or no text.
    pub fn text(&self, index: usize) -> Result<String, DbError> {
        self.opt_text(index)?.ok_or_else(|| null(index, "a text"))
    }

    /// The text in a column, if there is one. Bytes are read as UTF-8: MySQL keeps keys as `VARBINARY`.
    ///
    /// # Errors
    /// [`DbError::Column`] if it is no text.
    pub fn opt_text(&self, index: usize) -> Result<Option<String>, DbError> {
        let text = match &self.0 {
            Raw::Sqlite(row) => row.try_get_unchecked::<Option<String>, _>(index),
            Raw::Postgres(row) => row.try_get::<Option<String>, _>(index),
            Raw::MySql(row) => row.try_get_unchecked::<Option<Vec<u8>>, _>(index).and_then(utf8),
        };
        text.map_err(|source| DbError::Column {
            index,
            wanted: "a text",
            source,
        })
    }

    /// The bytes in a column.
    ///
    /// # Errors
    /// [`DbError::Column`] if it is null or no bytes.
    pub fn bytes(&self, index: usize) -> Result<Vec<u8>, DbError> {
        self.opt_bytes(index)?.ok_or_else(|| null(index, "bytes"))
    }

    /// The bytes in a column, if there are any.
    ///
    /// # Errors
    /// [`DbError::Column`] if it is not bytes.
    pub fn opt_bytes(&self, index: usize) -> Result<Option<Vec<u8>>, DbError> {
        let bytes = match &self.0 {
            Raw::Sqlite(row) => row.try_get::<Option<Vec<u8>>, _>(index),
            Raw::Postgres(row) => row.try_get::<Option<Vec<u8>>, _>(index),
            Raw::MySql(row) => row.try_get_unchecked::<Option<Vec<u8>>, _>(index),
        };
        bytes.map_err(|source| DbError::Column {
            index,
            wanted: "bytes",
            source,
        })
    }
}

fn null(index: usize, wanted: &'static str) -> DbError {
    DbError::Column {
        index,
        wanted,
        source: decode("it is null".into()),
    }
}

fn decode(source: Box<dyn std::error::Error + Send + Sync>) -> sqlx::Error {
    sqlx::Error::Decode(source)
}

fn utf8(bytes: Option<Vec<u8>>) -> Result<Option<String>, sqlx::Error> {
    bytes
        .map(String::from_utf8)
        .transpose()
        .map_err(|error| decode(error.into()))
}

/// PostgreSQL decodes each width by its own Rust type.
fn postgres_int(row: &sqlx::postgres::PgRow, index: usize) -> Result<Option<i64>, sqlx::Error> {
    let column = row.try_get_raw(index)?;
    let kind = column.type_info().name().to_owned();
    match kind.as_str() {
        "INT2" => Ok(row.try_get::<Option<i16>, _>(index)?.map(i64::from)),
        "INT4" => Ok(row.try_get::<Option<i32>, _>(index)?.map(i64::from)),
        "BOOL" => Ok(row.try_get::<Option<bool>, _>(index)?.map(i64::from)),
        _ => row.try_get(index),
    }
}

/// MySQL sends each integer as wide as its column, with its sign or without, and sums as decimal text.
fn mysql_int(row: &sqlx::mysql::MySqlRow, index: usize) -> Result<Option<i64>, sqlx::Error> {
    let column = row.try_get_raw(index)?;
    let kind = column.type_info().name().to_owned();
    match kind.as_str() {
        "DECIMAL" => {
            let text = utf8(row.try_get_unchecked(index)?)?;
            text.map(|text| text.parse())
                .transpose()
                .map_err(|error: std::num::ParseIntError| decode(error.into()))
        }
        unsigned if unsigned.ends_with("UNSIGNED") => {
            let number = row.try_get_unchecked::<Option<u64>, _>(index)?;
            number
                .map(i64::try_from)
                .transpose()
                .map_err(|error| decode(error.into()))
        }
        _ => row.try_get_unchecked(index),
    }
}
