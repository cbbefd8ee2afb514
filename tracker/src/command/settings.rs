//! Settings that all trackers of a database share (`server_settings`, mogilefs.md §20): read, checked, written.
//!
//! What operators may write is a closed list with a form each. `skip_mkcol`, `fsck_checksum`, the `queue_*` of the jobs,
//! the network zones, and ours (`tranquillity`, `auto_dead_after`, `replicate_*`, `scrub_days`, `upload_days`) are followed;
//! the rest is kept for the original trackers beside us (docs/mogilefs-differences.md).

use std::{sync::Arc, time::Duration};

use mogul_storage::networks::Network;

use crate::{
    Error, Tracker,
    jobs::replicate::{BANDWIDTH, PER_DEVICE, PER_HOST},
    meta::{Tx, scrub, settings},
    model::separated,
    pace,
    view::ClusterView,
};

/// `1`: no folders are made on nodes before files are put there.
pub const SKIP_MKCOL: &str = "skip_mkcol";

/// Seconds after which a device that does not answer is absent, so that its files are copied elsewhere; 0 is never.
pub const AUTO_DEAD_AFTER: &str = "auto_dead_after";

/// Which digests fsck compares; without a row, those that the class of a file keeps.
const FSCK_CHECKSUM: &str = "fsck_checksum";

/// In how many days every copy is read once; 0: none is read by itself. Without a row, 30.
pub const SCRUB_DAYS: &str = "scrub_days";

/// After how many days without a new part an open upload is aborted; 0: never. Without a row, 30.
const UPLOAD_DAYS: &str = "upload_days";

/// What stands for [`UPLOAD_DAYS`] without a row.
const UPLOAD_AGE_DEFAULT: Duration = Duration::from_hours(24 * 30);

/// What stands for [`SCRUB_DAYS`] without a row.
pub(crate) const SCRUB_PERIOD_DEFAULT: Duration = Duration::from_hours(24 * 30);

/// Counts changes of the list of read-only databases, by which the original's workers see that it is another.
const SLAVE_VERSION: &str = "slave_version";

/// Longest key in characters (`server_settings.field`).
const KEY_CHARS_MAX: usize = 50;

/// Longest value in bytes (`server_settings.value`, a TEXT).
const VALUE_BYTES_MAX: usize = 65_535;

/// What a value must look like, and what is stored of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Stored as it is.
    Any,
    /// Truth in one of Perl's spellings, stored as 0 or 1.
    Switch,
    /// Digits; nothing is 0.
    Number,
    /// Networks, separated by commas or blanks.
    Networks,
    /// A digest, `off`, or `class`.
    Checksum,
    /// A read-only database; blank removes it. Each change is counted.
    Slave,
    /// How much jobs yield to clients; blank removes it.
    Tranquillity,
}

impl Tracker {
    /// The settings that operators see, by key, as the database has them now: without the state of fsck (MogileFS hides
    /// it) and without mogul's own.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn server_settings(&self) -> Result<Vec<(String, String)>, Error> {
        let all = settings::settings(&mut self.db().reader().await?).await?;
        let visible =
            |key: &str| !key.starts_with("mogul_") && (!key.starts_with("fsck_") || key == FSCK_CHECKSUM);
        Ok(all.into_iter().filter(|(key, _)| visible(key)).collect())
    }

    /// The value of a setting, whatever it is.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn server_setting(&self, key: &str) -> Result<Option<String>, Error> {
        Ok(settings::value_of(&mut self.db().reader().await?, key).await?)
    }

    /// Sets a setting, or removes it where that is what the value says.
    ///
    /// # Errors
    /// [`Error::SettingReadOnly`], [`Error::InvalidSetting`], [`Error::Database`].
    pub async fn set_server_setting(&self, key: &str, value: &str) -> Result<(), Error> {
        let form = form_of(key).ok_or(Error::SettingReadOnly)?;
        let stored = cleaned(form, value).map_err(Error::InvalidSetting)?;
        let (wanted, now) = (Arc::new((key.to_owned(), stored)), self.now());
        let set = self.db().write(move |tx| {
            let wanted = Arc::clone(&wanted);
            Box::pin(async move {
                match &wanted.1 {
                    Some(value) => settings::set(tx, &wanted.0, value).await?,
                    None => settings::unset(tx, &wanted.0).await?,
                }
                if form == Form::Slave {
                    slaves_changed(tx).await?;
                }
                if wanted.0 == SCRUB_DAYS {
                    scrub::scrubs_due(tx, now).await?;
                }
                Ok(())
            })
        });
        set.await?;
        self.refresh_all().await
    }
}

