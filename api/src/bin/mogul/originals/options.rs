//! Command lines as Perl's `Getopt::Long` reads them, with bundling: what init scripts of the originals pass.
//!
//! `--name=value`, `--name value`, any unique beginning of a long name, `--no-name` and `--noname`, `-c FILE`, `-cFILE`, `-dd`,
//! and `--` before the rest. Names are matched without regard to case, as Perl does.

/// An option that a command takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opt {
    /// Its name; the key under which it is told.
    pub(super) name: &'static str,
    /// Another name of it.
    pub(super) alias: Option<&'static str>,
    /// Its letter.
    pub(super) letter: Option<char>,
    /// What follows it.
    pub(super) takes: Takes,
}

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing; it may be negated. Told as `1` or `0`.
    Nothing,
    /// A value.
    Value,
}

impl Opt {
    /// An option that takes a value.
    pub(super) const fn value(name: &'static str) -> Opt {
        Opt {
            name,
            alias: None,
            letter: None,
            takes: Takes::Value,
        }
    }

    /// An option that takes nothing.
    pub(super) const fn flag(name: &'static str) -> Opt {
        Opt {
            takes: Takes::Nothing,
            ..Opt::value(name)
        }
    }

    /// The same with a letter.
    pub(super) const fn letter(self, letter: char) -> Opt {
        Opt {
            letter: Some(letter),
            ..self
        }
    }

    /// The same with another name.
    pub(super) const fn alias(self, alias: &'static str) -> Opt {
        Opt {
            alias: Some(alias),
            ..self
        }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.name), self.alias].into_iter().flatten()
    }
}

/// The options of a command line in their order, each by its name.
///
/// # Errors
/// What is wrong with it, in a line.
pub(super) fn parse(
    table: &[Opt],
    arguments: impl IntoIterator<Item = String>,
) -> Result<Vec<(&'static str, String)>, String> {
    let mut arguments = arguments.into_iter();
    let mut given = Vec::new();
    while let Some(argument) = arguments.next() {
        let mut following = |name: &str| {
            let value = arguments.next();
            value.ok_or_else(|| format!("Option {name} requires an argument"))
        };
        if argument == "--" {
            break;
        }
        if let Some(long) = argument.strip_prefix("--") {
            given.push(long_option(table, long, &mut following)?);
        } else if let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            short_options(table, letters, &mut following, &mut given)?;
        } else {
            return Err(format!("there is no argument {argument}: options begin with -"));
        }
    }
    match arguments.next() {
        Some(extra) => Err(format!("there is no argument {extra}: options begin with -")),
        None => Ok(given),
    }
}

fn long_option(
    table: &[Opt],
    long: &str,
    following: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<(&'static str, String), String> {
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    let lower = name.to_ascii_lowercase();
    if let Some(opt) = named(table, &lower)? {
        return match (opt.takes, value) {
            (Takes::Value, Some(value)) => Ok((opt.name, value)),
            (Takes::Value, None) => Ok((opt.name, following(name)?)),
            (Takes::Nothing, None) => Ok((opt.name, "1".to_owned())),
            (Takes::Nothing, Some(_)) => Err(format!("Option {name} does not take an argument")),
        };
    }
    let negated = lower.strip_prefix("no-").or_else(|| lower.strip_prefix("no"));
    match negated.map(|name| named(table, name)).transpose()?.flatten() {
        Some(opt) if opt.takes == Takes::Nothing && value.is_none() => Ok((opt.name, "0".to_owned())),
        Some(_) | None => Err(format!("Unknown option: {name}")),
    }
}

/// The option of that name, or the one whose name alone begins so.
fn named<'t>(table: &'t [Opt], name: &str) -> Result<Option<&'t Opt>, String> {
    let has = |opt: &&Opt, fits: &dyn Fn(&str) -> bool| opt.names().any(fits);
    if let Some(opt) = table.iter().find(|opt| has(opt, &|known| known == name)) {
        return Ok(Some(opt));
    }
    let mut beginning = table
        .iter()
        .filter(|opt| !name.is_empty() && has(opt, &|known| known.starts_with(name)));
    match (beginning.next(), beginning.next()) {
        (Some(first), Some(second)) => Err(format!(
            "Option {name} is ambiguous ({}, {})",
            first.name, second.name
        )),
        (found, _) => Ok(found),
    }
}

fn short_options(
    table: &[Opt],
    letters: &str,
    following: &mut dyn FnMut(&str) -> Result<String, String>,
    given: &mut Vec<(&'static str, String)>,
) -> Result<(), String> {
    let mut rest = letters.chars();
    while let Some(letter) = rest.next() {
        let opt = table.iter().find(|opt| opt.letter == Some(letter));
        let opt = opt.ok_or_else(|| format!("Unknown option: {letter}"))?;
        match opt.takes {
            Takes::Nothing => given.push((opt.name, "1".to_owned())),
            Takes::Value => {
                let attached = rest.as_str().trim_start_matches('=');
                let value = if attached.is_empty() {
                    following(&letter.to_string())?
                } else {
                    attached.to_owned()
                };
                given.push((opt.name, value));
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Opt] = &[
        Opt::value("config").letter('c'),
        Opt::value("confport").letter('p'),
        Opt::flag("daemonize").letter('D'),
        Opt::flag("debug").letter('d'),
        Opt::flag("job_master"),
        Opt::value("dbrootpassword").alias("dbrootpass"),
    ];

    fn check(arguments: &[&str], expected: Result<&[(&'static str, &str)], &str>) {
        let found = parse(TABLE, arguments.iter().map(|text| (*text).to_owned()));
        let expected = expected.map(|pairs| {
            let owned = pairs.iter().map(|(name, value)| (*name, (*value).to_owned()));
            owned.collect::<Vec<_>>()
        });
        assert_eq!(found, expected.map_err(str::to_owned), "{arguments:?}");
    }

    #[test]
    fn command_lines_mean_what_they_mean_to_perl() {
        check(
            &["--config=x", "--confport", "7"],
            Ok(&[("config", "x"), ("confport", "7")]),
        );
        check(
            &["-c", "x", "-Ddd"],
            Ok(&[
                ("config", "x"),
                ("daemonize", "1"),
                ("debug", "1"),
                ("debug", "1"),
            ]),
        );
        check(&["-cx", "-p=7"], Ok(&[("config", "x"), ("confport", "7")]));
        check(
            &["--daemon", "--confi", "x"],
            Ok(&[("daemonize", "1"), ("config", "x")]),
        );
        check(
            &["--no-job_master", "--nojob_master"],
            Ok(&[("job_master", "0"), ("job_master", "0")]),
        );
        check(&["--dbrootpass=a=b"], Ok(&[("dbrootpassword", "a=b")]));
        check(&["--DEBUG"], Ok(&[("debug", "1")]));
        check(&["-d", "--"], Ok(&[("debug", "1")]));
    }

    #[test]
    fn wrong_command_lines_are_named() {
        check(&["--nosuch"], Err("Unknown option: nosuch"));
        check(&["-x"], Err("Unknown option: x"));
        check(
            &["--conf", "x"],
            Err("Option conf is ambiguous (config, confport)"),
        );
        check(&["--config"], Err("Option config requires an argument"));
        check(&["--debug=1"], Err("Option debug does not take an argument"));
        check(&["--", "x"], Err("there is no argument x: options begin with -"));
        check(&["x"], Err("there is no argument x: options begin with -"));
    }
}
