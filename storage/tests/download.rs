//! What a download promises: the right bytes from whichever copies are left, or no success.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, Response, StatusCode, header};
use mogul_storage::{
    DevId, Fid, HashType, Hasher, Node,
    download::{BadCopy, Download, DownloadError, Fault, Source, download},
    latency::Latencies,
};

/// What is wrong with a copy.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    None,
    Lost,
    Truncated,
    /// A bit is flipped in the byte at this offset.
    Flipped(usize),
    /// The connection breaks after so many bytes of an answer.
    Breaks(usize),
    /// The body ends after so many bytes of an answer, as if it were whole.
    EndsEarly(usize),
    /// Nothing follows so many bytes of an answer.
    HangsAfter(usize),
    /// It never answers.
    Hangs,
}

/// A node that serves one file in frames of 10,000 bytes, with a flaw.
fn node(file: &Bytes, flaw: Flaw) -> Node {
    let mut file = file.to_vec();
    match flaw {
        Flaw::Truncated => file.truncate(file.len() - 1),
        Flaw::Flipped(at) => file[at] ^= 4,
        Flaw::None
        | Flaw::Lost
        | Flaw::Breaks(_)
        | Flaw::EndsEarly(_)
        | Flaw::HangsAfter(_)
        | Flaw::Hangs => {}
    }
    let file = Bytes::from(file);
    Node::new(tower::service_fn(move |request: Request<Body>| {
        let file = file.clone();
        async move {
            match flaw {
                Flaw::Hangs => std::future::pending().await,
                Flaw::Lost => Ok::<_, io::Error>(status(StatusCode::NOT_FOUND)),
                Flaw::None
                | Flaw::Truncated
                | Flaw::Flipped(_)
                | Flaw::Breaks(_)
                | Flaw::EndsEarly(_)
                | Flaw::HangsAfter(_) => Ok(serve(&file, flaw, &request)),
            }
        }
    }))
}

fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

fn serve(file: &Bytes, flaw: Flaw, request: &Request<Body>) -> Response<Body> {
    if request.method() == "OPTIONS" {
        return Response::builder()
            .header("x-mogul", "digest")
            .body(Body::empty())
            .unwrap();
    }
    if request.uri().query() == Some("digest=crc64nvme") {
        return Response::new(Body::from(hex::encode(crc64(file))));
    }
    let mut answer = Response::builder();
    let mut part = file.clone();
    if let Some(range) = request.headers().get(header::RANGE) {
        let (first, last) = range.to_str().unwrap()[6..].split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let last = last.min(file.len() - 1);
        part = file.slice(first..=last);
        let range = format!("bytes {first}-{last}/{}", file.len());
        answer = answer.status(206).header(header::CONTENT_RANGE, range);
    }
    let answer = answer.header(header::CONTENT_LENGTH, part.len());
    let (sent, then) = match flaw {
        Flaw::Breaks(sent) => (sent, Some(Err(io::Error::other("broken")))),
        Flaw::EndsEarly(sent) => (sent, None),
        Flaw::HangsAfter(sent) => {
            let frames = frames(&part[..sent.min(part.len())]);
            return answer
                .body(Body::from_stream(frames.chain(stream::pending())))
                .unwrap();
        }
        Flaw::None | Flaw::Lost | Flaw::Truncated | Flaw::Flipped(_) | Flaw::Hangs => (part.len(), None),
    };
    let frames = frames(&part[..sent.min(part.len())]);
    answer
        .body(Body::from_stream(frames.chain(stream::iter(then))))
        .unwrap()
}

fn frames(bytes: &[u8]) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + use<> {
    let frames: Vec<Bytes> = bytes.chunks(10_000).map(Bytes::copy_from_slice).collect();
    stream::iter(frames).map(Ok)
}

fn crc64(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = Hasher::new(&[HashType::Crc64Nvme]);
    hasher.update(bytes);
    let digests = hasher.finish();
    digests
        .get(HashType::Crc64Nvme)
        .unwrap()
        .bytes
        .clone()
        .try_into()
        .unwrap()
}

fn fid() -> Fid {
    Fid::new(7).unwrap()
}

