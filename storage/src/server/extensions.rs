//! What a node does beyond GET, PUT and DELETE: usage, marks, lists, digests, joins.

use std::{fmt::Write as _, sync::Arc};

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::{blocking, refuse, text, write::stored_answer};
use crate::{
    answer,
    device::{Device, Devices, Place},
    digest::HashType,
    error::NodeError,
    fid::{DevFid, DevId, Fid},
    mark::Mark,
    node::{JOIN_MAX, lines},
};

/// Bytes of a join's body, at most: as many fids as allowed, each with twenty digits and a line end.
const JOIN_BODY_MAX: usize = JOIN_MAX * 21;

/// Bytes of a mark's body, at most.
const MARK_BODY_MAX: usize = 256;

/// The usage file, as fresh as the request, how long clients have kept the device busy, and its mark. Whoever looks sees the disk
/// that is mounted now, and of one that is another device no more than that.
pub(super) async fn usage(devices: Arc<Devices>, id: DevId) -> Result<Response<Body>, NodeError> {
    let look = blocking(move || {
        devices.take_up(id);
        let device = devices.get(id)?;
        Ok((device.usage()?, device))
    });
    let (usage, device) = look.await?;
    let mut answer = text(usage);
    let busy = device.busy_with_clients().as_micros();
    let busy = HeaderValue::from(u64::try_from(busy).unwrap_or(u64::MAX));
    answer.headers_mut().insert(answer::CLIENTS, busy);
    let mark = device.mark().map_or(answer::UNMARKED, Mark::header);
    answer.headers_mut().insert(answer::MARK, mark);
    Ok(answer)
}

/// Gives a device the mark in the body if it has none, and answers which it bears.
pub(super) async fn mark(device: Arc<Device>, body: Body) -> Result<Response<Body>, NodeError> {
    let body = match Limited::new(body, MARK_BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(NodeError::Body(error.to_string())),
    };
    match String::from_utf8_lossy(&body).parse::<Mark>() {
        Ok(mark) => {
            let borne = blocking(move || device.give_mark(&mark)).await?;
            Ok(text(borne.to_string()))
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
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
