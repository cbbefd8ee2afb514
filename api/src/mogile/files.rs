//! Storing and changing files: `create_open`, `create_close`, `updateclass`, `delete`, `rename`, `edit_file` (mogilefs.md
//! §4.1).

use std::sync::Arc;

use mogul_storage::{DevFid, DevId, Digest, Fid, HashType};
use mogul_tracker::{
    Error,
    command::tempfiles::{CloseError, CloseTempfile, OpenTempfile, OpenedTempfile, Verify},
    model::{Class, ClassId, Key},
    url::{Reader, Zone},
    view::DomainView,
};

use super::{
    Face,
    error::{Code, Refusal, of_database},
    line::{Answer, Args},
};

/// Devices that `create_open` offers with `multi_dest`.
const OFFERED_MAX: usize = 3;

/// The domain that a request names.
pub(super) async fn domain(face: &Face, args: &Args) -> Result<Arc<DomainView>, Refusal> {
    let name = args.required("domain", Code::NoDomain)?;
    Ok(face.tracker().domain_named(name).await?)
}

/// The key of a file that is there: what cannot be a key is the key of no file.
pub(super) fn key_to_find(args: &Args, name: &str) -> Result<Key, Refusal> {
    if args.bytes(name).is_none_or(<[u8]>::is_empty) {
        return Err(Code::NoKey.into());
    }
    let text = args.text(name).ok().flatten();
    let key = text.and_then(|text| Key::parse(text).ok());
    key.ok_or_else(|| Code::UnknownKey.into())
}

/// The key that a file is to have; `None` if none is named.
fn key_to_make(args: &Args, name: &str) -> Result<Option<Key>, Refusal> {
    let text = args.text(name)?.filter(|text| !text.is_empty());
    Ok(text.map(Key::parse).transpose().map_err(Error::from)?)
}

/// Who asks, as far as addresses depend on it.
pub(super) fn reader(args: &Args, zone: Zone) -> Reader {
    Reader {
        ip: args.client(),
        zone,
    }
}

/// `create_open`: reserves a fid and offers devices for it.
pub(super) async fn create_open(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = domain(face, args).await?;
    let class = class_to_store(face, &domain, args).await?;
    let multiple = args.is_true("multi_dest");
    let began = face.clock().now();
    let request = OpenTempfile {
        class: &class,
        key: key_to_make(args, "key")?,
        fid: positive(args, "fid").and_then(Fid::new),
        size: positive(args, "size"),
        devices: if multiple { OFFERED_MAX } else { 1 },
    };
    let opened = face.tracker().open_tempfile(request).await.map_err(of_database)?;
    let answer = offer(face, args, &opened)?;
    if args.is_true("debug_profile") {
        let elapsed = began.until(face.clock().now()).as_secs_f64();
        return Ok(with_profile(answer, &opened, elapsed));
    }
    Ok(answer)
}

/// The class that a new file is to have. The original refuses the name `default`, which its tools never send.
async fn class_to_store(face: &Face, domain: &DomainView, args: &Args) -> Result<Class, Refusal> {
    let found = if args.is_true("class") {
        match args.text("class")? {
            Some(name) => face.tracker().class_in(domain, name).await,
            None => Err(Error::UnknownClass),
        }
    } else {
        let default = domain.classes.get(&ClassId::DEFAULT);
        return default.cloned().ok_or_else(|| Code::UnregClass.into());
    };
    match found {
        Ok(class) if class.id != ClassId::DEFAULT => Ok(class),
        Ok(_) | Err(Error::UnknownClass) => Err(Code::UnregClass.into()),
        Err(error) => Err(of_database(error)),
    }
}

