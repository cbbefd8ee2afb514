//! Which request means what; a pure function. Of a path, only plain names below a device are known.

use http::{Method, StatusCode, Uri};

use super::{reads, refuse};
use crate::{
    device::Place,
    digest::HashType,
    error::NodeError,
    fid::{DevFid, DevId, Fid},
    node::LIST_MAX,
    pull::Pull,
};

/// A request that the node understands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/`: trackers and `mogadm check` want any 2xx.
    Root,
    /// Which extensions are there.
    Options,
    /// The folder of a device.
    Folder(DevId),
    /// A device's usage file.
    Usage(DevId),
    /// A mark for a device.
    Mark(DevId),
    /// The fids of a device from `first` on.
    List {
        /// The device.
        device: DevId,
        /// The smallest fid wanted.
        first: Fid,
        /// How many.
        limit: usize,
    },
    /// The same with the size of each file.
    Sizes {
        /// The device.
        device: DevId,
        /// The smallest fid wanted.
        first: Fid,
        /// How many.
        limit: usize,
    },
    /// A file or a range of it.
    Read(DevId, Place),
    /// A file's digest.
    Digest(DevId, Place, HashType),
    /// A file to store.
    Write(DevId, Place),
    /// A file to make of others.
    Join(DevFid),
    /// A file to fetch from another node.
    Pull(DevFid, Pull),
    /// Files to delete.
    RemoveMany(DevId),
    /// Files to digest.
    Crcs(DevId),
    /// A file to delete.
    Remove(DevId, Place),
}

impl Route {
    /// Understands a request by its method and target.
    pub(super) fn of(method: &Method, uri: &Uri) -> Result<Route, NodeError> {
        if *method == Method::OPTIONS {
            return Ok(Route::Options);
        }
        // The original takes `//dev1/usage` as well: trackers build such URLs.
        let path = uri.path().trim_start_matches('/');
        let query = uri.query().unwrap_or("");
        let file = DevFid::parse(&format!("/{path}"));
        match (file, *method == Method::POST) {
            (Some(at), true) if query == "join" => Ok(Route::Join(at)),
            (Some(at), true) if query.starts_with("pull&") => match Pull::parse(query) {
                Some(pull) => Ok(Route::Pull(at, pull)),
                None => refuse(
                    StatusCode::BAD_REQUEST,
                    "a pull needs from, an address and port, dev and size",
                ),
            },
            (None, true) => match (device_of(path), query) {
                (Some((device, "")), "delete") => Ok(Route::RemoveMany(device)),
                (Some((device, "")), "crc64") => Ok(Route::Crcs(device)),
                (Some((device, "")), "mark") => Ok(Route::Mark(device)),
                (Some(_) | None, _) => refuse(StatusCode::BAD_REQUEST, ""),
            },
            (Some(_), true) => refuse(StatusCode::BAD_REQUEST, ""),
            (Some(at), false) => Route::of_file(method, at.device, Place::of(at), query),
            (None, false) => Route::of_other(method, path, query),
        }
    }

    fn of_file(method: &Method, device: DevId, place: Place, query: &str) -> Result<Route, NodeError> {
        match query.strip_prefix("digest=") {
            Some(name) if *method == Method::GET => match HashType::parse(name) {
                Some(hash) => Ok(Route::Digest(device, place, hash)),
                None => Err(NodeError::Unsupported("this digest")),
            },
            Some(_) | None if reads(method) => Ok(Route::Read(device, place)),
            Some(_) | None if *method == Method::PUT => Ok(Route::Write(device, place)),
            Some(_) | None if *method == Method::DELETE => Ok(Route::Remove(device, place)),
            Some(_) | None => refuse(StatusCode::BAD_REQUEST, ""),
        }
    }

    fn of_other(method: &Method, path: &str, query: &str) -> Result<Route, NodeError> {
        if path.is_empty() && reads(method) {
            return Ok(Route::Root);
        }
        if path.to_ascii_lowercase().replace("%2e", ".").contains("..") {
            return climbing(method);
        }
        if !reads(method) && *method != Method::PUT && *method != Method::DELETE {
            // MKCOL among them: 400 tells a tracker that the node makes its folders itself.
            return refuse(StatusCode::BAD_REQUEST, "");
        }
        let Some((device, rest)) = device_of(path) else {
            return elsewhere(method, path);
        };
        match rest {
            "usage" if reads(method) => Ok(Route::Usage(device)),
            "usage" => refuse(StatusCode::BAD_REQUEST, "Invalid filename"),
            "" if *method == Method::GET && query.starts_with("fids&") => {
                page(query).map(|(first, limit)| Route::List { device, first, limit })
            }
            "" if *method == Method::GET && query.starts_with("sizes&") => {
                page(query).map(|(first, limit)| Route::Sizes { device, first, limit })
            }
            "" if reads(method) => Ok(Route::Folder(device)),
            "" if *method == Method::PUT => elsewhere(method, ""),
            _ => match Place::named(device, rest.trim_end_matches('/')) {
                Some(place) => Route::of_file(method, device, place, query),
                None if reads(method) => Err(NodeError::NotFound),
                None => refuse(StatusCode::BAD_REQUEST, "Invalid filename"),
            },
        }
    }
}

/// The device at the head of a path, and what follows it.
fn device_of(path: &str) -> Option<(DevId, &str)> {
    let (head, rest) = path.split_once('/').unwrap_or((path, ""));
    Some((DevId::of_folder(head)?, rest))
}

