//! What the tracker port tells of files: where their copies are, what is on record of them, which there are.

use std::time::Duration;

use mogul_storage::{
    DevFid, DevId, Digest, Fid, NodeError,
    download::{BadCopy, Fault},
    utilization::Utilization,
};

use crate::{
    Error, Tracker,
    error::chain,
    jobs::JobName,
    meta::{
        Engine, files,
        lookup::{self, FoundFile, Queues},
        replicas, segments,
    },
    model::{DeviceStatus, DomainId, Key},
    view::ClusterView,
};

/// How long a caller waits for an object of several parts to be joined; clients wait for three seconds.
const JOIN_PATIENCE: Duration = Duration::from_secs(2);
/// How often such a caller looks.
const JOIN_LOOK: Duration = Duration::from_millis(20);
/// Files of one page of [`Tracker::list_fids`].
pub const FIDS_MAX: usize = 500;

/// Whether a copy is looked at before it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstCopy {
    /// The first one is; what is missing or has another size is left out.
    Checked,
    /// None is.
    Unchecked,
}

/// All that is on record of a fid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FidRecord {
    /// The file, if it is one.
    pub file: Option<FoundFile>,
    /// Devices on record.
    pub devices: Vec<DevId>,
    /// What the queues hold of it.
    pub queues: Queues,
    /// The digest in `checksum`.
    pub checksum: Option<Digest>,
}

impl Tracker {
    /// Where to read a file, best first, at most `count` places (mogilefs.md §9.2): devices drawn by weight, those that are
    /// drained last. If none can be read now, one that may come back; none if no copy is on record.
    ///
    /// An object that lies in the parts it was uploaded in has no copy of its own: it is joined first, whatever its size,
    /// and if that takes too long there is no place to read it yet.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Database`].
    pub async fn file_paths(
        &self,
        (domain, key): (DomainId, &Key),
        first: FirstCopy,
        count: usize,
    ) -> Result<Vec<DevFid>, Error> {
        let mut file = self.file(domain, key).await?;
        if file.devices.is_empty() {
            file.devices = self.joined_now(file.fid).await?;
        }
        let view = self.view();
        let mut places = Vec::new();
        let mut backup = None;
        for device in self.by_weight(&view, &file.devices) {
            if places.len() >= count {
                break;
            }
            let at = DevFid {
                device,
                fid: file.fid,
            };
            if !view.device(device).is_some_and(crate::view::DeviceView::readable) {
                backup = backup.or(Some(at));
                continue;
            }
            let unchecked = !places.is_empty() || first == FirstCopy::Unchecked;
            if unchecked || (!self.hangs(device) && self.is_whole(at, file.size).await) {
                places.push(at);
            }
        }
        if places.is_empty() {
            places.extend(backup);
        }
        Ok(places)
    }

    /// The file of a key.
    async fn file(&self, domain: DomainId, key: &Key) -> Result<FoundFile, Error> {
        if let Some(file) = self.0.files.find((domain, key.clone())).await? {
            return Ok(file);
        }
        // In a database that an original tracker has made, keys may be equal that differ in case: then the file has another
        // key than the one that was asked for.
        if self.db().engine() != Engine::MySql {
            return Err(Error::UnknownKey);
        }
        let mut tx = self.db().reader().await?;
        let found = lookup::file_by_key(&mut tx, domain, key).await?;
        found.ok_or(Error::UnknownKey)
    }

    /// Whether a device has a file of that size now. What is missing or has another size is reported.
    async fn is_whole(&self, at: DevFid, size: u64) -> bool {
        let fault = match self.size_of(at).await {
            Ok(found) if found == size => return true,
            Ok(_) => Fault::Short,
            Err(NodeError::NotFound) => Fault::Missing,
            Err(error) => {
                tracing::warn!(
                    fid = at.fid.get(),
                    devid = at.device.get(),
                    error = chain(&error),
                    "a copy is not offered"
                );
                return false;
            }
        };
        let DevFid { device, fid } = at;
        self.report_bad_copy(BadCopy { fid, device, fault }).await;
        false
    }

