//! The one pass a body makes: into the digests and onto all chosen devices at once.

mod lanes;
mod puts;

use std::{
    mem,
    pin::{Pin, pin},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{Either, join_all, select},
    stream::{self, FuturesUnordered},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    digest::{Digests, HashType, Hasher},
    error::NodeError,
    fid::{DevFid, DevId, Fid},
    node::{Body, Node},
    pieces::{Pieces, long},
};
use lanes::Lanes;
use puts::{Outcome, Puts, hung, within};

/// Bodies up to this many bytes are held in memory, checked, and then sent to all targets at once.
const WHOLE_MAX: usize = 256 << 10;

/// Larger ones are hashed and sent in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// Pieces that wait for one target, at most; all targets share their memory. With one piece held back and those before
/// the digests' lanes, an upload holds some eight megabytes, however large it is.
const PIPE_PIECES: usize = 8;

/// How long a client is made to wait for a device that hangs while others go on: disks that are busy take some seconds, and
/// clients give up after a minute.
pub const LAG_MAX: Duration = Duration::from_secs(20);

/// A device to write to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The device.
    pub device: DevId,
    /// The node that serves it.
    pub node: Node,
}

/// What to write, and where.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The fid.
    pub fid: Fid,
    /// The devices, at least one.
    pub targets: Vec<Target>,
    /// The size in bytes, if known.
    pub size: Option<u64>,
    /// The digests to compute.
    pub hashes: Vec<HashType>,
    /// How long a device may stay behind the others, with each piece of the body and when another has stored the file, before
    /// it counts as failed. Without it, as long as its node lets it.
    pub lag_max: Option<Duration>,
}

/// What was written.
#[derive(Debug)]
pub struct Uploaded {
    /// Size in bytes.
    pub size: u64,
    /// The digests.
    pub digests: Digests,
    /// Devices that have the file on stable storage.
    pub stored: Vec<DevId>,
    /// Devices that failed, and why.
    pub failed: Vec<(DevId, NodeError)>,
}

/// Why nothing was written.
#[derive(Debug)]
pub enum UploadError<E> {
    /// The body failed, or the check refused it; every node has thrown its part away.
    Body(E),
    /// No device took it.
    NoTarget(Vec<(DevId, NodeError)>),
}

/// Streams a body to all targets at once while its digests are computed; memory does not grow with the body.
///
/// `check` sees size and digests after the last byte, before any node is told that the body is whole: if it refuses, or
/// the body fails, no node keeps anything. A target that fails, or hangs, is left behind and the others go on.
///
/// # Errors
/// [`UploadError`].
///
/// # Cancel safety
/// Dropping the future before the check leaves nothing; later, a device may have the file: whoever reserved the fid
/// must give it up.
pub async fn upload<S, E, C>(request: Upload, body: S, check: C) -> Result<Uploaded, UploadError<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Send,
    C: FnOnce(u64, &Digests) -> Result<(), E> + Send,
{
    let mut body = pin!(body);
    let mut head = Pieces::default();
    while let Some(frame) = body.next().await {
        head.push(frame.map_err(UploadError::Body)?);
        if head.length() > WHOLE_MAX {
            return streamed(request, head, body, check).await;
        }
    }
    whole(request, head.take_one(), check).await
}

/// Sends a small body, once all of it is there.
async fn whole<E, C>(request: Upload, body: Bytes, check: C) -> Result<Uploaded, UploadError<E>>
where
    C: FnOnce(u64, &Digests) -> Result<(), E>,
{
    let size = long(&body);
    let mut hasher = Hasher::new(&request.hashes);
    hasher.update(&body);
    let digests = hasher.finish();
    check(size, &digests).map_err(UploadError::Body)?;
    let puts = request.targets.iter().map(|target| {
        let body = Body::from(body.clone());
        (target.device, target.put(request.fid, Some(size), body).boxed())
    });
    let results = Puts::new(puts).rest(request.lag_max);
    outcome(size, digests, results.await)
}

