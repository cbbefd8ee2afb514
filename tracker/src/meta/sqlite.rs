//! SQLite in a file: one connection writes, a few read.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use futures_util::future::BoxFuture;
use sqlx::{
    ConnectOptions as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    db::DbLoad,
    error::DbError,
    tx::{Connection, Tx},
    writer::Writer,
};
use crate::Error;

/// A SQLite database.
#[derive(Debug)]
pub(super) struct Sqlite {
    readers: SqlitePool,
    writer: Writer,
    /// The folder of a scratch database, removed with it.
    _scratch: Option<tempfile::TempDir>,
}

/// Connections that read; each has a thread of its own.
const READERS_MAX: u32 = 8;

/// How much of the file a reader maps: as much as SQLite lets (`SQLITE_MAX_MMAP_SIZE`), since mapped pages are the
/// kernel's cache. Measured with 10 M files: two to three times the point reads.
const READER_MMAP_BYTES: &str = "2147418112";

/// Page cache of a reader in KiB (SQLite counts KiB as negative): small, the mapping does the work.
const READER_CACHE: &str = "-2048";

/// Page cache of the writer in KiB: the inner pages of the indexes that random keys touch.
const WRITER_CACHE: &str = "-65536";

/// Pages in the write-ahead log (64 MiB) that make the writer copy them into the file; commits wait meanwhile. Measured with
/// 64 writers on a machine at load 17: p99 of a commit 194 ms at 1,000 pages, 148 ms at 4,000, 51 ms at 16,000. More
/// would lengthen the start after a crash, which reads the log.
const CHECKPOINT_PAGES: &str = "16000";

/// Statements that a connection keeps prepared: more than we have, and the lengths of short lists.
const PREPARED_MAX: usize = 512;

impl Sqlite {
    /// Opens the database in a file, made if it is not there.
    pub(super) async fn open(path: &Path) -> Result<Sqlite, DbError> {
        make_file(path).map_err(|source| DbError::File {
            path: path.to_owned(),
            source,
        })?;
        Self::connect(path, SqliteSynchronous::Full, None).await
    }

    /// Opens an empty database that goes with its last handle. Nothing is synced: nobody will read it after a crash.
    pub(super) async fn open_scratch() -> Result<Sqlite, DbError> {
        let scratch = tempfile::tempdir().map_err(|source| DbError::File {
            path: std::env::temp_dir(),
            source,
        })?;
        let path: PathBuf = scratch.path().join("mogul.sqlite");
        make_file(&path).map_err(|source| DbError::File {
            path: path.clone(),
            source,
        })?;
        Self::connect(&path, SqliteSynchronous::Off, Some(scratch)).await
    }

    async fn connect(
        path: &Path,
        synchronous: SqliteSynchronous,
        scratch: Option<tempfile::TempDir>,
    ) -> Result<Sqlite, DbError> {
        let common = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(false)
            .statement_cache_capacity(PREPARED_MAX)
            .disable_statement_logging();
        let writing = common
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("cache_size", WRITER_CACHE);
        // The writer comes first: it puts the file into WAL mode, which readers cannot.
        let connection = writing.connect().await.map_err(DbError::Open)?;
        let reading = common
            .read_only(true)
            .pragma("mmap_size", READER_MMAP_BYTES)
            .pragma("cache_size", READER_CACHE);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_lazy_with(reading);
        let writer = Writer::spawn(Tx(Connection::SqliteWriter(connection)));
        Ok(Sqlite {
            readers,
            writer,
            _scratch: scratch,
        })
    }

    /// Runs one command: see [`super::Db::write`].
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, Error>> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        self.writer.write(work).await
    }

    /// How busy it is.
    pub(super) fn load(&self) -> DbLoad {
        DbLoad {
            connections: u64::from(self.readers.size()),
            idle: u64::try_from(self.readers.num_idle()).unwrap_or(u64::MAX),
            waiting: self.writer.waiting(),
        }
    }

    /// A connection that reads: see [`super::Db::reader`].
    pub(super) async fn reader(&self) -> Result<Tx, DbError> {
        let connection = self.readers.acquire().await.map_err(DbError::Connection)?;
        Ok(Tx(Connection::Sqlite(connection)))
    }
}

/// Makes the file, readable by its owner alone because secret keys are in it, and its directory entry durable: SQLite
/// syncs the entry of its log, and leaves that of the file itself to whoever made it.
fn make_file(path: &Path) -> Result<(), std::io::Error> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => file.sync_all()?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
