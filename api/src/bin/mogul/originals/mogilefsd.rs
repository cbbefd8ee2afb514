//! `mogilefsd.conf` and the command line of `mogilefsd`, in the words of our settings (MogileFS reference §25.1).

use std::{collections::BTreeMap, path::Path};

use super::{
    Given, Ground, Original, files,
    options::{self, Opt},
};

/// Where the original looks for its file if it is told none.
const FILE: &str = "/etc/mogilefs/mogilefsd.conf";

/// The port of a listener that names none.
const PORT: &str = "7001";

/// What the original listens on if it is told nothing.
const EVERYWHERE: &str = "0.0.0.0";

/// The options of the command line. Where the file has another name for one, the file's is the alias.
const OPTIONS: &[Opt] = &[
    Opt::value("config").letter('c'),
    Opt::flag("skipconfig").letter('s'),
    Opt::flag("daemonize").letter('D'),
    Opt::flag("debug").letter('d'),
    Opt::value("db_dsn").alias("dsn"),
    Opt::value("db_user").alias("dbuser"),
    Opt::value("db_pass").alias("dbpass"),
    Opt::value("user"),
    Opt::value("conf_port").alias("confport").letter('p'),
    Opt::value("listen").letter('l'),
    Opt::value("query_jobs").alias("workers").letter('w'),
    Opt::value("min_free_space"),
    Opt::value("max_disk_age"),
    Opt::value("default_mindevcount"),
    Opt::value("node_timeout"),
    Opt::value("conn_timeout"),
    Opt::value("conn_pool_size"),
    Opt::value("max_handles"),
    Opt::value("pidfile"),
    Opt::flag("job_master"),
    Opt::flag("no_schema_check"),
    Opt::value("plugins"),
    Opt::value("mogstored_stream_port"),
    Opt::value("repl_use_get_port"),
    Opt::value("local_network"),
    Opt::flag("no_http"),
    Opt::value("workerport"),
];

/// What an option of the original no longer decides, and why.
const MOOT: &[(&str, &str)] = &[
    (
        "user",
        "the process keeps the user that started it, as the original did",
    ),
    (
        "delete_jobs",
        "deletions run side by side in one process; !want changes how many",
    ),
    (
        "replicate_jobs",
        "copies run side by side in one process; see jobs.replicate_at_once",
    ),
    (
        "fsck_jobs",
        "fsck runs side by side in one process; see queue_rate_for_fsck",
    ),
    ("reaper_jobs", "one reaper is enough"),
    ("monitor_jobs", "one monitor is enough, as in the original"),
    (
        "job_master",
        "workers take their jobs from the database themselves",
    ),
    ("max_disk_age", "the original did not use it either"),
    (
        "node_timeout",
        "a node that hangs is given up by limits of each step of a request",
    ),
    ("conn_timeout", "connections to nodes have two seconds"),
    (
        "conn_pool_size",
        "connections to nodes are shared by all work and grow with it",
    ),
    (
        "max_handles",
        "connections to the database are renewed when they break",
    ),
    (
        "no_schema_check",
        "the schema is checked and brought up to date at every start",
    ),
    ("plugins", "there are no plugins in Perl here"),
    (
        "repl_use_get_port",
        "reads go to the host's http_get_port wherever it has one",
    ),
    (
        "rebalance_ignore_missing",
        "a file that is missing at its source is left to fsck",
    ),
    ("local_network", "copies are read from the nearest healthy node"),
    ("no_http", "the original ignored it"),
    ("workerport", "the original ignored it"),
];

/// Reads a `mogilefsd.conf`.
///
/// # Errors
/// It cannot be read, or is malformed.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<Given> {
    given(&read(path)?)
}

/// Reads the command line of a `mogilefsd`, and the file that it names.
///
/// # Errors
/// What is wrong with either, in a line.
pub(crate) fn of_command_line(arguments: impl IntoIterator<Item = String>) -> anyhow::Result<Given> {
    let (said, mut values) = files::told(options::parse(OPTIONS, arguments), FILE, read)?;
    overlay(&mut values, said);
    given(&values)
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let lines = files::lines_of(path, files::mogilefsd)?;
    Ok(lines.into_iter().map(|line| (line.key, line.value)).collect())
}

