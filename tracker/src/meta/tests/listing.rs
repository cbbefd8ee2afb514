//! Listings, against what a plain sorted list says.

use std::collections::BTreeSet;

use mogul_storage::Fid;

use super::engines::for_each_engine;
use crate::{
    command::objects::{Entry, ListFrom, ListObjects},
    meta::{Db, DbConfig, Engine, Sql, Value, listing, sql::sql},
    model::{ClassId, DomainId, ETag, Key, Timestamp, UserId},
};

const ADD_FILES: Sql = sql("insert into file (fid, dmid, dkey, length, classid, devcount) values (…)");
const ADD_OBJECT: Sql = sql(
    "insert into mogul_object (fid, etag, modified_at, owner, checksum_type, checksum_kind) \
     values (2, 'abc-2', 1234567890123, 'me', 3, 1)",
);

/// Adds files with fids from 1 on.
async fn add(db: &Db, domain: u16, keys: &[String]) {
    let first_fid = u64::from(domain) * 100_000;
    let args: Vec<Value> = keys
        .iter()
        .zip(first_fid + 1..)
        .flat_map(|(key, fid)| {
            [
                fid.into(),
                domain.into(),
                key.as_str().into(),
                7_u8.into(),
                1_u8.into(),
                1_u8.into(),
            ]
        })
        .collect();
    let count = keys.len();
    db.write(move |tx| {
        let args = args.clone();
        Box::pin(async move { Ok(tx.run_list(&ADD_FILES, count, args).await?) })
    })
    .await
    .unwrap();
}

fn name(entry: &Entry) -> (char, String) {
    match entry {
        Entry::Object(object) => ('o', object.key.as_str().to_owned()),
        Entry::Prefix(prefix) => ('p', prefix.clone()),
    }
}

/// The whole listing, page by page, each going on behind the last entry of the one before.
async fn all_pages(db: &Db, domain: u16, mut request: ListObjects) -> Vec<(char, String)> {
    let mut reader = db.reader().await.unwrap();
    let mut all = Vec::new();
    loop {
        let page = listing::page(&mut reader, DomainId(domain), &request)
            .await
            .unwrap();
        assert!(page.entries.len() <= request.limit);
        all.extend(page.entries.iter().map(name));
        if !page.more {
            return all;
        }
        request.from = ListFrom::After(name(page.entries.last().unwrap()).1);
    }
}

/// What a listing must be, by the definition.
fn expected(keys: &BTreeSet<String>, request: &ListObjects) -> Vec<(char, String)> {
    let ListObjects {
        prefix,
        delimiter,
        from,
        ..
    } = request;
    let mut all: Vec<(char, String)> = Vec::new();
    for key in keys
        .iter()
        .filter(|key| key.starts_with(prefix) && !key.starts_with(Key::RESERVED_PREFIX))
    {
        let rest = &key[prefix.len()..];
        let group = rest
            .find(delimiter.as_str())
            .filter(|_| !delimiter.is_empty())
            .map(|position| format!("{prefix}{}", &rest[..position + delimiter.len()]));
        if let ListFrom::After(text) = from
            && (key <= text || group.as_ref() == Some(text))
        {
            continue;
        }
        let entry = group.map_or_else(|| ('o', key.clone()), |group| ('p', group));
        if all.last() != Some(&entry) {
            all.push(entry);
        }
    }
    all
}

