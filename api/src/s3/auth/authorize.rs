//! Who may do what: the one authorizer of every door (header, presigned URL, copy source, admin).

use mogul_tracker::model::{Bucket, UserId};

use crate::s3::{
    Identity,
    error::{Code, S3Error},
};

/// What is done to a bucket or to an object in it, in the words of AWS's policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `s3:ListBucket`: listing, and the bucket's existence.
    ListBucket,
    /// `s3:ListBucketMultipartUploads`.
    ListBucketMultipartUploads,
    /// `s3:GetBucketLocation`.
    GetBucketLocation,
    /// `s3:GetBucket…`: reading a configuration.
    GetBucketConfiguration,
    /// `s3:PutBucket…`: changing a configuration.
    PutBucketConfiguration,
    /// `s3:DeleteBucket`.
    DeleteBucket,
    /// `s3:GetObject`, also by HEAD and as the source of a copy.
    GetObject,
    /// `s3:GetObjectTagging`.
    GetObjectTagging,
    /// `s3:PutObject`, also by multipart upload and as the target of a copy.
    PutObject,
    /// `s3:PutObjectTagging`, also for deleting tags.
    PutObjectTagging,
    /// `s3:DeleteObject`.
    DeleteObject,
    /// `s3:AbortMultipartUpload`.
    AbortMultipartUpload,
    /// `s3:ListMultipartUploadParts`.
    ListMultipartUploadParts,
    /// `s3:GetObjectAcl` and the like: reading what belongs to an object but its bytes.
    GetObjectConfiguration,
}

/// Whether this sender may do this in that bucket: its owner and root may do everything, nobody else anything.
///
/// # Errors
/// [`Code::AccessDenied`].
pub fn authorize(identity: &Identity, action: Action, bucket: &Bucket) -> Result<(), S3Error> {
    match identity {
        Identity::User(user) if user.id == UserId::root() || user.id == bucket.owner => Ok(()),
        Identity::User(_) | Identity::Anonymous => {
            tracing::debug!(?action, domain = bucket.domain.name.as_str(), "denied");
            Err(access_denied())
        }
    }
}

/// Whether this sender may do what no bucket is needed for: any user may list its buckets and make new ones.
///
/// # Errors
/// [`Code::AccessDenied`] for the anonymous.
pub fn authorize_account(identity: &Identity) -> Result<&mogul_tracker::model::User, S3Error> {
    match identity {
        Identity::User(user) => Ok(user),
        Identity::Anonymous => Err(access_denied()),
    }
}

/// The plain refusal.
#[must_use]
pub fn access_denied() -> S3Error {
    S3Error::new(Code::AccessDenied, "Access Denied")
}

#[cfg(test)]
mod tests {
    use mogul_tracker::model::{Domain, DomainId, DomainName, Timestamp, User};

    use super::*;

    fn user(id: UserId) -> Identity {
        Identity::User(User {
            id,
            name: "name".to_owned(),
            display_name: "name".to_owned(),
            email: None,
            created: Timestamp::from_secs(0),
        })
    }

    #[test]
    fn only_the_owner_and_root_reach_a_bucket() {
        let owner = UserId("a".repeat(64));
        let bucket = Bucket {
            domain: Domain {
                id: DomainId(1),
                name: DomainName::parse("bucket").unwrap(),
            },
            owner: owner.clone(),
            created: Timestamp::from_secs(0),
        };
        let allowed = |identity: &Identity| authorize(identity, Action::GetObject, &bucket).is_ok();

        assert!(allowed(&user(owner)));
        assert!(allowed(&user(UserId::root())));
        assert!(!allowed(&user(UserId("b".repeat(64)))));
        assert!(!allowed(&Identity::Anonymous));
        assert!(authorize_account(&Identity::Anonymous).is_err());
    }
}
