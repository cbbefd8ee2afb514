//! `/admin/v1/domains/{domain}/uploads`: storing a file in the way of `MogileFS`'s clients. A fid is reserved with places for
//! it, the client PUTs the bytes there, and says when they are there: then they are the file.

use axum::extract::State;
use http::StatusCode;
use mogul_storage::{DevFid, DevId, Digest, Fid, HashType};
use mogul_tracker::{
    Error, Tracker,
    command::tempfiles::{CloseTempfile, OpenTempfile, Verify},
    model::{ClassId, Key},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Created, place},
    domains::DOMAINS,
    error::Problem,
    extract::{Body, Named, stored_number},
    files::{PlaceView, reader},
};

/// Most places that are offered.
const COPIES_MAX: u8 = 3;

/// An upload to be begun.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UploadToBegin)]
pub(super) struct BeginBody {
    /// The key that the file shall have; it may also be told at the end.
    #[schema(min_length = 1, max_length = 1024)]
    key: Option<String>,
    /// Its class; `default` if it is left out.
    #[schema(min_length = 1, max_length = 50)]
    class: Option<String>,
    /// The fid that it shall have; the next one if it is left out.
    #[schema(minimum = 1)]
    #[serde(default, deserialize_with = "stored_number")]
    fid: Option<u64>,
    /// Its size in bytes, if it is known: only devices with room are offered then.
    #[schema(minimum = 0)]
    #[serde(default, deserialize_with = "stored_number")]
    size: Option<u64>,
    /// Places to offer; 1 if it is left out.
    #[schema(minimum = 1, maximum = 3)]
    places: Option<u8>,
}

/// An upload that was begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload)]
pub(super) struct UploadView {
    /// The reserved fid.
    #[schema(minimum = 1)]
    fid: u64,
    /// Where to PUT the bytes: one of these.
    places: Vec<PlaceView>,
}

/// What the client says of an upload whose bytes are there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UploadToEnd)]
pub(super) struct EndBody {
    /// The device that has the bytes.
    #[schema(minimum = 1)]
    devid: u32,
    /// The key of the file. Without one the upload is thrown away.
    #[schema(min_length = 1, max_length = 1024)]
    key: Option<String>,
    /// The size in bytes, if it is to be checked.
    #[schema(minimum = 0)]
    #[serde(default, deserialize_with = "stored_number")]
    size: Option<u64>,
    /// The MD5 that the client knows.
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    md5: Option<String>,
    /// Whether the device must find the same MD5; it is believed otherwise.
    verify: Option<bool>,
}

/// Reserves a fid, and offers places for its bytes.
#[utoipa::path(post, path = "/admin/v1/domains/{domain}/uploads", operation_id = "begin_upload", tag = "uploads",
    params(("domain" = String, Path, description = "The domain's name.")), request_body = BeginBody,
    responses((status = 201, description = "The upload.", body = UploadView,
        headers(("location" = String, description = "Where the upload is ended.")))))]
pub(super) async fn begin(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
    Body(body): Body<BeginBody>,
) -> Result<Created<UploadView>, Problem> {
    let domain = tracker.domain_named(&name).await?;
    let class = match &body.class {
        Some(name) => Some(tracker.class_in(&domain, name).await?),
        None => domain.classes.get(&ClassId::DEFAULT).cloned(),
    };
    let places = body.places.unwrap_or(1);
    if !(1..=COPIES_MAX).contains(&places) {
        return Err(Problem::invalid(
            "places",
            format!("it must be 1 to {COPIES_MAX}"),
        ));
    }
    let request = OpenTempfile {
        class: &class.ok_or(Error::UnknownClass)?,
        key: key(body.key.as_deref())?,
        fid: body.fid.map(fid).transpose()?,
        size: body.size,
        devices: usize::from(places),
    };
    let opened = tracker.open_tempfile(request).await?;
    let (view, fid) = (tracker.view(), opened.fid);
    let places = opened.devices.into_iter().filter_map(|device| {
        Some(PlaceView {
            devid: device.get(),
            url: view.write_url(DevFid { device, fid }, reader(false))?,
        })
    });
    let begun = UploadView {
        fid: fid.get(),
        places: places.collect(),
    };
    let collection = place(DOMAINS, &name) + "/uploads";
    Ok(Created(place(&collection, &fid.to_string()), begun))
}

/// Ends an upload: its bytes are the file of the key, or are thrown away if there is none.
#[utoipa::path(put, path = "/admin/v1/domains/{domain}/uploads/{fid}", operation_id = "end_upload", tag = "uploads",
    params(("domain" = String, Path, description = "The domain's name."),
        ("fid" = u64, Path, description = "The reserved fid.", minimum = 1)), request_body = EndBody,
    responses((status = 204, description = "It has ended.")))]
pub(super) async fn end(
    State(tracker): State<Tracker>,
    Named((name, number)): Named<(String, u64)>,
    Body(body): Body<EndBody>,
) -> Result<StatusCode, Problem> {
    let domain = tracker.domain_named(&name).await?;
    let device = DevId::new(body.devid).ok_or_else(|| Problem::invalid("devid", "it must be at least 1"))?;
    let verify = if body.verify.unwrap_or(false) {
        Verify::Compare
    } else {
        Verify::Trust
    };
    let request = CloseTempfile {
        domain: domain.bucket.domain.id,
        at: DevFid {
            device,
            fid: fid(number)?,
        },
        key: key(body.key.as_deref())?,
        size: body.size,
        digest: body
            .md5
            .as_deref()
            .map(md5)
            .transpose()?
            .map(|digest| (digest, verify)),
    };
    tracker.close_tempfile(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn key(text: Option<&str>) -> Result<Option<Key>, Error> {
    Ok(text.map(Key::parse).transpose()?)
}

fn fid(number: u64) -> Result<Fid, Problem> {
    Fid::new(number).ok_or_else(|| Problem::invalid("fid", "no file can have this number"))
}

fn md5(hex: &str) -> Result<Digest, Problem> {
    let hash = HashType::Md5;
    let bytes = hex::decode(hex).ok().filter(|bytes| bytes.len() == hash.size());
    let bytes = bytes.ok_or_else(|| Problem::invalid("md5", "it must have 32 hex digits"))?;
    Ok(Digest { hash, bytes })
}