/// A file that is checked before it leaves, and one that leaves while it is read.
fn small() -> Bytes {
    (0..100_000_usize)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect()
}

fn large() -> Bytes {
    (0..2_000_000_usize)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect()
}

/// What a reader got: the bytes before the end or the error, and which copies were called bad.
struct Read {
    bytes: Vec<u8>,
    error: Option<DownloadError>,
    bad: Vec<(u32, Fault)>,
}

/// Reads from copies on devices 1, 2, … with these flaws.
async fn read(file: &Bytes, flaws: &[Flaw]) -> Read {
    read_part(file, flaws, 0, file.len()).await
}

async fn read_part(file: &Bytes, flaws: &[Flaw], first: usize, length: usize) -> Read {
    finish(request(file, flaws, first, length)).await
}

fn request(file: &Bytes, flaws: &[Flaw], first: usize, length: usize) -> Download {
    let sources = (1..).zip(flaws).map(|(number, flaw)| Source {
        device: DevId::new(number).unwrap(),
        node: node(file, *flaw),
    });
    Download {
        fid: fid(),
        sources: sources.collect(),
        size: u64::try_from(file.len()).unwrap(),
        first: u64::try_from(first).unwrap(),
        length: u64::try_from(length).unwrap(),
        crc64: Some(crc64(file)),
        latencies: None,
    }
}

async fn finish(request: Download) -> Read {
    let bad = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&bad);
    let tell = move |copy: BadCopy| {
        assert_eq!(copy.fid, fid());
        told.lock().unwrap().push((copy.device.get(), copy.fault));
    };

    let mut bytes = Vec::new();
    let error = match download(request, tell).await {
        Ok(stream) => {
            let mut stream = std::pin::pin!(stream);
            loop {
                match stream.try_next().await {
                    Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            }
        }
        Err(error) => Some(error),
    };
    let bad = bad.lock().unwrap().clone();
    Read { bytes, error, bad }
}

