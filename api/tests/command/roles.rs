//! The other roles, and the originals' names, files and command lines.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Server, mogul, refusal};

/// The binary by another name, in an environment that says nothing.
fn called(name: &str) -> Command {
    let mut command = mogul();
    command.arg0(name);
    command
}

/// A docroot with `dev1`.
fn docroot() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dev1")).unwrap();
    root
}

/// A file in the originals' syntax.
fn conf(folder: &Path, name: &str, lines: &[String]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

/// Sends a line, and answers the next one.
fn ask(address: &str, line: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{line}\r\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}

fn node(root: &Path, more: &[&str]) -> Server {
    let mut command = mogul();
    command.args([
        "store",
        "--storage",
        "127.0.0.1:0",
        "--sidechannel",
        "127.0.0.1:0",
    ]);
    command.arg("--docroot").arg(root).args(more);
    Server::of(&mut command)
}

#[test]
fn a_store_serves_a_docroot_and_ends_by_its_side_channel() {
    let root = docroot();
    let mut store = node(root.path(), &[]);

    assert_eq!(store.get("storage", "/dev1/usage").0, 200);
    fs::create_dir(root.path().join("dev7")).unwrap();
    assert_eq!(store.get("storage", "/dev7/usage").0, 200);
    fs::write(root.path().join("dev1/file"), "12345").unwrap();
    let sidechannel = store.ports["sidechannel"].clone();
    assert_eq!(ask(&sidechannel, "size /dev1/file"), "/dev1/file 5");
    assert_eq!(ask(&sidechannel, "shutdown"), "");

    assert!(store.child.wait().unwrap().success());
}

#[test]
fn clients_outside_the_trusted_networks_are_hung_up_on() {
    let root = docroot();
    let store = node(root.path(), &["--trusted-networks", "10.0.0.0/8, ::1"]);

    for face in ["storage", "sidechannel"] {
        let mut stream = TcpStream::connect(&store.ports[face]).unwrap();
        // The other side may have closed already.
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        assert!(read.is_err() || answer.is_empty(), "{face}: {answer:?}");
    }
}

#[test]
fn roles_that_lack_what_they_need_are_refused_in_a_line() {
    let nothing = refusal(mogul().args([
        "store",
        "--storage",
        "127.0.0.1:0",
        "--sidechannel",
        "127.0.0.1:0",
    ]));
    assert!(nothing.contains("--docroot"), "{nothing}");

    let tracker = ["tracker", "--tracker", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let nowhere = refusal(mogul().args(tracker));
    assert!(nowhere.contains("--db"), "{nowhere}");
    let wrong = refusal(mogul().args(tracker).args(["--db", "oracle://me:secret@h/m"]));
    assert!(
        wrong.contains("DBI:mysql") && !wrong.contains("secret"),
        "{wrong}"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = conf(
        folder.path(),
        "mogilefsd.conf",
        &["db_dsn=DBI:SQLite:x".to_owned()],
    );
    let malformed = refusal(mogul().args(["tracker", "-c"]).arg(file));
    assert!(
        malformed.contains("Malformed config file (line 1)"),
        "{malformed}"
    );
}

#[test]
fn links_by_the_originals_names_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert!(
            mogul()
                .arg("links")
                .arg(folder.path())
                .output()
                .unwrap()
                .status
                .success()
        );
    }
    let original = folder.path().join("mogilefsd");
    assert_eq!(
        original.read_link().unwrap(),
        Path::new(env!("CARGO_BIN_EXE_mogul"))
    );

    fs::remove_file(&original).unwrap();
    fs::write(&original, "the original").unwrap();
    let refused = mogul().arg("links").arg(folder.path()).output().unwrap();
    assert!(!refused.status.success());
    assert_eq!(fs::read_to_string(original).unwrap(), "the original");
}

#[test]
fn a_mogstored_takes_the_originals_file_and_says_that_it_is_running() {
    let root = docroot();
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "httplisten=127.0.0.1:0 # http".to_owned(),
        "mgmtlisten = 127.0.0.1:0".to_owned(),
        format!("docroot = {}", root.path().display()),
        "iostat = 0".to_owned(),
        "maxconns = 100".to_owned(),
    ];
    let file = conf(folder.path(), "mogstored.conf", &lines);

    let store = Server::of(called("mogstored").arg("--config").arg(file));
    assert_eq!(
        ask(&store.ports["sidechannel"], "watch"),
        "ERR iostat unavailable"
    );
    let (code, printed) = store.terminate();

    assert_eq!((code, printed.as_str()), (Some(0), "Running.\n"));
}

#[test]
fn a_mogstored_in_the_background_serves_before_its_caller_goes_on() {
    let root = docroot();
    let folder = tempfile::tempdir().unwrap();
    let pidfile = folder.path().join("pid");
    let mut command = called("mogstored");
    command.args([
        "--skipconfig",
        "--daemonize",
        "--httplisten=127.0.0.1:0",
        "--mgmtlisten=127.0.0.1:0",
    ]);
    command.arg(format!("--docroot={}", root.path().display()));
    command.arg(format!("--pidfile={}", pidfile.display()));

    let started = command.output().unwrap();
    assert!(started.status.success(), "{started:?}");

    let process = fs::read_to_string(&pidfile).unwrap().trim().to_owned();
    assert_eq!(
        fs::read_link(format!("/proc/{process}/cwd")).unwrap(),
        Path::new("/")
    );
    assert!(Command::new("kill").arg(&process).status().unwrap().success());
    while pidfile.exists() {
        std::thread::yield_now();
    }
}

