//! What a line asks; a pure function.

use crate::{device::Place, digest::HashType, fid::DevId};

/// A line of the side channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// How large a file is.
    Size(&'a str),
    /// The digest of a file.
    Digest {
        /// The algorithm.
        hash: HashType,
        /// The file.
        uri: &'a str,
        /// Whether somebody waits for it.
        urgency: Urgency,
    },
    /// How busy the disks are, from now on.
    Watch,
    /// The end of the node.
    Shutdown,
    /// A word of Perlbal's management console, or none that anybody knows.
    Console(&'a str),
}

/// Whether somebody waits for a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A client does.
    Prompt,
    /// fsck does: one at a time and device will do.
    Background,
}

impl Line<'_> {
    /// Reads a line, without its end. Commands are case-sensitive but for `watch`, as in the original.
    pub(super) fn parse(line: &str) -> Line<'_> {
        let mut words = line.split_ascii_whitespace();
        let words = [words.next(), words.next(), words.next(), words.next()];
        match words {
            [Some("size"), Some(uri), None, None] => Line::Size(uri),
            [Some("shutdown"), None, None, None] => Line::Shutdown,
            [Some(word), None, None, None] if word.eq_ignore_ascii_case("watch") => Line::Watch,
            [Some(word), Some(uri), reason, None] => match HashType::of_mogile(word) {
                Some(hash) => Line::Digest {
                    hash,
                    uri,
                    urgency: if reason == Some("fsck") {
                        Urgency::Background
                    } else {
                        Urgency::Prompt
                    },
                },
                None => Line::Console(line),
            },
            _ => Line::Console(line),
        }
    }
}

/// The device and the file that a URI names, if it is one that a node may have.
pub(super) fn place_of(uri: &str) -> Option<(DevId, Place)> {
    let (folder, rest) = uri.trim_start_matches('/').split_once('/')?;
    let device = DevId::of_folder(folder)?;
    Some((device, Place::named(device, rest.trim_end_matches('/'))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood_as_in_the_original() {
        let digest = |hash, urgency| Line::Digest {
            hash,
            uri: "/dev1/x",
            urgency,
        };
        for (line, expected) in [
            ("size /dev1/x", Line::Size("/dev1/x")),
            ("size", Line::Console("size")),
            ("size a b", Line::Console("size a b")),
            ("SIZE /dev1/x", Line::Console("SIZE /dev1/x")),
            ("MD5 /dev1/x", digest(HashType::Md5, Urgency::Prompt)),
            ("MD5 /dev1/x fsck", digest(HashType::Md5, Urgency::Background)),
            ("SHA-1 /dev1/x replicate", digest(HashType::Sha1, Urgency::Prompt)),
            ("SHA-256 /dev1/x", Line::Console("SHA-256 /dev1/x")),
            ("md5 /dev1/x", Line::Console("md5 /dev1/x")),
            ("watch", Line::Watch),
            ("WATCH", Line::Watch),
            ("shutdown", Line::Shutdown),
            ("Shutdown", Line::Console("Shutdown")),
            ("", Line::Console("")),
        ] {
            assert_eq!(Line::parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_uri_names_a_file_below_a_device_or_nothing() {
        let device = DevId::new(1).unwrap();
        let place = Place::named(device, "0/000").unwrap();
        assert_eq!(place_of("/dev1/0/000"), Some((device, place.clone())));
        assert_eq!(place_of("dev1/0/000/"), Some((device, place)));
        for uri in [
            "/",
            "/dev1",
            "/dev1/",
            "/etc/passwd",
            "/dev1/tmp/0",
            "/dev1/a b",
            "/dev1/./x",
        ] {
            assert_eq!(place_of(uri), None, "{uri}");
        }
    }
}
