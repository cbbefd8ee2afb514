//! One statement, its exceptions beside it.
//!
//! A [`Sql`] is a `const` above the one function that uses it. Its text runs on every engine; an override holds what
//! one engine cannot. `?` stands for an argument and for nothing else (no `?` in literals or comments), `(…)` for a list
//! whose length the caller knows ([`super::Tx::rows_list`]).

use super::{error::DbError, row::Value};

/// The dialect of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MariaDB or MySQL.
    MySql,
}

/// One statement for all engines.
#[derive(Debug, Clone, Copy)]
pub struct Sql {
    text: &'static str,
    sqlite: Option<&'static str>,
    postgres: Option<&'static str>,
    mysql: Option<&'static str>,
}

/// A statement whose text runs on every engine that has no override.
#[must_use]
pub const fn sql(text: &'static str) -> Sql {
    Sql {
        text,
        sqlite: None,
        postgres: None,
        mysql: None,
    }
}

/// Where a list stands in a text.
const LIST: &str = "(…)";

/// Most arguments of one statement: SQLite's limit (`SQLITE_MAX_VARIABLE_NUMBER`), the smallest of the three.
pub const ARGUMENTS_MAX: usize = 32_766;

impl Sql {
    /// The text for SQLite, where it differs.
    #[must_use]
    pub const fn sqlite(mut self, text: &'static str) -> Sql {
        self.sqlite = Some(text);
        self
    }

    /// The text for PostgreSQL, where it differs.
    #[must_use]
    pub const fn postgres(mut self, text: &'static str) -> Sql {
        self.postgres = Some(text);
        self
    }

    /// The text for MariaDB and MySQL, where it differs.
    #[must_use]
    pub const fn mysql(mut self, text: &'static str) -> Sql {
        self.mysql = Some(text);
        self
    }

    /// The text as it was written for an engine.
    #[must_use]
    pub(super) fn written_for(&self, engine: Engine) -> &'static str {
        let own = match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
            Engine::MySql => self.mysql,
        };
        own.unwrap_or(self.text)
    }

    /// The text to send to an engine, with a list of `tuples` items where the text has one; `args` is the number of all
    /// arguments.
    pub(super) fn rendered(&self, engine: Engine, tuples: usize, args: usize) -> Result<String, DbError> {
        let written = self.written_for(engine);
        if args > ARGUMENTS_MAX {
            return Err(DbError::TooManyArguments(args));
        }
        let wrong = || DbError::WrongArguments { sql: written, args };
        let Some((head, tail)) = written.split_once(LIST) else {
            let right = placeholders(written) == args && tuples == 0;
            return right.then(|| numbered(engine, written)).ok_or_else(wrong);
        };
        let listed = args
            .checked_sub(placeholders(head) + placeholders(tail))
            .filter(|listed| tuples > 0 && *listed > 0 && listed % tuples == 0)
            .ok_or_else(wrong)?;
        let list = list_text(engine, head, tuples, listed / tuples);
        Ok(numbered(engine, &[head, &list, tail].concat()))
    }
}

impl Sql {
    /// The text for MySQL with the arguments in it: digits and hexadecimal only, so nothing in them can be read as SQL.
    pub(super) fn spelled_out(&self, tuples: usize, args: &[Value]) -> Result<String, DbError> {
        let text = self.rendered(Engine::MySql, tuples, args.len())?;
        let mut pieces = text.split('?');
        let mut out = pieces.next().unwrap_or_default().to_owned();
        for (value, piece) in args.iter().zip(pieces) {
            out.push_str(&match value {
                Value::Int(Some(number)) => number.to_string(),
                Value::Text(Some(text)) => ["_utf8mb4 x'", &hex::encode(text), "'"].concat(),
                Value::Bytes(Some(bytes)) => ["x'", &hex::encode(bytes), "'"].concat(),
                Value::Int(None) | Value::Text(None) | Value::Bytes(None) => "null".to_owned(),
                Value::TooLarge(number) => return Err(DbError::TooLarge(*number)),
            });
            out.push_str(piece);
        }
        Ok(out)
    }
}

#[cfg(test)]
impl Sql {
    /// Items and arguments with which the text can be rendered: two items, as wide as the columns before the list.
    pub(super) fn sample(&self, engine: Engine) -> (usize, usize) {
        let written = self.written_for(engine);
        let Some((head, tail)) = written.split_once(LIST) else {
            return (0, placeholders(written));
        };
        let head_words = head.trim_end();
        let words = head_words
            .strip_suffix("values")
            .or_else(|| head_words.strip_suffix("in"))
            .unwrap_or(head_words);
        let words = words.trim_end();
        let width = words
            .strip_suffix(')')
            .and_then(|columns| columns.rsplit_once('('))
            .map_or(1, |(_, columns)| columns.split(',').count());
        (2, placeholders(head) + placeholders(tail) + 2 * width)
    }
}

