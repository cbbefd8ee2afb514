//! The faces as clients see them: signed requests through the services, real SQLite, devices in scratch folders.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod buckets;
mod listings;
mod multipart;
mod objects;
mod service;
mod world;
