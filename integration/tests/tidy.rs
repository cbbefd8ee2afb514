//! The never-list of ARCHITECTURE.md §1 and the house rules that neither the compiler nor clippy knows.
//!
//! It reads manifests and source text. It is no second compiler: [`Source`] knows just enough of Rust to tell
//! code, texts and comments apart, and a rule that would need more belongs into a lint.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The folders with Rust code.
const CRATES: [&str; 4] = ["storage", "tracker", "api", "integration"];

/// Names that say nothing about what lies behind them.
const BANNED_NAMES: [&str; 8] = [
    "util", "utils", "common", "core", "helpers", "misc", "types", "shared",
];

/// One source file: its path below the root, its code without comments and texts, and its texts.
struct Source {
    path: String,
    whole: String,
    code: String,
    texts: Vec<String>,
}

impl Source {
    /// Whether the file holds nothing but tests, examples or benchmarks.
    fn is_test(&self) -> bool {
        let outside = ["/tests/", "/examples/", "/benches/"];
        outside.iter().any(|folder| self.path.contains(folder)) || self.path.ends_with("/tests.rs")
    }

    fn read(root: &Path, path: &Path) -> Source {
        let whole = std::fs::read_to_string(path).expect("a file that was just listed can be read");
        let path = path
            .strip_prefix(root)
            .expect("it lies below the root")
            .display()
            .to_string();
        let (code, texts) = split(without_test_module(&whole));
        Source {
            path,
            whole,
            code,
            texts,
        }
    }
}

/// The text before a test module, which by custom ends its file.
fn without_test_module(whole: &str) -> &str {
    let begin = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\n#[expect("];
    let end = begin.iter().filter_map(|marker| whole.find(marker)).min();
    &whole[..end.unwrap_or(whole.len())]
}

/// Parts Rust text into code (texts and comments left out) and the contents of its texts.
fn split(text: &str) -> (String, Vec<String>) {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut code, mut texts, mut i) = (String::new(), Vec::new(), 0);
    while i < chars.len() {
        if at(i) == '/' && at(i + 1) == '/' {
            i = until(&chars, i, "\n");
        } else if at(i) == '/' && at(i + 1) == '*' {
            i = until(&chars, i, "*/") + 2;
        } else if at(i) == 'r' && matches!(at(i + 1), '"' | '#') && !code.ends_with(char::is_alphanumeric) {
            let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
            if at(i + 1 + hashes) != '"' {
                code.push('r'); // a raw identifier
                i += 1;
                continue;
            }
            let begin = i + 2 + hashes;
            let end = until(&chars, begin, &format!("\"{}", "#".repeat(hashes)));
            texts.push(chars[begin..end].iter().collect());
            i = end + 1 + hashes;
        } else if at(i) == '"' {
            let end = end_of_text(&chars, i + 1);
            texts.push(chars[i + 1..end].iter().collect());
            i = end + 1;
        } else if at(i) == '\'' && at(i + 1) == '\\' {
            i = until(&chars, i + 3, "'") + 1; // an escaped character
        } else if at(i) == '\'' && at(i + 2) == '\'' {
            i += 3; // a character, not a lifetime
        } else {
            code.push(at(i));
            i += 1;
        }
    }
    (code, texts)
}

/// The index of `mark` at or after `from`, else the end.
fn until(chars: &[char], from: usize, mark: &str) -> usize {
    let mark: Vec<char> = mark.chars().collect();
    (from..chars.len())
        .find(|&i| chars[i..].starts_with(&mark))
        .unwrap_or(chars.len())
}

/// The index of the quote that ends a text.
fn end_of_text(chars: &[char], from: usize) -> usize {
    let mut i = from;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i.min(chars.len())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .to_owned()
}

