//! Pages of a bucket's current objects, in byte order of their keys (`file`, `mogul_object`).
//!
//! A page is a range of the index `(dmid, dkey)`, so the first page costs the same at a thousand keys and at a hundred
//! million, and so does each rolled-up group: after the first key of a group the next one is sought behind the whole group.
//!
//! Bounds are texts computed here, and always `low <= dkey < high`:
//! - behind a key comes the key with the smallest character appended;
//! - behind all keys that begin with a text comes that text's [`successor`];
//! - `high` is the successor of the prefix, or the range of reserved keys.
//!
//! On SQLite and PostgreSQL the hops from group to group are one recursive statement. MariaDB cannot seek by a bound that
//! an outer row gives (it walks from the domain's first key: 19 s for 100 groups in 1 M keys), so there plain pages are
//! fetched and rolled up here, with a new page behind each group that does not end in one.
//!
//! sqlx's SQLite driver pays 2 µs for each row, so there a page comes as one row, a JSON array, four times faster.

use mogul_storage::Fid;
use serde::Deserialize;

use super::{
    encoding,
    row::{Row, Value},
    sql::{Engine, Sql, sql},
    tx::Tx,
};
use crate::{
    Error,
    command::{
        buckets::Page,
        objects::{Entry, ListFrom, ListObjects, ListedObject},
    },
    model::{ClassId, DomainId, ETag, Key, Timestamp, UserId},
};

/// Most entries of a page.
pub const ENTRIES_MAX: usize = 1000;

/// Rows that MySQL fetches at once when it looks for groups: few at first, twice as many whenever all were of use.
const WINDOW_MIN: usize = 2;

/// A page of current objects and common prefixes. `request.limit` above [`ENTRIES_MAX`] counts as that.
///
/// # Errors
/// [`Error::Database`].
pub async fn page(tx: &mut Tx, domain: DomainId, request: &ListObjects) -> Result<Page<Entry>, Error> {
    let limit = request.limit.min(ENTRIES_MAX);
    let Some(range) = Range::of(domain, request, tx.engine()).filter(|_| limit > 0) else {
        return Ok(Page {
            entries: Vec::new(),
            more: false,
        });
    };
    // One more than asked for tells whether there is more.
    let mut entries = match tx.engine() {
        _ if range.delimiter.is_empty() => {
            let found = objects(tx, &range, limit + 1).await?;
            found
                .into_iter()
                .map(|object| Entry::Object(Box::new(object)))
                .collect()
        }
        Engine::Sqlite | Engine::Postgres => groups(tx, &range, limit + 1).await?,
        Engine::MySql => groups_by_windows(tx, range, limit + 1).await?,
    };
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok(Page { entries, more })
}

/// What a page is taken from.
#[derive(Debug, Clone)]
struct Range {
    domain: DomainId,
    prefix: String,
    delimiter: String,
    /// First key of the page, or a text before it.
    low: String,
    /// A text behind all keys of the listing.
    high: String,
    /// The smallest character: no text lies between a key and the key with this appended.
    lowest: &'static str,
}

impl Range {
    /// The range of a request; `None` if nothing can be in it.
    fn of(domain: DomainId, request: &ListObjects, engine: Engine) -> Option<Range> {
        let ListObjects {
            prefix,
            delimiter,
            from,
            limit: _,
        } = request;
        // PostgreSQL's texts have no NUL, so there the next character is the smallest, and no key begins with a text that
        // has one. A delimiter that has one occurs in no key.
        let (lowest, nul) = match engine {
            Engine::Sqlite | Engine::MySql => ("\0", None),
            Engine::Postgres => ("\u{1}", Some('\0')),
        };
        let has_nul = |text: &str| nul.is_some_and(|nul| text.contains(nul));
        if has_nul(prefix) {
            return None;
        }
        let delimiter = if has_nul(delimiter) {
            String::new()
        } else {
            delimiter.clone()
        };
        let range = Range {
            domain,
            prefix: prefix.clone(),
            low: prefix.clone(),
            high: behind_prefix(prefix),
            delimiter,
            lowest,
        };
        let low = match from {
            ListFrom::After(text) if text.as_str() >= prefix.as_str() => {
                match nul.and_then(|nul| text.split_once(nul)) {
                    // No key continues with a NUL: what is behind such a text is what is behind its head.
                    Some((head, _)) => [head, lowest].concat(),
                    None => range.behind(text),
                }
            }
            ListFrom::After(_) | ListFrom::Start => prefix.clone(),
        };
        let range = Range { low, ..range };
        (range.low < range.high).then_some(range)
    }

    /// The smallest text behind an entry: behind a key, or behind all keys of a common prefix.
    fn behind(&self, entry: &str) -> String {
        match self.group(entry) {
            Some(group) if group == entry => {
                let stem = &entry[..entry.len() - self.delimiter.len()];
                [stem, &self.behind_delimiter()].concat()
            }
            Some(_) | None => [entry, self.lowest].concat(),
        }
    }