    /// The known ones among these devices in an order drawn by weight, those that are drained last.
    fn by_weight(&self, view: &ClusterView, devices: &[DevId]) -> Vec<DevId> {
        let mut left: Vec<(DevId, u64, bool)> = Vec::with_capacity(devices.len());
        for device in devices.iter().filter_map(|id| view.device(*id)) {
            let weight = weight(device.device.weight, self.utilization(device.device.id));
            left.push((
                device.device.id,
                weight,
                device.device.status == DeviceStatus::Drain,
            ));
        }
        let mut order = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let total: u64 = left.iter().map(|(_, weight, _)| weight).sum();
            let mut point = self.entropy().next_u64() % total;
            let drawn = left.iter().position(|(_, weight, _)| {
                let here = point < *weight;
                point = point.saturating_sub(*weight);
                here
            });
            order.push(left.remove(drawn.unwrap_or(0)));
        }
        order.sort_by_key(|(_, _, drained)| *drained);
        order.into_iter().map(|(device, _, _)| device).collect()
    }

    /// Has the parts of an object joined, and waits for it. Answers the devices that have it then; none if it does not lie in
    /// parts, or is not joined in time.
    async fn joined_now(&self, fid: Fid) -> Result<Vec<DevId>, Error> {
        let mut tx = self.db().reader().await?;
        if !files::file_segmented(&mut tx, fid).await? {
            // It may have been joined since the file was looked up.
            return Ok(lookup::file_by_fid(&mut tx, fid)
                .await?
                .map_or_else(Vec::new, |file| file.devices));
        }
        drop(tx);
        let now = self.now();
        let queue = self
            .db()
            .write(move |tx| Box::pin(async move { segments::join_wanted(tx, fid, now).await }));
        queue.await?;
        self.wake(JobName::Join);
        while now.until(self.now()) < JOIN_PATIENCE {
            self.clock().sleep(JOIN_LOOK).await;
            let mut tx = self.db().reader().await?;
            let file = lookup::file_by_fid(&mut tx, fid).await?;
            match file {
                Some(file) if file.devices.is_empty() => {}
                Some(file) => return Ok(file.devices),
                None => return Err(Error::UnknownKey),
            }
        }
        Ok(Vec::new())
    }

    /// What is on record of a key's file, and the digest that is kept of it.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Database`].
    pub async fn file_info(&self, domain: DomainId, key: &Key) -> Result<(FoundFile, Option<Digest>), Error> {
        let file = self.file(domain, key).await?;
        let mut tx = self.db().reader().await?;
        let checksum = lookup::checksum_of(&mut tx, file.fid).await?;
        drop(tx);
        self.know_classes([(file.domain, file.class)]).await?;
        Ok((file, checksum))
    }

    /// All that is on record of a fid, whether or not it is a file.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn fid_record(&self, fid: Fid) -> Result<FidRecord, Error> {
        let mut tx = self.db().reader().await?;
        let mut replicas = replicas::replicas_of(&mut tx, &[fid]).await?;
        let record = FidRecord {
            devices: replicas.remove(&fid).unwrap_or_default(),
            file: lookup::file_by_fid(&mut tx, fid).await?,
            queues: lookup::queues_of(&mut tx, fid).await?,
            checksum: lookup::checksum_of(&mut tx, fid).await?,
        };
        drop(tx);
        self.know_classes(record.file.iter().map(|file| (file.domain, file.class)))
            .await?;
        Ok(record)
    }

    /// Files by fid, from the one after `after` on, at most `limit` and [`FIDS_MAX`]; without their devices, and without what
    /// is no current object.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_fids(&self, after: u64, limit: usize) -> Result<Vec<FoundFile>, Error> {
        let mut tx = self.db().reader().await?;
        let files = lookup::files_after(&mut tx, after, limit.min(FIDS_MAX)).await?;
        drop(tx);
        self.know_classes(files.iter().map(|file| (file.domain, file.class)))
            .await?;
        Ok(files)
    }
}

/// How readily a device is offered: by its weight, of which 0 counts as 100, and the less the busier its disk is, down to a
/// fiftieth. (The original means the two so as well, but reads no utilization that has decimals, which `iostat` prints; and
/// where it does read one, the weight that an operator gave counts for nothing.)
fn weight(weight: i32, utilization: Option<Utilization>) -> u64 {
    let weight = u64::try_from(weight).unwrap_or(0);
    let weight = if weight == 0 { 100 } else { weight };
    let busy = utilization.map_or(0, |utilization| u64::from(utilization.hundredths()));
    // In hundredths: 102 less the percentage, 100 at most.
    weight * (10_200 - busy).min(10_000)
}
