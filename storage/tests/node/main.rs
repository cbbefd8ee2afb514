//! What a node promises, the same in this process and over a socket.

mod cases;

use std::sync::Arc;

use mogul_storage::{Device, Devices, Durability, Node, local::local};

/// The device that all cases use.
const DEVICE: u32 = 1;

/// A node over one device in a scratch folder.
struct Bench {
    node: Node,
    folder: tempfile::TempDir,
}

fn devices(folder: &tempfile::TempDir) -> Arc<Devices> {
    let id = mogul_storage::DevId::new(DEVICE).unwrap();
    let device = Device::open(folder.path(), id, Durability::Sync).unwrap();
    Arc::new(Devices::new(vec![device]))
}

mod in_process {
    use super::{Bench, devices, local};

    async fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        Bench {
            node: local(devices(&folder)),
            folder,
        }
    }

    super::cases::suite!(bench);
}