/// Lays the command line over the file: its lists are repeated options, its counters repeated letters.
fn overlay(values: &mut BTreeMap<String, String>, said: Vec<(&'static str, String)>) {
    let mut listen = Vec::new();
    for (name, value) in said {
        match name {
            "config" | "skipconfig" => {}
            "listen" => listen.push(value),
            _ => {
                values.insert(name.to_owned(), value);
            }
        }
    }
    if !listen.is_empty() {
        values.insert("listen".to_owned(), listen.join(","));
    }
}

fn given(values: &BTreeMap<String, String>) -> anyhow::Result<Given> {
    let mut given = Given::of(Original::Mogilefsd);
    let mut port = PORT;
    for (key, value) in values {
        match key.as_str() {
            "db_dsn" => given.set("db.url", value),
            "db_user" => given.set("db.user", value),
            "db_pass" => given.set("db.password", value),
            "conf_port" => port = value,
            "listener_jobs" => given.set("tracker.query_workers", value),
            "query_jobs" if !values.contains_key("listener_jobs") => {
                given.set("tracker.query_workers", value);
            }
            "min_free_space" => given.set("storage.min_free", &format!("{value}MiB")),
            "default_mindevcount" => given.set("classes.copies", value),
            "mogstored_stream_port" => given.set("tracker.sidechannel_port", value),
            "debug" if !off(value) => given.set("log", "debug"),
            "daemonize" if !off(value) => given.ground = Ground::Background,
            "pidfile" => given.pidfile(value)?,
            // The first is looked at below, the others ask for what is the default.
            "listen" | "query_jobs" | "debug" | "daemonize" => {}
            _ => given.remark(key, MOOT),
        }
    }
    let listen = values.get("listen").map_or(EVERYWHERE, String::as_str);
    let addresses: Vec<String> = listen
        .split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(|address| with_port(address, port))
        .collect();
    given.set("tracker.listen", &addresses.join(","));
    given.defaults("db.url", "DBI:mysql:mogilefs");
    given.defaults("db.user", "mogile");
    // An original has no such port: two of them on one machine must not be kept from starting by it.
    given.set("admin.listen", "127.0.0.1:0");
    Ok(given)
}

/// What Perl takes for false.
fn off(value: &str) -> bool {
    ["", "0"].contains(&value)
}

/// An address with a port; one that names none gets this one.
fn with_port(address: &str, port: &str) -> String {
    match address.matches(':').count() {
        0 => format!("{address}:{port}"),
        1 => address.to_owned(),
        _ if address.contains("]:") => address.to_owned(),
        _ => format!("[{}]:{port}", address.trim_matches(['[', ']'])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &Given) -> Vec<(&'static str, &str)> {
        let settings = given.settings.iter();
        settings.map(|(key, text)| (*key, text.as_str())).collect()
    }

    #[test]
    fn a_tutorials_file_becomes_settings() {
        let text = "# Enable daemon mode\ndaemonize = 1\npidfile = /run/m.pid\ndb_dsn = DBI:mysql:mogilefs:host=db\n\
                    db_user = mogile\ndb_pass = secret\nlisten = 127.0.0.1:7001, 10.0.0.1\nconf_port = 7002\n\
                    listener_jobs = 10\nquery_jobs = 5\ndelete_jobs = 1\nmin_free_space = 200\nnonsense = 1\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mogilefsd.conf");
        std::fs::write(&path, text).unwrap();

        let given = of_file(&path).unwrap();

        let expected = [
            ("admin.listen", "127.0.0.1:0"),
            ("db.password", "secret"),
            ("db.url", "DBI:mysql:mogilefs:host=db"),
            ("db.user", "mogile"),
            ("storage.min_free", "200MiB"),
            ("tracker.listen", "127.0.0.1:7001,10.0.0.1:7002"),
            ("tracker.query_workers", "10"),
        ];
        assert_eq!(settings(&given), expected);
        assert_eq!(
            (given.ground, given.pidfile.as_deref()),
            (Ground::Background, Some(Path::new("/run/m.pid")))
        );
        assert_eq!(given.remarks.len(), 2, "{:?}", given.remarks);
    }

    #[test]
    fn the_command_line_beats_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.conf");
        std::fs::write(&path, "db_user = file\nlisten = 1.2.3.4\n").unwrap();
        let arguments = [
            "-d",
            "--dbuser",
            "line",
            "--listen=127.0.0.1:1",
            "-l",
            "[::1]",
            "-c",
        ];
        let arguments = arguments
            .map(str::to_owned)
            .into_iter()
            .chain([path.display().to_string()]);

        let given = of_command_line(arguments).unwrap();

        let expected = [
            ("admin.listen", "127.0.0.1:0"),
            ("db.url", "DBI:mysql:mogilefs"),
            ("db.user", "line"),
            ("log", "debug"),
            ("tracker.listen", "127.0.0.1:1,[::1]:7001"),
        ];
        assert_eq!(settings(&given), expected);
    }

    #[test]
    fn every_option_is_honoured_or_explained() {
        let honoured = [
            "config",
            "skipconfig",
            "daemonize",
            "debug",
            "db_dsn",
            "db_user",
            "db_pass",
            "conf_port",
            "listen",
            "query_jobs",
            "min_free_space",
            "default_mindevcount",
            "pidfile",
            "mogstored_stream_port",
        ];
        for option in OPTIONS {
            let explained = MOOT.iter().any(|(name, _)| *name == option.name);
            assert!(explained != honoured.contains(&option.name), "{}", option.name);
        }
    }
}
