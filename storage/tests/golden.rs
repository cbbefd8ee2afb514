//! What was recorded of an original mogstored, asked of ours: `golden/node.jsonl` on its HTTP port, `golden/sidechannel.jsonl` on
//! its side channel (MogileFS reference §23, §24, §30). Where we differ on purpose, [`DIFFERENCES`] says so.

#![expect(clippy::unwrap_used, reason = "this is all test, helpers included")]

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::BodyExt;
use mogul_storage::{
    Devices, Durability,
    server::router,
    sidechannel::{Parts, SideChannel, Watching},
};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Recorded cases that we answer otherwise, with the reason.
const DIFFERENCES: [(&str, &str); 12] = [
    (
        "PUT Content-Range (partial)",
        "refused: the original replaces the file by the part",
    ),
    ("GET after partial PUT", "the file is whole"),
    (
        "PUT Content-Range in the middle",
        "refused: the original replaces the file by the part",
    ),
    ("GET after 2nd partial PUT", "the file is whole"),
    ("Range -3", "the last bytes, as RFC 9110 wants, not the first"),
    ("OPTIONS", "names our extensions"),
    (
        "If-Modified-Since equal",
        "the usage file is as fresh as the request",
    ),
    (
        "PUT with malformed Content-MD5",
        "refused before the body is read, so there is no actual digest",
    ),
    ("usage file", "has other figures"),
    (
        "PUT onto a directory",
        "the line says what the operating system says",
    ),
    ("PUT below a file", "the line says what the operating system says"),
    ("help", "names only the words that we answer"),
];

fn differs(case: &str) -> bool {
    DIFFERENCES.iter().any(|(name, _)| *name == case)
}

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or("")
}

/// A node with `dev1` and `dev2`, as the recorded one.
fn node() -> (tempfile::TempDir, Arc<Devices>) {
    let root = tempfile::tempdir().unwrap();
    for name in ["dev1", "dev2"] {
        std::fs::create_dir(root.path().join(name)).unwrap();
    }
    let devices = Devices::below(root.path(), Durability::Cache).unwrap();
    (root, Arc::new(devices))
}

/// The recorded request. hyper has done the framing where the recording has a chunked body.
fn request(row: &Value) -> http::Request<Body> {
    let mut lines = text(row, "head").lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut request = http::Request::builder()
        .method(first.next().unwrap())
        .uri(first.next().unwrap());
    let mut chunked = false;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        chunked |= name == "Transfer-Encoding";
        request = request.header(name, value);
    }
    let bytes = match row["body_b64"].as_str() {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None if chunked => b"hello world".to_vec(),
        None => text(row, "body").as_bytes().to_vec(),
    };
    request.body(Body::from(bytes)).unwrap()
}

/// What clients look at in an answer.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u64,
    headers: BTreeMap<String, String>,
    dated: bool,
    body: Option<String>,
}

fn recorded(row: &Value) -> Seen {
    let headers = row["headers"].as_object().unwrap().iter();
    let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    Seen {
        status: row["code"].as_u64().unwrap(),
        headers: headers.collect(),
        dated: row["has_modified"].as_bool().unwrap(),
        body: row["answer"].as_str().map(str::to_owned),
    }
}

async fn answered(devices: &Arc<Devices>, row: &Value) -> Seen {
    let request = request(row);
    let wants_body = request.method() != http::Method::HEAD && row["answer"].is_string();
    let answer = router(Arc::clone(devices)).oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    // What hyper adds on a socket, this test adds here.
    let length = http_body::Body::size_hint(&body).exact();
    let body = body.collect().await.unwrap().to_bytes();
    let named = ["content-type", "content-length", "content-range", "accept-ranges"];
    let header = |name: &str| {
        Some((
            name.to_owned(),
            head.headers.get(name)?.to_str().unwrap().to_owned(),
        ))
    };
    let mut headers: BTreeMap<String, String> = named.into_iter().filter_map(header).collect();
    if let Some(length) = length
        && row["headers"]["content-length"].is_string()
    {
        headers
            .entry("content-length".to_owned())
            .or_insert(length.to_string());
    }
    Seen {
        status: head.status.as_u16().into(),
        headers,
        dated: head.headers.contains_key("last-modified"),
        body: if wants_body {
            Some(String::from_utf8_lossy(&body).into_owned())
        } else {
            row["answer"].as_str().map(str::to_owned)
        },
    }
}

