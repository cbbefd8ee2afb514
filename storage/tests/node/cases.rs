//! The cases, one function each, and the macro that makes them a suite for a kind of node.

use std::{fs, path::PathBuf};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use mogul_storage::{
    ByteRange, DevFid, DevId, Digest, Fid, HashType, Hasher, NodeError,
    bulk::{BULK_MAX, CRC_BYTES_MAX, Extent, Seen, joined},
    node::{LIST_MAX, Removal},
};

use super::{Bench, DEVICE};

/// Makes each case a test with nodes of one kind.
macro_rules! suite {
    ($bench:ident) => {
        $crate::cases::suite!($bench:
            a_file_that_was_put_is_read_back,
            a_file_lies_where_the_original_has_it,
            the_size_of_a_body_need_not_be_known,
            a_file_that_is_synced_while_it_comes_is_whole,
            any_range_is_read,
            a_range_beyond_the_end_names_the_size,
            what_is_not_there_is_not_found,
            a_deleted_file_is_gone,
            a_put_onto_a_file_replaces_it,
            a_body_that_fails_leaves_nothing,
            a_body_of_another_length_leaves_nothing,
            a_put_that_is_given_up_leaves_nothing,
            a_device_that_is_not_served_is_named,
            a_device_that_was_unmounted_is_not_written_to,
            digests_are_computed_where_the_file_lies,
            parts_are_joined_in_order,
            a_join_that_lacks_a_part_leaves_nothing,
            a_list_is_ascending_and_goes_on_where_it_ended,
            files_that_are_no_fids_are_not_listed,
            a_list_with_sizes_has_the_bytes_of_each_file,
            many_files_are_deleted_at_once,
            many_files_are_digested_at_once,
            a_request_for_too_much_at_once_is_refused,
            usage_adds_up,
            the_time_of_clients_is_told_and_that_of_jobs_is_not,
            concurrent_puts_are_all_kept,
        );
    };
    ($bench:ident: $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::cases::$case(&$bench().await).await;
            }
        )*
    };
}
pub(crate) use suite;

/// Body lengths on both sides of every limit: whole or in pieces, reserved or not.
const LENGTHS: [usize; 7] = [0, 1, 4096, 256 << 10, (256 << 10) + 1, 1 << 20, (5 << 20) + 17];

fn device() -> DevId {
    DevId::new(DEVICE).unwrap()
}

fn at(fid: u64) -> DevFid {
    DevFid {
        device: device(),
        fid: Fid::new(fid).unwrap(),
    }
}

/// Bytes that differ from place to place.
fn bytes(length: usize) -> Bytes {
    (0..length)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect()
}

/// A body of unknown length, in pieces as they come from a socket. Like many streams, it panics if asked again after its end.
fn pieces(bytes: &Bytes) -> Body {
    let pieces: Vec<Bytes> = bytes.chunks(60_000).map(Bytes::copy_from_slice).collect();
    Body::from_stream(stream::unfold(pieces.into_iter(), async |mut pieces| {
        let piece = pieces.next()?;
        Some((Ok::<_, std::io::Error>(piece), pieces))
    }))
}

