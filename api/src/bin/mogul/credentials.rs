//! Root's key: given by the operator, else made at the first start and kept in the first data directory, or, where several
//! processes share a database, in that ([`mogul_tracker::Tracker::root_key_made`]).

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use mogul_tracker::{
    command::users::generate_key,
    model::{AccessKey, Credential, SecretKey, Timestamp, User},
    rng::Entropy,
};
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// The file in the first data directory.
const FILE: &str = "root-credentials.json";

/// The shortest secret that is taken, in bytes; AWS's SDKs and `MinIO`'s tools draw the same line.
const SECRET_BYTES_MIN: usize = 8;

/// The shortest access key that is taken, in bytes.
const ACCESS_BYTES_MIN: usize = 3;

/// Secrets that ship as somebody's default, or that everybody tries first.
const KNOWN_SECRETS: &[&str] = &[
    "minioadmin",
    "minio123",
    "rustfsadmin",
    "seaweedfs",
    "adminadmin",
    "password",
    "password1",
    "changeme",
    "changeit",
    "12345678",
    "123456789",
    "1234567890",
    "secretkey",
    "secret_key",
    "verySecretKey1",
    // The example secret of AWS's documentation.
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
];

/// Why there is no key for root.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// A file cannot be read or written.
    #[error("cannot {act} {}: {cause}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file in the data directory is not ours.
    #[error("{} does not hold root's credentials: {reason}; bring it back, or set MOGUL_ROOT_ACCESS_KEY and MOGUL_ROOT_SECRET_KEY", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// One half is missing.
    #[error(
        "root's access key and secret key belong together: set MOGUL_ROOT_ACCESS_KEY and MOGUL_ROOT_SECRET_KEY, or neither"
    )]
    Half,
    /// The value and its file are both given.
    #[error("{0} and {0}_file are both set: keep one")]
    ValueAndFile(&'static str),
    /// The secret is one that everybody knows.
    #[error(
        "root's secret key is a well-known default: choose another, for example the output of `openssl rand -hex 20`"
    )]
    KnownSecret,
    /// The key is too short, or has characters that no client can send.
    #[error("root's {name} must be {min} or more characters without blanks: choose another")]
    Unfit {
        /// Which half.
        name: &'static str,
        /// The least number of characters.
        min: usize,
    },
}

/// Root's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootKey {
    /// The id.
    pub(crate) access_key: AccessKey,
    /// The secret.
    pub(crate) secret_key: SecretKey,
}

/// Where root's key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The operator gave it.
    Given,
    /// It was in the data directory.
    Kept,
    /// It was made just now.
    Made,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    access_key: String,
    secret_key: String,
}

impl RootKey {
    /// The key that the operator gave.
    ///
    /// # Errors
    /// Any [`CredentialsError`].
    pub(crate) fn given(config: &Config) -> Result<Option<RootKey>, CredentialsError> {
        let access = one_of(
            "root.access_key",
            config.root_access_key.clone(),
            config.root_access_key_file.as_deref(),
        )?;
        let secret = one_of(
            "root.secret_key",
            config.root_secret_key.as_ref().map(|secret| secret.0.clone()),
            config.root_secret_key_file.as_deref(),
        )?;
        match (access, secret) {
            (None, None) => Ok(None),
            (Some(access), Some(secret)) => RootKey::check(access, secret).map(Some),
            (Some(_), None) | (None, Some(_)) => Err(CredentialsError::Half),
        }
    }

    /// The key that the operator gave, else the one in `dir`, else a new one, which is then kept in `dir`.
    ///
    /// # Errors
    /// Any [`CredentialsError`].
    pub(crate) fn obtain(
        config: &Config,
        dir: &Path,
        entropy: &dyn Entropy,
    ) -> Result<(RootKey, Origin), CredentialsError> {
        if let Some(given) = RootKey::given(config)? {
            return Ok((given, Origin::Given));
        }
        if let Some(kept) = RootKey::read(dir)? {
            return Ok((kept, Origin::Kept));
        }
        let (access_key, secret_key) = generate_key(entropy);
        let made = RootKey {
            access_key,
            secret_key,
        };
        made.keep(dir)?;
        Ok((made, Origin::Made))
    }

