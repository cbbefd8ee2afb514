//! The originals' names, files and command lines: `mogilefsd`, `mogstored`, `mogdbsetup` (MogileFS reference §25).
//!
//! Called by one of their names, the binary takes the command line of that program. What an original's file or command line
//! says becomes settings of ours ([`Given`]), a layer between the defaults and the environment. [`options`] reads
//! command lines as Perl does, [`files`] the files, [`dsn`] the names of databases, [`daemon`] is the way into the background.

pub(crate) mod daemon;
pub(crate) mod dsn;
mod files;
pub(crate) mod links;
pub(crate) mod mogdbsetup;
pub(crate) mod mogilefsd;
pub(crate) mod mogstored;
mod options;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::syslog::Syslog;

/// A program of MogileFS that this binary stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Original {
    /// The tracker.
    Mogilefsd,
    /// The storage node.
    Mogstored,
    /// The maker of the database.
    Mogdbsetup,
}

/// What an original's file and command line say, in the words of our settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// The texts of settings by their keys.
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// What was said in vain, for the log.
    pub(crate) remarks: Vec<String>,
    /// Whose file or command line it is.
    pub(crate) program: Option<Original>,
    /// Where to run.
    pub(crate) ground: Ground,
    /// A file for the process id, absolute.
    pub(crate) pidfile: Option<PathBuf>,
    /// Whether `Running.` is printed when all is served, for which scripts wait.
    pub(crate) announces: bool,
}

/// Where a server runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ground {
    /// On the terminal, or under a supervisor.
    #[default]
    Foreground,
    /// As a daemon.
    Background,
}

impl Original {
    /// All of them.
    pub(crate) const ALL: [Original; 3] = [Original::Mogilefsd, Original::Mogstored, Original::Mogdbsetup];

    /// The name of the program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Original::Mogilefsd => "mogilefsd",
            Original::Mogstored => "mogstored",
            Original::Mogdbsetup => "mogdbsetup",
        }
    }

    /// The one whose name the path of a program ends in.
    pub(crate) fn called(program: &Path) -> Option<Original> {
        let name = program.file_name()?;
        Self::ALL.into_iter().find(|original| name == original.name())
    }
}

impl Given {
    /// Whether a configuration file is one of an original: ours are TOML and named so.
    pub(crate) fn is_original(path: &Path) -> bool {
        path.extension().is_none_or(|extension| extension != "toml")
    }

    /// What a program that says this begins with.
    fn of(program: Original) -> Given {
        Given {
            program: Some(program),
            ..Given::default()
        }
    }

    /// Where a daemon's log goes, under the original's name.
    pub(crate) fn syslog(&self) -> Option<Syslog> {
        match self.ground {
            Ground::Foreground => None,
            Ground::Background => self.program.map(|program| Syslog::of(program.name())),
        }
    }

    fn set(&mut self, key: &'static str, text: &str) {
        self.settings.insert(key, text.to_owned());
    }

    /// Sets what was not said.
    fn defaults(&mut self, key: &'static str, text: &str) {
        self.settings.entry(key).or_insert_with(|| text.to_owned());
    }

    fn pidfile(&mut self, path: &str) -> anyhow::Result<()> {
        self.pidfile = Some(std::path::absolute(path).context("pidfile")?);
        Ok(())
    }

    /// Notes that an option decides nothing here.
    fn remark(&mut self, key: &str, moot: &[(&str, &str)]) {
        let reason = moot.iter().find(|(name, _)| *name == key);
        self.remarks.push(match reason {
            Some((_, reason)) => format!("{key} no longer matters: {reason}"),
            None => format!("{key} is not known; it is ignored, as the original does"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_decides_wherever_it_lies() {
        for (path, expected) in [
            ("/usr/bin/mogilefsd", Some(Original::Mogilefsd)),
            ("mogstored", Some(Original::Mogstored)),
            ("./mogdbsetup", Some(Original::Mogdbsetup)),
            ("mogul", None),
            ("mogilefsd.old", None),
        ] {
            assert_eq!(Original::called(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn only_toml_is_ours() {
        assert!(Given::is_original(Path::new("/etc/mogilefs/mogilefsd.conf")));
        assert!(Given::is_original(Path::new("conf")));
        assert!(!Given::is_original(Path::new("mogul.toml")));
    }
}
