//! `mogstored.conf` and the command line of `mogstored`, in the words of our settings (MogileFS reference §25.2).

use std::{collections::BTreeMap, path::Path};

use anyhow::bail;

use super::{
    Given, Ground, Original, files,
    options::{self, Opt},
};

/// Where the original looks for its file if it is told none.
const FILE: &str = "/etc/mogilefs/mogstored.conf";

/// The options of the command line, and the keys of the file.
const OPTIONS: &[Opt] = &[
    Opt::value("config").letter('c'),
    Opt::flag("skipconfig").letter('s'),
    Opt::flag("daemonize").letter('d'),
    Opt::flag("iostat"),
    Opt::value("httplisten"),
    Opt::value("mgmtlisten"),
    Opt::value("docroot"),
    Opt::value("maxconns"),
    Opt::value("pidfile"),
    Opt::value("server"),
    Opt::value("serverbin"),
];

/// What an option of the original no longer decides, and why.
const MOOT: &[(&str, &str)] = &[
    ("server", "mogul serves HTTP itself"),
    ("serverbin", "mogul serves HTTP itself"),
];

/// Reads a `mogstored.conf`.
///
/// # Errors
/// It cannot be read, is malformed, or has a key that the original does not know either.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<Given> {
    given(&read(path)?)
}

/// Reads the command line of a `mogstored`, and the file that it names.
///
/// # Errors
/// What is wrong with either, in a line.
pub(crate) fn of_command_line(arguments: impl IntoIterator<Item = String>) -> anyhow::Result<Given> {
    let (said, mut values) = files::told(options::parse(OPTIONS, arguments), FILE, read)?;
    values.extend(said.into_iter().map(|(name, value)| (name.to_owned(), value)));
    given(&values)
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let lines = files::lines_of(path, files::mogstored)?;
    for line in &lines {
        if !OPTIONS.iter().any(|option| option.name == line.key) {
            bail!("{}: Unknown config setting: {}", path.display(), line.key);
        }
    }
    Ok(lines.into_iter().map(|line| (line.key, line.value)).collect())
}

fn given(values: &BTreeMap<String, String>) -> anyhow::Result<Given> {
    let mut given = Given {
        announces: true,
        ..Given::of(Original::Mogstored)
    };
    for (key, value) in values {
        match key.as_str() {
            "httplisten" => given.set("storage.listen", &address(value)),
            "mgmtlisten" => given.set("sidechannel.listen", &address(value)),
            "docroot" => given.set("storage.docroot", value),
            "maxconns" => given.set("http.connections_max", value),
            "iostat" if value == "0" => given.set("sidechannel.watch", "off"),
            "daemonize" if value != "0" => given.ground = Ground::Background,
            "pidfile" => given.pidfile(value)?,
            // The first two were looked at before, the others ask for what is the default.
            "config" | "skipconfig" | "iostat" | "daemonize" => {}
            "server" if value == "perlbal" => {}
            _ => given.remark(key, MOOT),
        }
    }
    given.defaults("storage.listen", "0.0.0.0:7500");
    given.defaults("sidechannel.listen", "0.0.0.0:7501");
    given.defaults("storage.docroot", "/var/mogdata");
    Ok(given)
}

/// An address; a port alone means all addresses, as for Perlbal.
fn address(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("0.0.0.0:{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_file_becomes_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mogstored.conf");
        let text = "maxconns = 100\nhttplisten = 7510\nmgmtlisten=127.0.0.1:7511 # side\ndocroot = /d\niostat = 0\nserver = nginx\n";
        std::fs::write(&path, text).unwrap();

        let given = of_file(&path).unwrap();

        let settings: Vec<_> = given
            .settings
            .iter()
            .map(|(key, text)| (*key, text.as_str()))
            .collect();
        let expected = [
            ("http.connections_max", "100"),
            ("sidechannel.listen", "127.0.0.1:7511"),
            ("sidechannel.watch", "off"),
            ("storage.docroot", "/d"),
            ("storage.listen", "0.0.0.0:7510"),
        ];
        assert_eq!(settings, expected);
        assert_eq!(given.remarks.len(), 1, "{:?}", given.remarks);
    }

    #[test]
    fn an_unknown_key_is_refused_as_in_the_original() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mogstored.conf");
        std::fs::write(&path, "nonsense = 1\n").unwrap();

        let refused = of_file(&path).unwrap_err().to_string();

        assert!(refused.ends_with("Unknown config setting: nonsense"), "{refused}");
    }

    #[test]
    fn the_command_line_of_an_init_script_is_understood() {
        let arguments = [
            "--skipconfig",
            "--daemonize",
            "--httplisten=127.0.0.1:1",
            "--docroot=/x",
        ]
        .map(str::to_owned);

        let given = of_command_line(arguments).unwrap();

        assert_eq!(given.ground, Ground::Background);
        assert_eq!(given.settings["storage.listen"], "127.0.0.1:1");
        assert_eq!(given.settings["sidechannel.listen"], "0.0.0.0:7501");
    }
}