    /// The key kept in a data directory, if there is one.
    ///
    /// # Errors
    /// [`CredentialsError::File`], [`CredentialsError::Broken`].
    pub(crate) fn read(dir: &Path) -> Result<Option<RootKey>, CredentialsError> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => {
                return Err(CredentialsError::File {
                    act: "read",
                    path,
                    cause,
                });
            }
        };
        match serde_json::from_str::<Stored>(&text) {
            Ok(stored) => RootKey::check(stored.access_key, stored.secret_key).map(Some),
            Err(error) => Err(CredentialsError::Broken {
                path,
                reason: error.to_string(),
            }),
        }
    }

    fn check(access_key: String, secret_key: String) -> Result<RootKey, CredentialsError> {
        let fits = |text: &str, min| text.len() >= min && text.bytes().all(|byte| byte.is_ascii_graphic());
        // A slash or comma would end the key's place in the Authorization header.
        if !fits(&access_key, ACCESS_BYTES_MIN) || access_key.contains(['/', ',', '=']) {
            return Err(CredentialsError::Unfit {
                name: "access key",
                min: ACCESS_BYTES_MIN,
            });
        }
        if KNOWN_SECRETS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&secret_key))
        {
            return Err(CredentialsError::KnownSecret);
        }
        if !fits(&secret_key, SECRET_BYTES_MIN) {
            return Err(CredentialsError::Unfit {
                name: "secret key",
                min: SECRET_BYTES_MIN,
            });
        }
        Ok(RootKey {
            access_key: AccessKey(access_key),
            secret_key: SecretKey(secret_key),
        })
    }

    /// Writes the key so that it is whole or absent, and there after a power cut: clients will be told of it.
    fn keep(&self, dir: &Path) -> Result<(), CredentialsError> {
        let path = dir.join(FILE);
        let draft = dir.join(format!("{FILE}.new"));
        let failed = |act, path: &Path| {
            let path = path.to_owned();
            move |cause| CredentialsError::File { act, path, cause }
        };
        let stored = Stored {
            access_key: self.access_key.0.clone(),
            secret_key: self.secret_key.0.clone(),
        };
        let text = serde_json::to_string_pretty(&stored).expect("two texts are always JSON");
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed("make", &draft))?;
        writeln!(file, "{text}")
            .and_then(|()| file.sync_all())
            .map_err(failed("write", &draft))?;
        std::fs::rename(&draft, &path)
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(failed("write", &path))
    }

    /// What the operator types next, printed once. `kept` is where the key is from now on.
    pub(crate) fn welcome(&self, kept: &str, endpoint: &str, region: &str) -> String {
        format!(
            "Root credentials were made and stored in {kept} (this is the only time they are printed):

  export AWS_ACCESS_KEY_ID={access}
  export AWS_SECRET_ACCESS_KEY={secret}
  export AWS_DEFAULT_REGION={region}
  export AWS_ENDPOINT_URL={endpoint}
  aws s3 mb s3://my-first-bucket
",
            access = self.access_key.0,
            secret = self.secret_key.0,
        )
    }

    /// The file that keeps the key below a directory.
    pub(crate) fn file(dir: &Path) -> String {
        dir.join(FILE).display().to_string()
    }
}

impl From<&RootKey> for Credential {
    fn from(key: &RootKey) -> Credential {
        Credential {
            access_key: key.access_key.clone(),
            secret_key: key.secret_key.clone(),
            user: User::root(),
            created: Timestamp::default(),
        }
    }
}