    /// The common prefix that a key is rolled up into, if it is.
    fn group<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let position = key.strip_prefix(self.prefix.as_str())?.find(&self.delimiter)?;
        Some(&key[..self.prefix.len() + position + self.delimiter.len()])
    }

    /// What stands behind the delimiter and everything that may follow it.
    fn behind_delimiter(&self) -> String {
        // A delimiter of largest characters alone has no successor; no key is long enough to lie behind this.
        successor(&self.delimiter).unwrap_or_else(|| {
            [
                self.delimiter.as_str(),
                &char::MAX
                    .to_string()
                    .repeat(Key::BYTES_MAX / char::MAX.len_utf8()),
            ]
            .concat()
        })
    }
}

/// The smallest text that is larger than all texts that begin with `text`; `None` if there is none (an empty text, or
/// largest characters alone). UTF-8 sorts by bytes as its characters sort by number.
fn successor(text: &str) -> Option<String> {
    let mut stem = text.to_owned();
    while let Some(last) = stem.pop() {
        // The range steps over the surrogates, which are no characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            stem.push(next);
            return Some(stem);
        }
    }
    None
}

/// The smallest text behind all clients' keys that begin with `prefix`.
pub(crate) fn behind_prefix(prefix: &str) -> String {
    successor(prefix)
        .filter(|end| end.as_str() < Key::RESERVED_PREFIX)
        .unwrap_or_else(|| Key::RESERVED_PREFIX.to_owned())
}

/// The columns of a listed object, in the order in which [`listed_object`] reads them.
macro_rules! columns {
    () => {
        "file.dkey, file.fid, file.length, file.classid, mogul_object.etag, mogul_object.modified_at, \
         mogul_object.owner, mogul_object.checksum_type, mogul_object.checksum_kind "
    };
}

/// A page of objects as rows; `$domain` says that they are of one domain.
macro_rules! objects_page {
    ($from:literal, $domain:literal) => {
        concat!(
            "select ",
            columns!(),
            "from ",
            $from,
            " left join mogul_object on mogul_object.fid = file.fid where ",
            $domain,
            " and file.dkey >= ? and file.dkey < ? order by file.dmid, file.dkey limit ?"
        )
    };
}

const OBJECTS: Sql = sql(objects_page!("file", "file.dmid = ?"))
    .sqlite(concat!(
        "select json_group_array(json_array(dkey, fid, length, classid, etag, modified_at, owner, checksum_type, \
         checksum_kind)) from (",
        objects_page!("file", "file.dmid = ?"),
        ")"
    ))
    // Asked for one domain by `=`, MariaDB looks up the domain and walks all its keys; asked for a range, it seeks.
    .mysql(objects_page!("file force index (dkey)", "file.dmid >= ? and file.dmid <= ?"));

/// The next `limit` objects.
async fn objects(tx: &mut Tx, range: &Range, limit: usize) -> Result<Vec<ListedObject>, Error> {
    let mut args = vec![
        range.domain.into(),
        range.low.as_str().into(),
        range.high.as_str().into(),
        limit.into(),
    ];
    if tx.engine() == Engine::MySql {
        args.insert(0, range.domain.into());
    }
    let rows = tx.rows(&OBJECTS, args).await?;
    listed_objects(tx.engine(), &rows)
}

/// The recursion: `found` has the first key of each entry. The columns come after, the rest of the statement last.
macro_rules! hops {
    ($position:literal) => {
        concat!(
            "with recursive \
             given (dmid, low, high, start, delimiter, lowest, behind, entries) as \
                 (select cast(? as bigint), cast(? as text), cast(? as text), cast(? as integer), cast(? as text), \
                     cast(? as text), cast(? as text), cast(? as bigint)), \
             found (dkey, n) as ( \
                 select (select file.dkey from file \
                     where file.dmid = given.dmid and file.dkey >= given.low and file.dkey < given.high \
                     order by file.dkey limit 1), 1 from given \
                 union all \
                 select (select file.dkey from file where file.dmid = given.dmid and file.dkey >= \
                         case ",
            $position,
            "(substr(found.dkey, given.start), given.delimiter) \
                             when 0 then found.dkey || given.lowest \
                             else substr(found.dkey, 1, given.start - 2 + ",
            $position,
            "(substr(found.dkey, given.start), given.delimiter)) || given.behind \
                         end \
                     and file.dkey < given.high order by file.dkey limit 1), found.n + 1 \
                 from found cross join given where found.n < given.entries and found.dkey is not null) \
             "
        )
    };
}

const HOPS: Sql = sql(concat!(
    hops!("strpos"),
    "select ",
    columns!(),
    "from found cross join given join file on file.dmid = given.dmid and file.dkey = found.dkey \
     left join mogul_object on mogul_object.fid = file.fid"
))
.sqlite(concat!(
    hops!("instr"),
    "select json_group_array(json_array(",
    columns!(),
    ")) from found cross join given cross join file left join mogul_object on mogul_object.fid = file.fid \
     where file.dmid = given.dmid and file.dkey = found.dkey"
))
// Never sent there: see the module's docs.
.mysql("select 1 where 0");

