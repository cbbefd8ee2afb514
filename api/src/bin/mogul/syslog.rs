//! The log of a daemon: lines to the machine's syslog, as the originals send them when they run in the background.
//!
//! The log never waits: what syslog does not take at once is lost.

use std::{
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Where syslog listens.
const SOCKET: &str = "/dev/log";

/// The facility `daemon` (RFC 3164 §4.1.1), as part of a priority.
const DAEMON: u8 = 3 << 3;

/// Longest line in bytes: more than syslog takes of one.
const LINE_BYTES_MAX: usize = 8 << 10;

/// Syslog, for the lines of one program.
#[derive(Debug)]
pub(crate) struct Syslog {
    /// What stands before each line: the program and its process.
    tag: String,
    path: PathBuf,
    /// Made when it is first used, and anew when syslog was.
    socket: Mutex<Option<UnixDatagram>>,
}

/// One line on its way there.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    syslog: &'a Syslog,
    severity: u8,
}

impl Syslog {
    /// The machine's syslog, for the program of this name.
    pub(crate) fn of(program: &str) -> Syslog {
        Syslog::at(Path::new(SOCKET), program)
    }

    fn at(path: &Path, program: &str) -> Syslog {
        Syslog {
            tag: format!("{program}[{}]: ", std::process::id()),
            path: path.to_owned(),
            socket: Mutex::default(),
        }
    }

    fn send(&self, severity: u8, text: &[u8]) {
        let mut line = format!("<{}>{}", DAEMON | severity, self.tag).into_bytes();
        line.extend_from_slice(text.trim_ascii_end());
        line.truncate(LINE_BYTES_MAX);
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = socket.as_ref().map(|socket| socket.send(&line));
        match sent {
            Some(Ok(_)) => {}
            // It is there, and busy.
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            // There is none yet, or another one.
            Some(Err(_)) | None => {
                *socket = self.connect().ok();
                if let Some(socket) = socket.as_ref() {
                    // A log that cannot be written has nobody to tell.
                    let _ = socket.send(&line);
                }
            }
        }
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        self.line(*meta.level())
    }
}

impl Syslog {
    fn line(&self, level: Level) -> Line<'_> {
        let severity = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        Line {
            syslog: self,
            severity,
        }
    }
}

impl io::Write for Line<'_> {
    /// Takes one whole line: the subscriber writes it at once.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.syslog.send(self.severity, text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn heard(server: &UnixDatagram) -> String {
        let mut line = [0; LINE_BYTES_MAX + 1];
        let length = server.recv(&mut line).unwrap();
        String::from_utf8_lossy(&line[..length]).into_owned()
    }

    #[test]
    fn lines_are_sent_under_the_programs_name_and_go_on_after_syslog_was_restarted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = Syslog::at(&path, "mogilefsd");
        let pid = std::process::id();
        syslog.line(Level::INFO).write_all(b"nobody listens yet").unwrap();

        let server = UnixDatagram::bind(&path).unwrap();
        syslog.line(Level::INFO).write_all(b"ready\n").unwrap();
        assert_eq!(heard(&server), format!("<30>mogilefsd[{pid}]: ready"));
        drop(server);
        std::fs::remove_file(&path).unwrap();
        syslog.line(Level::WARN).write_all(b"lost\n").unwrap();
        let server = UnixDatagram::bind(&path).unwrap();
        syslog.line(Level::ERROR).write_all(b"back\n").unwrap();

        assert_eq!(heard(&server), format!("<27>mogilefsd[{pid}]: back"));
    }

    #[test]
    fn a_syslog_that_does_not_read_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let server = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::at(&path, "mogilefsd");

        for _ in 0..10_000 {
            syslog
                .line(Level::INFO)
                .write_all(&[b'x'; 2 * LINE_BYTES_MAX])
                .unwrap();
        }

        assert_eq!(heard(&server).len(), LINE_BYTES_MAX);
    }
}
