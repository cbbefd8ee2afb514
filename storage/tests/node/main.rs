//! What a node promises, the same in this process and over a socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;

use std::sync::Arc;

use mogul_storage::{
    Device, Devices, Durability, Node,
    local::local,
    remote::{RemoteOptions, remote},
    server::router,
};

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

mod over_http {
    use super::{Bench, RemoteOptions, devices, remote, router};

    async fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = router(devices(&folder));
        tokio::spawn(async move { axum::serve(listener, service).await });
        Bench {
            node: remote("127.0.0.1", port, &RemoteOptions::default()),
            folder,
        }
    }

    super::cases::suite!(bench);
}