/// A body that yields some bytes and then what is given.
fn broken(then: impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Body {
    Body::from_stream(stream::iter([Ok(bytes(300 << 10))]).chain(then))
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

impl Bench {
    async fn put(&self, fid: u64, bytes: &Bytes) {
        let stored = self
            .node
            .put(at(fid), Some(length(bytes)), Body::from(bytes.clone()))
            .await;
        assert_eq!(stored.unwrap(), length(bytes));
    }

    async fn get(&self, fid: u64, range: ByteRange) -> Result<(u64, Bytes), NodeError> {
        let got = self.node.get(at(fid), range).await?;
        Ok((got.size, got.body.collect().await.unwrap().to_bytes()))
    }

    fn path(&self, fid: u64) -> PathBuf {
        self.folder.path().join(at(fid).path().trim_start_matches('/'))
    }

    /// Waits until no unfinished file is left, and says whether the file is there under its own name.
    async fn settled(&self, fid: u64) -> bool {
        let unfinished = self.folder.path().join(format!("dev{DEVICE}/tmp"));
        while fs::read_dir(&unfinished).unwrap().next().is_some() {
            tokio::task::yield_now().await;
        }
        self.path(fid).exists()
    }
}

pub(crate) async fn a_file_that_was_put_is_read_back(bench: &Bench) {
    for (fid, length) in (1..).zip(LENGTHS) {
        let bytes = bytes(length);

        bench.put(fid, &bytes).await;

        let (size, read) = bench.get(fid, ByteRange::Whole).await.unwrap();
        assert_eq!(size, super::cases::length(&bytes));
        assert!(read == bytes, "{length} bytes came back differently");
        assert_eq!(bench.node.size(at(fid)).await.unwrap(), size);
    }
}

pub(crate) async fn a_file_lies_where_the_original_has_it(bench: &Bench) {
    bench.put(1_234_567_890, &bytes(10)).await;

    let path = bench.folder.path().join("dev1/1/234/567/1234567890.fid");
    assert_eq!(fs::read(path).unwrap(), bytes(10));
}

pub(crate) async fn the_size_of_a_body_need_not_be_known(bench: &Bench) {
    for (fid, length) in (1..).zip(LENGTHS) {
        let bytes = bytes(length);

        let stored = bench.node.put(at(fid), None, pieces(&bytes)).await.unwrap();

        assert_eq!(stored, super::cases::length(&bytes));
        assert!(bench.get(fid, ByteRange::Whole).await.unwrap().1 == bytes);
    }
}

pub(crate) async fn a_file_that_is_synced_while_it_comes_is_whole(bench: &Bench) {
    let frame = bytes(1 << 20);
    let frames = vec![frame.clone(); 80];
    let mut hasher = Hasher::new(&[HashType::Crc64Nvme]);
    for frame in &frames {
        hasher.update(frame);
    }
    let body = Body::from_stream(stream::iter(frames).map(Ok::<_, std::io::Error>));

    let stored = bench.node.put(at(1), Some(80 << 20), body).await.unwrap();

    assert_eq!(stored, 80 << 20);
    let found = bench.node.digest(at(1), HashType::Crc64Nvme).await.unwrap();
    assert_eq!(Some(&found), hasher.finish().get(HashType::Crc64Nvme));
}

pub(crate) async fn any_range_is_read(bench: &Bench) {
    let whole = bytes(3 << 20);
    bench.put(1, &whole).await;
    let size = length(&whole);

    for (first, last) in [
        (0, 0),
        (1, 4096),
        (100, 2 << 20),
        (0, size - 1),
        (size - 1, size - 1),
        (5, size + 5),
    ] {
        let (total, part) = bench.get(1, ByteRange::Span { first, last }).await.unwrap();

        let end = usize::try_from(last.min(size - 1)).unwrap();
        assert_eq!(total, size);
        assert!(
            part == whole[usize::try_from(first).unwrap()..=end],
            "{first}-{last}"
        );
    }
    let (_, rest) = bench.get(1, ByteRange::From(size - 9)).await.unwrap();
    assert_eq!(rest, whole[whole.len() - 9..]);
}

pub(crate) async fn a_range_beyond_the_end_names_the_size(bench: &Bench) {
    bench.put(1, &bytes(12)).await;

    let error = bench.get(1, ByteRange::From(12)).await.unwrap_err();

    assert!(matches!(error, NodeError::OutOfRange { size: 12 }), "{error:?}");
}

pub(crate) async fn what_is_not_there_is_not_found(bench: &Bench) {
    let missing = |outcome: Result<(), NodeError>| matches!(outcome, Err(NodeError::NotFound));

    assert!(missing(bench.get(1, ByteRange::Whole).await.map(drop)));
    assert!(missing(bench.node.size(at(1)).await.map(drop)));
    assert!(missing(bench.node.digest(at(1), HashType::Md5).await.map(drop)));
    assert_eq!(bench.node.delete(at(1)).await.unwrap(), Removal::WasAbsent);
}

pub(crate) async fn a_deleted_file_is_gone(bench: &Bench) {
    bench.put(1, &bytes(5)).await;

    assert_eq!(bench.node.delete(at(1)).await.unwrap(), Removal::Removed);

    assert!(matches!(bench.node.size(at(1)).await, Err(NodeError::NotFound)));
    assert!(!bench.path(1).exists());
}

pub(crate) async fn a_put_onto_a_file_replaces_it(bench: &Bench) {
    bench.put(1, &bytes(500)).await;

    bench.put(1, &Bytes::from_static(b"new")).await;

    assert_eq!(
        bench.get(1, ByteRange::Whole).await.unwrap(),
        (3, Bytes::from_static(b"new"))
    );
}

pub(crate) async fn a_body_that_fails_leaves_nothing(bench: &Bench) {
    for size in [None, Some(1 << 20)] {
        let body = broken(stream::iter([Err(std::io::Error::other("hung up"))]));

        let error = bench.node.put(at(1), size, body).await.unwrap_err();

        assert!(matches!(error, NodeError::Body(_)), "{error:?}");
        assert!(!bench.settled(1).await);
    }
}

pub(crate) async fn a_body_of_another_length_leaves_nothing(bench: &Bench) {
    for (sent, announced) in [(10, 11), (300 << 10, 301 << 10), (11, 10), (301 << 10, 300 << 10)] {
        let body = pieces(&bytes(sent));

        let error = bench.node.put(at(1), Some(announced), body).await.unwrap_err();

        assert!(
            matches!(error, NodeError::Body(_)),
            "{sent} for {announced}: {error:?}"
        );
        assert!(!bench.settled(1).await);
    }
}

pub(crate) async fn a_put_that_is_given_up_leaves_nothing(bench: &Bench) {
    let (begun, seen) = tokio::sync::oneshot::channel();
    let body = broken(stream::once(async move {
        begun.send(()).unwrap();
        std::future::pending().await
    }));
    let node = bench.node.clone();
    let put = tokio::spawn(async move { node.put(at(1), Some(1 << 20), body).await });
    seen.await.unwrap();

    put.abort();

    assert!(put.await.unwrap_err().is_cancelled());
    assert!(!bench.settled(1).await);
}

pub(crate) async fn a_device_that_is_not_served_is_named(bench: &Bench) {
    let device = DevId::new(9).unwrap();
    let at = DevFid { device, ..at(1) };
    let body = Body::from(bytes(3));

    let stored = bench.node.put(at, Some(3), body).await;

    assert!(matches!(stored, Err(NodeError::NoDevice)), "{stored:?}");
    assert!(matches!(
        bench.node.size(at).await,
        Err(NodeError::NoDevice | NodeError::NotFound)
    ));
    assert!(matches!(bench.node.usage(device).await, Err(NodeError::NoDevice)));
}

pub(crate) async fn a_device_that_was_unmounted_is_not_written_to(bench: &Bench) {
    bench.put(1, &bytes(3)).await;
    let folder = bench.folder.path().join(format!("dev{DEVICE}"));
    fs::rename(&folder, bench.folder.path().join("elsewhere")).unwrap();
    // An unmounted device leaves its mount point behind.
    fs::create_dir(&folder).unwrap();

    let stored = bench.node.put(at(2), Some(3), Body::from(bytes(3))).await;

    assert!(matches!(stored, Err(NodeError::NoDevice)), "{stored:?}");
    assert!(matches!(
        bench.get(1, ByteRange::Whole).await,
        Err(NodeError::NoDevice)
    ));
    assert!(matches!(bench.node.delete(at(1)).await, Err(NodeError::NoDevice)));
    assert!(matches!(
        bench.node.usage(device()).await,
        Err(NodeError::NoDevice)
    ));
    assert!(fs::read_dir(&folder).unwrap().next().is_none());
}

pub(crate) async fn digests_are_computed_where_the_file_lies(bench: &Bench) {
    let bytes = bytes(700_000);
    bench.put(1, &bytes).await;
    let mut hasher = Hasher::new(&HashType::ALL);
    hasher.update(&bytes);

    for expected in hasher.finish().iter() {
        let found: Digest = bench.node.digest(at(1), expected.hash).await.unwrap();

        assert_eq!(found, *expected);
    }
}

pub(crate) async fn parts_are_joined_in_order(bench: &Bench) {
    bench.put(1, &bytes(700_000)).await;
    bench.put(2, &bytes(0)).await;
    bench.put(3, &bytes(5)).await;
    let parts = [3, 1, 2, 3].map(|fid| at(fid).fid);

    let stored = bench.node.join(at(4), &parts).await.unwrap();

    let expected = [bytes(5), bytes(700_000), bytes(5)].concat();
    assert_eq!(stored, 700_010);
    assert!(bench.get(4, ByteRange::Whole).await.unwrap().1 == expected);
}

pub(crate) async fn a_join_that_lacks_a_part_leaves_nothing(bench: &Bench) {
    bench.put(1, &bytes(5)).await;

    let joined = bench.node.join(at(4), &[at(1).fid, at(2).fid]).await;

    assert!(matches!(joined, Err(NodeError::NotFound)), "{joined:?}");
    assert!(!bench.settled(4).await);
    assert!(matches!(
        bench.node.join(at(4), &[]).await,
        Err(NodeError::Answer { status: 400, .. })
    ));
}

pub(crate) async fn a_list_is_ascending_and_goes_on_where_it_ended(bench: &Bench) {
    // Over folders of each level, and longer numbers whose folders lie between those of shorter ones.
    let fids = [
        1,
        2,
        999,
        1000,
        1001,
        1_000_000,
        2_000_000_000,
        9_999_999_999,
        12_345_678_901,
        123_456_789_012,
    ];
    for fid in fids {
        bench.put(fid, &Bytes::new()).await;
    }
    let list = async |first: u64, limit| {
        let listed = bench.node.list(device(), at(first).fid, limit).await.unwrap();
        listed.into_iter().map(Fid::get).collect::<Vec<u64>>()
    };

    assert_eq!(list(1, LIST_MAX).await, fids);
    assert_eq!(list(1000, LIST_MAX).await, fids[3..]);
    assert_eq!(list(1002, 2).await, fids[5..7]);
    assert_eq!(list(10_000_000_000, 1).await, fids[8..9]);
    let mut all = Vec::new();
    let mut first = 1;
    loop {
        let page = list(first, 3).await;
        let Some(end) = page.last() else {
            break;
        };
        first = end + 1;
        all.extend(page);
    }
    assert_eq!(all, fids);
}

pub(crate) async fn files_that_are_no_fids_are_not_listed(bench: &Bench) {
    bench.put(5, &Bytes::new()).await;
    let folder = bench.path(5);
    let folder = folder.parent().unwrap();
    // The second is what mogstored writes a body with Content-MD5 to; the third lies in a folder that is not its own.
    for name in [
        "5.fid",
        "0000000006.fid.77.123.tmp",
        "0000001234.fid",
        "notes.txt",
    ] {
        fs::write(folder.join(name), "").unwrap();
    }
    fs::create_dir(bench.folder.path().join("dev1/lost+found")).unwrap();

    let listed = bench.node.list(device(), at(1).fid, LIST_MAX).await.unwrap();

    assert_eq!(listed, [at(5).fid]);
}

pub(crate) async fn a_list_with_sizes_has_the_bytes_of_each_file(bench: &Bench) {
    for fid in [3, 4, 2000] {
        bench
            .put(fid, &Bytes::from(vec![0; usize::try_from(fid).unwrap()]))
            .await;
    }
    let sizes = async |first: u64, limit| {
        let listed = bench.node.sizes(device(), at(first).fid, limit).await.unwrap();
        listed
            .into_iter()
            .map(|(fid, size)| (fid.get(), size))
            .collect::<Vec<_>>()
    };

    assert_eq!(sizes(1, LIST_MAX).await, [(3, 3), (4, 4), (2000, 2000)]);
    assert_eq!(sizes(4, 1).await, [(4, 4)]);
    assert_eq!(sizes(2001, 1).await, []);
}

pub(crate) async fn many_files_are_deleted_at_once(bench: &Bench) {
    for fid in 1..=4 {
        bench.put(fid, &bytes(5)).await;
    }
    // What is no file cannot be deleted as one.
    fs::remove_file(bench.path(2)).unwrap();
    fs::create_dir(bench.path(2)).unwrap();
    let fids = [1, 2, 3, 77].map(|fid| at(fid).fid);

    let left = bench.node.delete_many(device(), &fids).await.unwrap();

    assert_eq!(left, [at(2).fid]);
    assert!(!bench.path(1).exists() && !bench.path(3).exists() && bench.path(4).exists());
    let nowhere = DevId::new(9).unwrap();
    let refused = bench.node.delete_many(nowhere, &fids).await;
    assert!(matches!(refused, Err(NodeError::NoDevice)), "{refused:?}");
}

pub(crate) async fn many_files_are_digested_at_once(bench: &Bench) {
    let large = (1 << 20) + 17;
    bench.put(1, &bytes(large)).await;
    bench.put(2, &Bytes::new()).await;
    fs::create_dir_all(bench.path(3)).unwrap();
    let extent = |fid, first, length| Extent {
        fid: at(fid).fid,
        first,
        length,
    };
    let extents = [
        extent(1, 0, 8 << 20),
        extent(1, 0, 5),
        extent(1, 5, 8 << 20),
        extent(2, 0, 9),
        extent(3, 0, 9),
        extent(4, 0, 9),
    ];

    let seen = bench.node.crcs(device(), &extents).await.unwrap();

    let crc = |bytes: &[u8]| -> [u8; 8] {
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
    };
    let size = u64::try_from(large).unwrap();
    let file = |size, crc64| Seen::File { size, crc64 };
    let (head, tail) = (crc(&bytes(5)), crc(&bytes(large)[5..]));
    assert_eq!(seen[0], file(size, crc(&bytes(large))));
    assert_eq!(seen[1], file(size, head));
    assert_eq!(seen[2], file(size, tail));
    assert_eq!(joined(head, tail, size - 5), crc(&bytes(large)));
    assert_eq!(seen[3..], [file(0, crc(b"")), Seen::Unreadable, Seen::Missing]);
}

pub(crate) async fn a_request_for_too_much_at_once_is_refused(bench: &Bench) {
    let extent = |length| Extent {
        fid: at(1).fid,
        first: 0,
        length,
    };
    for extents in [
        vec![],
        vec![extent(CRC_BYTES_MAX), extent(1)],
        vec![extent(u64::MAX); 2],
        vec![extent(1); BULK_MAX + 1],
    ] {
        let refused = bench.node.crcs(device(), &extents).await;

        assert!(
            matches!(
                refused,
                Err(NodeError::Answer { status: 400, .. } | NodeError::Body(_))
            ),
            "{refused:?}"
        );
    }
}

pub(crate) async fn usage_adds_up(bench: &Bench) {
    let usage = bench.node.usage(device()).await.unwrap();

    assert!(usage.used_bytes > 0 && usage.available_bytes > 0);
    assert_eq!(usage.total_bytes, usage.used_bytes + usage.available_bytes);
    assert!(bench.folder.path().join("dev1/usage").exists());
}

pub(crate) async fn the_time_of_clients_is_told_and_that_of_jobs_is_not(bench: &Bench) {
    let clients = async || bench.node.usage(device()).await.unwrap().clients.unwrap();
    let job = bench.node.for_jobs();
    let large = bytes(1 << 20);
    let body = || Body::from(large.clone());

    let before = clients().await;
    job.put(at(1), Some(length(&large)), body()).await.unwrap();
    let got = job.get(at(1), ByteRange::Whole).await.unwrap();
    got.body.collect().await.unwrap();
    job.delete(at(1)).await.unwrap();
    assert_eq!(clients().await, before);

    bench.put(2, &large).await;
    let written = clients().await;
    assert!(written > before);
    bench.get(2, ByteRange::Whole).await.unwrap();
    assert!(clients().await > written);
}

pub(crate) async fn concurrent_puts_are_all_kept(bench: &Bench) {
    let put = |fid: u64| async move {
        let bytes = Bytes::from(fid.to_string());
        bench.put(fid * 500, &bytes).await;
    };

    futures_util::future::join_all((1..=100).map(put)).await;

    for fid in 1..=100_u64 {
        assert_eq!(
            fs::read_to_string(bench.path(fid * 500)).unwrap(),
            fid.to_string()
        );
    }
    assert!(bench.settled(500).await);
}
