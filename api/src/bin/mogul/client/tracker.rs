//! The client of the tracker port: one line there, one line back (`MogileFS`'s protocol, mogilefs.md §2).
//!
//! It speaks to our trackers and to original ones. It knows no command; who calls it does.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use mogul_tracker::clock::{Clock, SystemClock};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::sign::encode;

/// Largest answer in bytes: a page of a thousand keys of 1,024 bytes, each of them three characters long, is 3 MiB.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Most lines of an admin command's answer.
const ADMIN_LINES_MAX: usize = 100_000;

/// How long a tracker may take to accept a connection before the next one is tried.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long an answer may take: a change of configuration waits for a round of the monitor, and that for nodes that hang.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// What goes wrong between us and a tracker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrackerError {
    /// The tracker refused.
    #[error("{code} {text}")]
    Refused {
        /// The word that says why.
        code: String,
        /// The same for people.
        text: String,
    },
    /// No connection.
    #[error("cannot connect to the tracker {address}: {cause}")]
    Connect {
        /// Where to.
        address: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection to the tracker {address} broke: {cause}")]
    Broken {
        /// Which tracker.
        address: String,
        /// Why.
        cause: std::io::Error,
    },
    /// What came is no answer of a tracker.
    #[error("{address} is no tracker: it answered '{line}'")]
    Answer {
        /// Who answered.
        address: String,
        /// The beginning of the answer.
        line: String,
    },
    /// No answer came.
    #[error("the tracker {0} does not answer")]
    Overdue(String),
}

impl TrackerError {
    /// The name under which a benchmark counts it.
    pub(crate) fn code(&self) -> String {
        match self {
            TrackerError::Refused { code, .. } => code.clone(),
            TrackerError::Overdue(_) => "Timeout".to_owned(),
            TrackerError::Connect { .. } | TrackerError::Broken { .. } | TrackerError::Answer { .. } => {
                "Connection".to_owned()
            }
        }
    }
}

/// The pairs of an answer, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pairs(BTreeMap<String, String>);

impl Pairs {
    /// Parses `a=b&c=d`. Bytes that are no UTF-8 are shown as replacement characters.
    pub(crate) fn parse(text: &[u8]) -> Pairs {
        let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        Pairs(
            pairs
                .map(|pair| {
                    let mut halves = pair.splitn(2, |byte| *byte == b'=');
                    let name = halves.next().unwrap_or_default();
                    (decode(name), decode(halves.next().unwrap_or_default()))
                })
                .collect(),
        )
    }

    /// The value of a name; empty if there is none, as in `MogileFS`.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The value of a name as a number; 0 if it is none, as in `MogileFS`.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or(0)
    }

    /// All pairs, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// `+` is a blank, `%hh` a byte.
