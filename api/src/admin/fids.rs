//! `/admin/v1/fids`: files by number: where they are, in what state each copy is, what waits for them.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_storage::{DevFid, DevId, Digest, Fid};
use mogul_tracker::{
    Error, Tracker,
    command::{
        buckets::Page,
        cluster::{Copied, CopyFile},
        copies::CopyState,
        lookup::{FIDS_MAX, FidRecord},
    },
    meta::lookup::{Columns, Queues},
    view::ClusterView,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{PageQuery, next},
    devices::{DeviceState, ObservedState},
    error::Problem,
    extract::{Body, Named, Parameters},
    files::{FileView, reader},
};

/// What a device says of its copy.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Found {
    /// It has the whole file.
    Whole,
    /// It has a file of another size.
    Differs,
    /// It has none.
    Missing,
    /// It does not answer, or not in time.
    Unreachable,
    /// It was not asked: its state, or its host's, says that it is away.
    Away,
}

/// A copy that is on record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Copy)]
pub(super) struct CopyView {
    /// The device.
    #[schema(minimum = 1)]
    devid: u32,
    /// What the device says of it now.
    found: Found,
    /// The size in bytes of what the device has, if it has something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    size: Option<u64>,
    /// The state that the device was set to; left out if the device is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<DeviceState>,
    /// What the monitor saw of the device last; left out if the device is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    observed: Option<ObservedState>,
    /// Where it can be read; left out if the device or its host is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    url: Option<String>,
}

/// A row of a table: its columns by name, null where the table has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(as = Row)]
pub(super) struct RowView(BTreeMap<String, Option<String>>);

/// What waits for a fid; left out where nothing does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FidQueues)]
pub(super) struct FidQueuesView {
    /// Its reservation: it was opened and not closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tempfile: Option<RowView>,
    /// Its row in `file_to_replicate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replicate: Option<RowView>,
    /// Its row in `file_to_delete2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    delete: Option<RowView>,
    /// Its row in `file_to_queue` that rebalance wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rebalance: Option<RowView>,
    /// Its row in `file_to_queue` that fsck wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fsck: Option<RowView>,
}

impl From<Queues> for FidQueuesView {
    fn from(queues: Queues) -> FidQueuesView {
        FidQueuesView {
            tempfile: queues.tempfile.map(row),
            replicate: queues.replication.map(row),
            delete: queues.deletion.map(row),
            rebalance: queues.rebalance.map(row),
            fsck: queues.fsck.map(row),
        }
    }
}

fn row(columns: Columns) -> RowView {
    let named = columns.into_iter().map(|(name, value)| (name.to_owned(), value));
    RowView(named.collect())
}

/// All that is known of a fid.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fid)]
pub(super) struct FidView {
    /// The fid.
    #[schema(minimum = 1)]
    fid: u64,
    /// The file, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    file: Option<FileView>,
    /// The copies on record, and what the devices say of them now.
    copies: Vec<CopyView>,
    /// What waits for it.
    queues: FidQueuesView,
    /// The digest on record, as `MD5:` or `SHA-1:` and hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checksum: Option<String>,
}

/// A page of files by fid.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fids)]
pub(super) struct FidsPage {
    /// The files, without their devices: those are told of one fid.
    files: Vec<FileView>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A copy to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CopyToMake)]
pub(super) struct CopyBody {
    /// The device with the copy to read.
    #[schema(minimum = 1)]
    from: u32,
    /// The device for the new one.
    #[schema(minimum = 1)]
    to: u32,
}

/// Lists the files by fid.
#[utoipa::path(get, path = "/admin/v1/fids", operation_id = "list_fids", tag = "fids", params(PageQuery),
    responses((status = 200, description = "A page of files.", body = FidsPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<FidsPage>, Problem> {
    let after = query.after_number::<u64>()?.unwrap_or(0);
    // A page has one file less than the command gives, by which it is known whether more follow.
    let limit = query.limit()?.min(FIDS_MAX - 1);
    let mut entries = tracker.list_fids(after, limit + 1).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let page = Page { entries, more };
    let view = tracker.view();
    Ok(Json(FidsPage {
        next: next(&page, |file| file.fid),
        files: page
            .entries
            .into_iter()
            .map(|file| FileView::of(&view, file, None))
            .collect(),
    }))
}

/// Tells all that is known of a fid, and asks its devices for its copies.
#[utoipa::path(get, path = "/admin/v1/fids/{fid}", operation_id = "find_fid", tag = "fids",
    params(("fid" = u64, Path, description = "The fid.", minimum = 1)),
    responses((status = 200, description = "What is known of it.", body = FidView)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named(number): Named<u64>,
) -> Result<Json<FidView>, Problem> {
    let fid = Fid::new(number).ok_or(Error::UnknownKey)?;
    let record = tracker.fid_record(fid).await?;
    if record == FidRecord::default() {
        return Err(Error::UnknownKey.into());
    }
    let size = record.file.as_ref().map(|file| file.size);
    let view = tracker.view();
    let copies = tracker.copies(fid).await?;
    let copies = copies
        .into_iter()
        .map(|(device, state)| copy_of(&view, DevFid { device, fid }, state, size));
    Ok(Json(FidView {
        fid: number,
        copies: copies.collect(),
        checksum: record.checksum.as_ref().map(Digest::mogile_text),
        file: record
            .file
            .map(|file| FileView::of(&view, file, record.checksum.as_ref())),
        queues: record.queues.into(),
    }))
}

/// Copies a file from one device to another, whatever its class wants.
#[utoipa::path(post, path = "/admin/v1/fids/{fid}/copies", operation_id = "copy_fid", tag = "fids",
    params(("fid" = u64, Path, description = "The fid.", minimum = 1)), request_body = CopyBody,
    responses((status = 204, description = "The copy is there and on record.")))]
pub(super) async fn copy(
    State(tracker): State<Tracker>,
    Named(number): Named<u64>,
    Body(body): Body<CopyBody>,
) -> Result<StatusCode, Problem> {
    let device = |number| DevId::new(number).ok_or(Error::UnknownDevice);
    let request = CopyFile {
        fid: Fid::new(number).ok_or(Error::UnknownKey)?,
        from: device(body.from)?,
        to: device(body.to)?,
    };
    match tracker.copy_file(request).await? {
        Copied::Recorded => Ok(StatusCode::NO_CONTENT),
        Copied::NoSource => Err(Problem::copy_failed("from", "the device does not give the file")),
        Copied::TargetFailed => Err(Problem::copy_failed("to", "the device does not take the file")),
        Copied::FileGone => Err(Error::UnknownKey.into()),
    }
}

fn copy_of(view: &ClusterView, at: DevFid, state: CopyState, expected: Option<u64>) -> CopyView {
    let device = view.device(at.device);
    let (found, size) = match state {
        CopyState::There(size) if expected.is_none_or(|expected| expected == size) => {
            (Found::Whole, Some(size))
        }
        CopyState::There(size) => (Found::Differs, Some(size)),
        CopyState::Missing => (Found::Missing, None),
        CopyState::Unreachable => (Found::Unreachable, None),
        CopyState::Away => (Found::Away, None),
    };
    CopyView {
        devid: at.device.get(),
        found,
        size,
        status: device.map(|device| device.device.status.into()),
        observed: device.map(|device| device.observed.into()),
        url: view.read_url(at, reader(false)),
    }
}