/// Leaves out of both what the protocol leaves open.
fn loosened(case: &str, mut seen: Seen) -> Seen {
    // The recorded 416 describes the file as well; hyper may leave the length of an empty body out.
    if seen.status == 416 {
        seen.dated = false;
        seen.headers.remove("accept-ranges");
        seen.headers.remove("content-length");
    }
    // hyper takes the length of no content away on the socket.
    if seen.status == 204 {
        seen.headers.remove("content-length");
    }
    // A HEAD of a page of ours has no body to measure.
    if case.starts_with("HEAD missing") {
        seen.headers.remove("content-length");
    }
    // Usage is made for each request: no date, other figures.
    if case.contains("usage")
        || ["query string", "absolute URI"].contains(&case)
        || case.contains("Modified")
        || case.contains("gzip")
    {
        seen.dated = false;
        seen.headers.remove("accept-ranges");
        seen.headers.remove("content-length");
        seen.body = None;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_request_gets_the_recorded_answer() {
    let (_root, devices) = node();
    let mut wrong = Vec::new();
    for row in rows(include_str!("golden/node.jsonl")) {
        let case = text(&row, "case");
        // Its bytes were not recorded.
        if case.contains("3 MiB") {
            continue;
        }
        let found = answered(&devices, &row).await;
        let (expected, found) = (loosened(case, recorded(&row)), loosened(case, found));
        if expected != found && !differs(case) {
            wrong.push(format!("{case}\n  recorded {expected:?}\n  found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The size of the recorded file. Its bytes were not recorded: zeros stand for them, and their digests for its digests.
const SIZE: usize = 3_145_728;

fn talk(devices: Arc<Devices>) -> (BufReader<DuplexStream>, CancellationToken) {
    let shutdown = CancellationToken::new();
    let channel = SideChannel::new(Parts {
        devices,
        http: "127.0.1.1:7500".parse().unwrap(),
        docroot: "/mogdata/h1".to_owned(),
        watching: Watching::On,
        shutdown: shutdown.clone(),
    });
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move { channel.converse(theirs, &CancellationToken::new()).await });
    (BufReader::new(ours), shutdown)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_line_of_the_side_channel_gets_the_recorded_answer() {
    let (root, devices) = node();
    std::fs::create_dir_all(root.path().join("dev1/0/000/998")).unwrap();
    std::fs::create_dir_all(root.path().join("dev1/ct")).unwrap();
    std::fs::write(root.path().join("dev1/0/000/998/0000998001.fid"), vec![0; SIZE]).unwrap();
    let (mut stream, shutdown) = talk(devices);
    let of_folder = std::fs::metadata(root.path().join("dev1/ct")).unwrap().len();
    for row in rows(include_str!("golden/sidechannel.jsonl")) {
        let (case, raw) = (text(&row, "case"), text(&row, "raw"));
        if differs(case) || case.to_lowercase().contains("watch") {
            continue;
        }
        if row["dir"] == ">" {
            stream.write_all(raw.as_bytes()).await.unwrap();
            continue;
        }
        let expected = raw
            .replace(
                "1a122aa007980620cfe1db89d2f4bbeb",
                "d1dd210d6b1312cb342b56d02bd5e651",
            )
            .replace(
                "73a204f967f9ed5abcb1ddca50d691f386d14f85",
                "1e5f8def40bb0cb0f7156b9c2bab9efb49cfb699",
            )
            .replace(" 4096\r", &format!(" {of_folder}\r"));
        let mut found = Vec::new();
        for _ in 0..expected.matches('\n').count() {
            stream.read_until(b'\n', &mut found).await.unwrap();
        }
        let found = String::from_utf8(found).unwrap();
        let timeless = |text: &str| {
            let lines = text.split("\r\n").map(|line| match line.split_once(' ') {
                Some((word @ ("starttime" | "uptime"), _)) => word.to_owned(),
                _ => line.to_owned(),
            });
            lines.collect::<Vec<_>>()
        };
        assert_eq!(timeless(&found), timeless(&expected), "{case}: {raw:?}");
    }
    shutdown.cancelled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_of_every_device_again_and_again() {
    let (_root, devices) = node();
    let (mut stream, _) = talk(devices);
    stream.write_all(b"WATCH\r\n").await.unwrap();

    for _ in 0..2 {
        for start in ["1\t", "2\t", ".\n"] {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            assert!(line.starts_with(start) && !line.contains('\r'), "{line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_without_end_is_refused_and_ends_the_connection() {
    let (_root, devices) = node();
    let (mut stream, _) = talk(devices);
    stream.write_all(&vec![b'x'; 40 << 10]).await.unwrap();

    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "ERROR: line too long\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_nobody_waits_for_is_the_same() {
    let (root, devices) = node();
    std::fs::write(root.path().join("dev1/file"), "abc").unwrap();
    let (mut stream, _) = talk(devices);
    stream
        .write_all(b"MD5 /dev1/file fsck\nSHA-1 /dev1/file\n\xff\n")
        .await
        .unwrap();

    for expected in [
        "/dev1/file MD5=900150983cd24fb0d6963f7d28e17f72\r\n",
        "/dev1/file SHA-1=a9993e364706816aba3e25717850c26c9cd0d89d\r\n",
        "ERROR: unknown command: \r\n",
    ] {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(line, expected);
    }
}
