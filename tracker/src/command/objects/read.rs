//! Finding an object, and what to read for its bytes.

use std::net::Ipv4Addr;

use mogul_storage::{
    DevFid,
    download::{Download, Source},
};

use crate::{
    Error, Tracker,
    command::buckets::Page,
    meta::{
        replicas::replicas_of,
        segments::{Piece, SEGMENTS_MAX, pieces_of, segment_at, segments_of},
    },
    model::{DomainId, Key, ObjectVersion, Part, PartNumber},
    url::{Reader, Zone},
    view::{ClusterView, DeviceView},
};

impl Tracker {
    /// Finds the current object of a key.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Database`].
    pub async fn object(&self, domain: DomainId, key: &Key) -> Result<ObjectVersion, Error> {
        let found = self.0.objects.find((domain, key.clone())).await?;
        found.ok_or(Error::UnknownKey)
    }

    /// What to read, in order ([`Tracker::read`] does it), for `length` bytes of an object from byte `first`: nothing if there is nothing to read, else one
    /// download, or one per segment.
    ///
    /// # Errors
    /// [`Error::NoReadableCopy`], [`Error::UnknownKey`] (deleted meanwhile), [`Error::Database`].
    pub async fn readable(
        &self,
        object: &ObjectVersion,
        first: u64,
        length: u64,
    ) -> Result<Vec<Download>, Error> {
        let end = first.saturating_add(length).min(object.size);
        if first >= end {
            return Ok(Vec::new());
        }
        let whole = |devices| Piece {
            fid: Some(object.fid),
            start: 0,
            size: object.size,
            crc64: object.crc64,
            devices,
        };
        let view = self.view();
        if object.parts.is_none() || !object.replicas.is_empty() {
            let piece = whole(object.replicas.clone());
            return Ok(vec![self.download(&view, &piece, first, end)?]);
        }
        let mut tx = self.db().reader().await?;
        let pieces = pieces_of(&mut tx, object.fid, first, end).await?;
        if pieces.iter().any(|piece| piece.fid.is_none()) {
            // The parts have been joined since the object was looked up.
            let mut replicas = replicas_of(&mut tx, &[object.fid]).await?;
            let devices = replicas.remove(&object.fid).unwrap_or_default();
            return Ok(vec![self.download(&view, &whole(devices), first, end)?]);
        }
        if pieces.is_empty() {
            return Err(Error::UnknownKey);
        }
        let cut = |piece| self.download(&view, piece, first, end);
        pieces.iter().map(cut).collect()
    }

    /// The URLs of an object's copies, best first, for a web server that fetches the bytes from the storage nodes itself;
    /// none while the object lies in segments, or if no copy can be read now.
    #[must_use]
    pub fn object_urls(&self, object: &ObjectVersion) -> Vec<String> {
        let view = self.view();
        let reader = Reader {
            ip: Ipv4Addr::UNSPECIFIED.into(),
            zone: Zone::OfClient,
        };
        let fid = object.fid;
        self.best_first(&view, fid, &object.replicas)
            .into_iter()
            .filter(|device| view.device(*device).is_some_and(DeviceView::readable))
            .filter_map(|device| view.read_url(DevFid { device, fid }, reader))
            .collect()
    }

    /// The read of what lies between `first` and, without it, `end` of the object, from one of its files.
    pub(crate) fn download(
        &self,
        view: &ClusterView,
        piece: &Piece,
        first: u64,
        end: u64,
    ) -> Result<Download, Error> {
        let fid = piece.fid.ok_or(Error::NoReadableCopy)?;
        let from = first.max(piece.start);
        let to = end.min(piece.start.saturating_add(piece.size));
        let devices = self.best_first(view, fid, &piece.devices);
        let sources = devices.into_iter().filter_map(|device| {
            let node = self.nodes().get(device)?;
            Some(Source { device, node })
        });
        let sources: Vec<Source> = sources.collect();
        if sources.is_empty() {
            return Err(Error::NoReadableCopy);
        }
        Ok(Download {
            fid,
            sources,
            size: piece.size,
            first: from - piece.start,
            length: to.saturating_sub(from),
            crc64: piece.crc64,
            latencies: self.nodes().latencies().cloned(),
        })
    }

    /// The parts an object was uploaded in, by number from `after` on, at most `limit`; empty for a plain PUT.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn object_parts(
        &self,
        object: &ObjectVersion,
        after: Option<PartNumber>,
        limit: usize,
    ) -> Result<Page<Part>, Error> {
        let limit = limit.min(SEGMENTS_MAX);
        let mut tx = self.db().reader().await?;
        let after = after.map_or(0, PartNumber::get);
        let segments = segments_of(&mut tx, object.fid, after, limit + 1).await?;
        let more = segments.len() > limit;
        let entries = segments.into_iter().take(limit).map(|segment| segment.part);
        Ok(Page {
            entries: entries.collect(),
            more,
        })
    }

    /// The `n`th part of an object (1 is the first, whatever its number was) and the byte at which it begins; `None` beyond
    /// the last, and for a plain PUT.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn object_part(&self, object: &ObjectVersion, n: u32) -> Result<Option<(u64, Part)>, Error> {
        let mut tx = self.db().reader().await?;
        let segment = segment_at(&mut tx, object.fid, n).await?;
        Ok(segment.map(|segment| (segment.start, segment.part)))
    }
}
