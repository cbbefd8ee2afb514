//! A [`World`] of one host, seen by tests of objects and uploads: bytes go in under a key and come out again.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use mogul_storage::{
    DevId, HashType,
    upload::{Upload, upload},
};
use mogul_tracker::{
    Error,
    command::{
        files::{Copies, CreateOpen, Opened, Stored},
        objects::Written,
    },
    jobs::{delete::Delete, join::Join},
    meta::Db,
    model::{Class, ObjectVersion, WriteCondition},
};

use crate::world::{World, key};

/// A world and the class in which objects are stored.
pub(crate) struct Stock {
    world: World,
    pub(crate) class: Class,
}

impl Deref for Stock {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Stock {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Stock {
    /// One host of this many devices, two of which take each object.
    pub(crate) async fn new(db: Db, devices: u32) -> Stock {
        let devices: Vec<u32> = (1..=devices).collect();
        let world = World::on(db, &[&devices]).await;
        let class = world.class().await;
        Stock { world, class }
    }

    /// Reserves a fid and stores bytes under it on the devices that were chosen, or on the `only` one.
    pub(crate) async fn store(&self, bytes: &[u8], only: Option<u32>) -> (Opened, Stored) {
        let prefer: Vec<DevId> = only.and_then(DevId::new).into_iter().collect();
        let request = CreateOpen {
            class: &self.class,
            size: None,
            copies: Copies::OfClass,
            prefer: &prefer,
        };
        let opened = self.tracker.create_open(request).await.unwrap();
        let mut targets = opened.targets.clone();
        targets.retain(|target| only.is_none_or(|only| target.device.get() == only));
        let request = Upload {
            fid: opened.fid,
            targets,
            size: u64::try_from(bytes.len()).ok(),
            hashes: vec![HashType::Md5, HashType::Crc64Nvme],
            lag_max: None,
        };
        let body = stream::iter([Ok::<_, Error>(Bytes::copy_from_slice(bytes))]);
        let uploaded = upload(request, body, |_, _| Ok(())).await.unwrap();
        let digest = |hash| uploaded.digests.get(hash).unwrap().bytes.clone();
        let stored = Stored {
            size: uploaded.size,
            crc64: digest(HashType::Crc64Nvme).try_into().unwrap(),
            md5: digest(HashType::Md5).try_into().unwrap(),
            devices: uploaded.stored,
        };
        (opened, stored)
    }

    /// Stores an object under a condition.
    pub(crate) async fn put_if(
        &self,
        name: &str,
        bytes: &[u8],
        condition: WriteCondition,
    ) -> Result<Written, Error> {
        let (opened, stored) = self.store(bytes, None).await;
        self.record_if(name, opened, stored, condition).await
    }

    /// Stores an object.
    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) -> Written {
        self.put_if(name, bytes, WriteCondition::default()).await.unwrap()
    }

    /// The bytes of a key.
    pub(crate) async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        let object = self.tracker.object(self.domain, &key(name)).await?;
        self.range(&object, 0, object.size).await
    }

    /// Some bytes of an object.
    pub(crate) async fn range(
        &self,
        object: &ObjectVersion,
        first: u64,
        length: u64,
    ) -> Result<Vec<u8>, Error> {
        let stream = self.tracker.read(object, first, length).await?;
        let pieces: Vec<Bytes> = stream.try_collect().await?;
        Ok(pieces.concat())
    }

    /// Joins what is to be joined.
    pub(crate) async fn join(&self) {
        self.run(Join::new(&self.tracker)).await;
    }

    /// Deletes what is due after all readers have had their time.
    pub(crate) async fn delete_all(&self) {
        self.clock.advance(Duration::from_hours(1));
        self.run(Delete::new(&self.tracker)).await;
    }

    /// The fids that lie on all devices, each as often as it lies there.
    pub(crate) fn files(&self) -> Vec<u64> {
        let mut fids = Vec::new();
        let mut folders = vec![self.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "fid") {
                    fids.push(path.file_stem().unwrap().to_str().unwrap().parse().unwrap());
                }
            }
        }
        fids.sort_unstable();
        fids
    }
}
