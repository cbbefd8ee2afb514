//! Finding and describing files: `get_paths`, `file_info`, `file_debug`, `list_keys`, `list_fids` (mogilefs.md §4.2).

use std::sync::Arc;

use mogul_storage::{DevId, Digest, Fid};
use mogul_tracker::{
    command::{
        lookup::{FIDS_MAX, FidRecord, FirstCopy},
        objects::{Entry, ListFrom, ListObjects},
    },
    meta::{
        listing::ENTRIES_MAX,
        lookup::{Columns, FoundFile},
    },
    url::Zone,
    view::ClusterView,
};

use super::{
    Face,
    error::{Code, Refusal},
    files::{domain, key_to_find, reader},
    line::{Answer, Args},
};

/// Paths that `get_paths` gives at least, if there are as many.
const PATHS_MIN: usize = 2;
/// Files that `list_fids` gives without being told.
const FIDS: usize = 100;

/// `get_paths`: where to read a file.
pub(super) async fn get_paths(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = domain(face, args).await?;
    let key = key_to_find(args, "key")?;
    let first = if args.is_true("noverify") {
        FirstCopy::Unchecked
    } else {
        FirstCopy::Checked
    };
    let count = args
        .number("pathcount")
        .and_then(|count| usize::try_from(count).ok());
    let count = count.unwrap_or(PATHS_MIN).max(PATHS_MIN);
    let zone = match args.bytes("zone") {
        Some(b"alt") => Zone::Alternative,
        Some(_) | None => Zone::OfClient,
    };
    let file = (domain.bucket.domain.id, &key);
    let places = face.tracker().file_paths(file, first, count).await?;
    let view = face.tracker().view();
    let urls = places
        .into_iter()
        .filter_map(|at| view.read_url(at, reader(args, zone)));
    let urls: Vec<String> = urls.collect();
    let answer = Answer::new().pair("paths", urls.len());
    Ok((1..).zip(urls).fold(answer, |answer, (number, url)| {
        answer.pair(format!("path{number}"), url)
    }))
}

/// `file_info`: what is on record of a file.
pub(super) async fn file_info(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = domain(face, args).await?;
    let key = key_to_find(args, "key")?;
    let (file, checksum) = face.tracker().file_info(domain.bucket.domain.id, &key).await?;
    let view = face.tracker().view();
    let class = view.domain(file.domain);
    let class = class.and_then(|domain| domain.classes.get(&file.class));
    let mut answer = Answer::new()
        .pair("fid", file.fid)
        .pair("domain", &domain.bucket.domain.name)
        .pair("class", class_name(&view, &file))
        .pair("key", &key)
        .pair("length", file.size)
        .pair("devcount", file.devcount);
    if args.is_true("devices") {
        answer = answer.pair("devids", listed(&file.devices));
    }
    if class.is_some_and(|class| class.hash.is_some()) {
        let shown = checksum.map(|digest| digest.mogile_text());
        answer = answer.pair("checksum", shown.unwrap_or_else(|| "MISSING".to_owned()));
    }
    Ok(answer)
}

/// The name of a file's class; its number if there is none of that number any more.
fn class_name(view: &ClusterView, file: &FoundFile) -> String {
    let classes = view.domain(file.domain).map(|domain| &domain.classes);
    let class = classes.and_then(|classes| classes.get(&file.class));
    class.map_or_else(|| file.class.0.to_string(), |class| class.name.to_string())
}

/// The name of a file's domain; its number if there is none of that number any more.
fn domain_name(view: &ClusterView, file: &FoundFile) -> String {
    let domain = view.domain(file.domain);
    domain.map_or_else(
        || file.domain.0.to_string(),
        |domain| domain.bucket.domain.name.to_string(),
    )
}

fn listed(devices: &[DevId]) -> String {
    let numbers: Vec<String> = devices.iter().map(ToString::to_string).collect();
    numbers.join(",")
}

/// `file_debug`: all that is on record of a fid, or of the fid of a key.
pub(super) async fn file_debug(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let tracker = face.tracker();
    let fid = if args.is_true("fid") {
        let number = args.number("fid").and_then(|fid| u64::try_from(fid).ok());
        number.and_then(Fid::new)
    } else {
        let domain = domain(face, args).await?;
        let key = key_to_find(args, "key")?;
        let (file, _) = tracker.file_info(domain.bucket.domain.id, &key).await?;
        Some(file.fid)
    };
    let record = match fid {
        Some(fid) => tracker.fid_record(fid).await?,
        None => FidRecord::default(),
    };
    Ok(recorded(face, args, fid, &record))
}