fn decode(text: &[u8]) -> String {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_encoding::percent_decode(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

/// A request's line, without its end.
pub(crate) fn line(command: &str, args: &[(&str, &str)]) -> String {
    let mut line = command.to_owned();
    for (index, (name, value)) in args.iter().enumerate() {
        let before = if index == 0 { ' ' } else { '&' };
        write!(line, "{before}{}={}", encode(name), encode(value)).expect("memory takes what is written");
    }
    line
}

/// One open connection to a tracker, for one request at a time.
#[derive(Debug)]
pub(crate) struct TrackerConnection {
    address: String,
    stream: BufReader<TcpStream>,
    answer: Vec<u8>,
}

impl TrackerConnection {
    /// Opens a connection to `HOST:PORT`.
    ///
    /// # Errors
    /// [`TrackerError::Connect`], [`TrackerError::Overdue`].
    pub(crate) async fn open(address: &str) -> Result<TrackerConnection, TrackerError> {
        let failed = |cause| TrackerError::Connect {
            address: address.to_owned(),
            cause,
        };
        let stream = tokio::select! {
            stream = TcpStream::connect(address) => stream.map_err(failed)?,
            () = SystemClock.sleep(CONNECT_MAX) => return Err(TrackerError::Overdue(address.to_owned())),
        };
        stream.set_nodelay(true).map_err(failed)?;
        Ok(TrackerConnection {
            address: address.to_owned(),
            stream: BufReader::new(stream),
            answer: Vec::new(),
        })
    }

    /// Opens a connection to the first of the trackers that takes one.
    ///
    /// # Errors
    /// The last tracker's.
    pub(crate) async fn first_of(addresses: &[String]) -> Result<TrackerConnection, TrackerError> {
        let (last, before) = addresses
            .split_last()
            .ok_or_else(|| TrackerError::Overdue("(none given)".to_owned()))?;
        for address in before {
            if let Ok(connection) = TrackerConnection::open(address).await {
                return Ok(connection);
            }
        }
        TrackerConnection::open(last).await
    }

    /// Sends a command and answers with the pairs of its answer.
    ///
    /// # Errors
    /// Any [`TrackerError`]; after one that is no refusal the connection is of no use.
    pub(crate) async fn request(
        &mut self,
        command: &str,
        args: &[(&str, &str)],
    ) -> Result<Pairs, TrackerError> {
        self.exchange(&line(command, args)).await.map(Pairs::parse)
    }

    /// Sends a line and answers with what stands behind the OK of its answer, not decoded.
    ///
    /// # Errors
    /// As [`TrackerConnection::request`].
    pub(crate) async fn exchange(&mut self, line: &str) -> Result<&[u8], TrackerError> {
        self.send(line).await?;
        self.read_line().await?;
        let answer = self.answer.as_slice();
        if let Some(args) = answer.strip_prefix(b"OK".as_slice()) {
            return Ok(args.trim_ascii());
        }
        match answer.strip_prefix(b"ERR ".as_slice()) {
            Some(refusal) => {
                let mut words = refusal.split(|byte| *byte == b' ');
                Err(TrackerError::Refused {
                    code: decode(words.next().unwrap_or_default()),
                    text: decode(words.next().unwrap_or_default()),
                })
            }
            None => Err(TrackerError::Answer {
                address: self.address.clone(),
                line: decode(&answer[..answer.len().min(100)]),
            }),
        }
    }

    /// Sends an admin command, such as `!stats`, and answers with its lines.
    ///
    /// # Errors
    /// As [`TrackerConnection::request`].
    pub(crate) async fn admin(&mut self, command: &str) -> Result<Vec<String>, TrackerError> {
        self.send(command).await?;
        let mut lines = Vec::new();
        while lines.len() < ADMIN_LINES_MAX {
            self.read_line().await?;
            match self.answer.as_slice() {
                b"." => break,
                line => lines.push(String::from_utf8_lossy(line).into_owned()),
            }
        }
        Ok(lines)
    }

    async fn send(&mut self, line: &str) -> Result<(), TrackerError> {
        let line = format!("{line}\r\n");
        let sent = self.stream.get_mut().write_all(line.as_bytes()).await;
        sent.map_err(|cause| self.broken(cause))
    }

    /// Reads one line into `answer`, without its end.
    async fn read_line(&mut self) -> Result<(), TrackerError> {
        self.answer.clear();
        let mut limited = (&mut self.stream).take(ANSWER_BYTES_MAX);
        let read = tokio::select! {
            read = limited.read_until(b'\n', &mut self.answer) => read,
            () = SystemClock.sleep(ANSWER_MAX) => return Err(TrackerError::Overdue(self.address.clone())),
        };
        read.map_err(|cause| self.broken(cause))?;
        if self.answer.pop() != Some(b'\n') {
            return Err(self.broken(std::io::ErrorKind::UnexpectedEof.into()));
        }
        if self.answer.last() == Some(&b'\r') {
            self.answer.pop();
        }
        Ok(())
    }

    fn broken(&self, cause: std::io::Error) -> TrackerError {
        TrackerError::Broken {
            address: self.address.clone(),
            cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_line_has_its_values_encoded() {
        let made = line("rename", &[("domain", "d"), ("from_key", "a b&c=d/é")]);

        assert_eq!(made, "rename domain=d&from_key=a%20b%26c%3Dd%2F%C3%A9");
    }

    #[test]
    fn pairs_are_decoded_and_missing_ones_are_empty() {
        let pairs = Pairs::parse(b"a=1&b=x+y%26z&c&=e");

        assert_eq!((pairs.number("a"), pairs.get("b")), (1, "x y&z"));
        assert_eq!((pairs.get("c"), pairs.get("d"), pairs.number("d")), ("", "", 0));
    }

    #[tokio::test]
    async fn a_refusal_is_told_from_an_answer_and_from_junk() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answers = b"OK \r\nERR dup Duplicate+name\r\n1\r\n2\r\n.\r\nHTTP/1.1 400\r\n";
            stream.write_all(answers).await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
        });
        let mut tracker = TrackerConnection::open(&address).await.unwrap();

        assert_eq!(tracker.request("noop", &[]).await.unwrap(), Pairs::parse(b""));
        let refused = tracker.request("noop", &[]).await.unwrap_err();
        assert_eq!(refused.to_string(), "dup Duplicate name");
        assert_eq!(tracker.admin("!jobs").await.unwrap(), ["1", "2"]);
        let junk = tracker.request("noop", &[]).await.unwrap_err();
        assert!(matches!(junk, TrackerError::Answer { .. }), "{junk}");
    }
}
