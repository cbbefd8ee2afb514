//! How listings show owners and storage classes: few of them, asked for once per page.

use mogul_tracker::{
    Error,
    model::{ClassId, DomainId, User, UserId},
};

use crate::s3::{S3, class, error::S3Error, xml::Writer};

/// What was looked up for one answer.
#[derive(Default)]
pub(super) struct Names {
    classes: Vec<(ClassId, String)>,
    owners: Vec<User>,
}

impl Names {
    /// The storage class that clients see.
    pub(super) async fn storage_class(
        &mut self,
        s3: &S3,
        domain: DomainId,
        id: ClassId,
    ) -> Result<&str, S3Error> {
        let known = self.classes.iter().position(|(known, _)| *known == id);
        if known.is_none() {
            let class = s3.tracker.class(domain, id).await?;
            self.classes.push((id, class::storage_class(&class.name)));
        }
        Ok(&self.classes[known.unwrap_or(self.classes.len() - 1)].1)
    }

    /// A user as owners are shown; one that is gone keeps its id as its name.
    pub(super) async fn owner(&mut self, s3: &S3, id: &UserId) -> Result<&User, S3Error> {
        let known = self.owners.iter().position(|known| known.id == *id);
        if known.is_none() {
            let user = match s3.tracker.user(id).await {
                Ok(user) => user,
                Err(Error::UnknownUser) => gone(id),
                Err(other) => return Err(other.into()),
            };
            self.owners.push(user);
        }
        Ok(&self.owners[known.unwrap_or(self.owners.len() - 1)])
    }
}

fn gone(id: &UserId) -> User {
    User {
        id: id.clone(),
        name: id.0.clone(),
        display_name: id.0.clone(),
        email: None,
        created: mogul_tracker::model::Timestamp::default(),
    }
}

/// Writes `Owner` or `Initiator`.
pub(super) fn write_user(writer: &mut Writer, element: &str, user: &User) {
    writer.open(element);
    writer.text("ID", &user.id.0);
    writer.text("DisplayName", &user.display_name);
    writer.close(element);
}
