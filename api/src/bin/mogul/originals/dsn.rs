//! The names of databases: URLs, and the DSNs of Perl's DBI that are in the originals' files (MogileFS reference §25.1).

use std::{collections::BTreeMap, path::PathBuf};

use mogul_tracker::meta::DbConfig;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in the parts of a URL.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What a text must look like.
const FORMS: &str = "give mysql://USER:PASSWORD@HOST/NAME, postgres://…, sqlite:FILE, or a DSN such as DBI:mysql:NAME:host=HOST, \
                     DBI:Pg:dbname=NAME;host=HOST, DBI:SQLite:FILE";

/// Who connects, where the text does not say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Login<'a> {
    /// The user.
    pub(crate) user: Option<&'a str>,
    /// The password.
    pub(crate) password: Option<&'a str>,
}

/// Understands the name of a database.
///
/// # Errors
/// What is expected instead; never the text, for it may hold a password.
pub(crate) fn database(text: &str, login: Login<'_>) -> Result<DbConfig, String> {
    if let Some(rest) = strip_prefix_ignoring_case(text, "dbi:") {
        return of_dsn(rest, login);
    }
    if let Some(path) = text.strip_prefix("sqlite:") {
        return of_file(path.trim_start_matches("//"));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(FORMS.to_owned());
    };
    if !["mysql", "mariadb", "postgres", "postgresql"].contains(&scheme) {
        return Err(FORMS.to_owned());
    }
    let authority = rest.split(['/', '?']).next().unwrap_or("");
    Ok(DbConfig::Url(match login.user {
        Some(_) if !authority.contains('@') => format!("{scheme}://{}{rest}", credentials(login)),
        Some(_) | None => text.to_owned(),
    }))
}

/// `mysql:NAME:host=H;port=P` and the others, after `DBI:`.
fn of_dsn(text: &str, login: Login<'_>) -> Result<DbConfig, String> {
    let (driver, rest) = text.split_once(':').ok_or(FORMS)?;
    let mut fields = BTreeMap::new();
    for part in rest.split([':', ';']).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((name, value)) => fields.insert(name.trim().to_ascii_lowercase(), value.trim()),
            None => fields.insert("database".to_owned(), part.trim()),
        };
    }
    let name = ["database", "dbname", "db"]
        .iter()
        .find_map(|name| fields.get(*name));
    let scheme = match driver.to_ascii_lowercase().as_str() {
        "mysql" | "mariadb" => "mysql",
        "pg" => "postgres",
        // A file's name may have colons.
        "sqlite" => return of_file(rest.strip_prefix("dbname=").unwrap_or(rest)),
        _ => return Err(FORMS.to_owned()),
    };
    let name = name.ok_or(FORMS)?;
    let host = ["host", "hostname"].iter().find_map(|name| fields.get(*name));
    let port = fields
        .get("port")
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let socket = fields
        .get("mysql_socket")
        .map(|path| format!("?socket={}", encoded(path)));
    Ok(DbConfig::Url(format!(
        "{scheme}://{}{}{port}/{}{}",
        credentials(login),
        host.unwrap_or(&"localhost"),
        encoded(name),
        socket.unwrap_or_default()
    )))
}

fn of_file(path: &str) -> Result<DbConfig, String> {
    match std::path::absolute(PathBuf::from(path)) {
        Ok(path) => Ok(DbConfig::Sqlite { path }),
        Err(_) => Err(FORMS.to_owned()),
    }
}

/// `user:password@`, as far as they are known.
fn credentials(login: Login<'_>) -> String {
    match (login.user, login.password.filter(|password| !password.is_empty())) {
        (None, _) => String::new(),
        (Some(user), None) => format!("{}@", encoded(user)),
        (Some(user), Some(password)) => format!("{}:{}@", encoded(user), encoded(password)),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let login = Login {
            user: Some("mogile"),
            password: Some("p@ss/w"),
        };
        let found = match database(text, login).unwrap() {
            DbConfig::Url(url) => url,
            DbConfig::Sqlite { path } => path.display().to_string(),
            DbConfig::Memory => "memory".to_owned(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn dsns_of_the_originals_are_understood() {
        let me = "mogile:p%40ss%2Fw@";
        check("DBI:mysql:mogilefs", &format!("mysql://{me}localhost/mogilefs"));
        check(
            "DBI:mysql:mogilefs:host=10.0.0.1",
            &format!("mysql://{me}10.0.0.1/mogilefs"),
        );
        check(
            "DBI:mysql:mogilefs;host=h;port=3307",
            &format!("mysql://{me}h:3307/mogilefs"),
        );
        check(
            "DBI:mysql:database=mogilefs;host=h;port=3307",
            &format!("mysql://{me}h:3307/mogilefs"),
        );
        check(
            "dbi:pg:DBNAME=m;Host=h;port=5433",
            &format!("postgres://{me}h:5433/m"),
        );
        check("DBI:SQLite:/var/db:x", "/var/db:x");
        check("DBI:SQLite:dbname=/var/db", "/var/db");
        check("sqlite:///var/db", "/var/db");
        check("mysql://h/m", &format!("mysql://{me}h/m"));
        check("postgres://other:secret@h/m", "postgres://other:secret@h/m");
    }

    #[test]
    fn what_names_no_database_is_refused_without_being_repeated() {
        for text in [
            "",
            "mogilefs",
            "DBI:mysql",
            "DBI:Oracle:x",
            "http://user:secret@h/m",
            "DBI:mysql:host=secret",
        ] {
            let refused = database(text, Login::default()).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
