//! The configuration: every setting is declared once, here, with its doc, default and unit.
//!
//! A setting comes from, in rising order: its default, the TOML file, the environment (`MOGUL_` and the key in upper
//! case with `_` for `.`), a flag. Each of these says a text, and the type of the setting parses it, so that a value means the
//! same wherever it stands. `docs/configuration.md` is made of the declarations and checked by a test. How the
//! sources are read is in [`layers`], how texts become values in [`value`].

mod flags;
mod layers;
mod value;

pub(crate) use flags::Flags;
pub(crate) use value::{AccelKind, Bytes, Choice, FromText, Secret};

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::originals::Given;
use layers::Layers;
use mogul_api::{admin::MetricsAccess, s3::Accel};
use mogul_storage::{Durability, networks::Networks, sidechannel::Watching};

/// What is wrong with the configuration. Each is one line that says where and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not a TOML file: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser says, on one line.
        reason: String,
    },
    /// No setting of that name.
    #[error("{origin}: there is no setting '{key}'{}", nearest.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default())]
    UnknownKey {
        /// Where it stands.
        origin: String,
        /// The name.
        key: String,
        /// The known name that is most like it.
        nearest: Option<&'static str>,
    },
    /// A value that the setting cannot take.
    #[error("{origin}: {key} cannot be '{text}': {reason}")]
    Value {
        /// Where it stands.
        origin: String,
        /// The setting.
        key: &'static str,
        /// What was given; secrets are masked.
        text: String,
        /// What is expected instead.
        reason: String,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Conflict(String),
}

/// The declaration of one setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Its name in the TOML file; the part before the dot is the table.
    pub(crate) key: &'static str,
    /// The flag of `mogul server`, without `--`.
    pub(crate) flag: Option<&'static str>,
    /// The text of its default; `None` if it is unset by default.
    pub(crate) default: Option<&'static str>,
    /// What its values look like, with the unit.
    pub(crate) form: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
}

/// Declares the settings: the table [`SETTINGS`], the struct [`Config`], and how one becomes the other.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty = $key:literal, $flag:expr, $default:expr;)+) => {
        /// All settings, in the order of the reference page.
        pub(crate) const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            flag: $flag,
            default: $default,
            form: <$type as FromText>::FORM,
            doc: concat!($($doc),+),
        }),+];

        /// The configuration of a server.
        #[derive(Debug, Clone)]
        pub(crate) struct Config {
            $($(#[doc = $doc])+ pub(crate) $field: $type,)+
        }

        impl Config {
            fn from_layers(layers: &Layers) -> Result<Config, ConfigError> {
                Ok(Config { $($field: layers.value::<$type>($key)?,)+ })
            }
        }
    };
}

