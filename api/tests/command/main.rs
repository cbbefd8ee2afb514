//! The binary as operators meet it: exit codes, one-line errors, start and stop, the admin command line.

#![expect(clippy::unwrap_used, reason = "this is all test, helpers included")]

mod roles;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use mogul_tracker::meta::{Db, DbConfig, settings};

/// A running server on free ports; killed if a test ends without stopping it.
struct Server {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    /// Each face's address.
    ports: BTreeMap<String, String>,
    /// What it warned of while it started.
    warnings: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that stopped already cannot be killed, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts `mogul server` and waits until it says that it is ready.
    fn start(dirs: &[PathBuf], more: &[&str]) -> Server {
        Server::of(server(dirs).args(more))
    }

    /// Starts any role and waits until it says that it is ready.
    fn of(command: &mut Command) -> Server {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Server {
            child,
            log,
            ports: BTreeMap::new(),
            warnings: Vec::new(),
        };
        loop {
            let line = server.next_line();
            match line["message"].as_str() {
                Some("listening") => {
                    let text = |name: &str| line[name].as_str().unwrap().to_owned();
                    server.ports.insert(text("face"), text("address"));
                }
                Some("ready") => return server,
                Some(message) if line["level"] == "WARN" => server.warnings.push(message.to_owned()),
                _ => {}
            }
        }
    }

