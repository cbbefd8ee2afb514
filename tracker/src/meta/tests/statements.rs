//! Every statement of `meta/` is one that every engine understands.

use std::collections::BTreeSet;

use super::engines::for_each_engine;
use crate::meta::{
    Sql, absences, backlog, buckets, checksums, classes, create, deletions, devices, digests, domains,
    fid_blocks, files, fsck, hosts, listing, lock, lookup, marks, migrate, objects, queues, replicas, scrub,
    segments, settings, tempfiles, tokens, uploads, users, work,
};

/// The statements of each module, by the name of its file.
const CATALOGUE: &[(&str, &[(&str, Sql)])] = &[
    ("absences.rs", absences::STATEMENTS),
    ("backlog.rs", backlog::STATEMENTS),
    ("buckets.rs", buckets::STATEMENTS),
    ("checksums.rs", checksums::STATEMENTS),
    ("classes.rs", classes::STATEMENTS),
    ("create.rs", create::STATEMENTS),
    ("deletions.rs", deletions::STATEMENTS),
    ("devices.rs", devices::STATEMENTS),
    ("digests.rs", digests::STATEMENTS),
    ("domains.rs", domains::STATEMENTS),
    ("fid_blocks.rs", fid_blocks::STATEMENTS),
    ("files.rs", files::STATEMENTS),
    ("fsck.rs", fsck::STATEMENTS),
    ("hosts.rs", hosts::STATEMENTS),
    ("listing.rs", listing::STATEMENTS),
    ("lock.rs", lock::STATEMENTS),
    ("lookup.rs", lookup::STATEMENTS),
    ("marks.rs", marks::STATEMENTS),
    ("migrate.rs", migrate::STATEMENTS),
    ("objects.rs", objects::STATEMENTS),
    ("queues.rs", queues::STATEMENTS),
    ("replicas.rs", replicas::STATEMENTS),
    ("scrub.rs", scrub::STATEMENTS),
    ("segments.rs", segments::STATEMENTS),
    ("settings.rs", settings::STATEMENTS),
    ("tempfiles.rs", tempfiles::STATEMENTS),
    ("tokens.rs", tokens::STATEMENTS),
    ("uploads.rs", uploads::STATEMENTS),
    ("users.rs", users::STATEMENTS),
    ("work.rs", work::STATEMENTS),
];

#[tokio::test]
async fn every_statement_is_prepared_by_every_engine() {
    for_each_engine(async |db| {
        // A connection that runs none of them: a statement prepared without the types of its arguments stays cached.
        let mut connection = db.reader().await.unwrap();
        for (file, statements) in CATALOGUE {
            for (name, statement) in *statements {
                if let Err(error) = connection.prepare(statement).await {
                    panic!("{file} {name}: {error:?}");
                }
            }
        }
    })
    .await;
}

#[test]
fn the_catalogue_has_every_statement_of_the_sources() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/meta");
    let mut written = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let source = std::fs::read_to_string(&path).unwrap();
        for line in source.lines() {
            if let Some((head, _)) = line.split_once(": Sql =")
                && let Some((_, name)) = head.rsplit_once("const ")
            {
                written.insert((file.clone(), name.to_owned()));
            }
        }
    }

    let listed: BTreeSet<(String, String)> = CATALOGUE
        .iter()
        .flat_map(|(file, statements)| {
            statements
                .iter()
                .map(|(name, _)| ((*file).to_owned(), (*name).to_owned()))
        })
        .collect();

    assert_eq!(
        written, listed,
        "add the statement to `catalogue!` at the end of its file, a new file to CATALOGUE"
    );
}
