//! Measures the metadata engine: writes of objects by 64 waiters, point reads, pages of a listing.
//!
//! `cargo run --release -p mogul-tracker --example meta_bench -- DATABASE…`, where a database is a folder (SQLite in a new
//! file there) or a URL (an empty database on a server). One table row for each database; a million keys are loaded for
//! the reads.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mogul_tracker::{
    command::objects::{ListFrom, ListObjects},
    meta::{Db, DbConfig, Sql, Tx, Value, listing, sql::sql},
    model::DomainId,
};

const ADD_FILE: Sql =
    sql("insert into file (fid, dmid, dkey, length, classid, devcount) values (?, ?, ?, ?, ?, ?)");
const ADD_FILES: Sql = sql("insert into file (fid, dmid, dkey, length, classid, devcount) values (…)");
const ADD_REPLICAS: Sql = sql("insert into file_on (fid, devid) values (?, 1), (?, 2)");
const ADD_MANY_REPLICAS: Sql = sql("insert into file_on (fid, devid) values (…)");
const ADD_OBJECTS: Sql = sql("insert into mogul_object (fid, etag, modified_at) values (…)");
const FILE: Sql = sql("select fid, length from file where dmid = ? and dkey = ?");

/// Waiters at a time, as in technology.md.
const WAITERS: usize = 64;

/// Objects of one transaction of many-row statements: what the committer of uploads collects.
const GROUP: u64 = 64;

/// How long each thing is measured.
const MEASURED: Duration = Duration::from_secs(4);

/// Keys of the bucket that is read.
const KEYS: u64 = 1_000_000;

/// Rows of one statement while loading.
const LOADED_AT_ONCE: u64 = 1000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    println!(
        "{:<12} {:>12} {:>22} {:>22} {:>12} {:>10} {:>10} {:>10}",
        "engine",
        "1 waiter/s",
        "64 waiters/s (p50/p99)",
        "64 × 64 rows/s (p99)",
        "reads/s",
        "pages/s",
        "groups/s",
        "first ms"
    );
    for name in std::env::args().skip(1) {
        measure(&name).await?;
    }
    Ok(())
}

async fn measure(name: &str) -> Outcome<()> {
    let config = if name.contains("://") {
        DbConfig::Url(name.to_owned())
    } else {
        DbConfig::Sqlite {
            path: std::path::Path::new(name).join(format!("bench-{}.sqlite", std::process::id())),
        }
    };
    let db = Db::open(config).await?;
    db.migrate().await?;
    load(&db).await?;
    let fids = Arc::new(AtomicU64::new(KEYS + 1));
    let one = run(&db, 1, one_object, &fids).await?;
    let many = run(&db, WAITERS, one_object, &fids).await?;
    let rows = run(&db, WAITERS, many_rows, &fids).await?;
    let reads = run(&db, WAITERS, point_read, &Arc::new(AtomicU64::new(1))).await?;
    let first = Instant::now();
    page(&db, "", 0).await?;
    let first = first.elapsed();
    let pages = run(&db, 8, plain_page, &Arc::new(AtomicU64::new(1))).await?;
    let groups = run(&db, 8, rolled_up_page, &Arc::new(AtomicU64::new(1))).await?;
    println!(
        "{:<12} {:>12} {:>22} {:>22} {:>12} {:>10} {:>10} {:>10.1}",
        format!("{:?}", db.engine()),
        one.per_second,
        format!("{} ({}/{} ms)", many.per_second, many.p50_ms, many.p99_ms),
        format!("{} ({} ms)", rows.per_second * GROUP, rows.p99_ms),
        reads.per_second,
        pages.per_second,
        groups.per_second,
        first.as_secs_f64() * 1000.0,
    );
    Ok(())
}

/// What came of one measurement.
struct Figures {
    per_second: u64,
    p50_ms: u128,
    p99_ms: u128,
}

