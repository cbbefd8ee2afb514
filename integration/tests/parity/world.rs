//! Two servers that begin alike, and a door into each.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::Command,
    sync::Arc,
};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use mogul_api::{
    admin::{self, MetricsAccess},
    metrics::Metrics,
    mogile,
    s3::{Accel, Parts as S3Parts, Regions, S3, S3Config},
};
use mogul_storage::{DevFid, DevId, Device, Devices, Durability, Fid, Node, local::local};
use mogul_tracker::{
    Settings, Tracker,
    clock::SystemClock,
    command::devices::LocalHost,
    jobs::Driver,
    meta::{Db, DbConfig},
    model::{AccessKey, Credential, SecretKey, Timestamp, User},
    nodes::Nodes,
    rng::Entropy,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// What each server stores under each key.
const BYTES: &[u8] = b"the same bytes";

/// Tables that differ by nature: one has a random owner, the other the token that opens the REST.
const APART: [&str; 3] = ["mogul_fid_block", "mogul_token", "sqlite_sequence"];

/// Numbers of so many digits are times.
const TIME_DIGITS: usize = 10;

/// The same chance on both sides.
struct Same;

impl Entropy for Same {
    fn next_u64(&self) -> u64 {
        7
    }
}

/// A server on a database of its own.
struct Side {
    folder: TempDir,
    tracker: Tracker,
    node: Node,
}

/// The server that is spoken to over the tracker port, and the one that is spoken to over the admin REST.
pub(crate) struct Pair {
    port: Side,
    face: mogile::Face,
    rest: Side,
    s3: S3,
    token: String,
    acted: BTreeSet<String>,
}

impl Side {
    async fn new() -> Side {
        let folder = tempfile::tempdir().unwrap();
        let ids = [1, 2].map(|number| DevId::new(number).unwrap());
        let devices = ids.map(|id| Device::open(folder.path(), id, Durability::Cache).unwrap());
        let node = local(Arc::new(Devices::new(devices.into())));
        let nodes: BTreeMap<_, _> = ids.into_iter().map(|id| (id, node.clone())).collect();
        let db = Db::open(DbConfig::Sqlite {
            path: folder.path().join("mogul.sqlite"),
        });
        let db = db.await.unwrap();
        db.migrate().await.unwrap();
        let tracker = Tracker::open(mogul_tracker::Parts {
            db,
            nodes: Nodes::new(nodes),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(Same),
            settings: Settings {
                default_mindevcount: 2,
                min_free_bytes: 0,
                join_bytes_max: 1 << 30,
                replicate_at_once: 1,
                hostname: "test".to_owned(),
            },
        });
        let tracker = tracker.await.unwrap();
        let host = LocalHost {
            name: "local".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 7500,
        };
        tracker.register_local(host, &ids).await.unwrap();
        Side {
            folder,
            tracker,
            node,
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("mogul.sqlite")
    }

    /// Every row of every table but for [`APART`], with times as `T`, sorted.
    fn rows(&self) -> Vec<String> {
        let dump = Command::new("sqlite3")
            .arg(self.database())
            .arg(".dump")
            .output()
            .unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let text = String::from_utf8(dump.stdout).unwrap();
        let mut rows: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("INSERT INTO "))
            .filter(|row| {
                !APART
                    .iter()
                    .any(|table| row.trim_start_matches('"').starts_with(table))
            })
            .map(normalised)
            .collect();
        rows.sort();
        rows
    }

    async fn put(&self, at: DevFid) {
        let size = u64::try_from(BYTES.len()).unwrap();
        self.node.put(at, Some(size), Body::from(BYTES)).await.unwrap();
    }
}

/// A row without what differs by nature: times, and what a disk has in use.
fn normalised(row: &str) -> String {
    if row.starts_with("device ") {
        return row.splitn(5, ',').take(4).collect::<Vec<_>>().join(",");
    }
    let mut plain = String::new();
    for part in row.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        if digits >= TIME_DIGITS && !row.contains(".fid") {
            plain.push('T');
            plain.push_str(&part[digits..]);
        } else {
            plain.push_str(part);
        }
    }
    plain
}

impl Pair {
    pub(crate) async fn new() -> Pair {
        let (port, rest) = (Side::new().await, Side::new().await);
        let metrics = Metrics::default();
        let (_, token) = rest.tracker.add_token("parity").await.unwrap();
        Pair {
            face: face(&port.tracker, &metrics),
            port,
            s3: s3(&rest.tracker, &metrics),
            rest,
            token: token.0,
            acted: BTreeSet::new(),
        }
    }

    /// The commands that have been acted out.
    pub(crate) fn acted(&self) -> BTreeSet<&str> {
        self.acted.iter().map(String::as_str).collect()
    }

    /// The `OpenAPI` document.
    pub(crate) async fn document(&self) -> Value {
        self.ask_rest("GET", "/admin/v1/openapi.json", &Value::Null)
            .await
            .1
    }

