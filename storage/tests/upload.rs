//! What an upload promises: every device has the whole body, or nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mogul_storage::{
    DevFid, DevId, Device, Devices, Digests, Durability, Fid, HashType, Hasher, Node, NodeError,
    local::local,
    upload::{LAG_MAX, Target, Upload, UploadError, Uploaded, upload},
};

const HASHES: [HashType; 3] = [HashType::Md5, HashType::Sha256, HashType::Crc64Nvme];

/// A body that is sent once it is whole, and one that is sent while it comes.
const LENGTHS: [usize; 4] = [0, 4096, 256 << 10, (3 << 20) + 5];

/// Devices 1 and 2, each on a node of its own.
struct Bench {
    folders: HashMap<u32, tempfile::TempDir>,
    targets: Vec<Target>,
}

impl Bench {
    fn new() -> Bench {
        let mut folders = HashMap::new();
        let mut targets = Vec::new();
        for number in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let device = Device::open(folder.path(), id(number), Durability::Sync).unwrap();
            targets.push(Target {
                device: id(number),
                node: local(Arc::new(Devices::new(vec![device]))),
            });
            folders.insert(number, folder);
        }
        Bench { folders, targets }
    }

    fn with(mut self, number: u32, node: Node) -> Bench {
        let device = id(number);
        self.targets.insert(0, Target { device, node });
        self
    }

    async fn upload<S>(&self, body: S, size: Option<u64>) -> Result<Uploaded, UploadError<io::Error>>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        upload(self.request(size), body, |_, _| Ok(())).await
    }

    fn request(&self, size: Option<u64>) -> Upload {
        Upload {
            fid: fid(),
            targets: self.targets.clone(),
            size,
            hashes: HASHES.to_vec(),
            lag_max: None,
        }
    }

    fn path(&self, device: u32) -> PathBuf {
        let path = DevFid {
            device: id(device),
            fid: fid(),
        }
        .path();
        self.folders[&device].path().join(path.trim_start_matches('/'))
    }

    /// Waits until no device has an unfinished file, and says whether none has the file.
    async fn has_nothing(&self) -> bool {
        for device in [1, 2] {
            let unfinished = self.folders[&device].path().join(format!("dev{device}/tmp"));
            while fs::read_dir(&unfinished).unwrap().next().is_some() {
                tokio::task::yield_now().await;
            }
        }
        !self.path(1).exists() && !self.path(2).exists()
    }
}

fn id(number: u32) -> DevId {
    DevId::new(number).unwrap()
}

fn fid() -> Fid {
    Fid::new(77).unwrap()
}

fn bytes(length: usize) -> Bytes {
    (0..length)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect()
}

fn frames(bytes: &Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let frames: Vec<Bytes> = bytes.chunks(50_000).map(Bytes::copy_from_slice).collect();
    stream::iter(frames).map(Ok)
}

