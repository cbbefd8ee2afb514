//! One connection of the tracker port: lines in, answers out, in the order in which they came (mogilefs.md §2.1).
//!
//! A connection does one request at a time; what the client sends meanwhile waits in the operating system's buffer once ours
//! holds a line. An idle connection holds one small buffer. Who accepts connections is the binary's affair.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    Face,
    console::{self, Console, Lines as Answers},
    error::{Code, Refusal},
    line::render,
    watch::Watching,
};

/// Longest request line in bytes. The original has no limit, its clients send a few kilobytes.
const LINE_BYTES_MAX: usize = 4 << 20;

/// What is read at a time, at least, in bytes.
const READ_BYTES: usize = 1 << 10;

/// A buffer that grew beyond this many bytes is given back when it is empty.
const BUFFER_BYTES_KEPT: usize = 64 << 10;

/// How long a client may leave an answer unread.
const UNREAD_MAX: Duration = Duration::from_mins(2);

/// What a connection has sent and we have not yet done.
#[derive(Debug, Default)]
struct Lines {
    buffer: BytesMut,
    /// Bytes of `buffer` known to hold no line end.
    searched: usize,
}

/// What comes next on a connection.
enum Next {
    /// A line, without its end; not empty.
    Line(Bytes),
    /// A line beyond [`LINE_BYTES_MAX`].
    TooLong,
    /// The client is done.
    End,
}

impl Lines {
    /// Waits for the next line.
    ///
    /// # Cancel safety
    /// Dropped, it loses nothing that was read.
    async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Next> {
        loop {
            if let Some(line) = self.take() {
                return Ok(match line.len() {
                    ..=LINE_BYTES_MAX => Next::Line(line),
                    _ => Next::TooLong,
                });
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Ok(Next::TooLong);
            }
            if self.buffer.is_empty() && self.buffer.capacity() > BUFFER_BYTES_KEPT {
                self.buffer = BytesMut::new();
            }
            self.buffer.reserve(READ_BYTES.max(self.buffer.len()));
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(Next::End);
            }
        }
    }

    /// The next line that is there and not empty.
    fn take(&mut self) -> Option<Bytes> {
        loop {
            let end = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            let Some(end) = end.map(|end| end + self.searched) else {
                self.searched = self.buffer.len();
                return None;
            };
            self.searched = 0;
            let mut line = self.buffer.split_to(end + 1);
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(end - 1);
            }
            if !line.is_empty() {
                return Some(line.freeze());
            }
        }
    }
}

impl Face {
    /// Talks with one client until it hangs up, stops reading, or `stop`; a request that runs is answered before.
    pub async fn converse<S>(&self, mut stream: S, client: IpAddr, stop: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Err(error) = self.exchange(&mut stream, client, stop).await {
            debug!(%client, %error, "connection ended");
        }
    }

    async fn exchange<S>(&self, stream: &mut S, client: IpAddr, stop: &CancellationToken) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut lines = Lines::default();
        let mut watching = None;
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                pushed = watched(&mut watching) => {
                    self.write(stream, format!("{pushed}\r\n").as_bytes()).await?;
                    continue;
                }
                next = lines.next(stream) => next?,
            };
            match next {
                Next::Line(line) => match console::console(self, &line).await {
                    None => {
                        // On the heap while it runs, so that an idle connection does not hold its room.
                        let answer = Box::pin(self.request(line, client)).await;
                        self.write(stream, answer.as_bytes()).await?;
                    }
                    Some(Console::Lines(answer)) => self.write(stream, &answer).await?,
                    Some(Console::Watch) => {
                        let answer = self.toggle(&mut watching);
                        self.write(stream, &answer).await?;
                    }
                    Some(Console::Shutdown) => {
                        info!(%client, "shutdown requested over the tracker port");
                        self.0.parts.shutdown.cancel();
                        return Ok(());
                    }
                },
                Next::TooLong => {
                    let text = format!("A request line has {LINE_BYTES_MAX} bytes at most");
                    let refusal = Err(Refusal::with(Code::BadParams, text));
                    return self.write(stream, render(&refusal, None).as_bytes()).await;
                }
                Next::End => return Ok(()),
            }
        }
    }

    /// Begins to watch the log, or ceases to.
    fn toggle(&self, watching: &mut Option<Watching>) -> Vec<u8> {
        let text = if watching.take().is_some() {
            "Removed you from watcher list."
        } else {
            *watching = Some(self.0.parts.watchers.watch());
            "Added you to watcher list."
        };
        Answers::default().line(text).end()
    }

    /// Writes an answer, and gives up a client that does not read it.
    async fn write(&self, stream: &mut (impl AsyncWrite + Unpin), answer: &[u8]) -> io::Result<()> {
        tokio::select! {
            written = stream.write_all(answer) => written,
            () = self.clock().sleep(UNREAD_MAX) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// The next line for a connection that watches the log; never, for one that does not.
async fn watched(watching: &mut Option<Watching>) -> Arc<str> {
    match watching {
        Some(watching) => watching.next().await,
        None => std::future::pending().await,
    }
}
