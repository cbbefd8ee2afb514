//! Tests of the configuration, and the maker of its reference page.

use std::{fmt::Write as _, path::Path, time::Duration};

use mogul_storage::Durability;

use super::{Bytes, Config, ConfigError, Flags, FromText, SETTINGS};

fn load(
    toml: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mogul.toml");
    std::fs::write(&path, toml).unwrap();
    let environment = environment
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Config::load(
        &crate::originals::Given::default(),
        Some(&path),
        environment,
        &Flags::of(flags),
    )
}

fn refusal(toml: &str) -> String {
    let error = load(toml, &[], &[]).unwrap_err().to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[test]
fn every_setting_has_a_value_without_any_source() {
    let config = Config::load(
        &crate::originals::Given::default(),
        None,
        std::iter::empty(),
        &Flags::default(),
    )
    .unwrap();

    assert_eq!(config.s3_listen, "127.0.0.1:9000".parse().unwrap());
    assert_eq!(config.admin_listen, "127.0.0.1:9001".parse().unwrap());
    assert_eq!(config.storage_listen, "127.0.0.1:7500".parse().unwrap());
    assert_eq!(config.storage_durability.0, Durability::Sync);
    assert_eq!(config.copies, None);
    assert_eq!(config.shutdown_grace, Duration::from_secs(30));
    assert!(config.http_connections_max >= 4096);
    assert!(config.http_idle_timeout >= Duration::from_secs(75));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let toml = "[s3]\nregion = 'file'\nlisten = '127.0.0.1:1'\n[admin]\nlisten = '127.0.0.1:1'";
    let environment = [
        ("MOGUL_S3_REGION", "variable"),
        ("MOGUL_ADMIN_LISTEN", "127.0.0.1:2"),
    ];

    let config = load(toml, &environment, &[("s3.region", "flag")]).unwrap();

    assert_eq!(config.s3_region, "flag");
    assert_eq!(config.admin_listen.port(), 2);
    assert_eq!(config.s3_listen.port(), 1);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_name() {
    assert!(refusal("[s3]\nlissten = 'x'").contains("did you mean 's3.listen'?"));
    assert!(refusal("[class]\ncopies = 2").contains("did you mean 'classes.copies'?"));
    assert!(refusal("logs = 'info'").contains("did you mean 'log'?"));
    assert!(refusal("[zebra]\nqqq = 1").ends_with("there is no setting 'zebra.qqq'"));
}

#[test]
fn a_wrong_value_is_refused_with_its_place_and_what_is_expected() {
    let listen = refusal("[s3]\nlisten = '9000'");
    assert!(
        listen.contains("mogul.toml: s3.listen cannot be '9000'"),
        "{listen}"
    );
    assert!(listen.contains("127.0.0.1:9000"), "{listen}");
    assert!(refusal("[shutdown]\ngrace = 30").contains("such as 500ms, 30s or 5m"));
    assert!(refusal("[storage]\nmin_free = '1 lightyear'").contains("such as 4KiB"));
    assert!(refusal("[classes]\ncopies = 0").contains("at least 1"));
    assert!(refusal("[s3.listen]\nport = 1").contains("IP:PORT"));
    assert!(refusal("[tls]\ncert = 'a.pem'").contains("belong together"));
    assert!(refusal("[s3\n").contains("line 1"));
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(
        &crate::originals::Given::default(),
        Some(Path::new("/nonexistent/m.toml")),
        std::iter::empty(),
        &Flags::default(),
    );

    assert!(error.unwrap_err().to_string().contains("/nonexistent/m.toml"));
}

#[test]
fn secrets_do_not_print() {
    let config = load("", &[("MOGUL_ROOT_SECRET_KEY", "hunter2hunter2")], &[]).unwrap();

    assert_eq!(config.root_secret_key.as_ref().unwrap().0, "hunter2hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn lists_are_arrays_in_the_file_and_commas_elsewhere() {
    let config = load("[s3]\ndomains = ['s3.example.com', 'localhost']", &[], &[]).unwrap();
    assert_eq!(config.s3_domains, ["s3.example.com", "localhost"]);

    let config = load("", &[("MOGUL_S3_DOMAINS", "a.example, b.example")], &[]).unwrap();
    assert_eq!(config.s3_domains, ["a.example", "b.example"]);
}

#[test]
fn sizes_and_durations_have_units() {
    let bytes = |text| Bytes::from_text(text).map(|bytes| bytes.0);
    assert_eq!(bytes("4KiB"), Ok(4096));
    assert_eq!(bytes("4 kib"), Ok(4096));
    assert_eq!(bytes("5GB"), Ok(5_000_000_000));
    assert_eq!(bytes("123"), Ok(123));
    for wrong in ["", "KiB", "-1", "1.5MiB", "99999999999TiB", "4Kib2"] {
        assert!(bytes(wrong).is_err(), "{wrong}");
    }
    assert_eq!(Duration::from_text("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(Duration::from_text("2h"), Ok(Duration::from_hours(2)));
    for wrong in ["", "5", "s", "5 days"] {
        assert!(Duration::from_text(wrong).is_err(), "{wrong}");
    }
}

/// Run with `MOGUL_WRITE_REFERENCE=1` to write the page anew.
#[test]
fn the_reference_page_is_made_of_the_declarations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = reference();
    if std::env::var_os("MOGUL_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }

    assert_eq!(std::fs::read_to_string(path).unwrap(), page);
}

fn reference() -> String {
    let mut page = String::from(PREFACE);
    let mut table = "";
    for setting in SETTINGS {
        let this = setting.key.split_once('.').map_or("", |(table, _)| table);
        if this != table && !this.is_empty() {
            write!(page, "\n## `[{this}]`\n").unwrap();
        } else if this != table {
            page.push_str("\n## At the top, before any table\n");
        }
        table = this;
        write!(page, "\n### `{}`\n\n{}\n\n", setting.key, setting.doc.trim()).unwrap();
        writeln!(page, "- form: {}", setting.form).unwrap();
        let default = match setting.default {
            None => "unset".to_owned(),
            Some("") => "empty".to_owned(),
            Some(text) => format!("`{text}`"),
        };
        writeln!(page, "- default: {default}").unwrap();
        writeln!(page, "- environment: `{}`", setting.variable()).unwrap();
        if let Some(flag) = setting.flag {
            writeln!(page, "- flag: `--{flag}`").unwrap();
        }
    }
    page
}

const PREFACE: &str = "# Configuration

<!-- Made of the declarations in api/src/bin/mogul/config/mod.rs; a test keeps it true. -->

Every role (`mogul server DIR...`, `mogul s3`, `mogul tracker`, `mogul store`) reads one TOML file, `--config FILE`, and takes
from it what concerns it: the same file serves all of them. A variable of the environment beats the file, a flag beats both.
A key that is not on this page is refused. The two variables that most installations set are `MOGUL_ROOT_ACCESS_KEY` and
`MOGUL_ROOT_SECRET_KEY`; with `_FILE` at the end of either name, the secret is read from that file.

```toml
log = \"info\"

[s3]
listen = \"0.0.0.0:9000\"
domains = [\"s3.example.com\"]

[tls]
cert = \"/etc/mogul/chain.pem\"
key = \"/etc/mogul/key.pem\"
```
";