/// The time in which every copy is read once; `None` if that is switched off.
pub(crate) fn scrub_period(view: &ClusterView) -> Option<Duration> {
    days(view, SCRUB_DAYS, SCRUB_PERIOD_DEFAULT)
}

/// How long an open upload lives without a new part; `None` for ever.
pub(crate) fn upload_age_max(view: &ClusterView) -> Option<Duration> {
    days(view, UPLOAD_DAYS, UPLOAD_AGE_DEFAULT)
}

/// A setting of days; `None` if it is 0.
fn days(view: &ClusterView, key: &str, default: Duration) -> Option<Duration> {
    match view.setting(key).map(str::parse::<u32>) {
        Some(Ok(0)) => None,
        Some(Ok(days)) => Some(Duration::from_hours(24).saturating_mul(days)),
        Some(Err(_)) | None => Some(default),
    }
}

/// Counts a change of the list of read-only databases.
async fn slaves_changed(tx: &mut Tx) -> Result<(), Error> {
    let version = settings::value_of(tx, SLAVE_VERSION).await?;
    let version = version.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    settings::set(tx, SLAVE_VERSION, &version.saturating_add(1).to_string()).await?;
    Ok(())
}

/// The form of a setting that may be written.
fn form_of(key: &str) -> Option<Form> {
    if key.chars().count() > KEY_CHARS_MAX || key.chars().any(char::is_control) {
        return None;
    }
    match key {
        "skip_devcount" | SKIP_MKCOL | "case_sensitive_list_keys" => Some(Form::Switch),
        "memcache_ttl" | "internal_queue_limit" | AUTO_DEAD_AFTER | SCRUB_DAYS | UPLOAD_DAYS => {
            Some(Form::Number)
        }
        _ if [PER_DEVICE.0, PER_HOST.0, BANDWIDTH].contains(&key) => Some(Form::Number),
        "memcache_servers" | "network_zones" => Some(Form::Any),
        FSCK_CHECKSUM => Some(Form::Checksum),
        pace::SETTING => Some(Form::Tranquillity),
        SLAVE_VERSION => None,
        _ if key.starts_with("queue_") => Some(Form::Any),
        _ if key.starts_with("zone_") => Some(Form::Networks),
        _ if key.starts_with("slave_") => Some(Form::Slave),
        _ => None,
    }
}

/// What is stored of a value; nothing if the setting is to be removed.
fn cleaned(form: Form, value: &str) -> Result<Option<String>, &'static str> {
    if value.len() > VALUE_BYTES_MAX {
        return Err("Too long");
    }
    match form {
        Form::Switch => switch(value)
            .map(|on| Some(on.to_owned()))
            .ok_or("Unknown format"),
        Form::Number if value.is_empty() => Ok(Some("0".to_owned())),
        Form::Number if value.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(value.to_owned())),
        Form::Number => Err("Must be numeric"),
        Form::Networks if networks(value) => Ok(Some(value.to_owned())),
        Form::Networks => Err("Doesn't match an acceptable netmask"),
        Form::Checksum => match value {
            "class" => Ok(None),
            "off" | "MD5" | "SHA-1" => Ok(Some(value.to_owned())),
            _ => Err("Not a valid checksum algorithm"),
        },
        Form::Slave | Form::Tranquillity if value.trim().is_empty() => Ok(None),
        Form::Tranquillity => match pace::tranquillity(value) {
            Some(number) => Ok(Some(number.to_string())),
            None => Err("Must be a number from 0 to 100"),
        },
        Form::Any | Form::Slave => Ok(Some(value.to_owned())),
    }
}