/// How many arguments a text takes.
fn placeholders(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'?').count()
}

/// The list itself: rows after `values`, else items in one pair of parentheses.
fn list_text(engine: Engine, head: &str, tuples: usize, width: usize) -> String {
    let row = ["(", &vec!["?"; width].join(", "), ")"].concat();
    if head.trim_end().to_ascii_lowercase().ends_with("values") {
        return vec![row.as_str(); tuples].join(", ");
    }
    if width == 1 {
        return ["(", &vec!["?"; tuples].join(", "), ")"].concat();
    }
    // SQLite compares a row with the rows of a subquery only.
    let open = match engine {
        Engine::Sqlite => "(values ",
        Engine::Postgres | Engine::MySql => "(",
    };
    [open, &vec![row.as_str(); tuples].join(", "), ")"].concat()
}

/// `?` becomes `$1`, `$2`, … for PostgreSQL.
fn numbered(engine: Engine, text: &str) -> String {
    match engine {
        Engine::Sqlite | Engine::MySql => text.to_owned(),
        Engine::Postgres => {
            let mut pieces = text.split('?');
            let mut out = pieces.next().unwrap_or_default().to_owned();
            for (index, piece) in pieces.enumerate() {
                out.push('$');
                out.push_str(&(index + 1).to_string());
                out.push_str(piece);
            }
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: Sql, engine: Engine, tuples: usize, args: usize, expected: &str) {
        assert_eq!(sql.rendered(engine, tuples, args).unwrap(), expected);
    }

    #[test]
    fn postgres_numbers_its_arguments_and_an_override_stands_for_one_engine_alone() {
        let statement =
            sql("insert into t (a, b) values (?, ?)").mysql("insert ignore into t (a, b) values (?, ?)");

        check(
            statement,
            Engine::Sqlite,
            0,
            2,
            "insert into t (a, b) values (?, ?)",
        );
        check(
            statement,
            Engine::Postgres,
            0,
            2,
            "insert into t (a, b) values ($1, $2)",
        );
        check(
            statement,
            Engine::MySql,
            0,
            2,
            "insert ignore into t (a, b) values (?, ?)",
        );
    }

    #[test]
    fn a_list_is_as_long_as_the_caller_says() {
        let rows = sql("insert into t (a, b) values (…) on conflict do nothing");
        let items = sql("select a from t where b = ? and a in (…) and c > ?");
        let pairs = sql("select a from t where (a, b) in (…)");

        check(
            rows,
            Engine::Postgres,
            2,
            4,
            "insert into t (a, b) values ($1, $2), ($3, $4) on conflict do nothing",
        );
        check(
            items,
            Engine::Postgres,
            3,
            5,
            "select a from t where b = $1 and a in ($2, $3, $4) and c > $5",
        );
        check(
            pairs,
            Engine::MySql,
            2,
            4,
            "select a from t where (a, b) in ((?, ?), (?, ?))",
        );
        check(
            pairs,
            Engine::Sqlite,
            2,
            4,
            "select a from t where (a, b) in (values (?, ?), (?, ?))",
        );
    }

    #[test]
    fn what_is_spelled_out_cannot_be_read_as_sql() {
        let list = sql("insert into t (a, b, c) values (…)");
        let args = [
            (-5_i64).into(),
            "'; drop".into(),
            Value::from(vec![0_u8, 255]),
            Value::Int(None),
            Value::Text(None),
            Value::Bytes(None),
        ];

        assert_eq!(
            list.spelled_out(2, &args).unwrap(),
            "insert into t (a, b, c) values (-5, _utf8mb4 x'273b2064726f70', x'00ff'), (null, null, null)"
        );
    }

    #[test]
    fn arguments_that_do_not_fit_the_text_are_refused() {
        let plain = sql("select a from t where b = ?");
        let list = sql("insert into t (a, b) values (…)");

        assert!(plain.rendered(Engine::Sqlite, 0, 2).is_err());
        assert!(plain.rendered(Engine::Sqlite, 1, 1).is_err());
        assert!(list.rendered(Engine::Sqlite, 2, 3).is_err());
        assert!(list.rendered(Engine::Sqlite, 20_000, 40_000).is_err());
    }
}
