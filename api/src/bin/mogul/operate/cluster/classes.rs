//! `mogul admin domain …` and `mogul admin class …`.

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{
    Shown, done, given,
    nouns::{self, Domain},
    text_of,
};
use crate::client::tracker::TrackerConnection;

/// What is done to domains.
#[derive(Debug, Subcommand)]
pub(in crate::operate) enum DomainCommand {
    /// Lists the domains and their classes.
    List,
    /// Adds a domain.
    Add {
        /// Its name.
        domain: String,
    },
    /// Deletes a domain that has no files and no classes but its default.
    Delete {
        /// Its name.
        domain: String,
    },
}

/// What is done to classes.
#[derive(Debug, Subcommand)]
pub(in crate::operate) enum ClassCommand {
    /// Lists the domains and their classes.
    List,
    /// Adds a class to a domain; with 2 copies unless --mindevcount says otherwise.
    Add {
        /// The domain.
        domain: String,
        /// Its name.
        class: String,
        #[command(flatten)]
        options: ClassOptions,
    },
    /// Changes what is given of a class.
    Modify {
        /// The domain.
        domain: String,
        /// Its name.
        class: String,
        #[command(flatten)]
        options: ClassOptions,
    },
    /// Deletes a class that has no files.
    Delete {
        /// The domain.
        domain: String,
        /// Its name.
        class: String,
    },
}

/// The columns of a class.
#[derive(Debug, Args)]
pub(in crate::operate) struct ClassOptions {
    /// How many copies, at least 1.
    #[arg(long)]
    mindevcount: Option<String>,
    /// Where they lie, such as `MultipleHosts()`.
    #[arg(long)]
    replpolicy: Option<String>,
    /// The digest that is kept of each file: MD5, SHA-1 or NONE.
    #[arg(long)]
    hashtype: Option<String>,
}

/// Copies of a new class, as with mogadm.
const MINDEVCOUNT_DEFAULT: &str = "2";

impl ClassOptions {
    fn pairs<'a>(
        &'a self,
        domain: &'a str,
        class: &'a str,
        mindevcount: Option<&'a str>,
    ) -> Vec<(&'a str, &'a str)> {
        given(&[
            ("domain", Some(domain)),
            ("class", Some(class)),
            ("mindevcount", self.mindevcount.as_deref().or(mindevcount)),
            ("replpolicy", self.replpolicy.as_deref()),
            ("hashtype", self.hashtype.as_deref()),
        ])
    }
}

pub(super) async fn of_domain(
    tracker: &mut TrackerConnection,
    command: DomainCommand,
) -> anyhow::Result<Shown> {
    match command {
        DomainCommand::List => list(tracker).await,
        DomainCommand::Add { domain } => {
            let added = done(tracker, "create_domain", &[("domain", &domain)]).await;
            added.context("Error creating domain")
        }
        DomainCommand::Delete { domain } => {
            let deleted = done(tracker, "delete_domain", &[("domain", &domain)]).await;
            deleted.context("Error deleting domain")
        }
    }
}

pub(super) async fn of_class(
    tracker: &mut TrackerConnection,
    command: ClassCommand,
) -> anyhow::Result<Shown> {
    match command {
        ClassCommand::List => list(tracker).await,
        ClassCommand::Add {
            domain,
            class,
            options,
        } => {
            let pairs = options.pairs(&domain, &class, Some(MINDEVCOUNT_DEFAULT));
            let added = done(tracker, "create_class", &pairs).await;
            added.context("Error creating class")
        }
        ClassCommand::Modify {
            domain,
            class,
            options,
        } => {
            // The tracker wants a count with every change; mogadm sends 2 and so undoes what was set.
            let stored = stored_mindevcount(tracker, &domain, &class).await?;
            let pairs = options.pairs(&domain, &class, stored.as_deref());
            let modified = done(tracker, "update_class", &pairs).await;
            modified.context("Error updating class")
        }
        ClassCommand::Delete { domain, class } => {
            let pairs = [("domain", domain.as_str()), ("class", class.as_str())];
            let deleted = done(tracker, "delete_class", &pairs).await;
            deleted.context("Error deleting class")
        }
    }
}

async fn stored_mindevcount(
    tracker: &mut TrackerConnection,
    domain: &str,
    class: &str,
) -> anyhow::Result<Option<String>> {
    let domains = nouns::domains(tracker).await?;
    let classes = domains.into_iter().filter(|found| found.name == domain);
    let mut found = classes
        .flat_map(|found| found.classes)
        .filter(|found| found.name == class);
    Ok(found.next().map(|class| class.mindevcount.to_string()))
}

async fn list(tracker: &mut TrackerConnection) -> anyhow::Result<Shown> {
    let domains = nouns::domains(tracker).await?;
    Shown::of(table(&domains), &domains)
}

fn table(domains: &[Domain]) -> String {
    let rule = |length: usize| "-".repeat(length);
    let mut lines = vec![
        format!(
            " {:<20} {:<20} {:>11}   {:<12} {}",
            "domain", "class", "mindevcount", "replpolicy", "hashtype"
        ),
        [20, 20, 13, 12, 7].map(rule).join(" "),
    ];
    for domain in domains {
        lines.extend(domain.classes.iter().map(|class| {
            format!(
                " {:<20} {:<20} {:>6}        {} {}",
                domain.name, class.name, class.mindevcount, class.replpolicy, class.hashtype
            )
        }));
        lines.push(String::new());
    }
    text_of(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nouns::Class;

    #[test]
    fn a_list_of_classes_looks_like_mogadms() {
        let domains = [Domain {
            name: "files".to_owned(),
            classes: vec![Class {
                name: "default".to_owned(),
                mindevcount: 2,
                replpolicy: "MultipleHosts()".to_owned(),
                hashtype: "NONE".to_owned(),
            }],
        }];

        assert_eq!(
            table(&domains),
            " domain               class                mindevcount   replpolicy   hashtype\n\
             -------------------- -------------------- ------------- ------------ -------\n\
             \u{20}files                default                   2        MultipleHosts() NONE\n\n"
        );
    }
}