    /// Actions by both doors, a line each: `LINE | METHOD PATH BODY`.
    pub(crate) async fn act(&mut self, actions: &str) {
        for action in actions.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (line, request) = action.split_once(" | ").unwrap();
            let (method, rest) = request.split_once(' ').unwrap();
            let (path, body) = rest.split_once(' ').unwrap_or((rest, "null"));
            let (line, path) = (line.trim_end(), format!("/admin/v1/{path}"));
            if method == "GET" {
                self.read(line, &path).await;
            } else {
                self.both(line, method, &path, serde_json::from_str(body).unwrap())
                    .await;
            }
        }
    }

    /// One action by both doors: both must agree or refuse, and leave equal databases.
    async fn both(&mut self, line: &str, method: &str, path: &str, body: Value) -> (String, Value) {
        let command = line.split(' ').next().unwrap_or(line);
        self.acted.insert(command.to_owned());
        let answer = self.ask_port(line).await;
        let (status, document) = self.ask_rest(method, path, &body).await;
        let (agreed, done) = (answer.starts_with("OK"), (200..300).contains(&status));
        assert_eq!(
            agreed, done,
            "{line}: {answer}\n{method} {path}: {status} {document}"
        );
        assert_eq!(
            self.port.rows(),
            self.rest.rows(),
            "after {line} and {method} {path}"
        );
        (answer, document)
    }

    /// A question by both doors, which must change nothing.
    async fn read(&mut self, line: &str, path: &str) {
        let before = self.port.rows();
        self.both(line, "GET", path, Value::Null).await;
        assert_eq!(self.port.rows(), before, "after {line}");
    }

    /// Stores a file in the domain `photos` by both doors.
    pub(crate) async fn store(&mut self, key: &str) {
        let uploads = "/admin/v1/domains/photos/uploads";
        let line = format!("create_open domain=photos&key={key}&multi_dest=1");
        let (answer, upload) = self
            .both(&line, "POST", uploads, json!({"key": key, "places": 3}))
            .await;
        let fid = upload["fid"].as_u64().unwrap();
        assert_eq!(field(&answer, "fid"), fid.to_string());
        let devid = u32::try_from(upload["places"][0]["devid"].as_u64().unwrap()).unwrap();
        assert_eq!(field(&answer, "devid_1"), devid.to_string());
        let at = DevFid {
            device: DevId::new(devid).unwrap(),
            fid: Fid::new(fid).unwrap(),
        };
        self.port.put(at).await;
        self.rest.put(at).await;
        let (size, path) = (BYTES.len(), field(&answer, "path_1"));
        let line =
            format!("create_close domain=photos&key={key}&fid={fid}&devid={devid}&size={size}&path={path}");
        let end = json!({"devid": devid, "key": key, "size": size});
        self.both(&line, "PUT", &format!("{uploads}/{fid}"), end.clone())
            .await;
        let rows = self.port.rows();
        let mut files = rows.iter().filter(|row| row.starts_with("file VALUES"));
        assert!(files.any(|row| row.contains(&format!("'{key}'"))), "{rows:#?}");
        self.both(&line, "PUT", &format!("{uploads}/{fid}"), end).await;
    }

    /// The fid of a file of the domain `photos`.
    pub(crate) async fn fid(&self, key: &str) -> u64 {
        self.file(key).await["fid"].as_u64().unwrap()
    }

    /// The device that has a file of the domain `photos`, and the one that has not.
    pub(crate) async fn devices_of(&self, key: &str) -> (u64, u64) {
        let from = self.file(key).await["devids"][0].as_u64().unwrap();
        (from, 3 - from)
    }

    async fn file(&self, key: &str) -> Value {
        let path = format!("/admin/v1/domains/photos/files/{key}");
        self.ask_rest("GET", &path, &Value::Null).await.1
    }

    /// What Prometheus reads of both doors.
    pub(crate) async fn metrics(&self) -> String {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let face = admin::router(self.s3.clone(), MetricsAccess::Open);
        let answer = face.oneshot(request).await.unwrap();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    async fn ask_port(&self, line: &str) -> String {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (face, stop) = (self.face.clone(), CancellationToken::new());
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let served = tokio::spawn(async move { face.converse(theirs, client, &stop).await });
        let mut stream = BufReader::new(ours);
        stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        drop(stream);
        served.await.unwrap();
        answer
    }

    async fn ask_rest(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(Body::from(body))
            .unwrap();
        let face = admin::router(self.s3.clone(), MetricsAccess::Open);
        let (parts, body) = face.oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let document = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        (parts.status.as_u16(), document)
    }
}

/// A pair of an answer of the tracker port, decoded as far as URLs need it.
fn field(answer: &str, name: &str) -> String {
    let pairs = answer
        .trim_end()
        .split([' ', '&'])
        .filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(found, _)| *found == name);
    found.next().unwrap().1.replace("%3A", ":").replace("%2F", "/")
}

fn face(tracker: &Tracker, metrics: &Metrics) -> mogile::Face {
    let clock = Arc::new(SystemClock);
    let driver = Driver::new(tracker);
    mogile::Face::new(mogile::Parts {
        tracker: tracker.clone(),
        driver: Arc::new(driver),
        clock,
        metrics: metrics.clone(),
        watchers: mogile::Watchers::default(),
        shutdown: CancellationToken::new(),
        query_workers: 1,
    })
}

fn s3(tracker: &Tracker, metrics: &Metrics) -> S3 {
    S3::new(S3Parts {
        config: S3Config {
            region: "us-east-1".to_owned(),
            regions: Regions::default(),
            domains: Vec::new(),
            root: Some(Credential {
                access_key: AccessKey("root".to_owned()),
                secret_key: SecretKey("root's secret".to_owned()),
                user: User::root(),
                created: Timestamp::default(),
            }),
            scheme: http::uri::Scheme::HTTP,
            put_bytes_max: S3Config::PUT_BYTES_MAX_DEFAULT,
            accel: Accel::Off,
        },
        tracker: tracker.clone(),
        metrics: metrics.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Same),
        tasks: TaskTracker::new(),
    })
}