#[test]
fn a_daemon_that_cannot_serve_tells_its_caller_why() {
    let mut command = called("mogstored");
    command.args([
        "-s",
        "-d",
        "--httplisten=127.0.0.1:0",
        "--mgmtlisten=127.0.0.1:0",
        "--docroot=/nosuch",
    ]);

    let failed = command.output().unwrap();

    assert_eq!(failed.status.code(), Some(2));
    let text = String::from_utf8(failed.stderr).unwrap();
    assert!(text.contains("docroot /nosuch"), "{text}");
}

#[test]
fn a_mogilefsd_serves_a_database_that_mogdbsetup_made() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("mogilefs.db");
    let made = called("/usr/bin/mogdbsetup")
        .args(["--type=SQLite", "--yes"])
        .arg(format!("--dbname={}", database.display()))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let lines = [
        "# the tutorial's".to_owned(),
        format!("db_dsn = DBI:SQLite:{}", database.display()),
        "listen = 127.0.0.1:0, 127.0.0.2:0".to_owned(),
        "delete_jobs = 5".to_owned(),
    ];
    let file = conf(folder.path(), "mogilefsd.conf", &lines);

    let tracker = Server::of(called("mogilefsd").arg("-c").arg(file));
    assert_eq!(
        ask(&tracker.ports["tracker"], "create_domain domain=d"),
        "OK domain=d"
    );
    assert_eq!(tracker.get("admin", "/health/live").0, 200);
    let (code, _) = tracker.terminate();

    assert_eq!(code, Some(0));
}

#[test]
fn a_mogdbsetup_without_consent_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("mogilefs.db");

    let asked = called("mogdbsetup")
        .arg("--type=SQLite")
        .arg(format!("--dbname={}", database.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();

    assert!(!asked.status.success());
    assert!(
        String::from_utf8(asked.stdout)
            .unwrap()
            .contains("Continue? [N/y]")
    );
    assert!(!database.exists());
}

/// What the monitor, the replicator and the deleter of an original tracker send to a node, as recorded, with the status that
/// the original node answers. `{node}` stands for the host.
const OF_AN_ORIGINAL_TRACKER: [(&str, &str, u16); 11] = [
    (
        "GET /dev1/usage HTTP/1.0\r\nKeep-Alive: 300\r\nConnection: Keep-Alive, keep-alive\r\nHost: {node}\r\n\r\n",
        "",
        200,
    ),
    (
        "MKCOL /dev1/test-write/ HTTP/1.1\r\nConnection: Keep-Alive, keep-alive\r\nHost: {node}\r\nContent-Length: 0\r\n\r\n",
        "",
        400,
    ),
    (
        "PUT /dev1/test-write/test-write-1 HTTP/1.1\r\nHost: {node}\r\nContent-Type: application/octet-stream\r\nContent-Length: 22\r\n\r\n",
        "time=1795335452 rand=1",
        200,
    ),
    (
        "GET /dev1/test-write/test-write-1 HTTP/1.0\r\nConnection: Keep-Alive, keep-alive\r\nHost: {node}\r\n\r\n",
        "",
        200,
    ),
    (
        "PUT /dev1/test-write/test-md5 HTTP/1.1\r\nHost: {node}\r\nContent-MD5: kDPg4wXyR8DDyA0MeEjIsw==\r\nContent-Length: 1\r\n\r\n",
        ".",
        400,
    ),
    (
        "MKCOL /dev1/0/ HTTP/1.1\r\nHost: {node}\r\nContent-Length: 0\r\n\r\n",
        "",
        400,
    ),
    (
        "PUT /dev1/0/000/500/0000500002.fid HTTP/1.0\r\nConnection: keep-alive\r\nContent-length: 11\r\n\r\n",
        "hello world",
        200,
    ),
    (
        "HEAD /dev1/0/000/500/0000500002.fid HTTP/1.1\r\nKeep-Alive: 300\r\nHost: {node}\r\n\r\n",
        "",
        200,
    ),
    (
        "GET /dev1/0/000/500/0000500002.fid HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "",
        200,
    ),
    (
        "DELETE /dev1/0/000/500/0000500002.fid HTTP/1.1\r\nHost: {node}\r\n\r\n",
        "",
        204,
    ),
    (
        "HEAD /dev1/0/000/500/0000500002.fid HTTP/1.1\r\nHost: {node}\r\n\r\n",
        "",
        404,
    ),
];

#[test]
fn an_original_tracker_is_answered_on_one_connection() {
    let root = docroot();
    let store = node(root.path(), &[]);
    let mut stream = TcpStream::connect(&store.ports["storage"]).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());

    for (head, body, expected) in OF_AN_ORIGINAL_TRACKER {
        let head = head.replace("{node}", &store.ports["storage"]);
        write!(stream, "{head}{body}").unwrap();
        let (mut lines, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            assert_ne!(
                answers.read_line(&mut line).unwrap(),
                0,
                "closed after {head}{lines:?}"
            );
            if line == "\r\n" {
                break;
            }
            if let Some(text) = line.strip_prefix("Content-Length: ") {
                length = text.trim().parse().unwrap();
            }
            lines.push(line);
        }
        assert_eq!(lines[0][9..12], expected.to_string(), "{head}");
        if !head.starts_with("HEAD") {
            let mut content = vec![0; length];
            answers.read_exact(&mut content).unwrap();
            if head.contains("GET /dev1/0/") {
                assert_eq!(content, b"hello world");
            }
        }
    }
}
