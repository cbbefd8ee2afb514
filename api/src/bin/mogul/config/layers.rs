//! The sources of settings, laid over each other.

use std::{collections::BTreeMap, path::Path};

use super::{ConfigError, Flags, FromText, SETTINGS, Setting};

/// How like an unknown name must be to a known one to be offered, 0 to 1.
const LIKENESS_MIN: f64 = 0.7;

/// What is shown instead of a secret.
const MASK: &str = "…";

/// The text of each setting that somebody set, and who did.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<&'static str, Said>);

#[derive(Debug)]
struct Said {
    text: String,
    origin: String,
}

impl Layers {
    /// Lays down what an original's file and command line say; their own names for the settings are gone by now.
    pub(super) fn add_original(&mut self, settings: &BTreeMap<&'static str, String>) {
        for (key, text) in settings {
            let said = Said {
                text: text.clone(),
                origin: "the original's configuration".to_owned(),
            };
            self.0.insert(key, said);
        }
    }

    /// Lays the TOML file over what is there.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
            path: path.to_owned(),
            cause,
        })?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| ConfigError::Syntax {
                path: path.to_owned(),
                reason: syntax_reason(&text, &error),
            })?;
        for (name, value) in table {
            let toml::Value::Table(inner) = value else {
                self.add_toml(path, &name, value)?;
                continue;
            };
            for (leaf, value) in inner {
                self.add_toml(path, &format!("{name}.{leaf}"), value)?;
            }
        }
        Ok(())
    }

    fn add_toml(&mut self, path: &Path, name: &str, value: toml::Value) -> Result<(), ConfigError> {
        let origin = path.display().to_string();
        let Some(setting) = find(name) else {
            return Err(ConfigError::UnknownKey {
                origin,
                key: name.to_owned(),
                nearest: nearest(name),
            });
        };
        let text = text_of(value).ok_or_else(|| ConfigError::Value {
            origin: origin.clone(),
            key: setting.key,
            text: "a table or date".to_owned(),
            reason: format!("{} is expected", setting.form),
        })?;
        self.0.insert(setting.key, Said { text, origin });
        Ok(())
    }

    /// Lays the environment over what is there. Other variables that begin with `MOGUL_` are not ours to judge: the
    /// environment is shared with whoever starts us.
    pub(super) fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, text) in variables {
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) {
                self.0.insert(setting.key, Said { text, origin: name });
            }
        }
    }

    /// Lays the flags over what is there.
    pub(super) fn add_flags(&mut self, flags: &Flags) {
        for (setting, text) in flags.given() {
            let said = Said {
                text: text.to_owned(),
                origin: format!("--{}", setting.flag.unwrap_or(setting.key)),
            };
            self.0.insert(setting.key, said);
        }
    }

    /// The value of a setting.
    pub(super) fn value<T: FromText>(&self, key: &'static str) -> Result<T, ConfigError> {
        let default = find(key).and_then(|setting| setting.default);
        let (text, origin) = match (self.0.get(key), default) {
            (Some(said), _) => (said.text.as_str(), said.origin.as_str()),
            (None, Some(default)) => (default, "default"),
            (None, None) => {
                return Ok(T::unset().expect("a setting without default has an optional type: see the tests"));
            }
        };
        T::from_text(text).map_err(|reason| ConfigError::Value {
            origin: origin.to_owned(),
            key,
            text: if key.contains("secret") {
                MASK.to_owned()
            } else {
                text.to_owned()
            },
            reason,
        })
    }
}

impl Setting {
    /// Its variable of the environment.
    pub(super) fn variable(&self) -> String {
        format!("MOGUL_{}", self.key.replace('.', "_").to_uppercase())
    }
}

fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn nearest(name: &str) -> Option<&'static str> {
    SETTINGS
        .iter()
        .map(|setting| (strsim::jaro_winkler(setting.key, name), setting.key))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key)
}

/// The text of a value, as a flag would say it.
fn text_of(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<String>> = items.into_iter().map(text_of).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The parser's own message spans several lines; ours is one with the line number.
fn syntax_reason(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}
