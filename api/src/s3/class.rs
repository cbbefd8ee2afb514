//! Storage classes of S3 are classes of the domain (s3.md §23).
//!
//! `STANDARD` is the class `default`; every other class is a storage class under its own name, upper-case, whoever made
//! it. Names of AWS that have a template are made when they are first used; the tracker knows those.

use mogul_tracker::{
    Error,
    model::{Bucket, Class, ClassId, ClassName},
};

use super::{
    RequestHead, S3,
    error::{Code, S3Error},
};

/// The storage class of the class `default`.
pub(super) const STANDARD: &str = "STANDARD";

/// Names of AWS that mean `STANDARD` here: there is one tier.
const ALIASES: [&str; 2] = [STANDARD, "INTELLIGENT_TIERING"];

/// Names whose objects clients believe to be offline, and refuse to read: an online class must not have them.
const OFFLINE: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// The storage class that clients see of a class.
pub(super) fn storage_class(name: &ClassName) -> String {
    if *name == ClassName::default_class() {
        STANDARD.to_owned()
    } else {
        name.as_str().to_ascii_uppercase()
    }
}

/// The class that a write asks for by `x-amz-storage-class`; `default` if it does not.
///
/// # Errors
/// [`Code::InvalidStorageClass`] for one that the domain does not have and that has no template.
pub(super) async fn requested(s3: &S3, bucket: &Bucket, head: &RequestHead) -> Result<Class, S3Error> {
    let domain = bucket.domain.id;
    let Some(text) = head.headers.get("x-amz-storage-class") else {
        return Ok(s3.tracker.class(domain, ClassId::DEFAULT).await?);
    };
    let text = text.to_str().unwrap_or_default();
    if is_one_of(text, &ALIASES) {
        return Ok(s3.tracker.class(domain, ClassId::DEFAULT).await?);
    }
    let name = ClassName::parse(&text.to_ascii_lowercase()).filter(|_| !is_one_of(text, &OFFLINE));
    let Some(name) = name else {
        return Err(invalid(text));
    };
    match s3.tracker.class_named(domain, &name).await {
        Ok(class) => Ok(class),
        Err(Error::UnknownClass) => Err(invalid(text)),
        Err(other) => Err(other.into()),
    }
}

fn is_one_of(text: &str, names: &[&str]) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(text))
}

fn invalid(text: &str) -> S3Error {
    S3Error::new(
        Code::InvalidStorageClass,
        "The storage class you specified is not valid",
    )
    .with("StorageClassRequested", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_shows_as_standard_or_under_its_own_name() {
        for (class, shown) in [
            ("default", "STANDARD"),
            ("reduced_redundancy", "REDUCED_REDUNDANCY"),
            ("thumbs", "THUMBS"),
        ] {
            assert_eq!(storage_class(&ClassName::parse(class).unwrap()), shown);
        }
    }
}