/// The next `limit` entries, groups rolled up by the database.
async fn groups(tx: &mut Tx, range: &Range, limit: usize) -> Result<Vec<Entry>, Error> {
    let args: Vec<Value> = vec![
        range.domain.into(),
        range.low.as_str().into(),
        range.high.as_str().into(),
        (range.prefix.chars().count() + 1).into(),
        range.delimiter.as_str().into(),
        range.lowest.into(),
        range.behind_delimiter().into(),
        limit.into(),
    ];
    let rows = tx.rows(&HOPS, args).await?;
    let mut objects = listed_objects(tx.engine(), &rows)?;
    // They come in the order of the hops, though neither engine promises that; sorted already, they cost one pass.
    objects.sort_by(|a, b| a.key.as_str().cmp(b.key.as_str()));
    Ok(objects.into_iter().map(|object| entry(range, object)).collect())
}

/// The next `limit` entries, groups rolled up here.
async fn groups_by_windows(tx: &mut Tx, mut range: Range, limit: usize) -> Result<Vec<Entry>, Error> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut window = WINDOW_MIN;
    while entries.len() < limit && range.low < range.high {
        let asked = window.min(limit - entries.len());
        let found = objects(tx, &range, asked).await?;
        let seen = found.len();
        let Some(end) = found.last().map(|object| object.key.as_str().to_owned()) else {
            break;
        };
        let before = entries.len();
        for object in found {
            let entry = entry(&range, object);
            let repeated = match (&entry, entries.last()) {
                (Entry::Prefix(name), Some(Entry::Prefix(last))) => name == last,
                (Entry::Object(_) | Entry::Prefix(_), _) => false,
            };
            if !repeated {
                entries.push(entry);
            }
        }
        if seen < asked {
            break;
        }
        range.low = range.behind(range.group(&end).unwrap_or(&end));
        window = if entries.len() - before == seen {
            window * 2
        } else {
            WINDOW_MIN
        };
    }
    Ok(entries)
}

/// An object as itself, or as the group it is in.
fn entry(range: &Range, object: ListedObject) -> Entry {
    match range.group(object.key.as_str()) {
        Some(group) => Entry::Prefix(group.to_owned()),
        None => Entry::Object(Box::new(object)),
    }
}

/// A listed object as its columns.
#[derive(Deserialize)]
struct Listed(
    String,
    i64,
    Option<i64>,
    i64,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
);

/// The objects of an answer: a row each, or all in one text on SQLite.
fn listed_objects(engine: Engine, rows: &[Row]) -> Result<Vec<ListedObject>, Error> {
    match engine {
        Engine::Sqlite => {
            let text = rows
                .first()
                .map_or_else(|| Ok("[]".to_owned()), |row| row.text(0))?;
            let listed: Vec<Listed> = serde_json::from_str(&text)
                .map_err(|error| Error::Internal(format!("a listing cannot be read: {error}")))?;
            listed.into_iter().map(listed_object).collect()
        }
        Engine::Postgres | Engine::MySql => rows.iter().map(|row| listed_object(columns_of(row)?)).collect(),
    }
}

fn columns_of(row: &Row) -> Result<Listed, Error> {
    Ok(Listed(
        row.text(0)?,
        row.int(1)?,
        row.opt_int(2)?,
        row.int(3)?,
        row.opt_text(4)?,
        row.opt_int(5)?,
        row.opt_text(6)?,
        row.opt_int(7)?,
        row.opt_int(8)?,
    ))
}

/// What the columns say. A MogileFS client's file has nothing of ours: see [`ETag::stand_in`].
fn listed_object(listed: Listed) -> Result<ListedObject, Error> {
    let Listed(key, fid, length, class, etag, modified, owner, checksum, kind) = listed;
    let wrong = |what: &str| Error::Internal(format!("file {fid} has a {what} that cannot be"));
    let checksum = match (checksum, kind) {
        (Some(hash), Some(kind)) => Some((encoding::hash_of(hash)?, encoding::kind_of(kind)?)),
        (Some(_) | None, None) | (None, Some(_)) => None,
    };
    let number = u64::try_from(fid)
        .ok()
        .and_then(Fid::new)
        .ok_or_else(|| wrong("number"))?;
    Ok(ListedObject {
        key: Key::stored(key),
        etag: etag.map_or_else(|| ETag::stand_in(number), ETag),
        size: u64::try_from(length.unwrap_or(0)).map_err(|_| wrong("length"))?,
        modified: modified.map(Timestamp::from_millis).unwrap_or_default(),
        class: ClassId(u8::try_from(class).map_err(|_| wrong("class"))?),
        checksum,
        owner: owner.map(UserId),
    })
}

catalogue! { OBJECTS, HOPS }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_between_a_prefix_range_and_its_successor() {
        for (text, expected) in [
            ("a", Some("b")),
            ("a/", Some("a0")),
            ("a\u{7f}", Some("a\u{80}")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10FFFF}", Some("b")),
            ("\u{10FFFE}", Some("\u{10FFFF}")),
            ("\u{10FFFF}\u{10FFFF}", None),
            ("", None),
        ] {
            assert_eq!(successor(text).as_deref(), expected, "{text:?}");
        }
    }
}