/// Runs `work` on `waiters` tasks for [`MEASURED`]; each call gets a number of its own.
async fn run<F, W>(db: &Db, waiters: usize, work: F, numbers: &Arc<AtomicU64>) -> Outcome<Figures>
where
    F: Fn(Db, u64) -> W + Copy + Send + 'static,
    W: Future<Output = Outcome<()>> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..waiters {
        let (db, stop, numbers) = (db.clone(), stop.clone(), numbers.clone());
        tasks.spawn(async move {
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let at = Instant::now();
                work(db.clone(), numbers.fetch_add(GROUP, Ordering::Relaxed)).await?;
                times.push(at.elapsed());
                if begin.elapsed() > MEASURED {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            Outcome::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(task) = tasks.join_next().await {
        times.extend(task??);
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_millis();
    Ok(Figures {
        per_second: u64::try_from(times.len())? * 1000 / u64::try_from(begin.elapsed().as_millis())?,
        p50_ms: at(50),
        p99_ms: at(99),
    })
}

/// Spread over the whole index, as keys of clients are.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

async fn one_object(db: Db, fid: u64) -> Outcome<()> {
    db.write(move |tx| {
        Box::pin(async move {
            let key = format!("new/{:016x}", scattered(fid));
            let file = vec![
                fid.into(),
                2_u8.into(),
                key.into(),
                4096_u32.into(),
                0_u8.into(),
                2_u8.into(),
            ];
            tx.run(&ADD_FILE, file).await?;
            Ok(tx.run(&ADD_REPLICAS, vec![fid.into(), fid.into()]).await?)
        })
    })
    .await?;
    Ok(())
}

async fn many_rows(db: Db, first: u64) -> Outcome<()> {
    db.write(move |tx| {
        Box::pin(async move { add(tx, 2, first, GROUP, |fid| format!("new/{:016x}", scattered(fid))).await })
    })
    .await?;
    Ok(())
}

/// Adds files with two replicas each, by statements of many rows.
async fn add(
    tx: &mut Tx,
    domain: u8,
    first: u64,
    count: u64,
    key: impl Fn(u64) -> String,
) -> Result<(), mogul_tracker::Error> {
    let fids = first..first + count;
    let rows = usize::try_from(count).map_err(|error| mogul_tracker::Error::Internal(error.to_string()))?;
    let files = fids.clone().flat_map(|fid| {
        [
            fid.into(),
            domain.into(),
            key(fid).into(),
            4096_u32.into(),
            0_u8.into(),
            2_u8.into(),
        ]
    });
    tx.run_list(&ADD_FILES, rows, files.collect()).await?;
    let replicas = fids.flat_map(|fid| [fid.into(), 1_u8.into(), fid.into(), Value::from(2_u8)]);
    tx.run_list(&ADD_MANY_REPLICAS, rows * 2, replicas.collect())
        .await?;
    Ok(())
}

/// A thousand keys in each folder.
fn loaded_key(fid: u64) -> String {
    format!("folder{:06}/object{:06}", fid / 1000, fid % 1000)
}

async fn load(db: &Db) -> Outcome<()> {
    for first in (1..=KEYS).step_by(1000) {
        db.write(move |tx| {
            Box::pin(async move {
                add(tx, 1, first, LOADED_AT_ONCE, loaded_key).await?;
                let objects = (first..first + LOADED_AT_ONCE).flat_map(|fid| {
                    [
                        fid.into(),
                        format!("{fid:032x}").into(),
                        Value::from(1_700_000_000_000_i64),
                    ]
                });
                Ok(tx.run_list(&ADD_OBJECTS, 1000, objects.collect()).await?)
            })
        })
        .await?;
    }
    Ok(())
}

async fn point_read(db: Db, number: u64) -> Outcome<()> {
    let key = loaded_key(scattered(number) % KEYS + 1);
    let rows = db
        .reader()
        .await?
        .rows(&FILE, vec![1_u8.into(), key.into()])
        .await?;
    drop(rows);
    Ok(())
}

async fn page(db: &Db, delimiter: &str, number: u64) -> Outcome<usize> {
    let request = ListObjects {
        delimiter: delimiter.to_owned(),
        from: if number == 0 {
            ListFrom::Start
        } else {
            ListFrom::After(loaded_key(scattered(number) % (KEYS - 100_000)))
        },
        limit: if delimiter.is_empty() { 1000 } else { 100 },
        ..ListObjects::default()
    };
    let page = listing::page(&mut db.reader().await?, DomainId(1), &request).await?;
    Ok(page.entries.len())
}

async fn plain_page(db: Db, number: u64) -> Outcome<()> {
    page(&db, "", number).await.map(drop)
}

async fn rolled_up_page(db: Db, number: u64) -> Outcome<()> {
    page(&db, "/", number).await.map(drop)
}
