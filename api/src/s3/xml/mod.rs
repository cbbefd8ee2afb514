//! S3's XML documents: written into one buffer, read tolerantly into a small tree.

mod documents;
mod read;
mod write;

pub use documents::{
    CompletedPart, DeleteDocument, DeleteEntry, bucket_location, completed_parts, deletions, tag_set,
};
pub use read::{DOCUMENT_BYTES_MAX, Element, parse};
pub use write::{Encoding, Writer, push_escaped, push_time};