fn size(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

fn digests(bytes: &Bytes) -> Digests {
    let mut hasher = Hasher::new(&HASHES);
    hasher.update(bytes);
    hasher.finish()
}

fn agree(found: &Digests, expected: &Digests) -> bool {
    HASHES
        .iter()
        .all(|hash| found.get(*hash).is_some() && found.get(*hash) == expected.get(*hash))
}

/// A node whose every answer is this.
fn answering(status: StatusCode) -> Node {
    Node::new(tower::service_fn(move |_request: Request<Body>| async move {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = status;
        Ok::<_, io::Error>(answer)
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_device_has_the_body_and_its_digests_are_known() {
    for length in LENGTHS {
        let bytes = bytes(length);
        for known in [Some(size(&bytes)), None] {
            let bench = Bench::new();

            let uploaded = bench.upload(frames(&bytes), known).await.unwrap();

            assert_eq!(uploaded.size, size(&bytes));
            assert_eq!(uploaded.stored, [id(1), id(2)]);
            assert!(agree(&uploaded.digests, &digests(&bytes)), "{length} bytes");
            assert!(fs::read(bench.path(1)).unwrap() == bytes);
            assert!(fs::read(bench.path(2)).unwrap() == bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_check_refuses_is_kept_by_nobody() {
    for length in LENGTHS {
        let bytes = bytes(length);
        for known in [Some(size(&bytes)), None] {
            let bench = Bench::new();
            let check = |found: u64, of: &Digests| {
                assert_eq!(found, size(&bytes));
                assert!(agree(of, &digests(&bytes)));
                Err(io::Error::other("refused"))
            };

            let uploaded = upload(bench.request(known), frames(&bytes), check).await;

            assert!(matches!(uploaded, Err(UploadError::Body(_))), "{uploaded:?}");
            assert!(bench.has_nothing().await, "{length} bytes");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_fails_is_kept_by_nobody() {
    for length in LENGTHS {
        let bench = Bench::new();
        let failure = stream::iter([Err(io::Error::other("hung up"))]);

        let uploaded = bench.upload(frames(&bytes(length)).chain(failure), None).await;

        assert!(matches!(uploaded, Err(UploadError::Body(_))), "{uploaded:?}");
        assert!(bench.has_nothing().await, "{length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_given_up_is_kept_by_nobody() {
    let bench = Bench::new();
    let (begun, seen) = tokio::sync::oneshot::channel();
    let body = frames(&bytes(3 << 20)).chain(stream::once(async move {
        begun.send(()).unwrap();
        std::future::pending().await
    }));
    let request = bench.request(None);
    let task = tokio::spawn(async move { upload(request, body, |_, _| Ok(())).await });
    seen.await.unwrap();

    task.abort();

    assert!(task.await.unwrap_err().is_cancelled());
    assert!(bench.has_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_knows_that_the_body_is_whole_before_the_check() {
    let bytes = bytes(3 << 20);
    for known in [Some(size(&bytes)), None] {
        let received = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&received);
        let counting = Node::new(tower::service_fn(move |request: Request<Body>| {
            let counted = Arc::clone(&counted);
            async move {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    counted.fetch_add(size(&frame?.into_data().unwrap()), Ordering::SeqCst);
                }
                let stored = counted.load(Ordering::SeqCst);
                let answer = Response::builder().header("x-mogul-stored", stored);
                Ok::<_, axum::Error>(answer.body(Body::empty()).unwrap())
            }
        }));
        let bench = Bench::new().with(3, counting);
        let check = |_, _: &Digests| {
            assert!(received.load(Ordering::SeqCst) < size(&bytes));
            Ok::<(), io::Error>(())
        };

        let uploaded = upload(bench.request(known), frames(&bytes), check).await.unwrap();

        assert_eq!(uploaded.stored, [id(3), id(1), id(2)]);
        assert_eq!(received.load(Ordering::SeqCst), size(&bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_fails_is_left_behind_and_the_others_go_on() {
    for length in LENGTHS {
        let bytes = bytes(length);
        let bench = Bench::new().with(3, answering(StatusCode::INSUFFICIENT_STORAGE));

        let uploaded = bench.upload(frames(&bytes), Some(size(&bytes))).await.unwrap();

        assert_eq!(uploaded.stored, [id(1), id(2)]);
        assert!(
            matches!(uploaded.failed.as_slice(), [(device, NodeError::Full)] if *device == id(3)),
            "{:?}",
            uploaded.failed
        );
        assert!(fs::read(bench.path(2)).unwrap() == bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_no_device_takes_says_why() {
    for length in LENGTHS {
        let targets = vec![
            Target {
                device: id(1),
                node: answering(StatusCode::INSUFFICIENT_STORAGE),
            },
            Target {
                device: id(2),
                node: answering(StatusCode::NOT_FOUND),
            },
        ];
        let request = Upload {
            fid: fid(),
            targets,
            size: None,
            hashes: HASHES.to_vec(),
            lag_max: None,
        };

        let uploaded = upload(request, frames(&bytes(length)), |_, _| Ok(())).await;

        let Err(UploadError::NoTarget(failed)) = uploaded else {
            panic!("{uploaded:?}");
        };
        assert!(matches!(failed[0], (_, NodeError::Full)), "{failed:?}");
        assert!(matches!(failed[1], (_, NodeError::NoDevice)), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_answers_before_the_end_has_not_stored_the_body() {
    let bytes = bytes(20 << 20);
    let bench = Bench::new().with(3, answering(StatusCode::OK));

    let uploaded = bench.upload(frames(&bytes), Some(size(&bytes))).await.unwrap();

    assert_eq!(uploaded.stored, [id(1), id(2)]);
    assert!(matches!(uploaded.failed.as_slice(), [(_, NodeError::Body(_))]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_body() {
    const LENGTH: u64 = 64 << 20;
    const HELD_MAX: u64 = 12 << 20;
    const FRAME: u64 = 64 << 10;
    let (made, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counted, held) = (Arc::clone(&made), Arc::clone(&most));
    let slow = Node::new(tower::service_fn(move |request: Request<Body>| {
        let (made, most) = (Arc::clone(&counted), Arc::clone(&held));
        async move {
            let (mut body, mut read) = (request.into_body(), 0);
            while let Some(frame) = body.frame().await {
                read += size(&frame?.into_data().unwrap());
                // The sender gets every chance to run ahead.
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                most.fetch_max(made.load(Ordering::SeqCst) - read, Ordering::SeqCst);
            }
            Ok::<_, axum::Error>(
                Response::builder()
                    .header("x-mogul-stored", read)
                    .body(Body::empty())
                    .unwrap(),
            )
        }
    }));
    let frame = Bytes::from(vec![7; usize::try_from(FRAME).unwrap()]);
    let body = stream::iter(0..LENGTH / FRAME).map(|_| {
        made.fetch_add(FRAME, Ordering::SeqCst);
        Ok(frame.clone())
    });
    let bench = Bench::new().with(3, slow);

    let uploaded = bench.upload(body, None).await.unwrap();

    assert_eq!(uploaded.stored.len(), 3);
    assert_eq!(uploaded.size, LENGTH);
    let most = most.load(Ordering::SeqCst);
    assert!(most <= HELD_MAX, "{most} bytes were held");
}

/// How a node stops taking a body.
#[derive(Debug, Clone, Copy)]
enum Hang {
    /// It reads nothing.
    AtOnce,
    /// It reads so many bytes.
    After(u64),
    /// It reads all, and does not answer.
    AtTheEnd,
}

/// A node that hangs.
fn hanging(hang: Hang) -> Node {
    Node::new(tower::service_fn(move |request: Request<Body>| async move {
        let (mut body, mut read) = (request.into_body(), 0);
        loop {
            let goes_on = match hang {
                Hang::AtOnce => false,
                Hang::After(bytes) => read < bytes,
                Hang::AtTheEnd => true,
            };
            match body.frame().await.filter(|_| goes_on) {
                Some(frame) => read += size(&frame?.into_data().unwrap()),
                None => return std::future::pending::<Result<Response<Body>, axum::Error>>().await,
            }
        }
    }))
}

/// A node that keeps bodies in memory; the task which reads one goes on when the request is dropped, as that of a connection does.
fn keeping(kept: &Arc<Mutex<Vec<Result<u64, ()>>>>) -> Node {
    let kept = Arc::clone(kept);
    Node::new(tower::service_fn(move |request: Request<Body>| {
        let kept = Arc::clone(&kept);
        let read = tokio::spawn(async move {
            let whole = request.into_body().collect().await;
            let outcome = whole.map(|body| size(&body.to_bytes())).map_err(drop);
            kept.lock().unwrap().push(outcome);
            outcome
        });
        async move {
            let stored = read.await.unwrap().map_err(|()| io::Error::other("not whole"))?;
            let answer = Response::builder().header("x-mogul-stored", stored);
            Ok::<_, io::Error>(answer.body(Body::empty()).unwrap())
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_device_that_hangs_is_left_after_a_while_and_the_others_go_on() {
    for length in LENGTHS {
        for hang in [Hang::AtOnce, Hang::After(1 << 20), Hang::AtTheEnd] {
            for known in [Some(u64::try_from(length).unwrap()), None] {
                let kept = Arc::default();
                let targets = vec![
                    Target {
                        device: id(1),
                        node: hanging(hang),
                    },
                    Target {
                        device: id(2),
                        node: keeping(&kept),
                    },
                ];
                let request = Upload {
                    fid: fid(),
                    targets,
                    size: known,
                    hashes: HASHES.to_vec(),
                    lag_max: Some(LAG_MAX),
                };
                let body = bytes(length);

                let uploaded = upload(request, frames(&body), |_, _| Ok(())).await.unwrap();

                assert_eq!(uploaded.stored, [id(2)], "{hang:?}");
                let failed = uploaded.failed.as_slice();
                assert!(
                    matches!(failed, [(device, NodeError::Unreachable(_))] if *device == id(1)),
                    "{hang:?}: {failed:?}"
                );
                assert!(agree(&uploaded.digests, &digests(&body)));
                assert_eq!(*kept.lock().unwrap(), [Ok(size(&body))]);
            }
        }
    }
}

#[tokio::test]
async fn a_node_that_reads_on_behind_a_refused_body_never_takes_it_for_whole() {
    for known in [Some(3 << 20), None] {
        let kept = Arc::default();
        let request = Upload {
            fid: fid(),
            targets: vec![Target {
                device: id(1),
                node: keeping(&kept),
            }],
            size: known,
            hashes: HASHES.to_vec(),
            lag_max: None,
        };
        let refuse = |_: u64, _: &Digests| Err(io::Error::other("refused"));

        let uploaded = upload(request, frames(&bytes(3 << 20)), refuse).await;

        assert!(matches!(uploaded, Err(UploadError::Body(_))));
        while kept.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(*kept.lock().unwrap(), [Err(())]);
    }
}
