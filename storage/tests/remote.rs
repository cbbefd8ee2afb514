//! Remote nodes that misbehave, and foreign ones.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use mogul_storage::{
    ByteRange, DevFid, DevId, Fid, HashType, Node, NodeError,
    node::{Trial, TrialFolder, Tried},
    remote::{RemoteOptions, remote, remote_apart},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

fn at() -> DevFid {
    DevFid {
        device: DevId::new(1).unwrap(),
        fid: Fid::new(5).unwrap(),
    }
}

/// A node of which each connection is handed to the test.
async fn node(answer_timeout: Duration) -> (Node, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = RemoteOptions {
        answer_timeout,
        ..RemoteOptions::default()
    };
    let node = remote("127.0.0.1", listener.local_addr().unwrap().port(), &options);
    let (sender, connections) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            sender.send(connection).await.unwrap();
        }
    });
    (node, connections)
}

/// A node that answers each request, on connections of its own, with these bytes.
async fn saying(answer: &'static str) -> Node {
    let (node, mut connections) = node(Duration::from_secs(30)).await;
    tokio::spawn(async move {
        while let Some(mut connection) = connections.recv().await {
            read_head(&mut connection).await;
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    node
}

async fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_node_that_takes_whatever_comes_is_found_out() {
    let node = saying("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nother").await;
    let device = DevId::new(1).unwrap();
    let trial = Trial {
        name: "test-write-7".to_owned(),
        text: "time=1 rand=7".to_owned(),
        folder: TrialFolder::Make,
    };

    assert_eq!(node.try_writing(device, &trial).await.unwrap(), Tried::Differs);
    assert!(!node.rejects_bad_md5(device).await.unwrap());
}

#[tokio::test]
async fn a_node_that_refuses_files_says_so_to_a_trial() {
    let node = saying("HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let device = DevId::new(1).unwrap();
    let trial = Trial {
        name: "test-write-7".to_owned(),
        text: "time=1 rand=7".to_owned(),
        folder: TrialFolder::IsThere,
    };

    let refused = node.try_writing(device, &trial).await;

    assert!(
        matches!(refused, Err(NodeError::Answer { status: 403, .. })),
        "{refused:?}"
    );
    assert!(node.rejects_bad_md5(device).await.unwrap());
}

#[tokio::test]
async fn plain_reads_go_to_the_get_port_and_everything_else_to_the_node() {
    let reads = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rest = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let node = remote_apart("127.0.0.1", port(&rest), port(&reads), &RemoteOptions::default());
    let asked = tokio::spawn(async move {
        node.get(at(), ByteRange::Whole).await.unwrap();
        node.size(at()).await.unwrap()
    });

    let answer = |length: u8| format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let (mut read, _) = reads.accept().await.unwrap();
    assert!(read_head(&mut read).await.starts_with("GET "));
    read.write_all(answer(0).as_bytes()).await.unwrap();
    let (mut head, _) = rest.accept().await.unwrap();
    assert!(read_head(&mut head).await.starts_with("HEAD "));
    head.write_all(answer(7).as_bytes()).await.unwrap();

    assert_eq!(asked.await.unwrap(), 7);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let node = remote("127.0.0.1", port, &RemoteOptions::default());

    assert!(matches!(node.size(at()).await, Err(NodeError::Unreachable(_))));
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_given_up() {
    let (node, mut connections) = node(Duration::from_millis(50)).await;

    let size = node.size(at()).await;

    assert!(matches!(size, Err(NodeError::Unreachable(_))), "{size:?}");
    assert!(connections.recv().await.is_some());
}

#[tokio::test]
async fn a_node_that_takes_no_more_of_a_body_is_given_up() {
    let (node, _connections) = node(Duration::from_millis(50)).await;
    let body = stream::repeat(Bytes::from(vec![0; 1 << 20])).map(Ok::<_, std::io::Error>);

    let stored = node.put(at(), None, Body::from_stream(body)).await;

    assert!(matches!(stored, Err(NodeError::Unreachable(_))), "{stored:?}");
}

#[tokio::test]
async fn a_node_that_stops_in_the_middle_of_a_file_is_given_up() {
    let (node, mut connections) = node(Duration::from_millis(50)).await;
    let get = tokio::spawn(async move { node.get(at(), ByteRange::Whole).await });
    let mut connection = connections.recv().await.unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc";
    connection.write_all(head.as_bytes()).await.unwrap();

    let got = get.await.unwrap().unwrap();

    assert_eq!(got.size, 100);
    assert!(got.body.collect().await.is_err());
}

#[tokio::test]
async fn a_slow_client_is_not_taken_for_a_node_that_hangs() {
    let timeout = Duration::from_millis(50);
    let (node, mut connections) = node(timeout).await;
    let (sender, pieces) = mpsc::channel::<Bytes>(1);
    let body = stream::unfold(pieces, async |mut pieces| {
        let piece = pieces.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), pieces))
    });
    let put = tokio::spawn(async move { node.put(at(), Some(4), Body::from_stream(body)).await });
    let mut connection = connections.recv().await.unwrap();
    read_head(&mut connection).await;
    sender.send(Bytes::from_static(b"ab")).await.unwrap();
    assert_eq!(connection.read_u16().await.unwrap(), u16::from_be_bytes(*b"ab"));

    // Nothing but the passing of time can show that nobody loses patience.
    #[expect(
        clippy::disallowed_methods,
        reason = "the client of this test is slow on purpose"
    )]
    tokio::time::sleep(timeout * 4).await;
    sender.send(Bytes::from_static(b"cd")).await.unwrap();
    drop(sender);
    connection
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();

    assert_eq!(put.await.unwrap().unwrap(), 4);
}

