//! The side channel of a storage node (port 7501): sizes, digests, how busy the disks are (MogileFS reference §24.3).
//!
//! Lines in, answers out, one at a time and in order. [`line`](mod@line) is what a line asks, [`console`] the words of the management
//! console behind it, [`iostat`] the stream of `watch` and how a tracker reads it. Who accepts connections is the binary's affair.

mod console;
mod iostat;
mod line;

pub use iostat::Watch;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Semaphore,
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

use crate::{
    device::Devices, digest::HashType, error::NodeError, fid::DevId, usage::unix_seconds, utilization::Meter,
};
use console::About;
use line::{Line, Urgency, place_of};

/// Longest line in bytes: a path below a device with its command is far shorter.
const LINE_BYTES_MAX: usize = 8 << 10;

/// Digests that are computed at a time, of all connections: each holds a thread and a disk.
const DIGESTS_MAX: usize = 8;

/// How long a client may leave an answer unread.
const UNREAD_MAX: Duration = Duration::from_mins(1);

/// How often `watch` tells of the disks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Whether `watch` is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// It is.
    On,
    /// It is refused (`iostat = 0` in mogstored.conf).
    Off,
}

/// What a side channel is made of.
#[derive(Debug)]
pub struct Parts {
    /// The devices of the node.
    pub devices: Arc<Devices>,
    /// Where the node serves HTTP.
    pub http: SocketAddr,
    /// The folder that the devices are in, or several with commas.
    pub docroot: String,
    /// Whether `watch` is answered.
    pub watching: Watching,
    /// Cancelled when a client asks for the end of the node.
    pub shutdown: CancellationToken,
}

/// The side channel: cheap to clone, shared by all connections.
#[derive(Debug, Clone)]
pub struct SideChannel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: Parts,
    /// When the node was started, unix seconds.
    started: u64,
    digests: Semaphore,
    /// One permit a device, for digests that nobody waits for.
    background: Mutex<BTreeMap<DevId, Arc<Semaphore>>>,
}

/// What a line is answered with.
enum Reply {
    Text(String),
    Watch,
    Shutdown,
}

impl SideChannel {
    /// A side channel over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> SideChannel {
        SideChannel(Arc::new(Shared {
            parts,
            started: unix_seconds(),
            digests: Semaphore::new(DIGESTS_MAX),
            background: Mutex::default(),
        }))
    }

    /// Talks with one client until it hangs up, stops reading, or `stop`.
    pub async fn converse<S>(&self, mut stream: S, stop: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        tokio::select! {
            () = stop.cancelled() => {}
            ended = self.exchange(&mut stream) => if let Err(error) = ended {
                tracing::debug!(%error, "side channel connection ended");
            },
        }
    }

    async fn exchange<S>(&self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = BytesMut::new();
        loop {
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                let line = String::from_utf8_lossy(line.trim_ascii_end());
                match self.answer(&line).await {
                    Reply::Text(text) => write(stream, &text).await?,
                    Reply::Watch => return self.watch(stream).await,
                    Reply::Shutdown => {
                        self.0.parts.shutdown.cancel();
                        return Ok(());
                    }
                }
            }
            if buffer.len() > LINE_BYTES_MAX {
                return write(stream, "ERROR: line too long\r\n").await;
            }
            buffer.reserve(LINE_BYTES_MAX);
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn answer(&self, line: &str) -> Reply {
        Reply::Text(match Line::parse(line) {
            Line::Watch => return Reply::Watch,
            Line::Shutdown => return Reply::Shutdown,
            Line::Size(uri) | Line::Digest { uri, .. } if uri.contains("..") => {
                "ERROR: uri invalid (contains ..)\r\n".to_owned()
            }
            Line::Size(uri) => match self.size(uri).await {
                Some(size) => format!("{uri} {size}\r\n"),
                None => format!("{uri} -1\r\n"),
            },
            Line::Digest { hash, uri, urgency } => match self.digest(uri, hash, urgency).await {
                Ok(hex) => format!("{uri} {}={hex}\r\n", hash.mogile_name()),
                Err(NodeError::NotFound | NodeError::NoDevice) => {
                    format!("{uri} {}=-1\r\n", hash.mogile_name())
                }
                Err(error) => {
                    tracing::warn!(uri, %error, "a file could not be read for its digest");
                    format!("ERR read {uri} at 0 failed\r\n")
                }
            },
            Line::Console(line) => {
                let parts = &self.0.parts;
                let about = About {
                    started: self.0.started,
                    now: unix_seconds(),
                    http: parts.http,
                    docroot: &parts.docroot,
                };
                console::answer(line, &about)
            }
        })
    }

    /// The size of a file or folder in bytes, if it is there.
    async fn size(&self, uri: &str) -> Option<u64> {
        let (device, place) = place_of(uri)?;
        let device = self.0.parts.devices.get(device).ok()?;
        let size = spawn_blocking(move || device.size(&place)).await;
        size.ok()?.ok()
    }

    /// The digest of a file in hex.
    async fn digest(&self, uri: &str, hash: HashType, urgency: Urgency) -> Result<String, NodeError> {
        let (device, place) = place_of(uri).ok_or(NodeError::NotFound)?;
        let device = self.0.parts.devices.get(device)?;
        let turn = match urgency {
            Urgency::Prompt => None,
            Urgency::Background => Some(self.turn(device.id())),
        };
        let _turn = match &turn {
            Some(turn) => turn.acquire().await.ok(),
            None => None,
        };
        let _slot = self.0.digests.acquire().await;
        match spawn_blocking(move || device.digest(&place, hash)).await {
            Ok(digest) => Ok(digest?.hex()),
            Err(lost) => Err(NodeError::Device(io::Error::other(lost))),
        }
    }

    /// The permit for digests of a device that nobody waits for.
    fn turn(&self, device: DevId) -> Arc<Semaphore> {
        let mut turns = self.0.background.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(device).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }

    /// Tells how busy the disks are until the client hangs up; what it sends is not read as lines any more.
    #[expect(
        clippy::disallowed_methods,
        reason = "the figures of a disk follow the wall clock; no simulated clock drives it"
    )]
    async fn watch<S>(&self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let meter = match self.0.parts.watching {
            Watching::On => Meter::start(),
            Watching::Off => Err(io::ErrorKind::Unsupported.into()),
        };
        let Ok(mut meter) = meter else {
            return write(stream, "ERR iostat unavailable\r\n").await;
        };
        let mut ticks = tokio::time::interval(WATCH_EVERY);
        ticks.tick().await;
        let mut ignored = [0; 64];
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                read = stream.read(&mut ignored) => match read? {
                    0 => return Ok(()),
                    _ => continue,
                },
            }
            let devices = self.0.parts.devices.all();
            let looked = spawn_blocking(move || {
                let report = meter.look(&devices);
                (meter, report)
            });
            let (again, report) = looked.await.map_err(io::Error::other)?;
            meter = again;
            write(stream, &iostat::text(&report?)).await?;
        }
    }
}

/// Writes an answer, and gives up a client that does not read it.
#[expect(
    clippy::disallowed_methods,
    reason = "this waits for a socket, not for a step of the domain: no simulated clock drives it"
)]
async fn write(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> io::Result<()> {
    match tokio::time::timeout(UNREAD_MAX, stream.write_all(text.as_bytes())).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