/// All Rust files of one crate, in order of their paths.
fn sources_of(krate: &str) -> Vec<Source> {
    let root = root();
    let (mut found, mut folders) = (Vec::new(), vec![root.join(krate)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the workspace can be listed") {
            let path = entry.expect("its entries can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source::read(&root, &path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn sources() -> Vec<Source> {
    CRATES.iter().flat_map(|krate| sources_of(krate)).collect()
}

fn manifest(folder: &str) -> toml::Table {
    let text =
        std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("each crate has a manifest");
    text.parse().expect("cargo has read it before")
}

/// The names in one table of dependencies of a crate.
fn dependencies(krate: &str, table: &str) -> Vec<String> {
    let manifest = manifest(krate);
    manifest
        .get(table)
        .and_then(|table| table.as_table())
        .map_or(Vec::new(), |table| table.keys().cloned().collect())
}

/// Fails with every complaint at once.
fn nothing_of(complaints: &[String]) {
    let list = complaints.iter().fold(String::new(), |mut list, complaint| {
        writeln!(list, "  {complaint}").expect("writing to a String cannot fail");
        list
    });
    assert!(complaints.is_empty(), "{} complaints:\n{list}", complaints.len());
}

/// Complains of each word of `words` in the code of the files that `concerns` picks; tests are left out.
fn no_code(concerns: impl Fn(&str) -> bool, words: &[&str]) {
    let files = sources()
        .into_iter()
        .filter(|file| !file.is_test() && concerns(&file.path));
    let complaints: Vec<String> = files
        .flat_map(|file| {
            let found = words.iter().filter(|word| file.code.contains(**word));
            found
                .map(|word| format!("{}: {word}", file.path))
                .collect::<Vec<_>>()
        })
        .collect();
    nothing_of(&complaints);
}

#[test]
fn texts_comments_and_code_are_told_apart() {
    let (code, texts) =
        split("let a = \"x // y\"; // b \"c\"\nlet d = r#\"e\"f\"#; 'g: /* h */ '\"' '\\'' i \"\\\"j\"");

    assert_eq!(texts, ["x // y", "e\"f", "\\\"j"]);
    assert_eq!(code, "let a = ; \nlet d = ; 'g:    i ");
}

#[test]
fn the_crates_depend_downwards_only() {
    let never = [
        (
            "storage",
            &["mogul-tracker", "mogul-api", "sqlx", "quick-xml"][..],
        ),
        (
            "tracker",
            &["mogul-api", "axum", "quick-xml", "hyper", "hyper-util"][..],
        ),
        ("api", &["sqlx"][..]),
    ];

    let complaints: Vec<String> = never
        .iter()
        .flat_map(|(krate, banned)| {
            let used = dependencies(krate, "dependencies");
            let found = banned
                .iter()
                .filter(move |name| used.iter().any(|used| used == *name));
            found.map(move |name| format!("{krate} depends on {name}"))
        })
        .collect();

    nothing_of(&complaints);
}

#[test]
fn the_tracker_opens_no_socket() {
    no_code(
        |path| path.starts_with("tracker/src/"),
        &[
            "tokio::net",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
        ],
    );
}

#[test]
fn models_and_policies_are_plain_functions() {
    let plain = |path: &str| {
        let rooms = [
            "tracker/src/model/",
            "tracker/src/policy/",
            "tracker/src/placement.rs",
        ];
        rooms.iter().any(|room| path.starts_with(room))
    };

    no_code(
        plain,
        &["async ", ".await", "sqlx", "tokio", "dyn Clock", "Arc<dyn"],
    );
}

#[test]
fn a_face_calls_the_tracker_and_no_other_face() {
    let queues_and_placement = [
        "mogul_tracker::meta",
        "mogul_tracker::placement",
        "mogul_tracker::policy",
    ];
    for (face, others) in [
        ("api/src/s3/", ["crate::admin", "crate::mogile"]),
        ("api/src/admin/", ["crate::s3::ops", "crate::mogile"]),
        ("api/src/mogile/", ["crate::s3", "crate::admin"]),
    ] {
        no_code(|path| path.starts_with(face), &others);
        no_code(|path| path.starts_with(face), &queues_and_placement);
    }
}

#[test]
fn sql_is_written_in_meta_only() {
    let begins = [
        "select ",
        "insert into ",
        "insert or ",
        "insert ignore ",
        "replace into ",
        "delete from ",
        "create table ",
    ];
    let files = sources().into_iter().filter(|file| {
        let room = file.path.contains("/src/") && !file.path.starts_with("tracker/src/meta/");
        room && !file.is_test() && !file.path.starts_with("integration/")
    });

    let complaints: Vec<String> = files
        .flat_map(|file| {
            let sql = file.texts.iter().filter(|text| {
                let text = text.trim_start().to_lowercase();
                begins.iter().any(|begin| text.starts_with(begin)) && text.len() > 12
            });
            sql.map(|text| format!("{}: {text}", file.path))
                .collect::<Vec<_>>()
        })
        .collect();

    nothing_of(&complaints);
}

#[test]
fn paths_below_a_device_are_made_in_two_files() {
    let makers = [
        "storage/src/device.rs",
        "storage/src/device/",
        "storage/src/fid.rs",
    ];
    let files = sources().into_iter().filter(|file| {
        file.path.contains("/src/")
            && !file.is_test()
            && !makers.iter().any(|maker| file.path.starts_with(maker))
    });

    let complaints: Vec<String> = files
        .filter(|file| {
            file.texts
                .iter()
                .any(|text| text == ".fid" || text.contains("}.fid") || text.contains(":010}"))
        })
        .map(|file| format!("{} makes a path of a fid", file.path))
        .collect();

    nothing_of(&complaints);
}

#[test]
fn names_say_what_lies_behind_them() {
    let nameless = |part: &str| BANNED_NAMES.contains(&part.trim_end_matches(".rs"));

    let complaints: Vec<String> = sources()
        .into_iter()
        .map(|file| file.path)
        .filter(|path| path.split('/').any(nameless))
        .collect();

    nothing_of(&complaints);
}

#[test]
fn every_file_says_first_what_it_is() {
    let complaints: Vec<String> = sources()
        .into_iter()
        .filter(|file| !file.whole.starts_with("//! "))
        .map(|file| file.path)
        .collect();

    nothing_of(&complaints);
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    let anywhere = [
        concat!("#[", "allow"),
        concat!("#![", "allow"),
        concat!("#[", "ignore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
    ];

    let complaints: Vec<String> = sources()
        .iter()
        .flat_map(|file| {
            let found = anywhere.iter().filter(|word| file.whole.contains(**word));
            found
                .map(|word| format!("{}: {word}", file.path))
                .collect::<Vec<_>>()
        })
        .collect();

    nothing_of(&complaints);
    no_code(|_| true, &["todo!", "unimplemented!", ".unwrap()", "dbg!"]);
}

#[test]
fn no_crate_hands_on_the_items_of_another() {
    let complaints: Vec<String> = CRATES
        .iter()
        .flat_map(|krate| {
            let foreign: Vec<String> = dependencies(krate, "dependencies")
                .iter()
                .map(|name| format!("pub use {}::", name.replace('-', "_")))
                .collect();
            let files = sources_of(krate).into_iter();
            files
                .filter(move |file| foreign.iter().any(|begin| file.code.contains(begin)))
                .map(|file| file.path)
        })
        .collect();

    nothing_of(&complaints);
}

#[test]
fn each_dependency_is_declared_once_with_its_reason() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let table = text
        .split("[workspace.dependencies]")
        .nth(1)
        .expect("it declares dependencies");
    let lines = table.lines().skip(1).take_while(|line| !line.starts_with('['));
    let declared =
        lines.filter(|line| line.contains('=') && !line.starts_with('#') && !line.contains("path ="));

    let mut complaints: Vec<String> = declared
        .filter(|line| !line.contains(" # "))
        .map(|line| format!("without a reason: {line}"))
        .collect();
    for krate in CRATES {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let manifest = manifest(krate);
            let Some(table) = manifest.get(table).and_then(|table| table.as_table()) else {
                continue;
            };
            let own = table.iter().filter(|(_, value)| value.get("workspace").is_none());
            complaints.extend(own.map(|(name, _)| format!("{krate} declares {name} by itself")));
        }
    }

    nothing_of(&complaints);
}

#[test]
fn the_same_number_is_the_same_change_on_each_engine() {
    let names_in = |engine: &str| {
        let folder = root().join("migrations").join(engine);
        let entries = std::fs::read_dir(folder).expect("each engine has its folder");
        let names = entries.map(|entry| entry.expect("it can be listed").file_name().display().to_string());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };

    let sqlite = names_in("sqlite");

    assert_eq!(sqlite, names_in("postgres"));
    assert_eq!(sqlite, names_in("mysql"));
    for (index, name) in sqlite.iter().enumerate() {
        assert!(
            name.starts_with(&format!("{:04}_", index + 1)),
            "a number is missing before {name}"
        );
    }
}