/// A path with `..` in it.
fn climbing(method: &Method) -> Result<Route, NodeError> {
    if reads(method) {
        refuse(StatusCode::FORBIDDEN, "Bogus URL")
    } else {
        refuse(StatusCode::BAD_REQUEST, "Invalid filename")
    }
}

/// A path below no device: reading finds nothing there, writing is a mistake.
fn elsewhere(method: &Method, path: &str) -> Result<Route, NodeError> {
    if *method != Method::PUT {
        return Err(NodeError::NotFound);
    }
    if path.contains('/') {
        return Err(NodeError::NoDevice);
    }
    refuse(
        StatusCode::BAD_REQUEST,
        "Does not meet minimum directory requirement",
    )
}

/// `…&first=N&limit=M`
fn page(query: &str) -> Result<(Fid, usize), NodeError> {
    let field = |name: &str| {
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let first = field("first").and_then(|first| Fid::new(first.parse().ok()?));
    let limit = field("limit").and_then(|limit| limit.parse::<usize>().ok());
    match (first, limit) {
        (Some(first), Some(limit)) if (1..=LIST_MAX).contains(&limit) => Ok((first, limit)),
        _ => refuse(
            StatusCode::BAD_REQUEST,
            "a list needs first, a fid, and limit, 1 to 10000",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, target: &str) -> Result<Route, NodeError> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Route::of(&method, &target.parse().unwrap())
    }

    fn at(fid: u64) -> DevFid {
        DevFid {
            device: DevId::new(1).unwrap(),
            fid: Fid::new(fid).unwrap(),
        }
    }

    #[test]
    fn requests_are_understood_as_the_original_and_our_extensions_mean_them() {
        let device = DevId::new(1).unwrap();
        let place = || Place::of(at(5));
        let test_write = || Place::named(device, "test-write/test-write-07").unwrap();
        let file = "/dev1/0/000/000/0000000005.fid";
        for (method, target, expected) in [
            ("GET", "/", Route::Root),
            ("GET", "/dev1/", Route::Folder(device)),
            ("HEAD", "/dev1", Route::Folder(device)),
            ("GET", "/dev1/usage", Route::Usage(device)),
            ("GET", "//dev1/usage?x=1", Route::Usage(device)),
            ("GET", "http://host:7500/dev1/usage", Route::Usage(device)),
            ("GET", file, Route::Read(device, place())),
            ("HEAD", file, Route::Read(device, place())),
            ("PUT", file, Route::Write(device, place())),
            ("DELETE", file, Route::Remove(device, place())),
            (
                "PUT",
                "/dev1/test-write/test-write-07",
                Route::Write(device, test_write()),
            ),
            ("OPTIONS", "/", Route::Options),
            ("POST", "/dev1/?mark", Route::Mark(device)),
            ("POST", "/dev1/0/000/000/0000000005.fid?join", Route::Join(at(5))),
            ("POST", "/dev1/?delete", Route::RemoveMany(device)),
            ("POST", "/dev1/?crc64", Route::Crcs(device)),
            (
                "GET",
                "/dev1/0/000/000/0000000005.fid?digest=md5",
                Route::Digest(device, place(), HashType::Md5),
            ),
            (
                "GET",
                "/dev1/?fids&first=7&limit=10000",
                Route::List {
                    device,
                    first: at(7).fid,
                    limit: 10_000,
                },
            ),
            (
                "GET",
                "/dev1/?sizes&first=7&limit=1",
                Route::Sizes {
                    device,
                    first: at(7).fid,
                    limit: 1,
                },
            ),
        ] {
            assert_eq!(route(method, target).unwrap(), expected, "{method} {target}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (method, target, status) in [
            ("GET", "/etc/passwd", 404),
            ("GET", "/dev1/tmp/0", 404),
            ("GET", "/dev01/usage", 404),
            ("GET", "/dev1/test-write/..", 403),
            ("GET", "/dev1/%2e%2E/dev1/usage", 403),
            ("GET", "/dev1/test-write/.hidden", 404),
            ("PUT", "/dev1/usage", 400),
            ("PUT", "/dev1/mogul-device", 400),
            ("DELETE", "/dev1/mogul-device", 400),
            ("POST", "/dev1/x?mark", 400),
            ("PUT", "/dev1/../../etc/passwd", 400),
            ("PUT", "/dev1", 400),
            ("PUT", "/file", 400),
            ("PUT", "/dev01/file", 404),
            ("PUT", "/dev1/a//b", 400),
            ("PUT", "/dev1/a%20b", 400),
            ("DELETE", "/dev1/tmp/0", 400),
            ("MKCOL", "/dev1/0/", 400),
            ("MKCOL", "/dev1/test-write/", 400),
            ("MOVE", "/dev1/0/000/000/0000000005.fid", 400),
            ("POST", "/dev1/0/000/000/0000000005.fid", 400),
            ("POST", "/dev1/0/?delete", 400),
            ("POST", "/dev1/?sizes", 400),
            ("POST", "/?delete", 400),
            ("GET", "/dev1/?fids&first=0&limit=5", 400),
            ("GET", "/dev1/?fids&first=1&limit=10001", 400),
        ] {
            let error = route(method, target).expect_err(target);
            let answer = crate::answer::of_error(&error);
            assert_eq!(answer.status().as_u16(), status, "{method} {target}");
        }
    }
}
