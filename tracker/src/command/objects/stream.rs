//! The bytes of an object as one stream, however many files they lie in.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    stream::{BoxStream, unfold},
};
use mogul_storage::download::{BadCopy, Download, DownloadError, download};

use crate::{Error, Tracker, model::ObjectVersion};

/// A read on its way.
struct Reading {
    tracker: Tracker,
    object: Arc<ObjectVersion>,
    /// The next byte of the object.
    at: u64,
    /// The byte behind the last that is wanted.
    end: u64,
    /// The file that is being read.
    current: BoxStream<'static, Result<Bytes, DownloadError>>,
    /// What comes after it.
    rest: VecDeque<Download>,
    /// Copies that failed and are not reported yet: at most one for each copy of the files read so far.
    bad: Arc<Mutex<Vec<BadCopy>>>,
}

impl Tracker {
    /// Streams `length` bytes of an object from byte `first`. Copies that fail on the way are replaced by others and reported.
    ///
    /// An object that is joined while its segments are read goes on in its own file. Once the stream has begun, an error
    /// ends it: the client must see a short body.
    ///
    /// # Errors
    /// [`Error::NoReadableCopy`] if no copy yields a first byte, [`Error::UnknownKey`] (deleted meanwhile),
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the stream ends the reads.
    pub async fn read(
        &self,
        object: &ObjectVersion,
        first: u64,
        length: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let mut reading = Reading {
            tracker: self.clone(),
            object: Arc::new(object.clone()),
            at: first,
            end: first.saturating_add(length).min(object.size),
            current: futures_util::stream::empty().boxed(),
            rest: self.readable(object, first, length).await?.into(),
            bad: Arc::default(),
        };
        // The first copies are tried before the face has said that all is well.
        let opened = reading.open_next().await;
        reading.report().await;
        opened?;
        Ok(unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            let next = reading.next().await;
            reading.report().await;
            match next {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

impl Reading {
    /// The next bytes; `None` behind the last.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.current.next().await {
                Some(Ok(bytes)) => {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    self.at = self.at.saturating_add(length);
                    return Ok(Some(bytes));
                }
                Some(Err(error)) => return Err(unreadable(&error)),
                None if self.at >= self.end => return Ok(None),
                None if self.rest.is_empty() => return Err(Error::NoReadableCopy),
                None => self.open_next().await?,
            }
        }
    }

    /// Opens the next file. If that is a part which is not there any more, the object has been joined: its own file is opened
    /// instead.
    ///
    /// Only where a file begins: if one fails later, the bytes that are out already may be what is wrong with it.
    async fn open_next(&mut self) -> Result<(), Error> {
        let Some(next) = self.rest.pop_front() else {
            return Ok(());
        };
        let part = next.fid;
        let Err(error) = self.open(next).await else {
            return Ok(());
        };
        if part == self.object.fid {
            return Err(unreadable(&error));
        }
        let left = self.end.saturating_sub(self.at);
        let mut again: VecDeque<_> = self.tracker.readable(&self.object, self.at, left).await?.into();
        match again.pop_front() {
            Some(joined) if joined.fid == self.object.fid => {
                self.rest = again;
                self.open(joined).await.map_err(|error| unreadable(&error))
            }
            Some(_) | None => Err(unreadable(&error)),
        }
    }

    /// Opens a file.
    async fn open(&mut self, request: Download) -> Result<(), DownloadError> {
        let failed = Arc::clone(&self.bad);
        let bad = move |copy: BadCopy| failed.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        // Boxed: it is large, and every future that reads an object would carry it.
        self.current = Box::pin(download(request, bad)).await?.boxed();
        Ok(())
    }

    /// Reports the copies that failed since the last time.
    async fn report(&mut self) {
        let failed = std::mem::take(&mut *self.bad.lock().unwrap_or_else(PoisonError::into_inner));
        for copy in failed {
            self.tracker.report_bad_copy(copy).await;
        }
    }
}

/// A read that failed on all copies, for those who watch the log.
fn unreadable(error: &DownloadError) -> Error {
    tracing::error!(fid = %error.fid, at = error.at, "no copy could be read on");
    Error::NoReadableCopy
}
