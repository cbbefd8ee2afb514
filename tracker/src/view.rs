//! The cluster at one moment: an immutable snapshot that is swapped whole.