#[tokio::test]
async fn a_connection_that_the_node_has_closed_is_replaced() {
    let (node, mut connections) = node(Duration::from_secs(30)).await;
    let size = |node: Node| tokio::spawn(async move { node.size(at()).await });
    let first = size(node.clone());
    let mut connection = connections.recv().await.unwrap();
    read_head(&mut connection).await;
    connection
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(first.await.unwrap().unwrap(), 7);
    drop(connection);

    let second = size(node);
    let mut connection = connections.recv().await.unwrap();
    read_head(&mut connection).await;
    connection
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        .await
        .unwrap();

    assert_eq!(second.await.unwrap().unwrap(), 8);
}

#[tokio::test]
async fn an_original_node_is_understood() {
    let stored = "HTTP/1.0 200 OK\r\nServer: Perlbal\r\nContent-Length: 0\r\n\r\n";
    let missing =
        "HTTP/1.0 404 Not Found\r\nServer: Perlbal\r\nContent-Length: 25\r\n\r\n<h1>404 - Not Found</h1>\n";
    let refused = "HTTP/1.0 400 Bad Request\r\nServer: Perlbal\r\nContent-Length: 0\r\n\r\n";
    let beyond = "HTTP/1.0 416 x\r\nContent-Range: bytes */12\r\nContent-Length: 0\r\n\r\n";
    let body = || Body::from("abc");

    assert_eq!(saying(stored).await.put(at(), Some(3), body()).await.unwrap(), 3);
    assert!(matches!(
        saying(missing).await.size(at()).await,
        Err(NodeError::NotFound)
    ));
    assert!(matches!(
        saying(missing).await.put(at(), Some(3), body()).await,
        Err(NodeError::NoDevice)
    ));
    assert!(matches!(
        saying(missing).await.usage(at().device).await,
        Err(NodeError::NoDevice)
    ));
    assert!(matches!(
        saying(beyond).await.get(at(), ByteRange::From(12)).await,
        Err(NodeError::OutOfRange { size: 12 })
    ));
    let node = saying(refused).await;
    assert!(matches!(
        node.digest(at(), HashType::Md5).await,
        Err(NodeError::Unsupported("digest"))
    ));
    assert!(matches!(
        node.join(at(), &[at().fid]).await,
        Err(NodeError::Unsupported("join"))
    ));
    assert!(matches!(
        node.list(at().device, at().fid, 9).await,
        Err(NodeError::Unsupported("list"))
    ));
}
