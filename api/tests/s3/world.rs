//! One server without sockets, and a client that signs as SDKs do (by `aws-sigv4`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use mogul_api::metrics::Metrics;
use mogul_api::s3::{
    Accel, Parts, Regions, S3, S3Config,
    xml::{Element, parse},
};
use mogul_storage::{DevId, Device, Devices, Durability, Node, local::local};
use mogul_tracker::{
    Settings, Tracker,
    clock::{Clock, SystemClock},
    command::{devices::LocalHost, users::AddUser},
    meta::{Db, DbConfig},
    model::{AccessKey, Credential, SecretKey, Timestamp, User},
    nodes::Nodes,
    rng::SystemEntropy,
};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// The host that requests name.
pub(crate) const HOST: &str = "127.0.0.1:9000";

/// A server with two devices.
pub(crate) struct World {
    pub(crate) s3: S3,
    pub(crate) tracker: Tracker,
    pub(crate) tasks: TaskTracker,
    folder: TempDir,
}

/// One request, before it is signed.
pub(crate) struct Call {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    key: Option<(String, String)>,
    payload: Option<&'static str>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request of root.
pub(crate) fn call(method: &'static str, target: impl Into<String>) -> Call {
    Call {
        method,
        target: target.into(),
        headers: Vec::new(),
        body: Bytes::new(),
        key: Some(("root".to_owned(), "root's secret".to_owned())),
        payload: None,
    }
}

impl Call {
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Call {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Call {
        self.body = body.into();
        self
    }

    /// Signs this `x-amz-content-sha256` instead of the hash of the body.
    pub(crate) fn signed_as(mut self, payload: &'static str) -> Call {
        self.payload = Some(payload);
        self
    }

    pub(crate) fn by(mut self, credential: &Credential) -> Call {
        let key = credential.access_key.0.clone();
        self.key = Some((key, credential.secret_key.0.clone()));
        self
    }

    pub(crate) fn anonymous(mut self) -> Call {
        self.key = None;
        self
    }

    /// A copy of the body.
    pub(crate) fn payload(&self) -> Bytes {
        self.body.clone()
    }

    /// The request as it would come from the wire, with this body in place of its own.
    pub(crate) fn request(&self, body: Body) -> Request<Body> {
        let length = self.body.len().to_string();
        let mut headers = vec![("host", HOST), ("content-length", &length)];
        headers.extend(
            self.headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let mut request = Request::builder().method(self.method).uri(&self.target);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).unwrap();
        if let Some((key, secret)) = &self.key {
            let identity = Credentials::new(key, secret, None, None, "test").into();
            let mut settings = SigningSettings::default();
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            let millis = u64::try_from(SystemClock.now().millis()).unwrap();
            let parameters = v4::SigningParams::builder()
                .identity(&identity)
                .region("us-east-1")
                .name("s3")
                .time(std::time::UNIX_EPOCH + Duration::from_millis(millis))
                .settings(settings)
                .build()
                .unwrap()
                .into();
            let uri = format!("http://{HOST}{}", self.target);
            let body = self.payload.map_or(SignableBody::Bytes(&self.body), |payload| {
                SignableBody::Precomputed(payload.to_owned())
            });
            let signable = SignableRequest::new(self.method, uri, headers.iter().copied(), body).unwrap();
            let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
            instructions.apply_to_request_http1x(&mut request);
        }
        request
    }
}

impl World {
    pub(crate) async fn new() -> World {
        World::with_region("us-east-1").await
    }

    pub(crate) async fn with_region(region: &str) -> World {
        World::with_node(region, local).await
    }