#[tokio::test(start_paused = true)]
async fn a_good_copy_is_read_and_no_other_is_asked() {
    for file in [Bytes::new(), small(), large()] {
        let read = read(&file, &[Flaw::None, Flaw::Lost]).await;

        assert!(read.bytes == file && read.error.is_none());
        assert_eq!(read.bad, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_cannot_be_read_is_replaced_and_told_of() {
    for file in [small(), large()] {
        for (flaw, fault) in [
            (Flaw::Lost, Fault::Missing),
            (Flaw::Truncated, Fault::Short),
            (Flaw::Breaks(0), Fault::Unreachable),
            (Flaw::Breaks(55_000), Fault::Unreachable),
            (Flaw::EndsEarly(55_000), Fault::Short),
            (Flaw::HangsAfter(55_000), Fault::Unreachable),
            (Flaw::Hangs, Fault::Unreachable),
        ] {
            let read = read(&file, &[flaw, Flaw::None]).await;

            assert!(read.error.is_none(), "{flaw:?}");
            assert!(read.bytes == file, "{flaw:?}");
            assert_eq!(read.bad, [(1, fault)], "{flaw:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_at_the_offset_reached_through_many_failures() {
    let flaws = [
        Flaw::Breaks(700_000),
        Flaw::HangsAfter(123_456),
        Flaw::EndsEarly(1),
        Flaw::None,
    ];

    let read = read(&large(), &flaws).await;

    assert!(read.error.is_none() && read.bytes == large());
    assert_eq!(read.bad.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rot_in_a_small_file_is_never_seen() {
    let read = read(&small(), &[Flaw::Flipped(99_999), Flaw::None]).await;

    assert!(read.error.is_none() && read.bytes == small());
    assert_eq!(read.bad, [(1, Fault::Rotten)]);
}

#[tokio::test(start_paused = true)]
async fn a_large_file_that_is_rotten_never_ends_as_a_success() {
    for at in [0, 1_000_000, 1_999_999] {
        let read = read(&large(), &[Flaw::Flipped(at), Flaw::None]).await;

        assert!(read.error.is_some());
        assert!(read.bytes.len() < large().len());
        assert_eq!(read.bad, [(1, Fault::Rotten)]);
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_copies_that_were_read_the_rotten_one_is_told_of() {
    let file = large();
    let half = file.len() / 2;
    // The first copy is right and breaks in the middle, the second is rotten behind it.
    let read = read(&file, &[Flaw::Breaks(half), Flaw::Flipped(half + 9)]).await;

    assert!(read.error.is_some());
    assert_eq!(read.bad, [(1, Fault::Unreachable), (2, Fault::Rotten)]);
}

#[tokio::test(start_paused = true)]
async fn when_no_copy_is_left_the_reader_learns_where() {
    for file in [small(), large()] {
        let read = read(&file, &[Flaw::Lost, Flaw::Hangs]).await;

        assert_eq!(read.error.unwrap().at, 0);
        assert!(read.bytes.is_empty());
        assert_eq!(read.bad, [(1, Fault::Missing), (2, Fault::Unreachable)]);
    }
    let read = read(&large(), &[Flaw::Breaks(700_000)]).await;
    assert_eq!(read.error.unwrap().at, 700_000);
}

#[tokio::test(start_paused = true)]
async fn ranges_are_read_through_failures_too() {
    let file = large();
    for (first, length) in [(0, 1), (5, 1_500_000), (1_999_999, 1), (1_999_990, 100), (7, 0)] {
        let read = read_part(
            &file,
            &[Flaw::Breaks(60_000), Flaw::HangsAfter(0), Flaw::None],
            first,
            length,
        )
        .await;

        let end = (first + length).min(file.len());
        assert!(read.error.is_none(), "{first}+{length}");
        assert!(read.bytes == file[first..end], "{first}+{length}");
    }
}

/// Reads from copies of which it is known how soon they answer.
async fn read_watched(file: &Bytes, flaws: &[Flaw], latencies: &Latencies) -> Read {
    finish(Download {
        latencies: Some(latencies.clone()),
        ..request(file, flaws, 0, file.len())
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_slow_is_overtaken_and_not_called_bad() {
    for file in [small(), large()] {
        for slow in [Flaw::Hangs, Flaw::HangsAfter(0), Flaw::HangsAfter(55_000)] {
            let latencies = Latencies::default();

            let read = read_watched(&file, &[slow, Flaw::None], &latencies).await;

            assert!(read.error.is_none() && read.bytes == file, "{slow:?}");
            assert_eq!(read.bad, [], "{slow:?}");
            assert_eq!(latencies.hedges(), 1, "{slow:?}");
            let [one, two] = [1, 2].map(|number| latencies.expected(DevId::new(number).unwrap()));
            assert!(Latencies::is_slow(one, two), "{slow:?}: {one:?} and {two:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_overtaken_is_read_when_the_other_fails() {
    let flaws = [Flaw::HangsAfter(1_500_000), Flaw::Breaks(100_000)];

    let read = read_watched(&large(), &flaws, &Latencies::default()).await;

    // The first one pauses, the second one breaks after some more, and the first one has the rest.
    assert!(read.error.is_none() && read.bytes == large());
    assert_eq!(read.bad, [(2, Fault::Unreachable)]);
}

#[tokio::test(start_paused = true)]
async fn copies_that_all_hang_end_a_read_as_without_second_requests() {
    for file in [small(), large()] {
        let flaws = [Flaw::HangsAfter(7), Flaw::Hangs, Flaw::HangsAfter(0)];

        let mut read = read_watched(&file, &flaws, &Latencies::default()).await;

        assert!(read.error.is_some());
        read.bad.sort_unstable_by_key(|(device, _)| *device);
        let all = [1, 2, 3].map(|device| (device, Fault::Unreachable));
        assert_eq!(read.bad, all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_slow_as_a_whole_gets_few_second_requests() {
    let latencies = Latencies::default();

    for _ in 0..1000 {
        let read = read_watched(&small(), &[Flaw::Hangs, Flaw::None], &latencies).await;

        assert!(read.error.is_none() && read.bytes == small());
    }

    assert!(latencies.hedges() < 330, "{}", latencies.hedges());
}