/// A number that counts: what is missing, no number or not positive does not.
fn positive(args: &Args, name: &str) -> Option<u64> {
    let number = args.number(name)?;
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// Where to put the bytes of a reserved fid.
fn offer(face: &Face, args: &Args, opened: &OpenedTempfile) -> Result<Answer, Refusal> {
    let view = face.tracker().view();
    let fid = opened.fid;
    let mut places = Vec::with_capacity(opened.devices.len());
    for device in opened.devices.iter().copied() {
        let url = view.write_url(DevFid { device, fid }, reader(args, Zone::OfClient));
        places.extend(url.map(|url| (device, url)));
    }
    let answer = Answer::new().pair("fid", fid.get());
    if !args.is_true("multi_dest") {
        let (device, url) = places.into_iter().next().ok_or(Code::NoDevices)?;
        return Ok(answer.pair("devid", device).pair("path", url));
    }
    let answer = answer.pair("dev_count", places.len());
    Ok((1..).zip(places).fold(answer, |answer, (number, (device, url))| {
        answer
            .pair(format!("devid_{number}"), device)
            .pair(format!("path_{number}"), url)
    }))
}

/// The original's stages of a `create_open`; all time is spent on the second, which makes no directories on devices.
fn with_profile(answer: Answer, opened: &OpenedTempfile, elapsed: f64) -> Answer {
    let stages = ["begin", "wait_monitor", "find_deviceid", "vivify_dir_on_all_devs"];
    let stages = stages.into_iter().map(str::to_owned);
    let devices = opened
        .devices
        .iter()
        .map(|device| format!("vivify_dir_on_dev{device}"));
    let stages: Vec<String> = stages.chain(devices).collect();
    let answer = answer.pair("profpoints", stages.len());
    (1..).zip(stages).fold(answer, |answer, (number, stage)| {
        let spent = if stage == "find_deviceid" { elapsed } else { 0.0 };
        answer
            .pair(format!("prof_{number}_name"), stage)
            .pair(format!("prof_{number}_time"), format!("{spent:.3}"))
    })
}

/// `create_close`: makes a reserved fid the file of a key.
pub(super) async fn create_close(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = domain(face, args).await?;
    let fid = positive(args, "fid").and_then(Fid::new).ok_or(Code::NoFid)?;
    let device = positive(args, "devid").ok_or(Code::NoDevid)?;
    let device = u32::try_from(device)
        .ok()
        .and_then(DevId::new)
        .ok_or(Code::BogusArgs)?;
    let path = args.required("path", Code::NoPath)?;
    let digest = checksum(args)?;
    let at = DevFid { device, fid };
    if !is_offered(face, args, at, path) {
        return Err(Code::BogusArgs.into());
    }
    let verify = if args.is_true("checksumverify") {
        Verify::Compare
    } else {
        Verify::Trust
    };
    let request = CloseTempfile {
        domain: domain.bucket.domain.id,
        at,
        key: key_to_make(args, "key")?,
        size: positive(args, "size"),
        digest: digest.map(|digest| (digest, verify)),
    };
    let size = request.size;
    let closed = face.tracker().close_tempfile(request).await;
    closed.map_err(|error| not_closed(error, at, size, path))?;
    Ok(Answer::new())
}

/// Whether a path is what the client was or would be given for a place.
fn is_offered(face: &Face, args: &Args, at: DevFid, path: &str) -> bool {
    let view = face.tracker().view();
    let mut zones = [Zone::OfClient, Zone::Alternative].into_iter();
    zones.any(|zone| {
        view.write_url(at, reader(args, zone))
            .is_some_and(|url| url == path)
    })
}

/// The digest that a client sends: `MD5:` or `SHA-1:`, and hexadecimal digits.
fn checksum(args: &Args) -> Result<Option<Digest>, Refusal> {
    let wrong = || Refusal::from(Code::InvalidChecksumFormat);
    let Some(text) = args
        .text("checksum")
        .map_err(|_| wrong())?
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let (name, hex) = text.split_once(':').ok_or_else(wrong)?;
    let hash = HashType::of_mogile(&name.to_ascii_uppercase()).ok_or_else(wrong)?;
    let bytes = hex::decode(hex).map_err(|_| wrong())?;
    if bytes.len() == hash.size() {
        Ok(Some(Digest { hash, bytes }))
    } else {
        Err(wrong())
    }
}

/// Why an upload was not closed, in the words of the original.
fn not_closed(error: Error, at: DevFid, size: Option<u64>, path: &str) -> Refusal {
    let Error::Close(refused) = &error else {
        return error.into();
    };
    let text = match refused {
        CloseError::NotOpen | CloseError::IsFile => return error.into(),
        CloseError::NotOffered { device, offered } => {
            let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
            let offered = offered.join(", ");
            format!("File uploaded to invalid dest {device}. Valid devices were: {offered}")
        }
        CloseError::Missing | CloseError::Unreachable => {
            let size = size.map_or_else(|| "-1".to_owned(), |size| size.to_string());
            let how = if *refused == CloseError::Missing {
                "missing"
            } else {
                "cantreach"
            };
            format!("Expected: {size}; actual: 0 ({how}); path: {path}; error: {refused}")
        }
        CloseError::SizeDiffers { expected, actual } => {
            format!("Expected: {expected}; actual: {actual}; path: {path}")
        }
        CloseError::DigestDiffers { expected, actual } => {
            let (name, fid, expected) = (expected.hash.mogile_name(), at.fid, expected.hex());
            let actual = actual.mogile_text();
            format!("Expected: Checksum[f={fid};{name}={expected}]; actual: {actual}; path: {path}")
        }
    };
    Refusal::with(Refusal::from(error).code(), text)
}

/// `updateclass`: gives a file another class.
pub(super) async fn updateclass(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = domain(face, args).await?;
    let key = key_to_find(args, "key").map_err(|refusal| as_invalid(&refusal));
    if matches!(&key, Err(refusal) if refusal.code() == Code::NoKey) {
        return Err(Code::NoKey.into());
    }
    let name = args.required("class", Code::NoClass)?;
    let class = face.tracker().class_in(&domain, name).await?;
    let moved = face.tracker().reclass_file(domain.bucket.domain.id, key?, class);
    moved.await.map_err(|error| as_invalid(&error.into()))?;
    Ok(Answer::new())
}

/// `updateclass` has its own word for a key without a file.
fn as_invalid(refusal: &Refusal) -> Refusal {
    if refusal.code() == Code::UnknownKey {
        Code::InvalidKey.into()
    } else {
        refusal.clone()
    }
}

/// `delete`: ends a file.
pub(super) async fn delete(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = domain(face, args).await?;
    let key = key_to_find(args, "key")?;
    face.tracker().delete_file(domain.bucket.domain.id, key).await?;
    Ok(Answer::new())
}

/// `rename`: gives a file another key.
pub(super) async fn rename(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = domain(face, args).await?;
    let to_key = args.required("to_key", Code::NoKey).map(drop);
    let from = match key_to_find(args, "from_key") {
        Ok(key) => key,
        Err(refusal) => return Err(to_key.err().unwrap_or(refusal)),
    };
    let to = key_to_make(args, "to_key")?.ok_or(Code::NoKey)?;
    face.tracker()
        .rename_file(domain.bucket.domain.id, from, to)
        .await?;
    Ok(Answer::new())
}

/// `edit_file`: fails as the original does without memcache. No node has what it needs (mogilefs.md §28, 39).
pub(super) async fn edit_file(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    domain(face, args).await?;
    args.required("key", Code::NoKey)?;
    Err(Code::Failure.into())
}
