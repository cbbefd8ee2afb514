//! The faces as clients see them: signed requests through the services, real SQLite, devices in scratch folders.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod buckets;
mod copies;
mod doors;
mod listings;
mod multipart;
mod objects;
mod reads;
mod service;
mod world;
mod writes;