    fn next_line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "the server ended");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
    }

    /// A GET without a signature; status and body.
    fn get(&self, face: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.ports[face]).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// Sends SIGTERM; what it printed on standard output.
    fn terminate(mut self) -> (Option<i32>, String) {
        let sent = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
        let status = self.child.wait().unwrap();
        let mut printed = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut printed)
            .unwrap();
        (status.code(), printed)
    }

    fn admin(&self, dir: &Path, arguments: &[&str]) -> Output {
        let endpoint = format!("http://{}", self.ports["admin"]);
        mogul()
            .args(["admin", "--endpoint", &endpoint, "--data", dir.to_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap()
    }
}

/// The binary in an environment that says nothing.
fn mogul() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mogul"));
    for (name, _) in std::env::vars() {
        if name.starts_with("MOGUL_") || name.starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
}

/// `mogul server` on free ports.
fn server(dirs: &[PathBuf]) -> Command {
    let mut command = mogul();
    command.arg("server").args(dirs);
    command.args([
        "--s3",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--storage",
        "127.0.0.1:0",
        "--sidechannel",
        "127.0.0.1:0",
        "--tracker",
        "127.0.0.1:0",
    ]);
    command
}

fn folders(names: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let dirs = names.iter().map(|name| folder.path().join(name)).collect();
    (folder, dirs)
}

/// Runs a start that must be refused with exit code 2, and answers its one line.
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn a_wrong_start_is_refused_in_one_line_and_leaves_nothing_behind() {
    let (folder, dirs) = folders(&["data"]);
    let config = folder.path().join("mogul.toml");

    std::fs::write(&config, "[s3]\nlissten = '127.0.0.1:0'").unwrap();
    let line = refusal(server(&dirs).arg("--config").arg(&config));
    assert!(line.contains("did you mean 's3.listen'?"), "{line}");

    let line = refusal(server(&dirs).args(["--log", "[[["]));
    assert!(line.contains("--log"), "{line}");

    let line =
        refusal(server(&dirs).args(["--tls-cert", "/nonexistent.pem", "--tls-key", "/nonexistent.key"]));
    assert!(line.contains("/nonexistent.pem"), "{line}");

    std::fs::write(folder.path().join("not.pem"), "hello").unwrap();
    let wrong = folder.path().join("not.pem");
    let line = refusal(
        server(&dirs)
            .arg("--tls-cert")
            .arg(&wrong)
            .arg("--tls-key")
            .arg(&wrong),
    );
    assert!(line.contains("not.pem"), "{line}");

    assert!(!dirs[0].exists());
}

#[test]
fn a_port_that_is_taken_is_named_with_its_flag() {
    let (_folder, dirs) = folders(&["data"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let line = refusal(
        mogul()
            .arg("server")
            .args(&dirs)
            .args(["--s3", &address, "--admin", "127.0.0.1:0"]),
    );

    assert!(
        line.contains(&address) && line.contains("taken") && line.contains("--s3"),
        "{line}"
    );
    assert!(!dirs[0].exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let (folder, _) = folders(&[]);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();

    let line = refusal(&mut server(&[file.join("data")]));

    assert!(line.contains("file/data") && line.contains("may write"), "{line}");
}

#[test]
fn a_known_default_secret_is_refused() {
    let (_folder, dirs) = folders(&["data"]);
    let mut command = server(&dirs);
    command.env("MOGUL_ROOT_ACCESS_KEY", "minioadmin");
    command.env("MOGUL_ROOT_SECRET_KEY", "minioadmin");

    let line = refusal(&mut command);

    assert!(line.contains("well-known"), "{line}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let (_folder, dirs) = folders(&["data"]);
    std::fs::create_dir_all(&dirs[0]).unwrap();
    let path = dirs[0].join("mogul.db");
    let db = Db::open(DbConfig::Sqlite { path }).await.unwrap();
    db.migrate().await.unwrap();
    let newer =
        db.write(|tx| Box::pin(async move { Ok(settings::set(tx, "mogul_schema_version", "9999").await?) }));
    newer.await.unwrap();
    drop(db);

    let line = refusal(&mut server(&dirs));

    assert!(line.contains("9999") && line.contains("newer"), "{line}");
}

#[test]
fn a_server_starts_prints_roots_key_once_and_stops_on_sigterm() {
    let (_folder, dirs) = folders(&["a", "b"]);

    let first = Server::start(&dirs, &[]);
    assert_eq!(first.get("admin", "/health/live").0, 200);
    assert_eq!(
        first.get("admin", "/health/ready"),
        (200, r#"{"status":"ready"}"#.to_owned())
    );
    assert_eq!(first.get("admin", "/admin/v1/users").0, 401);
    assert_eq!(first.get("s3", "/").0, 403);
    let line = refusal(&mut server(&dirs[1..]));
    assert!(line.contains("in use"), "{line}");
    let (code, printed) = first.terminate();
    assert_eq!(code, Some(0));
    assert!(
        printed.contains("AWS_ACCESS_KEY_ID=MG") && printed.contains("s3 mb"),
        "{printed}"
    );
    assert!(dirs[0].join("dev1").is_dir() && dirs[1].join("dev2").is_dir());

    let (code, printed) = Server::start(&dirs, &[]).terminate();
    assert_eq!((code, printed.as_str()), (Some(0), ""));
}

#[test]
fn more_copies_than_devices_are_warned_of_and_no_more_than_that() {
    for (copies, warned) in [("2", false), ("3", true)] {
        let (_root, dirs) = folders(&["a", "b"]);

        let server = Server::start(&dirs, &["--copies", copies]);

        let about_copies = server.warnings.iter().any(|text| text.contains("copies"));
        assert_eq!(about_copies, warned, "{:?}", server.warnings);
    }
}

#[test]
fn the_admin_command_manages_users_and_keys() {
    let (_folder, dirs) = folders(&["data"]);
    let server = Server::start(&dirs, &[]);
    let admin = |arguments: &[&str]| server.admin(&dirs[0], arguments);

    let added = admin(&[
        "user",
        "add",
        "ann",
        "--display-name",
        "Ann",
        "--access-key",
        "ANNKEY",
        "--secret-key",
        "ann-secret",
    ]);
    assert!(added.status.success(), "{}", text(&added));
    assert!(text(&added).contains("ann-secret"));
    let again = admin(&["user", "add", "ann"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("exists"), "{}", text(&again));

    let made: serde_json::Value =
        serde_json::from_slice(&admin(&["--json", "key", "add", "ann"]).stdout).unwrap();
    let made = made["access_key"].as_str().unwrap();
    let keys = text(&admin(&["key", "list", "ann"]));
    assert!(keys.contains("ANNKEY") && keys.contains(made), "{keys}");
    assert!(!keys.contains("ann-secret"));
    assert!(text(&admin(&["user", "list"])).contains("Ann"));

    assert!(admin(&["key", "remove", "ANNKEY"]).status.success());
    assert!(admin(&["user", "remove", "ann"]).status.success());
    assert_eq!(text(&admin(&["key", "list"])).lines().count(), 1);
    assert_eq!(admin(&["user", "remove", "ann"]).status.code(), Some(1));

    let mut stranger = mogul();
    stranger.args([
        "admin",
        "--endpoint",
        &format!("http://{}", server.ports["admin"]),
        "user",
        "list",
    ]);
    stranger
        .env("AWS_ACCESS_KEY_ID", "nobody")
        .env("AWS_SECRET_ACCESS_KEY", "nothing-at-all");
    let refused = stranger.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn a_job_that_is_paused_stays_so_over_a_restart_until_it_is_resumed() {
    let (_folder, dirs) = folders(&["data"]);
    let states = |server: &Server| -> BTreeMap<String, String> {
        let listed = server.admin(&dirs[0], &["jobs", "--json"]);
        let jobs: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
        let text = |job: &serde_json::Value, name: &str| job[name].as_str().unwrap().to_owned();
        jobs.iter()
            .map(|job| (text(job, "name"), text(job, "state")))
            .collect()
    };
    let server = Server::start(&dirs, &[]);

    assert!(
        server
            .admin(&dirs[0], &["jobs", "pause", "fsck"])
            .status
            .success()
    );
    let refused = server.admin(&dirs[0], &["jobs", "pause", "sweep"]);
    assert!(
        text(&refused).contains("sweep must not pause"),
        "{}",
        text(&refused)
    );
    assert_eq!(states(&server)["fsck"], "paused");
    assert!(
        server
            .get("admin", "/metrics")
            .1
            .contains("mogul_job_paused{job=\"fsck\"} 1")
    );
    server.terminate();

    let server = Server::start(&dirs, &[]);
    assert_eq!(states(&server)["fsck"], "paused");
    assert!(
        server
            .admin(&dirs[0], &["jobs", "resume", "fsck"])
            .status
            .success()
    );
    assert_ne!(states(&server)["fsck"], "paused");
}

#[test]
fn the_benchmark_measures_and_cleans_up() {
    let (_folder, dirs) = folders(&["data"]);
    let server = Server::start(&dirs, &[]);
    let key: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dirs[0].join("root-credentials.json")).unwrap()).unwrap();

    for op in ["put", "get", "head", "mixed", "list", "delete"] {
        let measured = mogul()
            .args([
                "bench",
                "s3",
                "--endpoint",
                &format!("http://{}", server.ports["s3"]),
                "--bucket",
                "bench",
            ])
            .args([
                "--op",
                op,
                "--concurrency",
                "4",
                "--duration",
                "300ms",
                "--objects",
                "40",
                "--json",
            ])
            .env("AWS_ACCESS_KEY_ID", key["access_key"].as_str().unwrap())
            .env("AWS_SECRET_ACCESS_KEY", key["secret_key"].as_str().unwrap())
            .output()
            .unwrap();
        assert!(measured.status.success(), "{op}: {}", text(&measured));
        let report: serde_json::Value = serde_json::from_slice(&measured.stdout).unwrap();
        assert!(report["operations"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(report["errors"], serde_json::json!({}), "{report}");
        let latency = |name: &str| report["latency_ms"][name].as_f64().unwrap();
        assert!(
            latency("p50") > 0.0 && latency("p50") <= latency("p99.9"),
            "{report}"
        );
    }
}