/// Sends a large body while it comes.
async fn streamed<S, E, C>(
    request: Upload,
    head: Pieces,
    body: Pin<&mut S>,
    check: C,
) -> Result<Uploaded, UploadError<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    C: FnOnce(u64, &Digests) -> Result<(), E>,
{
    let (pipes, puts): (Vec<Pipe>, Vec<_>) = request
        .targets
        .iter()
        .map(|target| {
            let (sender, pieces) = mpsc::channel(PIPE_PIECES);
            let (leave, left) = oneshot::channel();
            let put = target.put(request.fid, request.size, body_of(pieces));
            let device = target.device;
            let pipe = Pipe {
                device,
                ends: Some((sender, leave)),
            };
            (pipe, (device, unless_left(left, put).boxed()))
        })
        .unzip();
    let feed = Feed {
        pipes,
        lanes: Lanes::new(&request.hashes),
        held: Vec::new(),
        size: 0,
        lag_max: request.lag_max,
    };
    let mut puts = Puts::new(puts);
    // If the body fails, the requests are dropped in the middle of it.
    let sent = puts.beside(feed.run(head, body, check)).await;
    let sent = sent.map_err(UploadError::Body)?;
    let mut results = puts.rest(request.lag_max).await;
    for (device, result) in &mut results {
        if result.is_ok() && sent.left.contains(device) {
            *result = Err(NodeError::Body("the node answered before its end".to_owned()));
        }
    }
    outcome(sent.size, sent.digests, results)
}

/// Says who has the file.
fn outcome<E>(
    size: u64,
    digests: Digests,
    results: Vec<(DevId, Result<u64, NodeError>)>,
) -> Result<Uploaded, UploadError<E>> {
    let (mut stored, mut failed) = (Vec::new(), Vec::new());
    for (device, result) in results {
        match result {
            Ok(found) if found == size => stored.push(device),
            Ok(found) => failed.push((
                device,
                NodeError::Body(format!("the node kept {found} of {size} bytes")),
            )),
            Err(error) => failed.push((device, error)),
        }
    }
    if stored.is_empty() {
        return Err(UploadError::NoTarget(failed));
    }
    Ok(Uploaded {
        size,
        digests,
        stored,
        failed,
    })
}

impl Target {
    async fn put(&self, fid: Fid, size: Option<u64>, body: Body) -> Outcome {
        let device = self.device;
        self.node.put(DevFid { device, fid }, size, body).await
    }
}

