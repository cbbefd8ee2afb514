//! The one pass a body makes: into the digests and onto all chosen devices at once.

mod lanes;

use std::{mem, pin::Pin};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    future::{join, join_all},
    stream,
};
use tokio::sync::mpsc;

use crate::{
    digest::{Digests, HashType, Hasher},
    error::NodeError,
    fid::{DevFid, DevId, Fid},
    node::{Body, Node},
    pieces::{Pieces, long},
};
use lanes::Lanes;

/// Bodies up to this many bytes are held in memory, checked, and then sent to all targets at once.
const WHOLE_MAX: usize = 256 << 10;

/// Larger ones are hashed and sent in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// Pieces that wait for one target, at most; all targets share their memory. With one piece held back and those before
/// the digests' lanes, an upload holds some eight megabytes, however large it is.
const PIPE_PIECES: usize = 8;

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
/// the body fails, no node keeps anything. A target that fails is left behind and the others go on.
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
    let mut body = std::pin::pin!(body);
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
        target.put(request.fid, Some(size), body)
    });
    outcome(size, digests, join_all(puts).await)
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
    let (pipes, stored): (Vec<Pipe>, Vec<_>) = request
        .targets
        .iter()
        .map(|target| {
            let (sender, pieces) = mpsc::channel(PIPE_PIECES);
            let body = Body::from_stream(stream::unfold(pieces, async |mut pieces| {
                let piece = pieces.recv().await?;
                Some((piece, pieces))
            }));
            let pipe = Pipe {
                device: target.device,
                sender: Some(sender),
            };
            (pipe, target.put(request.fid, request.size, body))
        })
        .unzip();
    let feed = Feed {
        pipes,
        lanes: Lanes::new(&request.hashes),
        held: Vec::new(),
        size: 0,
    };
    let (sent, mut results) = join(feed.run(head, body, check), join_all(stored)).await;
    let sent = sent.map_err(UploadError::Body)?;
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
    async fn put(&self, fid: Fid, size: Option<u64>, body: Body) -> (DevId, Result<u64, NodeError>) {
        let device = self.device;
        let result = self.node.put(DevFid { device, fid }, size, body).await;
        (device, result)
    }
}

/// The way of a body to one target.
struct Pipe {
    device: DevId,
    /// `None` once the target has left.
    sender: Option<mpsc::Sender<Result<Bytes, GivenUp>>>,
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
}

/// What was fed.
struct Fed {
    size: u64,
    digests: Digests,
    /// Targets that went away before the end.
    left: Vec<DevId>,
}

impl Feed {
    /// Feeds the whole body. If it fails or the check refuses, every target is told to throw its part away.
    async fn run<S, E, C>(mut self, mut pieces: Pieces, mut body: Pin<&mut S>, check: C) -> Result<Fed, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        C: FnOnce(u64, &Digests) -> Result<(), E>,
    {
        self.take(&mut pieces).await;
        while let Some(frame) = body.next().await {
            match frame {
                Ok(frame) => pieces.push(frame),
                Err(error) => return Err(self.give_up(error).await),
            }
            if pieces.length() >= PIECE {
                self.take(&mut pieces).await;
                if self.pipes.iter().all(|pipe| pipe.sender.is_none()) {
                    // Nobody is left to send to; the caller learns from the targets' own errors.
                    return Ok(self.end(Digests::default()));
                }
            }
        }
        self.take(&mut pieces).await;
        let lanes = mem::replace(&mut self.lanes, Lanes::new(&[]));
        let digests = lanes.finish().await;
        if let Err(refusal) = check(self.size, &digests) {
            return Err(self.give_up(refusal).await);
        }
        let held = mem::take(&mut self.held);
        self.send(held).await;
        Ok(self.end(digests))
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
        for mut piece in pieces {
            while !piece.is_empty() {
                let part = piece.split_to(piece.len().min(PIECE));
                for pipe in &mut self.pipes {
                    pipe.send(Ok(part.clone())).await;
                }
            }
        }
    }

    async fn give_up<E>(mut self, error: E) -> E {
        for pipe in &mut self.pipes {
            pipe.send(Err(GivenUp)).await;
        }
        error
    }

    fn end(self, digests: Digests) -> Fed {
        let left = self.pipes.iter().filter(|pipe| pipe.sender.is_none());
        Fed {
            size: self.size,
            digests,
            left: left.map(|pipe| pipe.device).collect(),
        }
    }
}

impl Pipe {
    async fn send(&mut self, piece: Result<Bytes, GivenUp>) {
        if let Some(sender) = &self.sender
            && sender.send(piece).await.is_err()
        {
            self.sender = None;
        }
    }
}
