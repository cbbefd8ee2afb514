//! What a device does to its folder: what it makes, sweeps, keeps and refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use mogul_storage::{
    ByteRange, DevFid, DevId, Device, Devices, Durability, Fid, Node, NodeError, local::local, node::LIST_MAX,
};

fn id() -> DevId {
    DevId::new(3).unwrap()
}

fn at(fid: u64) -> DevFid {
    DevFid {
        device: id(),
        fid: Fid::new(fid).unwrap(),
    }
}

fn open(root: &Path, durability: Durability) -> Node {
    let device = Device::open(root, id(), durability).unwrap();
    local(Arc::new(Devices::new(vec![device])))
}

fn path(root: &Path, fid: u64) -> PathBuf {
    root.join(at(fid).path().trim_start_matches('/'))
}

async fn put(node: &Node, fid: u64, bytes: &'static [u8]) {
    let size = u64::try_from(bytes.len()).unwrap();
    assert_eq!(
        node.put(at(fid), Some(size), Body::from(bytes)).await.unwrap(),
        size
    );
}

#[tokio::test]
async fn opening_makes_the_folder_and_sweeps_what_was_unfinished_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    put(&open(root.path(), Durability::Sync), 5, b"kept").await;
    let unfinished = root.path().join("dev3/tmp/0");
    fs::write(&unfinished, "half").unwrap();
    fs::write(root.path().join("dev3/notes.txt"), "not ours").unwrap();

    let node = open(root.path(), Durability::Sync);

    assert!(!unfinished.exists());
    assert!(root.path().join("dev3/notes.txt").exists());
    assert_eq!(node.list(id(), at(1).fid, LIST_MAX).await.unwrap(), [at(5).fid]);
}

#[test]
fn a_root_that_cannot_be_written_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();

    assert!(Device::open(&file, id(), Durability::Sync).is_err());
}

#[tokio::test]
async fn files_and_folders_have_the_modes_of_the_original() {
    let root = tempfile::tempdir().unwrap();

    put(&open(root.path(), Durability::Sync), 5, b"x").await;

    let file = path(root.path(), 5);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o644);
    for folder in file.ancestors().skip(1).take(4) {
        assert_eq!(mode(folder), 0o755, "{}", folder.display());
    }
}

#[tokio::test]
async fn a_reader_keeps_the_file_it_opened_while_it_is_replaced_and_deleted() {
    let root = tempfile::tempdir().unwrap();
    let node = open(root.path(), Durability::Cache);
    let old = Bytes::from(vec![7; 4 << 20]);
    node.put(at(5), Some(4 << 20), Body::from(old.clone()))
        .await
        .unwrap();
    let got = node.get(at(5), ByteRange::Whole).await.unwrap();

    put(&node, 5, b"new").await;
    node.delete(at(5)).await.unwrap();

    assert!(got.body.collect().await.unwrap().to_bytes() == old);
}

#[tokio::test]
async fn a_body_for_which_there_is_no_room_is_refused_before_it_is_read() {
    let root = tempfile::tempdir().unwrap();
    let node = open(root.path(), Durability::Sync);
    let usage = node.usage(id()).await.unwrap();
    let body =
        stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"x")) }).chain(stream::pending());

    let stored = node
        .put(
            at(5),
            Some(usage.total_bytes + (1 << 40)),
            Body::from_stream(body),
        )
        .await;

    assert!(matches!(stored, Err(NodeError::Full)), "{stored:?}");
    assert!(
        fs::read_dir(root.path().join("dev3/tmp"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[tokio::test]
async fn a_folder_that_was_removed_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let node = open(root.path(), Durability::Sync);
    put(&node, 5, b"x").await;
    fs::remove_dir_all(root.path().join("dev3/0")).unwrap();

    put(&node, 6, b"y").await;

    assert_eq!(fs::read(path(root.path(), 6)).unwrap(), b"y");
}

#[tokio::test]
async fn a_wrong_content_md5_is_refused_and_the_old_file_stays() {
    use tower::ServiceExt;
    let root = tempfile::tempdir().unwrap();
    let device = Device::open(root.path(), id(), Durability::Sync).unwrap();
    let router = mogul_storage::server::router(Arc::new(Devices::new(vec![device])));
    let send = async |md5: &str, body: &'static str| {
        let request = http::Request::put(at(5).path())
            .header("content-md5", md5)
            .body(Body::from(body))
            .unwrap();
        router.clone().oneshot(request).await.unwrap().status().as_u16()
    };

    // The digest of "abc", padded and not.
    assert_eq!(send("kAFQmDzST7DWlj99KOF/cg==", "abc").await, 201);
    assert_eq!(send("kAFQmDzST7DWlj99KOF/cg", "abd").await, 400);
    assert_eq!(send("no digest", "abd").await, 400);

    assert_eq!(fs::read(path(root.path(), 5)).unwrap(), b"abc");
}
