//! Types of files that came without one: a `MogileFS` client stores bytes under a key and says nothing of them, so the
//! key's ending has to (issue 3, "One store, two doors").

use http::HeaderValue;
use mogul_tracker::model::Key;

/// Endings in lower case with the types that browsers and the original's web server give them, sorted.
const TYPES: &[(&str, &str)] = &[
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ogg", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The type that a key's ending tells, if it does.
#[must_use]
pub(super) fn of_key(key: &Key) -> Option<HeaderValue> {
    let name = key.as_str().rsplit('/').next()?;
    let (_, ending) = name.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    let found = TYPES.binary_search_by(|(known, _)| known.cmp(&ending.as_str()));
    found.ok().map(|index| HeaderValue::from_static(TYPES[index].1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endings_are_sorted_so_that_each_is_found() {
        assert!(TYPES.is_sorted_by(|(one, _), (other, _)| one < other));
    }

    #[test]
    fn a_keys_ending_tells_its_type() {
        for (key, expected) in [
            ("a/b.PNG", Some("image/png")),
            ("archive.tar.gz", Some("application/gzip")),
            ("page.html", Some("text/html")),
            ("dir.png/file", None),
            ("png", None),
            ("file.unknown", None),
            ("file.", None),
        ] {
            let found = of_key(&Key::parse(key).unwrap());
            let found = found.as_ref().map(|found| found.to_str().unwrap());
            assert_eq!(found, expected, "{key}");
        }
    }
}
