//! Storing a body: a fid is reserved, written and handed over, or given up.

use futures_util::Stream;
use mogul_storage::{
    DevId, Digest, Digests, HashType, NodeError,
    upload::{LAG_MAX, Upload, UploadError, Uploaded, upload},
};
use mogul_tracker::{
    command::files::{Copies, CreateOpen, Opened, Stored},
    error::chain,
    model::Class,
};

use super::{
    S3,
    auth::payload::IncomingBody,
    error::{Code, S3Error},
};

/// A body on stable storage that no row knows yet: a command makes it an object or a part.
#[derive(Debug)]
pub(super) struct StoredBody {
    /// The fid.
    pub(super) opened: Opened,
    /// What was written.
    pub(super) stored: Stored,
    /// The checksum: the client's, else the one that was asked for.
    pub(super) checksum: Digest,
}

/// Does work that a client must not be able to stop half-way by hanging up: what it began is ended, one way or the
/// other, and the process waits for it when it stops.
///
/// # Errors
/// Those of the work.
///
/// # Panics
/// If the work does.
pub(super) async fn to_the_end<T, F>(s3: &S3, work: F) -> Result<T, S3Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, S3Error>> + Send + 'static,
{
    match s3.tasks.spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(S3Error::new(Code::ServiceUnavailable, "The server is stopping.")),
    }
}

/// Writes a body to the devices of a class, `prefer`ably these. On any error nothing is left. Belongs inside
/// [`to_the_end`], together with the command that takes what is stored.
///
/// # Errors
/// Those of the body and of [`super::auth::expectations::Expectations::check`]; [`Code::ServiceUnavailable`] if no device takes it.
pub(super) async fn store_body(
    s3: &S3,
    class: &Class,
    prefer: &[DevId],
    body: IncomingBody,
) -> Result<StoredBody, S3Error> {
    let opened = s3
        .tracker
        .create_open(CreateOpen {
            class,
            size: body.length,
            copies: Copies::OfClass,
            prefer,
        })
        .await?;
    let expectations = body.expectations.clone();
    let request = Upload {
        fid: opened.fid,
        targets: opened.targets.clone(),
        size: body.length,
        hashes: expectations.hashes(),
        lag_max: Some(LAG_MAX),
    };
    let check = |size, digests: &Digests| expectations.check(size, digests);
    let written = write(request, body.into_stream(), check).await;
    let found = written.and_then(|uploaded| {
        let checksum = digest(&uploaded.digests, expectations.hash())?.clone();
        Ok((stored(uploaded)?, checksum))
    });
    match found {
        Ok((stored, checksum)) => Ok(StoredBody {
            opened,
            stored,
            checksum,
        }),
        Err(error) => {
            give_up(s3, &opened).await;
            Err(error)
        }
    }
}

async fn write<S, C>(request: Upload, body: S, check: C) -> Result<Uploaded, S3Error>
where
    S: Stream<Item = Result<bytes::Bytes, S3Error>> + Send,
    C: FnOnce(u64, &Digests) -> Result<(), S3Error> + Send,
{
    let fid = request.fid;
    let report = |failed: &[(DevId, NodeError)]| {
        for (devid, error) in failed {
            tracing::warn!(%fid, %devid, ?error, "copy was not written");
        }
    };
    match upload(request, body, check).await {
        Ok(uploaded) => {
            report(&uploaded.failed);
            Ok(uploaded)
        }
        Err(UploadError::Body(error)) => Err(error),
        Err(UploadError::NoTarget(failed)) => {
            report(&failed);
            Err(S3Error::new(
                Code::ServiceUnavailable,
                "No device could take the object. Please try again.",
            ))
        }
    }
}

/// Devices that failed or were cut off may have the file after all.
async fn give_up(s3: &S3, opened: &Opened) {
    let devices: Vec<DevId> = opened.targets.iter().map(|target| target.device).collect();
    if let Err(error) = s3.tracker.abandon(opened, &devices).await {
        // The sweep collects it.
        tracing::warn!(fid = %opened.fid, error = chain(&error), "fid was not given up at once");
    }
}

fn stored(uploaded: Uploaded) -> Result<Stored, S3Error> {
    Ok(Stored {
        size: uploaded.size,
        crc64: bytes_of(&uploaded.digests, HashType::Crc64Nvme)?,
        md5: bytes_of(&uploaded.digests, HashType::Md5)?,
        devices: uploaded.stored,
    })
}

fn bytes_of<const N: usize>(digests: &Digests, hash: HashType) -> Result<[u8; N], S3Error> {
    let bytes = digest(digests, hash)?.bytes.as_slice();
    bytes.try_into().map_err(|_| uncomputed(hash))
}

fn digest(digests: &Digests, hash: HashType) -> Result<&Digest, S3Error> {
    digests.get(hash).ok_or_else(|| uncomputed(hash))
}

fn uncomputed(hash: HashType) -> S3Error {
    tracing::error!(?hash, "a digest that was asked for was not computed");
    mogul_tracker::Error::Internal("digest missing".to_owned()).into()
}
