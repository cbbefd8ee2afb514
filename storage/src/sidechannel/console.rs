//! The words of Perlbal's management console that monitors of a mogstored use; a pure function.
//!
//! Perlbal's other words manage a Perlbal. They are unknown here, as any word that it did not know.

use std::{fmt::Write, net::SocketAddr};

/// The version of Perlbal whose answers these are: monitors compare it.
const PERLBAL: &str = "1.80";

/// The words that are answered, for `help`.
const WORDS: [&str; 6] = ["help", "obj", "show", "shutdown", "uptime", "version"];

/// What the console tells of the node.
#[derive(Debug)]
pub(super) struct About<'a> {
    /// When the node was started, unix seconds.
    pub(super) started: u64,
    /// The time, unix seconds.
    pub(super) now: u64,
    /// Where it serves HTTP.
    pub(super) http: SocketAddr,
    /// The folder that its devices are in, or several with commas.
    pub(super) docroot: &'a str,
}

/// Answers a line; each line of the answer ends in `\r\n`.
pub(super) fn answer(line: &str, about: &About<'_>) -> String {
    let words: Vec<String> = line
        .split_ascii_whitespace()
        .map(str::to_ascii_lowercase)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let lines = match words.as_slice() {
        [] => vec![String::new()],
        ["version" | "uptime"] => vec![
            format!("starttime {}", about.started),
            format!("uptime {}", about.now.saturating_sub(about.started)),
            format!("version {PERLBAL}"),
            ".".to_owned(),
        ],
        // Counts of Perl's objects: there are none.
        ["obj"] => vec![".".to_owned()],
        ["show", "service"] => vec![
            "mgmt not_listening ENABLED".to_owned(),
            format!("mogstored {} ENABLED", about.http),
            ".".to_owned(),
        ],
        ["show", "service", "mogstored"] => vec![
            "SERVICE mogstored".to_owned(),
            format!("     listening: {}", about.http),
            "          role: web_server".to_owned(),
            "  pend clients: 0".to_owned(),
            "  pend backend: 0".to_owned(),
            format!("        docroot: {}", about.docroot),
            ".".to_owned(),
        ],
        ["help"] => WORDS.iter().copied().chain(["."]).map(str::to_owned).collect(),
        [first, ..] => vec![format!("ERROR: unknown command: {}", word_of(first))],
    };
    lines.iter().fold(String::new(), |mut text, line| {
        write!(text, "{line}\r\n").expect("a string takes all text");
        text
    })
}

/// What Perlbal takes for the command: letters, digits and `_` at the beginning.
fn word_of(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_answers_as_recorded() {
        let about = About {
            started: 1_795_335_399,
            now: 1_795_335_617,
            http: "127.0.1.1:7500".parse().unwrap(),
            docroot: "/mogdata/h1",
        };
        for (line, expected) in [
            (
                "version",
                "starttime 1795335399\r\nuptime 218\r\nversion 1.80\r\n.\r\n",
            ),
            ("obj", ".\r\n"),
            ("", "\r\n"),
            (
                "show service",
                "mgmt not_listening ENABLED\r\nmogstored 127.0.1.1:7500 ENABLED\r\n.\r\n",
            ),
            ("fid_sizes 1 10", "ERROR: unknown command: fid_sizes\r\n"),
            ("SHA-256 /dev1/x", "ERROR: unknown command: sha\r\n"),
            ("SIZE /dev1/x", "ERROR: unknown command: size\r\n"),
        ] {
            assert_eq!(answer(line, &about), expected, "{line:?}");
        }
    }
}