    /// A server whose devices are behind the node that is made here.
    pub(crate) async fn with_node(region: &str, made: impl FnOnce(Arc<Devices>) -> Node) -> World {
        let folder = tempfile::tempdir().unwrap();
        let ids = [1, 2].map(|number| DevId::new(number).unwrap());
        let devices = ids.map(|id| Device::open(folder.path(), id, Durability::Cache).unwrap());
        let node = made(Arc::new(Devices::new(devices.into())));
        let nodes: BTreeMap<_, _> = ids.into_iter().map(|id| (id, node.clone())).collect();
        let db = Db::open(DbConfig::Memory).await.unwrap();
        db.migrate().await.unwrap();
        let tracker = Tracker::open(mogul_tracker::Parts {
            db,
            nodes: Nodes::new(nodes),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            settings: Settings {
                default_mindevcount: 2,
                min_free_bytes: 0,
                join_bytes_max: 1 << 30,
                replicate_at_once: 8,
                hostname: "test".to_owned(),
            },
        })
        .await
        .unwrap();
        let host = LocalHost {
            name: "local".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 7500,
        };
        tracker.register_local(host, &ids).await.unwrap();
        let tasks = TaskTracker::new();
        let s3 = S3::new(Parts {
            config: config(region),
            tracker: tracker.clone(),
            clock: Arc::new(SystemClock),
            metrics: Metrics::default(),
            entropy: Arc::new(SystemEntropy),
            tasks: tasks.clone(),
        });
        World {
            s3,
            tracker,
            tasks,
            folder,
        }
    }

    /// A user with a key.
    pub(crate) async fn user(&self, name: &str) -> Credential {
        let request = AddUser {
            name: name.to_owned(),
            display_name: None,
            email: None,
            key: None,
        };
        self.tracker.add_user(request).await.unwrap()
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        let request = call.request(Body::from(call.body.clone()));
        self.answer(request).await
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.s3.clone().oneshot(request).await.unwrap().into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Makes a bucket of root's.
    pub(crate) async fn bucket(&self, name: &str) {
        assert_eq!(self.send(call("PUT", format!("/{name}"))).await.status, 200);
    }

    /// Stores an object; `target` is encoded as on the wire. Answers its entity tag, in quotes.
    pub(crate) async fn put(&self, target: &str, body: impl Into<Bytes>) -> String {
        let answer = self.send(call("PUT", target).body(body)).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.header("etag").to_owned()
    }

    /// Files on the devices.
    pub(crate) fn files(&self) -> usize {
        self.paths().len()
    }

    /// Where the files on the devices are.
    pub(crate) fn paths(&self) -> Vec<std::path::PathBuf> {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "fid") {
                    found.push(path);
                }
            }
        }
        found
    }

    /// Waits until nothing is under way.
    pub(crate) async fn quiet(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The document, whose root element has this name.
    pub(crate) fn xml(&self, root: &str) -> Element {
        parse(&self.body, root).unwrap_or_else(|_| panic!("{} is no {root}: {}", self.status, self.text()))
    }

    /// Status and code of an error.
    pub(crate) fn error(&self) -> (u16, String) {
        let document = self.xml("Error");
        (self.status, document.text_of("Code").unwrap().to_owned())
    }

    /// The texts of this child of each element of that name, as listings have them.
    pub(crate) fn all(&self, root: &str, element: &str, child: &str) -> Vec<String> {
        let document = self.xml(root);
        let found = document
            .all(element)
            .map(|each| each.text_of(child).unwrap_or_default().to_owned());
        found.collect()
    }

    /// The tags in it, in their order.
    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        let document = self.xml("Tagging");
        let set = document.child("TagSet").unwrap();
        let member = |tag: &Element, name| tag.text_of(name).unwrap().to_owned();
        set.all("Tag")
            .map(|tag| (member(tag, "Key"), member(tag, "Value")))
            .collect()
    }

    /// The text of a child of the root.
    pub(crate) fn one(&self, root: &str, child: &str) -> Option<String> {
        self.xml(root).text_of(child).map(str::to_owned)
    }
}

fn config(region: &str) -> S3Config {
    S3Config {
        region: region.to_owned(),
        regions: Regions::Lenient,
        domains: vec!["localhost".to_owned()],
        scheme: http::uri::Scheme::HTTP,
        root: Some(Credential {
            access_key: AccessKey("root".to_owned()),
            secret_key: SecretKey("root's secret".to_owned()),
            user: User::root(),
            created: Timestamp::default(),
        }),
        put_bytes_max: 64 << 20,
        accel: Accel::Off,
    }
}
