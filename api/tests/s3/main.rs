//! The S3 face as clients see it: signed requests through the service, real SQLite, devices in scratch folders.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod buckets;
mod listings;
mod multipart;
mod objects;
mod service;
mod world;