/// A PUT, until its target is left: then it is dropped, and its node does not take what it has for a whole body.
async fn unless_left(left: oneshot::Receiver<()>, put: impl Future<Output = Outcome>) -> Outcome {
    let left = async {
        // Dropped with its pipe, at the end of the body, it says nothing.
        if left.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match select(pin!(put), pin!(left)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(hung()),
    }
}

/// The body of a request, out of its pipe. It ends where that says so; where the pipe just ends, it fails.
fn body_of(pieces: mpsc::Receiver<Piece>) -> Body {
    Body::from_stream(stream::try_unfold(pieces, async |mut pieces| {
        match pieces.recv().await {
            Some(Piece::Bytes(bytes)) => Ok(Some((bytes, pieces))),
            Some(Piece::End) => Ok(None),
            None => Err(GivenUp),
        }
    }))
}

/// The way of a body to one target.
struct Pipe {
    device: DevId,
    /// What takes the pieces, and what makes the request be dropped; `None` once the target is left.
    ends: Option<(mpsc::Sender<Piece>, oneshot::Sender<()>)>,
}

/// What passes a pipe.
#[derive(Clone)]
enum Piece {
    Bytes(Bytes),
    /// The body is whole.
    End,
}

/// Tells a node that the body ends here and is not whole.
#[derive(Debug, thiserror::Error)]
#[error("the body was given up")]
struct GivenUp;

/// What drives a body into the pipes and the lanes.
struct Feed {
    pipes: Vec<Pipe>,
    lanes: Lanes,
    /// The latest pieces: hashed, and sent when others follow or the check has agreed. A node that is told the size would
    /// take the last byte for the end of a whole body.
    held: Vec<Bytes>,
    size: u64,
    lag_max: Option<Duration>,
}

/// What was fed.
struct Fed {
    size: u64,
    digests: Digests,
    /// Targets that went away before the end.
    left: Vec<DevId>,
}

impl Feed {
    /// Feeds the whole body. If it fails or the check refuses, no target is told that it is whole.
    async fn run<S, E, C>(mut self, mut pieces: Pieces, mut body: Pin<&mut S>, check: C) -> Result<Fed, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        C: FnOnce(u64, &Digests) -> Result<(), E>,
    {
        self.take(&mut pieces).await;
        while let Some(frame) = body.next().await {
            pieces.push(frame?);
            if pieces.length() >= PIECE {
                self.take(&mut pieces).await;
                if self.pipes.iter().all(|pipe| pipe.ends.is_none()) {
                    // Nobody is left to send to; the caller learns from the targets' own errors.
                    return Ok(Fed {
                        size: self.size,
                        digests: Digests::default(),
                        left: self.left(),
                    });
                }
            }
        }
        self.take(&mut pieces).await;
        let lanes = mem::replace(&mut self.lanes, Lanes::new(&[]));
        let digests = lanes.finish().await;
        check(self.size, &digests)?;
        let held = mem::take(&mut self.held);
        self.send(held).await;
        let left = self.left();
        // A node that knows the size has gone by now.
        self.send_piece(&Piece::End).await;
        Ok(Fed {
            size: self.size,
            digests,
            left,
        })
    }

    /// Takes what was gathered, and sends what was held before.
    async fn take(&mut self, pieces: &mut Pieces) {
        if pieces.length() == 0 {
            return;
        }
        let next = pieces.take();
        self.size += next.iter().map(long).sum::<u64>();
        self.lanes.push(&next).await;
        let ready = mem::replace(&mut self.held, next);
        self.send(ready).await;
    }

    async fn send(&mut self, pieces: Vec<Bytes>) {
        for mut bytes in pieces {
            while !bytes.is_empty() {
                let part = bytes.split_to(bytes.len().min(PIECE));
                self.send_piece(&Piece::Bytes(part)).await;
            }
        }
    }

    /// Sends a piece to all targets. Once one has taken it, the others must not stay behind too long.
    async fn send_piece(&mut self, piece: &Piece) {
        let sends = self.pipes.iter_mut().map(|pipe| pipe.send(piece.clone()));
        let Some(lag_max) = self.lag_max else {
            join_all(sends).await;
            return;
        };
        let mut sends: FuturesUnordered<_> = sends.collect();
        let mut taken = Vec::new();
        while taken.is_empty()
            && let Some(took) = sends.next().await
        {
            taken.extend(took);
        }
        let rest = async {
            while let Some(took) = sends.next().await {
                taken.extend(took);
            }
        };
        within(lag_max, rest).await;
        drop(sends);
        for pipe in &mut self.pipes {
            if !taken.contains(&pipe.device)
                && let Some((_, leave)) = pipe.ends.take()
            {
                // Nobody hears it where the request is over.
                let _ = leave.send(());
            }
        }
    }

    /// Targets that went away, or were left.
    fn left(&self) -> Vec<DevId> {
        let left = self.pipes.iter().filter(|pipe| pipe.ends.is_none());
        left.map(|pipe| pipe.device).collect()
    }
}

impl Pipe {
    /// Hands a piece over when there is room for it. Answers with the device, unless it has gone.
    async fn send(&mut self, piece: Piece) -> Option<DevId> {
        let (sender, _) = self.ends.as_ref()?;
        if sender.send(piece).await.is_ok() {
            return Some(self.device);
        }
        self.ends = None;
        None
    }
}