settings! {
    /// Which log lines are written: `error`, `warn`, `info`, `debug`, `trace`, or a list such as `info,mogul_tracker=debug`.
    log: String = "log", Some("log"), Some("info");
    /// Address of the S3 port.
    s3_listen: SocketAddr = "s3.listen", Some("s3"), Some("127.0.0.1:9000");
    /// Region of the server: what clients sign for and what `GetBucketLocation` answers.
    s3_region: String = "s3.region", Some("region"), Some("us-east-1");
    /// Host names under which buckets are subdomains (virtual-host style), without the port. Path style always works. A proxy in
    /// front must pass on the `Host` that clients send: they sign it.
    s3_domains: Vec<String> = "s3.domains", None, Some("");
    /// Whether a web server in front fetches the bytes of whole objects from the storage nodes itself (docs/web-servers.md). Only
    /// requests on which the web server has set `X-Proxy-Capabilities` are concerned; their bytes are not verified on the way.
    s3_accel: Choice<AccelKind> = "s3.accel", None, Some("off");
    /// Where nginx's internal location for `x-accel-redirect` begins: `/`, a name, `/`.
    s3_accel_prefix: String = "s3.accel_prefix", None, Some("/mogul-node/");
    /// Address of the admin port of `mogul s3`, which tells of this gateway; those of `mogul server` and `mogul tracker` are at
    /// `admin.listen`.
    s3_admin_listen: SocketAddr = "s3.admin_listen", Some("s3-admin"), Some("127.0.0.1:9002");
    /// Address of the admin port of `mogul server` and `mogul tracker`: REST, health, metrics.
    admin_listen: SocketAddr = "admin.listen", Some("admin"), Some("127.0.0.1:9001");
    /// Who may read `/metrics` on the admin port: `open` is everybody who reaches it, `root` those who bear a token or sign as root.
    admin_metrics: Choice<MetricsAccess> = "admin.metrics", None, Some("open");
    /// Address of the storage node's HTTP. It has no authentication (as in MogileFS): keep it on loopback or a private network.
    storage_listen: SocketAddr = "storage.listen", Some("storage"), Some("127.0.0.1:7500");
    /// A folder whose folders `devN` are the devices of `mogul store`, instead of DIRs; more may be made while it runs.
    storage_docroot: Option<PathBuf> = "storage.docroot", Some("docroot"), None;
    /// When a stored file is answered for: `sync` is after it is on stable storage, `cache` when the operating system has it.
    storage_durability: Choice<Durability> = "storage.durability", None, Some("sync");
    /// Devices with less free space than this take no new files.
    storage_min_free: Bytes = "storage.min_free", None, Some("100MiB");
    /// Address of the storage node's side channel: sizes, digests, utilization of the disks. It has no authentication.
    sidechannel_listen: SocketAddr = "sidechannel.listen", Some("sidechannel"), Some("127.0.0.1:7501");
    /// Whether the side channel tells how busy the disks are (`watch`).
    sidechannel_watch: Choice<Watching> = "sidechannel.watch", None, Some("on");
    /// Networks whose hosts may connect to the tracker port, the storage node and the side channel, none of which has
    /// authentication, such as `10.0.0.0/8, ::1`; others are hung up on. Empty: whoever reaches the port.
    trusted_networks: Networks = "trusted.networks", Some("trusted-networks"), Some("");
    /// Addresses of the tracker port, which MogileFS's clients and tools speak to. It has no authentication (as in MogileFS): keep it on loopback or a private network.
    tracker_listen: Vec<SocketAddr> = "tracker.listen", Some("tracker"), Some("127.0.0.1:7001");
    /// Connections open at a time on the tracker port; more wait in the operating system's queue.
    tracker_connections_max: usize = "tracker.connections_max", None, Some("16384");
    /// Requests of the tracker port that are worked on at a time; `!want N queryworker` changes it while the server runs.
    tracker_query_workers: usize = "tracker.query_workers", None, Some("64");
    /// The port of the side channels of all hosts, over which the tracker learns how busy their disks are; 0: it does not ask.
    tracker_sidechannel_port: u16 = "tracker.sidechannel_port", None, Some("7501");
    /// The database that `mogul tracker` and `mogul s3` share with all others of their cluster: `mysql://USER:PASSWORD@HOST/NAME`, `postgres://…`, `sqlite:FILE`, or a DSN of the originals, such as
    /// `DBI:mysql:NAME:host=HOST`.
    db_url: Option<Secret> = "db.url", Some("db"), None;
    /// Who connects to the database, where `db.url` does not say.
    db_user: Option<String> = "db.user", None, None;
    /// The password of `db.user`.
    db_password: Option<Secret> = "db.password", None, None;
    /// A file that holds the password of `db.user`.
    db_password_file: Option<PathBuf> = "db.password_file", None, None;
    /// Copies that the class `default` keeps; unset: 1 with one DIR, 2 with more.
    copies: Option<u8> = "classes.copies", Some("copies"), None;
    /// Multipart objects up to this size are joined into one file in the background; larger ones stay in segments.
    join_max: Bytes = "objects.join_max", None, Some("5GiB");
    /// Files that are copied at a time to devices which lack them; small files do not wait for each other's syncs then.
    replicate_at_once: usize = "jobs.replicate_at_once", None, Some("32");
    /// Certificate chain (PEM) for the S3 and admin ports; with `tls.key` both speak https. Read again on SIGHUP.
    tls_cert: Option<PathBuf> = "tls.cert", Some("tls-cert"), None;
    /// Private key (PEM) of `tls.cert`.
    tls_key: Option<PathBuf> = "tls.key", Some("tls-key"), None;
    /// Connections open at a time on each port; more wait in the operating system's queue.
    http_connections_max: usize = "http.connections_max", None, Some("8192");
    /// How long a connection may stay idle or take to send a complete request head.
    http_idle_timeout: Duration = "http.idle_timeout", None, Some("90s");
    /// How long a client may pause in the middle of a request body.
    http_body_timeout: Duration = "http.body_timeout", None, Some("60s");
    /// How long running requests may take to finish after SIGTERM or SIGINT.
    shutdown_grace: Duration = "shutdown.grace", None, Some("30s");
    /// Access key of root, the same for every gateway and tracker; unset: generated at the first start, and kept in the first DIR of
    /// `mogul server`, in the database by `mogul tracker`.
    root_access_key: Option<String> = "root.access_key", None, None;
    /// Secret key of root, at least 8 characters.
    root_secret_key: Option<Secret> = "root.secret_key", None, None;
    /// A file that holds root's access key.
    root_access_key_file: Option<PathBuf> = "root.access_key_file", None, None;
    /// A file that holds root's secret key.
    root_secret_key_file: Option<PathBuf> = "root.secret_key_file", None, None;
}

impl Config {
    /// Reads all sources: what an original's file or command line gave, `file` if one is named, the environment, the flags.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub(crate) fn load(
        original: &Given,
        file: Option<&std::path::Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Config, ConfigError> {
        let mut layers = Layers::default();
        layers.add_original(&original.settings);
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        layers.add_environment(environment);
        layers.add_flags(flags);
        let config = Config::from_layers(&layers)?;
        config.check()?;
        Ok(config)
    }

    /// How the bytes of a GET are handed over.
    pub(crate) fn accel(&self) -> Accel {
        match self.s3_accel.0 {
            AccelKind::Off => Accel::Off,
            AccelKind::XAccelRedirect => Accel::XAccelRedirect {
                prefix: self.s3_accel_prefix.clone(),
            },
            AccelKind::XReproxyUrl => Accel::XReproxyUrl,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let prefix = &self.s3_accel_prefix;
        if prefix.len() < 3 || !prefix.starts_with('/') || !prefix.ends_with('/') {
            return Err(ConfigError::Conflict(format!(
                "s3.accel_prefix must be a path such as /mogul-node/, with / at both ends, not '{prefix}'"
            )));
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(ConfigError::Conflict(
                "tls.cert (--tls-cert) and tls.key (--tls-key) belong together: give both or none".to_owned(),
            ));
        }
        if self.copies == Some(0) {
            return Err(ConfigError::Conflict(
                "classes.copies (--copies) must be at least 1".to_owned(),
            ));
        }
        for (key, count) in [
            ("http.connections_max", self.http_connections_max),
            ("tracker.connections_max", self.tracker_connections_max),
            ("tracker.query_workers", self.tracker_query_workers),
        ] {
            if count == 0 {
                return Err(ConfigError::Conflict(format!("{key} must be at least 1")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
