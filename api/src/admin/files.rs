//! `/admin/v1/domains/{domain}/files`: files by key. Their bytes go to and come from the nodes, or through S3.
//!
//! A key is one part of the path: its slashes are written `%2F`.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_storage::{DevFid, Digest};
use mogul_tracker::{
    Error, Tracker,
    command::{
        lookup::FirstCopy,
        objects::{Entry, ListFrom, ListObjects, ListedObject},
    },
    meta::lookup::FoundFile,
    model::Key,
    url::{Reader, Zone},
    view::{ClusterView, DomainView},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::{PAGE_DEFAULT, PAGE_MAX},
    error::Problem,
    extract::{Body, Named, Parameters},
};

/// Places to read a file from that are told, unless the request says otherwise.
const PATHS_DEFAULT: u8 = 2;

/// A file, as it is on record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
pub(super) struct FileView {
    /// Its fid.
    #[schema(minimum = 1)]
    fid: u64,
    /// Its domain; the domain's number if there is none of it any more.
    domain: String,
    /// Its key.
    key: String,
    /// Its class; the class's number if there is none of it any more.
    class: String,
    /// Its size in bytes.
    #[schema(minimum = 0)]
    length: u64,
    /// Copies that it is thought to have.
    #[schema(minimum = 0)]
    devcount: u64,
    /// Devices with a copy on record; none while an object of several parts still lies in them.
    devids: Vec<u32>,
    /// The digest on record, as `MD5:` or `SHA-1:` and hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checksum: Option<String>,
}

impl FileView {
    pub(super) fn of(view: &ClusterView, file: FoundFile, checksum: Option<&Digest>) -> FileView {
        let domain = view.domain(file.domain);
        let class = domain.and_then(|domain| domain.classes.get(&file.class));
        FileView {
            fid: file.fid.get(),
            domain: domain.map_or_else(
                || file.domain.0.to_string(),
                |domain| domain.bucket.domain.name.to_string(),
            ),
            class: class.map_or_else(|| file.class.0.to_string(), |class| class.name.to_string()),
            key: file.key,
            length: file.size,
            devcount: file.devcount,
            devids: file.devices.into_iter().map(mogul_storage::DevId::get).collect(),
            checksum: checksum.map(Digest::mogile_text),
        }
    }
}

/// A file in a listing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedFile)]
pub(super) struct ListedView {
    /// Its key.
    key: String,
    /// Its size in bytes.
    #[schema(minimum = 0)]
    length: u64,
    /// The number of its class in the domain.
    classid: u8,
    /// Its entity tag in S3, without quotes.
    etag: String,
    /// When it was stored, in Unix milliseconds.
    modified_ms: i64,
}

impl From<ListedObject> for ListedView {
    fn from(object: ListedObject) -> ListedView {
        ListedView {
            key: object.key.to_string(),
            length: object.size,
            classid: object.class.0,
            etag: object.etag.0,
            modified_ms: object.modified.millis(),
        }
    }
}

/// A page of files by key, in byte order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Files)]
pub(super) struct FilesPage {
    /// The files.
    files: Vec<ListedView>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Which files.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only keys that begin so.
    #[param(required = false)]
    prefix: Option<String>,
    /// Only keys behind this, the `next` of the page before.
    #[param(required = false)]
    after: Option<String>,
    /// Files on the page, 1 to 1,000; 100 if it is left out.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// Changes of a file. One of the two at a time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FileChanges)]
pub(super) struct ChangeBody {
    /// The key that it shall have.
    #[schema(min_length = 1, max_length = 1024)]
    key: Option<String>,
    /// The class that it shall have; copies follow.
    #[schema(min_length = 1, max_length = 50)]
    class: Option<String>,
}

/// How places are chosen.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PathsQuery {
    /// Most places that are told, 1 to 100; 2 if it is left out.
    #[param(required = false, minimum = 1, maximum = 100)]
    count: Option<u8>,
    /// Whether the first place is asked for the file before it is told; `true` if it is left out.
    #[param(required = false)]
    verify: Option<bool>,
    /// Whether URLs have the hosts' addresses for clients of another network, where they have one.
    #[param(required = false)]
    alt: Option<bool>,
}

/// Where a copy is read or written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Place)]
pub(super) struct PlaceView {
    /// The device.
    pub(super) devid: u32,
    /// The URL on its node.
    pub(super) url: String,
}

/// Where to read a file, best first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Paths)]
pub(super) struct PathsView {
    /// The places; none if no copy is on record.
    paths: Vec<PlaceView>,
}

/// Lists the files of a domain by key, in byte order.
#[utoipa::path(get, path = "/admin/v1/domains/{domain}/files", operation_id = "list_files", tag = "files",
    params(("domain" = String, Path, description = "The domain's name."), ListQuery),
    responses((status = 200, description = "A page of files.", body = FilesPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Named(domain): Named<String>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<FilesPage>, Problem> {
    let domain = tracker.domain_named(&domain).await?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid("limit", format!("it must be 1 to {PAGE_MAX}")));
    }
    let request = ListObjects {
        prefix: query.prefix.unwrap_or_default(),
        delimiter: String::new(),
        from: query.after.map_or(ListFrom::Start, ListFrom::After),
        limit: usize::from(limit),
    };
    let page = tracker.list_objects(domain.bucket.domain.id, request).await?;
    let objects = page.entries.into_iter().filter_map(|entry| match entry {
        Entry::Object(object) => Some(ListedView::from(*object)),
        // Without a delimiter nothing is rolled up.
        Entry::Prefix(_) => None,
    });
    let files: Vec<ListedView> = objects.collect();
    let next = files.last().filter(|_| page.more).map(|last| last.key.clone());
    Ok(Json(FilesPage { files, next }))
}

