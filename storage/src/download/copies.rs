//! The copies of one file, read one after the other: which is open, at which byte, and who is asked when it is slow.
//!
//! A copy that fails is told of and never asked again. One that is merely slow is overtaken: where latencies are known, the next
//! one is asked as well after a while, whoever answers first is read, and the other goes to the end of the row.

use std::{collections::VecDeque, pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, poll_fn, select},
};
use http_body_util::BodyExt;

use super::{BadCopy, Download, DownloadError, Fault, Source};
use crate::{
    error::NodeError,
    fid::{DevFid, DevId},
    latency::{Asked, Latencies},
    node::{Body, ByteRange, Got},
    pieces::long,
};

/// How long a node may take to answer, and between two pieces. A healthy node answers in milliseconds, a disk that
/// must spin up in seconds.
const HANG: Duration = Duration::from_secs(5);

/// The copies of a file.
pub(super) struct Copies<F> {
    pub(super) request: Download,
    bad: F,
    /// Those that are not asked now, best first.
    waiting: VecDeque<Source>,
    current: Option<(Source, Body)>,
    /// Those that some of the bytes came from.
    used: Vec<Source>,
    /// The next byte to read.
    pub(super) at: u64,
    /// The byte after the last.
    pub(super) end: u64,
    /// How often a body may still be left because it pauses: copies that all pause are waited for in the end.
    pauses_left: usize,
}

/// A copy that was asked.
struct Ask {
    source: Source,
    /// When, if latencies are kept.
    asked: Option<Asked>,
    answer: BoxFuture<'static, Answer>,
}

/// What a node said; `None` if it said nothing in time.
type Answer = Option<Result<Got, NodeError>>;

/// What came next of a body.
type Frame = Option<Result<http_body::Frame<Bytes>, axum::Error>>;

/// How a race between a body that pauses and another copy ended.
enum Raced {
    /// The body went on.
    Frame(Frame),
    /// The other copy is open.
    Opened(Source, Body),
    /// The other copy cannot be read.
    Failed,
}

impl<F: Fn(BadCopy) + Send + Sync> Copies<F> {
    pub(super) fn new(request: Download, bad: F) -> Copies<F> {
        if let Some(latencies) = &request.latencies {
            latencies.read_begins();
        }
        Copies {
            bad,
            waiting: request.sources.clone().into(),
            current: None,
            used: Vec::new(),
            at: request.first,
            end: request.first.saturating_add(request.length).min(request.size),
            pauses_left: request.sources.len(),
            request,
        }
    }

    /// Whether a copy is open.
    pub(super) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Closes the copy that is open.
    pub(super) fn close(&mut self) -> Option<Source> {
        self.current.take().map(|(source, _)| source)
    }

    /// Those that some of the bytes came from.
    pub(super) fn used(&self) -> &[Source] {
        &self.used
    }

    /// Opens the best copy that answers at the offset reached; false when none is left.
    pub(super) async fn open(&mut self) -> bool {
        let mut asks = Vec::with_capacity(2);
        let mut patience = self.request.latencies.as_ref().map(Latencies::patience);
        loop {
            if asks.is_empty() {
                let Some(source) = self.waiting.pop_front() else {
                    return false;
                };
                asks.push(self.ask(source));
            }
            let alone = asks.len() == 1 && !self.waiting.is_empty();
            let Some((ask, answer)) = first_of(&mut asks, patience.filter(|_| alone)).await else {
                // Asked for once: who is not given one waits for what there is.
                patience = None;
                if self.may_hedge()
                    && let Some(source) = self.waiting.pop_front()
                {
                    asks.push(self.ask(source));
                }
                continue;
            };
            if let Some(opened) = self.opened(ask, answer) {
                for slower in asks {
                    self.overtaken(slower);
                }
                self.current = Some(opened);
                return true;
            }
        }
    }

    /// The next piece from the copy that is open. `None` at the end of what is wanted; or when the copy failed, which is
    /// then told of and closed.
    pub(super) async fn piece(&mut self) -> Option<Bytes> {
        while self.at < self.end {
            let (source, body) = self.current.take()?;
            let (source, body, frame) = self.frame(source, body).await;
            let fault = match frame {
                Some(Some(Ok(frame))) => {
                    self.current = Some((source, body));
                    match frame.into_data() {
                        Ok(mut piece) if !piece.is_empty() => {
                            let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
                            piece.truncate(wanted);
                            self.at += long(&piece);
                            return Some(piece);
                        }
                        Ok(_) | Err(_) => continue,
                    }
                }
                Some(Some(Err(_))) | None => Fault::Unreachable,
                Some(None) => Fault::Short,
            };
            self.tell(source.device, fault);
        }
        None
    }