/// `0`, `f…`, `off…`, `n…` and nothing are off; `1`, `t…`, `on…`, `y…` are on.
fn switch(value: &str) -> Option<&'static str> {
    let value = value.to_ascii_lowercase();
    let begins = |heads: &[&str]| heads.iter().any(|head| value.starts_with(head));
    if value.is_empty() || value == "0" || begins(&["f", "off", "n"]) {
        Some("0")
    } else if value == "1" || begins(&["t", "on", "y"]) {
        Some("1")
    } else {
        None
    }
}

/// Whether a text lists networks, `10.0.0.0/8, 192.168.1.7` or `10.0.0.0:255.0.0.0`.
fn networks(text: &str) -> bool {
    let mut listed = separated(text).peekable();
    listed.peek().is_some() && listed.all(|network| network.parse::<Network>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_may_write_has_a_form() {
        for (key, expected) in [
            ("skip_mkcol", Some(Form::Switch)),
            ("memcache_ttl", Some(Form::Number)),
            ("auto_dead_after", Some(Form::Number)),
            ("scrub_days", Some(Form::Number)),
            ("queue_rate_for_anything", Some(Form::Any)),
            ("zone_near", Some(Form::Networks)),
            ("slave_k1", Some(Form::Slave)),
            ("tranquillity", Some(Form::Tranquillity)),
            ("slave_version", None),
            ("schema_version", None),
            ("mogul_schema_version", None),
            ("fsck_highest_fid_checked", None),
            ("rebal_policy", None),
            ("foo", None),
        ] {
            assert_eq!(form_of(key), expected, "{key}");
        }
        assert_eq!(form_of(&format!("queue_{}", "x".repeat(45))), None);
    }

    #[test]
    fn values_are_stored_as_the_original_stores_them() {
        for (form, value, expected) in [
            (Form::Switch, "on", Ok(Some("1"))),
            (Form::Switch, "yes", Ok(Some("1"))),
            (Form::Switch, "", Ok(Some("0"))),
            (Form::Switch, "off", Ok(Some("0"))),
            (Form::Switch, "maybe", Err("Unknown format")),
            (Form::Number, "60", Ok(Some("60"))),
            (Form::Number, "", Ok(Some("0"))),
            (Form::Number, "x1", Err("Must be numeric")),
            (
                Form::Networks,
                "10.0.0.0/8, 192.168.0.0/16",
                Ok(Some("10.0.0.0/8, 192.168.0.0/16")),
            ),
            (
                Form::Networks,
                "300.1.1.1/99",
                Err("Doesn't match an acceptable netmask"),
            ),
            (Form::Checksum, "class", Ok(None)),
            (Form::Checksum, "SHA-1", Ok(Some("SHA-1"))),
            (Form::Checksum, "CRC", Err("Not a valid checksum algorithm")),
            (Form::Tranquillity, " 7", Ok(Some("7"))),
            (Form::Tranquillity, "", Ok(None)),
            (Form::Tranquillity, "101", Err("Must be a number from 0 to 100")),
            (Form::Tranquillity, "-1", Err("Must be a number from 0 to 100")),
            (Form::Slave, "", Ok(None)),
            (Form::Slave, "DBI:mysql:x|u|p", Ok(Some("DBI:mysql:x|u|p"))),
        ] {
            let expected = expected.map(|stored: Option<&str>| stored.map(str::to_owned));
            assert_eq!(cleaned(form, value), expected, "{form:?} {value}");
        }
    }
}
