//! The flags of `mogul server` that set a setting: made from the declarations, so that help and meaning are theirs.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{SETTINGS, Setting};

/// The settings that were given as flags.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// Each given flag's setting and text.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static Setting, &str)> {
        self.0.iter().filter_map(|(key, text)| {
            let setting = SETTINGS.iter().find(|setting| setting.key == *key)?;
            Some((setting, text.as_str()))
        })
    }

    /// As if these flags had been given, by key.
    #[cfg(test)]
    pub(super) fn of(given: &[(&'static str, &str)]) -> Flags {
        Flags(
            given
                .iter()
                .map(|(key, text)| (*key, (*text).to_owned()))
                .collect(),
        )
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        SETTINGS
            .iter()
            .filter_map(|setting| Some((setting, setting.flag?)))
            .fold(command, |command, (setting, flag)| {
                let default = setting
                    .default
                    .map(|text| format!(" [default: {text}]"))
                    .unwrap_or_default();
                command.arg(
                    Arg::new(setting.key)
                        .long(flag)
                        .value_name(setting.form)
                        .help(format!("{}{default}", setting.doc.trim())),
                )
            })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags, clap::Error> {
        let given = SETTINGS
            .iter()
            .filter(|setting| setting.flag.is_some())
            .filter_map(|setting| {
                let text = matches.get_one::<String>(setting.key)?;
                Some((setting.key, text.clone()))
            });
        Ok(Flags(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