/// Tells what is on record of a file.
#[utoipa::path(get, path = "/admin/v1/domains/{domain}/files/{key}", operation_id = "find_file", tag = "files",
    params(("domain" = String, Path, description = "The domain's name."),
        ("key" = String, Path, description = "The file's key, its slashes encoded.")),
    responses((status = 200, description = "The file.", body = FileView)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named((domain, key)): Named<(String, String)>,
) -> Result<Json<FileView>, Problem> {
    let (domain, key) = named(&tracker, &domain, &key).await?;
    Ok(Json(on_record(&tracker, &domain, &key).await?))
}

/// Gives a file another key or another class.
#[utoipa::path(patch, path = "/admin/v1/domains/{domain}/files/{key}", operation_id = "change_file", tag = "files",
    params(("domain" = String, Path, description = "The domain's name."),
        ("key" = String, Path, description = "The file's key, its slashes encoded.")), request_body = ChangeBody,
    responses((status = 200, description = "The file as it is now.", body = FileView)))]
pub(super) async fn modify(
    State(tracker): State<Tracker>,
    Named((domain, key)): Named<(String, String)>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<FileView>, Problem> {
    let (domain, mut key) = named(&tracker, &domain, &key).await?;
    let id = domain.bucket.domain.id;
    match (body.key, body.class) {
        (Some(to), None) => {
            let to = Key::parse(&to).map_err(Error::from)?;
            tracker.rename_file(id, key, to.clone()).await?;
            key = to;
        }
        (None, Some(class)) => {
            let class = tracker.class_in(&domain, &class).await?;
            tracker.reclass_file(id, key.clone(), class).await?;
        }
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(
                "class",
                "change the key and the class one after the other",
            ));
        }
        (None, None) => {}
    }
    Ok(Json(on_record(&tracker, &domain, &key).await?))
}

/// Deletes a file.
#[utoipa::path(delete, path = "/admin/v1/domains/{domain}/files/{key}", operation_id = "remove_file", tag = "files",
    params(("domain" = String, Path, description = "The domain's name."),
        ("key" = String, Path, description = "The file's key, its slashes encoded.")),
    responses((status = 204, description = "It is gone; its copies go soon.")))]
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Named((domain, key)): Named<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (domain, key) = named(&tracker, &domain, &key).await?;
    tracker.delete_file(domain.bucket.domain.id, key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells where to read a file, best first.
#[utoipa::path(get, path = "/admin/v1/domains/{domain}/files/{key}/paths", operation_id = "find_file_paths", tag = "files",
    params(("domain" = String, Path, description = "The domain's name."),
        ("key" = String, Path, description = "The file's key, its slashes encoded."), PathsQuery),
    responses((status = 200, description = "The places.", body = PathsView)))]
pub(super) async fn paths(
    State(tracker): State<Tracker>,
    Named((domain, key)): Named<(String, String)>,
    Parameters(query): Parameters<PathsQuery>,
) -> Result<Json<PathsView>, Problem> {
    let (domain, key) = named(&tracker, &domain, &key).await?;
    let count = query.count.unwrap_or(PATHS_DEFAULT);
    if !(1..=100).contains(&count) {
        return Err(Problem::invalid("count", "it must be 1 to 100"));
    }
    let first = if query.verify.unwrap_or(true) {
        FirstCopy::Checked
    } else {
        FirstCopy::Unchecked
    };
    let file = (domain.bucket.domain.id, &key);
    let places = tracker.file_paths(file, first, usize::from(count)).await?;
    let (view, reader) = (tracker.view(), reader(query.alt.unwrap_or(false)));
    let paths = places.into_iter().filter_map(|at| read_at(&view, at, reader));
    Ok(Json(PathsView {
        paths: paths.collect(),
    }))
}

/// Who URLs are for: an operator is of no network unless the request says so.
pub(super) fn reader(alternative: bool) -> Reader {
    let zone = if alternative {
        Zone::Alternative
    } else {
        Zone::OfClient
    };
    Reader {
        ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        zone,
    }
}

pub(super) fn read_at(view: &ClusterView, at: DevFid, reader: Reader) -> Option<PlaceView> {
    Some(PlaceView {
        devid: at.device.get(),
        url: view.read_url(at, reader)?,
    })
}

/// The domain and the key of a path; what cannot be a key is the key of no file.
async fn named(tracker: &Tracker, domain: &str, key: &str) -> Result<(Arc<DomainView>, Key), Error> {
    let domain = tracker.domain_named(domain).await?;
    let key = Key::parse(key).map_err(|_| Error::UnknownKey)?;
    Ok((domain, key))
}

async fn on_record(tracker: &Tracker, domain: &DomainView, key: &Key) -> Result<FileView, Error> {
    let (file, checksum) = tracker.file_info(domain.bucket.domain.id, key).await?;
    Ok(FileView::of(&tracker.view(), file, checksum.as_ref()))
}