/// The value itself or what is in its file, without the newline that editors add.
pub(crate) fn one_of(
    key: &'static str,
    value: Option<String>,
    file: Option<&Path>,
) -> Result<Option<String>, CredentialsError> {
    match (value, file) {
        (Some(_), Some(_)) => Err(CredentialsError::ValueAndFile(key)),
        (value, None) => Ok(value),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map(|text| Some(text.trim_end_matches(['\n', '\r']).to_owned()))
            .map_err(|cause| CredentialsError::File {
                act: "read",
                path: path.to_owned(),
                cause,
            }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use mogul_tracker::rng::SystemEntropy;

    use super::*;
    use crate::config::Flags;

    fn config(variables: &[(&str, &str)]) -> Config {
        let variables = variables
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Config::load(
            &crate::originals::Given::default(),
            None,
            variables,
            &Flags::default(),
        )
        .unwrap()
    }

    fn refusal(variables: &[(&str, &str)]) -> CredentialsError {
        let folder = tempfile::tempdir().unwrap();
        RootKey::obtain(&config(variables), folder.path(), &SystemEntropy).unwrap_err()
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_next_ones_find_it() {
        let folder = tempfile::tempdir().unwrap();

        let (first, origin) = RootKey::obtain(&config(&[]), folder.path(), &SystemEntropy).unwrap();
        assert_eq!(origin, Origin::Made);
        assert_eq!(first.access_key.0.len(), 20);
        assert_eq!(first.secret_key.0.len(), 40);

        let (second, origin) = RootKey::obtain(&config(&[]), folder.path(), &SystemEntropy).unwrap();
        assert_eq!(origin, Origin::Kept);
        assert_eq!(first, second);

        let mode = std::fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_given_key_is_used_and_not_stored() {
        let folder = tempfile::tempdir().unwrap();
        let given = config(&[
            ("MOGUL_ROOT_ACCESS_KEY", "operator"),
            (
                "MOGUL_ROOT_SECRET_KEY",
                "a good long secret".replace(' ', "-").as_str(),
            ),
        ]);

        let (key, origin) = RootKey::obtain(&given, folder.path(), &SystemEntropy).unwrap();

        assert_eq!((key.access_key.0.as_str(), origin), ("operator", Origin::Given));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_secret_may_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "from-a-file\n").unwrap();
        let given = config(&[
            ("MOGUL_ROOT_ACCESS_KEY", "operator"),
            ("MOGUL_ROOT_SECRET_KEY_FILE", file.to_str().unwrap()),
        ]);

        let (key, _) = RootKey::obtain(&given, folder.path(), &SystemEntropy).unwrap();

        assert_eq!(key.secret_key.0, "from-a-file");
    }

    #[test]
    fn known_default_secrets_are_refused() {
        for known in KNOWN_SECRETS {
            let given = [
                ("MOGUL_ROOT_ACCESS_KEY", "minioadmin"),
                ("MOGUL_ROOT_SECRET_KEY", known),
            ];
            assert!(
                matches!(refusal(&given), CredentialsError::KnownSecret),
                "{known}"
            );
        }
    }

    #[test]
    fn half_a_key_short_keys_and_blanks_are_refused() {
        let secret = ("MOGUL_ROOT_SECRET_KEY", "long-enough");
        assert!(matches!(refusal(&[secret]), CredentialsError::Half));
        for access in ["ab", "a b c", "a/b/c"] {
            let given = [("MOGUL_ROOT_ACCESS_KEY", access), secret];
            assert!(
                matches!(refusal(&given), CredentialsError::Unfit { .. }),
                "{access}"
            );
        }
        let given = [
            ("MOGUL_ROOT_ACCESS_KEY", "abc"),
            ("MOGUL_ROOT_SECRET_KEY", "short"),
        ];
        assert!(matches!(refusal(&given), CredentialsError::Unfit { .. }));
    }

    #[test]
    fn a_broken_file_is_no_reason_to_make_a_new_key() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{").unwrap();

        let refused = RootKey::obtain(&config(&[]), folder.path(), &SystemEntropy).unwrap_err();

        assert!(matches!(refused, CredentialsError::Broken { .. }), "{refused}");
    }
}
