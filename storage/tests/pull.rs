//! Nodes that fetch files from each other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, net::SocketAddr, sync::Arc};

use axum::{Router, body::Body};
use mogul_storage::{
    DevFid, DevId, Device, Devices, Durability, Fid, HashType, Hasher, Node, NodeError,
    download::Fault,
    networks::Networks,
    pull::{Pull, Pulls},
    remote::{RemoteOptions, remote},
    server::{router, router_pulling},
};

/// Some bytes of a file that is small, and of one that is not.
const SIZES: [usize; 2] = [5_000, 3 << 20];

fn at(device: u32) -> DevFid {
    DevFid {
        device: DevId::new(device).unwrap(),
        fid: Fid::new(5).unwrap(),
    }
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn crc64(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = Hasher::new(&[HashType::Crc64Nvme]);
    hasher.update(bytes);
    let digests = hasher.finish();
    let digest = digests.get(HashType::Crc64Nvme).unwrap();
    digest.bytes.clone().try_into().unwrap()
}

async fn serve(service: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Two nodes: device 1 has a file, device 2 is to get it.
struct Pair {
    folder: tempfile::TempDir,
    source: SocketAddr,
    target: Node,
    file: Vec<u8>,
}

impl Pair {
    async fn new(size: usize, networks: Networks) -> Pair {
        let folder = tempfile::tempdir().unwrap();
        let devices = |number| {
            let device = Device::open(folder.path(), at(number).device, Durability::Sync).unwrap();
            Arc::new(Devices::new(vec![device]))
        };
        let source = serve(router(devices(1))).await;
        let target = serve(router_pulling(devices(2), Pulls::from_networks(networks))).await;
        let target = remote("127.0.0.1", target.port(), &RemoteOptions::default());
        let pair = Pair {
            folder,
            source,
            target,
            file: bytes(size),
        };
        let node = remote("127.0.0.1", source.port(), &RemoteOptions::default());
        let body = Body::from(pair.file.clone());
        node.put(at(1), None, body).await.unwrap();
        pair
    }

    fn pull(&self) -> Pull {
        Pull {
            from: self.source,
            device: at(1).device,
            size: self.file.len().try_into().unwrap(),
            crc64: Some(crc64(&self.file)),
            bytes_per_second: None,
        }
    }

    fn path(&self, device: u32) -> std::path::PathBuf {
        self.folder.path().join(at(device).path().trim_start_matches('/'))
    }

    async fn fails(&self, pull: Pull) -> NodeError {
        let error = self.target.pull(at(2), &pull).await.unwrap_err();
        assert!(!self.path(2).exists(), "nothing is kept");
        error
    }
}

#[tokio::test]
async fn a_node_fetches_a_file_from_another() {
    for size in SIZES {
        let pair = Pair::new(size, Networks::default()).await;

        let stored = pair.target.pull(at(2), &pair.pull()).await.unwrap();

        assert_eq!(stored, u64::try_from(size).unwrap());
        assert_eq!(fs::read(pair.path(2)).unwrap(), pair.file);
    }
}

#[tokio::test]
async fn a_copy_that_is_at_fault_is_named_and_nothing_is_kept() {
    for size in SIZES {
        let pair = Pair::new(size, Networks::default()).await;
        let mut rotten = pair.file.clone();
        *rotten.last_mut().unwrap() ^= 1;
        fs::write(pair.path(1), &rotten).unwrap();
        let error = pair.fails(pair.pull()).await;
        assert!(matches!(error, NodeError::Source(Fault::Rotten)), "{error:?}");

        fs::write(pair.path(1), &rotten[1..]).unwrap();
        let error = pair.fails(pair.pull()).await;
        assert!(matches!(error, NodeError::Source(Fault::Short)), "{error:?}");

        fs::remove_file(pair.path(1)).unwrap();
        let error = pair.fails(pair.pull()).await;
        assert!(matches!(error, NodeError::Source(Fault::Missing)), "{error:?}");
    }
}

#[tokio::test]
async fn nothing_is_fetched_from_what_is_no_node_of_ours() {
    let pair = Pair::new(SIZES[0], Networks::default()).await;
    // It would give the very bytes.
    let file = pair.file.clone();
    let other = Router::new().fallback(async move || file.clone());
    let from = serve(other).await;

    let error = pair.fails(Pull { from, ..pair.pull() }).await;

    assert!(
        matches!(error, NodeError::Source(Fault::Unreachable)),
        "{error:?}"
    );
}

#[tokio::test]
async fn nothing_is_fetched_from_outside_the_trusted_networks() {
    let networks = Networks::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let pair = Pair::new(SIZES[0], networks).await;

    let error = pair.fails(pair.pull()).await;

    assert!(
        matches!(error, NodeError::Answer { status: 403, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_node_that_does_not_fetch_says_so_before_it_is_asked() {
    let pair = Pair::new(SIZES[0], Networks::default()).await;
    let node = remote("127.0.0.1", pair.source.port(), &RemoteOptions::default());

    let error = node.pull(at(1), &pair.pull()).await.unwrap_err();

    assert!(matches!(error, NodeError::Unsupported(_)), "{error:?}");
}
