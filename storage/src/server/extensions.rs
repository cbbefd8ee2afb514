//! What a node does beyond GET, PUT and DELETE: usage, lists, digests, joins.

use std::{fmt::Write as _, sync::Arc};

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::{blocking, refuse, text, write::stored_answer};
use crate::{
    answer::CLIENTS,
    device::{Device, Place},
    digest::HashType,
    error::NodeError,
    fid::{DevFid, Fid},
    node::{JOIN_MAX, lines},
};

/// Bytes of a join's body, at most: as many fids as allowed, each with twenty digits and a line end.
const JOIN_BODY_MAX: usize = JOIN_MAX * 21;

/// The usage file, as fresh as the request, and how long clients have kept the device busy.
pub(super) async fn usage(device: Arc<Device>) -> Result<Response<Body>, NodeError> {
    let busy = device.busy_with_clients().as_micros();
    let usage = blocking(move || device.usage()).await?;
    let mut answer = text(usage);
    let busy = HeaderValue::from(u64::try_from(busy).unwrap_or(u64::MAX));
    answer.headers_mut().insert(CLIENTS, busy);
    Ok(answer)
}

/// Fids in ascending order, one a line.
pub(super) async fn list(device: Arc<Device>, first: Fid, limit: usize) -> Result<Response<Body>, NodeError> {
    let fids = blocking(move || device.list(first, limit)).await?;
    Ok(text(lines(&fids)))
}

/// Fids in ascending order with the bytes of their files, one a line.
pub(super) async fn sizes(
    device: Arc<Device>,
    first: Fid,
    limit: usize,
) -> Result<Response<Body>, NodeError> {
    let lines = blocking(move || {
        let mut lines = String::new();
        for (fid, size) in device.sizes(first, limit)? {
            writeln!(lines, "{fid} {size}").map_err(|error| NodeError::Body(error.to_string()))?;
        }
        Ok(lines)
    });
    Ok(text(lines.await?))
}

/// The digest of a file in hex.
pub(super) async fn digest(
    device: Arc<Device>,
    place: Place,
    hash: HashType,
) -> Result<Response<Body>, NodeError> {
    let digest = blocking(move || device.digest(&place, hash)).await?;
    Ok(text(format!("{}\n", digest.hex())))
}

/// Makes a file of others; the body names them, one fid a line.
pub(super) async fn join(device: Arc<Device>, at: DevFid, body: Body) -> Result<Response<Body>, NodeError> {
    let body = match Limited::new(body, JOIN_BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(NodeError::Body(error.to_string())),
    };
    let named = String::from_utf8_lossy(&body);
    let parts: Option<Vec<Fid>> = named.lines().map(|line| Fid::new(line.parse().ok()?)).collect();
    match parts {
        Some(parts) if !parts.is_empty() && parts.len() <= JOIN_MAX => {
            let stored = blocking(move || device.join(at.fid, &parts)).await?;
            Ok(stored_answer(StatusCode::OK, stored))
        }
        Some(_) | None => refuse(
            StatusCode::BAD_REQUEST,
            "a join needs 1 to 10000 fids, one a line",
        ),
    }
}
