//! Simulated clients and the ledger of what they were promised.
//!
//! Each client has keys of its own, so that it knows what each may hold: the value whose write was acknowledged last,
//! or, after an answer that never came, that of any write begun since.

use std::{cell::RefCell, collections::BTreeMap, convert::Infallible, rc::Rc};

use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use mogul_storage::{DevFid, DevId, HashType, download, node::Body, upload};
use mogul_tracker::{
    Error, Tracker,
    command::{
        files::{Copies, CreateOpen, Stored},
        objects::{DeleteObject, PutVersion},
        tempfiles::{CloseTempfile, OpenTempfile},
    },
    model::{Attributes, Bucket, ClassId, Key, Tags, WriteCondition},
    nodes::Nodes,
};

/// What a key may hold: the content of an object, or nothing.
pub type Content = Option<Vec<u8>>;

/// What clients were promised.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Rc<RefCell<BTreeMap<String, Vec<Content>>>>);

impl Ledger {
    /// A write of `content` to `key` begins: from now on either may be seen.
    pub fn begin(&self, key: &str, content: Content) {
        let mut promised = self.0.borrow_mut();
        promised
            .entry(key.to_owned())
            .or_insert_with(|| vec![None])
            .push(content);
    }

    /// The write of `content` was acknowledged: nothing else may be seen any more.
    pub fn acknowledge(&self, key: &str, content: Content) {
        self.0.borrow_mut().insert(key.to_owned(), vec![content]);
    }

    /// The write of `content` was refused for certain: it may not be seen.
    pub fn refuse(&self, key: &str, content: &Content) {
        if let Some(allowed) = self.0.borrow_mut().get_mut(key) {
            let last = allowed.iter().rposition(|one| one == content);
            if let Some(position) = last.filter(|_| allowed.len() > 1) {
                allowed.remove(position);
            }
        }
    }

    /// Whether `seen` keeps what was promised of `key`.
    #[must_use]
    pub fn allows(&self, key: &str, seen: &Content) -> bool {
        self.0
            .borrow()
            .get(key)
            .map_or(seen.is_none(), |allowed| allowed.contains(seen))
    }

    /// The keys that have been written to, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.0.borrow().keys().cloned().collect()
    }
}

/// Stores `content` under `key`, as the S3 face does it: reserve, write to all devices, make it the object.
///
/// # Errors
/// Why it was refused; nothing of it may be seen then. [`Error::Database`] leaves that open.
///
/// # Panics
/// If a digest has not the length of its algorithm.
pub async fn put(tracker: &Tracker, bucket: &Bucket, key: &Key, content: &[u8]) -> Result<(), Error> {
    let class = tracker.class(bucket.domain.id, ClassId::DEFAULT).await?;
    let size = u64::try_from(content.len()).expect("a slice's length fits");
    let open = CreateOpen {
        class: &class,
        size: Some(size),
        copies: Copies::OfClass,
        prefer: &[],
    };
    let opened = tracker.create_open(open).await?;
    let request = upload::Upload {
        fid: opened.fid,
        targets: opened.targets.clone(),
        size: Some(size),
        hashes: vec![HashType::Md5, HashType::Crc64Nvme],
        lag_max: None,
    };
    let body = stream::iter([Ok::<_, Infallible>(Bytes::copy_from_slice(content))]);
    let Ok(uploaded) = upload::upload(request, body, |_, _| Ok(())).await else {
        let devices: Vec<DevId> = opened.targets.iter().map(|target| target.device).collect();
        tracker.abandon(&opened, &devices).await?;
        return Err(Error::NoDevices);
    };
    let digest = |hash| {
        uploaded
            .digests
            .get(hash)
            .map(|digest| digest.bytes.clone())
            .unwrap_or_default()
    };
    let stored = Stored {
        size: uploaded.size,
        devices: uploaded.stored,
        crc64: digest(HashType::Crc64Nvme)
            .try_into()
            .expect("a CRC64 has eight bytes"),
        md5: digest(HashType::Md5)
            .try_into()
            .expect("an MD5 has sixteen bytes"),
    };
    let version = PutVersion {
        opened,
        stored,
        key: key.clone(),
        owner: bucket.owner.clone(),
        attributes: Attributes::default(),
        tags: Tags::new(),
        checksum: None,
        condition: WriteCondition::default(),
    };
    tracker.put_version(version).await.map(drop)
}

/// Stores `content` under `key`, as a client of the tracker port does it: reserve, write to the device itself, close. A client
/// that could not write throws the upload away; one that dies leaves it to expire.
///
/// # Errors
/// Why it was refused; nothing of it may be seen then. [`Error::Database`] leaves that open.
///
/// # Panics
/// Never: the length of a slice fits.
pub async fn put_by_port(
    tracker: &Tracker,
    bucket: &Bucket,
    key: &Key,
    content: &[u8],
    nodes: &Nodes,
) -> Result<(), Error> {
    let class = tracker.class(bucket.domain.id, ClassId::DEFAULT).await?;
    let size = u64::try_from(content.len()).expect("a slice's length fits");
    let open = OpenTempfile {
        class: &class,
        key: Some(key.clone()),
        fid: None,
        size: Some(size),
        devices: 1,
    };
    let opened = tracker.open_tempfile(open).await?;
    let device = *opened.devices.first().ok_or(Error::NoDevices)?;
    let at = DevFid {
        device,
        fid: opened.fid,
    };
    let node = nodes.get(device).ok_or(Error::NoDevices)?;
    let written = node.put(at, Some(size), Body::from(content.to_vec())).await;
    let close = CloseTempfile {
        domain: bucket.domain.id,
        at,
        key: written.is_ok().then(|| key.clone()),
        size: Some(size),
        digest: None,
    };
    tracker.close_tempfile(close).await?;
    written.map(drop).map_err(|_| Error::NoDevices)
}

/// Reads what is under `key`; nothing if there is no object.
///
/// # Errors
/// [`Error::NoReadableCopy`] while no copy can be reached; [`Error::Database`].
pub async fn get(tracker: &Tracker, bucket: &Bucket, key: &Key) -> Result<Content, Error> {
    let object = match tracker.object(bucket.domain.id, key).await {
        Err(Error::UnknownKey) => return Ok(None),
        found => found?,
    };
    let mut content = Vec::new();
    for piece in tracker.readable(&object, 0, object.size).await? {
        let bytes = download::download(piece, |_| ())
            .await
            .map_err(|_| Error::NoReadableCopy)?;
        let pieces: Vec<Bytes> = bytes.try_collect().await.map_err(|_| Error::NoReadableCopy)?;
        content.extend(pieces.concat());
    }
    Ok(Some(content))
}

/// Deletes what is under `key`.
///
/// # Errors
/// [`Error::Database`].
pub async fn delete(tracker: &Tracker, bucket: &Bucket, key: &Key) -> Result<(), Error> {
    let one = DeleteObject {
        key: key.clone(),
        if_match: None,
        if_modified: None,
        if_size: None,
    };
    let mut outcomes = tracker.delete_objects(bucket.domain.id, vec![one]).await?;
    outcomes.pop().map_or(Ok(()), |outcome| outcome.map(drop))
}
