//! The originals' configuration files: `key = value`, a line each, in two dialects (MogileFS reference §25).

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its key.
    pub(super) key: String,
    /// Its value, without blanks around it.
    pub(super) value: String,
}

/// The words of a command line, by option.
pub(super) type Said = Vec<(&'static str, String)>;

/// What a file and a command line say, by key.
pub(super) type Values = BTreeMap<String, String>;

/// What a program was told: the words of its command line, and what the file says that they name, as `read` reads it.
///
/// # Errors
/// What is wrong with either, in a line.
pub(super) fn told(
    said: Result<Said, String>,
    usual: &str,
    read: impl Fn(&Path) -> anyhow::Result<Values>,
) -> anyhow::Result<(Said, Values)> {
    let said = said.map_err(anyhow::Error::msg)?;
    let values = named(&said, usual).map(read).transpose()?;
    Ok((said, values.unwrap_or_default()))
}

/// The file that a command line names by `--config`, else the `usual` one if it is there; none after `--skipconfig`.
fn named<'a>(said: &'a [(&'static str, String)], usual: &'a str) -> Option<&'a Path> {
    if said
        .iter()
        .any(|(name, value)| *name == "skipconfig" && value == "1")
    {
        return None;
    }
    let last = said.iter().rev().find(|(name, _)| *name == "config");
    match last {
        Some((_, path)) => Some(Path::new(path)),
        None => Some(Path::new(usual)).filter(|usual| usual.exists()),
    }
}

/// Reads a file by the rules of its program: [`mogilefsd`] or [`mogstored`].
///
/// # Errors
/// It cannot be read, or is malformed.
pub(super) fn lines_of(
    path: &Path,
    rules: fn(&str) -> Result<Vec<Line>, String>,
) -> anyhow::Result<Vec<Line>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    rules(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// Reads a `mogilefsd.conf`: a blank before the `=` is mandatory, comments have lines of their own.
///
/// # Errors
/// The original's words.
pub(super) fn mogilefsd(text: &str) -> Result<Vec<Line>, String> {
    read(text, |line| {
        let (key, rest) = line.split_once(char::is_whitespace)?;
        Some((key, rest.trim_start().strip_prefix('=')?))
    })
    .map_err(|(number, _)| format!("Malformed config file (line {number})"))
}

/// Reads a `mogstored.conf`: comments may end a line.
///
/// # Errors
/// The original's words.
pub(super) fn mogstored(text: &str) -> Result<Vec<Line>, String> {
    read(text, |line| line.split('#').next()?.split_once('='))
        .map_err(|(_, line)| format!("Unknown config syntax: {line}"))
}

fn read(text: &str, split: impl Fn(&str) -> Option<(&str, &str)>) -> Result<Vec<Line>, (usize, &str)> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let word = |key: &str| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match split(line).map(|(key, value)| (key.trim(), value.trim())) {
            Some((key, value)) if word(key) => lines.push(Line {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            Some(_) | None => return Err((index + 1, line)),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(lines: Result<Vec<Line>, String>) -> Result<Vec<(String, String)>, String> {
        Ok(lines?.into_iter().map(|line| (line.key, line.value)).collect())
    }

    #[test]
    fn a_trackers_file_needs_a_blank_after_the_key() {
        let text = "# a comment\n\ndb_dsn = DBI:mysql:mogilefs:host=h;port=1\n  db_pass =\nlisten =\t127.0.0.1:7001  \n";

        let expected = [
            ("db_dsn", "DBI:mysql:mogilefs:host=h;port=1"),
            ("db_pass", ""),
            ("listen", "127.0.0.1:7001"),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(pairs(mogilefsd(text)), Ok(expected.to_vec()));
        assert_eq!(
            mogilefsd("a = 1\nb=2\n"),
            Err("Malformed config file (line 2)".to_owned())
        );
    }

    #[test]
    fn a_nodes_file_bears_comments_anywhere() {
        let text = "httplisten=0.0.0.0:7500 # http\n#x\ndocroot = /var/mogdata\n";

        let expected = [("httplisten", "0.0.0.0:7500"), ("docroot", "/var/mogdata")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(pairs(mogstored(text)), Ok(expected.to_vec()));
        assert_eq!(
            mogstored("nonsense"),
            Err("Unknown config syntax: nonsense".to_owned())
        );
    }
}
