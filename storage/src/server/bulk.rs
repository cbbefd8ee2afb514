//! Requests for many files at once: see [`crate::bulk`].

use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::{blocking, refuse, text};
use crate::{
    bulk::{BULK_MAX, CRC_BYTES_MAX, Extent, REQUEST_MAX},
    device::Device,
    error::NodeError,
    fid::Fid,
    node::lines,
};

/// Deletes files; the answer names those that could not be deleted.
pub(super) async fn delete(device: Arc<Device>, body: Body) -> Result<Response<Body>, NodeError> {
    let Some(fids) = read(body, |line| Fid::new(line.parse().ok()?)).await? else {
        return refuse(StatusCode::BAD_REQUEST, "1 to 1000 fids are wanted, one a line");
    };
    let left = blocking(move || device.remove_many(&fids)).await?;
    Ok(text(lines(&left)))
}

/// Digests parts of files, in order.
pub(super) async fn crcs(device: Arc<Device>, body: Body) -> Result<Response<Body>, NodeError> {
    let extents = read(body, Extent::parse).await?;
    let bytes = |extents: &[Extent]| {
        extents
            .iter()
            .map(|extent| u128::from(extent.length))
            .sum::<u128>()
    };
    let Some(extents) = extents.filter(|extents| bytes(extents) <= CRC_BYTES_MAX.into()) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "1 to 1000 lines of a fid, a first byte and a length are wanted, 64 MiB in all",
        );
    };
    let seen = blocking(move || {
        let seen = extents.into_iter().map(|extent| Ok(device.crc(extent)?.line()));
        seen.collect::<Result<String, NodeError>>()
    });
    Ok(text(seen.await?))
}

/// The lines of a body, if they are as many as may be asked for and each of them can be read.
async fn read<T>(body: Body, parse: impl Fn(&str) -> Option<T>) -> Result<Option<Vec<T>>, NodeError> {
    let body = match Limited::new(body, REQUEST_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(NodeError::Body(error.to_string())),
    };
    let parsed: Option<Vec<T>> = String::from_utf8_lossy(&body).lines().map(parse).collect();
    Ok(parsed.filter(|parsed| (1..=BULK_MAX).contains(&parsed.len())))
}