/// Keys that trip up pattern matching, quoting, collations, and arithmetic on characters.
#[rustfmt::skip]
const AWKWARD: &[&str] = &[
    "%", "%%", "_", "a%b", "a_b", "a\\b", "a'b", "a\"b", "a\nb", "a\tb", "a b", "a ", "a  ", " a", "a", "A",
    "ä", "a\u{308}", "ss", "ß", "a/", "a//", "a//b", "a/b", "a/b/", "a/b/c", "a/b/d/e", "a/\u{1}", "a0",
    "a.", "a-", "/", "//", "/a", "b/1", "b/2", "b/10", "c/x", "c/\u{10FFFF}", "c/\u{10FFFF}\u{10FFFF}z",
    "c0", "d\u{d7ff}", "d\u{d7ff}x", "d\u{e000}", "d\u{e000}/x", "d\u{10FFFF}", "d\u{10FFFF}/y", "e", "💚",
    "💚/💛", "💚/💜", "日本/東京", "日本/大阪", "日本語", "fab", "fabab", "faxb", "fababx", "g--h", "g--i", "g-h", "g---h",
    "h\u{10FFFF}\u{10FFFF}i", "\u{7f}", "\u{80}", "\u{fffd}", "$1", "?", "(…)", "null", "NULL", "{\"a\":1}",
    "i,j", "z",
];

/// Those, and the longest that there can be.
fn awkward_keys() -> BTreeSet<String> {
    let mut keys: BTreeSet<String> = AWKWARD.iter().map(|key| (*key).to_owned()).collect();
    keys.insert("x".repeat(1024));
    keys.insert(format!("y/{}", "\u{10FFFF}".repeat(255)));
    keys.insert("💚".repeat(256));
    keys
}