    /// The next frame of a body, or the first one of another copy that was asked because this one pauses and that answered
    /// sooner. No frame if none came in time.
    async fn frame(&mut self, mut source: Source, mut body: Body) -> (Source, Body, Option<Frame>) {
        let stall = self.request.latencies.as_ref().map(Latencies::stall);
        let stall = stall.filter(|_| self.pauses_left > 0 && !self.waiting.is_empty());
        if let Some(stall) = stall {
            if let Some(frame) = in_time(stall, body.frame()).await {
                return (source, body, Some(frame));
            }
            if self.may_hedge()
                && let Some(next) = self.waiting.pop_front()
            {
                self.pauses_left -= 1;
                match self.raced(&mut body, next).await {
                    Raced::Frame(frame) => return (source, body, Some(frame)),
                    Raced::Opened(next, fresh) => {
                        if let Some(latencies) = &self.request.latencies {
                            latencies.waited_for(source.device, stall);
                        }
                        self.waiting.push_back(source);
                        (source, body) = (next, fresh);
                    }
                    Raced::Failed => {}
                }
            }
        }
        let frame = in_time(HANG, body.frame()).await;
        (source, body, frame)
    }

    /// What comes first: the next frame of a body that pauses, or the answer of another copy.
    async fn raced(&mut self, body: &mut Body, next: Source) -> Raced {
        let mut asks = vec![self.ask(next)];
        let answered = {
            let frame = pin!(body.frame());
            let other = pin!(first_of(&mut asks, None));
            match select(frame, other).await {
                Either::Left((frame, _)) => Err(frame),
                Either::Right((answered, _)) => Ok(answered),
            }
        };
        match answered {
            Err(frame) => {
                self.waiting.extend(asks.into_iter().map(|ask| ask.source));
                Raced::Frame(frame)
            }
            Ok(answered) => match answered.and_then(|(ask, answer)| self.opened(ask, answer)) {
                Some((source, body)) => Raced::Opened(source, body),
                None => Raced::Failed,
            },
        }
    }

    /// Asks a copy for what is left.
    fn ask(&self, source: Source) -> Ask {
        let at = DevFid {
            device: source.device,
            fid: self.request.fid,
        };
        let range = if self.at == 0 && self.end == self.request.size {
            ByteRange::Whole
        } else {
            ByteRange::Span {
                first: self.at,
                last: self.end - 1,
            }
        };
        let node = source.node.clone();
        let answer = async move { in_time(HANG, node.get(at, range)).await };
        Ask {
            asked: self.request.latencies.as_ref().map(|it| it.asked(source.device)),
            answer: answer.boxed(),
            source,
        }
    }

    /// The body of a copy that answered well; a copy that did not is told of.
    fn opened(&mut self, ask: Ask, answer: Answer) -> Option<(Source, Body)> {
        let fault = match answer {
            Some(Ok(got)) if got.size == self.request.size => {
                if let (Some(latencies), Some(asked)) = (&self.request.latencies, ask.asked) {
                    latencies.answered(asked);
                }
                self.used.push(ask.source.clone());
                return Some((ask.source, got.body));
            }
            Some(Ok(_)) => Fault::Short,
            Some(Err(error)) => fault_of(&error),
            None => {
                self.tell(ask.source.device, Fault::Unreachable);
                self.note_overtaken(&ask);
                return None;
            }
        };
        self.tell(ask.source.device, fault);
        None
    }

    /// A copy that another was faster than is not bad: it is the last to be asked again.
    fn overtaken(&mut self, slower: Ask) {
        self.note_overtaken(&slower);
        self.waiting.push_back(slower.source);
    }

    fn note_overtaken(&self, ask: &Ask) {
        if let (Some(latencies), Some(asked)) = (&self.request.latencies, ask.asked) {
            latencies.overtaken(asked);
        }
    }

    fn may_hedge(&self) -> bool {
        self.request.latencies.as_ref().is_some_and(Latencies::may_hedge)
    }

    /// Tells of a bad copy.
    pub(super) fn tell(&self, device: DevId, fault: Fault) {
        (self.bad)(BadCopy {
            fid: self.request.fid,
            device,
            fault,
        });
    }

    /// Nothing can be read on.
    pub(super) fn error(&self) -> DownloadError {
        DownloadError {
            fid: self.request.fid,
            at: self.at,
        }
    }
}

/// The first of these copies that answers, taken out of them; `None` if none does within `patience`.
async fn first_of(asks: &mut Vec<Ask>, patience: Option<Duration>) -> Option<(Ask, Answer)> {
    let answered = poll_fn(|context| {
        for (index, ask) in asks.iter_mut().enumerate() {
            if let Poll::Ready(answer) = ask.answer.as_mut().poll(context) {
                return Poll::Ready((index, answer));
            }
        }
        Poll::Pending
    });
    let (index, answer) = match patience {
        Some(patience) => in_time(patience, answered).await?,
        None => answered.await,
    };
    Some((asks.remove(index), answer))
}

/// What an error of a node says of its copy.
fn fault_of(error: &NodeError) -> Fault {
    match error {
        NodeError::NotFound => Fault::Missing,
        NodeError::OutOfRange { .. } => Fault::Short,
        NodeError::NoDevice
        | NodeError::Full
        | NodeError::Body(_)
        | NodeError::Unsupported(_)
        | NodeError::Digest(_)
        | NodeError::Source(_)
        | NodeError::Answer { .. }
        | NodeError::Device(_)
        | NodeError::Unreachable(_) => Fault::Unreachable,
    }
}

/// Waits for a node, but not for ever.
#[expect(
    clippy::disallowed_methods,
    reason = "a reader waits for a socket, not for a step of the domain: no simulated clock drives it"
)]
async fn in_time<T>(limit: Duration, step: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, step).await.ok()
}
