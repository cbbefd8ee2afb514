//! The marks of devices: which disk takes files, and which is refused. A disk is mounted by renaming its folder.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path, sync::Arc};

use mogul_storage::{
    ByteRange, DevFid, DevId, Device, Devices, Durability, Fid, Mark, Marking, Node, NodeError,
    local::local,
    node::{Body, Removal},
};

fn dev(id: u32) -> DevId {
    DevId::new(id).unwrap()
}

fn mark(device: u32, disk: u8) -> Mark {
    Mark::new([7; 16], dev(device), [disk; 16])
}

fn at(device: u32) -> DevFid {
    DevFid {
        device: dev(device),
        fid: Fid::new(5).unwrap(),
    }
}

fn node(root: &Path, id: u32) -> Node {
    let device = Device::open(root, dev(id), Durability::Cache).unwrap();
    local(Arc::new(Devices::new(vec![device])))
}

async fn put(node: &Node, device: u32) -> Result<u64, NodeError> {
    node.put(at(device), Some(4), Body::from("text")).await
}

/// Makes a disk that is device `id`, with the fid 5 on it, and unmounts it: it lies under `name`.
async fn shelved(root: &Path, id: u32, name: &str, mark: &Mark) {
    let node = node(root, id);
    node.mark(mark).await.unwrap();
    put(&node, id).await.unwrap();
    fs::rename(root.join(format!("dev{id}")), root.join(name)).unwrap();
}

/// Everything below a folder but the usage file and folders.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("usage") {
            found.push(path.display().to_string());
        }
    }
    found
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, NodeError>) {
    match outcome {
        Err(NodeError::NoDevice) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_device_is_marked_once_and_keeps_its_mark() {
    let root = tempfile::tempdir().unwrap();
    let first = node(root.path(), 1);
    assert_eq!(first.look(dev(1)).await.unwrap().1, Marking::Unmarked);

    assert_eq!(first.mark(&mark(1, 1)).await.unwrap(), mark(1, 1));
    assert_eq!(first.mark(&mark(1, 2)).await.unwrap(), mark(1, 1));
    let again = node(root.path(), 1);

    assert_eq!(again.look(dev(1)).await.unwrap().1, Marking::Bears(mark(1, 1)));
    assert_eq!(again.mark(&mark(1, 2)).await.unwrap(), mark(1, 1));
    put(&again.bearing(&mark(1, 1)), 1).await.unwrap();
    refused(again.mark(&mark(9, 1)).await);
    let text = fs::read_to_string(root.path().join("dev1/mogul-device")).unwrap();
    assert!(
        text.starts_with('#') && text.ends_with(&format!("\n{}\n", mark(1, 1))),
        "{text}"
    );
}

#[tokio::test]
async fn whoever_means_another_disk_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let unmarked = node(root.path(), 1);
    refused(put(&unmarked.bearing(&mark(1, 1)), 1).await);
    unmarked.mark(&mark(1, 1)).await.unwrap();
    put(&unmarked, 1).await.unwrap();

    let other = unmarked.bearing(&mark(1, 2));

    refused(put(&other, 1).await);
    refused(other.get(at(1), ByteRange::Whole).await);
    refused(other.size(at(1)).await);
    refused(other.delete(at(1)).await);
    refused(other.list(dev(1), at(1).fid, 10).await);
    assert_eq!(other.look(dev(1)).await.unwrap().1, Marking::Bears(mark(1, 1)));
    assert_eq!(unmarked.delete(at(1)).await.unwrap(), Removal::Removed);
}

#[tokio::test]
async fn a_device_that_is_unmounted_while_it_is_used_gets_no_file_and_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let node = node(root.path(), 1);
    node.mark(&mark(1, 1)).await.unwrap();
    put(&node, 1).await.unwrap();

    fs::rename(root.path().join("dev1"), root.path().join("shelf")).unwrap();
    fs::create_dir_all(root.path().join("dev1/tmp")).unwrap();
    refused(put(&node, 1).await);
    refused(node.delete(at(1)).await);
    refused(node.look(dev(1)).await);
    assert!(files(&root.path().join("dev1")).is_empty());
    fs::remove_dir_all(root.path().join("dev1")).unwrap();
    fs::rename(root.path().join("shelf"), root.path().join("dev1")).unwrap();

    assert_eq!(node.look(dev(1)).await.unwrap().1, Marking::Bears(mark(1, 1)));
    assert_eq!(node.size(at(1)).await.unwrap(), 4);
}

#[tokio::test]
async fn a_disk_that_is_mounted_in_the_place_of_another_keeps_its_files_and_gets_none() {
    let root = tempfile::tempdir().unwrap();
    shelved(root.path(), 2, "shelf", &mark(2, 2)).await;
    let node = node(root.path(), 1);
    node.mark(&mark(1, 1)).await.unwrap();

    fs::rename(root.path().join("dev1"), root.path().join("dev1-away")).unwrap();
    fs::rename(root.path().join("shelf"), root.path().join("dev1")).unwrap();
    // Nobody has looked yet.
    refused(put(&node, 1).await);
    refused(node.delete(at(1)).await);
    assert_eq!(node.look(dev(1)).await.unwrap().1, Marking::Bears(mark(2, 2)));
    // Now the node knows.
    refused(put(&node, 1).await);
    refused(node.size(at(1)).await);
    refused(node.bearing(&mark(1, 1)).size(at(1)).await);

    assert_eq!(files(&root.path().join("dev1")).len(), 2);
}

#[tokio::test]
async fn a_disk_that_is_mounted_after_the_node_started_is_taken_into_use() {
    let root = tempfile::tempdir().unwrap();
    let mine = mark(1, 1);
    shelved(root.path(), 1, "shelf", &mine).await;
    let over_the_bare_mount_point = node(root.path(), 1);
    let marking = over_the_bare_mount_point.look(dev(1)).await.unwrap().1;
    assert_eq!(marking, Marking::Unmarked);
    refused(put(&over_the_bare_mount_point.bearing(&mine), 1).await);
    fs::remove_dir_all(root.path().join("dev1")).unwrap();
    let watched = Devices::new(Vec::new()).watching(vec![root.path().to_owned()]);
    let without_any = local(Arc::new(watched));
    refused(without_any.look(dev(1)).await);

    fs::rename(root.path().join("shelf"), root.path().join("dev1")).unwrap();

    for node in [over_the_bare_mount_point, without_any] {
        assert_eq!(node.look(dev(1)).await.unwrap().1, Marking::Bears(mine.clone()));
        assert_eq!(node.bearing(&mine).size(at(1)).await.unwrap(), 4);
    }
}

#[test]
fn a_marker_that_cannot_be_read_is_no_reason_to_use_the_disk() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dev1")).unwrap();
    fs::write(root.path().join("dev1/mogul-device"), "half a ma").unwrap();

    let refused = Device::open(root.path(), dev(1), Durability::Cache).unwrap_err();

    assert!(refused.to_string().contains("dev1/mogul-device"), "{refused}");
    assert_eq!(fs::read_dir(root.path().join("dev1")).unwrap().count(), 1);
}