#[tokio::test]
async fn every_listing_is_what_the_definition_says() {
    for_each_engine(async |db| {
        let keys = awkward_keys();
        let mut stored: Vec<String> = keys.iter().cloned().collect();
        stored.push(Key::reserved(Fid::new(5).unwrap()).as_str().to_owned());
        add(&db, 3, &stored).await;
        add(&db, 2, &["before".to_owned()]).await;
        add(&db, 4, &["after".to_owned()]).await;
        let prefixes = [
            "",
            "a",
            "a/",
            "a//",
            "a/b",
            "b",
            "c/",
            "c/\u{10FFFF}",
            "d\u{d7ff}",
            "d",
            "💚",
            "日",
            "%",
            "_",
            "\\",
            "'",
            "zz",
            "fab",
            "\u{10FFFF}",
            "g-",
            "h\u{10FFFF}",
        ];
        let delimiters = [
            "",
            "/",
            "//",
            "ab",
            "--",
            "b",
            "💚",
            "\u{10FFFF}",
            "%",
            "'",
            "\n",
            "本",
        ];
        for prefix in prefixes {
            for delimiter in delimiters {
                for limit in [1, 3, 1000] {
                    let request = ListObjects {
                        prefix: prefix.to_owned(),
                        delimiter: delimiter.to_owned(),
                        from: ListFrom::Start,
                        limit,
                    };
                    let found = all_pages(&db, 3, request.clone()).await;
                    assert_eq!(found, expected(&keys, &request), "{request:?}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_listing_goes_on_behind_any_text() {
    for_each_engine(async |db| {
        let keys = awkward_keys();
        add(&db, 3, &keys.iter().cloned().collect::<Vec<_>>()).await;
        let texts = [
            "",
            "!",
            "a",
            "a/",
            "a//",
            "a/b",
            "a/b/",
            "a/b/c",
            "a/zzz",
            "b/1",
            "b/10",
            "b/",
            "c/\u{10FFFF}",
            "zzzz",
            "💚/",
            "日本/",
            "d\u{d7ff}",
            "fab",
            "fabz",
            "g--",
            "\u{10FFFF}",
            "%",
        ];
        for text in texts {
            for (prefix, delimiter) in [
                ("", ""),
                ("", "/"),
                ("a", "/"),
                ("a/", "/"),
                ("b/", ""),
                ("", "--"),
                ("fab", "ab"),
            ] {
                let request = ListObjects {
                    prefix: prefix.to_owned(),
                    delimiter: delimiter.to_owned(),
                    from: ListFrom::After(text.to_owned()),
                    limit: 1000,
                };
                let found = all_pages(&db, 3, request.clone()).await;
                assert_eq!(found, expected(&keys, &request), "{request:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn texts_with_nul_are_compared_as_bytes_and_refused_by_no_engine() {
    for_each_engine(async |db| {
        let keys = BTreeSet::from(["a", "a/", "a/b", "b"].map(str::to_owned));
        add(&db, 3, &keys.iter().cloned().collect::<Vec<_>>()).await;
        for (prefix, delimiter, after) in [
            ("a\0", "", ""),
            ("", "/\0", ""),
            ("", "", "a\0b"),
            ("", "/", "a/\0"),
            ("a", "/", "a\0"),
        ] {
            let request = ListObjects {
                prefix: prefix.to_owned(),
                delimiter: delimiter.to_owned(),
                from: ListFrom::After(after.to_owned()),
                limit: 1000,
            };
            let found = all_pages(&db, 3, request.clone()).await;
            assert_eq!(found, expected(&keys, &request), "{request:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_object_is_listed_with_what_s3_knows_of_it_and_a_clients_file_with_a_stand_in() {
    for_each_engine(async |db| {
        let args: Vec<Value> = vec![
            2_u8.into(),
            1_u8.into(),
            "mine".into(),
            9_u8.into(),
            4_u8.into(),
            1_u8.into(),
        ];
        db.write(move |tx| {
            let args = args.clone();
            Box::pin(async move {
                tx.run_list(&ADD_FILES, 1, args).await?;
                Ok(tx.run(&ADD_OBJECT, Vec::new()).await?)
            })
        })
        .await
        .unwrap();
        add(&db, 1, &["theirs".to_owned()]).await;

        for delimiter in ["", "/"] {
            let request = ListObjects {
                delimiter: delimiter.to_owned(),
                limit: 10,
                ..ListObjects::default()
            };
            let mut reader = db.reader().await.unwrap();
            let page = listing::page(&mut reader, DomainId(1), &request).await.unwrap();
            let [Entry::Object(mine), Entry::Object(theirs)] = page.entries.as_slice() else {
                panic!("{page:?}");
            };

            assert_eq!(mine.key.as_str(), "mine");
            assert_eq!(
                (mine.etag.clone(), mine.size, mine.class),
                (ETag("abc-2".to_owned()), 9, ClassId(4))
            );
            assert_eq!(mine.modified, Timestamp::from_millis(1_234_567_890_123));
            assert_eq!(mine.owner, Some(UserId("me".to_owned())));
            assert!(mine.checksum.is_some());
            assert_eq!(theirs.etag, ETag::stand_in(Fid::new(100_001).unwrap()));
            assert_eq!((theirs.modified, &theirs.owner), (Timestamp::default(), &None));
            assert!(theirs.checksum.is_none());
        }
    })
    .await;
}

#[tokio::test]
async fn no_entries_are_given_when_none_are_asked_for() {
    for_each_engine(async |db| {
        add(&db, 1, &["a".to_owned()]).await;
        let mut reader = db.reader().await.unwrap();

        let page = listing::page(&mut reader, DomainId(1), &ListObjects::default())
            .await
            .unwrap();

        assert!(page.entries.is_empty() && !page.more);
    })
    .await;
}

#[tokio::test]
async fn sqlite_answers_listings_by_seeks_alone() {
    let db = Db::open(DbConfig::Memory).await.unwrap();
    db.migrate().await.unwrap();
    let mut reader = db.reader().await.unwrap();
    for (name, statement) in listing::STATEMENTS {
        let explain = ["explain query plan ", statement.written_for(Engine::Sqlite)].concat();
        let explain = sql(Box::leak(explain.into_boxed_str()));
        let args = explain
            .written_for(Engine::Sqlite)
            .matches('?')
            .map(|_| Value::from(1_u8))
            .collect();
        let rows = reader.rows(&explain, args).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.text(3).unwrap()).collect();

        assert!(
            plan.iter()
                .any(|step| step.contains("(dmid=? AND dkey>? AND dkey<?)")),
            "{name}: {plan:#?}"
        );
        assert!(
            !plan
                .iter()
                .any(|step| step.contains("SCAN file") || step.contains("TEMP B-TREE")),
            "{name}: {plan:#?}"
        );
    }
}