/// Renders what is on record of a fid.
fn recorded(face: &Face, args: &Args, fid: Option<Fid>, record: &FidRecord) -> Answer {
    let view = face.tracker().view();
    let mut answer = Answer::new();
    if let Some(file) = &record.file {
        answer = answer
            .pair("fid_fid", file.fid)
            .pair("fid_dmid", file.domain.0)
            .pair("fid_dkey", &file.key)
            .pair("fid_length", file.size)
            .pair("fid_classid", file.class.0)
            .pair("fid_devcount", file.devcount)
            .pair("fid_domain", domain_name(&view, file))
            .pair("fid_class", class_name(&view, file));
    }
    let queues = &record.queues;
    for (name, row) in [
        ("tempfile", &queues.tempfile),
        ("replqueue", &queues.replication),
        ("delqueue", &queues.deletion),
        ("rebqueue", &queues.rebalance),
        ("fsckqueue", &queues.fsck),
    ] {
        answer = with_columns(answer, name, row.as_ref());
    }
    for device in record.devices.iter().copied() {
        let at = fid.map(|fid| mogul_storage::DevFid { device, fid });
        let url = at.and_then(|at| view.read_url(at, reader(args, Zone::OfClient)));
        if let Some(url) = url {
            answer = answer.pair(format!("devpath_{device}"), url);
        }
    }
    if !record.devices.is_empty() {
        answer = answer.pair("devids", listed(&record.devices));
    }
    let checksum = record.checksum.as_ref().map(Digest::mogile_text);
    answer.pair("checksum", checksum.unwrap_or_else(|| "NONE".to_owned()))
}

/// Adds the columns of a row, if there is one, each with the row's name before its own.
fn with_columns(answer: Answer, name: &str, row: Option<&Columns>) -> Answer {
    row.into_iter().flatten().fold(answer, |answer, (column, value)| {
        answer.pair(format!("{name}_{column}"), value.as_deref().unwrap_or(""))
    })
}

/// `list_keys`: a page of a domain's keys, in the order of their bytes.
pub(super) async fn list_keys(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = domain(face, args).await?;
    let none = || Refusal::from(Code::NoneMatch);
    let prefix = args.text("prefix").map_err(|_| none())?.unwrap_or("");
    let after = args.text("after").map_err(|_| none())?.unwrap_or("");
    if args.is_true("after") && !after.starts_with(prefix) {
        return Err(Code::AfterMismatch.into());
    }
    let limit = args.number("limit").filter(|_| args.is_true("limit"));
    let limit = match limit.map(usize::try_from) {
        None => ENTRIES_MAX,
        Some(Ok(limit)) => limit.min(ENTRIES_MAX),
        Some(Err(_)) => return Err(Code::Failure.into()),
    };
    let request = ListObjects {
        prefix: prefix.to_owned(),
        delimiter: String::new(),
        from: if after.is_empty() {
            ListFrom::Start
        } else {
            ListFrom::After(after.to_owned())
        },
        limit,
    };
    let page = face
        .tracker()
        .list_objects(domain.bucket.domain.id, request)
        .await?;
    let keys = page.entries.into_iter().map(|entry| match entry {
        Entry::Object(object) => object.key.to_string(),
        Entry::Prefix(prefix) => prefix,
    });
    let keys: Vec<String> = keys.collect();
    let last = keys.last().cloned().ok_or_else(none)?;
    let answer = Answer::new()
        .pair("key_count", keys.len())
        .pair("next_after", last);
    Ok((1..).zip(keys).fold(answer, |answer, (number, key)| {
        answer.pair(format!("key_{number}"), key)
    }))
}

/// `list_fids`: files by fid. `to` is how many, whatever its name says.
pub(super) async fn list_fids(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let after = args
        .number("from")
        .and_then(|from| u64::try_from(from).ok())
        .unwrap_or(0);
    let count = args.number("to").filter(|_| args.is_true("to"));
    let count = count.map_or(FIDS, |count| usize::try_from(count).unwrap_or(FIDS_MAX));
    let files = face.tracker().list_fids(after, count).await?;
    let view: Arc<ClusterView> = face.tracker().view();
    let answer = Answer::new().pair("fid_count", files.len());
    Ok((1..).zip(&files).fold(answer, |answer, (number, file)| {
        answer
            .pair(format!("fid_{number}_fid"), file.fid)
            .pair(format!("fid_{number}_domain"), domain_name(&view, file))
            .pair(format!("fid_{number}_class"), class_name(&view, file))
            .pair(format!("fid_{number}_key"), &file.key)
            .pair(format!("fid_{number}_length"), file.size)
            .pair(format!("fid_{number}_devcount"), file.devcount)
    }))
}
